# Branches in rings, the canary first:  salt-run state.orchestrate orchestrate.branches
# A ring is begun when no more hosts of the one before failed than the pillar allows. What is done has nothing to do.
# Guests come last: they are made, the master accepts the keys of those that are minions, and then they boot.
{% set quoted = salt['onepass.quoted'] %}
{% set rings = salt['branch_fleet.rings']() %}
{% set last = namespace(step='onepass: branches-preflight') %}

branches-preflight:
  onepass.checked:
    - areas: [branches]
    - parallel: True

{% for ring in rings %}
{{ quoted('branches-' ~ ring.name ~ '-modules') }}:
  onepass.modules:
    - minions: {{ quoted(ring.gateways + ring.workstations) }}
    - failures: {{ ring.failures }}
    - parallel: True
    - require:
      - {{ last.step }}
{% set last.step = 'onepass: branches-' ~ ring.name ~ '-modules' %}

{% set phases = [
  ('gateways', ring.gateways, ['branch.gateway'], 0),
  ('gateways-confirmed', ring.gateways, ['branch.confirmed'], 0),
  ('hosts', ring.workstations, ['branch.host'], ring.failures),
  ('hosts-confirmed', ring.workstations, ['branch.confirmed'], ring.failures),
  ('guests-made', ring.guests if ring['keys'] else [], ['branch.guests.made'], ring.failures),
  ('guests', ring.guests, ['branch.guests'], ring.failures),
] %}
{% for phase, targets, sls, failures in phases if targets %}
branches-{{ ring.name }}-{{ phase }}:
  salt.state:
    - tgt: {{ quoted(targets) }}
    - tgt_type: list
    - sls: {{ quoted(sls) }}
    - queue: True
    - parallel: True
    - allow_fail: {{ failures }}
    - require:
      - {{ last.step }}
{% set last.step = 'salt: branches-' ~ ring.name ~ '-' ~ phase %}
{% if phase == 'guests-made' %}
{{ quoted('branches-' ~ ring.name ~ '-guests-keys') }}:
  onepass.guest_keys:
    - keys: {{ quoted(ring['keys']) }}
    - failures: {{ ring.failures }}
    - parallel: True
    - require:
      - {{ last.step }}
{% set last.step = 'onepass: branches-' ~ ring.name ~ '-guests-keys' %}
{% endif %}
{% endfor %}
{% endfor %}
