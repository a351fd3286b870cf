# A pillar with a fault stops the run on this host here, before anything is touched.
mongodb-pillar:
  onepass.pillar_valid:
    - name: mongodb
    - failhard: True
