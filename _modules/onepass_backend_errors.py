"""
What the messages of MongoDB, virtual machines and OpenStack mean: a part of :py:mod:`onepass_errors`.

.. versionadded:: 0.1.0

To read them::

    salt-call --local -m . onepass_backend_errors.known
"""

# Area to (form of the message, meaning, solution).
ERRORS = {
    "MongoDB": [
        (
            "* is no connection; *a mapping of MongoClient options",
            "The argument connection has a form that no driver can use.",
            "Give a mongodb:// URI, a mapping with host, or the path of such a mapping in the pillar.",
        ),
        (
            "the URI is no connection; *",
            "PyMongo cannot read the URI, or it is a mongodb+srv:// one. It is not shown: it may hold a password.",
            "Write it as the message says, or as a mapping with host and the options.",
        ),
        (
            "is no server's address; *",
            "A member of a set was named without its port.",
            "Write it as s1a.dc:27017.",
        ),
        (
            "is no value in MongoDB's extended JSON",
            "A key such as $date says that the value is written in MongoDB's extended JSON, but it cannot be "
            "read as one.",
            "Correct it as the words after the colon say; a date needs its zone, such as {$date: "
            "'2026-01-01T00:00:00Z'}.",
        ),
        (
            "* is on fewer members than asked for: *",
            "The primary has the change, and not as many members as the write concern asks for: they are down, slow, "
            "or there are not so many. An election now could undo it.",
            "salt-run onepass.status names the members; when they are back run again. If the set's default write "
            "concern asks for more members than there are, lower it: mongodb:default_rw_concern.",
        ),
        (
            "* takes connections, but does not answer *: it is frozen, its disk hangs, or the network loses much",
            "The port is open and no answer comes: the process is stopped, or waits for its disk, and its unit is "
            "active all the same; or what is sent is lost on the way. A set goes on without it as long as most of its "
            "members answer.",
            "ps -o stat,wchan -C mongod on that host: T is stopped (kill -CONT), D waits for the disk (dmesg); S "
            "waits for its clients: ping that host from here. Then run again.",
        ),
        (
            "; so it has been for * s",
            "A server takes connections and answers nobody, for a minute by now: a run does not wait longer for it. "
            "Hosts that do not wait for it have done their part.",
            "Thaw that process, or restart its unit (systemctl kill --signal=KILL where a stop hangs too); run again.",
        ),
        (
            "No credentials at *",
            "The path in the connection leads to nothing in this host's pillar or configuration. Passwords are "
            "never taken from the command line.",
            "Put username and password at that path, and refresh the pillar; mind which minions get the secrets file.",
        ),
        (
            "connection to *: *",
            "PyMongo refused an option before it connected, or a file that an option names cannot be read.",
            "The words after the address name the option or the file; PyMongo's documentation lists all options.",
        ),
        (
            "MongoDB does not change that in place",
            "An index of these keys exists with other options. To replace it, it has to be dropped, and queries "
            "would be slow meanwhile: that is your decision.",
            "Drop it in a quiet hour and run again; the run builds the wanted one.",
        ),
        (
            "has its text index already",
            "MongoDB takes one text index in a collection. To have other fields in it, it is dropped and built again, "
            "and text searches fail meanwhile: that is your decision.",
            "Drop it in a quiet hour and run again; the run builds the wanted one.",
        ),
        (
            "database.collection is wanted",
            "A collection was named without its database, or the other way round.",
            "Write it as bank.transfers.",
        ),
        (
            "has an index * on *, not on *; give the new one another name",
            "An index name is taken by an index on other keys.",
            "Give the new index a name of its own.",
        ),
        (
            "has members that are not wanted",
            "The living replica set has members that the list lacks. A run never removes a member by omission.",
            "Add them to the list, or say remove_extra: True if they are to go.",
        ),
        (
            "gets no arbiter before the default write concern is set",
            "With an arbiter, writes of clients that name no concern would suddenly be acknowledged by one "
            "member; MongoDB wants that decided first.",
            "Say write_concern: majority in the state (or 1, so that writes go on when one of two members with data "
            "is down), then run again. Shards and config servers need none of it.",
        ),
        (
            "is a shard, which has its cluster's default concerns",
            "A cluster's config servers keep the concerns that hold for all its clients; a shard takes none.",
            "Leave write_concern out of the shard's replica set, and apply mongo_shard.default_rw_concern to a router, "
            "or say mongodb:default_rw_concern in the pillar.",
        ),
        (
            "are one server; name each server once",
            "Two addresses of the list reach the same process, by an alias or by an address for a name.",
            "Keep one of the two.",
        ),
        (
            "has the configuration of a replica set that does not know it by its address",
            "Its port or its host's name was changed, or it was removed from its set: nobody there knows it at "
            "this address, and it thinks itself alone.",
            "Give it its former port and name again. A member that was removed for good needs an empty data "
            "directory before it joins another set.",
        ),
        (
            "is in no replica set and lets us not in",
            "A blank member gets its first user over loopback; this one does not allow that, or has users already.",
            "Leave setParameter:enableLocalhostAuthBypass out of the options until the set is born, or empty "
            "the data of a server that belonged elsewhere.",
        ),
        (
            "is a living member of replica set *, so * cannot be there",
            "Another replica set's member answers at the port that this one is to have; a set was renamed in "
            "the pillar, or two share a port. MongoDB cannot rename a set.",
            "Give the set its former name, or end the other member's life in its own set first.",
        ),
        (
            "The living member of * on * is at port",
            "A set knows its members by host and port. All members that come back at another port are strangers"
            " to it, and the set is gone for its clients. Routers look for them where the pillar says, so a router does"
            " not change either while members would have to move with it.",
            "Put the former port back; to move the routers alone, say their ports (routers: ['r1.dc:27117']). To move "
            "a set of three or more, one member after another, the primary last: say this one's port alone (host: ..., "
            "port: ...) in the pillar; where it is primary, rs.stepDown() there; on the primary, c = rs.conf(), "
            "c.members[N].host = 'HOST:NEWPORT', rs.reconfig(c); then run. The member comes back there with its data, "
            "and the next one follows when it is SECONDARY. At the end mongodb:port can say it for all.",
        ),
        (
            "The data of * here is in *, not in *",
            "storage:dbPath of a member that has data was changed. It would start without them: a set of one "
            "loses all, a larger one copies everything to each member anew.",
            "Put the former path back. Or, on one member after another: stop its daemon, move the directory, say the "
            "path in the pillar, run. A member that is to get its data anew from its set: stop its daemon and delete "
            "the former directory.",
        ),
        (
            "The data of * here was made with *, not *, which counts at birth only",
            "MongoDB makes a member's files one way or the other when it starts for the first time, and does not start "
            "with an option that says otherwise.",
            "Put the option back. Or, on one member after another, a secondary first: stop its daemon, empty its "
            "directory, run; it gets its data from its set.",
        ),
        (
            "is a member of replica set *, not of *",
            "The mongod there belongs to another set and holds its data.",
            "Take the host out of one of the two lists; to reuse it, empty its dbPath first.",
        ),
        (
            "was started without a replica set",
            "A mongod without replSetName cannot join.",
            "Set replication.replSetName in its configuration and restart it; the formula mongodb does both.",
        ),
        (
            "cannot be changed in place; remove the member from the list",
            "MongoDB fixes this setting of a member when it is added.",
            "Two runs on purpose: one without the member, one with it.",
        ),
        (
            "is a member of *, not of *, whose oplog is meant",
            "The server at this address is no member of the replica set that the state names; only a set's member has "
            "an oplog.",
            "Correct the connection or the set's name. A mongod without replSetName is given one first.",
        ),
        (
            "is an arbiter of *, which has no oplog",
            "An arbiter holds no data, its replica set's operations neither.",
            "Let the state run on the other members only; the formula mongodb does.",
        ),
        (
            "The oplog of * is not WiredTiger's",
            "MongoDB can resize the oplog of one storage engine only.",
            "Build the member anew with the size in its configuration: stop it, empty its dbPath, start it; it copies "
            "all data from the others.",
        ),
        (
            "MongoDB makes none smaller than * MB of it",
            "A new oplog can have any size, but MongoDB does not resize one to less than 990 MB.",
            "Give mongodb:oplog_mb 990 or more, or the size that the oplog has. A smaller one takes a member that is "
            "built anew: stop it, empty its dbPath, start it.",
        ),
        (
            "* does not start; journalctl -u * says why",
            "systemd could not execute the daemon with its new files. Of its set no other member was restarted.",
            "Read what journalctl says, correct the pillar, then run again, which starts the daemon.",
        ),
        (
            "* does not stay up; its own log or journalctl -u * says why",
            "The daemon ends when it has read its new files; mostly it refuses a key or a value of mongodb:options. "
            "Of its set no other member was restarted, so the set goes on.",
            "Its log below /var/log/mongodb ends with the reason. Correct the pillar, then run again.",
        ),
        (
            "* did not serve again after its restart, so * was not restarted",
            "A member of the same set, or another router, was restarted first and did not come back; this one goes on "
            "with its former files.",
            "Mend that one, which the run names with its own error, then run again; the others have their turns then.",
        ),
        (
            "is not sharded; mongo_shard.collections lists",
            "The question makes sense for sharded collections only.",
            "Take a name from mongo_shard.collections.",
        ),
        (
            "says that it is shard * of cluster *",
            "These members carry the identity of another shard or cluster in their data; adding them could mix "
            "two clusters.",
            "Name the right set, or empty the members' data before they join.",
        ),
        (
            "has its primary on *, not on *",
            "Moving a database's primary copies its unsharded data and disturbs writers, so no run does it.",
            "movePrimary in a quiet hour, as the message says; then run again.",
        ),
        (
            "a shard key is never changed by a run",
            "A collection is sharded on another key. Changing it rewrites all of it.",
            "Refine or reshard it by hand with the command in the message; then the run finds nothing to do.",
        ),
        (
            "only a new collection can change that",
            "Whether a shard key is unique is fixed when the collection is sharded.",
            "Correct the pillar, or copy into a new collection.",
        ),
        (
            "which shares no member with",
            "A shard of that name exists with entirely different members.",
            "Give the new shard another name.",
        ),
        (
            "belongs to shard * already; use that name",
            "The replica set is in the cluster under another name.",
            "Use the name that it has.",
        ),
        (
            "the connection's credentials are those of",
            "The state's name and the credentials name two users.",
            "Give both the same.",
        ),
        (
            "to create it, password is needed",
            "A user of a database cannot be made without a password.",
            "Give the state password, the path of the password in the secrets pillar.",
        ),
        (
            "the connection needs credentials",
            "The administrator is made with the name and password at the connection's credentials, and there are none.",
            "Put username and password into the secrets pillar, and their path into the connection.",
        ),
        (
            "No password at *",
            "The path leads to no text in this minion's pillar.",
            "Put the password at that path in the secrets pillar.",
        ),
        (
            "Replica set * cannot be looked at",
            "The set has no primary that tells its configuration.",
            "See that a majority of its members runs and reaches each other, then run again.",
        ),
        (
            "is no router: * answers there",
            "A command for the whole cluster reached a mongod.",
            "Connect to a mongos; the pillar names them at mongodb:routers.",
        ),
        (
            "and an index holds one array a document (code 171)",
            "Some document already has arrays in both fields. MongoDB makes a key for each entry, and for two "
            "arrays one for each pair: it refuses.",
            "Index one of the two fields, or make two indexes.",
        ),
    ],
    "Virtual machines": [
        (
            "Cannot *: *",
            "libvirt refused an operation; the words after the colon are its own.",
            "Mend what they name. That libvirtd does not run, or that Salt does not run as root, are the usual causes.",
        ),
        (
            "* was cloned from *; destroy that first",
            "The disk is the base of other VMs' disks, which would be lost.",
            "Destroy the clones first; libvirt_template.users shows what hangs on what.",
        ),
        (
            "not as written when read back",
            "What was written into a disk is not there when it is read again.",
            "Look at the free space of the pool (df), then run again: the clone is made anew.",
        ),
        (
            "cannot be opened: *. Is a VM running with it",
            "The disk is locked by a running VM, or the export by FUSE is not possible here.",
            "Shut the VM down; modprobe fuse if /dev/fuse is missing.",
        ),
        (
            "libvirtd at * takes connections, but did not answer for * s",
            "libvirtd is there and hangs: stopped, or it waits for a disk or a lock. Guests go on without it.",
            "systemctl restart libvirtd on that host, and see why in journalctl -u libvirtd; then run again.",
        ),
        (
            "a partition table of * entries of * bytes at sector * is none",
            "The numbers in the disk's table are none that a program writes; a guest's root can write any.",
            "Look at the disk from inside of its guest, with gdisk. Nothing else is kept back by it.",
        ),
        (
            "its * has * bytes; at most * are read of a disk",
            "A file that names a system is small. One of that size is refused before it fills this host's memory.",
            "Make it smaller inside of the guest, or take that disk out.",
        ),
        (
            "qemu-storage-daemon ended, or had no answer for * s",
            "QEMU's server of disks did not start here, was killed, or hangs, while a disk was read or written.",
            "See what qemu-storage-daemon --version says; the next run makes anew what is unfinished.",
        ),
        (
            "on the disk cannot be mounted or changed",
            "The kernel refused the filesystem in the disk: unknown to it, or damaged.",
            "Load its module, or check it from inside of the VM; identity=nocloud does without mounting.",
        ),
        (
            "NoCloud needs pycdlib",
            "The seed disk of cloud-init is written by that library.",
            "salt-pip install pycdlib.",
        ),
        (
            "is off: it was not started, or its system stopped",
            "Something waits for a VM that does not run.",
            "Start it (libvirt_clone.power_on), then look at its console: virsh console.",
        ),
        (
            "has no host key of ours",
            "With identity=none nothing was written into the clone, so no host key is known.",
            "Wait until=name only, or clone with an identity.",
        ),
        (
            "No ssh-keyscan on this host",
            "The host key of a VM is read by OpenSSH's own program.",
            "apt-get install openssh-client.",
        ),
        (
            "Cannot give the lease of * back",
            "The dnsmasq of the network did not take the release; the address stays taken until the lease ends.",
            "Check that the network runs; the lease also goes by itself.",
        ),
        (
            "No storage pool *",
            "The named pool, or one on the template's directory, is not defined in libvirt.",
            "virsh pool-list --all; define one with virsh pool-define-as, or name another.",
        ),
        (
            "is not active; virsh pool-start",
            "The pool is defined and stopped.",
            "virsh pool-start, and pool-autostart for the next boot.",
        ),
        (
            "is no directory of this host",
            "Linked clones need a pool of type dir on this host.",
            "Use such a pool.",
        ),
        (
            "no disk to write an identity on",
            "No filesystem that can be written to was found in the template.",
            "Choose one of the identities that the message lists.",
        ),
        (
            "has no generation * of",
            "A generation is one sealing of a template; that one does not exist.",
            "Leave generation out for the newest, or seal the template.",
        ),
        (
            "has no network interface",
            "The template has no card, so a clone can join no network, and never gets an address.",
            "Add one to the template and seal it again, or wait until=started only.",
        ),
        (
            "is not sealed",
            "Only a sealed template has a base that clones can share.",
            "Shut it down and libvirt_clone.seal it.",
        ),
        (
            "is running; shut it down",
            "A running VM writes to its disk; a base must stand still.",
            "virsh shutdown, then seal.",
        ),
        (
            "was changed since it was sealed",
            "The template was booted or changed; clones of the old base would not have that.",
            "Seal it again; older clones keep their own base.",
        ),
        (
            "This host's root has no ssh key",
            "Identity ssh logs in to the clone as root.",
            "ssh-keygen -t ed25519 as root, and put the public key into the template.",
        ),
        (
            "There is no domain *",
            "libvirt has no VM of that name on this host.",
            "virsh list --all; mind the connection, qemu:///system.",
        ),
        (
            "is a clone already",
            "libvirt_clone.make makes what is absent or unfinished; that VM is finished, and stays as it is.",
            "Choose another name, or destroy it first: all that is on it is lost then.",
        ),
        (
            "was not made here; it stays as it is",
            "Only VMs that libvirt_clone made are changed or destroyed.",
            "Use virsh for that one, or another name.",
        ),
        (
            "Not undone, the next run will",
            "A step failed, and so did a part of clearing up after it.",
            "Mend what the first sentence names and run again; the rest is cleared then.",
        ),
        (
            "went off while it booted as its template",
            "The clone stopped before its identity was written over ssh.",
            "Look at its console; the template must boot by itself.",
        ),
        (
            "No archive of the guest's files came back",
            "Over ssh, the files of a clone are read and written by GNU tar, which is not in the template.",
            "Install tar in the template and seal it again, or another identity.",
        ),
        (
            "ssh root@*: *",
            "The login failed; ssh's own words follow.",
            "The template's root must trust this host's key and run sshd.",
        ),
        (
            "its host key is not known here",
            "A clone that boots as its template is sent its private keys over ssh, which whoever has its address would "
            "be given; and the template's host key is neither on a disk that can be read here nor in known_hosts.",
            "Read the key on the template's console (cat /etc/ssh/ssh_host_ed25519_key.pub), and write it, after the "
            "template's name, to the known_hosts file that the message names.",
        ),
        (
            "has not its template's host key",
            "Another host, or another guest, answers at the address that the clone was given; or the template makes "
            "new host keys at each boot. Nothing was sent to it, and the clone is taken away again.",
            "Look who has the address (ip neigh; virsh net-dhcp-leases). Where the template was given new host keys, "
            "write them to the known_hosts file, or seal it again.",
        ),
        (
            "the template's root must trust",
            "ssh reached the clone and was not let in.",
            "Put the key that the message names into the template's /root/.ssh/authorized_keys, and seal it again.",
        ),
        (
            "is an unfinished clone",
            "A cut run left this VM; it is no template.",
            "Run the clone again, which finishes it, or destroy it.",
        ),
        (
            "has no disk of its own to clone",
            "The domain has only CD-ROMs or disks of the network.",
            "Choose a template with a disk in a pool of this host.",
        ),
        (
            "has a saved state",
            "A saved VM's disk is not consistent without its memory.",
            "Start it and shut it down properly.",
        ),
        (
            "which one VM at a time can have",
            "The template names a device, port, socket or file that cannot be two VMs' at once, so no clone could have "
            "it beside the template.",
            "Remove it in the template and seal it again; give it to the VM that needs it by virsh attach-device.",
        ),
        (
            "is not known here",
            "The template's XML says something that the bundle has not learned. It may name a file or a socket, which "
            "the clone would share with its template.",
            "Remove it in the template, or report the form that is named with virsh version.",
        ),
        (
            "which may be for one VM at a time",
            "Arguments for QEMU itself may open ports and files of the host, which libvirt knows nothing of.",
            "Use libvirt's own element for it, or remove the argument in the template.",
        ),
        (
            "is encrypted",
            "The template's disk is encrypted. An overlay over it would not be, and QEMU opens no such pair.",
            "Use an image without encryption: qemu-img convert; encrypt inside of the VM instead.",
        ),
        (
            "is of type *, not a file",
            "A clone's disk is an overlay over a file, and its firmware's variables are a copy of one.",
            "Move it into a qcow2 file with qemu-img convert, and name the file by its path.",
        ),
        (
            "is a SCSI device of the host",
            "A device of the host is passed through as the disk; there is nothing to clone.",
            "Copy it into a file: qemu-img convert.",
        ),
        (
            "keeps its data in another file",
            "The disk is a qcow2 file whose data is in a second file; a clone would write into that.",
            "Make one file of the two: qemu-img convert.",
        ),
        (
            "has the format *",
            "Overlays are made over qcow2 and raw images only.",
            "Convert it: qemu-img convert -O qcow2.",
        ),
        (
            "is an overlay over",
            "The firmware's variables are in an overlay, and a copy of it would hang on the template's file.",
            "Merge it into the file below: virsh blockcommit, or remove the snapshot.",
        ),
        (
            "libvirt would not make *: *",
            "libvirt was asked what it would make of the clone's XML, and refused it; its own words follow. Nothing "
            "was changed.",
            "Mend what they name in the template, or leave out the argument that asks for it (memory, vcpu, network).",
        ),
        (
            "snapshots are in *, and sealing would leave them behind",
            "Sealing gives the disk an overlay, and virsh snapshot-revert looks for its snapshots there.",
            "Delete the snapshots that nobody needs (virsh snapshot-delete), or clone from a copy of the template.",
        ),
        (
            "has NUMA cells, which say what * there is",
            "Each cell has memory and CPUs of its own, and libvirt takes their sum, whatever else is said.",
            "Leave the argument out, or remove cpu/numa from the template (virsh edit) and seal it again.",
        ),
        (
            "was not unmounted",
            "The filesystem was in use when the VM stopped.",
            "Start it and shut it down from inside.",
        ),
    ],
    "OpenStack": [
        (
            "There is no cloud * in *; it has *",
            "clouds.yaml was read, and has no cloud of that name.",
            "Take one of the names that the message lists, in the call or at openstack:cloud.",
        ),
        (
            "No cloud is named",
            "Neither the call nor the pillar says which cloud.",
            "openstack:cloud in the pillar, as in clouds.yaml.",
        ),
        (
            "clouds_yaml names the file with cloud",
            "The file with the login is not on the host that talks to the cloud.",
            "Put clouds.yaml and secure.yaml there, mode 0600, or correct clouds_yaml.",
        ),
        (
            "short; raise list_limit",
            "The API answered fewer things than there are; a plan from that would be wrong.",
            "Raise list_limit in the service's configuration.",
        ),
        (
            "does not serve",
            "The cloud lacks an API extension that the table needs.",
            "Enable the extension in Neutron, or leave that key out.",
        ),
        (
            "with no JSON; look at its endpoint",
            "Something else than the API answers at the service's address, such as a proxy's page.",
            "openstack endpoint list shows the address; curl it from that host, and correct it.",
        ),
        (
            "Keystone refuses the login",
            "User, password, project or domain in clouds.yaml is wrong.",
            "openstack --os-cloud NAME token issue shows the same; correct secure.yaml.",
        ),
        (
            "No login to cloud",
            "Keystone was not reached, or its answer was no answer.",
            "Check auth_url and the certificate from that host with curl.",
        ),
        (
            "There is no domain *; known are",
            "The projects' domain is not in Keystone.",
            "Take a name from the list; capitals count.",
        ),
        (
            "physical_network is needed",
            "A VLAN needs to know which physical network carries it.",
            "As in Neutron's network_vlan_ranges: physnet1.",
        ),
        (
            "cannot be read",
            "The table's file is missing or closed to this user.",
            "Correct the path; mode and owner.",
        ),
        (
            "* is no table; did you mean path=*",
            "The first argument of neutron_vlan.lint is the table itself; a file's name was given in its place.",
            "Write path= before the name.",
        ),
        (
            "* has no key openstack, which holds the table",
            "A pillar file holds the table below the key openstack; this one has it at its top, or another area's.",
            "Put openstack: above the table and indent that.",
        ),
        (
            "cannot be rendered",
            "Jinja or YAML of the table's file has a mistake.",
            "The words after the file name say line and reason.",
        ),
    ],
    "Lessons of MongoDB": [
        (
            "Lesson: indexes before the load",
            "A load into a collection without its index makes the build afterwards read everything again, and "
            "every query before it scans.",
            "Describe indexes in the pillar: a run makes them before it shards, on an empty collection.",
        ),
        (
            "Lesson: one array per index",
            "An index on two fields that both hold arrays is refused by the first document that has both (code 171).",
            "Name such fields at arrays in the pillar: onepass.check refuses the index before any document exists.",
        ),
        (
            "Lesson: padding is of the past",
            "MMAPv1 moved documents that outgrew their place, and padding avoided it. WiredTiger writes a "
            "document anew in any case.",
            "Do not pad documents; old advice on paddingFactor has no effect.",
        ),
        (
            "Lesson: writes to indexed fields",
            "Each write to an indexed field writes to every index that has it. Counters and time stamps in "
            "indexes make a fast write slow.",
            "Keep what changes all the time out of indexes, or in a collection of its own.",
        ),
    ],
}


def __virtual__():
    return "onepass_backend_errors"


def known() -> dict:
    """
    The explanations as data: area to a list of form, meaning and solution.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_backend_errors.known

    .. versionadded:: 0.1.0
    """
    return ERRORS
