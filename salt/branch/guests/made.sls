# This host's guests are cloned and have their identity; none is started for that. Then the master accepts their keys.
{% set dns = salt['dnsmasq_fwd.settings']() %}

include:
  - branch.guests.host

{% for guest in salt['branch_guests.node']().guests %}
branch-guest-{{ guest.name }}-made:
  libvirt_clone.present:
    - name: {{ guest.name | tojson }}
{%- for key, value in guest.clone.items() %}
    - {{ key }}: {{ value | tojson }}
{%- endfor %}
    - require:
      - libvirt_clone: branch-template-{{ guest.clone.template }}
{%- if dns %}
      - dnsmasq_fwd: branch-dns-network
{%- endif %}
{% endfor %}
