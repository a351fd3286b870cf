# The bundle's own modules on this minion, in a dry run too: without them nobody can look. The orchestration's preflight
# cannot bring them here: it stops at minions that do not answer, and among workstations some are always off.
branch-modules:
  saltutil.sync_modules:
    - refresh: True

branch-states:
  saltutil.sync_states:
    - refresh: True
