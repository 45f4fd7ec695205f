# Shared by the scripts beside it: messages, and what has to come from the system.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# as_root: sets `sudo` to what makes a command run as root without a question; fails where nothing does.
as_root() {
    sudo=()
    [ "$(id -u)" != 0 ] || return 0
    sudo -n true 2>/dev/null || return 1
    sudo=(sudo -n)
}

# apt_update: fetches the package lists, which a fresh container does not have.
apt_update() {
    local sudo=()
    as_root && "${sudo[@]}" apt-get -q -y update </dev/null
}

# apt_install PACKAGE..: installs Debian packages where that needs no question: as root, or by
# sudo without a password. Fails otherwise.
apt_install() {
    have apt-get || return 1
    local sudo=()
    as_root || return 1
    say "installing by apt: $*"
    local get=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
    # The package lists of a fresh container are empty; those of a laptop are good as they are.
    "${get[@]}" install --no-install-recommends "$@" </dev/null >/dev/null 2>&1 && return 0
    "${get[@]}" update </dev/null >/dev/null 2>&1 || true
    "${get[@]}" install --no-install-recommends "$@" </dev/null >&2
}

# need PROGRAM PACKAGE..: the program, from the system or by apt, or a message that says what to do.
need() {
    local program=$1
    shift
    have "$program" && return 0
    apt_install "$@" && have "$program" && return 0
    die "$program is missing. Install it (on Debian: apt-get install $*) and try again."
}
