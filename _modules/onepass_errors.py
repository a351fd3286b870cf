"""
Every message that the bundle raises, with its meaning and its solution: the data of :py:mod:`onepass_solution`.

.. versionadded:: 0.1.0

A message's form has ``*`` for what differs from case to case. To read all of them::

    salt-call --local -m . onepass_errors.entries
"""

# Area to (form of the message, meaning, solution).
ERRORS = {
    "What Salt itself says": [
        (
            "Failed to set vm.* to *",
            "In a container the kernel's settings are those of the host, and no container may change them.",
            "Say mongodb:tuning: {kernel: false} in the pillar, and set vm.max_map_count: 128000 and vm.swappiness: 1 "
            "on the containers' host.",
        ),
        (
            "'onepass* is not available",
            "Salt does not find the bundle's modules: the master has not taken them over yet, or, without a master, it "
            "was not told where they are. Runners (salt-run) need a master's configuration.",
            "With a master: salt-run saltutil.sync_all (after salt-run fileserver.update with gitfs). Without: the "
            "option -m with the checkout, and the module instead of the runner: salt-call --local -m . "
            "onepass.solution 'the message'.",
        ),
        (
            "unclosed * object at *; call ``destroy()`` or use as a context manager",
            "Salt 3008.5 says so at the end of each salt-run, of objects of its own; the command has done its work.",
            "Nothing; log_level: error in the master's configuration leaves them out.",
        ),
        (
            "Passed invalid arguments*",
            "A function was called with an argument that it does not have, or without one that it needs; what follows "
            "is Salt's print of its whole documentation.",
            "Read the first line, and the example at the end. A text with blanks needs quotes; of arguments that have "
            "no place of their own give the name too: path=pillar/openstack.sls.",
        ),
        (
            "FileNotFoundError: *No such file or directory: '*/master/proc/*",
            "Salt 3008's salt-run wants a directory that salt-master makes at its first start, also for what asks no "
            "minion; 3006 does not.",
            "Start salt-master once.",
        ),
    ],
    "What libvirt itself says": [
        (
            "Network is already in use by interface *",
            "The bridge is there, and no network of libvirt's owns it: somebody else made it, or a hook in "
            "/etc/libvirt/hooks failed at `started`, which ends the start and leaves the bridge and its dnsmasq.",
            "Mend the hook; then ip link delete that bridge, end its dnsmasq, and run again.",
        ),
    ],
    "All areas": [
        (
            "Waited * s for *; last seen: *",
            "A state needs something that another host or service has to bring about, and its deadline passed. "
            "Nothing is lost.",
            "Read what was seen last: it names what is late. Look at that host (salt-run onepass.status), then "
            "run again; what is done has nothing to do. If the hosts are merely slow, give a longer timeout.",
        ),
        (
            "*: YAML cannot read this: *",
            "The file breaks off YAML's form at that line and column; what is wrong may begin a line earlier.",
            "Correct the line. Tabs are never indentation in YAML; a text with a colon and a blank needs quotes.",
        ),
        (
            "jsonschema 4 in Salt's Python",
            "The Python that runs Salt lacks the library that judges a pillar; the distribution's Python does not "
            "count.",
            "salt-pip install 'jsonschema>=4.17' on the host named, then restart its minion.",
        ),
        (
            "* is not installed",
            "A program that a state calls is not on this host's PATH.",
            "Install the package that has it, then run again.",
        ),
        (
            "* is not for callers from outside",
            "The function runs a program, or writes what it is given: that is for Onepass's own modules, states and "
            "runners, and for no job of a master's, salt-call, module.run or template.",
            "Call what stands for it: a state, or a function such as libvirt_clone.clone, dnsmasq_fwd.apply or "
            "bridge_nat.apply. For a program of your own there is Salt's cmd.run.",
        ),
        (
            "* names *, and this minion's id is *: the capitals of an id count",
            "Names of hosts have no capitals, ids of minions have: to Salt this minion is another than the pillar "
            "names, and it would be given nothing to do without a word.",
            "Write the id into the pillar as salt-key lists it, or into /etc/salt/minion_id as the pillar has it; a "
            "minion with a new id has a new key: salt-key -a, and -d for the old one.",
        ),
        (
            "* was ended after * s without an answer",
            "A program that answers at once elsewhere hangs on this host: what it asks, a daemon or a disk, hangs.",
            "Run it by hand there and see what it waits for (ps -o stat,wchan); then run again.",
        ),
        (
            "* cannot be run: *",
            "The program is there, but the system refuses to start it: its mode, its interpreter, or memory.",
            "Mend what the words after the colon name, then run again.",
        ),
        (
            "No network namespace could be made: *",
            "Rules are tried in a namespace that nobody sees before they are loaded, and the kernel refused one: "
            "no root, or a container without CAP_SYS_ADMIN.",
            "Run as root on the host itself.",
        ),
        (
            "nft: *",
            "The kernel or nft's library refused a list or a transaction; as it was one transaction, no rule of "
            "it is loaded.",
            "The words after it are nft's own. A missing kernel module (nft_redir, nf_tables_bridge) is the usual "
            "cause.",
        ),
        (
            "No frame passes a bridge * even without any rules",
            "The host's rules are tried by frames over a bridge of the same name in a network namespace that nobody "
            "sees, and there the kernel does not pass any.",
            "Look whether the kernel has bridge and veth (modprobe veth), and whether the host is very busy.",
        ),
        (
            "The kernel has no netfilter that nft could speak to: *",
            "The kernel, or the container's sandbox, has no netlink socket for netfilter.",
            "modprobe nfnetlink; in a container, run on the host itself.",
        ),
        (
            "*; install nftables",
            "nft's library (libnftables) cannot be loaded into Salt's Python.",
            "Install the package nftables, which brings it.",
        ),
        (
            "No message of the bundle is in this text",
            "onepass_solution.find knows the bundle's own messages only, not those of Salt, MongoDB or libvirt "
            "around them.",
            "Paste the line of the comment that names the object, without cutting it in the middle.",
        ),
    ],
    "The runner": [
        (
            "The master lacks the bundle's execution modules",
            "Runners of the master call the execution modules, which it has not fetched from its file server.",
            "salt-run fileserver.update, then salt-run fileserver.clear_file_list_cache, then "
            "salt-run saltutil.sync_all, then again.",
        ),
        (
            "The master itself runs other files than it serves (*)",
            "What the master serves was changed, by an upgrade for example, and its own copy was not: it would judge "
            "by the old rules what minions do by the new ones.",
            "salt-run fileserver.clear_file_list_cache, then salt-run saltutil.sync_all, then again. If the master has "
            "the bundle from pip too, install the same version there, or remove it.",
        ),
        (
            "minion * has not the modules that the master has, and the master serves none",
            "Pip brought the bundle to the master; that minion has another version, what it once fetched, or none.",
            "salt-pip install the same version there; salt with that minion and saltutil.sync_all removes what it once "
            "fetched; restart its salt-minion. Or serve the modules, by file roots or gitfs: then runs bring them.",
        ),
        (
            "areas: * is unknown; known are *",
            "An area is a top key of the pillar, not a module or a host.",
            "Name one of those in the message, or leave areas out for all.",
        ),
        (
            "The master's modules did not reach *",
            "These minions did not fetch the modules that the master serves; behind each stands what it answered.",
            "salt with that minion and saltutil.sync_all shows why; then again.",
        ),
        (
            "its answer to * has not the form of one: *",
            "A minion answered something that the function of that name never answers: too large, of other types, or "
            "with control characters. It counts as failed, and nothing of its answer is used.",
            "Compare its modules with the master's (salt-run onepass.check); where they are the same, somebody has "
            "changed that host.",
        ),
        (
            "its return has not the form of states: *",
            "A minion returned something that no run of states returns. It counts as failed.",
            "Look at that host and at its modules (salt-run onepass.check), then run again.",
        ),
        (
            "* is no guest's id, as * has it",
            "A guest's id is that of a minion which another part of the pillar names, or the master's own. Its key is "
            "neither replaced nor withdrawn.",
            "Another name for the guest, then salt-run onepass.check.",
        ),
        (
            "the accepted key of * was never the guest's",
            "The master has accepted a key for this id that no host told as its guest's, so it may be somebody else's.",
            "See whose it is (salt-key -f with the id). If nothing uses it, salt-key -d with the id, then run again.",
        ),
        (
            "The pillar of * has none of *",
            "The master has a pillar of its own, for the id that the message names, and its top.sls gives "
            "nothing of what is asked for to that id.",
            "Give that id the site's pillar in top.sls; the example's is pillar/top.sls.",
        ),
        (
            "Graphviz lays the picture out",
            "The program dot of Graphviz is missing on the master, or refused the picture.",
            "apt-get install graphviz; onepass.status tells the same as text meanwhile.",
        ),
        (
            "The picture cannot be written: *",
            "The page was drawn, and the file system took no file at that path, for the reason at the end.",
            "Name another path, whose folder the one who calls salt-run may write: onepass.graph /srv/www/estate.html",
        ),
        (
            "* still runs: salt-run onepass.watch *",
            "A run that has not ended has no first cause yet.",
            "Watch it to its end, then ask onepass.explain again.",
        ),
        (
            "no answer; the minion is off, cut off, or busy",
            "A host that a phase is for did not answer its master in time. The phases after it were not begun.",
            "salt ID test.ping; systemctl status salt-minion there. Then run again: what is done has nothing to do.",
        ),
        (
            "nothing was begun beside it",
            "Another run of the same area goes on, and two at once would wait for each other, or undo each other's "
            "waiting. The message tells since when, by whom, and the command that follows it.",
            "Follow that one, and run again when it has ended; or let the run wait: onepass.run with wait=True. "
            "To have both at once, on purpose: beside=True; of a plain state.orchestrate "
            "pillar='{onepass: {beside: True}}'.",
        ),
        (
            "still after * s of waiting for its end: nothing was begun",
            "onepass.run was to wait for another run of the same area, which did not end in that time.",
            "salt-run onepass.watch shows what that run waits for. Run again with a longer wait, in seconds.",
        ),
        (
            "Stopped while waiting for the end of job *: nothing was begun",
            "Ctrl-C, while onepass.run waited for another run. That one goes on; of this one nothing was begun.",
            "Run again when you want it.",
        ),
        (
            "no answer; the master was restarted during the run",
            "The run outlives a restart of the master, but what hosts answered while there was none is lost to it. The "
            "hosts are probably well, and have done their work.",
            "Run again: what is done has nothing to do.",
        ),
        (
            "format: * is unknown; known are *",
            "A plan is told as text, or as Markdown or HTML for a ticket.",
            "Give one of the formats that the message names; for programs there is --out=json.",
        ),
        (
            "No orchestration began within * s",
            "onepass.watch waits for a run that somebody else starts; none was started on this master.",
            "Start one, or give the job's id to watch one that has begun already.",
        ),
        (
            "No job * in the master's job cache",
            "The master forgets jobs after keep_jobs_seconds (a day), or the id has a typing error.",
            "Take one of the ids that the message lists; salt-run jobs.list_jobs has all.",
        ),
        (
            "Job * is *, no orchestration and no states of minions",
            "Only runs of states have phases and causes.",
            "salt-run jobs.lookup_jid shows any other job.",
        ),
        (
            "The orchestration ended in an error of Salt's: *",
            "Salt itself broke off: an argument that it does not take, a file or a process that it could not have. "
            "The words after it are Salt's own.",
            "The last line of them names the cause. Mend that and run again: what is done has nothing to do.",
        ),
        (
            "The job cache has no return of the master's own for this job",
            "A job of that id is an orchestration, and what is kept of it comes from minions alone: it was killed, or "
            "a minion has returned something in its name.",
            "salt-run jobs.lookup_jid shows what is there, and from whom; run the orchestration again.",
        ),
        (
            "does not run any more and has not told its end",
            "The process of the run, or the master, was killed. What the minions were doing they have finished by "
            "themselves.",
            "Run the same again. The world is the state: what is done has nothing to do.",
        ),
    ],
    "MongoDB: who is asked, and what is there": [
        (
            "* is no router (mongos) but *",
            "A command for a cluster's router was sent to a member of a set, or to a server of its own: a port or a "
            "host was confused.",
            "Give the router's address (mongodb:routers). What a member itself knows: mongo_replset.members.",
        ),
        (
            "* is a router (mongos), which is in no replica set",
            "A question on a replica set was sent to a router, which has no set of its own.",
            "Give a member's address; all sets of the cluster at once: mongo_shard.topology.",
        ),
        (
            "* is *; a member of a replica set is wanted",
            "The server runs, but is in no replica set: it was started without one, or nobody has initiated its set "
            "yet (rs.initiate()).",
            "The state mongo_replset.replset_present on the set's first member gives birth to the set and adds the "
            "others.",
        ),
        (
            "*, which brings the members into *, refuses: *",
            "This member waits to be taken into its set, which the set's first member does; and that will not, for "
            "the reason after the colon.",
            "Mend that reason; it is told for the first member too. Then run again.",
        ),
        (
            "the set has members that are not listed: *",
            "The pillar leaves out members that the living set has. They are never removed unasked, so a run would "
            "refuse it.",
            "Add them to the set's members; or, if they are replaced or go, say remove_extra: true at that set, and "
            "take it away again after the run.",
        ),
        (
            "the living members are at *, and their set knows them by these ports only",
            "The pillar gives members that live other ports. A set knows its members by host and port, so they would "
            "be strangers to it.",
            "Put the former ports back. How to move a set, one member after another, is told at: The living member of "
            "* on * is at port.",
        ),
        (
            "* is no option of PyMongo's",
            "The connection has a key that MongoClient does not have: one of another driver's or of a program's.",
            "Take the option that is proposed; all of them stand in PyMongo's documentation of MongoClient.",
        ),
        (
            "* is no unit of the formula's",
            "Only units that the formula makes are removed by name: mongod- with the set's name, or mongos.",
            "Correct the name; anything else is removed by hand.",
        ),
        (
            "* is no directory of the formula's programs",
            "Former programs are looked for beside the wanted ones, whose directory has the archive's hash as name.",
            "Give the directory that the formula has unpacked, /opt/mongodb/<hash>.",
        ),
        (
            "* does not start a daemon with *: somebody else has made it",
            "The unit has a name of the formula's, but starts something else: another program or person wrote it.",
            "Look at it (systemctl cat), and remove it by hand if it is not needed.",
        ),
        (
            "*: this host is not run by systemd, which keeps the daemons",
            "The formula gives each daemon a unit of systemd's, and /run/systemd/system is not there: a container "
            "without an init, or a distribution with another one.",
            "Run the minion where systemd is process 1, a container that boots among them.",
        ),
        (
            "* does not stop; journalctl -u * says why",
            "systemd could not end the daemon.",
            "Look at the journal that it names, end the daemon by hand, then run again.",
        ),
        (
            "* holds no data of MongoDB's",
            "The daemon's data directory was to be deleted and has not what MongoDB's data have: another disk may be "
            "mounted there, or the path is wrong.",
            "Look what it is, and delete it by hand; or leave data out of mongodb:gone.",
        ),
        (
            "* is a filesystem of its own in *; umount it first",
            "The daemon's data directory was to be deleted, and another filesystem is mounted somewhere in it: its "
            "files would go too, and its mount point could not. Nothing was stopped or deleted.",
            "Look what is mounted there (findmnt), umount it, and run again; or leave data out of mongodb:gone.",
        ),
        (
            "* is where * has its data too",
            "Two units have the same data directory, or one lies in the other's.",
            "Leave data out of mongodb:gone, and delete by hand what is needed no more.",
        ),
    ],
    "Branches": [
        (
            "* holds more than * files and folders: it is no folder of pillar files alone",
            "Pillar files are looked for in all of a folder; this one holds other things, or is the whole filesystem.",
            "Correct branches:directory, or pillar_roots in the master's configuration.",
        ),
        (
            "No directory of branches: *",
            "The check of all branches reads their pillar files from a directory that is not on this machine.",
            "Name the directory that holds one file per branch, as pillar/branch does.",
        ),
        (
            "the rings have no branch without a fault",
            "Only branches whose files have no fault can be looked at, and the rings name none of these.",
            "salt-run onepass.check branches names the faults.",
        ),
        (
            "Nothing proves that this host is reachable",
            "A change of the rules waits for a new connection to headquarters as a proof; there was none. It will be "
            "taken back.",
            "Give branch:confirm:reach an address:port at headquarters that takes connections; without it, the "
            "master's port 4506 is tried.",
        ),
        (
            "Too late: the change has just been taken back",
            "The proof came after branch:confirm:within seconds; the host is as it was before.",
            "Run again; raise branch:confirm:within for slow links. If it says so again, the taking back was cut: "
            "bridge_nat.rollback finishes it.",
        ),
        (
            "* is neither a workstation nor the gateway of its branch",
            "The minion's id has no entry in the branch's pillar, so there is nothing it should be.",
            "Add the host below branch:hosts, or correct the id: <host>.<branch>.",
        ),
        (
            "Neither way works here. nft: *; ebtables: *",
            "Both ways were tried in a namespace, and the kernel refused both.",
            "Load the kernel modules that the message names (nft_redir, ebt_redirect), or update the kernel.",
        ),
        (
            "A wrong MAC would take the VM off the network",
            "The VM in libvirt has another MAC than the pillar. Rules made for the wrong one would swallow the "
            "VM's traffic, so nothing was loaded.",
            "virsh domiflist shows the real one; correct vm:mac in the branch's pillar.",
        ),
        (
            "* is not there; there are *. Correct *",
            "The pillar names a network card that this host does not have; a new board or kernel may have renamed it.",
            "Take a name from the list in the message.",
        ),
        (
            "* is the bridge of a libvirt network",
            "libvirt would answer DHCP and NAT on that bridge, against the branch's own network.",
            "Choose another branch:bridge, or take the libvirt network down as the message says.",
        ),
        (
            "* is there and is no bridge",
            "A device of the bridge's name exists already and is something else; it is never overwritten.",
            "Choose another name for the bridge, or remove that device yourself.",
        ),
        (
            "* is a port of * already",
            "The uplink belongs to another bridge; to move it would cut whoever uses that one.",
            "Take it out of there, or name that bridge in the pillar.",
        ),
        (
            "-save cannot list the nat table",
            "iptables' and nft's rules share a table in a form that iptables cannot read, so ours cannot be compared.",
            "Move the foreign nft rules into a table of another name than nat.",
        ),
        (
            "* is not a port of * after all",
            "A guest's card was put on the bridge, and something else took it off at once.",
            "Look for a second manager of that card: NetworkManager, another hook of libvirt, a script.",
        ),
    ],
    "Networks with names": [
        (
            "are on the network *: move them first",
            "Guests have cards on the network that should go; they would be cut off.",
            "Move or stop these guests, or say force: True if they may lose it.",
        ),
        (
            "There is no network * of ours",
            "No network of that name was made by dnsmasq_fwd on this host.",
            "Check the spelling and the backend; the files of ours lie where the message says.",
        ),
        (
            "is a device already, and no bridge",
            "A bridge of that name cannot be made, as another kind of device has the name.",
            "Give the network's bridge another name.",
        ),
        (
            "is somebody else's bridge, with *",
            "The bridge has addresses and none of our networks: the host's own, libvirt's or a container program's. "
            "Taken over, it would lose them, and the host its link.",
            "Give the network a bridge of its own. One that nobody needs any more: ip link delete dev NAME.",
        ),
        (
            "is in use on this host already, by *",
            "Another device of this host has an address in that network, or a route leads to it, as a VPN's. Guests "
            "and whoever is reached there would not be told apart.",
            "Give the network another address; or take that device's away (ip address; ip route).",
        ),
        (
            "is on the bridge *: give bridge: *",
            "The network was made with another bridge, which would stay with its address and its guests.",
            "Keep that bridge, or take the network away first (dnsmasq_fwd.absent) and make it anew.",
        ),
        (
            "is there with the backend *",
            "The other backend has a network of that name on this host; both would have one address.",
            "dnsmasq_fwd.absent with that backend, then run again. The file named is all that is left of a network "
            "that was removed by hand: delete it.",
        ),
        (
            "the pillar has none at branch:dns",
            "The function was called without a network, and this minion's pillar does not describe one either.",
            "Give name, domain and address, or fill branch:dns.",
        ),
        (
            "backend is *; network or bridge",
            "A backend of another name does not exist.",
            "network (libvirt's) or bridge (our own).",
        ),
        (
            "way is *; auto, *",
            "The host's own names cannot be looked up in a way of another name.",
            "auto takes the program in charge; the message lists the others.",
        ),
        (
            "libvirt's binding in Salt's Python",
            "Salt runs in a Python of its own, which has no libvirt-python; the distribution's python3-libvirt is "
            "not seen by it.",
            "apt-get install libvirt-dev gcc pkg-config; salt-pip install libvirt-python; restart the minion.",
        ),
        (
            "dnsmasq does not take the option*",
            "dnsmasq itself tried the new configuration and refused it. The running one was not touched.",
            "Correct options; man dnsmasq has each without its dashes.",
        ),
        (
            "is a network of the kind *, which is not managed",
            "The network has no NAT and no dnsmasq of libvirt's, or routes: it bridges guests to the host's own link, "
            "gives them devices, or leaves the firewall to somebody else. Taken over, it would lose that.",
            "Give the network of names a name of its own.",
        ),
        (
            "has several IPv4 addresses (*), which is not managed",
            "Of a libvirt network with several IPv4 addresses it is not told which one is the network's.",
            "Leave one (virsh net-edit), or give the network of names a name of its own.",
        ),
        (
            "is reserved for * in * by somebody else",
            "A reservation that Onepass did not make has the address; libvirt takes no second one for it.",
            "Another address for the name, or virsh net-update NAME delete ip-dhcp-host if that guest is gone.",
        ),
        (
            "libvirt does not take the definition of *",
            "libvirt's own parser tried the new definition and refused it. Nothing was changed.",
            "The words after it are libvirt's. What others put into the definition may not go with it: "
            "virsh net-dumpxml shows that.",
        ),
        (
            "The dnsmasq of network * does not run",
            "libvirt says that the network is active, and its dnsmasq has died: no DHCP, no names.",
            "dnsmasq_fwd's state restarts it and brings every guest back; journalctl tells why it died.",
        ),
        (
            "libvirt has no network *",
            "The name is none of libvirt's networks on this host.",
            "Take a name that virsh net-list --all shows.",
        ),
        (
            "libvirt, network *: *",
            "libvirt refused an operation on the network; the words after the colon are its own.",
            "Mend what they name (a bridge's name or an address in use are frequent), and run again.",
        ),
        (
            "Network * runs as before, for it did not start: *",
            "The new definition would not start, so the old one was put back and runs.",
            "Mend what libvirt's words name; guests have noticed a short break.",
        ),
        (
            "* is in charge of * here: give way",
            "Another program owns the host's resolver; writing past it would be undone at its next change.",
            "Use the way that the message names, or auto.",
        ),
        (
            "* writes * here and would undo any change",
            "A program that makes /etc/resolv.conf anew, at each lease or boot, is in charge of it.",
            "Give it the nameserver in its own configuration, which the message names; or way: nss, which leaves "
            "/etc/resolv.conf alone.",
        ),
        (
            "systemd-resolved has no nameserver but FallbackDNS*",
            "Its FallbackDNS, which it may have been built with, counts only while no link has a nameserver. With the "
            "network's, the host would find no other name any more.",
            "DNS= in /etc/systemd/resolved.conf, with the host's nameservers; reload systemd-resolved, run again.",
        ),
        (
            "No device of this host has *: the network has to run first",
            "systemd-resolved is told of a nameserver per link, and the network's bridge is not there.",
            "The state of the network first (require), then the resolver's.",
        ),
        (
            "The dnsmasq at * does not know * itself",
            "Each network of dnsmasq_fwd has a name by which a host proves that it asks there. Another program answers "
            "at that address, or the network was not brought to its state yet.",
            "The state of the network first, with the same domain and address.",
        ),
        (
            "libnss_libvirt.so.2 is not installed",
            "The host's own lookups of guests' names go through that library.",
            "apt-get install libnss-libvirt.",
        ),
    ],
}


def __virtual__():
    return "onepass_errors"


def entries() -> list:
    """
    All explanations, in the order of the areas.

    Returns:
        List of mappings: ``error``, ``area``, ``meaning`` and ``solution``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_errors.entries

    .. versionadded:: 0.1.0
    """
    others = ("onepass_backend_errors", "onepass_directory_errors", "onepass_pillar_errors")
    parts = [ERRORS, *(__salt__[f"{name}.known"]() for name in others)]
    return [
        {"error": error, "area": area, "meaning": meaning, "solution": solution}
        for part in parts
        for area, known in part.items()
        for error, meaning, solution in known
    ]
