# A pillar with a fault stops the run here, before the cloud is asked for anything.
openstack-pillar:
  onepass.pillar_valid:
    - name: openstack
    - failhard: True
