# The router of this host serves the cluster.
{% set settings = salt['mongo_config.settings']() %}

mongodb-router:
  mongo_shard.router_ready:
    - connection: {{ settings.router | tojson }}
    - timeout: {{ settings.timeout }}
