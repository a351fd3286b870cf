# This host's guests are there, run, and can be reached.
{% set quoted = salt['onepass.quoted'] %}
{% set dns = salt['dnsmasq_fwd.settings']() %}

include:
  - branch.guests.host

{% for guest in salt['branch_guests.node']().guests %}
{{ quoted('branch-guest-' ~ guest.name) }}:
  libvirt_clone.running:
    - name: {{ quoted(guest.name) }}
{%- for key, value in (guest.clone | dictsort) + (guest.wait | dictsort) %}
    - {{ key }}: {{ quoted(value) }}
{%- endfor %}
    - require:
      - libvirt_clone: {{ quoted('branch-template-' ~ guest.clone.template) }}
{%- if dns %}
      - dnsmasq_fwd: branch-dns-network
{%- endif %}
{% endfor %}
