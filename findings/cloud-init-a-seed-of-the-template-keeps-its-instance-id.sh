#!/bin/bash
# Of two NoCloud seeds one gives the instance id, and the other one the user data.
#
# A template has a seed of its own in /var/lib/cloud/seed/nocloud, and a clone of it gets another one. Expected: one of
# the two wins. Seen: user-data is that of the later one, as wanted; instance-id and local-hostname stay those of the
# seed's folder. So cloud-init takes each clone for the template that it has set up already, and what it does once per
# instance (host keys, passwords, scripts) is not done. The later seed is the datasource's own setting here; a disk
# labelled cidata goes through the same function (read in its source). A template is sealed when the folder is empty.
# Debian 12's cloud-init, unpacked; its datasource is asked, nothing is configured.
set -eu

VERSION=22.4.2-1+deb12u4
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
cd "$TEMP"
apt-get -qq -o APT::Sandbox::User=root download cloud-init=$VERSION python3-configobj python3-jinja2 python3-jsonpatch \
    python3-json-pointer python3-jsonschema python3-markupsafe python3-netifaces python3-oauthlib python3-requests \
    python3-yaml python3-pyrsistent python3-attr python3-urllib3 python3-chardet python3-charset-normalizer \
    python3-idna python3-certifi python3-six python3-pkg-resources
for package in *.deb; do dpkg -x "$package" root; done

mkdir -p cloud/seed/nocloud run
printf 'instance-id: template\nlocal-hostname: template\n' >cloud/seed/nocloud/meta-data
printf '#cloud-config\ntimezone: Etc/UTC\n' >cloud/seed/nocloud/user-data
cat >ask.py <<'PY'
import json

from cloudinit import helpers, version
from cloudinit.sources.DataSourceNoCloud import DataSourceNoCloud

clone = {
    "fs_label": None,
    "meta-data": {"instance-id": "clone-7", "local-hostname": "clone-7"},
    "user-data": "#cloud-config\ntimezone: America/Lima\n",
}
paths = helpers.Paths({"cloud_dir": "cloud", "run_dir": "run", "templates_dir": "templates"})
source = DataSourceNoCloud({"datasource": {"NoCloud": clone}}, None, paths)
assert source.get_data()
seen = {"instance-id": source.get_instance_id(), "local-hostname": source.metadata["local-hostname"]}
seen["user-data"] = source.get_userdata_raw()
print("cloud-init", version.version_string(), "-", json.dumps(seen))
assert seen["instance-id"] == seen["local-hostname"] == "template"
assert "America/Lima" in seen["user-data"]
print("As said: the clone's user data, under the template's instance id.")
PY
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=root/usr/lib/python3/dist-packages /usr/bin/python3 ask.py
