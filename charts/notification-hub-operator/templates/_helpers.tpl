{{- define "operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{- define "operator.fullname" -}}
{{- $name := include "operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Name of objects of the whole cluster, which two releases of one name in two namespaces do not share. */ -}}
{{- define "operator.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "operator.fullname" .) -}}
{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ include "operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end -}}

{{- define "operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "operator.fullname" .) -}}
{{- end -}}

{{- define "operator.leaseName" -}}
{{- .Values.leaderElection.leaseName | default (include "operator.fullname" .) -}}
{{- end -}}

{{- /* Names of pull secrets, from a dictionary with image and global. An item of global.imagePullSecrets may be an object with a name. */ -}}
{{- define "operator.pullSecrets" -}}
{{- $names := .image.pullSecrets | default list -}}
{{- range (.global | default dict).imagePullSecrets -}}
{{- if kindIs "map" . }}{{ $names = append $names .name }}{{ else }}{{ $names = append $names . }}{{ end -}}
{{- end -}}
{{- join "," (uniq $names) -}}
{{- end -}}

{{- /* Reference to an image, from a dictionary with image, its name in the values, global and appVersion. */ -}}
{{- define "operator.image" -}}
{{- $repository := required "image.repository and hubImage.repository must be set" .image.repository -}}
{{- $registry := (.global | default dict).imageRegistry | default .image.registry -}}
{{- if not (or $registry (regexMatch "^([^/]*[.:][^/]*|localhost)/" $repository)) -}}
{{- fail (printf "%s.registry must be set: no release has been published yet, so build the images, push them to a registry, and name it (docs/install.md#images)" .name) -}}
{{- end -}}
{{- if $registry }}{{ $repository = printf "%s/%s" $registry $repository }}{{ end -}}
{{- if .image.digest -}}
{{- $repository }}{{ if .image.tag }}:{{ .image.tag }}{{ end }}@{{ .image.digest -}}
{{- else -}}
{{- $repository }}:{{ .image.tag | default .appVersion -}}
{{- end -}}
{{- end -}}

{{- /* The reference to the operator's own image. */ -}}
{{- define "operator.ownImage" -}}
{{- include "operator.image" (dict "image" .Values.image "name" "image" "global" .Values.global "appVersion" .Chart.AppVersion) -}}
{{- end -}}

{{- /* The Secrets for the registry of the operator's image, as a part of a pod. */ -}}
{{- define "operator.imagePullSecrets" -}}
{{- with include "operator.pullSecrets" (dict "image" .Values.image "global" .Values.global) -}}
imagePullSecrets:
  {{- range splitList "," . }}
  - name: {{ . }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "operator.podSecurityContext" -}}
{{- $default := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- mergeOverwrite $default (deepCopy .Values.podSecurityContext) | toYaml -}}
{{- end -}}

{{- define "operator.securityContext" -}}
{{- $default := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{- mergeOverwrite $default (deepCopy .Values.securityContext) | toYaml -}}
{{- end -}}

{{- /* The variables of the operator's container. */ -}}
{{- define "operator.env" -}}
- name: NOTIFICATION_HUB_OPERATOR_WATCH_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: NOTIFICATION_HUB_OPERATOR_LEADER_ELECTION
  value: {{ .Values.leaderElection.enabled | quote }}
- name: NOTIFICATION_HUB_OPERATOR_LEASE_NAME
  value: {{ include "operator.leaseName" . | quote }}
- name: NOTIFICATION_HUB_OPERATOR_LEASE_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: NOTIFICATION_HUB_OPERATOR_METRICS_ADDRESS
  value: {{ printf "[::]:%d" (int .Values.metrics.port) | quote }}
- name: NOTIFICATION_HUB_OPERATOR_HUB_IMAGE
  value: {{ include "operator.image" (dict "image" .Values.hubImage "name" "hubImage" "global" .Values.global "appVersion" .Chart.AppVersion) | quote }}
- name: NOTIFICATION_HUB_OPERATOR_HUB_IMAGE_PULL_POLICY
  value: {{ .Values.hubImage.pullPolicy | quote }}
- name: NOTIFICATION_HUB_OPERATOR_HUB_IMAGE_PULL_SECRETS
  value: {{ include "operator.pullSecrets" (dict "image" .Values.hubImage "global" .Values.global) | quote }}
- name: NOTIFICATION_HUB_OPERATOR_INHERITED_LABELS
  value: {{ join "," .Values.inherited.labels | quote }}
- name: NOTIFICATION_HUB_OPERATOR_INHERITED_ANNOTATIONS
  value: {{ join "," .Values.inherited.annotations | quote }}
- name: NOTIFICATION_HUB_OPERATOR_MAX_CONCURRENT_ROLLOUTS
  value: {{ .Values.maxConcurrentRollouts | quote }}
- name: NOTIFICATION_HUB_OPERATOR_LOG_LEVEL
  value: {{ .Values.log.level | quote }}
- name: NOTIFICATION_HUB_OPERATOR_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
{{- with .Values.extraEnv }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}
