# A laptop on which templates are cloned by name: tests/lab/demo-clone applies this. The forwarder is a dnsmasq of the demo's.
lab-network:
  dnsmasq_fwd.network:
    - name: lab
    - domain: lab.example
    - address: 192.168.150.1/24
    - dhcp: {start: 192.168.150.100, end: 192.168.150.199}
    - forwarders: [{address: 127.0.0.1, port: 5353}]
    - options: [no-ping]

lab-names:
  dnsmasq_fwd.resolver:
    - name: lab
    - domain: lab.example
    - address: 192.168.150.1/24
    - way: resolv.conf
    - require:
      - dnsmasq_fwd: lab-network

desktop:
  libvirt_clone.template_sealed

{% for number in range(1, 6) %}
virtual{{ number }}:
  libvirt_clone.running:
    - template: desktop
    - network: lab
    - require:
      - libvirt_clone: desktop
      - dnsmasq_fwd: lab-network
{% endfor %}
