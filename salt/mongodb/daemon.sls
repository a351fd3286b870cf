# The daemons of this host, each with its complete configuration and key file before its first start.
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}

# Nothing is written on a host before each of its daemons is known to stay where its set and its cluster look for it.
{% for daemon in settings.daemons %}
{{ quoted('mongodb-' ~ daemon.name ~ '-place') }}:
  mongo_daemon.in_place:
    - name: {{ quoted(daemon.name) }}
    - file: {{ quoted(daemon.file) }}
    - configuration: {{ quoted(daemon.config) }}
    - replsets: {{ quoted(daemon.replsets) }}
    - connection: {{ quoted(daemon.connection) }}
    - require_in:
      - file: mongodb-directories
      - file: mongodb-etc
{% endfor %}

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

# A log is taken away by the host's logrotate, and opened anew by its daemon.
mongodb-logrotate:
  file.managed:
    - name: /etc/logrotate.d/onepass-mongodb
    - source: salt://mongodb/files/logrotate
    - template: jinja
    - mode: '0644'
    - makedirs: True
    - context: {{ quoted({'daemons': settings.daemons | selectattr('log') | list}) }}
    - require:
      - file: mongodb-directories

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
{{ quoted('mongodb-' ~ daemon.name ~ '-data') }}:
  file.directory:
    - name: {{ quoted(daemon.data) }}
    - user: mongodb
    - group: mongodb
    - mode: '0750'
    - makedirs: True
    - require:
      - file: mongodb-directories
    - require_in:
      - service: {{ quoted('mongodb-' ~ daemon.name) }}
{% endif %}

{{ quoted('mongodb-' ~ daemon.name ~ '-config') }}:
  file.serialize:
    - name: {{ quoted(daemon.file) }}
    - dataset: {{ quoted(daemon.config) }}
    - serializer: yaml
    - user: root
    - group: mongodb
    - mode: '0640'
    - show_changes: {{ not daemon.secret }}
    - require:
      - file: mongodb-etc

{{ quoted('mongodb-' ~ daemon.name ~ '-unit') }}:
  file.managed:
    - name: {{ quoted('/etc/systemd/system/' ~ daemon.name ~ '.service') }}
    - source: salt://mongodb/files/mongodb.service
    - template: jinja
    - mode: '0644'
    - context: {{ quoted({'what': daemon.what, 'program': daemon.program, 'config': daemon.file}) }}
    - require:
      - file: mongodb-etc

{{ quoted('mongodb-' ~ daemon.name) }}:
  service.running:
    - name: {{ quoted(daemon.name) }}
    - enable: True
    - require:
      - file: mongodb-directories
      - file: mongodb-keyfile
      - file: {{ quoted('mongodb-' ~ daemon.name ~ '-config') }}
      - file: {{ quoted('mongodb-' ~ daemon.name ~ '-unit') }}

{{ quoted('mongodb-' ~ daemon.name ~ '-current') }}:
  mongo_daemon.current:
    - name: {{ quoted(daemon.name) }}
    - files:
      - {{ quoted(daemon.file) }}
      - {{ quoted('/etc/systemd/system/' ~ daemon.name ~ '.service') }}
    - together:
      - /etc/mongodb/keyfile
    - turn: {{ quoted(daemon.turn) }}
    - connection: {{ quoted(daemon.connection) }}
    - timeout: {{ settings.timeout }}
    - watch:
      - file: mongodb-keyfile
      - file: {{ quoted('mongodb-' ~ daemon.name ~ '-config') }}
      - file: {{ quoted('mongodb-' ~ daemon.name ~ '-unit') }}
    - require:
      - service: {{ quoted('mongodb-' ~ daemon.name) }}
{% endfor %}
