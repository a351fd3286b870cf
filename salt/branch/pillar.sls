# A pillar with a fault stops the run on this host here, before anything is touched.
branch-pillar:
  bridge_nat.pillar_valid:
    - failhard: True
