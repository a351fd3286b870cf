# What this host's guests need: their network, libvirt and QEMU, sealed templates, and that those are gone which the pillar lists as such.
{% set quoted = salt['onepass.quoted'] %}
{% set here = salt['branch_guests.node']() %}

include:
  - branch.pillar
  - branch.dns

{% if here.guests or here.gone %}
{% set programs = {
    'Debian': ['libvirt-daemon-system', 'qemu-system-x86', 'qemu-utils', 'e2fsprogs', 'openssh-client'],
    'RedHat': ['libvirt-daemon-kvm', 'qemu-kvm', 'qemu-img', 'e2fsprogs', 'openssh-clients'],
} %}
branch-guests-packages:
  pkg.installed:
    - pkgs: {{ quoted(programs.get(grains['os_family'], programs['Debian'])) }}

branch-guests-libvirtd:
  service.running:
    - name: libvirtd
    - enable: True
    - require:
      - pkg: branch-guests-packages
{% endif %}

{% for name in here.gone %}
{{ quoted('branch-guest-' ~ name) }}:
  libvirt_clone.absent:
    - name: {{ quoted(name) }}
    - require:
      - service: branch-guests-libvirtd
{% endfor %}

{% for name in here.templates %}
{{ quoted('branch-template-' ~ name) }}:
  libvirt_clone.template_sealed:
    - name: {{ quoted(name) }}
    - require:
      - service: branch-guests-libvirtd
{% endfor %}
