# What this minion is in its branch follows from the pillar: a workstation, the gateway, or nothing.
{% set node = salt['branch_pillar.node']() %}

include:
  - branch.pillar
{% if node.role == 'workstation' %}
  - branch.host
  - branch.guests
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
{%- if node.role == 'workstation' %}
{%- for guest in salt['branch_guests.node']().guests %}
  branch-guest-{{ guest.name }}:
    libvirt_clone:
      - require:
        - bridge_nat: branch-confirmed
{%- endfor %}
{%- endif %}
{% endif %}
