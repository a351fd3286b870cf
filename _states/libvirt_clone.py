"""
States for virtual machines that are clones of a sealed template; for the functions see the execution module.

.. versionadded:: 0.1.0

Each state reads what is there, plans, acts, and reads again; ``test=True`` shows the plan that a real run executes. A
domain that was not made here is never touched; a state that meets one under its name fails.
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "libvirt_clone"


def __virtual__():
    if "libvirt_clone.clone" not in __salt__:
        return False, (
            "The libvirt_clone states need libvirt-python in Salt's Python: salt-pip install libvirt-python "
            "(on Debian after apt-get install libvirt-dev pkg-config gcc), and qemu-utils"
        )
    return __virtualname__


def template_sealed(name):
    """
    The template's disks as they are now are an immutable generation, of which clones are made.

    A template that was changed since becomes a new generation; older clones keep theirs. One that runs, or was not shut
    down cleanly, is refused, unless nothing was written since it was sealed. What its files pin that every clone would
    have as well (a static address) is named in the changes.

    name
        The template's domain.

    .. code-block:: yaml

        debian12:
          libvirt_clone.template_sealed

        branch-template:
          libvirt_clone.template_sealed:
            - name: debian12
            - require_in:
              - libvirt_clone: virtual1

    .. versionadded:: 0.1.0
    """
    refused = _refused(name, f"template {name}", {"template": name})
    if refused:
        return refused

    def plan(found):
        old, new = found["generation"], found["next"]
        step = {"do": "seal", "what": f"template {name}", "old": f"generation {old}" if old else None}
        return [{**step, "new": "; ".join([f"generation {new}", *found["pinned"]])}] if new else []

    return __salt__["onepass.converge"](
        name,
        lambda: __salt__["libvirt_template.sealable"](name),
        plan,
        lambda step: __salt__["libvirt_template.seal"](name),
        lambda found: f"{name} is sealed as generation {found['generation']}",
        __opts__["test"],
    )


def present(
    name,
    template,
    linked=True,
    pool=None,
    memory=None,
    vcpu=None,
    generation=None,
    identity="auto",
    domain=None,
    network=None,
    bridge=None,
    mac=None,
    minion=None,
    autostart=None,
):
    """
    The VM exists as a clone of the template, with its own identity.

    Compared, and changed in place from its next start on, are ``memory``, ``vcpu`` and ``autostart`` where they are
    given. A clone keeps its network, and the generation of the template that it was made of. An unfinished one is made
    again; a clone of another template is refused.

    name
        The VM: a hostname.
    template
        The domain to clone, sealed.
    linked, pool, memory, vcpu, generation, identity, domain, network, bridge, mac, minion, autostart
        As for :py:func:`libvirt_clone.clone`. Default: as there; ``None`` leaves an existing clone as it is.

    .. code-block:: yaml

        virtual1:
          libvirt_clone.present:
            - template: debian12

        branch-vm-virtual1:
          libvirt_clone.present:
            - name: virtual1
            - template: debian12
            - memory: 2048
            - require:
              - libvirt_clone: debian12

    .. versionadded:: 0.1.0
    """
    options = dict(locals())
    return _converge(options.pop("name"), options.pop("template"), options)


def running(
    name,
    template,
    until="name",
    timeout=300,
    linked=True,
    pool=None,
    memory=None,
    vcpu=None,
    generation=None,
    identity="auto",
    domain=None,
    network=None,
    bridge=None,
    mac=None,
    minion=None,
    autostart=None,
):
    """
    The VM exists as a clone of the template, runs, and is reachable. Waits for that, just started or not.

    name, template, linked, pool, memory, vcpu, generation, identity, domain, network, bridge, mac, minion, autostart
        As for :py:func:`present`.
    until
        ``started``, ``address``, ``name`` (DNS answers with its address) or ``ssh`` (its sshd shows its own key).
        Default ``name``.
    timeout
        Seconds. Default 300.

    .. code-block:: yaml

        virtual1:
          libvirt_clone.running:
            - template: debian12

        branch-vm-virtual1:
          libvirt_clone.running:
            - name: virtual1
            - template: debian12
            - until: ssh
            - autostart: True
            - require:
              - libvirt_clone: debian12

    .. versionadded:: 0.1.0
    """
    options = dict(locals())
    running = {"start": True, "until": options.pop("until") or "name", "timeout": options.pop("timeout")}
    return _converge(options.pop("name"), options.pop("template"), options, running)


def absent(name):
    """
    Nothing is left of the clone: power, lease and name in DNS, known_hosts line, files, domain.

    name
        The VM.

    .. code-block:: yaml

        virtual2:
          libvirt_clone.absent

        branch-vm-gone:
          libvirt_clone.absent:
            - name: virtual2
            - require:
              - libvirt_clone: virtual1

    .. versionadded:: 0.1.0
    """
    refused = _refused(name, f"VM {name}", {"names": [name]})
    if refused:
        return refused

    def read():
        found = __salt__["libvirt_host.domain"](name)
        return found and __salt__["libvirt_make.own"](name)

    def plan(found):
        old = f"clone of {found['ours']['template']}" if found else None
        return [{"do": "destroy", "what": f"VM {name}", "old": old, "new": None}] if found else []

    return __salt__["onepass.converge"](
        name,
        read,
        plan,
        lambda step: __salt__["libvirt_clone.destroy"](name),
        lambda _: f"There is no VM {name}",
        __opts__["test"],
    )


def _refused(name, what, arguments):
    found = __salt__["libvirt_identity.faults"](arguments)
    return __salt__["onepass.refuse"](name, what, found) if found else None


def _converge(name, template, options, running=None):
    refused = _refused(name, f"VM {name}", {"names": [name], "template": template, **options, **(running or {})})
    if refused:
        return refused
    wanted = {**options, **(running or {})}
    timeout = wanted.get("timeout", 300)
    ret = __salt__["onepass.converge"](
        name,
        lambda: __salt__["libvirt_plan.observe"](name, template, options, __opts__["test"]),
        lambda observed: __salt__["libvirt_plan.steps"](name, template, wanted, observed["vm"]),
        lambda step: __salt__["libvirt_plan.act"](name, template, options, timeout, step),
        lambda observed: f"{name} is a clone of {template}, {'running' if observed['vm']['active'] else 'off'}",
        __opts__["test"],
    )
    return _reached(ret, running) if running and ret["result"] and not __opts__["test"] else ret


def _reached(ret, running):
    """The state's return, when the VM can be reached as asked."""
    try:
        __salt__["libvirt_clone.wait"](ret["name"], until=running["until"], timeout=running["timeout"])
    except CommandExecutionError as err:
        return dict(ret, result=False, comment=f"{ret['comment']}. {err}")
    return ret
