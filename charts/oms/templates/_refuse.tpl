{{- /* Combinations that the schema cannot see. Each refusal says what to do instead. */ -}}
{{- define "oms.refuse" -}}
{{- $values := .Values -}}
{{- $seen := dict -}}
{{- range $service := splitList " " (include "oms.services" .) -}}
  {{- $of := get $values.services $service -}}
  {{- $secret := $of.database.existingSecret -}}
  {{- if $values.dev.enabled -}}
    {{- if $secret -}}
      {{- fail (printf "services.%s.database.existingSecret and dev.enabled exclude each other: dev brings its own Postgres" $service) -}}
    {{- end -}}
  {{- else -}}
    {{- if not $secret -}}
      {{- fail (printf "services.%s.database.existingSecret is required: name a Secret whose key %q holds postgres://user:password@host:port/database, or set dev.enabled=true to try things" $service $of.database.key) -}}
    {{- end -}}
    {{- $place := printf "%s/%s" $secret $of.database.key -}}
    {{- if hasKey $seen $place -}}
      {{- fail (printf "services.%s and services.%s have the same database (Secret %s, key %s): every service owns one of its own" (get $seen $place) $service $secret $of.database.key) -}}
    {{- end -}}
    {{- $_ := set $seen $place $service -}}
  {{- end -}}
  {{- range $key, $value := $of.config -}}
    {{- if has $key (list "LISTEN" "ADMIN_LISTEN" "INSECURE_DEV" "DATABASE__URL" "DATABASE__MAX_CONNECTIONS" "LEASE__REDIS_URL" "PAYMENTS__STRIPE__API_KEY" "PAYMENTS__STRIPE__WEBHOOK_SECRET") -}}
      {{- fail (printf "services.%s.config.%s: the chart sets this one; INSECURE_DEV works on one machine only, see connections, database, redis and payments for the others" $service $key) -}}
    {{- end -}}
    {{- if or (hasPrefix "PEERS__" $key) (hasPrefix "TELEMETRY__" $key) -}}
      {{- fail (printf "services.%s.config.%s: the chart sets this one; see telemetry" $service $key) -}}
    {{- end -}}
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
{{- end }}
