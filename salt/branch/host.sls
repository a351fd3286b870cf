# A workstation: reachable through its VM's address. Confirmed in a step of its own, by a new connection.
{% set quoted = salt['onepass.quoted'] %}
{% set node = salt['branch_pillar.node']() %}

include:
  - branch.pillar

{% if node.role == 'workstation' %}
branch-workstation:
  bridge_nat.workstation:
    - name: {{ quoted(node.name) }}
{%- for argument, value in node.arguments.items() %}
    - {{ argument }}: {{ quoted(value) }}
{%- endfor %}
    - within: {{ node.confirm.within }}
    - require:
      - onepass: branch-pillar
{% endif %}
