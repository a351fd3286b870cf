"""
States that check before anything is done: a minion's pillar, and the whole site from the master.

.. versionadded:: 0.1.0
"""

import os

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "onepass"

# An area of the pillar, and the function that checks it on the minion that is given it.
PILLARS = {
    "branch": "branch_pillar.check",
    "branch:dns": "dnsmasq_fwd.refuse",
    "mongodb": "mongo_pillar.check",
    "openstack": "neutron_vlan.lint",
}
PLACES = {"branch": "branch_pillar.places", "mongodb": "mongo_pillar.places", "openstack": "neutron_rules.places"}
ALL_THE_SAME = "\n  to run beside it, on purpose: pillar='{onepass: {beside: True}}'"


def __virtual__():
    return __virtualname__


def pillar_valid(name):
    """
    This minion's pillar of one area is fit to be applied; else all its faults are named and nothing is touched.

    Never changes anything. A minion whose id the pillar has in other capitals is refused, as it would be nobody there.

    name
        The area, the pillar's key: ``mongodb``, ``openstack``, ``branch``, or of the last the network, ``branch:dns``.

    .. code-block:: yaml

        mongodb:
          onepass.pillar_valid

        mongodb-pillar:
          onepass.pillar_valid:
            - name: mongodb
            - failhard: True

    .. versionadded:: 0.1.0
    """
    ret = {"name": name, "result": False, "changes": {}, "comment": ""}
    check = PILLARS.get(name)
    if not check:
        return dict(ret, comment=f"pillar_valid: {name!r} is no area; {', '.join(PILLARS)} is")
    try:
        __salt__[check]()
        if name in PLACES:
            _refuse_twin(name)
    except (CommandExecutionError, SaltInvocationError) as err:
        return dict(ret, comment=str(err))
    return dict(ret, result=True, comment=f"The {name} pillar has no fault")


def checked(name, areas=None, sync=False):
    """
    The site's pillar has no fault, its hosts have accepted keys and answer; else the run stops, naming all faults.

    Branches' hosts are not asked: some are always off; their rings bring modules.

    The runner :py:func:`onepass.check` as a state, for orchestrations. It looks in a dry run too, and brings there too
    the modules that are asked for, without which no minion could say what it would do. A run of the same area that
    began before, and goes on, stops this one, but for a dry run, or where the pillar says ``onepass: {beside: True}``.

    name
        Any text.
    areas
        Parts of the pillar to check, for example ``[mongodb]``. Default: all that are there.
    sync
        Bring the master's modules and states to the minions that have others, and have all of them read their pillar
        anew. Default ``False``: name them.

    .. code-block:: yaml

        preflight:
          onepass.checked

        mongodb-preflight:
          onepass.checked:
            - areas: [mongodb]
            - sync: True
            - failhard: True

    .. versionadded:: 0.1.0
    """
    ret = {"name": name, "result": False, "changes": {}, "comment": ""}
    try:
        _enter(areas)
        said = _asked(name, "onepass.check", areas=areas, sync=sync)
    except CommandExecutionError as err:
        return dict(ret, comment=str(err))
    modules = said["modules"]
    brought = modules.get("brought to", []) if isinstance(modules, dict) else []
    changes = {f"modules of {minion}": {"old": "others", "new": "the master's"} for minion in brought}
    return dict(ret, result=True, changes=changes, comment="\n".join(f"{what}: {line}" for what, line in said.items()))


def modules(name, minions, failures=0):
    """
    Minions have the modules and states that the master serves, and their pillar anew, before states are applied.

    The runner :py:func:`onepass_hosts.bring` as a state, for orchestrations; it answers as ``salt.state`` does, so that
    silent minions are seen as those of any step are. In a dry run too, as without them no minion could look.

    name
        Any text.
    minions
        Ids.
    failures
        How many may be silent, or not take them, before the step has failed. Default 0.

    .. code-block:: yaml

        salta:
          onepass.modules:
            - minions: [gw.salta, ws001.salta]

        branches-ring-1-modules:
          onepass.modules:
            - minions: [gw.salta, ws001.salta, ws002.salta]
            - failures: 1
            - require:
              - onepass: branches-preflight

    .. versionadded:: 0.1.0
    """
    ret = {"name": name, "result": False, "changes": {}, "comment": ""}
    try:
        said = _asked(name, "onepass_hosts.bring", minions=minions)
    except CommandExecutionError as err:
        return dict(ret, comment=str(err))
    missed = {**dict.fromkeys(said["silent"], False), **said["failed"]}
    new = {
        "__id__": name,
        "result": True,
        "comment": "",
        "changes": {"modules": {"old": "others", "new": "the master's"}},
    }
    answers = {**missed, **{minion: {f"onepass_|-{name}_|-{name}_|-modules": new} for minion in said["brought"]}}
    changes = {"out": "highstate", "ret": answers} if answers else {}
    comment = f"Run failed on minions: {', '.join(sorted(missed))}" if missed else "All have the master's modules"
    return dict(ret, result=len(missed) <= failures, changes=changes, comment=comment)


def guest_keys(name, keys, failures=0):
    """
    The master has accepted the keys of guests that are minions, before these boot, and none of guests that are gone.

    The runner :py:func:`onepass.guest_keys` as a state, for orchestrations. A host that does not answer is named, and
    is no failure: its own step was one. One whose answer is none is a failure, and so is a key that must stay as it is;
    each is named, and costs no other.

    name
        Any text.
    keys
        What :py:func:`branch_guests.keys` answers.
    failures
        How many hosts and guests may be left out so before the step has failed. Default 0.

    .. code-block:: yaml

        cordoba:
          onepass.guest_keys:
            - keys: {win-001.cordoba: {host: ws001.cordoba, name: win-001, wanted: True}}

        cordoba-keys:
          onepass.guest_keys:
            - keys: {win-001.cordoba: {host: ws001.cordoba, name: win-001, wanted: True}}
            - failures: 1
            - require:
              - salt: branches-canary-guests-made

    .. versionadded:: 0.1.0
    """
    ret = {"name": name, "result": False, "changes": {}, "comment": ""}
    try:
        said = _asked(name, "onepass.guest_keys", keys=keys, test=__opts__["test"])
    except CommandExecutionError as err:
        return dict(ret, comment=str(err))
    left = [f"not asked, as they are silent: {', '.join(said['silent'])}"] if said["silent"] else []
    left += [*(f"{host}: {why}" for host, why in said["failed"].items()), *said["refused"].values()]
    good = len(said["failed"]) + len(said["refused"]) <= failures
    if not said["steps"]:
        return dict(ret, result=good, comment="\n".join(["No key is to be accepted or withdrawn", *left]))
    changes = __salt__["onepass.changes"](said["steps"])
    verb = "would be accepted or withdrawn" if __opts__["test"] else "accepted or withdrawn"
    result = (None if __opts__["test"] else True) if good else False
    return dict(ret, result=result, changes=changes, comment="\n".join([f"{len(changes)} {verb}", *left]))


def _refuse_twin(area):
    """Nothing would be done on this minion, and nothing would say so."""
    here, named = __grains__["id"], __salt__[PLACES[area]]()
    twin = next((each for each in named if each.lower() == here.lower()), here)
    if twin != here and here not in named:
        raise CommandExecutionError(
            f"{named[twin]} names {twin}, and this minion's id is {here}: the capitals of an id count; write it so "
            "there, or give the minion that id (its file minion_id; accept the new key, delete the old one)"
        )


def _enter(areas):
    """Two runs of an area at once are one too many: the one that began later ends here."""
    if family := globals().get("__orchestration_jid__"):
        said = __pillar__.get("onepass")
        beside = bool(isinstance(said, dict) and said.get("beside"))
        _answer("onepass_begin.enter", job=_job(family), areas=areas, beside=beside, hint=ALL_THE_SAME)


def _job(jid):
    """The orchestration that this step is of; it has no name here, but the SLS files of its steps ``checked``."""
    low, chunks, user = (globals()[f"__{each}__"] for each in ("low", "lowstate", "user"))
    steps = [each for each in chunks if (each["state"], each["fun"]) == ("onepass", "checked")]
    name = ",".join(sorted({each["__sls__"] for each in steps}))
    pid = os.getppid() if low.get("parallel") else os.getpid()
    return {"jid": jid, "name": name, "pid": pid, "user": user, "test": bool(__opts__["test"])}


def _asked(step, runner, **arguments):
    """What a runner answers to a step of an orchestration, whose begin and end are told; its refusal is an error."""
    with __salt__["onepass.step"](step, globals().get("__orchestration_jid__")):
        return _answer(runner, **arguments)


def _answer(runner, **arguments):
    found = __salt__["saltutil.runner"](runner, full_return=True, **arguments)
    if not found["success"]:
        raise CommandExecutionError(str(found["return"]))
    return found["return"]
