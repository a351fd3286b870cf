# What this minion is in its branch follows from the pillar: a workstation, the gateway, or nothing.
{% set node = salt['branch_pillar.node']() %}

include:
  - branch.pillar
{% if node.role == 'workstation' %}
  - branch.host
  - branch.dns
{% elif node.role == 'gateway' %}
  - branch.gateway
{% endif %}
{% if node.role %}
  - branch.confirmed

extend:
  branch-{{ node.role }}:
    bridge_nat:
      - require:
        - onepass: branch-pillar
  branch-confirmed:
    bridge_nat:
      - require:
        - bridge_nat: branch-{{ node.role }}
{% endif %}
