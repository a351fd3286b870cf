"""
A replica set's configuration and one step of a plan: the configuration after it, and whether it is taken already.

.. versionadded:: 0.1.0

Pure functions of a configuration as the primary has it, and of a step of :py:func:`mongo_replset.plan`::

    salt-call --local -m . mongo_reconfig.following '{version: 1, members: []}' '{do: set, settings: {}}'
"""

__virtualname__ = "mongo_reconfig"


def __virtual__():
    return __virtualname__


def following(config, step):
    """
    The configuration after one step: version + 1, every member's ``_id`` kept, a new one's is the highest + 1.

    config, step
        The configuration, with the server's own types, and the step.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_reconfig.following '{version: 1, members: []}' '{do: set, settings: {}}'

    .. versionadded:: 0.1.0
    """
    entries = [dict(entry) for entry in config["members"]]
    settings = config.get("settings", {})
    if step["do"] == "set":
        settings = {**settings, **step["settings"]}
        entries = [{**entry, **_tags(step, entry)} for entry in entries]
    if step["do"] == "add":
        entries.append({"_id": max(entry["_id"] for entry in entries) + 1, **step["entry"]})
    if step["do"] == "remove":
        entries = [entry for entry in entries if entry["host"] != step["host"]]
    if step["do"] == "change":
        entries = [{**entry, **step["entry"]} if entry["host"] == step["host"] else entry for entry in entries]
    more = {"settings": settings} if settings else {}
    return {**config, "version": config["version"] + 1, "members": entries, **more}


def is_taken(config, step):
    """
    Whether the configuration holds what the step asks for: an answer was lost, or somebody else was faster.

    config, step
        As for :py:func:`following`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_reconfig.is_taken '{version: 1, members: []}' '{do: set, settings: {}}'

    .. versionadded:: 0.1.0
    """
    if step["do"] == "set":
        settings = config.get("settings", {})
        tagged = all({**entry, **_tags(step, entry)} == entry for entry in config["members"])
        return tagged and all(settings.get(key) == value for key, value in step["settings"].items())
    have = {entry["host"]: __salt__["mongo_replset.member"](entry) for entry in config["members"]}
    return have.get(step["host"]) == step.get("entry")


def _tags(step, entry):
    """The tags that a member gets together with the settings."""
    tags = step.get("tags", {})
    return {"tags": tags[entry["host"]]} if entry["host"] in tags else {}
