#!/usr/bin/env bash
# The Helm chart and what it renders to.
#
#   scripts/chart.sh all       lints it, renders every example with Helm 3 and 4, validates the manifests against three
#                              versions of Kubernetes, checks what it refuses and promises, compares with k8s/
#   scripts/chart.sh goldens   compares with k8s/ only
#   scripts/chart.sh update    rewrites k8s/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

chart=charts/oms
# The oldest that the chart allows, one in the middle, the newest.
kubernetes=(1.28 1.33 1.37)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
helm3=$(scripts/tools.sh helm3)
helm4=$(scripts/tools.sh helm4)
# Helm leaves nothing in the home directory.
export HELM_CACHE_HOME=$work/cache HELM_CONFIG_HOME=$work/config HELM_DATA_HOME=$work/data

# render HELM EXAMPLE: on standard output. Helm 3 and 4 differ in empty lines between manifests.
render() {
    "$1" template oms "$chart" --namespace oms --values "$chart/examples/$2.yaml" | sed '/^ *$/d'
}

examples() {
    local file
    for file in "$chart"/examples/*.yaml; do
        basename "$file" .yaml
    done
}

render_all() {
    local example
    for example in $(examples); do
        {
            echo "# Rendered from $chart with examples/$example.yaml: make chart-update. Not edited by hand."
            render "$helm4" "$example"
        } >"$work/$example.yaml"
    done
}

compare() {
    local example stale=0
    for example in $(examples); do
        diff -u "k8s/$example.yaml" "$work/$example.yaml" >&2 || stale=1
    done
    [ $stale = 0 ] || die "k8s/ is not what the chart renders to: run 'make chart-update', look at the diff and commit it"
    say "k8s/ is what the chart renders to"
}

lint() {
    local example helm
    for example in $(examples); do
        for helm in "$helm3" "$helm4"; do
            "$helm" lint --strict --quiet "$chart" --values "$chart/examples/$example.yaml" >"$work/log" 2>&1 ||
                die "$(cat "$work/log")"
        done
        render "$helm3" "$example" >"$work/$example.helm3"
        diff -u <(tail -n +2 "$work/$example.yaml") "$work/$example.helm3" >&2 ||
            die "Helm 3 and Helm 4 render $example.yaml differently"
    done
    say "linted and rendered with Helm 3 and 4: $(examples | tr '\n' ' ')"
}

validate() {
    local version python
    python=$(scripts/tools.sh kubernetes-validate)
    # Kinds of operators have no schema there; scripts/chart_test.py looks at them.
    for example in $(examples); do
        "$python" scripts/core_kinds.py "$work/$example.yaml" >"$work/$example.core"
    done
    for version in "${kubernetes[@]}"; do
        for example in $(examples); do
            "${python%/*}/kubernetes-validate" --kubernetes-version "$version" --strict --quiet "$work/$example.core"
        done
    done
    say "valid for Kubernetes ${kubernetes[*]}"
}

case ${1:-} in
    all)
        render_all
        lint
        validate
        scripts/chart-test.sh "$helm3" "$helm4" "$work"
        compare
        ;;
    goldens)
        render_all
        compare
        ;;
    update)
        render_all
        for example in $(examples); do
            cp "$work/$example.yaml" "k8s/$example.yaml"
        done
        say "rewritten: k8s/"
        ;;
    *) die "usage: scripts/chart.sh all|goldens|update" ;;
esac
