# What MongoDB's production notes ask of the kernel. Limits of processes and files are in the units.
{% set settings = salt['mongo_config.settings']() %}

mongodb-keepalive:
  sysctl.present:
    - name: net.ipv4.tcp_keepalive_time
    - value: 120

{% if settings.kernel %}
mongodb-map-count:
  sysctl.present:
    - name: vm.max_map_count
    - value: 128000

mongodb-swappiness:
  sysctl.present:
    - name: vm.swappiness
    - value: 1

# Up to 7.0 transparent huge pages are to be off, from 8.0 on.
mongodb-huge-pages-unit:
  file.managed:
    - name: /etc/systemd/system/mongodb-huge-pages.service
    - source: salt://mongodb/files/mongodb-huge-pages.service
    - template: jinja
    - mode: '0644'
    - context:
        huge_pages: {{ settings.huge_pages }}

mongodb-huge-pages:
  service.running:
    - name: mongodb-huge-pages
    - enable: True
    - watch:
      - file: mongodb-huge-pages-unit
{% endif %}
