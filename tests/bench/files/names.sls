# A network with names, by the backend that the pillar says.
lab:
  dnsmasq_fwd.{{ pillar['backend'] }}:
{%- for argument, value in pillar['network'].items() %}
    - {{ argument }}: {{ value | tojson }}
{%- endfor %}
