# Daemons that are needed on this host no more, by name. A member is stopped when its set has let it go, a whole
# set when the pillar does not have it, all its hosts are named, and the cluster has no shard of it.
{% set quoted = salt['onepass.quoted'] %}
{% set settings = salt['mongo_config.settings']() %}

{% for each in settings.gone %}
{{ quoted('mongodb-gone-' ~ each.unit) }}:
  mongo_daemon.absent:
    - name: {{ quoted(each.unit) }}
    - data: {{ each.data }}
    - host: {{ quoted(each.host) }}
    - hosts: {{ quoted(each.hosts) }}
    - connection: {{ quoted(each.connection) }}
    - whole: {{ quoted(each.whole) }}
    - timeout: {{ settings.timeout }}
{% endfor %}

{% if not settings.gone %}
mongodb-nothing-gone:
  test.nop
{% endif %}
