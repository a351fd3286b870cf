# The replica sets of this host. A set is born and changed on its first member; the others wait to be taken in.
# An arbiter holds no data, and so no user and no oplog.
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}

{% for replset in settings.replsets %}
{% if replset.first %}
{{ quoted('mongodb-replset-' ~ replset.name) }}:
  mongo_replset.replset_present:
    - name: {{ quoted(replset.name) }}
    - members: {{ quoted(replset.members) }}
    - config_server: {{ replset.config_server }}
    - settings: {{ quoted(replset.settings) }}
    - remove_extra: {{ replset.remove_extra }}
    - connection: {{ quoted(replset.connection) }}
    - timeout: {{ settings.timeout }}
    - require_in:
      - mongo_replset: {{ quoted('mongodb-member-' ~ replset.name) }}
{% endif %}

{{ quoted('mongodb-member-' ~ replset.name) }}:
  mongo_replset.member_ready:
    - name: {{ quoted(replset.name) }}
    - connection: {{ quoted(replset.connection) }}
    - timeout: {{ settings.timeout }}
    - members: {{ quoted(replset.members) }}
    - settings: {{ quoted(replset.settings) }}
    - remove_extra: {{ replset.remove_extra }}

{% if replset.holds_data %}
{{ quoted('mongodb-admin-' ~ replset.name) }}:
  mongo_replset.admin_present:
    - name: {{ quoted(settings.admin) }}
    - connection: {{ quoted(replset.connection) }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_replset: {{ quoted('mongodb-member-' ~ replset.name) }}

{% if replset.oplog_mb %}
{{ quoted('mongodb-oplog-' ~ replset.name) }}:
  mongo_replset.oplog_sized:
    - name: {{ quoted(replset.name) }}
    - size_mb: {{ quoted(replset.oplog_mb) }}
    - connection: {{ quoted(replset.connection) }}
    - timeout: {{ settings.timeout }}
    - require:
      - mongo_replset: {{ quoted('mongodb-admin-' ~ replset.name) }}
{% endif %}
{% endif %}
{% endfor %}
