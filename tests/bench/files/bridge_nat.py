"""In place of the real states, which change a host's network: the same names, nothing done. For scale.py."""


def workstation(name, **_):
    return {"name": name, "result": True, "changes": {}, "comment": "nothing"}


gateway = confirmed = workstation
