# One VLAN per project, in one run:  salt-run state.orchestrate orchestrate.openstack
# The table stands in the pillar; its `minion` talks to the cloud's API, or, when it names none, the master does.
{% set minion = salt['neutron_rules.places']().keys() | list %}

openstack-preflight:
  onepass.checked:
    - areas: [openstack]
    - failhard: True

{% if minion %}
# For real in a dry run too: a minion without the bundle's modules cannot say what it would do.
openstack-modules:
  salt.state:
    - tgt: {{ minion | tojson }}
    - tgt_type: list
    - sls: onepass.modules
    - queue: True
    - test: False
    - require:
      - onepass: openstack-preflight

openstack-vlans:
  salt.state:
    - tgt: {{ minion | tojson }}
    - tgt_type: list
    - sls: openstack
    - queue: True
    - require:
      - salt: openstack-modules
{% else %}
openstack-vlans:
  neutron_vlan.table:
    - require:
      - onepass: openstack-preflight
{% endif %}
