# Branches in rings, the canary first:  salt-run state.orchestrate orchestrate.branches
# A ring is begun when no more hosts of the one before failed than the pillar allows. What is done has nothing to do.
{% set rings = salt['branch_fleet.rings']() %}

branches-preflight:
  onepass.checked:
    - areas: [branches]
    - parallel: True

{% for ring in rings %}
{% set phases = [
  ('modules', ring.gateways + ring.workstations, ['branch.modules'], ring.failures),
  ('gateways', ring.gateways, ['branch.gateway'], 0),
  ('gateways-confirmed', ring.gateways, ['branch.confirmed'], 0),
  ('hosts', ring.workstations, ['branch.host'], ring.failures),
  ('hosts-confirmed', ring.workstations, ['branch.confirmed'], ring.failures),
] %}
{% set last = 'onepass: branches-preflight' if loop.first else 'salt: branches-' ~ rings[loop.index0 - 1].name ~ '-hosts-confirmed' %}
{% for phase, targets, sls, failures in phases %}
branches-{{ ring.name }}-{{ phase }}:
  salt.state:
    - tgt: {{ targets | tojson }}
    - tgt_type: list
    - sls: {{ sls | tojson }}
    - queue: True
    - parallel: True
    - allow_fail: {{ failures }}
{%- if phase == 'modules' %}
    - test: False
{%- endif %}
    - require:
      - {{ last if loop.first else 'salt: branches-' ~ ring.name ~ '-' ~ phases[loop.index0 - 1][0] }}
{% endfor %}
{% endfor %}
