# The bank's tenants: one project, one VLAN, one subnet. To the master alone, or to the minion that talks to the API.
# No secret is in here: the login stands in clouds.yaml and secure.yaml on that host. `salt-run onepass.check` tells what is
# wrong, all at once; so does, in a CI without any cloud, `salt-call --local -m . neutron_vlan.lint path=pillar/openstack.sls`.
# Every key is described in the schema: `salt-call --local -m . neutron_schema.schema`.
openstack:
  cloud: bank # the name in clouds.yaml
  clouds_yaml: /etc/openstack/clouds.yaml
  # minion: api.dc                        # who talks to the API; without it the master itself

  # For all projects, unless a project says otherwise
  physical_network: physnet1 # what carries the VLANs
  dns_nameservers: [10.12.0.53, 9.9.9.9] # asked in this order
  on_drift: refuse # or move: a VLAN id that differs is changed in place
  adopt: false # or true: take over what has the VLAN already

  reserved: [1, '4000-4094'] # never for a project; 1 is refused anyway
  overlap: deny # or warn of, or allow: CIDRs that overlap
  create_projects: true # or false: a project has to be there already
  rollback: false # or true: a run that fails removes what it has made

  projects:
    tellers:
      vlan: 12
      cidr: 10.12.0.0/24
      router: {external: internet} # its interface is the gateway
    vault: {vlan: 13, cidr: 10.13.0.0/24, gateway: null, share_with: [tellers]}
    cashpoints:
      vlan: 14
      cidr: 10.14.0.0/22
      gateway: 10.14.0.254
      pools: [10.14.1.0-10.14.3.254]
      quota: {ports: 2000}
