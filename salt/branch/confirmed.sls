# The change stays if a new connection proves that the host is still reachable. What was taken back meanwhile is done
# again before; a dry run has shown it already.
{% set node = salt['branch_pillar.node']() %}
{% set again = node.role and not opts.test %}
{% if again %}

include:
  - branch.{{ {'workstation': 'host', 'gateway': 'gateway'}[node.role] }}
{% endif %}

branch-confirmed:
  bridge_nat.confirmed:
    - reach: {{ node.confirm.get('reach', []) | tojson }}
{%- if again %}
    - require:
      - bridge_nat: branch-{{ node.role }}
{%- endif %}
