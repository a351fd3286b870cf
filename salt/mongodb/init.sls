# All that this host's part in the cluster needs, in the order in which one highstate converges.
# The parts stand alone, so that the orchestration applies each by itself; here they require each other.
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}

include:
  - mongodb.pillar
{% if settings.daemons %}
  - mongodb.install
  - mongodb.tuning
  - mongodb.daemon
{% endif %}
{% if settings.replsets %}
  - mongodb.replset
{% endif %}
{% if settings.gone %}
  - mongodb.gone
{% endif %}
{% if settings.router %}
  - mongodb.router
{% endif %}
{% if settings.cluster %}
  - mongodb.shards
  - mongodb.collections
  - mongodb.verify
{% endif %}

{% if settings.daemons %}
extend:
  mongodb-directories:
    file:
      - require:
        - sls: mongodb.install
{% for replset in settings.replsets %}
  {{ quoted(('mongodb-replset-' if replset.first else 'mongodb-member-') ~ replset.name) }}:
    mongo_replset:
      - require:
        - service: {{ quoted('mongodb-mongod-' ~ replset.name) }}
{% endfor %}
{% if settings.router %}
  mongodb-router:
    mongo_shard:
      - require:
        - service: mongodb-mongos
{% endif %}
{% if settings.cluster %}
  mongodb-concern:
    mongo_shard:
      - require:
        - mongo_shard: mongodb-router
{% for database in settings.databases %}
  {{ quoted('mongodb-database-' ~ database.name) }}:
    mongo_shard:
      - require:
        - sls: mongodb.shards
{% endfor %}
{% for user in settings.users %}
  {{ quoted('mongodb-user-' ~ user.key) }}:
    mongo_shard:
      - require:
        - sls: mongodb.shards
{% endfor %}
  mongodb-healthy:
    mongo_shard:
      - require:
        - sls: mongodb.collections
{% endif %}
{% endif %}
