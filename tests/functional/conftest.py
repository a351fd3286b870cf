"""What functional tests share: real mongods on loopback."""

import pytest

import mongods as real


@pytest.fixture
def mongods(mongod_binary):
    """A factory of real mongods on free loopback ports; all are killed and their data deleted when the test ends.

    ``mongods(n=1, replset=None, role=None, keyfile=None, args=())`` starts ``n`` mongods side by side (three take half
    a second), waits until each listens and returns the list of their handles. Nothing is initiated: that is for the
    test to do.

    replset
        the name given to ``--replSet``; None for a standalone
    role
        ``"shardsvr"``, ``"configsvr"`` or None
    keyfile
        the keyfile's text (six base64 characters or more), which turns auth on; each call may bring its own
    args
        further options of mongod, e.g. ``["--setParameter", "enableTestCommands=1"]``

    A handle has ``host`` (127.0.0.1), ``port``, ``address`` ("127.0.0.1:port", as in a set's member list), ``pid``
    (None while down), ``running``, ``dbpath``, ``log`` (a Path), ``stop()`` (SIGTERM), ``kill()`` (SIGKILL),
    ``start()`` (same port, same data; waits until it listens) and ``client(**options)`` (pymongo, this member alone).
    A call may be repeated in one test; every call's members live until its end.

    .. code-block:: python

        def test_three_become_a_set(mongods, modules):
            members = mongods(3, replset="s1", role="shardsvr")
            ...
            members[0].kill()
            members[0].start()
    """
    with real.factory(mongod_binary) as start:
        yield start


@pytest.fixture(scope="module")
def module_mongods(mongod_binary):
    """The same factory; its mongods live until the module's last test."""
    with real.factory(mongod_binary) as start:
        yield start
