"""
From what is there of a clone to what is wanted: what the states of :py:mod:`libvirt_clone` compare, plan and execute.

.. versionadded:: 0.1.0

A domain's own metadata, and not its name, says whether it is a clone, of which template, and whether it is finished::

    salt-call --local -m . libvirt_plan.steps virtual1 debian12 '{start: true}' null

Requires what :py:mod:`libvirt_clone` requires, :py:func:`state` and :py:func:`steps` nothing.
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "libvirt_plan"


def __virtual__():
    return __virtualname__


def observe(name, template, options, dry=False):
    """
    What a state compares: the VM that has this name, and whether it could be cloned if it is not there.

    name, template
        The clone and its template.
    options
        Mapping of the other arguments of :py:func:`libvirt_clone.clone`, all of them.
    dry
        A template that is not sealed is taken for one that will be. Default ``False``.

    Returns:
        ``vm`` (what :py:func:`libvirt_host.domain` answers) and ``assumed``.

    Raises ``CommandExecutionError`` with what speaks against cloning it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_plan.observe

    .. versionadded:: 0.1.0
    """
    vm = __salt__["libvirt_host.domain"](name)
    kind, why = state(name, template, vm)
    if why:
        raise CommandExecutionError(why)
    if kind == "ready":
        _refuse_size(name, options, vm)
        return {"vm": vm, "assumed": None}
    if dry and options.get("generation") is None and __salt__["libvirt_template.sealable"](template)["next"]:
        return {"vm": vm, "assumed": f"if {template} is sealed by then"}
    __salt__["libvirt_make.prepare"](template, [name], options)
    return {"vm": vm, "assumed": None}


def _refuse_size(name, options, vm):
    """What libvirt would refuse of another size, before anything is changed."""
    other = {key: options[key] for key in ("memory", "vcpu") if options[key] not in (None, vm[key])}
    if other:
        text = __salt__["libvirt_host.xml"](name)
        resized = __salt__["libvirt_xml.resize"](text, **other)
        said = " and ".join(f"{key} {value}" for key, value in other.items())
        __salt__["libvirt_host.refuse"](resized, text, f"{name} with {said}")


def steps(name, template, wanted, vm):
    """
    The steps from what is there to what is wanted. Pure.

    name, template
        The clone and its template.
    wanted
        ``memory``, ``vcpu`` and ``autostart``, each a value or ``None`` (as it is), and ``start``.
    vm
        What :py:func:`libvirt_host.domain` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_plan.steps virtual1 debian12 '{start: true}' null

    .. versionadded:: 0.1.0
    """
    kind, _ = state(name, template, vm)
    what, clone_of = f"VM {name}", f"clone of {template}"
    planned = []
    if kind != "ready":
        old = None if kind == "absent" else "unfinished"
        planned.append({"do": "clone", "what": what, "old": old, "new": f"{clone_of}, off"})
    else:
        planned += [
            {"do": "change", "what": f"{key} of {what}", "old": vm[key], "new": wanted[key], "key": key}
            for key in ("memory", "vcpu", "autostart")
            if wanted.get(key) is not None and wanted[key] != vm[key]
        ]
    if wanted.get("start") and not (kind == "ready" and vm["active"]):
        planned.append({"do": "start", "what": what, "old": f"{clone_of}, off", "new": f"{clone_of}, running"})
    return planned


def act(name, template, options, timeout, step):
    """
    Execute one of :py:func:`steps`.

    name, template, options
        As for :py:func:`observe`.
    timeout
        Seconds for the boot that identity ``ssh`` needs.
    step
        The step.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_plan.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    if step["do"] == "clone":
        result = __salt__["libvirt_clone.make"](template, [name], options, timeout)[name]
        if not result["result"]:
            raise CommandExecutionError(result["comment"])
    elif step["do"] == "start":
        __salt__["libvirt_clone.power_on"](name)
    else:
        __salt__["libvirt_host.change"](name, step["key"], step["new"])


def missing(template, names):
    """
    Those of the names that have to be cloned: not there, or left unfinished.

    template
        The domain that they are clones of.
    names
        List of names.

    Raises ``CommandExecutionError`` when a name is taken by a domain that we did not make, or is another template's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_plan.missing debian12 '[virtual1, virtual2]'

    .. versionadded:: 0.1.0
    """
    found = {name: state(name, template, __salt__["libvirt_host.domain"](name)) for name in names}
    taken = [why for _, why in found.values() if why]
    if taken:
        raise CommandExecutionError("; ".join(taken))
    return [name for name, (kind, _) in found.items() if kind != "ready"]


def state(name, template, vm):
    """
    What a name stands for: ``absent``, ``unfinished`` or ``ready``, or why it cannot be a clone of this template.

    name, template
        The clone and its template.
    vm
        What :py:func:`libvirt_host.domain` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_plan.state virtual1 debian12 null

    .. versionadded:: 0.1.0
    """
    if vm is None:
        return "absent", None
    if not vm["ours"]:
        return "foreign", f"{name} is a domain that was not made here; it stays as it is: choose another name"
    if vm["ours"]["template"] != template:
        remedy = f"destroy it first: libvirt_clone.destroy {name}"
        return "foreign", f"{name} is a clone of {vm['ours']['template']}, not of {template}; {remedy}"
    return vm["ours"]["state"], None
