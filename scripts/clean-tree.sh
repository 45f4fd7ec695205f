#!/usr/bin/env bash
# In CI: no step may have changed a tracked file. A working copy may be as dirty as it likes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

[ "${CI:-}" = true ] || exit 0
git diff --exit-code --stat || die "a step changed the files above: run 'make generate' and commit"
