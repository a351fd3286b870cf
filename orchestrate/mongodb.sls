# A MongoDB cluster from blank hosts, in one run:  salt-run state.orchestrate orchestrate.mongodb
# Order only; what a host does stands in salt/mongodb, whom it concerns in the pillar.
{% set quoted = salt['onepass.quoted'] %}
{% set hosts = salt['mongo_pillar.hosts']() %}
{% set last = namespace(step='onepass: mongodb-preflight') %}
{% set phases = [
  ('daemons', hosts.all, ['mongodb.install', 'mongodb.tuning', 'mongodb.daemon']),
  ('replica-sets', hosts.members, ['mongodb.replset']),
  ('routers', hosts.routers, ['mongodb.router']),
  ('shards', hosts.cluster, ['mongodb.shards']),
  ('collections', hosts.cluster, ['mongodb.collections']),
  ('gone', hosts.gone, ['mongodb.gone']),
  ('verify', hosts.cluster, ['mongodb.verify']),
] %}

mongodb-preflight:
  onepass.checked:
    - areas: [mongodb]
    - sync: True
    - parallel: True

{% for phase, targets, sls in phases if targets %}
{{ quoted('mongodb-' ~ phase) }}:
  salt.state:
    - tgt: {{ quoted(targets) }}
    - tgt_type: list
    - sls: {{ quoted(sls) }}
    - queue: True
    - parallel: True
    - require:
      - {{ last.step }}
{% set last.step = 'salt: mongodb-' ~ phase %}
{% endfor %}
