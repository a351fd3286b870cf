# Databases, collections with their indexes (before any load), and the applications' users; on one router.
# Names are the pillar's, and may hold what YAML would read as its own: each is in quotes. Salt's own filter for that,
# json, knows all characters; it sorts the fields of mappings, so keys and indexes have the other.
# Indexes come before the sharding: a collection that holds documents is sharded only along an index that it has.
{% set settings = salt['mongo_config.settings']() %}
{# A requisite is a pattern to Salt: the signs of one stand for themselves in brackets. #}
{% macro required(id) %}{{ id | replace('[', '[[]') | replace('*', '[*]') | replace('?', '[?]') | json }}{% endmacro %}

{% for database in settings.databases %}
{{ ('mongodb-database-' ~ database.name) | json }}:
  mongo_shard.database_present:
    - name: {{ database.name | json }}
    - primary_shard: {{ database.primary_shard | json }}
    - connection: {{ settings.router | tojson }}
{% endfor %}

{% for collection in settings.collections %}
{% if collection.key %}
{{ ('mongodb-collection-' ~ collection.name) | json }}:
  mongo_shard.collection_sharded:
    - name: {{ collection.name | json }}
    - key: {{ collection.key | tojson }}
    - unique: {{ collection.unique }}
    - connection: {{ settings.router | tojson }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_shard: {{ required('mongodb-indexes-' ~ collection.name) }}
{% endif %}

{{ ('mongodb-indexes-' ~ collection.name) | json }}:
  mongo_shard.indexes_present:
    - name: {{ collection.name | json }}
    - indexes: {{ collection.indexes | tojson }}
    - connection: {{ settings.router | tojson }}
    - require:
      - mongo_shard: {{ required('mongodb-database-' ~ collection.name.split('.')[0]) }}
{% endfor %}

{% for user in settings.users %}
{{ ('mongodb-user-' ~ user.key) | json }}:
  mongo_shard.user_present:
    - name: {{ user.name | json }}
    - database: {{ user.database | json }}
    - roles: {{ user.roles | json }}
    - password: {{ user.password | json }}
    - connection: {{ settings.router | tojson }}
{% endfor %}

{% if not settings.databases and not settings.users %}
mongodb-no-collections:
  test.nop
{% endif %}
