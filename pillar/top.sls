# Who is given what. Secrets go by minion id, never by grains: a minion says of itself what its grains are.
# hq_master is the master's own pillar, which orchestrations see: <the master's host name>_master.
base:
  '*.dc':
    - mongodb
    - secrets.mongodb
  hq_master:
    - mongodb
    - secrets.mongodb
    - secrets.mongodb_users
    - openstack
  'r*.dc':
    - secrets.mongodb_users
  # What differs on this site, last, so that it wins. May be missing.
  '*':
    - ignore_missing: true
    - local
