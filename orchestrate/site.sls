# The whole site in one run:  salt-run onepass.run, or  salt-run state.orchestrate orchestrate.site
# The areas that the pillar has, side by side (one after another on Salt 3006, which waits for a step before it looks at
# the next). Nothing ties one area to another: where one fails, the others go on.
{% for area in ('mongodb', 'openstack', 'branches') if pillar.get(area) is not none %}
{% if loop.first %}
include:
{% endif %}
  - orchestrate.{{ area }}
{% endfor %}
