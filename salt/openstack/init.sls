# The cloud's tenants and their VLANs, from the host that talks to its API.
include:
  - openstack.pillar
  - openstack.vlans
