# The branch in Mendoza: one desktop, whose VM is cloned like those in Cordoba.
branch:
  name: mendoza
  cidr: 10.20.33.0/24
  gateway: { host: gw, lan: eth0, ip: 10.20.33.1, public: 192.0.2.33 }
  guests: { template: desktop, minion: { master: hq } }
  hosts:
    ws001: { number: 1, vm: { name: win-001, ip: 10.20.33.11, mac: '52:54:00:33:00:01' } }
