#!/usr/bin/env bash
# Checks what building needs, and installs what apt can give. Quiet when all is there.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if ! have cargo && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    die "cargo is installed but not in PATH: run '. ${CARGO_HOME:-$HOME/.cargo}/env' and try again."
fi
have cargo || die "cargo is missing. Install Rust with rustup and try again; rust-toolchain.toml names the version."
need cc gcc libc6-dev
need git git
