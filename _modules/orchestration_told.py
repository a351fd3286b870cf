"""
What the runner ``onepass`` answers of a job: data for programs, text for people, and whether it failed.

.. versionadded:: 0.1.0

A job is one of the runner ``onepass_jobs`` that has ended: ``jid``, ``name``, ``test``, ``steps``, ``seconds``; what is
told of it is read from its ``steps``, and nothing is asked of the world::

    salt-call --local -m . orchestration_told.ended '{jid: "1", name: x, test: false, steps: {}, seconds: 0.5}'

All functions answer ``data``, ``text`` and ``failed``.
"""

__virtualname__ = "orchestration_told"

NO_CAUSE = "nothing failed"


def __virtual__():
    return __virtualname__


def planned(job, width=120, form="text", full=False):
    """
    The plan that a dry run made.

    job
        The dry run; ``beside``, a text, when a run of the same area goes on.
    width
        Columns of the terminal. Default 120.
    form, full
        See :py:func:`orchestration_plan.told`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_told.planned '{jid: "1", name: x, test: true, steps: {}, seconds: 0.5}'

    .. versionadded:: 0.1.0
    """
    found = __salt__["orchestration.plan"](job["steps"])
    beside = {"beside": job["beside"]} if job.get("beside") else {}
    text = __salt__["orchestration_plan.told"](job["name"], {**found, **beside}, width, form, full)
    failed = __salt__["orchestration.summary"](job["steps"], job["test"])["failed"]
    return _answer({"jid": job["jid"], **found, **beside}, text, _causes(job), failed, width)


def ended(job, width=120):
    """
    How a run, or a dry run, ended.

    job
        The job.
    width
        Columns of the terminal. Default 120.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_told.ended '{jid: "1", name: x, test: false, steps: {}, seconds: 0.5}'

    .. versionadded:: 0.1.0
    """
    found = __salt__["orchestration.summary"](job["steps"], job["test"])
    job = {**job, "seconds": job["seconds"] or __salt__["orchestration.span"](job["steps"])}
    head = {part: job[part] for part in ("jid", "name", "test", "seconds")}
    text = __salt__["orchestration_text.end"](job, found, width)
    return _answer({**head, **found}, text, _causes(job), found["failed"], width)


def explained(job, width=120):
    """
    Why a job failed.

    job
        The job.
    width
        Columns of the terminal. Default 120.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_told.explained '{jid: "1", name: x, test: false, steps: {}, seconds: 0.5}'

    .. versionadded:: 0.1.0
    """
    found = _causes(job)
    what = f"{len(found)} cause{'s' * (len(found) > 1)}" if found else NO_CAUSE
    head = f"{__salt__['orchestration_text.named'](job)} (job {job['jid']}): {what}"
    head += "; it was a dry run, so nothing was changed" * job["test"]
    text = "\n".join(__salt__["orchestration_text.fitting"](head, width))
    return _answer({part: job[part] for part in ("jid", "name", "test")}, text, found, [], width)


def _answer(data, text, causes, failed, width):
    """With the causes of what failed."""
    parts = [text, __salt__["orchestration_text.causes"](causes, width)] if causes else [text]
    return {"data": {**data, "causes": causes}, "text": "\n\n".join(parts), "failed": bool(failed)}


def _causes(job):
    return __salt__["orchestration.causes"](job["steps"], job.get("restarted", False))
