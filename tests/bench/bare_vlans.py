"""What openstacksdk alone needs in a loop: ``bare_vlans.py /path/clouds.yaml '{"tellers": {"vlan": 12, ...}}'``."""

import json
import sys
from pathlib import Path

import openstack.config
import openstack.connection


def main(clouds_yaml, projects):
    cloud = connect(clouds_yaml)
    known = {each.name: each for each in cloud.identity.projects()}
    networks = {(each.project_id, each.name): each for each in cloud.network.networks()}
    subnets = {(each.network_id, each.cidr) for each in cloud.network.subnets()}
    for name, row in projects.items():
        project = known.get(name) or cloud.identity.create_project(name=name, domain_id="default")
        network = networks.get((project.id, f"{name}-net")) or cloud.network.create_network(
            name=f"{name}-net",
            project_id=project.id,
            provider_network_type="vlan",
            provider_physical_network="physnet1",
            provider_segmentation_id=row["vlan"],
        )
        if (network.id, row["cidr"]) not in subnets:
            cloud.network.create_subnet(network_id=network.id, project_id=project.id, ip_version=4, cidr=row["cidr"])


def connect(clouds_yaml):
    secure = Path(clouds_yaml).with_name("secure.yaml")
    config = openstack.config.OpenStackConfig(
        config_files=[clouds_yaml], secure_files=[str(secure)], load_envvars=False
    )
    return openstack.connection.Connection(config=config.get_one(cloud="admin"))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
