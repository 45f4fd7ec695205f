{{- /* To anywhere: a resolver on the node has no pod that could be selected. */ -}}
{{- define "oms.egressDns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}

{{- define "oms.egressPostgres" -}}
- ports:
    - port: {{ if .Values.dev.enabled }}5432{{ else }}{{ .Values.networkPolicy.postgresPort }}{{ end }}
  {{- if .Values.dev.enabled }}
  to:
    - podSelector:
        matchLabels:
          {{- include "oms.selector" (dict "root" . "component" "postgres") | nindent 10 }}
  {{- else }}
  {{- with .Values.networkPolicy.postgres }}
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
