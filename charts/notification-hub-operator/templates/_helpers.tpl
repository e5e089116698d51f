{{- define "operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
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

{{- /* Reference to an image, from a dictionary with image and appVersion. */ -}}
{{- define "operator.image" -}}
{{- $repository := required "image.repository and hubImage.repository must be set" .image.repository -}}
{{- if .image.registry }}{{ $repository = printf "%s/%s" .image.registry $repository }}{{ end -}}
{{- if .image.digest -}}
{{- $repository }}{{ if .image.tag }}:{{ .image.tag }}{{ end }}@{{ .image.digest -}}
{{- else -}}
{{- $repository }}:{{ .image.tag | default .appVersion -}}
{{- end -}}
{{- end -}}
