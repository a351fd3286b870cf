# A pillar with a fault stops the run on this host here, before anything is touched.
mongodb-pillar:
  mongo_shard.pillar_valid:
    - failhard: True
