# The cluster's default concerns and its shards; on one router.
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}

mongodb-concern:
  mongo_shard.default_rw_concern:
    - write: {{ quoted(settings.default_rw_concern.write) }}
    - read: {{ quoted(settings.default_rw_concern.read) }}
    - connection: {{ quoted(settings.router) }}

{% for shard in settings.shards %}
{{ quoted('mongodb-shard-' ~ shard.name) }}:
  mongo_shard.shard_present:
    - name: {{ quoted(shard.name) }}
    - members: {{ quoted(shard.members) }}
    - connection: {{ quoted(settings.router) }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_shard: mongodb-concern
{% endfor %}
