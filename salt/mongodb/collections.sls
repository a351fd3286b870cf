# Databases, collections with their indexes (before any load), and the applications' users; on one router.
# Indexes come before the sharding: a collection that holds documents is sharded only along an index that it has.
{% set settings = salt['mongo_config.settings']() %}

{% for database in settings.databases %}
mongodb-database-{{ database.name }}:
  mongo_shard.database_present:
    - name: {{ database.name | tojson }}
    - primary_shard: {{ database.primary_shard | tojson }}
    - connection: {{ settings.router | tojson }}
{% endfor %}

{% for collection in settings.collections %}
{% if collection.key %}
mongodb-collection-{{ collection.name }}:
  mongo_shard.collection_sharded:
    - name: {{ collection.name | tojson }}
    - key: {{ collection.key | tojson }}
    - unique: {{ collection.unique }}
    - connection: {{ settings.router | tojson }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_shard: mongodb-indexes-{{ collection.name }}
{% endif %}

mongodb-indexes-{{ collection.name }}:
  mongo_shard.indexes_present:
    - name: {{ collection.name | tojson }}
    - indexes: {{ collection.indexes | tojson }}
    - connection: {{ settings.router | tojson }}
    - require:
      - mongo_shard: mongodb-database-{{ collection.name.split('.')[0] }}
{% endfor %}

{% for user in settings.users %}
mongodb-user-{{ user.name }}:
  mongo_shard.user_present:
    - name: {{ user.name | tojson }}
    - database: {{ user.database | tojson }}
    - roles: {{ user.roles | tojson }}
    - password: {{ user.password | tojson }}
    - connection: {{ settings.router | tojson }}
{% endfor %}

{% if not settings.databases and not settings.users %}
mongodb-no-collections:
  test.nop
{% endif %}
