#!/usr/bin/env bash
# Runs make targets one after the other and says how long each took: scripts/ci.sh TARGET..
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Nobody looks at a progress bar.
export CARGO_TERM_PROGRESS_WHEN=never
# Nothing is built twice from a fresh clone; a working copy keeps what it has.
[ "${CI:-}" != true ] || export CARGO_INCREMENTAL=0

summary=()
for step in "$@"; do
    printf '\n==> %s\n' "$step"
    start=$SECONDS
    if ! make --no-print-directory "$step" </dev/null; then
        printf '%s\n' "${summary[@]}" "failed   $((SECONDS - start)) s  $step" | sed 's/^/    /'
        exit 1
    fi
    summary+=("passed   $((SECONDS - start)) s  $step")
done
printf '\n==> all passed in %s s\n' "$SECONDS"
printf '    %s\n' "${summary[@]}"
