"""What users type for a directory server that cannot be right: refused in words, and no secret is told."""

import time

import pytest
from salt.exceptions import CommandExecutionError, SaltInvocationError

LOGIN = {"bind_dn": "cn=onepass,cn=config", "password": "not-a-secret-9"}
LOGINS = {
    "good": LOGIN,
    "no_password": {"bind_dn": LOGIN["bind_dn"]},
    "empty_password": {**LOGIN, "password": ""},
    "empty_name": {**LOGIN, "bind_dn": ""},
    "digits": {**LOGIN, "password": 12345678},
    "spelled": {"bindDN": LOGIN["bind_dn"], "password": LOGIN["password"]},
    "more": {**LOGIN, "cacert": "/etc/ssl/ca.pem"},
    "list": [LOGIN],
    "text": "cn=onepass,cn=config not-a-secret-9",
    "folder": {**LOGIN, "ca_file": "/etc"},
    "nowhere": {**LOGIN, "ca_file": "/etc/ssl/nowhere.pem"},
    "number": {**LOGIN, "ca_file": 5},
    "no_pem": {**LOGIN, "ca_file": "/etc/hostname"},
}
NO_ADDRESS, NO_LIST, NO_LOGIN, SECONDS = (
    "is no directory server's address",
    "a list of addresses is wanted",
    "a mapping with bind_dn and password is wanted there",
    "seconds are wanted",
)
SERVERS = [
    ("", NO_ADDRESS),
    (" ", NO_ADDRESS),
    ("bank", NO_ADDRESS),
    ("slapd-bank", NO_ADDRESS),
    ("/run/slapd-bank.socket", NO_ADDRESS),
    ("ds1.dc:636", NO_ADDRESS),
    ("ldaps:ds1.dc", NO_ADDRESS),
    ("ldaps//ds1.dc", NO_ADDRESS),
    ("ldaps://", NO_ADDRESS),
    ("https://ds1.dc", NO_ADDRESS),
    ("ldaps://ds1.dc ldaps://ds2.dc", NO_ADDRESS),
    ("ldaps://ds1.dc,ldaps://ds2.dc", NO_ADDRESS),
    ("ldaps://ds1.dc, ds2.dc", NO_ADDRESS),
    ("ldaps://ds1.dc,ds2.dc", NO_ADDRESS),
    ("ldaps://ds*.dc", NO_ADDRESS),
    ("ldaps://ds1..dc", NO_ADDRESS),
    (f"ldaps://{'a' * 64}.dc", NO_ADDRESS),
    ("ldap://ds1.dc:0", NO_ADDRESS),
    ("ldap://ds1.dc:65536", NO_ADDRESS),
    ("ldap://ds1.dc:-1", NO_ADDRESS),
    ("ldap://ds1.dc:389:389", NO_ADDRESS),
    ("ldaps://ds1.dc/dc=bank,dc=example", NO_ADDRESS),
    ("ldaps://ds1.dc?base", NO_ADDRESS),
    ("ldaps://onepass:not-a-secret-9@ds1.dc", NO_ADDRESS),
    ("ldapi:/run/slapd-bank.socket", NO_ADDRESS),
    ("ldapi://run/slapd-bank.socket", NO_ADDRESS),
    (["ldaps://ds1.dc", ""], NO_ADDRESS),
    ([], NO_LIST),
    (True, NO_LIST),
    (636, NO_LIST),
    ([None], NO_LIST),
    ([["ldaps://ds1.dc"]], NO_LIST),
    ([{"host": "ds1.dc"}], NO_LIST),
    ({"ds1.dc": 636}, NO_LIST),
]
WRONG_LOGINS = [
    ("ds389:nobody", NO_LOGIN),
    ("ds389", NO_LOGIN),
    ("ds389:no_password", NO_LOGIN),
    ("ds389:empty_password", NO_LOGIN),
    ("ds389:empty_name", NO_LOGIN),
    ("ds389:digits", NO_LOGIN),
    ("ds389:spelled", NO_LOGIN),
    ("ds389:list", NO_LOGIN),
    ("ds389:text", NO_LOGIN),
    ("ds389:more", "has cacert; bind_dn, password, ca_file are known"),
    ("ds389:number", "has ca_file; bind_dn, password, ca_file are known"),
    (LOGIN, "The login is the path of a mapping"),
    ([LOGIN], "The login is the path of a mapping"),
    ("", "The login is the path of a mapping"),
    (True, "The login is the path of a mapping"),
    (5, "The login is the path of a mapping"),
]
TIMES = ["5", "soon", 0, -1, True, 601, float("nan"), float("inf"), None, [5]]


@pytest.fixture
def refused(modules, pillar):
    """Both functions refuse it in the same words."""

    def call(words, *arguments, **options):
        pillar({"ds389": LOGINS})
        for function in (modules.ds_replica.status, modules.ds_replica.check):
            with pytest.raises((CommandExecutionError, SaltInvocationError)) as raised:
                function(*arguments, **options)
            assert words in str(raised.value)
            assert LOGIN["password"] not in str(raised.value)

    return call


@pytest.mark.parametrize("servers, words", SERVERS, ids=lambda value: str(value)[:40])
def test_servers_that_are_none(refused, servers, words):
    refused(words, servers)


@pytest.mark.parametrize("login, words", WRONG_LOGINS, ids=lambda value: str(value)[:40])
def test_logins_that_are_none(refused, login, words):
    refused(words, "ldaps://127.0.0.1:1", login=login)


@pytest.mark.parametrize("timeout", TIMES, ids=str)
def test_times_that_are_none(refused, timeout):
    refused(SECONDS, "ldaps://127.0.0.1:1", timeout=timeout)


@pytest.mark.parametrize("name", ["folder", "nowhere", "no_pem"])
def test_a_file_without_certificates_is_named(modules, pillar, name):
    pillar({"ds389": LOGINS})
    [line] = modules.ds_replica.status("ldaps://127.0.0.1:1", login=f"ds389:{name}")["needs"]
    assert f"{LOGINS[name]['ca_file']}, the login's ca_file, is no file of certificates" in line


@pytest.mark.parametrize(
    "server, words",
    [
        ("ldapi:///run/slapd-nowhere.socket", "does not run, or takes no connection"),
        ("ldapi:///etc/hostname", "does not run, or takes no connection"),
        ("ldaps://127.0.0.1:1", "does not run, or takes no connection"),
        ("LDAPS://127.0.0.1:1", "does not run, or takes no connection"),
        ("ldaps://[::1]:1", "does not run, or takes no connection"),
        ("ldaps://nowhere.invalid", "does not run, or takes no connection"),
    ],
)
def test_a_server_that_is_not_there_is_named_in_time(modules, pillar, server, words):
    pillar({"ds389": LOGINS})
    began = time.monotonic()
    [line] = modules.ds_replica.status(server, login="ds389:good", timeout=5)["needs"]
    assert time.monotonic() - began < 15
    assert words in line and "systemctl status" in line
