#!/usr/bin/env bash
# Compares the contract with that of the last release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

tag=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)
if [ -z "$tag" ]; then
    say "no release tag (v*) here yet: there is no contract that could be broken"
    exit 0
fi
say "comparing the contract with $tag"
"$(scripts/tools.sh buf)" breaking --against ".git#tag=$tag"
