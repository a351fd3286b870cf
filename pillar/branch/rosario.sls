# The branch in Rosario. A minion is given this file by the end of its id (see top.sls): ws017.rosario is host ws017.
# Of a host only its number and its virtual machine are told; `salt-call branch_pillar.node` shows what follows from
# them, `salt-call branch_pillar.check` all that is wrong. The link-local range is the same in every branch.
branch:
  name: rosario
  cidr: 10.20.30.0/24
  gateway:
    host: gw # minion gw.rosario
    lan: eth0 # its device towards the branch; it has 169.254.0.1 there as well
    ip: 10.20.30.1
    public: 192.0.2.30 # its address towards headquarters: the hosts' own traffic leaves with it
  bridge: virbr0 # must not be libvirt's own NAT network of that name: virsh net-autostart --disable default
  uplink: eth0
  port: 22 # this port of a VM's address belongs to the host; all others to the VM
  confirm: # a change is taken back unless a new connection proves that the host is still reachable
    within: 120 # seconds
    reach: [] # ['192.0.2.10:22'] or so; without any it is the master
  hosts:
    ws017: { number: 17, vm: { name: win-017, ip: 10.20.30.17, mac: '52:54:00:bf:57:bb' } }
    ws018: { number: 18, vm: { name: win-018, ip: 10.20.30.18, mac: '52:54:00:bf:57:bc' } }
    ws019: { number: 19, vm: { name: win-019, ip: 10.20.30.19, mac: '52:54:00:bf:57:bd' } }
