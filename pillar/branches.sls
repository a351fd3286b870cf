# The order in which branches are changed, for the master: `salt-run state.orchestrate orchestrate.branches`.
branches:
  rings: # the first one is the canary; a ring is begun when the one before it is done
    - [rosario]
    - [salta]
  failures: 0 # hosts of a ring that may fail before no further ring is begun; none in the canary
