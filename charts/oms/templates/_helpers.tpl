{{- /* The services, in the order in which money flows. */ -}}
{{- define "oms.services" -}}
order inventory fulfillment shipping returns
{{- end }}

{{- /* gRPC port of a service: (dict "service" "order"). The admin port is 1000 above. */ -}}
{{- define "oms.port" -}}
{{- get (dict "order" 7001 "inventory" 7002 "fulfillment" 7003 "shipping" 7004 "returns" 7005) .service -}}
{{- end }}

{{- define "oms.adminPort" -}}
{{- add 1000 (int (include "oms.port" .)) -}}
{{- end }}

{{- /* Whom a service connects to: the calls it makes and the event feeds it reads. The only list of edges: peer
       addresses and network policies are made of it. */ -}}
{{- define "oms.peers" -}}
{{- get (dict
  "order" "inventory fulfillment shipping returns"
  "inventory" "shipping returns"
  "fulfillment" "order inventory shipping"
  "shipping" "order inventory fulfillment"
  "returns" "order shipping"
) .service -}}
{{- end }}

{{- /* Whether an autoscaler says how many pods a service has. None has 0: that is somebody who stopped it. */ -}}
{{- define "oms.isScaled" -}}
{{- if and .autoscaling.enabled .replicas }}true{{ end -}}
{{- end }}

{{- /* Who receives webhooks: order those of payment providers, shipping those of carriers that it can verify. */ -}}
{{- define "oms.webhookReceivers" -}}
order{{ if .Values.carriers.tableRate.existingSecret }} shipping{{ end }}
{{- end }}

{{- /* Only inventory holds leases in Redis. */ -}}
{{- define "oms.usesRedis" -}}
{{- if eq .service "inventory" }}true{{ end -}}
{{- end }}

{{- define "oms.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- /* (dict "root" $ "component" "order") */ -}}
{{- define "oms.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "oms.labels" -}}
{{ include "oms.selector" . }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Image of a service, or of the oms command for (dict "root" $ "service" "cli"). */ -}}
{{- define "oms.image" -}}
{{- with .root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
oms{{ if ne .service "cli" }}-{{ .service }}{{ end }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- with get .root.Values.image.digests .service }}@{{ . }}{{ end -}}
{{- end }}

{{- /* Where the address of the service's database stands. */ -}}
{{- define "oms.databaseSecret" -}}
{{- $values := .root.Values -}}
{{- if $values.dev.enabled -}}
name: {{ include "oms.fullname" .root }}-dev
key: {{ .service }}-database-url
{{- else if $values.databases.cloudnativepg.enabled -}}
name: {{ include "oms.cluster" . }}-app
key: uri
{{- else -}}
{{- $database := (get $values.services .service).database -}}
name: {{ $database.existingSecret }}
key: {{ $database.key }}
{{- end -}}
{{- end }}

{{- /* Whether pods migrate before they serve: where the database comes up beside them, after every hook. */ -}}
{{- define "oms.migrateInPods" -}}
{{- if or .Values.dev.enabled .Values.databases.cloudnativepg.enabled }}true{{ end -}}
{{- end }}

{{- define "oms.redisSecret" -}}
name: {{ if .root.Values.dev.enabled }}{{ include "oms.fullname" .root }}-dev{{ else }}{{ .root.Values.redis.existingSecret }}{{ end }}
key: {{ if .root.Values.dev.enabled }}redis-url{{ else }}{{ .root.Values.redis.key }}{{ end }}
{{- end }}

{{- /* Configuration that is no secret, by the names of its environment variables. */ -}}
{{- define "oms.config" -}}
{{- $root := .root -}}
{{- $of := get $root.Values.services .service -}}
{{- $prefix := printf "OMS_%s__" (upper .service) -}}
{{ $prefix }}LISTEN: "{{ $root.Values.listenAddress }}:{{ include "oms.port" . }}"
{{ $prefix }}ADMIN_LISTEN: "{{ $root.Values.listenAddress }}:{{ include "oms.adminPort" . }}"
{{ $prefix }}DATABASE__MAX_CONNECTIONS: {{ $of.connections | quote }}
{{ $prefix }}SERVER__DRAIN_DELAY_MS: {{ $root.Values.drain.delayMs | int | quote }}
{{ $prefix }}SERVER__DRAIN_TIMEOUT_MS: {{ $root.Values.drain.timeoutMs | int | quote }}
{{ $prefix }}TELEMETRY__FORMAT: {{ $root.Values.telemetry.format | quote }}
{{ $prefix }}TELEMETRY__FILTER: {{ $root.Values.telemetry.filter | quote }}
{{- with $root.Values.telemetry.otlpEndpoint }}
{{ $prefix }}TELEMETRY__OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{- range $peer := splitList " " (include "oms.peers" .) }}
{{ $prefix }}PEERS__{{ upper $peer }}__URL: "http{{ if $root.Values.tls.enabled }}s{{ end }}://{{ include "oms.fullname" $root }}-{{ $peer }}:{{ include "oms.port" (dict "service" $peer) }}"
{{- end }}
{{- if $root.Values.tls.enabled }}
{{ $prefix }}TLS__CERTIFICATE: /etc/oms/tls/tls.crt
{{ $prefix }}TLS__KEY: /etc/oms/tls/tls.key
{{ $prefix }}TLS__CLIENT_CA: /etc/oms/tls/ca.crt
{{- else if $root.Values.tls.terminatedByProxy }}
{{ $prefix }}TLS__TERMINATED_BY_PROXY: "true"
{{- with $root.Values.tls.clientCertificateHeader }}
{{ $prefix }}TLS__CLIENT_CERTIFICATE_HEADER: {{ . | quote }}
{{- end }}
{{- end }}
{{- if or $root.Values.tls.enabled $root.Values.tls.terminatedByProxy }}
{{ $prefix }}TLS__SERVICE_URI: "spiffe://{{ $root.Values.tls.trustDomain }}/ns/{{ $root.Release.Namespace }}/sa/{{ include "oms.fullname" $root }}-{service}"
{{- end }}
{{- with $root.Values.auth.jwt }}
{{- if .issuer }}
{{ $prefix }}AUTH__JWT__ISSUER: {{ .issuer | quote }}
{{ $prefix }}AUTH__JWT__AUDIENCE: {{ .audience | quote }}
{{ $prefix }}AUTH__JWT__JWKS_URL: {{ .jwksUrl | quote }}
{{- end }}
{{- end }}
{{- if $root.Values.auth.apiKeys.existingSecret }}
{{ $prefix }}AUTH__API_KEYS__FILE: /etc/oms/api-keys/keys.toml
{{ $prefix }}AUTH__API_KEYS__PEPPER_FILE: /etc/oms/api-keys/pepper
{{- end }}
{{- if include "oms.testByCertificate" $root }}
{{ $prefix }}AUTH__CALLERS__TEST__{{ upper .service }}: {{ include "oms.testCalls" . | quote }}
{{- end }}
{{- if and (include "oms.usesRedis" .) $root.Values.redis.caSecret.name }}
{{ $prefix }}LEASE__REDIS_CA_FILE: /etc/oms/redis-ca/ca.crt
{{- end }}
{{- range $key, $value := $of.config }}
{{- if and (eq $key "PAYMENTS__SANDBOX__URL") (not $value) $root.Values.dev.enabled }}
{{- $value = printf "http://%s-sandbox-psp:7090" (include "oms.fullname" $root) }}
{{- end }}
{{ $prefix }}{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- /* The same as environment of a container. It stands in the pods' template and in no ConfigMap: a ReplicaSet keeps the
       configuration that its pods began with, so an old pod never starts with new keys, and `kubectl rollout undo` and
       `helm rollback` bring the old ones back. Kubernetes would take $(NAME) for a reference; configuration has none. */ -}}
{{- define "oms.configEnv" -}}
{{- range $name, $value := include "oms.config" . | fromYaml }}
- name: {{ $name }}
  value: {{ $value | replace "$(" "$$(" | quote }}
{{- end }}
{{- end }}

{{- /* Environment from Secrets. */ -}}
{{- define "oms.databaseEnv" -}}
- name: OMS_{{ upper .service }}__DATABASE__URL
  valueFrom:
    secretKeyRef:
      {{- include "oms.databaseSecret" . | nindent 6 }}
{{- end }}

{{- define "oms.stripeEnv" -}}
{{- $stripe := .root.Values.payments.stripe -}}
- name: OMS_ORDER__PAYMENTS__STRIPE__API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ $stripe.existingSecret }}
      key: {{ $stripe.apiKeyKey }}
- name: OMS_ORDER__PAYMENTS__STRIPE__WEBHOOK_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ $stripe.existingSecret }}
      key: {{ $stripe.webhookSecretKey }}
{{- end }}

{{- define "oms.carriersEnv" -}}
- name: OMS_SHIPPING__CARRIERS__TABLE_RATE__WEBHOOK_SECRETS
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.carriers.tableRate.existingSecret }}
      key: {{ .root.Values.carriers.tableRate.key }}
{{- end }}

{{- define "oms.privacyEnv" -}}
{{- if .root.Values.dev.enabled -}}
# Everybody knows it, like the passwords of the engines beside it.
{{ end -}}
- name: OMS_ORDER__PRIVACY__MASTER_KEYS
  {{- if .root.Values.dev.enabled }}
  value: dev:b21zLWRldmVsb3BtZW50LWtleS1vbmx5LTAxMjM0NTY=
  {{- else }}
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.privacy.existingSecret }}
      key: {{ .root.Values.privacy.key }}
  {{- end }}
{{- end }}

{{- define "oms.secretEnv" -}}
{{ include "oms.databaseEnv" . }}
{{- if eq .service "order" }}
{{ include "oms.privacyEnv" . }}
{{- end }}
{{- if and (eq .service "order") .root.Values.payments.stripe.existingSecret }}
{{ include "oms.stripeEnv" . }}
{{- end }}
{{- if and (eq .service "shipping") .root.Values.carriers.tableRate.existingSecret }}
{{ include "oms.carriersEnv" . }}
{{- end }}
{{- if include "oms.usesRedis" . }}
- name: OMS_{{ upper .service }}__LEASE__REDIS_URL
  valueFrom:
    secretKeyRef:
      {{- include "oms.redisSecret" . | nindent 6 }}
{{- end }}
{{- end }}
