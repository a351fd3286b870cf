# The change stays if a new connection proves that the host is still reachable. What was taken back meanwhile is done
# again before; a dry run has shown it already.
{% set quoted = salt['onepass.quoted'] %}
{% set node = salt['branch_pillar.node']() %}
{% set again = node.role and not opts.test %}
{% if again %}

include:
  - branch.{{ {'workstation': 'host', 'gateway': 'gateway'}[node.role] }}
{% endif %}

branch-confirmed:
  bridge_nat.confirmed:
    - reach: {{ quoted(node.confirm.get('reach', [])) }}
{%- if again %}
    - require:
      - bridge_nat: {{ quoted('branch-' ~ node.role) }}
{%- endif %}
