{{- define "ppch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "ppch.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "ppch.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "ppch.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ppch.selector" -}}
app.kubernetes.io/name: {{ include "ppch.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ppch.labels" -}}
{{ include "ppch.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "ppch.image" -}}
{{- $image := required "image.repository is empty: name your registry and repository, such as registry.example.com/ppch" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $image .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "ppch.secret" -}}
{{- required "existingSecret is empty: name a Secret with the keys api-key and component-secret" .Values.existingSecret -}}
{{- end -}}

{{- /* Host names at which the dashboard is reached. */ -}}
{{- define "ppch.hosts" -}}
{{- $name := include "ppch.fullname" . -}}
{{- $hosts := list (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) -}}
{{- if .Values.ingress.enabled -}}{{- $hosts = append $hosts (required "ingress.host is empty: name the host at which clients reach PPCH" .Values.ingress.host) -}}{{- end -}}
{{- concat $hosts .Values.hosts | uniq | join "," -}}
{{- end -}}

{{- define "ppch.publicURL" -}}
{{- if .Values.publicURL -}}
{{- .Values.publicURL -}}
{{- else if .Values.ingress.enabled -}}
{{- printf "%s://%s" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) .Values.ingress.host -}}
{{- end -}}
{{- end -}}

{{- /* Values that contradict each other. */ -}}
{{- define "ppch.check" -}}
{{- if and (ne .Values.history.level "off") (not .Values.persistence.enabled) -}}
{{- fail (printf "history.level is %s, but there is no volume to record to: set persistence.enabled=true" .Values.history.level) -}}
{{- end -}}
{{- if and (or .Values.webhooks.private .Values.webhooks.allow) (not .Values.persistence.enabled) -}}
{{- fail "webhooks.private and webhooks.allow have no effect without a volume, which webhooks need: set persistence.enabled=true" -}}
{{- end -}}
{{- if and .Values.networkPolicy.prosody (not .Values.networkPolicy.enabled) -}}
{{- fail "networkPolicy.prosody has no effect without networkPolicy.enabled=true" -}}
{{- end -}}
{{- $own := list "PPCH_API_KEY" "PPCH_API_KEY_FILE" "PPCH_API_KEYS_FILE" "PPCH_COMPONENT_SECRET" "PPCH_COMPONENT_SECRET_FILE" "PROSODY_URL" "PPCH_COMPONENT_DOMAIN" "MUC_DOMAIN" "PPCH_ADMIN_JIDS" "PPCH_HOST" "PPCH_PORT" "PPCH_PUBLIC_URL" "PPCH_HOSTS" "PPCH_TRUSTED_PROXIES" "PPCH_CORS_ORIGINS" "PPCH_DATA_DIR" "PPCH_HISTORY" "PPCH_HISTORY_DAYS" "PPCH_TLS_CERT" "PPCH_TLS_KEY" "PPCH_MEET_URL" "PPCH_SITE_NAME" "PPCH_NOT_COUNTED" "PPCH_LEGACY_ROUTES" "PPCH_WEBHOOK_PRIVATE" "PPCH_WEBHOOK_ALLOW" "PPCH_WEBHOOK_LOG_DAYS" -}}
{{- range $name, $value := .Values.env -}}
{{- if has $name $own -}}
{{- fail (printf "env.%s: the chart sets this variable; use the value that stands for it (see README.md)" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
