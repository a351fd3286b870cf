# shellcheck shell=bash
# Sourced by the salt-*.sh: Salt from PyPI in a temporary folder, without any daemon.

TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT

# One environment a version; each version's master and minion, which nobody starts, have an empty root of their own.
salt_fetch() {
    for version in "$@"; do
        python3 -m venv "$TEMP/$version"
        "$TEMP/$version/bin/pip" -q install "salt==$version" 2>"$TEMP/pip" || { cat "$TEMP/pip"; return 1; }
        mkdir "$TEMP/conf-$version"
        printf '{root_dir: %s/root-%s, user: root, id: here, log_level: error, enable_fqdns_grains: false}\n' \
            "$TEMP" "$version" | tee "$TEMP/conf-$version/master" >"$TEMP/conf-$version/minion"
    done
}

# salt_of VERSION PROGRAM ARGUMENTS...: its output, without warnings of Python's.
salt_of() {
    version=$1 program=$2
    shift 2
    PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore "$TEMP/$version/bin/$program" -c "$TEMP/conf-$version" "$@" 2>&1 || true
}
