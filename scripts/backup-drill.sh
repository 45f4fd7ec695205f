#!/usr/bin/env bash
# The drill of docs/operations/backup.md, on a Postgres of its own: scripts/backup-drill.sh [--keep]
#
# Orders run; a base backup is taken; the WAL is archived; a moment is chosen; orders go on; everything is killed; all five
# databases are brought to the chosen moment on another data directory; their feeds get new epochs and are read anew; the
# books are proven; the orders are placed again, and the books are proven again. --keep leaves the directory.
# OMS_PROGRAMS=DIR takes the programs from there instead of building them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

keep=
[ "${1:-}" != --keep ] || keep=1
services=(order inventory fulfillment shipping returns)
# Who reads whose feed: the table of ARCHITECTURE.md.
readers=(order:inventory order:fulfillment order:shipping order:returns inventory:shipping inventory:returns
    fulfillment:shipping shipping:fulfillment returns:order returns:shipping)
programs=${OMS_PROGRAMS:-${CARGO_TARGET_DIR:-$PWD/target}/release}

if [ -z "${OMS_PROGRAMS:-}" ]; then
    packages=(--package oms)
    for name in "${services[@]}"; do packages+=(--package "oms-$name"); done
    cargo build --release --locked "${packages[@]}"
fi

bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || { need pg_ctl postgresql && bin=$(dirname "$(command -v pg_ctl)"); }

work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/archive"
# Some 250 orders: enough to be in the middle of them for a while. The postal code of one town stands in later lines only.
head -n 500 crates/oms/data/orders-sample.csv | grep -v '"Burlington","Vermont"' >"$work/orders.csv"
port=$((20000 + RANDOM % 10000))
url=postgres://postgres@127.0.0.1:$port

# Postgres refuses root: as root, it sees itself as nobody.
as_nobody() {
    if [ "$(id -u)" = 0 ]; then
        unshare --user --map-user=65534 --map-group=65534 -- "$@"
    else
        "$@"
    fi
}

ask() { "$bin/psql" --no-psqlrc --quiet --tuples-only --no-align --dbname "$url/${2:-postgres}" --command "$1"; }

# until_true WHAT SECONDS COMMAND..: waits, and gives up loudly.
demo_pid=
until_true() {
    local what=$1 end=$((SECONDS + $2))
    shift 2
    while ! "$@" >/dev/null 2>&1; do
        [ -z "$demo_pid" ] || kill -0 "$demo_pid" 2>/dev/null || die "the programs ended before $what; see $work with --keep"
        [ "$SECONDS" -lt "$end" ] || die "waited for $what in vain; see $work"
        sleep 0.2
    done
}

start_postgres() {
    as_nobody "$bin/pg_ctl" --silent --wait --timeout=60 --pgdata "$1" --log "$work/postgres.log" \
        --options "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" start >/dev/null
}

stop_postgres() { as_nobody "$bin/pg_ctl" --silent --pgdata "$1" --mode "$2" stop >/dev/null 2>&1 || true; }

clean_up() {
    [ -z "$demo_pid" ] || kill -9 "$demo_pid" 2>/dev/null || true
    for data in "$work"/data "$work"/restored; do [ ! -d "$data" ] || stop_postgres "$data" immediate; done
    [ -n "$keep" ] || rm -rf "$work"
}
trap clean_up EXIT

# How far things are: every step of an order is an event of the order service.
events() { ask "SELECT pos FROM feed_head" oms_order; }
at_least() { [ "$(events)" -ge "$1" ]; }
completed() { ask "SELECT count(*) FROM orders WHERE state = 'COMPLETED'" oms_order; }

demo() {
    "$programs/oms" demo --json --callers 4 --orders "$work/orders.csv" --dir "$work/oms" --postgres-url "$url" >"$work/$1.json" 2>"$work/$1.log"
}

say "1. a Postgres that archives its WAL, and orders"
as_nobody "$bin/initdb" --username postgres --auth trust --encoding UTF8 --locale C --pgdata "$work/data" >/dev/null
cat >>"$work/data/postgresql.conf" <<END
archive_mode = on
archive_command = 'test ! -f $work/archive/%f && cp %p $work/archive/%f'
max_connections = 200
END
start_postgres "$work/data"
demo first &
demo_pid=$!
until_true "orders" 600 at_least 100

say "2. a base backup, while orders come"
as_nobody "$bin/pg_basebackup" --dbname "$url" --pgdata "$work/base" --wal-method none --checkpoint fast --no-manifest 2>/dev/null
until_true "more work" 600 at_least $(($(events) + 40))

say "3. the moment to go back to"
before=$(events)
moment=$(ask "SELECT clock_timestamp()")
after=$(events)
say "   $moment: $before to $after events of orders"
until_true "work that will be lost" 600 at_least $((after + 40))
segment=$(ask "SELECT pg_walfile_name(pg_switch_wal())")
until_true "the WAL in the archive" 60 test -f "$work/archive/$segment"

say "4. everything is killed: $(events) events, and what came after the moment is lost"
kill -9 "$demo_pid"
wait "$demo_pid" 2>/dev/null || true
demo_pid=
as_nobody kill -9 "$(head -n 1 "$work/data/postmaster.pid")"
until_true "Postgres to be gone" 30 bash -c "! kill -0 $(head -n 1 "$work/data/postmaster.pid")"
mv "$work/data" "$work/lost"

say "5. all five databases at that moment"
lost_at=$SECONDS
cp -a "$work/base" "$work/restored"
rm -f "$work/restored/postmaster.pid"
cat >>"$work/restored/postgresql.conf" <<END
archive_mode = off
restore_command = 'cp $work/archive/%f %p'
recovery_target_time = '$moment'
recovery_target_action = promote
END
as_nobody touch "$work/restored/recovery.signal"
start_postgres "$work/restored"
recovered() { [ "$(ask "SELECT pg_is_in_recovery()")" = f ]; }
until_true "the end of recovery" 300 recovered
restored=$(events)
was_completed=$(completed)
say "   $restored events, $was_completed orders completed"
[ "$restored" -ge "$before" ] && [ "$restored" -le "$after" ] || die "expected $before to $after events"

say "6. new epochs, feeds read anew"
for name in "${services[@]}"; do
    export "OMS_${name^^}__DATABASE__URL=$url/oms_$name"
    "$programs/oms-$name" new-epoch >/dev/null
done
for pair in "${readers[@]}"; do "$programs/oms-${pair%:*}" resync "${pair#*:}" >/dev/null; done

say "7. the services are back, and the books are proven"
"$programs/oms" up --dir "$work/oms" --postgres-url "$url" >"$work/up.log" 2>&1 &
demo_pid=$!
proven() { "$programs/oms" verify --at-rest --postgres-url "$url" >"$work/verify.txt" 2>&1; }
until_true "the verifier to find nothing" 600 proven
say "   $(tail -n 1 "$work/verify.txt"), $((SECONDS - lost_at)) s after the restore began"
kill "$demo_pid"
wait "$demo_pid" || die "the services ended badly: see $work/up.log"
demo_pid=

say "8. the shop places its orders again: those that are known are answered, the lost ones are made"
# Ends with an error when pick lists of the killed demo's pickers stay open; the books are what counts.
demo again || true
until_true "the verifier to find nothing" 300 proven
say "   $(completed) orders completed; $(tail -n 1 "$work/verify.txt")"
twice=$(ask "SELECT count(*) - count(DISTINCT external_reference) FROM orders" oms_order)
[ "$twice" = 0 ] || die "$twice orders are there twice"
[ "$(completed)" -gt "$was_completed" ] || die "no order came to its end since; see $work/again.log"
say "the drill is passed"
