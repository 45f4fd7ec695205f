{{- /* Combinations that the schema cannot see. Each refusal says what to do instead. */ -}}
{{- define "oms.refuse" -}}
{{- $values := .Values -}}
{{- $seen := dict -}}
{{- range $service := splitList " " (include "oms.services" .) -}}
  {{- $of := get $values.services $service -}}
  {{- $secret := $of.database.existingSecret -}}
  {{- if $values.databases.cloudnativepg.enabled -}}
    {{- if $secret -}}
      {{- fail (printf "services.%s.database.existingSecret and databases.cloudnativepg.enabled exclude each other: the operator makes the Secrets" $service) -}}
    {{- end -}}
  {{- else if $values.dev.enabled -}}
    {{- if $secret -}}
      {{- fail (printf "services.%s.database.existingSecret and dev.enabled exclude each other: dev brings its own Postgres" $service) -}}
    {{- end -}}
  {{- else -}}
    {{- if not $secret -}}
      {{- fail (printf "services.%s.database.existingSecret is required: name a Secret whose key %q holds postgres://user:password@host:port/database, or set databases.cloudnativepg.enabled=true, or dev.enabled=true to try things" $service $of.database.key) -}}
    {{- end -}}
    {{- $place := printf "%s/%s" $secret $of.database.key -}}
    {{- if hasKey $seen $place -}}
      {{- fail (printf "services.%s and services.%s have the same database (Secret %s, key %s): every service owns one of its own" (get $seen $place) $service $secret $of.database.key) -}}
    {{- end -}}
    {{- $_ := set $seen $place $service -}}
  {{- end -}}
  {{- range $key, $value := $of.config -}}
    {{- if has $key (list "LISTEN" "ADMIN_LISTEN" "INSECURE_DEV" "DATABASE__URL" "DATABASE__MAX_CONNECTIONS" "LEASE__REDIS_URL" "LEASE__REDIS_CA_FILE" "SERVER__DRAIN_DELAY_MS" "SERVER__DRAIN_TIMEOUT_MS" "PAYMENTS__STRIPE__API_KEY" "PAYMENTS__STRIPE__WEBHOOK_SECRET" "CARRIERS__TABLE_RATE__WEBHOOK_SECRETS" "PRIVACY__MASTER_KEYS" "PRIVACY__MASTER_KEYS_FILE") -}}
      {{- fail (printf "services.%s.config.%s: the chart sets this one; INSECURE_DEV works on one machine only, see connections, database, drain, redis, privacy, payments and carriers for the others" $service $key) -}}
    {{- end -}}
    {{- if hasPrefix "AUTH__CALLERS__TEST__" $key -}}
      {{- fail (printf "services.%s.config.%s: the chart sets this one; see test" $service $key) -}}
    {{- end -}}
    {{- if or (hasPrefix "PEERS__" $key) (hasPrefix "TELEMETRY__" $key) (hasPrefix "TLS__" $key) -}}
      {{- fail (printf "services.%s.config.%s: the chart sets this one; see telemetry and tls" $service $key) -}}
    {{- end -}}
  {{- end -}}
  {{- if and (include "oms.isScaled" $of) (lt (int $of.autoscaling.maxReplicas) (int $of.replicas)) -}}
    {{- fail (printf "services.%s.autoscaling.maxReplicas is %d, below its %d replicas, which are the fewest" $service (int $of.autoscaling.maxReplicas) (int $of.replicas)) -}}
  {{- end -}}
  {{- if and $of.hostnames (not $values.gateway.parentRefs) -}}
    {{- fail (printf "services.%s.hostnames needs gateway.parentRefs: the Gateway through which callers come" $service) -}}
  {{- end -}}
  {{- if and $of.hostnames $values.networkPolicy.enabled (not (concat $values.networkPolicy.clients $of.clients)) -}}
    {{- fail (printf "services.%s.hostnames needs networkPolicy.clients or services.%s.clients: the gateway's pods could not reach it" $service $service) -}}
  {{- end -}}
{{- end -}}
{{- if and $values.dev.enabled $values.redis.existingSecret -}}
  {{- fail "redis.existingSecret and dev.enabled exclude each other: dev brings its own Redis" -}}
{{- end -}}
{{- if not (or $values.dev.enabled $values.redis.existingSecret) -}}
  {{- fail (printf "redis.existingSecret is required: name a Secret whose key %q holds redis://host:port, or set dev.enabled=true to try things" $values.redis.key) -}}
{{- end -}}
{{- $drain := div (add (int $values.drain.delayMs) (mul 2 (int $values.drain.timeoutMs))) 1000 -}}
{{- if le (int $values.drain.gracePeriodSeconds) (int $drain) -}}
  {{- fail (printf "drain.gracePeriodSeconds is %d: Kubernetes would kill pods that still drain, which takes up to %d s (delayMs and twice timeoutMs)" (int $values.drain.gracePeriodSeconds) (int $drain)) -}}
{{- end -}}
{{- if and $values.dev.enabled $values.databases.cloudnativepg.enabled -}}
  {{- fail "databases.cloudnativepg.enabled and dev.enabled exclude each other: dev brings its own Postgres" -}}
{{- end -}}
{{- if and $values.tls.enabled $values.tls.terminatedByProxy -}}
  {{- fail "tls.enabled and tls.terminatedByProxy exclude each other: either the services do TLS, or a proxy beside them" -}}
{{- end -}}
{{- if not (or $values.dev.enabled $values.privacy.existingSecret) -}}
  {{- fail (printf "privacy.existingSecret is required: name a Secret whose key %q holds the master keys of personal data, or set dev.enabled=true to try things" $values.privacy.key) -}}
{{- end -}}
{{- if not (or $values.tls.enabled $values.tls.terminatedByProxy) -}}
  {{- fail "tls.enabled is required: the services listen in plain text only where a proxy beside each pod does TLS for them, which tls.terminatedByProxy says" -}}
{{- end -}}
{{- if and $values.tls.clientCertificateHeader (not $values.tls.terminatedByProxy) -}}
  {{- fail "tls.clientCertificateHeader is believed only from a proxy: it needs tls.terminatedByProxy" -}}
{{- end -}}
{{- if and $values.gateway.webhookHostnames (not $values.gateway.parentRefs) -}}
  {{- fail "gateway.webhookHostnames needs gateway.parentRefs: the Gateway through which they come" -}}
{{- end -}}
{{- range $service := splitList " " (include "oms.webhookReceivers" .) -}}
  {{- if and $values.gateway.webhookHostnames $values.networkPolicy.enabled (not (concat $values.networkPolicy.clients (get $values.services $service).clients)) -}}
    {{- fail (printf "gateway.webhookHostnames needs networkPolicy.clients or services.%s.clients: the gateway's pods could not reach it" $service) -}}
  {{- end -}}
{{- end -}}
{{- if and $values.gateway.parentRefs $values.tls.enabled (not $values.gateway.backendCa) -}}
  {{- fail "gateway.backendCa is required with tls.enabled: a ConfigMap whose ca.crt signed the services' certificates, or gateways refuse them" -}}
{{- end -}}
{{- if and $values.monitoring.serviceMonitor.enabled $values.networkPolicy.enabled (not $values.networkPolicy.metrics) -}}
  {{- fail "monitoring.serviceMonitor.enabled needs networkPolicy.metrics: the pods of Prometheus, which could not reach the admin ports" -}}
{{- end -}}
{{- with $values.auth.jwt -}}
  {{- if and (or .issuer .audience .jwksUrl) (not (and .issuer .audience .jwksUrl)) -}}
    {{- fail "auth.jwt.issuer, auth.jwt.audience and auth.jwt.jwksUrl belong together: set all three, or none" -}}
  {{- end -}}
{{- end -}}
{{- include "oms.refuseEgress" . -}}
{{- include "oms.refuseCa" . -}}
{{- include "oms.refuseClusters" . -}}
{{- include "oms.refuseTest" . -}}
{{- end }}

{{- /* Ways out that policies close: what goes there would fail long after the installation, and quietly. */ -}}
{{- define "oms.refuseEgress" -}}
{{- $values := .Values -}}
{{- $policy := $values.networkPolicy -}}
{{- if $policy.enabled -}}
  {{- with $values.telemetry.otlpEndpoint -}}
    {{- $port := include "oms.urlPort" . -}}
    {{- if ne $port (toString $policy.otlpPort) -}}
      {{- fail (printf "networkPolicy.otlpPort is %d and telemetry.otlpEndpoint goes to port %s: no trace would arrive. Make them equal; if pods behind that address listen elsewhere, open it with networkPolicy.egress" (int $policy.otlpPort) $port) -}}
    {{- end -}}
  {{- end -}}
  {{- with $values.auth.jwt.jwksUrl -}}
    {{- $port := include "oms.urlPort" . -}}
    {{- if and $policy.jwks (ne $port (toString $policy.jwksPort)) -}}
      {{- fail (printf "networkPolicy.jwksPort is %d and auth.jwt.jwksUrl goes to port %s: no service could fetch the keys. Make them equal; if pods behind that address listen elsewhere, open it with networkPolicy.egress" (int $policy.jwksPort) $port) -}}
    {{- end -}}
    {{- range $service := splitList " " (include "oms.services" $) -}}
      {{- if not (concat $policy.jwks $policy.egress (get $values.services $service).egress) -}}
        {{- fail (printf "auth.jwt needs networkPolicy.jwks: where %s is. The %s service could not fetch the keys and would refuse every token" $values.auth.jwt.jwksUrl $service) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- /* Files that no address would name. */ -}}
{{- define "oms.refuseCa" -}}
{{- $values := .Values -}}
{{- if and $values.dev.enabled (or $values.databases.caSecret.name $values.redis.caSecret.name) -}}
  {{- fail "databases.caSecret, redis.caSecret and dev.enabled exclude each other: the engines of dev speak no TLS" -}}
{{- end -}}
{{- if and $values.databases.cloudnativepg.enabled $values.databases.caSecret.name -}}
  {{- fail "databases.caSecret and databases.cloudnativepg.enabled exclude each other: the operator writes the addresses, and they do not name the file" -}}
{{- end -}}
{{- end }}

{{- /* Clusters that would be too small, or could not be restored. */ -}}
{{- define "oms.refuseClusters" -}}
{{- $of := .Values.databases.cloudnativepg -}}
{{- if and $of.recovery (not (and $of.enabled $of.backup.objectStore)) -}}
  {{- fail "databases.cloudnativepg.recovery needs databases.cloudnativepg.enabled and databases.cloudnativepg.backup.objectStore, where the backups are" -}}
{{- end -}}
{{- if $of.enabled -}}
  {{- if and $of.backup.objectStore (not $of.backup.objectStore.destinationPath) -}}
    {{- fail "databases.cloudnativepg.backup.objectStore.destinationPath is required, such as s3://bucket/oms" -}}
  {{- end -}}
  {{- range $service := splitList " " (include "oms.services" .) -}}
    {{- $it := dict "root" $ "service" $service -}}
    {{- $needed := int (include "oms.connectionsNeeded" $it) -}}
    {{- $given := $of.parameters.max_connections -}}
    {{- if and $given (lt (int $given) $needed) -}}
      {{- fail (printf "databases.cloudnativepg.parameters.max_connections is %s, and the pods of services.%s may open %d: raise it, or leave it away" $given $service $needed) -}}
    {{- end -}}
    {{- with get $of.recovery $service -}}
      {{- if eq (.from | default (include "oms.firstCluster" $it)) (include "oms.cluster" $it) -}}
        {{- fail (printf "databases.cloudnativepg.recovery.%s.suffix is that of the Cluster it restores from: the new one archives under its own name, where nothing may be yet" $service) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}
