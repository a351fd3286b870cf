# Roles come from the pillar; a minion without the area's pillar gets nothing of it.
base:
  'mongodb:replsets':
    - match: pillar
    - mongodb
  'branch:hosts':
    - match: pillar
    - branch
  'openstack:projects':
    - match: pillar
    - openstack
