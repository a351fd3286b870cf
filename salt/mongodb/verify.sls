# The last word: every set has a primary, every member is ready.
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}

mongodb-healthy:
  mongo_shard.cluster_healthy:
    - name: cluster
    - replsets: {{ quoted(settings.all_members) }}
    - connection: {{ quoted(settings.router) }}
    - timeout: {{ settings.timeout }}
