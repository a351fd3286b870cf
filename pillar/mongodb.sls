# The bank's sharded cluster. No secret is in here: auth:keyfile, auth:admin:password and users:*:password come from
# secrets/mongodb.sls and secrets/mongodb_users.sls in a second pillar root of the master. `salt-run onepass.check`
# tells what is missing or wrong, all at once and with its path; every key is described in the schema:
# `salt-call --local -m . mongo_schema.schema`.
mongodb:
  version: '8.0' # MongoDB's series; in quotes, or YAML makes a number of it
  install: {method: package} # package (MongoDB's repository), archive (with source and source_hash), or present
  port: 27017 # members and routers listen here
  cache_gib: 1.0 # WiredTiger's cache; MongoDB takes half of the memory without it

  # A member is a host (its minion id), host:port, or a mapping with host and any of port, priority, votes, hidden,
  # arbiterOnly, tags, secondaryDelaySecs, buildIndexes. A set is born on its first member.
  replsets:
    cfg:
      role: config
      members: [cfg1.dc, cfg2.dc, cfg3.dc]
    s1:
      role: shard
      members:
        - s1a.dc
        - s1b.dc
        - {host: s1c.dc, priority: 0.5} # primary only when the others cannot be
    s2:
      role: shard
      members:
        - s2a.dc
        - s2b.dc
        - {host: s2c.dc, priority: 0.5}
  routers: [r1.dc, r2.dc] # the cluster is set up through the first one

  auth:
    admin: {username: admin}
  connection: {credentials: 'mongodb:auth:admin'} # who `salt-call mongo_shard.*` logs in as
  default_rw_concern: {write: majority, read: local}

  users:
    teller: {database: bank, roles: [readWrite]}

  databases:
    bank:
      collections:
        transfers:
          shard_key: {account: hashed} # 1 or hashed; never changed afterwards
          indexes:
            - keys: {account: 1, when: -1}
            - keys: {reference: 1}
          arrays: [] # fields that hold arrays: no index can have two of them
