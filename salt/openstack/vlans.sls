# All projects of the table at once: all of them, or none.
openstack-vlans:
  neutron_vlan.table
