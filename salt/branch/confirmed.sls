# The change stays if a new connection, or this job of the master's, proves that the host is still reachable.
{% set node = salt['branch_pillar.node']() %}

branch-confirmed:
  bridge_nat.confirmed:
    - reach: {{ node.confirm.get('reach', []) | tojson }}
