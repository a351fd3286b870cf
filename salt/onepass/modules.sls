# The bundle's own modules on this minion. An orchestration runs this also in a dry run: without them nobody can look.
onepass-modules:
  saltutil.sync_modules:
    - refresh: True

onepass-states:
  saltutil.sync_states:
    - refresh: True
