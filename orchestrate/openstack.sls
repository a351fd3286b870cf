# One VLAN per project, in one run:  salt-run state.orchestrate orchestrate.openstack
# The table stands in the pillar; its `minion` talks to the cloud's API, or, when it names none, the master does.
{% set quoted = salt['onepass.quoted'] %}
{% set minion = salt['neutron_rules.places']().keys() | list %}

openstack-preflight:
  onepass.checked:
    - areas: [openstack]
    - sync: True
    - parallel: True

{% if minion %}
openstack-vlans:
  salt.state:
    - tgt: {{ quoted(minion) }}
    - tgt_type: list
    - sls: openstack
    - queue: True
    - parallel: True
    - require:
      - onepass: openstack-preflight
{% else %}
openstack-vlans:
  neutron_vlan.table:
    - parallel: True
    - require:
      - onepass: openstack-preflight
{% endif %}
