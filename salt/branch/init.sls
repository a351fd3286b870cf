# What this minion is in its branch follows from the pillar: a workstation, the gateway, or nothing. Its change is
# confirmed before the guests, whose packages may take longer than its timer.
{% set quoted = salt['onepass.quoted'] %}
{% set node = salt['branch_pillar.node']() %}

include:
  - branch.pillar
{% if node.role == 'workstation' %}
  - branch.host
  - branch.confirmed
  - branch.guests

{% set guests = salt['branch_guests.node']().guests %}
{% if guests %}
extend:
{%- for guest in guests %}
  {{ quoted('branch-guest-' ~ guest.name) }}:
    libvirt_clone:
      - require:
        - bridge_nat: branch-confirmed
{%- endfor %}
{% endif %}
{% elif node.role == 'gateway' %}
  - branch.gateway
  - branch.confirmed
{% endif %}
