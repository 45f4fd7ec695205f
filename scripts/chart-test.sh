#!/usr/bin/env bash
# What the chart refuses, and what its manifests promise: scripts/chart-test.sh HELM3 HELM4 RENDERED
# Called by scripts/chart.sh, which has rendered the examples into the directory RENDERED.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

helms=("$1" "$2")
rendered=$3
chart=charts/oms
count=0

# refuses EXAMPLE TEXT ARGUMENT..: rendering fails, and the message holds the text.
refuses() {
    local example=$1 text=$2 helm said
    shift 2
    for helm in "${helms[@]}"; do
        if said=$("$helm" template oms "$chart" --values "$chart/examples/$example.yaml" "$@" 2>&1 >/dev/null); then
            die "with $*: rendered, expected: $text"
        fi
        grep -qF -- "$text" <<<"$said" || die "with $*: expected: $text"$'\n'"said: $said"
    done
    count=$((count + 1))
}

# accepts EXAMPLE ARGUMENT..
accepts() {
    local example=$1 helm said
    shift
    for helm in "${helms[@]}"; do
        said=$("$helm" template oms "$chart" --values "$chart/examples/$example.yaml" "$@" 2>&1 >/dev/null) ||
            die "with $*: $said"
    done
    count=$((count + 1))
}

# Missing.
refuses existing-databases 'services.order.database.existingSecret is required' --set services.order.database.existingSecret=
refuses existing-databases 'redis.existingSecret is required' --set redis.existingSecret=
refuses dev 'services.order.database.existingSecret is required' --set dev.enabled=false
# Contradictions.
refuses existing-databases 'exclude each other: dev brings its own Postgres' --set dev.enabled=true
refuses dev 'exclude each other: dev brings its own Redis' --set redis.existingSecret=oms-redis
refuses existing-databases 'services.order and services.returns have the same database' \
    --set services.returns.database.existingSecret=oms-order-db
accepts existing-databases --set services.returns.database.existingSecret=oms-order-db --set services.returns.database.key=returns
refuses existing-databases 'drain.gracePeriodSeconds is 45' --set drain.gracePeriodSeconds=45
accepts existing-databases --set drain.gracePeriodSeconds=46
refuses dev 'databases.cloudnativepg.enabled and dev.enabled exclude each other' --set databases.cloudnativepg.enabled=true
refuses existing-databases 'databases.cloudnativepg.enabled exclude each other' --set databases.cloudnativepg.enabled=true
refuses production 'tls.enabled and tls.terminatedByProxy exclude each other' --set tls.terminatedByProxy=true
refuses production 'gateway.backendCa is required with tls.enabled' --set gateway.backendCa=
refuses production 'services.order.hostnames needs gateway.parentRefs' --set-json gateway.parentRefs=[]
refuses dev 'gateway.webhookHostnames needs gateway.parentRefs' --set 'gateway.webhookHostnames={a.example.com}'
refuses production 'services.order.hostnames needs networkPolicy.clients' --set-json networkPolicy.clients=[]
refuses production 'monitoring.serviceMonitor.enabled needs networkPolicy.metrics' --set-json networkPolicy.metrics=[]
accepts production --set-json networkPolicy.metrics=[] --set networkPolicy.enabled=false
refuses production 'services.order.autoscaling.maxReplicas is 2, below its 3 replicas' --set services.order.autoscaling.maxReplicas=2
refuses dev 'auth.jwt.issuer, auth.jwt.audience and auth.jwt.jwksUrl belong together' --set auth.jwt.issuer=https://a.example.com
accepts existing-databases --set tls.enabled=true --set tls.terminatedByProxy=false --set tls.clientCertificateHeader=
accepts existing-databases --set tls.clientCertificateHeader=
refuses existing-databases 'tls.clientCertificateHeader is believed only from a proxy' \
    --set tls.enabled=true --set tls.terminatedByProxy=false
refuses existing-databases 'tls.enabled is required' --set tls.terminatedByProxy=false --set tls.clientCertificateHeader=
refuses production 'privacy.existingSecret is required' --set privacy.existingSecret=
accepts existing-databases --set auth.apiKeys.existingSecret=oms-api-keys
# The test.
refuses production 'test.provider is sandbox, which the order service does not have' --set test.provider=sandbox
accepts production --set test.provider=sandbox --set services.order.config.PAYMENTS__SANDBOX__URL=http://sandbox-psp:7090
refuses dev 'test.provider is stripe, which the order service does not have' --set test.provider=stripe
refuses production 'test.paymentToken is "tok_approve"' --set test.paymentToken=tok_approve
refuses existing-databases 'test.existingSecret is required' --set test.existingSecret= --set tls.clientCertificateHeader=
accepts existing-databases --set test.existingSecret=
refuses production 'test.existingSecret needs auth.jwt or auth.apiKeys' --set test.existingSecret=oms-test \
    --set auth.jwt.issuer= --set auth.jwt.audience= --set auth.jwt.jwksUrl=
accepts production --set test.existingSecret=oms-test
# What the chart sets itself.
refuses dev 'services.order.config.AUTH__CALLERS__TEST__ORDER: the chart sets this one' \
    --set services.order.config.AUTH__CALLERS__TEST__ORDER=x
refuses dev 'services.order.config.INSECURE_DEV: the chart sets this one' --set-string services.order.config.INSECURE_DEV=true
refuses dev 'services.order.config.PEERS__RETURNS__URL: the chart sets this one' --set services.order.config.PEERS__RETURNS__URL=x
refuses dev 'services.order.config.TELEMETRY__FILTER: the chart sets this one' --set services.order.config.TELEMETRY__FILTER=x
refuses dev 'services.order.config.PAYMENTS__STRIPE__API_KEY: the chart sets this one' \
    --set services.order.config.PAYMENTS__STRIPE__API_KEY=x
accepts dev --set-string services.order.config.SAGA__CONCURRENCY=8
refuses dev 'services.order.config.TLS__KEY: the chart sets this one' --set services.order.config.TLS__KEY=x
# Unknown and malformed values. Helm 3 and 4 word these differently; both name the place.
refuses dev 'replica' --set services.order.replica=2
refuses dev 'gateway' --set services.gateway.replicas=2
refuses dev 'databse' --set databse=x
refuses dev 'tag' --set image.tag=latest
refuses dev 'replicas' --set services.order.replicas=0
refuses dev 'otlpEndpoint' --set telemetry.otlpEndpoint=collector:4317
refuses dev 'SAGA__CONCURRENCY' --set services.order.config.SAGA__CONCURRENCY=8
refuses dev 'concurrency' --set services.order.config.concurrency=x
refuses dev 'everySeconds' --set verify.everySeconds=1
refuses dev 'currency' --set test.currency=dollars
refuses dev 'jwksUrl' --set auth.jwt.jwksUrl=http://login.example.com
refuses dev 'size' --set databases.cloudnativepg.size=20
refuses dev 'hostnames' --set 'services.order.hostnames={Shop}'
refuses dev 'connections' --set services.order.connections=0

"$(scripts/tools.sh kubernetes-validate)" scripts/chart_test.py "$rendered"
say "refuses and accepts as promised: $count combinations"
