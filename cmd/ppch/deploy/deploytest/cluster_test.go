package deploytest

import (
	"slices"
	"sort"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// environment returns the variables of a pod.
func environment(template core.PodTemplateSpec) map[string]string {
	all := map[string]string{}
	for _, e := range template.Spec.Containers[0].Env {
		all[e.Name] = e.Value
	}
	return all
}

// files returns what a pod sees of Secrets and ConfigMaps: "name/key" by path.
func files(template core.PodTemplateSpec) map[string]string {
	all := map[string]string{}
	for _, m := range template.Spec.Containers[0].VolumeMounts {
		for _, v := range template.Spec.Volumes {
			if v.Name != m.Name {
				continue
			}
			if s := v.Secret; s != nil {
				for _, item := range s.Items {
					all[m.MountPath+"/"+item.Path] = s.SecretName + "/" + item.Key
				}
			} else if c := v.ConfigMap; c != nil {
				for _, item := range c.Items {
					all[m.MountPath+"/"+item.Path] = c.Name + "/" + item.Key
				}
			}
		}
	}
	return all
}

// A collector knows its Prosody and its secret; nodes know neither, but all shards.
func TestChart_CollectorsAndNodes(t *testing.T) {
	set := append(append([]string{}, variants["second collectors"]...), "nats.login=password", "nats.nodeSecret=nats-node", "nats.collectorSecret=nats-collector", "shards[1].natsSecret=nats-b", "persistence.enabled=true")
	all := decode(t, manifests(t, set...))
	templates := pods(t, all)
	var names []string
	for name := range templates {
		names = append(names, name)
	}
	sort.Strings(names)
	if got, want := strings.Join(names, " "), "meet-ppch meet-ppch-c-a meet-ppch-c-a-2 meet-ppch-c-b meet-ppch-c-b-2 meet-ppch-c-v1"; got != want {
		t.Fatalf("got the pods %s want %s", got, want)
	}
	config := map[string]string{}
	for _, d := range all {
		if c, ok := d.value.(*core.ConfigMap); ok && d.name == "meet-ppch-shards" {
			config = c.Data
		}
	}
	const muc = " muc=muc.meet.jitsi,breakout.meet.jitsi,lobby.meet.jitsi"
	for name, want := range map[string]struct{ shards, secret, nats string }{
		"meet-ppch-c-a":   {"name=a url=xmpp://prosody-a:5347 component=ppch.meet.jitsi secret_file=/run/secrets/ppch/component-secret-a" + muc + " deliverer=ppch.meet.jitsi", "component-secret-a", "nats-collector"},
		"meet-ppch-c-a-2": {"name=a url=xmpp://prosody-a:5347 component=ppch2.meet.jitsi secret_file=/run/secrets/ppch/component-secret-a" + muc + " deliverer=ppch.meet.jitsi", "component-secret-a", "nats-collector"},
		"meet-ppch-c-b":   {"name=b url=xmpp://prosody-b:5347 component=ppch.meet.jitsi secret_file=/run/secrets/ppch/both" + muc + " deliverer=ppch.meet.jitsi", "both", "nats-b"},
		"meet-ppch-c-v1": {"name=v1 kind=visitors url=xmpp://prosody-v1:5347 component=ppch.v1.meet.jitsi secret_file=/run/secrets/ppch/component-secret-v1 muc=muc.v1.meet.jitsi",
			"component-secret-v1", "nats-collector"},
		"meet-ppch": {"name=a via=nats" + muc + "\nname=b via=nats" + muc + "\nname=v1 kind=visitors via=nats muc=muc.v1.meet.jitsi", "", "nats-node"},
	} {
		env, mounted := environment(templates[name]), files(templates[name])
		_, key, ok := strings.Cut(mounted[env["PPCH_SHARDS_FILE"]], "meet-ppch-shards/")
		if got := strings.TrimSpace(config[key]); !ok || got != want.shards {
			t.Errorf("%s: got the shards\n%s\nwant\n%s", name, got, want.shards)
		}
		var secrets []string
		for path, from := range mounted {
			if strings.HasPrefix(path, "/run/secrets/ppch/") && path != "/run/secrets/ppch/api-key" && path != "/run/secrets/ppch/cluster-secret" {
				secrets = append(secrets, from)
			}
		}
		if got := strings.Join(secrets, " "); got != strings.TrimSuffix("ppch/"+want.secret, "ppch/") {
			t.Errorf("%s: sees the secrets %s want %s", name, got, want.secret)
		}
		if got := mounted[env["PPCH_NATS_PASSWORD_FILE"]]; got != want.nats+"/password" {
			t.Errorf("%s: got %s as password want that of %s", name, got, want.nats)
		}
		if mounted[env["PPCH_CLUSTER_SECRET_FILE"]] != "ppch/cluster-secret" || env["PPCH_NATS_URL"] != "nats://nats.nats:4222" {
			t.Errorf("%s: got %v", name, env)
		}
		if node := want.secret == ""; (env["PPCH_DATA_DIR"] == "") != node || env["PROSODY_URL"]+env["MUC_DOMAIN"] != "" {
			t.Errorf("%s: got %v", name, env)
		}
	}
}

// Clients reach nodes only, connections to Prosody are open to collectors only, and a node is stopped only if another one runs.
func TestChart_ServicesAndPolicies(t *testing.T) {
	all := decode(t, manifests(t, variants["NATS with TLS"]...))
	templates := pods(t, all)
	role := func(selector map[string]string) (roles []string) {
		for _, template := range templates {
			if r := template.Labels["app.kubernetes.io/component"]; labels.SelectorFromSet(selector).Matches(labels.Set(template.Labels)) && !slices.Contains(roles, r) {
				roles = append(roles, r)
			}
		}
		return roles
	}
	want := func(what string, got []string, want string) {
		t.Helper()
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v want %s", what, got, want)
		}
	}
	seen := 0
	for _, d := range all {
		switch v := d.value.(type) {
		case *core.Service:
			seen++
			if d.name == "meet-ppch" {
				want("the Service", role(v.Spec.Selector), "node")
				if v.Spec.PublishNotReadyAddresses {
					t.Error("the Service sends requests to nodes that stop or have loaded nothing")
				}
			} else {
				want("the Service of collectors", role(v.Spec.Selector), "collector")
			}
		case *networking.NetworkPolicy:
			seen++
			var ports []string
			for _, e := range v.Spec.Egress {
				for _, p := range e.Ports {
					ports = append(ports, p.Port.String())
				}
			}
			if d.name == "meet-ppch" {
				want("a policy", role(v.Spec.PodSelector.MatchLabels), "node")
				want("connections of nodes", ports, "53 53 4443")
			} else {
				want("a policy", role(v.Spec.PodSelector.MatchLabels), "collector")
				want("connections of collectors", ports, "53 53 5347 4443")
			}
		case *disruption.PodDisruptionBudget:
			seen++
			want("the budget", role(v.Spec.Selector.MatchLabels), "node")
		case *apps.Deployment:
			seen++
			if len(v.Spec.Template.Spec.TopologySpreadConstraints) != 1 || v.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
				t.Errorf("got %+v", v.Spec)
			}
		}
	}
	if seen != 6 {
		t.Errorf("got %d objects want 6", seen)
	}
}
