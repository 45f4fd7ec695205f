#!/usr/bin/env bash
# The committed query caches (.sqlx), from which queries are checked without a database.
#
#   scripts/sqlx.sh prepare [PACKAGE..]   rewrites them
#   scripts/sqlx.sh check [PACKAGE..]     compares them with what the sources and migrations say
#
# A crate with queries has a sqlx.toml, which names the variable that holds its database's address.
# Uses the Postgres of OMS_TEST_POSTGRES_URL, else starts a throwaway one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

# The version the committed caches are prepared on: another one may describe a column differently.
prepared_on=15

mode=${1:-}
case $mode in prepare | check) shift ;; *) die "usage: scripts/sqlx.sh prepare|check [PACKAGE..]" ;; esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

start_postgres() {
    if [ -z "${OMS_TEST_POSTGRES_URL:-}" ]; then
        # The setup script of test runs: engines that end when this script does.
        : >"$work/env"
        NEXTEST_ENV=$work/env cargo run --quiet --locked --package oms-engines --bin oms-test-engines </dev/null >&2
        # shellcheck disable=SC1091
        . "$work/env"
    fi
    # The address without the database.
    server=$(grep -oE '^postgres(ql)?://[^/?]+' <<<"$OMS_TEST_POSTGRES_URL")
    psql=$(command -v psql || find /usr/lib/postgresql .oms/engines -name psql -type f 2>/dev/null | sort | tail -1)
    [ -n "$psql" ] || die "psql is missing. Install it (on Debian: apt-get install postgresql-client) and try again."
    version=$(sql postgres -Atc 'show server_version_num')
    version=$((version / 10000))
}

sql() {
    local database=$1
    shift
    "$psql" --quiet --no-psqlrc --set ON_ERROR_STOP=1 "$server/$database" "$@" </dev/null
}

# A database with the plumbing's tables and the crate's own, as migrations make them.
make_database() {
    local dir=$1 database=$2 file files=(crates/postgres/migrations/*.sql)
    [ "$dir" = crates/postgres ] || files+=("$dir"/migrations/*.sql)
    sql postgres -c "drop database if exists $database with (force)" -c "create database $database" 2>"$work/log" ||
        die "$(cat "$work/log")"
    for file in "${files[@]}"; do
        sql "$database" -f "$file"
    done
}

# Compiles the crate against the database; the macros write what they learn into the directory.
describe() {
    local dir=$1 package=$2 variable=$3 url=$4 out=$5
    mkdir -p "$out"
    for _ in 1 2 3; do
        # The macros only run when the crate is compiled.
        touch "$dir/src/lib.rs"
        env SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$out" "$variable=$url" \
            cargo check --quiet --locked --package "$package" --all-targets </dev/null
        # Nothing is written when another cargo has compiled it between the two.
        [ -z "$(ls -A "$out")" ] || return 0
    done
    die "$package has queries, but its macros wrote none down"
}

# Whether two caches say the same. On another Postgres only the texts of the queries are compared:
# a file is named after its text.
same() {
    if [ "$version" = "$prepared_on" ]; then
        diff -r "$1" "$2" >"$work/diff"
    else
        diff <(ls "$1") <(ls "$2") >"$work/diff"
    fi
}

start_postgres
[ "$version" = "$prepared_on" ] || say "note: this is Postgres $version; the committed caches are prepared on $prepared_on"
failed=0
for toml in crates/*/sqlx.toml services/*/sqlx.toml; do
    dir=${toml%/sqlx.toml}
    package=$(sed -n 's/^name = "\(.*\)"/\1/p' "$dir/Cargo.toml" | head -1)
    [ $# = 0 ] || [[ " $* " == *" $package "* ]] || continue
    grep -rqE '\b(query|query_as|query_scalar|query_file|query_file_as|query_file_scalar)!' "$dir" --include='*.rs' || continue
    variable=$(sed -n 's/^database-url-var *= *"\(.*\)"/\1/p' "$toml")
    [ -n "$variable" ] || die "$toml names no database-url-var"
    database=sqlx_$(tr '[:upper:]' '[:lower:]' <<<"${variable%_DATABASE_URL}")
    make_database "$dir" "$database"
    describe "$dir" "$package" "$variable" "$server/$database" "$work/$package"
    if [ "$mode" = prepare ]; then
        rm -rf "$dir/.sqlx"
        cp -r "$work/$package" "$dir/.sqlx"
        say "$package: $(find "$dir/.sqlx" -name '*.json' | wc -l) queries"
    else
        mkdir -p "$dir/.sqlx"
        if same "$dir/.sqlx" "$work/$package"; then
            say "$package: query cache is up to date"
        else
            cat "$work/diff" >&2
            say "error: $dir/.sqlx is stale: run 'make sqlx-prepare' and commit it"
            failed=1
        fi
    fi
    sql postgres -c "drop database if exists $database with (force)"
done
exit $failed
