# The redirects of the same host by Salt's own state, a rule each.
{% for vm in pillar['workstation']['vms'] %}
redirect-{{ vm.name }}:
  iptables.append:
    - table: nat
    - chain: PREROUTING
    - in-interface: virbr0
    - protocol: tcp
    - destination: {{ vm.ip }}
    - dport: 22
    - jump: REDIRECT
{% endfor %}
