{{- /* Databases that CloudNativePG keeps. A Cluster is named by its service; one that began as a restore has a suffix, as
       the archive under the old name stays what it is. */ -}}
{{- define "oms.cluster" -}}
{{- $recovery := get .root.Values.databases.cloudnativepg.recovery .service | default dict -}}
{{ include "oms.firstCluster" . }}{{ with $recovery.suffix }}-{{ . }}{{ end }}
{{- end }}

{{- define "oms.firstCluster" -}}
{{ include "oms.fullname" .root }}-{{ .service }}-db
{{- end }}

{{- /* Connections that a service's database must take: those of all its pods and of one more, which comes before one goes
       at a rollout, each with one beside its pool that asks whether the database answers; and 20 for whoever repairs,
       verifies and backs up. */ -}}
{{- define "oms.connectionsNeeded" -}}
{{- $of := get .root.Values.services .service -}}
{{- $pods := int $of.replicas -}}
{{- if $of.autoscaling.enabled -}}
{{- $pods = max $pods (int $of.autoscaling.maxReplicas) -}}
{{- end -}}
{{- add 20 (mul (add 1 $pods) (add 1 (int $of.connections))) -}}
{{- end }}

{{- /* What the values say of postgresql.conf, and max_connections where they do not: never below Postgres' own default. */ -}}
{{- define "oms.postgresParameters" -}}
{{- $needed := max 100 (int (include "oms.connectionsNeeded" .)) -}}
{{- merge (deepCopy .root.Values.databases.cloudnativepg.parameters) (dict "max_connections" (toString $needed)) | toYaml -}}
{{- end }}

{{- define "oms.barman" -}}
barman-cloud.cloudnative-pg.io
{{- end }}
