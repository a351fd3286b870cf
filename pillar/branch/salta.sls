# The branch in Salta, with the same link-local range as all others.
branch:
  name: salta
  cidr: 10.20.31.0/24
  gateway: { host: gw, lan: eth0, ip: 10.20.31.1, public: 192.0.2.31 }
  hosts:
    ws001: { number: 1, vm: { name: win-001, ip: 10.20.31.11, mac: '52:54:00:31:00:01' } }
    ws002: { number: 2, vm: { name: win-002, ip: 10.20.31.12, mac: '52:54:00:31:00:02' } }
