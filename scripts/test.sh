#!/usr/bin/env bash
# Runs tests: scripts/test.sh [PACKAGE ARGUMENT..]. Without a package: all of the workspace.
# By cargo-nextest, which is fetched where it is missing; by cargo test where it cannot be.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

# Peers in other languages are Python programs: tests that find no interpreter would fail later.
if [ "${1:-oms-order}" = oms-order ]; then
    OMS_PYTHON_LOCALSTRIPE=$(scripts/tools.sh localstripe)
    export OMS_PYTHON_LOCALSTRIPE
fi

scope=(--workspace)
if [ $# -gt 0 ]; then
    scope=(--package "$1")
    shift
else
    OMS_PYTHON_GRPC=$(scripts/tools.sh python-grpc)
    export OMS_PYTHON_GRPC
fi

if nextest=$(scripts/tools.sh cargo-nextest); then
    # nextest does not run the examples in documentation.
    if [ "${scope[0]}" = --workspace ]; then
        cargo test --locked --workspace --doc --quiet
    fi
    exec "$nextest" nextest run --locked "${scope[@]}" "$@"
fi
say "cargo-nextest cannot be had here: cargo test does it"
exec cargo test --locked --no-fail-fast "${scope[@]}" "$@"
