"""
What the faults of a pillar mean, and those of a state's arguments: a part of :py:mod:`onepass_errors`.

.. versionadded:: 0.1.0

A fault's own line says what would be right there; here is why it is asked for. To read them::

    salt-call --local -m . onepass_pillar_errors.known
"""

# Area to (form of the message, meaning, solution).
ERRORS = {
    "The pillar: its form": [
        (
            "is an unknown *;",
            "A key that nothing reads; a typing error would go unseen otherwise.",
            "The message proposes the nearest key; the pillar reference lists all.",
        ),
        (
            "has an unknown key",
            "A strange key stands among secrets, so it is not shown.",
            "Compare with the keys that the message lists.",
        ),
        (
            "is missing",
            "A key without a default is not there, or another key makes it necessary.",
            "Add it; the message says what it may be.",
        ),
        (
            "is empty",
            "Something must be in it for the part to mean anything.",
            "Fill it, or leave the whole part out.",
        ),
        (
            "not a string",
            "YAML read a key or value as another type: on, 5 and 1.10 are no strings.",
            "Put it in quotes.",
        ),
        (
            "is *, not *;",
            "The value has another type than what reads it can use. YAML makes a number of 5, a truth value of yes, "
            "and a string of '5'.",
            "Write it as the message says: with or without quotes, as a list, as a mapping.",
        ),
        (
            "is the number *;",
            "A number outside of its range, or a number where a text belongs.",
            "The message says the range, or asks for quotes.",
        ),
        (
            "is '*';",
            "A text that the key cannot have: a name with a strange character, an unknown choice, a malformed address.",
            "The message says what it may be; the pillar reference has it for every key.",
        ),
        (
            "is null;",
            "The key is there, and its value is not: an empty line in YAML.",
            "Give it a value, or leave the key out.",
        ),
        (
            "is a list",
            "Several values stand where another form belongs.",
            "Write it as the message says.",
        ),
        (
            "is true;",
            "A truth value stands where something else belongs; YAML reads yes, on and true as one.",
            "Write it as the message says, in quotes if the word itself is meant.",
        ),
        (
            "is no mapping",
            "A single value or a list stands where keys and values belong.",
            "Write the keys that the message names.",
        ),
        (
            "is no plain YAML",
            "The branches' files are read without Salt, so they hold data only.",
            "Take the Jinja out; what differs between branches is in their own files.",
        ),
        (
            "is nested too deep, or holds itself",
            "An alias (*name) stands inside of what its anchor (&name) names, or brackets are opened without an end.",
            "Write the value in full there.",
        ),
        (
            "half of a character in it, a surrogate",
            "A pair such as \\ud83d\\ude00 was cut, or stands where no pairs are known; no text can hold one half.",
            "Write the character itself, or \\U0001f600 with its eight digits.",
        ),
        (
            "is a key of * characters",
            "Names become parts of states' ids, and keys in YAML have 1024 characters at most.",
            "Give a shorter name; a sign that has to be written as \\u and four digits counts as six.",
        ),
        (
            "is no UTF-8, with the byte *",
            "The file was saved in another encoding, such as Latin-1; Salt reads UTF-8.",
            "Save it as UTF-8: iconv -f latin1 -t utf-8 does it.",
        ),
        (
            "cannot be read: *",
            "The user that Salt runs as may not read the file.",
            "Give that user the right to read it; the words after the colon are the system's.",
        ),
        (
            "does not fit",
            "A secret has the wrong form; it is not shown.",
            "Write it as the message says.",
        ),
        (
            "has * entries",
            "There are too few or too many of them.",
            "The message says how many there may be.",
        ),
        (
            "twice",
            "The same entry is listed more than once.",
            "Leave one of them out.",
        ),
        (
            "is given twice",
            "A key stands twice in one mapping, and YAML takes the last of them without a word.",
            "Leave one of them out, or rename it.",
        ),
        (
            "is written *, which YAML reads as *",
            "012 is an octal number in YAML, and 12:30 one of base 60.",
            "Write the plain decimal number, or put the text in quotes.",
        ),
    ],
    "The pillar: addresses and networks": [
        (
            "overlaps",
            "Two networks share addresses; routing would send packets to the wrong one.",
            "Give one of them another CIDR.",
        ),
        (
            "outside of",
            "An address is not in the network that it belongs to.",
            "Correct the address, or the CIDR.",
        ),
        (
            "which is not inside of",
            "A range of addresses reaches beyond the hosts of its network.",
            "Shorten the range, or widen the CIDR.",
        ),
        (
            "which is no address",
            "The text does not read as an IP address.",
            "Write it in full, in quotes if it is IPv6.",
        ),
        (
            "which is no IP address",
            "The text does not read as an IP address.",
            "Write it in full, in quotes if it is IPv6.",
        ),
        (
            "without a prefix",
            "The network has no length, so nobody knows where it ends.",
            "The address, a slash and the length.",
        ),
        (
            "which is no network",
            "The text does not read as a network: an address, a slash and a length.",
            "Write it as 10.20.30.0/24.",
        ),
        (
            "which has host bits",
            "The address is one within the network and not the network's own.",
            "Take the network that the message proposes.",
        ),
        (
            "a network of * addresses",
            "The network is too small or too large for what is in it.",
            "Take a length that the message allows.",
        ),
        (
            "which hosts cannot have",
            "The network is one of multicast, loopback or of no address.",
            "Take a network for hosts.",
        ),
        (
            "the host's own",
            "The address is the one that the host has in this network.",
            "Take another of its addresses.",
        ),
        (
            "which no host can have",
            "The network is one of multicast, loopback or of no address.",
            "Take the network that your hosts have.",
        ),
        (
            "which no host of * can have",
            "The first and the last address of a network are not for hosts.",
            "Take another of its addresses.",
        ),
        (
            "the address of the network itself",
            "The first address of a network names the network.",
            "Take another of its addresses.",
        ),
        (
            "the network itself",
            "The first address of a network names the network.",
            "Take another of its addresses.",
        ),
        (
            "the broadcast address",
            "Packets to the last address of a network go to everybody.",
            "Take another of its addresses.",
        ),
        (
            "the address of cloud metadata",
            "169.254.169.254 is asked by every cloud image for its settings; a host there would answer in their place.",
            "Take another address.",
        ),
        (
            "the first or last of",
            "The first and the last address of a network are not for hosts.",
            "Take another of its addresses.",
        ),
        (
            "which is link-local",
            "Link-local addresses are the same in every branch and are never routed.",
            "Take a routable address.",
        ),
        (
            "which is *;",
            "An address of a kind that no host can be reached at: loopback, multicast, unspecified, link-local.",
            "Take an address that a host has.",
        ),
        (
            "which is no range of addresses",
            "A range is two addresses with a hyphen between them.",
            "Write it as 10.14.1.0-10.14.3.254.",
        ),
        (
            "which ends before it begins",
            "The two ends of a range are the wrong way round.",
            "Take the range that the message proposes.",
        ),
        (
            "before the start",
            "The last address of the range comes before its first.",
            "Exchange the two.",
        ),
        (
            "with the host's own * in it",
            "DHCP would give the host's own address to a guest.",
            "Take a range beside it.",
        ),
        (
            "no card's",
            "The MAC of zeros is nobody's.",
            "virsh domiflist shows the guest's.",
        ),
        (
            "is *, a * address",
            "The MAC is that of everybody or, its first pair being odd, of a group, and no card's.",
            "virsh domiflist shows the guest's; the first pair of one of your own is even.",
        ),
        (
            "has the * *, as * has",
            "Two hosts of a network claim the same name, address or MAC.",
            "Each host its own.",
        ),
    ],
    "The pillar and its minions": [
        (
            "no minion has the id",
            "The pillar names a host for which the master has no accepted key.",
            "Correct the name, or start that host's minion with this master and accept its key.",
        ),
        (
            "the key of minion",
            "The minion has spoken to this master, and its key is not accepted.",
            "The command in the message; for a key that was rejected or denied, find out first whose it is.",
        ),
        (
            "does not answer within",
            "The minion's key is accepted, and it is off, cut off or busy.",
            "salt ID test.ping; systemctl status salt-minion on that host. A busy master: a longer timeout.",
        ),
        (
            "is busy with",
            "The minion runs, and the function that it was asked for has not come to its end: a daemon or a disk that "
            "it asks hangs.",
            "salt ID saltutil.running, and the log of salt-minion on that host; then systemctl status of what the "
            "function asks (libvirtd, mongod, NetworkManager). salt ID saltutil.term_job JID ends it.",
        ),
        (
            "cannot be looked at from",
            "The minion that was asked has no access to the cluster or the cloud.",
            "The words after the colon are its own; they mostly name the login or the address.",
        ),
    ],
    "The pillar: MongoDB": [
        (
            "on an arbiter",
            "An arbiter votes and holds no data, so this setting has no meaning.",
            "Leave it out, or make a real member.",
        ),
        (
            "is given for an arbiter",
            "An arbiter votes and holds no data, so this setting has no meaning.",
            "Leave it out, or make a real member.",
        ),
        (
            "in a config set",
            "MongoDB refuses this in the set of the config servers.",
            "Only shards may have it.",
        ),
        (
            "on a member that is *",
            "A member that is hidden, delayed or without indexes must never become primary.",
            "priority: 0 for it.",
        ),
        (
            "is member * already",
            "A server stands twice in one set.",
            "Each server once.",
        ),
        (
            "is at * already",
            "Two servers have the same host and port.",
            "Give one of them another port, or another host.",
        ),
        (
            "is another server on each host",
            "localhost means another machine for everyone who reads it.",
            "Write the host's own name.",
        ),
        (
            "* members;",
            "A replica set has 50 members at most.",
            "Take some out; a second shard carries more than a 51st member.",
        ),
        (
            "no member can become primary",
            "Nobody in the set holds data, has a vote and a priority above 0, so nobody would ever write.",
            "Give one member of the set all three.",
        ),
        (
            "cannot become primary, but a set is born on its first member",
            "The first member of the list begins the set as its only one, and must be its primary.",
            "Put a member there that can become primary.",
        ),
        (
            "voting members",
            "Seven members of a set can vote.",
            "votes: 0 and priority: 0 for the others.",
        ),
        (
            "no set has role: *",
            "A cluster has exactly one set of config servers, and a shard at least where there are collections.",
            "Give the set that role.",
        ),
        (
            "is config, as that of * is",
            "A sharded cluster has exactly one set of config servers.",
            "role: shard for the other.",
        ),
        (
            "a shard cannot be called",
            "MongoDB keeps this name for the config servers.",
            "Give the set another name before it is made: a set cannot be renamed.",
        ),
        (
            "as router * is",
            "Two routers share a host, where one serves everybody.",
            "One router on a host.",
        ),
        (
            "no router, but there are *",
            "Shards, users and collections are set up through a router.",
            "Name one at mongodb:routers.",
        ),
        (
            "which is no shard",
            "The database's primary is a set that is not in the pillar as a shard.",
            "Name one of the shards.",
        ),
        (
            "which is not in mongodb:databases",
            "A user's database or role names a database that the pillar does not describe.",
            "Describe it, or correct the name.",
        ),
        (
            "is the cluster's administrator",
            "The user has the name and database of the administrator, and its password would be fought over.",
            "Another name for the user.",
        ),
        (
            "a role that only database admin has",
            "Roles over all databases live in the database admin.",
            "database: admin for the user, or a role of its own database.",
        ),
        (
            "is set by mongodb:*",
            "A key of the pillar writes this option of mongod already.",
            "Change it there.",
        ),
        (
            "is MongoDB's own",
            "The name is one of MongoDB's internal databases.",
            "Another name.",
        ),
        (
            "which is MongoDB's own",
            "Collections that begin with system. are MongoDB's.",
            "Another name.",
        ),
        (
            "are allowed",
            "A name is longer than MongoDB takes it.",
            "A shorter one.",
        ),
        (
            "holds *;",
            "A name has a character that MongoDB does not allow in it.",
            "Leave it out.",
        ),
        (
            "begins or ends with '.'",
            "MongoDB takes the dot for the border between database and collection.",
            "No dot at either end.",
        ),
        (
            "has an empty part",
            "A field's path has two dots side by side, or one at its end.",
            "A field's name, one dot between its parts.",
        ),
        (
            "a part that begins with '$'",
            "MongoDB keeps names with $ for its operators.",
            "Another name for the field.",
        ),
        (
            "hashed",
            "A hashed index or key has one field by its hash, is never unique, and cannot hash arrays.",
            "One hashed field, 1 for the others, and unique: false.",
        ),
        (
            "are both listed in arrays",
            "An index on two fields that both hold arrays is refused by the first document that has both.",
            "One such field in an index.",
        ),
        (
            "is true without a shard_key",
            "Only a shard key makes a collection's documents unique over all shards.",
            "A shard_key, or unique on an index.",
        ),
        (
            "but the collection is sharded by",
            "A shard sees its own documents only, so an index can be unique only where the shard key comes first.",
            "The shard key's fields first, or unique: false.",
        ),
        (
            "is listed in arrays",
            "A shard key needs one value for each document.",
            "A field that holds one value.",
        ),
        (
            "an index on _id alone",
            "MongoDB makes that index itself for every collection.",
            "Leave it out.",
        ),
        (
            "which MongoDB keeps for itself",
            "The name of an index is that of the index on _id.",
            "Another name, or none.",
        ),
        (
            "in one index",
            "Kinds of index that exclude each other (text, 2d, 2dsphere, hashed), or two arrays, meet in one.",
            "An index for each.",
        ),
        (
            "has * * fields (*)",
            "An index has one field of this kind at most.",
            "An index for each.",
        ),
        (
            "has *;",
            "A field of the key has a direction or kind that does not exist there.",
            "The message says which there are.",
        ),
        (
            "has a 2d field that is not the first",
            "MongoDB wants the 2d field in front.",
            "The 2d field first.",
        ),
        (
            "without a text field",
            "The option belongs to text indexes.",
            "Leave it out, or make a field text.",
        ),
        (
            "has text fields that are not side by side",
            "MongoDB keeps the text fields of an index together.",
            "Put them next to each other.",
        ),
        (
            "but text indexes have none",
            "A text index compares by its language, and takes no collation.",
            "locale: simple, or no collation.",
        ),
        (
            "without a field '$**'",
            "The option belongs to wildcard indexes.",
            "Leave it out.",
        ),
        (
            "is given for a wildcard index",
            "A wildcard index can be neither unique nor expire documents.",
            "An index on named fields.",
        ),
        (
            "has '$**': *",
            "A wildcard is 1, and alone.",
            "'$**': 1.",
        ),
        (
            "is given together with partialFilterExpression",
            "Both say which documents are in the index, and MongoDB takes one of them.",
            "partialFilterExpression with $exists says what sparse does.",
        ),
        (
            "is the same index as number *",
            "An index is listed twice.",
            "Each index once.",
        ),
        (
            "is a second text index",
            "A collection has one text index at most.",
            "Put the fields of both into one.",
        ),
        (
            "at strength *, which does not look at case",
            "At strengths 1 and 2 upper and lower case are the same, so neither can come first.",
            "Set caseLevel: true, or a strength of 3 or more, or caseFirst: 'off' (in quotes): Danish and Maltese have "
            "upper where nothing is said.",
        ),
        (
            "at strength 1, which does not look at accents",
            "There are no accents to be compared backwards.",
            "Set backwards: false, as Canadian French has true, or a strength of 2 or more.",
        ),
        (
            "but 2d indexes have none",
            "A plane is not compared by language.",
            "Leave the collation out, or say locale: simple where the collection has one.",
        ),
        (
            "which MongoDB does not know",
            "Text search knows some fifteen languages.",
            "Name one of them, or none for words as they are.",
        ),
        (
            "which MongoDB does not take",
            "MongoDB would refuse the index.",
            "Write it as the message says.",
        ),
        (
            "is given for a part of the document only",
            "A projection chooses among all fields of a document.",
            "Index '$**', or leave the projection out.",
        ),
        (
            "wildcardProjection:*: is *; 0 or 1",
            "A projection says of each field whether the index has it.",
            "1 to have it, 0 to leave it out.",
        ),
        (
            "has both 0 and 1",
            "A projection either names what is in the index or what is not.",
            "Keep one kind; only _id may differ.",
        ),
        (
            "is no field's name",
            "MongoDB would refuse the name.",
            "Write field names with dots between their parts, none of them empty or beginning with $.",
        ),
        (
            "is one directory, but a host has members of several sets",
            "Two mongods cannot have one data directory; the second would not start.",
            "Leave dbPath out: each set has a directory of its own then.",
        ),
        (
            "is a section that MongoDB does not have",
            "mongod and mongos do not start with a section that they do not know.",
            "Correct it as the message proposes.",
        ),
        (
            "is true beside bindIp",
            "MongoDB listens on all addresses then, whatever bindIp says.",
            "Keep one of the two.",
        ),
        (
            "is without localhost",
            "The states on a host reach its daemon over loopback, and only there the first user can be made.",
            "Put localhost in front of the other addresses.",
        ),
        (
            "lets nobody in but this host itself",
            "Members on other hosts, routers and clients could not reach it.",
            "Add an address of the host, or leave bindIp out and use a firewall.",
        ),
        (
            "is given for a log that goes to no file",
            "mongod does not start with a path for a log that goes to syslog.",
            "Take the path out, or let the log go to a file.",
        ),
        (
            "is true, but systemd runs the daemon",
            "A daemon that forks looks ended to its unit.",
            "Take it out: systemd keeps the daemon in the background.",
        ),
        (
            "is the user that users:* is",
            "Two entries have one name on one database, which is one user to MongoDB.",
            "Put both into one entry, or give one of them another name or database.",
        ),
        (
            "is no operator that MongoDB knows in a partial index",
            "MongoDB evaluates a partial index's filter at each write, and takes few operators there; it would "
            "refuse the index.",
            "Write the filter with those that the message lists; $ne, $not and $regex belong in queries.",
        ),
        (
            "is false, which MongoDB does not take in a partial index",
            "A partial index cannot be of the documents that lack a field.",
            "Give the others a field to be known by, or make the index a full one.",
        ),
        (
            "arbiters, which MongoDB does not take",
            "Since 5.3 MongoDB takes one arbiter in a set: with more, writes that a majority acknowledged can be lost.",
            "Keep one, or make the others members that hold data.",
        ),
        (
            "is an engine that MongoDB does not have",
            "A daemon with another storage engine would not start. MMAPv1 went with MongoDB 4.2.",
            "Leave it out: WiredTiger is the default.",
        ),
        (
            "is false, and then a new replica set cannot get its first user",
            "A new set's first user is created over loopback, by MongoDB's localhost exception. That ends by itself as "
            "soon as there is a user; the option would end it before.",
            "Leave the option out of mongodb:options. In router_options it may stand.",
        ),
        (
            "and mongodb:version is not given",
            "A wildcard index beside other fields came with MongoDB 7.0; an older one refuses it, at the end of a run.",
            "Say mongodb:version, as '7.0', or make two indexes.",
        ),
        (
            "levels deep, which MongoDB does not take",
            "Each $and and $or is a level, and so are several conditions side by side, and the last of them.",
            "Write the filter flatter, or give the documents a field that says the same.",
        ),
        (
            "is no list of filters",
            "$and and $or combine filters.",
            "Put each filter in a list of its own mapping.",
        ),
        (
            "is no list;",
            "The operator compares with several values.",
            "Put them in a list.",
        ),
        (
            "is no shape",
            "The operator compares with a place on the map.",
            "Write GeoJSON below $geometry.",
        ),
        (
            "is no type of MongoDB's",
            "$type takes the names and numbers of BSON's types.",
            "Correct it: double, string, object, array, binData, objectId, bool, date, null, int, long, decimal"
            " and so on.",
        ),
        (
            "is empty, which MongoDB does not take in a partial index",
            "$all of nothing is true of no document.",
            "List the values that the field has to hold, or leave the condition out.",
        ),
        (
            "is a condition, not a value",
            "The operator compares a field with values; a condition such as {$gt: 1} or {$elemMatch: ...} is none.",
            "Put the condition beside it, for the field itself.",
        ),
        (
            "is a regular expression, which *",
            "A partial index knows regular expressions below $eq and $in only.",
            "Compare with a text, or leave the condition to the queries.",
        ),
        (
            "is a variant that MongoDB does not have",
            "A locale can have a variant, such as de@collation=phonebook; each locale has its own.",
            "One of those that the message lists.",
        ),
        (
            "is named beside *, which has it already",
            "A projection names a field and one below it, which MongoDB takes for a contradiction.",
            "Keep one of the two.",
        ),
        (
            "is given for an index without a 2d field",
            "bits, min and max are those of a plane; of other indexes MongoDB does not look at them.",
            "Take it out, or make one of the fields 2d.",
        ),
        (
            "is no range: *",
            "A 2d index covers the positions from min to max.",
            "A min that is less than max; without both it is -180 to 180.",
        ),
        (
            "holds '\\0'",
            "MongoDB ends a name at a null character.",
            "Take it out.",
        ),
        (
            "has '_fts', under which MongoDB keeps a text index",
            "What MongoDB shows of a text index is not what it takes to make one, unless its weights are there too.",
            "Name the fields: {title: text, body: text}.",
        ),
        (
            "has * as text",
            "A text index is on named fields, or on all of a document, not on all below a field.",
            "'$**': text, or each field by its name.",
        ),
        (
            "has * fields;",
            "MongoDB's limit for one index.",
            "Leave fields out; hardly any query uses more than a few.",
        ),
        (
            "is written with dots",
            "mongod would take it, but beside what the formula writes below the same section, and then refuse both.",
            "Write one mapping below the other, as the message says.",
        ),
        (
            "is no value that MongoDB has",
            "A key such as $date says that the value is written in MongoDB's extended JSON, but it cannot be "
            "read as one.",
            "Write it as the message says; a date needs its zone, and numbers stand in quotes.",
        ),
        (
            "has the name *, as number * has",
            "Two indexes share a name.",
            "A name of its own, or none: MongoDB then makes one.",
        ),
    ],
    "The pillar: MongoDB daemons that go": [
        (
            "* is to go and to be there",
            "mongodb:gone names a daemon that the pillar also has as a member of a set, or as a router.",
            "Take the member out of its set (with remove_extra: true), or the router out of routers; or take the entry "
            "out of gone.",
        ),
        (
            "* is to go as entry * says already",
            "mongodb:gone names a daemon of a host twice, and only one of them may say whether its data go too.",
            "Leave one of the two entries.",
        ),
    ],
    "The pillar: OpenStack": [
        (
            "is * of *;",
            "Two projects have the same VLAN or the same network.",
            "An id and a network of its own for each project; overlap: warn or allow for networks that share nothing.",
        ),
        (
            "which is no range of VLAN ids",
            "A reserved entry is an id, or two with a hyphen.",
            "Write it as 4000-4094, in quotes.",
        ),
        (
            "is reserved",
            "The id stands in openstack:reserved, or is VLAN 1, which switches use untagged.",
            "Another id; allow_vlan_1: true if you know your switches.",
        ),
        (
            "names the project * itself",
            "A network is its project's without being shared with it.",
            "Other projects only.",
        ),
        (
            "which holds the gateway",
            "Neutron would give the router's address to a machine.",
            "Pools without the gateway.",
        ),
        (
            "too little for IPv*",
            "The protocol asks for packets of at least that size.",
            "The MTU in the message, or more.",
        ),
        (
            "a second time",
            "A name server is listed twice.",
            "Each server once.",
        ),
        (
            "is wanted, but gateway is null",
            "A router is reached at the gateway's address.",
            "Give the row a gateway, or no router.",
        ),
        (
            "is 0, but the row itself needs one",
            "The quota forbids what the same row describes.",
            "1 or more, or -1 for no limit.",
        ),
        (
            "in case only",
            "Keystone compares names without case, so the second project would be refused.",
            "Another name.",
        ),
    ],
    "The pillar: branches, guests and their networks": [
        (
            "is *, as * is",
            "Two guests or hosts of a branch have the same name or MAC.",
            "Each its own.",
        ),
        (
            "makes the * *, as * does",
            "Two hosts of a branch have the same number, address or MAC.",
            "Each its own.",
        ),
        (
            "a workstation as well",
            "One host cannot be the gateway and a workstation: the rules of both would meet.",
            "A gateway of its own.",
        ),
        (
            "inside of the branch",
            "The public address is the gateway's towards headquarters, on its other side.",
            "The address that headquarters sees.",
        ),
        (
            "the gateway's",
            "A VM has the address of the branch's gateway.",
            "An address of its own.",
        ),
        (
            "the branch has no cidr6",
            "Without the branch's IPv6 network a VM's IPv6 address leads nowhere.",
            "branch:cidr6, or no ip6.",
        ),
        (
            "the uplink as well",
            "A bridge cannot be its own port.",
            "A bridge's own name, such as virbr0.",
        ),
        (
            "the bridge that joins the VMs to the branch",
            "The network of the guests would take the place of the branch's bridge.",
            "A bridge of its own.",
        ),
        (
            "is given, and network as well",
            "A guest's card is on a bridge or in a network, not in both.",
            "One of the two.",
        ),
        (
            "is * again",
            "A name stands twice in one list.",
            "Each name once.",
        ),
        (
            "is *, the template",
            "A clone would take its template's place.",
            "Another name for the clone.",
        ),
        (
            "is given for several clones",
            "A MAC or a port is for one machine.",
            "One clone at a time, or without it.",
        ),
        (
            "identity none, which writes no key",
            "A minion's key is made with the clone and written into it; with identity none, nothing is.",
            "Another identity, or no minion.",
        ),
        (
            "has no template",
            "A guest that is to be cloned, and nobody says from what.",
            "template for this guest, or in branch:guests for all.",
        ),
        (
            "is *, its template",
            "A guest would be cloned over its own template.",
            "A name of its own.",
        ),
        (
            "which a clone needs",
            "The guest's name becomes its hostname, and is none.",
            "1 to 63 of a to z, 0 to 9 and hyphens.",
        ),
        (
            "which * wants",
            "The guest is listed to be destroyed and described to be there.",
            "One of the two.",
        ),
        (
            "a host of the branch",
            "Only guests can be gone; a host is not destroyed.",
            "The name of a guest.",
        ),
        (
            "have no network to be on",
            "Further guests of a host are on branch:dns, which is not there.",
            "Describe branch:dns.",
        ),
        (
            "too long for a bridge",
            "The kernel gives a device's name 15 characters, and the bridge has the network's.",
            "bridge: a shorter name.",
        ),
        (
            "which belongs to multicast DNS",
            "Names below .local are asked of the neighbours, and never of a server.",
            "Another domain, such as lab.example.",
        ),
        (
            "which is reserved",
            "The domain is kept for other purposes, and resolvers do not ask servers for it.",
            "Another domain, such as lab.example.",
        ),
        (
            "is '1m'",
            "dnsmasq does not take a lease below two minutes.",
            "Two minutes or more.",
        ),
        (
            "the network has no dhcp",
            "A MAC is for DHCP's reservations.",
            "dhcp, or no mac.",
        ),
        (
            "a loop",
            "Two name servers would ask each other forever.",
            "Forward to a server that does not ask here.",
        ),
        (
            "again, as * is",
            "The same forwarder is listed twice.",
            "Each forwarder once.",
        ),
        (
            "which is local only",
            "The network's own domain is answered here and never forwarded.",
            "local_only: False, or no forwarder for it.",
        ),
        (
            "of another family than *",
            "Neutron takes nameservers of the subnet's own family only.",
            "A nameserver of that family in the row, or an empty list there.",
        ),
        (
            "is of IPv4",
            "How guests get IPv6 addresses is said of a subnet of IPv6 only.",
            "A cidr of IPv6, or no ipv6.",
        ),
        (
            "but dhcp is false",
            "Neutron serves router advertisements together with DHCP.",
            "dhcp: true, or no ipv6.",
        ),
        (
            "in which guests make their addresses of 64 bits",
            "In this mode a guest makes the second half of its address itself, so the subnet's prefix is half of it.",
            "A cidr of /64, or ipv6: dhcpv6-stateful.",
        ),
        (
            "which libvirt decides by itself",
            "libvirt writes this option for each of its networks; a second one would be refused or without effect.",
            "backend: bridge takes it; with libvirt, leave it out.",
        ),
        (
            "which no forwarder leaves anything to ask",
            "A forwarder without a domain is asked for every name, so that no other file of nameservers is read.",
            "No such option, or a domain for each forwarder.",
        ),
        (
            "without its interface",
            "A link-local address is only complete with the interface that leads to it.",
            "fe80::1%eth0, or an address that is not link-local.",
        ),
        (
            "with an interface",
            "Only link-local addresses have an interface.",
            "The address alone.",
        ),
        (
            "which follows from *",
            "The option is written by another key of the network already.",
            "Change it there.",
        ),
        (
            "is the minion *, as * is",
            "A branch names a minion of another area. A guest of that id would be given its key, and what the pillar "
            "gives to it.",
            "Another name for the guest or host, or for the branch.",
        ),
        (
            "which no branch's file describes",
            "A ring names a branch without a file.",
            "The file in pillar/branch, or another name.",
        ),
    ],
}


def __virtual__():
    return "onepass_pillar_errors"


def known() -> dict:
    """
    The explanations as data: area to a list of form, meaning and solution.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_pillar_errors.known

    .. versionadded:: 0.1.0
    """
    return ERRORS
