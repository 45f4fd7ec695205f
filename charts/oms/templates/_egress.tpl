{{- /* To anywhere: a resolver on the node has no pod that could be selected. */ -}}
{{- define "oms.egressDns" -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - port: {{ . }}
      protocol: UDP
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}

{{- /* To the databases of these services: (dict "root" $ "services" (list "order")). */ -}}
{{- define "oms.egressPostgres" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $own := or $values.dev.enabled $values.databases.cloudnativepg.enabled -}}
- ports:
    - port: {{ if $own }}5432{{ else }}{{ $values.networkPolicy.postgresPort }}{{ end }}
  {{- if $values.dev.enabled }}
  to:
    - podSelector:
        matchLabels:
          {{- include "oms.selector" (dict "root" $root "component" "postgres") | nindent 10 }}
  {{- else if $own }}
  to:
    {{- range .services }}
    - podSelector:
        matchLabels:
          cnpg.io/cluster: {{ include "oms.cluster" (dict "root" $root "service" .) }}
    {{- end }}
  {{- else }}
  {{- with $values.networkPolicy.postgres }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}

{{- define "oms.egressRedis" -}}
- ports:
    - port: {{ if .Values.dev.enabled }}6379{{ else }}{{ .Values.networkPolicy.redisPort }}{{ end }}
  {{- if .Values.dev.enabled }}
  to:
    - podSelector:
        matchLabels:
          {{- include "oms.selector" (dict "root" . "component" "redis") | nindent 10 }}
  {{- else }}
  {{- with .Values.networkPolicy.redis }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}

{{- /* To the issuer's keys, which every service fetches itself. */ -}}
{{- define "oms.egressJwks" -}}
{{- if and .Values.auth.jwt.jwksUrl .Values.networkPolicy.jwks -}}
- ports:
    - port: {{ .Values.networkPolicy.jwksPort }}
  to:
    {{- toYaml .Values.networkPolicy.jwks | nindent 4 }}
{{- end }}
{{- end }}

{{- /* Port of a URL, written or not. */ -}}
{{- define "oms.urlPort" -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end }}
