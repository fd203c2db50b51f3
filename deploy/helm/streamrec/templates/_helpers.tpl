{{- define "streamrec.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "streamrec.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "streamrec.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "streamrec.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of one role: a dict of root and role. */}}
{{- define "streamrec.selector" -}}
app.kubernetes.io/name: {{ include "streamrec.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "streamrec.labels" -}}
{{ include "streamrec.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "streamrec.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "streamrec.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "streamrec.prefix" -}}
{{- dig "kafka" "topic_prefix" "streamrec." .Values.settings -}}
{{- end -}}

{{- define "streamrec.partitions" -}}
{{- dig "kafka" "partitions" 4 .Values.settings | int -}}
{{- end -}}

{{- define "streamrec.strimziNamespace" -}}
{{- default .Release.Namespace .Values.strimzi.namespace -}}
{{- end -}}

{{/* A value as an environment variable holds it: no 1e+06. */}}
{{- define "streamrec.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{/* Settings of a role as JSON: variable -> text. What the role has stands before what all have. */}}
{{- define "streamrec.settings" -}}
{{- $own := dig .role "settings" (dict) .root.Values.AsMap -}}
{{- $found := dict "STREAMREC_STATE_DIR" "/var/lib/streamrec/state" -}}
{{- if .root.Values.registry.url -}}
{{- $_ := set $found "STREAMREC_REGISTRY_URL" .root.Values.registry.url -}}
{{- else if .root.Values.registry.persistence.enabled -}}
{{- $_ := set $found "STREAMREC_REGISTRY_URL" "/var/lib/streamrec/registry" -}}
{{- else -}}
{{- fail "registry: give registry.url, or leave registry.persistence.enabled: trainer, serving workers and gateways have to reach the same one" -}}
{{- end -}}
{{- if eq .role "gateway" -}}
{{- $_ := set $found "STREAMREC_GATEWAY_HOST" "0.0.0.0" -}}
{{- $_ := set $found "STREAMREC_GATEWAY_PORT" "8080" -}}
{{- end -}}
{{- if has .role (list "features" "trainer" "copy" "repliesTrainer" "serving" "replies" "gateway") -}}
{{- $_ := set $found "STREAMREC_METRICS_HOST" "0.0.0.0" -}}
{{- $_ := set $found "STREAMREC_METRICS_PORT" (toString .root.Values.monitoring.port) -}}
{{- end -}}
{{- if and .root.Values.strimzi.users.enabled (ne .role "topics") -}}
{{- $_ := set $found "STREAMREC_KAFKA_SASL_MECHANISM" "SCRAM-SHA-512" -}}
{{- $_ := set $found "STREAMREC_KAFKA_SASL_USERNAME" (printf "%s-%s" (include "streamrec.fullname" .root) (kebabcase .role)) -}}
{{- end -}}
{{- range $settings := list .root.Values.settings $own -}}
{{- range $group, $values := $settings -}}
{{- if kindIs "map" $values -}}
{{- range $name, $value := $values -}}
{{- $_ := set $found (printf "STREAMREC_%s_%s" $group $name | upper) (include "streamrec.text" $value) -}}
{{- end -}}
{{- else -}}
{{- $_ := set $found (printf "STREAMREC_%s" $group | upper) (include "streamrec.text" $values) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Secrets of a role as JSON: setting -> {name, key}. */}}
{{- define "streamrec.secrets" -}}
{{- $found := dict -}}
{{- if and .root.Values.strimzi.users.enabled (ne .role "topics") -}}
{{- $user := printf "%s-%s" (include "streamrec.fullname" .root) (kebabcase .role) -}}
{{- $_ := set $found "kafka_sasl_password" (dict "name" $user "key" "password") -}}
{{- end -}}
{{- range $setting, $where := .root.Values.secrets -}}
{{- $only := get (dict "gateway_keys_file" (list "gateway") "trust_signing_keyfile" (list "trainer" "copy" "repliesTrainer")) $setting -}}
{{- if or (not $only) (has $.role $only) -}}
{{- $_ := set $found $setting $where -}}
{{- end -}}
{{- end -}}
{{- range $setting, $where := dig .role "secrets" (dict) .root.Values.AsMap -}}
{{- $_ := set $found $setting $where -}}
{{- end -}}
{{- if and (eq .role "gateway") (not (get $found "gateway_keys_file")) -}}
{{- fail "secrets.gateway_keys_file: a gateway that others reach needs API keys. `streamrec keys api new --file FILE …` makes the file; then kubectl create secret generic NAME --from-file=keys.json=FILE, and secrets.gateway_keys_file: {name: NAME, key: keys.json}. Or gateway.enabled: false" -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* The variable that names a mounted file: of a secret its setting and _FILE. */}}
{{- define "streamrec.fileVariable" -}}
{{- $variable := printf "STREAMREC_%s" . | upper -}}
{{- if regexMatch "files?$" . }}{{ $variable }}{{ else }}{{ $variable }}_FILE{{ end -}}
{{- end -}}
