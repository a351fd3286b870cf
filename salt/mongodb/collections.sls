# Databases, collections with their indexes (before any load), and the applications' users; on one router.
# Names are the pillar's, and may hold what YAML would read as its own: each is in quotes.
# Indexes come before the sharding: a collection that holds documents is sharded only along an index that it has.
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}
{# A requisite is a pattern to Salt: the signs of one stand for themselves in brackets. #}
{% macro required(id) %}{{ quoted(id | replace('[', '[[]') | replace('*', '[*]') | replace('?', '[?]')) }}{% endmacro %}

{% for database in settings.databases %}
{{ quoted('mongodb-database-' ~ database.name) }}:
  mongo_shard.database_present:
    - name: {{ quoted(database.name) }}
    - primary_shard: {{ quoted(database.primary_shard) }}
    - connection: {{ quoted(settings.router) }}
{% endfor %}

{% for collection in settings.collections %}
{% if collection.key %}
{{ quoted('mongodb-collection-' ~ collection.name) }}:
  mongo_shard.collection_sharded:
    - name: {{ quoted(collection.name) }}
    - key: {{ quoted(collection.key) }}
    - unique: {{ collection.unique }}
    - connection: {{ quoted(settings.router) }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_shard: {{ required('mongodb-indexes-' ~ collection.name) }}
{% endif %}

{{ quoted('mongodb-indexes-' ~ collection.name) }}:
  mongo_shard.indexes_present:
    - name: {{ quoted(collection.name) }}
    - indexes: {{ quoted(collection.indexes) }}
    - connection: {{ quoted(settings.router) }}
    - require:
      - mongo_shard: {{ required('mongodb-database-' ~ collection.name.split('.')[0]) }}
{% endfor %}

{% for user in settings.users %}
{{ quoted('mongodb-user-' ~ user.key) }}:
  mongo_shard.user_present:
    - name: {{ quoted(user.name) }}
    - database: {{ quoted(user.database) }}
    - roles: {{ quoted(user.roles) }}
    - password: {{ quoted(user.password) }}
    - connection: {{ quoted(settings.router) }}
{% endfor %}

{% if not settings.databases and not settings.users %}
mongodb-no-collections:
  test.nop
{% endif %}
