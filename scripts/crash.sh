#!/usr/bin/env bash
# The long form of the crash suite: scripts/crash.sh [--seed N] [--rounds N] [--only NAME] [--release]
# First the flash sales of the reservation engine, then orders, payments and feeds (not with --only), and a table of everything.
# --seed repeats a run whose seed was printed; --only runs the sales whose name begins so: R4, R5, R6, R7 ..
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

export OMS_CRASH_ROUNDS=1
profile=()
folder=debug
while [ $# -gt 0 ]; do
    case $1 in
    --seed) export OMS_CRASH_SEED=${2:?--seed takes a number} ;;
    --rounds) export OMS_CRASH_ROUNDS=${2:?--rounds takes a number} ;;
    --only) export OMS_CRASH_ONLY=${2:?--only takes the beginning of a name} ;;
    --release)
        profile=(--release)
        folder=release
        shift
        continue
        ;;
    *) die "$1 is no option: --seed N, --rounds N, --only NAME, --release" ;;
    esac
    shift 2
done

OMS_CRASH_SUMMARY=$(mktemp)
export OMS_CRASH_SUMMARY
trap 'rm -f "$OMS_CRASH_SUMMARY"' EXIT

# What fails does not keep the others from running; the table comes in any case.
failed=0
# Of the whole workspace, as `make test` builds it: one package alone has fewer features, and all would be compiled anew.
run() { cargo test --locked --quiet --no-fail-fast "${profile[@]}" --workspace "$@" || failed=1; }

run --test crash_reservations -- --ignored --exact --nocapture the_long_form
if [ -z "${OMS_CRASH_ONLY:-}" ]; then
    # One after the other: each wants the machine for itself.
    run --test crash_orders --test crash_saga --test crash_payments --test crash_feed --test crash_recovery -- \
        --nocapture --test-threads 1
fi
# Built with the tests.
"${CARGO_TARGET_DIR:-target}/$folder/oms-crash-summary" "$OMS_CRASH_SUMMARY" || failed=1
exit "$failed"
