"""A test's own part of a shared cloud, and what every state of neutron_vlan promises, seen through openstacksdk."""

import itertools

from onepass_lib.neutron.client import Client

BLOCKS = itertools.count(13)
TAG = "managed-by=salt"


class Site:
    """A test's own part of the cloud: a block of 16 VLANs, a network 10.<block>.0.0/16, and projects of its own."""

    def __init__(self, cloud, states, modules):
        self.cloud, self.states, self.modules, self.sdk = cloud, states, modules, cloud.connect()
        self.block = next(BLOCKS)
        self.first = self.block * 16
        self.login = {"cloud": "admin", "clouds_yaml": str(cloud.clouds_yaml)}

    def client(self, cloud="admin"):
        """The product's own way to the cloud, as one of its users."""
        return Client(cloud, self.login["clouds_yaml"], {}, "here")

    def name(self, number=0):
        return f"p{self.block}-{number}"

    def row(self, number=0, **more):
        return {"vlan": self.first + number, "cidr": f"10.{self.block}.{number}.0/24", **more}

    def table(self, count=1, **more):
        projects = {self.name(number): self.row(number) for number in range(count)}
        return {**self.login, "physical_network": "physnet1", "projects": projects, **more}

    def one(self, **row):
        """A table of one project."""
        return self.table(projects={self.name(): self.row(**row)})

    def apply(self, table, test=False):
        return self.states.neutron_vlan.table(name="site", table=table, test=test)

    def has(self, table):
        """Apply a table, as the ground for what follows."""
        ret = self.apply(table)
        assert ret.result is True, ret.comment
        return ret.changes

    def absent(self, number=0, test=False, **more):
        arguments = {"remove_project": True, **self.login, **more}
        return self.states.neutron_vlan.absent(name=self.name(number), test=test, **arguments)

    def project(self, number=0):
        return self.sdk.identity.find_project(self.name(number))

    def network(self, number=0):
        project = self.project(number)
        return self.sdk.network.find_network(f"{self.name(number)}-net", project_id=project.id) if project else None

    def subnet(self, number=0):
        found = self.network(number)
        return next(iter(self.sdk.network.subnets(network_id=found.id)), None) if found else None

    def make_network(self, number, project=None, vlan=None, name="made-by-hand", physnet="physnet1", **more):
        more.update({"project_id": project} if project else {})
        return self.sdk.network.create_network(
            name=name,
            provider_network_type="vlan",
            provider_physical_network=physnet,
            provider_segmentation_id=vlan or self.first + number,
            **more,
        )

    def calls(self):
        return self.cloud.keystone.calls() + self.cloud.neutron.calls()

    def since(self, before):
        """Calls after a first count of them, split into lists and writes; logging in is neither."""
        new = self.cloud.keystone.calls()[before[0] :] + self.cloud.neutron.calls()[before[1] :]
        new = [call for call in new if "/auth/tokens" not in call and call not in ("GET /v3", "GET /v3/", "GET /")]
        return [c for c in new if c.startswith("GET ")], [c for c in new if not c.startswith("GET ")]

    def count(self):
        return len(self.cloud.keystone.calls()), len(self.cloud.neutron.calls())

    def converges(self, table):
        """A dry run, a real one and a second one: the contract of every state. Answers the changes."""
        before = self.count()
        dry = self.apply(table, test=True)
        assert self.since(before)[1] == [], "a dry run writes nothing"
        real = self.apply(table)
        assert real.result is True, real.comment
        assert dry.changes == real.changes
        assert dry.result is (None if real.changes else True), dry.comment
        self.nothing_to_do(table)
        return real.changes

    def nothing_to_do(self, table):
        before = self.count()
        again = self.apply(table)
        assert (again.result, again.changes) == (True, {}), again.comment
        lists, writes = self.since(before)
        assert (len(lists) <= 4, writes) == (True, []), (lists, writes)
        return again

    def refuses(self, table, *words):
        """Nothing is changed, dry or real, and the words are said."""
        for test in (True, False):
            before = self.count()
            ret = self.apply(table, test)
            assert (ret.result, ret.changes) == (False, {}), ret.comment
            assert self.since(before)[1] == []
        for word in words:
            assert word in ret.comment, ret.comment
        return ret.comment
