openstack-vlans:
  neutron_vlan.table
