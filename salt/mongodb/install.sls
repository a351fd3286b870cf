# MongoDB's programs: from MongoDB's repository (package), from an archive, or there already (present).
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}

mongodb-account:
  user.present:
    - name: mongodb
    - system: True
    - usergroup: True
    - home: /var/lib/mongodb
    - createhome: False
    - shell: /usr/sbin/nologin

{% if settings.method == 'package' %}
{% if grains['os_family'] == 'Debian' %}
mongodb-repository:
  pkgrepo.managed:
    - name: deb [signed-by=/usr/share/keyrings/mongodb-server-{{ settings.version }}.asc] https://repo.mongodb.org/apt/{{ grains['os'] | lower }} {{ grains['oscodename'] }}/mongodb-org/{{ settings.version }} {{ 'main' if grains['os'] == 'Debian' else 'multiverse' }}
    - file: /etc/apt/sources.list.d/mongodb-org-{{ settings.version }}.list
    - key_url: https://pgp.mongodb.com/server-{{ settings.version }}.asc
    - aptkey: False
{% else %}
mongodb-repository:
  pkgrepo.managed:
    - name: {{ quoted('mongodb-org-' ~ settings.version) }}
    - humanname: MongoDB {{ settings.version }}
    - baseurl: https://repo.mongodb.org/yum/redhat/{{ grains['osmajorrelease'] }}/mongodb-org/{{ settings.version }}/$basearch/
    - gpgcheck: 1
    - gpgkey: https://pgp.mongodb.com/server-{{ settings.version }}.asc
{% endif %}

mongodb-programs:
  pkg.installed:
    - pkgs:
      - mongodb-org-server
      - mongodb-org-mongos
    - require:
      - user: mongodb-account
      - pkgrepo: mongodb-repository

{% elif settings.method == 'archive' %}
# Unpacked beside its place and moved there whole: a directory with this name is never half an archive.
mongodb-archive:
  archive.extracted:
    - name: {{ quoted(settings.home ~ '.part') }}
    - source: {{ quoted(settings.source) }}
    - source_hash: {{ quoted(settings.source_hash) }}
    - if_missing: {{ quoted(settings.home) }}
    - overwrite: True
    - enforce_toplevel: False
    - archive_format: tar
    - options: --strip-components=1
    - user: root
    - group: root

mongodb-programs:
  file.rename:
    - name: {{ quoted(settings.home) }}
    - source: {{ quoted(settings.home ~ '.part') }}
    - require:
      - user: mongodb-account
      - archive: mongodb-archive

mongodb-former-programs:
  mongo_daemon.former_programs_absent:
    - name: {{ quoted(settings.home) }}
    - require:
      - file: mongodb-programs

{% else %}
mongodb-programs:
  file.exists:
    - names: {{ quoted(settings.programs.values() | list) }}
    - require:
      - user: mongodb-account
{% endif %}
