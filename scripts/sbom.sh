#!/usr/bin/env bash
# Writes what each program is made of, as CycloneDX 1.5 JSON: scripts/sbom.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

need python3 python3
into=${1:-${CARGO_TARGET_DIR:-target}/sbom}
mkdir -p "$into"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo metadata --locked --format-version 1 --filter-platform "$host" |
    python3 scripts/sbom.py Cargo.lock "$into" oms oms-order oms-inventory oms-fulfillment oms-shipping oms-returns
