# The cluster's default concerns and its shards; on one router.
{% set settings = salt['mongo_config.settings']() %}

mongodb-concern:
  mongo_shard.default_rw_concern:
    - write: {{ settings.default_rw_concern.write | tojson }}
    - read: {{ settings.default_rw_concern.read | tojson }}
    - connection: {{ settings.router | tojson }}

{% for shard in settings.shards %}
mongodb-shard-{{ shard.name }}:
  mongo_shard.shard_present:
    - name: {{ shard.name | tojson }}
    - members: {{ shard.members | tojson }}
    - connection: {{ settings.router | tojson }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_shard: mongodb-concern
{% endfor %}
