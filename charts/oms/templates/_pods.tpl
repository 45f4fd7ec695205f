{{- /* What pods have in common. `own` is the section of the values that speaks of these pods alone, if there is one. */ -}}
{{- define "oms.podLabels" -}}
{{ include "oms.labels" . }}
{{- with merge (deepCopy (dig "podLabels" (dict) (.own | default dict))) .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "oms.podAnnotations" -}}
{{- with merge (deepCopy (dig "podAnnotations" (dict) (.own | default dict))) .root.Values.podAnnotations -}}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Where pods of a service may run, as its values say. */ -}}
{{- define "oms.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Brings a database to the schema of the program: of a Job, or of the pods themselves. */ -}}
{{- define "oms.migrateContainer" -}}
- name: migrate
  image: {{ include "oms.image" . }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [migrate]
  env:
    {{- include "oms.databaseEnv" . | nindent 4 }}
    - name: OMS_{{ upper .service }}__TELEMETRY__FORMAT
      value: {{ .root.Values.telemetry.format | quote }}
  resources:
    {{- toYaml (get .root.Values.services .service).resources | nindent 4 }}
  securityContext:
    {{- include "oms.containerSecurity" . | nindent 4 }}
  {{- with include "oms.databaseCaMount" . }}
  volumeMounts:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* Who signed the certificate of Postgres, for addresses that name the file as sslrootcert. */ -}}
{{- define "oms.databaseCaMount" -}}
{{- if .root.Values.databases.caSecret.name -}}
- name: database-ca
  mountPath: /etc/oms/database-ca
  readOnly: true
{{- end }}
{{- end }}

{{- define "oms.databaseCaVolume" -}}
{{- with .root.Values.databases.caSecret -}}
{{- if .name -}}
- name: database-ca
  secret:
    secretName: {{ .name }}
    items: [{ key: {{ .key }}, path: ca.crt }]
    defaultMode: 0444
{{- end }}
{{- end }}
{{- end }}

{{- /* Files of a service: certificates and the keys of partners. */ -}}
{{- define "oms.mounts" -}}
{{- if .root.Values.tls.enabled }}
- name: tls
  mountPath: /etc/oms/tls
  readOnly: true
{{- end }}
{{- if .root.Values.auth.apiKeys.existingSecret }}
- name: api-keys
  mountPath: /etc/oms/api-keys
  readOnly: true
{{- end }}
{{- with include "oms.databaseCaMount" . }}
{{ . }}
{{- end }}
{{- if and (include "oms.usesRedis" .) .root.Values.redis.caSecret.name }}
- name: redis-ca
  mountPath: /etc/oms/redis-ca
  readOnly: true
{{- end }}
{{- end }}

{{- define "oms.volumes" -}}
{{- if .root.Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "oms.fullname" .root }}-{{ .service }}-tls
    defaultMode: 0440
{{- end }}
{{- if .root.Values.auth.apiKeys.existingSecret }}
- name: api-keys
  secret:
    secretName: {{ .root.Values.auth.apiKeys.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- with include "oms.databaseCaVolume" . }}
{{ . }}
{{- end }}
{{- if and (include "oms.usesRedis" .) .root.Values.redis.caSecret.name }}
- name: redis-ca
  secret:
    secretName: {{ .root.Values.redis.caSecret.name }}
    items: [{ key: {{ .root.Values.redis.caSecret.key }}, path: ca.crt }]
    defaultMode: 0444
{{- end }}
{{- end }}

{{- define "oms.podSecurity" -}}
runAsNonRoot: true
{{- $ids := .root.Values.securityContext }}
{{- range $key := list "runAsUser" "runAsGroup" "fsGroup" }}
{{- if and (hasKey $ids $key) (not (kindIs "invalid" (index $ids $key))) }}
{{ $key }}: {{ index $ids $key | int64 }}
{{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "oms.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "oms.pullSecrets" -}}
{{- with .root.Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
