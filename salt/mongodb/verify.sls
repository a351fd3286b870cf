# The last word: every set has a primary, every member is ready.
{% set settings = salt['mongo_config.settings']() %}

mongodb-healthy:
  mongo_shard.cluster_healthy:
    - name: cluster
    - replsets: {{ settings.all_members | tojson }}
    - connection: {{ settings.router | tojson }}
    - timeout: {{ settings.timeout }}
