"""How far an orchestration is, by the events of the master's bus."""

import io
import signal
import sys
import threading

import pytest

import tree

module = tree.load("_modules/orchestration_progress.py")
JID = "20261124152928023148"
PHASES = [
    {"name": "preflight", "needs": []},
    {"name": "daemons", "needs": ["preflight"]},
    {"name": "shards", "needs": ["daemons"]},
]


def begins(name, hosts=(), sls="mongodb.daemon"):
    return f"salt/run/{JID}/args", {"name": name, "tgt": list(hosts), "args": {"arg": [sls]}}


def ends(name):
    return f"salt/run/{JID}/args", {"name": name, "ends": True}


def returns(host, sls="mongodb.daemon", fun="state.sls", states=None):
    data = {"id": host, "fun": fun, "fun_args": [sls, {"test": True}]}
    return f"salt/job/2026/ret/{host}", data if states is None else {**data, "return": states}


FAILED = {
    "b": {"result": False, "comment": "One or more requisite failed: mongodb.a", "__run_num__": 3},
    "c": {"result": False, "comment": "later", "__run_num__": 4},
    "a": {"result": False, "comment": "x2.dc is not wanted\nLeft to do: all", "__run_num__": 2},
    "d": {"result": True, "comment": "well", "__run_num__": 1},
}


def waits(host, what, seen=None):
    return "onepass/wait", {"id": host, "data": {"what": what, "seen": seen}}


@pytest.fixture
def told():
    """``told(*events)``: the progress after them, a second each, and the lines they were worth."""

    def tell(*events, expected=None):
        progress = module.begin(JID, PHASES, expected)
        lines = [line for now, event in enumerate(events) for line in module.take(progress, *event, now)]
        return progress, lines

    return tell


@pytest.mark.parametrize(
    "events, lines",
    [
        ([begins("preflight")], ["preflight"]),
        ([begins("daemons", ["a.dc"])], ["daemons: 1 host"]),
        (
            [begins("preflight"), begins("daemons", ["a.dc", "b.dc"])],
            ["preflight", "preflight: ended after 1.0 s", "daemons: 2 hosts"],
        ),
        (
            [begins("daemons", ["a.dc", "b.dc"]), returns("a.dc"), returns("b.dc")],
            ["daemons: 2 hosts", "daemons: ended after 2.0 s"],
        ),
        # a step of the master's own tells its end
        (
            [begins("preflight"), ends("preflight"), begins("daemons")],
            ["preflight", "preflight: ended after 1.0 s", "daemons"],
        ),
        # a silent host: the phase ends when the one that needs it begins
        (
            [begins("daemons", ["a.dc", "b.dc"]), returns("a.dc"), begins("shards", ["r.dc"])],
            ["daemons: 2 hosts", "daemons: ended after 2.0 s; no answer from b.dc", "shards: 1 host"],
        ),
        # a host that failed is told at once, by its first failure, whatever the others still do
        (
            [begins("daemons", ["a.dc", "b.dc"]), returns("a.dc", states=FAILED), returns("b.dc", states={"x": 5})],
            ["daemons: 2 hosts", "daemons: a.dc failed: x2.dc is not wanted", "daemons: ended after 2.0 s"],
        ),
        (
            [begins("daemons", ["a.dc", "b.dc"]), returns("a.dc", states="The minion function caused an exception")],
            ["daemons: 2 hosts", "daemons: a.dc failed: The minion function caused an exception"],
        ),
        # somebody else's job on the same host, other SLS, other functions
        (
            [begins("daemons", ["a.dc"]), returns("a.dc", "other"), returns("a.dc", fun="test.ping"), returns("z.dc")],
            ["daemons: 1 host"],
        ),
    ],
)
def test_lines_worth_saying(told, events, lines):
    assert told(*events)[1] == lines


def test_hosts_done_and_what_each_of_the_others_waits_for(told):
    hosts = [f"{letter}.dc" for letter in "abcd"]
    progress, _ = told(
        begins("daemons", hosts),
        waits("a.dc", "s1 with a primary", "no primary"),
        waits("b.dc", "s1 with a primary", "no primary"),
        returns("d.dc"),
        expected={"daemons": 20.0, "": 150.0},
    )
    assert module.running(progress, 12.4) == [
        "daemons: 1 of 4 hosts, 12 s of about 20 s",
        "  a.dc, b.dc wait for s1 with a primary; last seen: no primary",
        "  c.dc at work",
        "12 s of about 2 min 30 s; then shards",
    ]


@pytest.mark.parametrize(
    "now, said",
    [
        (40, ["daemons: 0 of 1 host, 40 s of about 20 s", "  a.dc at work", "40 s of about 30 s; then shards"]),
        (41, ["daemons: 0 of 1 host, 41 s", "  a.dc at work", "41 s of about 30 s; then shards"]),
        (61, ["daemons: 0 of 1 host, 61 s", "  a.dc at work", "61 s; then shards"]),
    ],
)
def test_an_estimate_is_dropped_after_twice_its_time(told, now, said):
    progress, _ = told(begins("daemons", ["a.dc"]), expected={"daemons": 20.0, "": 30.0})
    assert module.running(progress, now) == said


def test_a_wait_that_ended_is_forgotten(told):
    progress, _ = told(begins("daemons", ["a.dc"]), waits("a.dc", "s1", "nothing"), waits("a.dc", None))
    assert "  a.dc at work" in module.running(progress, 5)


@pytest.mark.parametrize("data", [{}, {"id": "a.dc"}, {"id": "a.dc", "data": {"what": "s1"}}])
def test_an_event_of_somebody_elses_with_the_tag_of_waits_is_borne(told, data):
    progress, lines = told(begins("daemons", ["a.dc"]), ("onepass/wait", data))
    assert module.running(progress, 5)[0].startswith("daemons: 0 of 1 host")


def test_two_phases_side_by_side_have_returns_of_their_own(told):
    progress, lines = told(begins("daemons", ["a.dc"]), begins("other", ["a.dc"], "branch"), returns("a.dc", "branch"))
    assert lines[-1] == "other: ended after 1.0 s"
    assert [line for line in module.running(progress, 3) if "of 1 host" in line] == ["daemons: 0 of 1 host, 3.0 s"]


def test_what_goes_on_is_cut_to_the_room_there_is(told):
    hosts = [f"ws{number:03d}.salta" for number in range(700)]
    progress, _ = told(begins("daemons", hosts), *(waits(host, f"the link of {host}", "down") for host in hosts[:30]))
    shown = module.running(progress, 9, lines=8)
    assert len(shown) == 9
    assert shown[-2] == "  and 25 lines more"


def test_nothing_goes_on_after_the_end(told):
    progress, _ = told(begins("daemons", ["a.dc"]), (f"salt/run/{JID}/ret", {}))
    assert progress["ended"]
    assert module.running(progress, 9) == []


def test_ctrl_c_in_the_middle_of_a_line_waits_for_its_end(monkeypatch):
    """Salt's handler writes a line of its own, and Python refuses that within another write to the same file."""
    written = []

    class Terminal(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            if not written:
                signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # other threads of the tests take none
            written.append(bytes(data))
            return len(data)

    def interrupted(*_):
        print("Exiting gracefully", file=sys.stderr, flush=True)
        raise SystemExit

    jobs = tree.load("_runners/onepass_jobs.py")
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Terminal()), write_through=True))
        with pytest.raises(SystemExit):
            jobs._print("a line\n")
    finally:
        signal.signal(signal.SIGINT, before)
    assert b"".join(written) == b"a line\nExiting gracefully\n"
