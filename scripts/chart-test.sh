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

# variant NAME EXAMPLE ARGUMENT..: renders what no example shows; scripts/chart_test.py looks at it.
variant() {
    local name=$1 example=$2
    shift 2
    mkdir -p "$rendered/variants"
    "${helms[1]}" template oms "$chart" --namespace oms --values "$chart/examples/$example.yaml" "$@" \
        >"$rendered/variants/$name.yaml"
    "$python" scripts/core_kinds.py "$rendered/variants/$name.yaml" >"$rendered/variants/$name.core"
    "${python%/*}/kubernetes-validate" --strict --quiet "$rendered/variants/$name.core"
}

python=$(scripts/tools.sh kubernetes-validate)

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
refuses production 'gateway.webhookHostnames needs networkPolicy.clients or services.order.clients' \
    --set-json networkPolicy.clients=[] --set-json services.order.hostnames=[] --set-json services.inventory.hostnames=[]
refuses production 'gateway.webhookHostnames needs networkPolicy.clients or services.shipping.clients' \
    --set-json networkPolicy.clients=[] --set-json services.order.clients='[{"podSelector": {"matchLabels": {"app": "gateway"}}}]' \
    --set-json services.inventory.hostnames=[]
# Ways out.
refuses production 'auth.jwt needs networkPolicy.jwks' --set-json networkPolicy.jwks=[]
refuses production 'The inventory service could not fetch the keys' --set-json networkPolicy.jwks=[] \
    --set-json services.order.egress='[{"ports": [{"port": 443}]}]'
accepts production --set-json networkPolicy.jwks=[] --set-json networkPolicy.egress='[{"ports": [{"port": 443}]}]'
accepts production --set-json networkPolicy.jwks=[] --set networkPolicy.enabled=false
refuses production 'networkPolicy.jwksPort is 443 and auth.jwt.jwksUrl goes to port 8443' \
    --set auth.jwt.jwksUrl=https://login.example.com:8443/keys
accepts production --set auth.jwt.jwksUrl=https://login.example.com:8443/keys --set networkPolicy.jwksPort=8443
refuses production 'networkPolicy.otlpPort is 4317 and telemetry.otlpEndpoint goes to port 4318' \
    --set telemetry.otlpEndpoint=http://collector.monitoring:4318
refuses production 'telemetry.otlpEndpoint goes to port 443' --set telemetry.otlpEndpoint=https://collector.example.com/v1
accepts production --set telemetry.otlpEndpoint=https://collector.example.com --set networkPolicy.otlpPort=443
# Databases.
refuses production 'max_connections is 136, and the pods of services.order may open 137' \
    --set-string databases.cloudnativepg.parameters.max_connections=136
accepts production --set-string databases.cloudnativepg.parameters.max_connections=137
refuses production 'max_connections is 200, and the pods of services.inventory may open 209' \
    --set-string databases.cloudnativepg.parameters.max_connections=200 --set services.inventory.connections=20
refuses production 'backup.objectStore.destinationPath is required' --set databases.cloudnativepg.backup.objectStore.destinationPath=
refuses production 'objectStore' --set databases.cloudnativepg.backup.objectStore.serverName=oms
refuses production 'retentionPolicy' --set databases.cloudnativepg.backup.retentionPolicy=30
refuses production 'schedule' --set databases.cloudnativepg.backup.schedule='0 2 * * *'
refuses production 'databases.cloudnativepg.recovery needs databases.cloudnativepg.enabled and' \
    --set databases.cloudnativepg.recovery.order.suffix=r1 --set-json databases.cloudnativepg.backup.objectStore=null
refuses production 'suffix' --set databases.cloudnativepg.recovery.order.targetTime=2026-03-01T10:20:30Z
refuses production 'targetTime' --set databases.cloudnativepg.recovery.order.suffix=r1 \
    --set databases.cloudnativepg.recovery.order.targetTime=2026-03-01
refuses production 'recovery.order.suffix is that of the Cluster it restores from' \
    --set databases.cloudnativepg.recovery.order.suffix=r1 --set databases.cloudnativepg.recovery.order.from=oms-order-db-r1
refuses production 'databases.caSecret and databases.cloudnativepg.enabled exclude each other' --set databases.caSecret.name=ca
refuses dev 'the engines of dev speak no TLS' --set databases.caSecret.name=ca
refuses dev 'the engines of dev speak no TLS' --set redis.caSecret.name=ca
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
refuses dev 'services.order.config.SERVER__DRAIN_TIMEOUT_MS: the chart sets this one' \
    --set-string services.order.config.SERVER__DRAIN_TIMEOUT_MS=1
refuses dev 'services.inventory.config.LEASE__REDIS_CA_FILE: the chart sets this one' \
    --set services.inventory.config.LEASE__REDIS_CA_FILE=x
# Unknown and malformed values. Helm 3 and 4 word these differently; both name the place.
refuses dev 'replica' --set services.order.replica=2
refuses dev 'gateway' --set services.gateway.replicas=2
refuses dev 'databse' --set databse=x
refuses dev 'tag' --set image.tag=latest
refuses dev 'replicas' --set services.order.replicas=-1
refuses dev 'otlpEndpoint' --set telemetry.otlpEndpoint=collector:4317
refuses dev 'SAGA__CONCURRENCY' --set services.order.config.SAGA__CONCURRENCY=8
refuses dev 'concurrency' --set services.order.config.concurrency=x
refuses dev 'everySeconds' --set verify.everySeconds=1
refuses dev 'currency' --set test.currency=dollars
refuses dev 'jwksUrl' --set auth.jwt.jwksUrl=http://login.example.com
refuses dev 'size' --set databases.cloudnativepg.size=20
refuses dev 'hostnames' --set 'services.order.hostnames={Shop}'
refuses dev 'connections' --set services.order.connections=0
refuses dev 'digests' --set image.digests.order=sha256:1
refuses dev 'digests' --set image.digests.gateway=sha256:0000000000000000000000000000000000000000000000000000000000000000
refuses dev 'podLabels' --set-string 'podLabels.app\.kubernetes\.io/name=shop'
refuses dev 'podAnnotations' --set-string 'podAnnotations.helm\.sh/hook=test'
refuses dev 'affinity' --set services.order.affinity.nodeAfinity.x=y
refuses dev 'runAsUser' --set securityContext.runAsUser=0
refuses dev 'dnsPorts' --set-json networkPolicy.dnsPorts=[]

# What no example shows.
variant restored production \
    --set databases.cloudnativepg.recovery.order.suffix=r1 \
    --set databases.cloudnativepg.recovery.order.targetTime=2026-03-01T10:20:30Z \
    --set databases.cloudnativepg.recovery.returns.suffix=r2 \
    --set databases.cloudnativepg.recovery.returns.from=oms-returns-db-r1 \
    --set services.order.replicas=0 --set databases.cloudnativepg.backup.schedule=
variant single production --set databases.cloudnativepg.instances=1 \
    --set-json databases.cloudnativepg.backup.objectStore=null
variant platform existing-databases --set verify.enabled=true \
    --set securityContext.runAsUser=null --set securityContext.runAsGroup=null --set securityContext.fsGroup=1000680000 \
    --set-json 'networkPolicy.dnsPorts=[5353]' --set-json networkPolicy.webhooks=[] \
    --set image.digests.order=sha256:00000000000000000000000000000000000000000000000000000000000000aa \
    --set image.digests.cli=sha256:00000000000000000000000000000000000000000000000000000000000000bb \
    --set services.order.priorityClassName=shop \
    --set-json services.order.affinity='{"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}' \
    --set-string services.order.podAnnotations.own=order --set-string podAnnotations.own=all \
    --set-string podLabels.team=shop --set services.order.config.WEBHOOKS__NOTE="\$(HOSTNAME)"

"$python" scripts/chart_test.py "$rendered"
say "refuses and accepts as promised: $count combinations"
