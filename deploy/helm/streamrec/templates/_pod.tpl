{{/* The pod of a role: a dict of root, role and args; probed: the port that probes ask; claimed: state has a claim. */}}
{{- define "streamrec.pod" -}}
{{- $values := get .root.Values .role | default dict -}}
{{- $settings := include "streamrec.settings" . | fromJson -}}
{{- $secrets := include "streamrec.secrets" . | fromJson -}}
{{- $registry := and (has .role (list "trainer" "copy" "repliesTrainer" "serving" "replies" "gateway" "doctor")) (not .root.Values.registry.url) -}}
serviceAccountName: {{ if eq .role "topics" }}default{{ else }}{{ include "streamrec.serviceAccount" .root }}{{ end }}
automountServiceAccountToken: false
# a Service called streamrec-gateway would put STREAMREC_GATEWAY_PORT=tcp://… into every pod
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
{{- with .restart }}
restartPolicy: {{ . }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
containers:
  - name: {{ kebabcase .role }}
    image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    securityContext:
      {{- toYaml .root.Values.containerSecurityContext | nindent 6 }}
    env:
      {{- range $name, $value := $settings }}
      - name: {{ $name }}
        value: {{ $value | quote }}
      {{- end }}
      {{- range $setting, $where := $secrets }}
      - name: {{ include "streamrec.fileVariable" $setting }}
        value: /run/secrets/streamrec/{{ $setting }}
      {{- end }}
      {{- with .root.Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .probed }}
    ports:
      {{- if eq . "http" }}
      - {name: http, containerPort: 8080}
      {{- end }}
      - {name: metrics, containerPort: {{ $.root.Values.monitoring.port }}}
    startupProbe:
      httpGet: {path: /healthz, port: {{ . }}}
      periodSeconds: 5
      failureThreshold: 60
    livenessProbe:
      httpGet: {path: /healthz, port: {{ . }}}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    readinessProbe:
      httpGet: {path: /readyz, port: {{ . }}}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 2
    {{- end }}
    {{- $resources := deepCopy (.resources | default $values.resources) }}
    {{- if and $values.gpu (gt (int (dig "gpu" "count" 0 $values)) 0) }}
    {{- $limits := set ($resources.limits | default dict) $values.gpu.resourceName $values.gpu.count }}
    {{- $_ := set $resources "limits" $limits }}
    {{- end }}
    resources:
      {{- toYaml $resources | nindent 6 }}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      - name: state
        mountPath: /var/lib/streamrec/state
      {{- if $registry }}
      - name: registry
        mountPath: /var/lib/streamrec/registry
        readOnly: {{ not (has .role (list "trainer" "copy" "repliesTrainer" "doctor")) }}
      {{- end }}
      {{- if $secrets }}
      - name: secrets
        mountPath: /run/secrets/streamrec
        readOnly: true
      {{- end }}
      {{- with .root.Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- if not .claimed }}
  - name: state
    emptyDir: {}
  {{- end }}
  {{- if $registry }}
  - name: registry
    persistentVolumeClaim:
      claimName: {{ .root.Values.registry.persistence.existingClaim | default (printf "%s-registry" (include "streamrec.fullname" .root)) }}
  {{- end }}
  {{- if $secrets }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- range $setting, $where := $secrets }}
        - secret:
            name: {{ $where.name }}
            items:
              - {key: {{ $where.key | quote }}, path: {{ $setting }}}
        {{- end }}
  {{- end }}
  {{- with .root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if has .role (list "features" "serving" "replies" "gateway") }}
topologySpreadConstraints:
  {{- if $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "streamrec.selector" (dict "root" $.root "role" $.role) | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "streamrec.podMetadata" -}}
labels:
  {{- include "streamrec.labels" . | nindent 2 }}
{{- with (get .root.Values .role | default dict).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
