#!/usr/bin/env bash
# Removes the data of `oms up` below .oms/. Downloaded engines stay.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

[ -d .oms ] || exit 0
for pid_file in .oms/*/data/postmaster.pid; do
    if [ -f "$pid_file" ] && kill -0 "$(head -1 "$pid_file")" 2>/dev/null; then
        die "something runs on these data (Postgres, process $(head -1 "$pid_file")): stop 'oms up' first"
    fi
done
find .oms -mindepth 1 -maxdepth 1 ! -name engines -exec rm -rf {} +
say "forgotten: the data below .oms/"
