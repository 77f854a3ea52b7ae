// Package deploytest checks the files in cmd/ppch/deploy with the programs that read them. It is a module of its own, since
// those programs need many dependencies that PPCH doesn't.
package deploytest

import (
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli/values"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/release"
)

const chartDir = "../helm/ppch"

// required are the values without which the chart refuses to render.
var required = []string{"image.repository=registry.example.com/ppch", "existingSecret=ppch", "prosody.host=jitsi-prosody"}

var load = sync.OnceValues(func() (*chart.Chart, error) { return loader.Load(chartDir) })

// render renders the chart as "helm template" does.
func render(t *testing.T, set ...string) (*release.Release, error) {
	t.Helper()
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	options := values.Options{Values: set}
	vals, err := options.MergeValues(getter.Providers{})
	if err != nil {
		t.Fatal(err)
	}
	return installation().Run(c, vals)
}

// installation renders without a cluster.
func installation() *action.Install {
	install := action.NewInstall(&action.Configuration{})
	install.DryRun, install.ClientOnly, install.IncludeCRDs = true, true, true
	install.ReleaseName, install.Namespace = "meet", "jitsi"
	install.KubeVersion = &chartutil.KubeVersion{Version: "v1.33.0", Major: "1", Minor: "33"}
	return install
}

// The values of the examples are accepted.
func TestChart_ExampleOfShards(t *testing.T) {
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	options := values.Options{ValueFiles: []string{chartDir + "/examples/several.yaml"}}
	vals, err := options.MergeValues(getter.Providers{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := installation().Run(c, vals)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(pods(t, decode(t, r.Manifest))); got != 4 {
		t.Errorf("got %d kinds of pods want 3 collectors and a node", got)
	}
}

// manifests renders the chart with the required values and others.
func manifests(t *testing.T, set ...string) string {
	t.Helper()
	r, err := render(t, append(required, set...)...)
	if err != nil {
		t.Fatal(err)
	}
	return r.Manifest
}

func TestChart_RefusesContradictions(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		set        []string
	}{
		{"no image", "image.repository is empty", []string{"image.repository="}},
		{"no secret", "existingSecret is empty", []string{"existingSecret="}},
		{"no Prosody", "prosody.host is empty", []string{"prosody.host="}},
		{"ingress without host", "ingress.host is empty", []string{"ingress.enabled=true"}},
		{"history without volume", "set persistence.enabled=true", []string{"history.level=names"}},
		{"webhooks without volume", "webhooks.allow have no effect without a volume", []string{"webhooks.allow={10.0.0.1}"}},
		{"webhooks to a name", "allow", []string{"persistence.enabled=true", "webhooks.allow={receiver.example.com}"}},
		{"a log of no days", "logDays", []string{"persistence.enabled=true", "webhooks.logDays=0"}},
		{"a rule that hides everyone", "notCounted", []string{"prosody.notCounted={*@*}"}},
		{"a meeting URL without scheme", "meetURL", []string{"meetURL=meet.example.com"}},
		{"a meeting URL with a password", "meetURL", []string{"meetURL=https://u:s3cret@meet.example.com"}},
		{"routes as text", "legacyRoutes", []string{"legacyRoutes=maybe"}},
		{"a variable with a value of its own", "env.PPCH_MEET_URL: the chart sets this variable", []string{"env.PPCH_MEET_URL=https://meet.example.com"}},
		{"variable of the chart", "MUC_DOMAIN", []string{"env.MUC_DOMAIN=muc.example.com"}},
		{"variable twice", "env.PPCH_HISTORY: the chart sets this variable", []string{"env.PPCH_HISTORY=names"}},
		{"Prosody's pods without policy", "no effect without networkPolicy.enabled", []string{"networkPolicy.enabled=false", "networkPolicy.prosody[0].podSelector.matchLabels.app=prosody"}},
		{"several replicas", "replicas", []string{"replicas=2"}},
		{"a port as text", "port", []string{"prosody.port=component"}},
		{"a level that doesn't exist", "level", []string{"history.level=everything"}},
		{"a MUC domain with a blank", "mucDomains", []string{"prosody.mucDomains[0]=muc meet"}},
		{"no MUC domain", "mucDomains", []string{"prosody.mucDomains=null"}},
		{"a digest cut short", "digest", []string{"image.digest=sha256:12ab"}},
		{"a misspelt value", "servcie", []string{"servcie.port=8080"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := render(t, append(append([]string{}, required...), tt.set...)...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v want an error that names %q", err, tt.want)
			}
		})
	}
}

// severalRequired are what the chart needs for several Prosodys, on top of required: three shards, two nodes and NATS.
var severalRequired = []string{
	"prosody.host=", "clusterSecretKey=cluster-secret", "nodes.replicas=2", "nats.url=nats://nats.nats:4222",
	"shards[0].name=a", "shards[0].host=prosody-a", "shards[1].name=b", "shards[1].host=prosody-b",
	"shards[2].name=v1", "shards[2].kind=visitors", "shards[2].host=prosody-v1", "shards[2].componentDomains={ppch.v1.meet.jitsi}", "shards[2].mucDomains={muc.v1.meet.jitsi}",
}

func several(set ...string) []string { return append(append([]string{}, severalRequired...), set...) }

func TestChart_RefusesContradictionsOfShards(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		set        []string
	}{
		{"one Prosody and several", "prosody.host and shards are set", []string{"prosody.host=jitsi-prosody"}},
		{"two replicas of a collector", "a component name can be connected once: for a second collector", []string{"shards[1].replicas=2"}},
		{"two shards that are one component of one Prosody", "a and b both connect to prosody-a as ppch.meet.jitsi", []string{"shards[1].host=prosody-a"}},
		{"the same component twice", "componentDomains", []string{"shards[0].componentDomains={ppch.meet.jitsi,ppch.meet.jitsi}"}},
		{"two shards of one name", "two are named a", []string{"shards[1].name=a"}},
		{"nodes without NATS", "nodes receive everything over NATS", []string{"nats.url="}},
		{"two collectors without NATS", "without nats.url there is one pod", []string{"nats.url=", "nodes.replicas=0", "shards[0].componentDomains={ppch.meet.jitsi,ppch2.meet.jitsi}"}},
		{"NATS without nodes", "nothing would answer requests", []string{"nodes.replicas=0"}},
		{"NATS without the secret of all pods", "clusterSecretKey is empty", []string{"clusterSecretKey="}},
		{"NATS without shards", "shards is empty", []string{"shards=null", "prosody.host=jitsi-prosody"}},
		{"a login without Secret", "nats.nodeSecret is empty", []string{"nats.login=creds"}},
		{"a collector without login", "the collector of a has no Secret", []string{"nats.login=creds", "nats.nodeSecret=nats-node"}},
		{"a Secret without login", "no effect without nats.login", []string{"nats.nodeSecret=nats-node"}},
		{"TLS without NATS", "nats.caSecret has no effect without nats.url", []string{"nats.url=", "nodes.replicas=0", "nats.caSecret=nats-ca"}},
		{"keys in NATS and in a file", "keys are either in NATS or in a file", []string{"nats.config=true", "keysFileKey=keys"}},
		{"a URL with a password", "url", []string{"nats.url=nats://u:s3cret@nats:4222"}},
		{"a kind that doesn't exist", "kind", []string{"shards[2].kind=visitor"}},
		{"a shard without host", "host", []string{"shards[3].name=c"}},
		{"a name that Kubernetes refuses", "name", []string{"shards[0].name=Frankfurt_1"}},
		{"only retired shards", "all are retired", []string{"shards[0].retired=2027-01-01T00:00:00Z", "shards[1].retired=2027-01-01T00:00:00Z", "shards[2].retired=2027-01-01T00:00:00Z"}},
		{"a misspelt value", "componentDomain", []string{"shards[0].componentDomain=ppch.meet.jitsi"}},
		{"a variable of the chart", "env.PPCH_NATS_URL: the chart sets this variable", []string{"env.PPCH_NATS_URL=nats://other:4222"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := render(t, append(append([]string{}, required...), several(tt.set...)...)...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v want an error that names %q", err, tt.want)
			}
		})
	}
}

// variants are sets of values that operators use.
var variants = map[string][]string{
	"defaults":       nil,
	"digest":         {"image.digest=sha256:" + strings.Repeat("0", 64), "imagePullSecrets[0].name=registry"},
	"names":          {"fullnameOverride=who-is-in", "prosody.componentDomain=ppch.meet.example.com", "prosody.mucDomains={conference.meet.example.com}", "prosody.adminJIDs={admin@meet.example.com}"},
	"history":        {"persistence.enabled=true", "persistence.storageClass=local-path", "history.level=pseudonyms", "history.days=7"},
	"ingress":        {"ingress.enabled=true", "ingress.host=ppch.example.com", "ingress.className=nginx", "ingress.annotations.a=b"},
	"ingress TLS":    {"ingress.enabled=true", "ingress.host=ppch.example.com", "ingress.tlsSecret=ppch-tls", "trustedProxies={10.0.0.0/8}"},
	"metrics":        {"metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.labels.release=prometheus", "metrics.prometheusRule.enabled=true", "grafana.enabled=true"},
	"metrics key":    {"metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.secretName=ppch-metrics", "metrics.serviceMonitor.secretKey=key"},
	"network policy": {"networkPolicy.from[0].namespaceSelector.matchLabels.team=web", "networkPolicy.prosody[0].podSelector.matchLabels.app=prosody", "networkPolicy.egress[0].ports[0].port=443"},
	"everything": {"keysFileKey=keys", "env.PPCH_RATE_LIMIT=50", "env.TZ=Europe/Berlin", "publicURL=https://ppch.example.com", "hosts={ppch.intern}", "corsOrigins={https://wiki.example.com}", "podLabels.a=b", "podAnnotations.c=d", "nodeSelector.disk=ssd", "tolerations[0].operator=Exists", "priorityClassName=high", "service.type=NodePort",
		"meetURL=https://meet.example.com", "siteName=Meetings: \"Ørsted\"", "legacyRoutes=true", "prosody.notCounted={bots=*@bots.example.com,recording-bot@meet.jitsi}",
		"persistence.enabled=true", "webhooks.private=true", "webhooks.allow={127.0.0.1,169.254.10.0/24}", "webhooks.logDays=7"},
	"shards in one pod":     several("nats.url=", "nodes.replicas=0", "clusterSecretKey=", "persistence.enabled=true"),
	"shards and nodes":      severalRequired,
	"one shard with nodes":  {"prosody.host=", "clusterSecretKey=cluster-secret", "nodes.replicas=1", "nats.url=nats://nats:4222", "shards[0].name=main", "shards[0].host=prosody"},
	"second collectors":     several("shards[0].componentDomains={ppch.meet.jitsi,ppch2.meet.jitsi}", "shards[1].componentDomains={ppch.meet.jitsi,ppch2.meet.jitsi}", "shards[1].secretKey=both"),
	"NATS with credentials": several("nats.login=creds", "nats.nodeSecret=nats-node", "nats.collectorSecret=nats-collector", "shards[1].natsSecret=nats-collector-b"),
	"NATS with passwords":   several("nats.login=password", "nats.nodeSecret=nats-node", "nats.collectorSecret=nats-collector"),
	"NATS with TLS":         several("nats.url=tls://nats-1:4443\\,tls://nats-2:4443", "nats.caSecret=nats-ca", "nats.certSecret=nats-cert", "nats.config=true", "networkPolicy.nats[0].podSelector.matchLabels.app=nats"),
	"a retired shard":       several("shards[1].retired=2027-01-01T00:00:00Z"),
	"nodes of any number":   several("nodes.replicas=5", "nodes.resources.limits.memory=1Gi", "persistence.enabled=true", "history.level=numbers", "keysFileKey=keys", "metrics.serviceMonitor.enabled=true", "metrics.prometheusRule.enabled=true", "grafana.enabled=true", "ingress.enabled=true", "ingress.host=ppch.example.com"),
	"long names":            several("fullnameOverride=participants-of-the-meetings-in-our-organisation-x", "shards[0].name=frankfurt-am-main-12", "persistence.enabled=true"),
}
