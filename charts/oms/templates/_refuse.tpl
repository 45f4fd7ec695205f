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
    {{- if has $key (list "LISTEN" "ADMIN_LISTEN" "INSECURE_DEV" "DATABASE__URL" "DATABASE__MAX_CONNECTIONS" "LEASE__REDIS_URL" "PAYMENTS__STRIPE__API_KEY" "PAYMENTS__STRIPE__WEBHOOK_SECRET" "CARRIERS__TABLE_RATE__WEBHOOK_SECRETS" "PRIVACY__MASTER_KEYS" "PRIVACY__MASTER_KEYS_FILE") -}}
      {{- fail (printf "services.%s.config.%s: the chart sets this one; INSECURE_DEV works on one machine only, see connections, database, redis, privacy, payments and carriers for the others" $service $key) -}}
    {{- end -}}
    {{- if hasPrefix "AUTH__CALLERS__TEST__" $key -}}
      {{- fail (printf "services.%s.config.%s: the chart sets this one; see test" $service $key) -}}
    {{- end -}}
    {{- if or (hasPrefix "PEERS__" $key) (hasPrefix "TELEMETRY__" $key) (hasPrefix "TLS__" $key) -}}
      {{- fail (printf "services.%s.config.%s: the chart sets this one; see telemetry and tls" $service $key) -}}
    {{- end -}}
  {{- end -}}
  {{- if and $of.autoscaling.enabled (lt (int $of.autoscaling.maxReplicas) (int $of.replicas)) -}}
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
{{- include "oms.refuseTest" . -}}
{{- end }}
