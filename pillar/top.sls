# Who is given what. Secrets go by minion id, never by grains: a minion says of itself what its grains are.
# hq_master is the master's own pillar, which orchestrations see; its id, from: salt-run config.get id
base:
  '*.dc':
    - mongodb
    - secrets.mongodb
  hq_master:
    - mongodb
    - secrets.mongodb
    - secrets.mongodb_users
    - openstack
    - branches
  'r*.dc':
    - secrets.mongodb_users
  # A branch's own file and no other's, by the end of the id: ws017.rosario is given branch/rosario.sls.
  '?*.{{ opts.id.partition('.')[2] or '-' }}':
    - ignore_missing: true
    - branch.{{ opts.id.partition('.')[2] or '-' }}
  # What differs on this site, last, so that it wins. May be missing.
  '*':
    - ignore_missing: true
    - local
