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

{{- /* Whether there are collectors and nodes of their own, or one pod for everything: "true" or empty. */ -}}
{{- define "ppch.several" -}}
{{- if and .Values.shards .Values.nats.url }}true{{ end -}}
{{- end -}}

{{- /* The components of a shard, as an array in JSON. */ -}}
{{- define "ppch.components" -}}
{{- .shard.componentDomains | default (list .root.Values.prosody.componentDomain) | toJson -}}
{{- end -}}

{{- /* The key of a shard's component secret. */ -}}
{{- define "ppch.secretKey" -}}
{{- .secretKey | default (printf "component-secret-%s" .name) -}}
{{- end -}}

{{- /* What kinds of pods there are, as an array in YAML; _pod.tpl explains the fields. */ -}}
{{- define "ppch.pods" -}}
{{- $full := include "ppch.fullname" . -}}
{{- if include "ppch.several" . }}
{{- range $shard := .Values.shards }}
{{- if not $shard.retired }}
{{- range $i, $component := include "ppch.components" (dict "root" $ "shard" $shard) | fromJsonArray }}
- role: collector
  name: {{ printf "%s-c-%s" ($full | trunc 24 | trimSuffix "-") $shard.name }}{{ if $i }}-{{ add1 $i }}{{ end }}
  service: {{ $full }}-collectors
  collector: {{ $shard.name }}-{{ add1 $i }}
  file: collector-{{ $shard.name }}-{{ add1 $i }}
  secretKeys: [{{ include "ppch.secretKey" $shard }}]
  natsSecret: {{ $shard.natsSecret | default $.Values.nats.collectorSecret | quote }}
  stores: {{ $.Values.persistence.enabled }}
  resources: {{ $.Values.resources | toJson }}
{{- end }}
{{- end }}
{{- end }}
- role: node
  name: {{ $full }}
  service: ""
  collector: ""
  file: node
  secretKeys: []
  natsSecret: {{ .Values.nats.nodeSecret | quote }}
  stores: false
  resources: {{ .Values.nodes.resources | default .Values.resources | toJson }}
{{- else }}
- role: ""
  name: {{ $full }}
  service: {{ $full }}
  collector: ""
  file: {{ ternary "all" "" (not (empty .Values.shards)) | quote }}
  secretKeys: [{{ range .Values.shards }}{{ if not .retired }}{{ include "ppch.secretKey" . }},{{ end }}{{ end }}]
  natsSecret: ""
  stores: {{ .Values.persistence.enabled }}
  resources: {{ .Values.resources | toJson }}
{{- end }}
{{- end -}}

{{- /* A line of the file of shards: of a shard with one of its components, or via NATS without. */ -}}
{{- define "ppch.shard" -}}
{{- $muc := .shard.mucDomains | default .root.Values.prosody.mucDomains | join "," -}}
name={{ .shard.name }}{{ with .shard.kind }} kind={{ . }}{{ end }}
{{- if .component }} url=xmpp://{{ .shard.host }}:{{ .shard.port | default .root.Values.prosody.port }} component={{ .component }} secret_file=/run/secrets/ppch/{{ include "ppch.secretKey" .shard }}
{{- else }} via=nats{{ end }} muc={{ $muc }}
{{- if and .component .root.Values.persistence.enabled (include "ppch.several" .root) (gt (len (.shard.componentDomains | default list)) 1) }} deliverer={{ first .shard.componentDomains }}{{ end }}
{{- with .shard.retired }} retired={{ . }}{{ end }}
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
{{- include "ppch.checkShards" . -}}
{{- $own := list "PPCH_CONFIG_FROM_NATS" "PPCH_CLUSTER_SECRET" "PPCH_CLUSTER_SECRET_FILE" "PPCH_SHARDS_FILE" "PPCH_NATS_URL" "PPCH_NATS_PREFIX" "PPCH_NATS_CREDS" "PPCH_NATS_USER" "PPCH_NATS_PASSWORD" "PPCH_NATS_PASSWORD_FILE" "PPCH_NATS_CA" "PPCH_NATS_CERT" "PPCH_NATS_KEY" "PPCH_API_KEY" "PPCH_API_KEY_FILE" "PPCH_API_KEYS_FILE" "PPCH_COMPONENT_SECRET" "PPCH_COMPONENT_SECRET_FILE" "PROSODY_URL" "PPCH_COMPONENT_DOMAIN" "MUC_DOMAIN" "PPCH_ADMIN_JIDS" "PPCH_HOST" "PPCH_PORT" "PPCH_PUBLIC_URL" "PPCH_HOSTS" "PPCH_TRUSTED_PROXIES" "PPCH_CORS_ORIGINS" "PPCH_DATA_DIR" "PPCH_HISTORY" "PPCH_HISTORY_DAYS" "PPCH_TLS_CERT" "PPCH_TLS_KEY" "PPCH_MEET_URL" "PPCH_SITE_NAME" "PPCH_NOT_COUNTED" "PPCH_LEGACY_ROUTES" "PPCH_WEBHOOK_PRIVATE" "PPCH_WEBHOOK_ALLOW" "PPCH_WEBHOOK_LOG_DAYS" -}}
{{- range $name, $value := .Values.env -}}
{{- if has $name $own -}}
{{- fail (printf "env.%s: the chart sets this variable; use the value that stands for it (see README.md)" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The same for several Prosodys. */ -}}
{{- define "ppch.checkShards" -}}
{{- $nats := .Values.nats -}}
{{- if and .Values.shards .Values.prosody.host -}}
{{- fail "prosody.host and shards are set: with shards, name the host of each Prosody there, and none in prosody.host" -}}
{{- end -}}
{{- if and $nats.url (not .Values.shards) -}}
{{- fail "nats.url is set, but shards is empty: list the Prosodys there, even if there is one" -}}
{{- end -}}
{{- if and .Values.nodes.replicas (not $nats.url) -}}
{{- fail (printf "nodes.replicas is %d, but nodes receive everything over NATS: set nats.url, such as nats://nats:4222, or nodes.replicas=0" (int .Values.nodes.replicas)) -}}
{{- end -}}
{{- if and $nats.url (not .Values.nodes.replicas) -}}
{{- fail "nats.url is set, but nodes.replicas is 0: nothing would answer requests; set nodes.replicas=2, or remove nats.url for one pod that watches all shards" -}}
{{- end -}}
{{- if and $nats.url (not .Values.clusterSecretKey) -}}
{{- fail "nats.url is set, but clusterSecretKey is empty: name the key in existingSecret that holds the secret of all pods, made with: openssl rand -hex 32" -}}
{{- end -}}
{{- if not $nats.url -}}
{{- range $name := list "login" "nodeSecret" "collectorSecret" "caSecret" "certSecret" "config" -}}
{{- if get $nats $name -}}{{- fail (printf "nats.%s has no effect without nats.url" $name) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $nats.config .Values.keysFileKey -}}
{{- fail "nats.config is true, and keysFileKey is set: keys are either in NATS or in a file; run ppch key import, then empty keysFileKey" -}}
{{- end -}}
{{- if and $nats.login (not $nats.nodeSecret) -}}
{{- fail (printf "nats.login is %s, but nats.nodeSecret is empty: name the Secret with the login of nodes" $nats.login) -}}
{{- end -}}
{{- if and (not $nats.login) (or $nats.nodeSecret $nats.collectorSecret) -}}
{{- fail "nats.nodeSecret and nats.collectorSecret have no effect without nats.login: set it to creds or password" -}}
{{- end -}}
{{- $names := list -}}
{{- $seen := dict -}}
{{- $live := 0 -}}
{{- range $shard := .Values.shards -}}
{{- if has $shard.name $names -}}{{- fail (printf "shards: two are named %s: a second collector of a Prosody is a second name in componentDomains" $shard.name) -}}{{- end -}}
{{- $names = append $names $shard.name -}}
{{- if ne (int ($shard.replicas | default 1)) 1 -}}
{{- fail (printf "shards: %s has replicas=%d, but a component name can be connected once: for a second collector, add a second component to Prosody and to componentDomains" $shard.name (int $shard.replicas)) -}}
{{- end -}}
{{- if not $shard.retired -}}
{{- $live = add1 $live -}}
{{- $components := include "ppch.components" (dict "root" $ "shard" $shard) | fromJsonArray -}}
{{- if and (gt (len $components) 1) (not $nats.url) -}}
{{- fail (printf "shards: %s has several componentDomains, but without nats.url there is one pod: keep one" $shard.name) -}}
{{- end -}}
{{- range $component := $components -}}
{{- $at := printf "%s as %s" $shard.host $component -}}
{{- if hasKey $seen $at -}}{{- fail (printf "shards: %s and %s both connect to %s, but a component name can be connected once" (get $seen $at) $shard.name $at) -}}{{- end -}}
{{- $_ := set $seen $at $shard.name -}}
{{- end -}}
{{- if and $nats.login (not ($shard.natsSecret | default $nats.collectorSecret)) -}}
{{- fail (printf "nats.login is %s, but the collector of %s has no Secret: set nats.collectorSecret, or natsSecret of the shard" $nats.login $shard.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.shards (not $live) -}}{{- fail "shards: all are retired: add one that is in service" -}}{{- end -}}
{{- end -}}
