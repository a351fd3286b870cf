# A pillar with a fault stops the run here, before the cloud is asked for anything.
openstack-pillar:
  neutron_vlan.pillar_valid:
    - failhard: True
