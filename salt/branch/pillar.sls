# A pillar with a fault stops the run on this host here, before anything is touched.
branch-pillar:
  onepass.pillar_valid:
    - name: branch
    - failhard: True
