{{- /*
The pod template of a StatefulSet or Deployment. Its context is that of the chart with Pod, from ppch.pods:

  role        empty for one pod that does everything, or collector, or node
  collector   which collector it is
  file        key of the file of shards in the ConfigMap, or empty with one Prosody
  secretKeys  component secrets in existingSecret, with several Prosodys
  natsSecret  the Secret with its login to NATS
  stores      whether it has a volume
  resources   of the container
*/ -}}
{{- define "ppch.pod" }}
  template:
    metadata:
      labels:
        {{- include "ppch.selector" . | nindent 8 }}
        {{- with .Pod.role }}
        app.kubernetes.io/component: {{ . }}
        {{- end }}
        {{- with .Pod.collector }}
        ppch/collector: {{ . }}
        {{- end }}
        {{- with .Values.podLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- with .Values.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile: {type: RuntimeDefault}
      # The service stops within 10 s: it ends event streams and writes what it has recorded.
      terminationGracePeriodSeconds: 30
      containers:
        - name: ppch
          image: {{ include "ppch.image" . }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          env:
            - {name: PPCH_API_KEY_FILE, value: /run/secrets/ppch/api-key}
            {{- if not .Pod.file }}
            - {name: PPCH_COMPONENT_SECRET_FILE, value: /run/secrets/ppch/component-secret}
            {{- end }}
            {{- if .Values.keysFileKey }}
            - {name: PPCH_API_KEYS_FILE, value: /run/secrets/ppch/keys}
            {{- end }}
            {{- with .Values.clusterSecretKey }}
            - {name: PPCH_CLUSTER_SECRET_FILE, value: /run/secrets/ppch/cluster-secret}
            {{- end }}
            {{- if .Pod.file }}
            - {name: PPCH_SHARDS_FILE, value: /etc/ppch/shards}
            {{- else }}
            - {name: PROSODY_URL, value: {{ printf "xmpp://%s:%d" (required "prosody.host is empty: name the host of Prosody's component port, such as jitsi-jitsi-meet-prosody" .Values.prosody.host) (int .Values.prosody.port) | quote }}}
            - {name: PPCH_COMPONENT_DOMAIN, value: {{ .Values.prosody.componentDomain | quote }}}
            - {name: MUC_DOMAIN, value: {{ join "," .Values.prosody.mucDomains | quote }}}
            {{- end }}
            {{- with .Values.nats.url }}
            - {name: PPCH_NATS_URL, value: {{ . | quote }}}
            - {name: PPCH_NATS_PREFIX, value: {{ $.Values.nats.prefix | quote }}}
            {{- end }}
            {{- if .Values.nats.config }}
            - {name: PPCH_CONFIG_FROM_NATS, value: "true"}
            {{- end }}
            {{- if eq .Values.nats.login "creds" }}
            - {name: PPCH_NATS_CREDS, value: /run/secrets/nats/creds}
            {{- else if eq .Values.nats.login "password" }}
            - {name: PPCH_NATS_USER, valueFrom: {secretKeyRef: {name: {{ .Pod.natsSecret }}, key: user}}}
            - {name: PPCH_NATS_PASSWORD_FILE, value: /run/secrets/nats/password}
            {{- end }}
            {{- if .Values.nats.caSecret }}
            - {name: PPCH_NATS_CA, value: /run/secrets/nats-ca/ca.crt}
            {{- end }}
            {{- if .Values.nats.certSecret }}
            - {name: PPCH_NATS_CERT, value: /run/secrets/nats-cert/tls.crt}
            - {name: PPCH_NATS_KEY, value: /run/secrets/nats-cert/tls.key}
            {{- end }}
            {{- with .Values.prosody.notCounted }}
            - {name: PPCH_NOT_COUNTED, value: {{ join "," . | quote }}}
            {{- end }}
            {{- with .Values.prosody.adminJIDs }}
            - {name: PPCH_ADMIN_JIDS, value: {{ join "," . | quote }}}
            {{- end }}
            - {name: PPCH_HOSTS, value: {{ include "ppch.hosts" . | quote }}}
            {{- with include "ppch.publicURL" . }}
            - {name: PPCH_PUBLIC_URL, value: {{ . | quote }}}
            {{- end }}
            {{- with .Values.meetURL }}
            - {name: PPCH_MEET_URL, value: {{ . | quote }}}
            {{- end }}
            {{- with .Values.siteName }}
            - {name: PPCH_SITE_NAME, value: {{ . | quote }}}
            {{- end }}
            {{- if .Values.legacyRoutes }}
            - {name: PPCH_LEGACY_ROUTES, value: "true"}
            {{- end }}
            {{- with .Values.trustedProxies }}
            - {name: PPCH_TRUSTED_PROXIES, value: {{ join "," . | quote }}}
            {{- end }}
            {{- with .Values.corsOrigins }}
            - {name: PPCH_CORS_ORIGINS, value: {{ join "," . | quote }}}
            {{- end }}
            {{- if .Pod.stores }}
            - {name: PPCH_DATA_DIR, value: /data}
            - {name: PPCH_HISTORY, value: {{ .Values.history.level | quote }}}
            - {name: PPCH_HISTORY_DAYS, value: {{ .Values.history.days | quote }}}
            - {name: PPCH_WEBHOOK_PRIVATE, value: {{ .Values.webhooks.private | quote }}}
            - {name: PPCH_WEBHOOK_LOG_DAYS, value: {{ .Values.webhooks.logDays | quote }}}
            {{- with .Values.webhooks.allow }}
            - {name: PPCH_WEBHOOK_ALLOW, value: {{ join "," . | quote }}}
            {{- end }}
            {{- end }}
            {{- range $name, $value := .Values.env }}
            - {name: {{ $name }}, value: {{ $value | quote }}}
            {{- end }}
          ports:
            - {name: http, containerPort: 8890}
          livenessProbe:
            httpGet: {path: /livez, port: http}
            periodSeconds: 10
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 5
          {{- if and (eq .Pod.role "node") (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) }}
          # Until Services and proxies no longer send requests here.
          lifecycle: {preStop: {sleep: {seconds: 5}}}
          {{- end }}
          resources: {{- toYaml .Pod.resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: secret, mountPath: /run/secrets/ppch, readOnly: true}
            {{- if .Pod.stores }}
            - {name: data, mountPath: /data}
            {{- end }}
            {{- if .Pod.file }}
            - {name: shards, mountPath: /etc/ppch, readOnly: true}
            {{- end }}
            {{- if .Values.nats.login }}
            - {name: nats, mountPath: /run/secrets/nats, readOnly: true}
            {{- end }}
            {{- if .Values.nats.caSecret }}
            - {name: nats-ca, mountPath: /run/secrets/nats-ca, readOnly: true}
            {{- end }}
            {{- if .Values.nats.certSecret }}
            - {name: nats-cert, mountPath: /run/secrets/nats-cert, readOnly: true}
            {{- end }}
      volumes:
        - name: secret
          secret:
            secretName: {{ include "ppch.secret" . }}
            defaultMode: 0440
            items:
              - {key: api-key, path: api-key}
              {{- if not .Pod.file }}
              - {key: component-secret, path: component-secret}
              {{- end }}
              {{- range .Pod.secretKeys }}
              - {key: {{ . }}, path: {{ . }}}
              {{- end }}
              {{- with .Values.keysFileKey }}
              - {key: {{ . }}, path: keys}
              {{- end }}
              {{- with .Values.clusterSecretKey }}
              - {key: {{ . }}, path: cluster-secret}
              {{- end }}
        {{- with .Pod.file }}
        - name: shards
          configMap:
            name: {{ include "ppch.fullname" $ }}-shards
            items:
              - {key: {{ . }}, path: shards}
        {{- end }}
        {{- if .Values.nats.login }}
        - name: nats
          secret:
            secretName: {{ .Pod.natsSecret }}
            defaultMode: 0440
            items:
              - {key: {{ .Values.nats.login }}, path: {{ .Values.nats.login }}}
        {{- end }}
        {{- with .Values.nats.caSecret }}
        - name: nats-ca
          secret:
            secretName: {{ . }}
            defaultMode: 0440
            items:
              - {key: ca.crt, path: ca.crt}
        {{- end }}
        {{- with .Values.nats.certSecret }}
        - name: nats-cert
          secret:
            secretName: {{ . }}
            defaultMode: 0440
            items:
              - {key: tls.crt, path: tls.crt}
              - {key: tls.key, path: tls.key}
        {{- end }}
      {{- with .Values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if eq .Pod.role "node" }}
      # On different machines, if there are several.
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "ppch.selector" . | nindent 14 }}
              app.kubernetes.io/component: node
      {{- end }}
      {{- with .Values.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
