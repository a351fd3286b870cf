# Our way: three sets in one call, then a look at all of their members. The bench gives the sets in the pillar.
{% for name, members in pillar['replsets'].items() %}
replset-{{ name }}:
  mongo_replset.replset_present:
    - name: {{ name }}
    - members: {{ members | json }}
    - connection: {host: 127.0.0.1, port: {{ members[0].split(':')[1] }}}

{% for member in members %}
member-{{ member }}:
  mongo_replset.member_ready:
    - name: {{ name }}
    - connection: {host: 127.0.0.1, port: {{ member.split(':')[1] }}}
    - order: last
{% endfor %}
{% endfor %}
