# The branch in Cordoba. Its desktops clone their VMs from a template that is on each of them, and ws001 has two guests more.
# `salt-call branch_guests.node` shows what follows for a host.
branch:
  name: cordoba
  cidr: 10.20.32.0/24
  gateway: { host: gw, lan: eth0, ip: 10.20.32.1, public: 192.0.2.32 }
  guests: # what VMs are cloned from; a VM with `clone: false` is not, `clone: {...}` says where one differs
    template: desktop # a libvirt domain, shut down
    minion: { master: hq } # a guest is a minion, win-001.cordoba; its key is accepted before it boots
  dns: # the network in which further guests of a host have names; the VMs themselves are on the branch's bridge
    name: guests
    domain: guests.example
    address: 192.168.150.1/24
    dhcp: { start: 192.168.150.100, end: 192.168.150.199 }
    options: [no-ping] # an address at once, without looking first whether somebody has it
  hosts:
    ws001:
      number: 1
      vm: { name: win-001, ip: 10.20.32.11, mac: '52:54:00:32:00:01' }
      guests: { till-1: { memory: 128 }, till-2: {} }
    ws002:
      number: 2
      vm: { name: win-002, ip: 10.20.32.12, mac: '52:54:00:32:00:02' }
      gone: [] # guests that are to be destroyed
