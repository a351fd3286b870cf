# The last word: every set has a primary, every member is ready, and the cluster's list of shards knows them.
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}

mongodb-healthy:
  mongo_shard.cluster_healthy:
    - name: cluster
    - replsets: {{ quoted(settings.all_members) }}
    - connection: {{ quoted(settings.router) }}
    - timeout: {{ settings.timeout }}

mongodb-shards-current:
  mongo_shard.shards_current:
    - name: cluster
    - replsets: {{ quoted(settings.all_members) }}
    - connection: {{ quoted(settings.router) }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_shard: mongodb-healthy
