# This host's guests are there, run, and can be reached.
{% set dns = salt['dnsmasq_fwd.settings']() %}

include:
  - branch.guests.host

{% for guest in salt['branch_guests.node']().guests %}
branch-guest-{{ guest.name }}:
  libvirt_clone.running:
    - name: {{ guest.name | tojson }}
{%- for key, value in (guest.clone | dictsort) + (guest.wait | dictsort) %}
    - {{ key }}: {{ value | tojson }}
{%- endfor %}
    - require:
      - libvirt_clone: branch-template-{{ guest.clone.template }}
{%- if dns %}
      - dnsmasq_fwd: branch-dns-network
{%- endif %}
{% endfor %}
