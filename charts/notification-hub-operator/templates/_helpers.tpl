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

{{- /* Reference to an image, from a dictionary with image, global and appVersion. */ -}}
{{- define "operator.image" -}}
{{- $repository := required "image.repository and hubImage.repository must be set" .image.repository -}}
{{- $registry := (.global | default dict).imageRegistry | default .image.registry -}}
{{- if $registry }}{{ $repository = printf "%s/%s" $registry $repository }}{{ end -}}
{{- if .image.digest -}}
{{- $repository }}{{ if .image.tag }}:{{ .image.tag }}{{ end }}@{{ .image.digest -}}
{{- else -}}
{{- $repository }}:{{ .image.tag | default .appVersion -}}
{{- end -}}
{{- end -}}
