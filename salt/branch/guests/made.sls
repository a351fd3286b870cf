# This host's guests are cloned and have their identity; none is started for that. Then the master accepts their keys.
{% set quoted = salt['onepass.quoted'] %}
{% set dns = salt['dnsmasq_fwd.settings']() %}

include:
  - branch.guests.host

{% for guest in salt['branch_guests.node']().guests %}
{{ quoted('branch-guest-' ~ guest.name ~ '-made') }}:
  libvirt_clone.present:
    - name: {{ quoted(guest.name) }}
{%- for key, value in guest.clone.items() %}
    - {{ key }}: {{ quoted(value) }}
{%- endfor %}
    - require:
      - libvirt_clone: {{ quoted('branch-template-' ~ guest.clone.template) }}
{%- if dns %}
      - dnsmasq_fwd: branch-dns-network
{%- endif %}
{% endfor %}
