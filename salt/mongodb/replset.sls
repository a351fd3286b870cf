# The replica sets of this host. A set is born and changed on its first member; the others wait to be taken in.
# An arbiter holds no data, and so no user and no oplog.
{% set settings = salt['mongo_config.settings']() %}

{% for replset in settings.replsets %}
{% if replset.first %}
mongodb-replset-{{ replset.name }}:
  mongo_replset.replset_present:
    - name: {{ replset.name | tojson }}
    - members: {{ replset.members | tojson }}
    - config_server: {{ replset.config_server }}
    - settings: {{ replset.settings | tojson }}
    - remove_extra: {{ replset.remove_extra }}
    - connection: {{ replset.connection | tojson }}
    - timeout: {{ settings.timeout }}
    - require_in:
      - mongo_replset: mongodb-member-{{ replset.name }}
{% endif %}

mongodb-member-{{ replset.name }}:
  mongo_replset.member_ready:
    - name: {{ replset.name | tojson }}
    - connection: {{ replset.connection | tojson }}
    - timeout: {{ settings.timeout }}

{% if replset.holds_data %}
mongodb-admin-{{ replset.name }}:
  mongo_replset.admin_present:
    - name: {{ settings.admin | tojson }}
    - connection: {{ replset.connection | tojson }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_replset: mongodb-member-{{ replset.name }}

{% if replset.oplog_mb %}
mongodb-oplog-{{ replset.name }}:
  mongo_replset.oplog_sized:
    - name: {{ replset.name | tojson }}
    - size_mb: {{ replset.oplog_mb | tojson }}
    - connection: {{ replset.connection | tojson }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_replset: mongodb-admin-{{ replset.name }}
{% endif %}
{% endif %}
{% endfor %}
