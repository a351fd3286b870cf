"""
What messages of and about 389 Directory Server mean: a part of :py:mod:`onepass_errors`.

.. versionadded:: 0.1.0

The first two areas have the bundle's own messages; the third the server's, as its version 2.3.1 has them: the words of
an agreement's status, of the error log, of ``dscreate`` and ``dsconf``. A test finds each of them in its files. To
read them::

    salt-call --local -m . onepass_directory_errors.known
"""

AGAIN = "Switch the agreement off and on: dsconf INSTANCE repl-agmt disable, then enable."
INIT = "dsconf INSTANCE repl-agmt init, from a server whose data count: it replaces all that the target has."

# Area to (form of the message, meaning, solution).
ERRORS = {
    "389 Directory Server": [
        (
            "No login at *: a mapping with bind_dn and password is wanted there",
            "The path leads to nothing usable in this host's pillar or configuration: to nothing, or to no texts. "
            "Passwords are never taken from the command line.",
            "Put bind_dn, password (digits in quotes) and, if need be, ca_file at that path, and refresh the pillar.",
        ),
        (
            "is no directory server's address",
            "What was given as a server has none of the three forms.",
            "ldaps://ds1.dc, ldap://ds1.dc:389 (StartTLS before the login), or ldapi:///run/slapd-INSTANCE.socket.",
        ),
        (
            "servers is *; a list of addresses is wanted",
            "Something else than a list of texts was given.",
            "ds_replica.status '[ldaps://ds1.dc, ldaps://ds2.dc]'; nothing at all asks the servers of this host.",
        ),
        (
            "timeout is *; seconds are wanted",
            "Each server is given that many seconds, and then counted as silent.",
            "Give a number of seconds, more than 0 and up to 600.",
        ),
        (
            "This host has no 389 Directory Server",
            "Without any address the servers of this host are asked, and it has none: no /etc/dirsrv/slapd-INSTANCE.",
            "Run it on a host that has one, as root, or give addresses and a login.",
        ),
        (
            "The login is the path of a mapping in the pillar or the configuration",
            "A mapping, or something else than a text, was given as the login.",
            "Put bind_dn and password into the pillar, below ds389:login, and give login=ds389:login.",
        ),
        (
            "The login at * has *; * are known, all texts",
            "A key that counts for nothing would be taken for one that does; or a value is a number, a list or empty.",
            "Correct its name; put a password of digits in quotes.",
        ),
        (
            "*, the login's ca_file, is no file of certificates: *",
            "The certificates' signers were to be read from a file that this host does not have, or that has no PEM.",
            "Put the signers' certificates there in PEM, or leave ca_file out where the system trusts them.",
        ),
        (
            "has a certificate of another name: *",
            "The certificate does not name the host by which it was asked: somebody else answers, or it was "
            "asked by an alias.",
            "Ask by a name that is in the certificate, or give the server one with that name.",
        ),
        (
            "has a certificate that is not trusted: *",
            "Neither the system nor the login's ca_file knows who signed it. Each host on which dscreate made "
            "the certificate has an authority of its own.",
            "Give the login ca_file with the signers of all servers, one after another in one file.",
        ),
        (
            "offers no StartTLS, so no login is sent to it: *",
            "A login over ldap:// waits for TLS, and this server has none at that port.",
            "ldaps:// with its secure port; or give the server TLS: dsconf INSTANCE security enable.",
        ),
        (
            "refuses the login: *",
            "The server knows no such name or password, or has locked it. No second try is made, which could lock it.",
            "Correct bind_dn and password; see the account's lock and expiry.",
        ),
        (
            "it lets the login in, and answers it nothing: *",
            "The login is taken, and each search after it refused. Minimum SSF not met: nsslapd-minssf is more than "
            "the connection has; ldapi counts for 71, whoever asks. No words of the server's: the password has to be "
            "changed first, as passwordMustChange is on.",
            "nsslapd-localssf: as much as nsslapd-minssf, for ldapi; or change the login's password.",
        ),
        (
            "is there, but does not answer in * s",
            "Connections are taken by the kernel, and nobody reads them: the process is stopped, its disk "
            "hangs, or it is busy beyond measure.",
            "ps -o stat,wchan -C ns-slapd on that host: T is stopped (kill -CONT), D waits for the disk; or a "
            "longer timeout.",
        ),
        (
            "the name service does not answer in * s",
            "The nameservers of the host that asks, /etc/resolv.conf, gave no address of that server in time.",
            "getent ahosts NAME there; a line in its /etc/hosts, or an address in place of the name, needs none.",
        ),
        (
            "does not run, or takes no connection: *",
            "Nothing listens there. A server that crashed stays down: its unit has Restart=no.",
            "systemctl status dirsrv@INSTANCE on its host, and the end of its error log.",
        ),
        (
            "broke the connection: *",
            "The server ended the talk: it was stopped meanwhile, or the port speaks another protocol.",
            "ldaps:// belongs to the port of nsslapd-secureport, ldap:// to that of nsslapd-port.",
        ),
        (
            "the pillar names no replica: salt-run onepass.check ds389",
            "The key ds389 is there, and nothing in it could be read as a supplier, a hub or a reader.",
            "salt-run onepass.check ds389 tells what is wrong with it; suppliers: {ds1.dc: 1} is the least.",
        ),
    ],
    "The pillar: 389 Directory Server": [
        (
            "which * has already;",
            "Two suppliers of one id: the servers themselves refuse to replicate to each other (error 11).",
            "An id of its own for each supplier; never one that a supplier had that is gone, until cleanallruv "
            "took it out.",
        ),
        (
            "is the server of * again",
            "A server stands twice, in two roles or under two spellings: capitals and the usual port make no "
            "other server.",
            "Let it stand once. Two servers of one host differ in their ports.",
        ),
        (
            "has the port *",
            "Behind the colon stands no port of TCP.",
            "A port from 1 to 65535, or none: 636 of LDAPS, else 389.",
        ),
        (
            "has * suppliers;",
            "More servers that take writes than the vendor supports: each holds an agreement with the others, and"
            " each change is sent as often.",
            "Four are usual, also for 150 replicas; the others as hubs and readers.",
        ),
        (
            "is *, the server itself",
            "A hub or reader stands among those that feed it.",
            "Name the supplier or hub that feeds it.",
        ),
        (
            "is *, a reader, which feeds nobody",
            "A read-only replica keeps no record of changes, so it can pass none on.",
            "Feed it by a supplier or a hub; or make that reader a hub.",
        ),
        (
            "is *, which is no supplier and no hub",
            "Who feeds is not among those that can.",
            "List it as a supplier or a hub, or correct the name; the message proposes the nearest.",
        ),
        (
            "has * servers;",
            "An entry of topology is a pair: two suppliers that feed each other.",
            "A pair for each two of them.",
        ),
        (
            "is *, which is no supplier;",
            "Only servers that take writes feed each other in pairs, and only their data can be the ones that count.",
            "One of suppliers; the message proposes the nearest.",
        ),
        (
            "is the pair of * again",
            "A pair is both ways, so the second one says nothing.",
            "Leave one of them out.",
        ),
        (
            "is reached by no changes of *",
            "What is written on one supplier would never get there: the pairs fall apart, or hubs feed only each "
            "other.",
            "Add a pair, or a feeder that leads there.",
        ),
        (
            "is *, the seed itself",
            "seed says that its data count, discard that they do not.",
            "Take it out of one of them.",
        ),
        (
            "is *, which is no supplier, hub or reader",
            "discard names a server that the pillar does not have.",
            "Correct the name; the message proposes the nearest.",
        ),
        (
            "which may do everything everywhere",
            "The directory's manager as replication manager: its password would stand in every agreement, "
            "readable to root of every host.",
            "An entry of its own: cn=replication manager,cn=config.",
        ),
    ],
    "What 389 Directory Server itself says": [
        (
            "Error (0) No replication sessions started since server startup",
            "Green, and no proof of anything: nothing was sent since the start. So it says while clocks are "
            "apart, too, and to a target that lacks everything.",
            "ds_replica.status compares what the target has; see clocks first.",
        ),
        (
            "Replica acquired successfully: *agreement disabled",
            "Green, and nothing is sent: the agreement is switched off.",
            "dsconf INSTANCE repl-agmt enable, or delete it.",
        ),
        (
            "Replica acquired successfully: *Incremental update s",
            "The last session began or ended well. What came since is not in it.",
            "Nothing; the lag by ds_replica.status is what counts.",
        ),
        (
            "Total update in progress",
            "The target is being initialised: it answers with referrals, and refuses writes, until the end.",
            "Wait; 500 small entries a second are usual. Begin no second one to the same target.",
        ),
        (
            "Total update succeeded",
            "An initialisation ended well, at some time before: it stays there, and is lost when the server restarts.",
            "Nothing. Whether a replica has its data is told by its generation, not by this.",
        ),
        (
            "Total update aborted",
            "An initialisation did not reach its end. The words stay although the target may be well since, by "
            "another path.",
            "ds_replica.status tells whether the target's data are of the same generation; if not: " + INIT,
        ),
        (
            "Replica has different database generation ID, remote replica may need to be initialized",
            "Error 19: source and target have data of different origin: the target was made anew, imported, or "
            "never initialised.",
            "Make sure that nobody wrote to the target alone. " + INIT,
        ),
        (
            "LDAP error: *Invalid credentials",
            "Error 49: the bind DN or password of the agreement is not the target's, or the password there has "
            "expired: that looks the same. An initialisation that meets it stays armed, and fires when the "
            "password is right again.",
            "Set the password anew at the target and in the agreement; mind ds_replica.status's word armed before.",
        ),
        (
            "LDAP error: *Constraint violation",
            "Error 19, as the other one: the target has locked the replication manager after wrong passwords.",
            "Correct the agreement's password, then unlock: dsidm INSTANCE account unlock, or wait for its end.",
        ),
        (
            "LDAP error: *Can't contact LDAP server",
            "Error -1: the target is off, its certificate has another name or an unknown signer, or TLS meets "
            "a plain port: one sentence for all of them.",
            "ds_replica.check on the source's host tells which one it is.",
        ),
        (
            "LDAP error: *Connect error",
            "Error -11: StartTLS did not come about, mostly because of the certificate's name or signer.",
            "ds_replica.check on the source's host tells which one it is.",
        ),
        (
            "Replication error acquiring replica: *Incremental update connection error. Backing off",
            "Error 16: the session ended before all was sent. With passwordLockout on a single failed login does "
            "it: it is counted in the update vector, and not sent; so it stays until the next write there.",
            "Nothing, if somebody mistyped a password there; the next write ends it. passwordIsGlobalPolicy: on, on "
            "all servers, sends such counts. Else see the target's log.",
        ),
        (
            "Unable to receive the response for a startReplication extended operation to consumer. Will retry later",
            "The connection ended while a session began: the target was stopped or killed. It is tried again.",
            "See whether the target runs.",
        ),
        (
            "Unable to acquire replica: permission denied. The bind dn*does not have permission to supply",
            "Error 3: the target's replica does not let this bind DN in. It is tried again, and heals when it does.",
            "dsconf INSTANCE replication set --repl-bind-dn, at the target.",
        ),
        (
            "Unable to acquire replica: there is no replicated area*on the consumer server",
            "Error 6: the target does not replicate that suffix (yet). The agreement has stopped, also when it "
            "does later.",
            "Enable replication at the target. " + AGAIN,
        ),
        (
            "Unable to acquire replica: the replica is currently being updated*by another supplier",
            "Error 1: another supplier sends to the target just now. In a mesh that is normal; but an "
            "*initialisation* that meets it is dropped for good.",
            "Nothing for updates. An initialisation: wait until the other one has ended, look, then decide anew.",
        ),
        (
            "the replica has the same Replica ID as this one. Replication is aborting",
            "Error 11: source and target have the same replica id. Nothing is sent, until both are changed and "
            "it is kicked.",
            "Disable replication on the newer one and enable it with an id of its own. " + AGAIN,
        ),
        (
            "Excessive clock skew from supplier RUV",
            "In the target's error log: clocks are more than a day apart. The source's agreement says so once it has "
            "something to send; those of the server that is ahead stay green. Who took such a change refuses "
            "writes even when clocks are right again.",
            "Correct the clocks; where writes are refused, nsslapd-ignore-time-skew: on until the present has "
            "caught up.",
        ),
        (
            "fatal error - too much time skew between replicas",
            "Error 2: clocks of source and target are more than a day apart. The agreement has stopped.",
            "ds_replica.status tells whose clock it is; correct it. " + AGAIN,
        ),
        (
            "Unable to acquire replica: Excessive clock skew between the supplier and the consumer",
            "The source's log of the same: this agreement has stopped, and will not try again by itself.",
            "Correct the clocks. " + AGAIN,
        ),
        (
            "Adjustment limit exceeded; value - *, limit - *",
            "A change from further than a day in the future would have to move the clock of this server's "
            "changes: writes are refused with error 1, Operations error.",
            "Correct the clocks; nsslapd-ignore-time-skew: on until the present has caught up.",
        ),
        (
            "Unable to acquire replica: the replica instructed us to go into backoff mode",
            "The target asks for a pause, and the source tries again later by itself.",
            "Nothing, unless it lasts: then see the target's load.",
        ),
        (
            "Unable to acquire replica: an internal error occurred on the remote replica",
            "Error 8: the target could not begin, mostly because it can make no change numbers. The agreement "
            "has stopped.",
            "See the target's error log, and its clock. " + AGAIN,
        ),
        (
            "Problem connecting to replica (SSL not enabled)",
            "The agreement wants TLS, and its own server has none: nsslapd-security is off.",
            "dsconf INSTANCE security enable, then restart; or the transport LDAP.",
        ),
        (
            "Incremental update failed and requires administrator action",
            "The source's log of an agreement that has stopped for good; its status can be green.",
            "The lines before it name the cause. " + AGAIN,
        ),
        (
            "Replica has no update vector. It has never been initialized",
            "The target has a replica without any data of replication.",
            INIT,
        ),
        (
            "acquired replica, but could not parse update vector. The replica must be reinitialized",
            "The target answers with a vector that cannot be read.",
            INIT,
        ),
        (
            "Consumer failed to replay change (uniqueid *, CSN *): *. Will retry later",
            "The target refuses one change: it has no room, is read-only, or lacks the schema. All changes "
            "after it wait.",
            "Mend what the words after the number say, on the target; nsslapd-readonly: off.",
        ),
        (
            "Replica not online (*)",
            "A task that takes an id out of all vectors names the agreement whose target it cannot reach.",
            "Start that server, or delete the agreement if the server is gone for good.",
        ),
        (
            "Not all replicas caught up, retrying in * seconds",
            "The same task waits until all have the last change of the id that goes.",
            "Look at the lag of each agreement: ds_replica.status.",
        ),
        (
            "Replica id (*) is already being cleaned",
            "A second task for the same id was asked for.",
            "Wait for the first one's end: no nsds5ReplicaCleanRUV is left on any replica.",
        ),
        (
            "added but there is no changelog configured. No change will be replicated",
            "A supplier or hub without a changelog has nothing to send.",
            "Enable replication as supplier or hub: dsconf INSTANCE replication enable makes the changelog.",
        ),
        (
            "can not be updated while the suffix is disabled",
            "Error 53 or 12: the suffix is being initialised here, so it cannot be a source meanwhile.",
            "Wait for the end of its own initialisation, then begin this one.",
        ),
        (
            "can not be updated while the agreement is disabled",
            "An initialisation by an agreement that is switched off.",
            "dsconf INSTANCE repl-agmt enable first.",
        ),
        (
            "total update on is initiated on the replica. Cannot execute the total update from other supplier",
            "Two suppliers were told to initialise one target; the second one is dropped, and not tried again.",
            "Wait for the first one's end; then nothing is left to do.",
        ),
        (
            "change with * csn has been purged by this server; the current purge point for that replica is *",
            "The target was away for longer than changes are kept here.",
            "When no write of the target alone is missing elsewhere: " + INIT,
        ),
        (
            "Can't locate CSN * in the changelog",
            "The source's changelog begins after what the target has: it was away for longer than changes are kept.",
            "When no write of the target alone is missing elsewhere: " + INIT,
        ),
        (
            "no such replica",
            "The words for code 6 in an agreement's status: the target has no replica of the suffix.",
            "Enable replication at the target. " + AGAIN,
        ),
        (
            "already exists, recreating it",
            "dsconf replication create-manager writes the manager anew each time, with the password that it is "
            "given now.",
            "Give the agreements the same password.",
        ),
        (
            "same name already exists",
            "dsconf repl-agmt create makes none a second time, and compares nothing: the old one keeps its "
            "host and password. With --init, none is begun.",
            "Look at what there is (repl-agmt get), and change it (repl-agmt set).",
        ),
        (
            "Another instance named * may already exist",
            "dscreate found an instance, or the half of one that an earlier dscreate left, which nothing else can see.",
            "dsctl INSTANCE status; where it says No such instance: dsctl INSTANCE remove --do-it, then "
            "dscreate again.",
        ),
        (
            "Replication did not sync in time!",
            "lib389 waits 20 seconds for a proof and then gives up; what it began goes on.",
            "Do not begin again before ds_replica.status shows how far it is.",
        ),
        (
            "Not all replicas online, retrying in",
            "A task that takes an id out of all vectors waits for a replica that is off, for ever, and after "
            "restarts too.",
            "Start that replica, or delete the agreements to it; ds_replica.status names replicas in which it goes on.",
        ),
        (
            "password scheme mismatch",
            "nsslapd-rootpw in dse.ldif is clear text while the server wants a hash: it does not start.",
            "Write a hash there: pwdhash -s PBKDF2-SHA512 PASSWORD.",
        ),
        (
            "Ber Too Big (nsslapd-maxbersize)",
            "In the access log: mostly TLS that was spoken to a plain port, whose bytes look like an enormous length.",
            "LDAPS belongs to nsslapd-secureport; on the plain port it is STARTTLS.",
        ),
        (
            "Exceed password retry limit",
            "An account, a replication manager too, is locked after wrong passwords. An agreement shows it as "
            "error 19, Constraint violation.",
            "Correct the password where it is used, then unlock: dsidm INSTANCE account unlock, or wait for its end.",
        ),
        (
            "password expired!",
            "In the access log of the target, while the agreement says no more than error 49.",
            "A new password for the replication manager, at the target and in the agreements; a policy without "
            "an end for it.",
        ),
        (
            "Account inactivated",
            "The account was switched off (nsAccountLock).",
            "dsidm INSTANCE account unlock.",
        ),
        (
            "Replication is already enabled for this suffix",
            "dsconf replication enable compares nothing: another id or role is refused in the same words.",
            "Look at what there is: dsconf INSTANCE replication get.",
        ),
        (
            "You must specify the replica ID (--replica-id) when enabling a",
            "A supplier has an id of its own, from 1 to 65534; hubs and consumers have none.",
            "Give one that no vector of the estate has: ds_replica.status shows the ids.",
        ),
        (
            "expects a number between 1 and 65534",
            "The id of a supplier is out of range; 65535 is that of all readers.",
            "Give one that no vector of the estate has: ds_replica.status shows the ids.",
        ),
        (
            "Failed to add replication manager because the base DN of the entry does not exist",
            "The manager was to be made below a suffix that is not there, or not yet on a server that waits "
            "for its data.",
            "Make it below cn=config, which is not replicated: cn=replication manager,cn=config.",
        ),
        (
            "Could not find the agreement",
            "No agreement of that name and suffix is on this server; each server has its own.",
            "dsconf INSTANCE repl-agmt list --suffix SUFFIX.",
        ),
        (
            "Peer's Certificate has expired",
            "TLS ends before anything is said; the agreement says Can't contact LDAP server.",
            "Renew that certificate, and see both clocks. ds_replica.check names the port.",
        ),
        (
            "SSL peer rejected your certificate as",
            "The other side of a connection does not take this server's certificate.",
            "Renew it, or give the other side its signer: dsconf INSTANCE security ca-certificate add.",
        ),
        (
            "received an invalid message that was not encrypted",
            "Plain LDAP was spoken to a connection that has TLS already.",
            "The transport and port of the agreement that comes from there: LDAPS with nsslapd-secureport.",
        ),
        (
            "PR_Bind() on * port * failed",
            "Another process has the port, or a server without root wants one below 1024: this one does not start.",
            "ss -ltnp shows who has it; nsslapd-port names it.",
        ),
        (
            "Not listening for new connections - too",
            "All file descriptors are in use: agreements and clients find nobody.",
            "nsslapd-maxdescriptors and the unit's LimitNOFILE; and see whose connections these are (cn=monitor).",
        ),
        (
            "Detected Disorderly Shutdown last time Directory Server was running, recovering database",
            "The server did not end by itself the last time: it crashed, or was killed. It recovers and goes on.",
            "See the end of the log before it, and its version; ds_replica.status names versions with known faults.",
        ),
        (
            "Disk space is too low on disk",
            "The server deletes logs, then stops its logs, then itself.",
            "Make room; replication that waited comes after by itself.",
        ),
        (
            "insufficient disk space or insufficient memory available for database",
            "The database cannot go on, and this server ends or refuses all.",
            "Make room, start it, and see ds_replica.status: its agreements may have stopped.",
        ),
        (
            "Unable to start because process * holds a lock",
            "Another process of the same instance runs, or an offline import does.",
            "systemctl status dirsrv@INSTANCE; wait for the other one's end.",
        ),
        (
            "Shutting down due to possible conflicts with other slapd processes",
            "As above: two processes would write to one database.",
            "systemctl status dirsrv@INSTANCE; wait for the other one's end.",
        ),
        (
            "Replication is not in sync with replica",
            "lib389 compared both vectors, and one lacks something now; a write in between is enough.",
            "Look at the lag over some seconds: ds_replica.status.",
        ),
        (
            "No such instance",
            "dsctl finds no complete instance of that name; the half of one may be left.",
            "dsctl INSTANCE remove --do-it cleans it; then dscreate again.",
        ),
        (
            "requires a secure connection",
            "The server takes this login or request over TLS only (nsslapd-require-secure-binds, nsslapd-minssf).",
            "The transport LDAPS or STARTTLS in the agreement, or ldaps:// for ds_replica.",
        ),
        (
            "Failed to start DS",
            "dscreate waited a minute for a server: without systemd, which it cannot do by itself, or its "
            "process ended at once.",
            "The end of /var/log/dirsrv/slapd-INSTANCE/errors; on a host without systemd, start ns-slapd -D by hand.",
        ),
    ],
}


def __virtual__():
    return "onepass_directory_errors"


def known() -> dict:
    """
    The explanations, by area.

    Returns:
        Area to lists of the message's form, its meaning and its solution.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_directory_errors.known

    .. versionadded:: 0.1.0
    """
    return ERRORS
