# The gateway of a branch: translates for its hosts. Confirmed in a step of its own, by a new connection.
{% set quoted = salt['onepass.quoted'] %}
{% set node = salt['branch_pillar.node']() %}

include:
  - branch.pillar

{% if node.role == 'gateway' %}
branch-gateway:
  bridge_nat.gateway:
    - name: {{ quoted(node.name) }}
{%- for argument, value in node.arguments.items() %}
    - {{ argument }}: {{ quoted(value) }}
{%- endfor %}
    - within: {{ node.confirm.within }}
    - require:
      - onepass: branch-pillar
{% endif %}
