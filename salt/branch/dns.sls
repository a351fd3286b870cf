# The network of this host's guests: their names, addresses and forwarders, and how the host itself looks them up.
# A change that needs a restart of the network is refused while guests are on it: dnsmasq_fwd.apply restart=True.
{% set quoted = salt['onepass.quoted'] %}
{% set dns = salt['dnsmasq_fwd.settings']() %}

{% if dns is not none %}
# A network with a fault stops the run on this host here, before anything is touched.
branch-dns-pillar:
  onepass.pillar_valid:
    - name: branch:dns
    - failhard: True
{% endif %}

{% if dns %}
{% set programs = {
    'Debian': {'network': ['libvirt-daemon-system', 'dnsmasq-base'], 'bridge': ['dnsmasq-base', 'nftables', 'procps']},
    'RedHat': {'network': ['libvirt-daemon-driver-network', 'dnsmasq'], 'bridge': ['dnsmasq', 'nftables', 'procps-ng']},
} %}
branch-dns-packages:
  pkg.installed:
    - pkgs: {{ quoted(programs.get(grains['os_family'], programs['Debian'])[dns.backend]) }}

{% if dns.backend == 'network' %}
branch-dns-libvirtd:
  service.running:
    - name: libvirtd
    - enable: True
    - require:
      - pkg: branch-dns-packages
    - require_in:
      - dnsmasq_fwd: branch-dns-network
{% endif %}

branch-dns-network:
  dnsmasq_fwd.{{ dns.backend }}:
{% for key, value in dns.items() if key not in ('backend', 'resolver') %}
    - {{ key }}: {{ quoted(value) }}
{% endfor %}
    - require:
      - pkg: branch-dns-packages

{% if dns.resolver %}
branch-dns-resolver:
  dnsmasq_fwd.resolver:
    - name: {{ quoted(dns.name) }}
    - domain: {{ quoted(dns.domain) }}
    - address: {{ quoted(dns.address) }}
    - way: {{ quoted(dns.resolver) }}
    - require:
      - dnsmasq_fwd: branch-dns-network
{% endif %}
{% endif %}
