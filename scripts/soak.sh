#!/usr/bin/env bash
# The soak (R17): scripts/soak.sh [--minutes N] [--seed N] [--dir DIR] [--json] [--debug]
# Orders to cash at 70 % of what this machine can do, each service a process of its own; half an hour unless told otherwise. --debug
# spares the release build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=release
profile=(--release)
arguments=()
for argument in "$@"; do
    if [ "$argument" = --debug ]; then
        folder=debug
        profile=()
    else
        arguments+=("$argument")
    fi
done
# Of the whole workspace, as `make test` builds it: one package alone has fewer features, and all would be compiled anew.
cargo build --locked --quiet "${profile[@]}" --workspace --bin oms-node --bin oms-soak
exec "${CARGO_TARGET_DIR:-target}/$folder/oms-soak" "${arguments[@]}"
