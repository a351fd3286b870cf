# The daemons of this host, each with its complete configuration and key file before its first start.
{% set settings = salt['mongo_config.settings']() %}

mongodb-directories:
  file.directory:
    - names:
      - /var/lib/mongodb
      - /var/log/mongodb
    - user: mongodb
    - group: mongodb
    - mode: '0750'

mongodb-etc:
  file.directory:
    - name: /etc/mongodb
    - mode: '0755'

mongodb-keyfile:
  file.managed:
    - name: /etc/mongodb/keyfile
    - contents_pillar: mongodb:auth:keyfile
    - user: mongodb
    - group: mongodb
    - mode: '0400'
    - show_changes: False
    - require:
      - file: mongodb-etc

{% for daemon in settings.daemons %}
{% if daemon.data %}
mongodb-{{ daemon.name }}-data:
  file.directory:
    - name: {{ daemon.data | json }}
    - user: mongodb
    - group: mongodb
    - mode: '0750'
    - makedirs: True
    - require:
      - file: mongodb-directories
    - require_in:
      - service: mongodb-{{ daemon.name }}
{% endif %}

{% if daemon.replset %}
mongodb-{{ daemon.name }}-place:
  mongo_daemon.in_place:
    - name: {{ daemon.replset | tojson }}
    - file: {{ daemon.file }}
    - connection: {{ daemon.connection | tojson }}
    - require_in:
      - file: mongodb-{{ daemon.name }}-config
      - file: mongodb-{{ daemon.name }}-unit
      - service: mongodb-{{ daemon.name }}
{% endif %}

mongodb-{{ daemon.name }}-config:
  file.serialize:
    - name: {{ daemon.file }}
    - dataset: {{ daemon.config | tojson }}
    - serializer: yaml
    - user: root
    - group: mongodb
    - mode: '0640'
    - show_changes: {{ not daemon.secret }}
    - require:
      - file: mongodb-etc

mongodb-{{ daemon.name }}-unit:
  file.managed:
    - name: /etc/systemd/system/{{ daemon.name }}.service
    - source: salt://mongodb/files/mongodb.service
    - template: jinja
    - mode: '0644'
    - context: {{ {'what': daemon.what, 'program': daemon.program, 'config': daemon.file} | tojson }}

mongodb-{{ daemon.name }}:
  service.running:
    - name: {{ daemon.name }}
    - enable: True
    - require:
      - file: mongodb-directories
      - file: mongodb-keyfile
      - file: mongodb-{{ daemon.name }}-config
      - file: mongodb-{{ daemon.name }}-unit

mongodb-{{ daemon.name }}-current:
  mongo_daemon.current:
    - name: {{ daemon.name }}
    - files:
      - {{ daemon.file }}
      - /etc/systemd/system/{{ daemon.name }}.service
    - together:
      - /etc/mongodb/keyfile
    - turn: {{ daemon.turn | tojson }}
    - connection: {{ daemon.connection | tojson }}
    - timeout: {{ settings.timeout }}
    - watch:
      - file: mongodb-keyfile
      - file: mongodb-{{ daemon.name }}-config
      - file: mongodb-{{ daemon.name }}-unit
    - require:
      - service: mongodb-{{ daemon.name }}
{% endfor %}
