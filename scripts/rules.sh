#!/usr/bin/env bash
# Checks and tests the Prometheus rules, that every alert has its page, that dashboards are up to date, and the example of a
# Collector's configuration.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

python=$(scripts/tools.sh kubernetes-validate)
"$python" scripts/dashboards.py check
"$python" scripts/rules_test.py
"$python" scripts/collector_test.py
if ! promtool=$(scripts/tools.sh promtool); then
    say "no promtool for this machine: the tests of the rules are skipped"
    exit 0
fi
"$promtool" check rules charts/oms/rules/oms.yaml
"$promtool" test rules charts/oms/rules/tests.yaml
