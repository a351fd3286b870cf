#!/bin/bash
# openstacksdk takes a filter that it does not know, asks for all, and filters nothing.
#
# Networks are listed by `project_id`, and by the same word misspelt. Expected of the second: an error (there is an
# exception of that name, InvalidResourceQuery), or that the word is asked of the server, which would refuse it. Seen:
# the request has no filter, and the answer is every network. A program that deletes what it lists deletes all.
# The SDK from PyPI asks a server of a few lines, which answers what it is asked for, by loopback.
set -eu

TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
python3 -m venv "$TEMP/venv"
"$TEMP/venv/bin/pip" -q install openstacksdk==4.22.0 2>"$TEMP/pip" || { cat "$TEMP/pip"; exit 1; }
cat >"$TEMP/program.py" <<'PY'
import http.server
import json
import threading
import urllib.parse

import openstack
import openstack.version

NETWORKS = [{"id": name, "name": name, "project_id": project} for name, project in (("a", "ours"), ("b", "theirs"))]
asked = []


class Neutron(http.server.BaseHTTPRequestHandler):
    """Tells its version, and lists networks by the filters that it is asked with."""

    def do_GET(self):
        asked.append(self.path)
        if self.path == "/":
            links = [{"rel": "self", "href": f"{address}/v2.0/"}]
            self.tell({"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]})
            return
        wanted = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        found = [each for each in NETWORKS if all(each.get(key) == value for key, value in wanted.items())]
        self.tell({"networks": found})

    def tell(self, answer):
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Neutron)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
cloud = openstack.connect(auth_type="none", endpoint=address, network_endpoint_override=address)
print("openstacksdk", openstack.version.__version__)
seen = {}
for word in ("project_id", "projct_id"):
    seen[word] = [each.name for each in cloud.network.networks(**{word: "ours"})]
    print(f"networks({word}='ours'): {seen[word]}, by {asked[-1]}")
assert seen == {"project_id": ["a"], "projct_id": ["a", "b"]}
assert "ours" not in asked[-1]
print("As said: the misspelt filter is left out, and all are listed.")
PY
PYTHONDONTWRITEBYTECODE=1 "$TEMP/venv/bin/python" "$TEMP/program.py"
