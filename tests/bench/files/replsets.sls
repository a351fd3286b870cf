# Our way: three sets in one call, then a look at all of them. The bench gives the sets in the pillar.
{% for name, members in pillar['replsets'].items() %}
replset-{{ name }}:
  mongo_replset.replset_present:
    - name: {{ name }}
    - members: {{ members | json }}
    - connection: {host: 127.0.0.1, port: {{ members[0].split(':')[1] }}}
    - require_in:
      - mongo_shard: ready
{% endfor %}

ready:
  mongo_shard.cluster_healthy:
    - replsets: {{ pillar['replsets'] | json }}
