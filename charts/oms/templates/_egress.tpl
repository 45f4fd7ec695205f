{{- /* To anywhere: a resolver on the node has no pod that could be selected. */ -}}
{{- define "oms.egressDns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
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
          cnpg.io/cluster: {{ include "oms.fullname" $root }}-{{ . }}-db
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
