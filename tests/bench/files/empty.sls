# What Salt itself costs.
nothing:
  test.nop
