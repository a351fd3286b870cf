# One host with as many virtual machines as the pillar says.
virbr0:
  bridge_nat.workstation:
{%- for argument, value in pillar['workstation'].items() %}
    - {{ argument }}: {{ value | tojson }}
{%- endfor %}
