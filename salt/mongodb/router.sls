# The router of this host serves the cluster.
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}

mongodb-router:
  mongo_shard.router_ready:
    - connection: {{ quoted(settings.router) }}
    - timeout: {{ settings.timeout }}
