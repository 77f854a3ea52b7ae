package deploytest

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/yaml"
	security "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	strict "sigs.k8s.io/yaml"
)

// decoded is a manifest as a value of the type that Kubernetes or the Prometheus operator has for it.
type decoded struct {
	meta.TypeMeta
	value any
	name  string
}

// decode decodes manifests strictly: a field that doesn't exist is an error.
func decode(t *testing.T, manifests string) (all []decoded) {
	t.Helper()
	for r := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifests))); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		var head struct {
			meta.TypeMeta `json:",inline"`
			Metadata      meta.ObjectMeta `json:"metadata"`
		}
		if err := strict.Unmarshal(doc, &head); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if head.Kind == "" {
			continue
		}
		value := map[string]any{
			"apps/v1 StatefulSet":                     &apps.StatefulSet{},
			"v1 Service":                              &core.Service{},
			"v1 ConfigMap":                            &core.ConfigMap{},
			"networking.k8s.io/v1 Ingress":            &networking.Ingress{},
			"networking.k8s.io/v1 NetworkPolicy":      &networking.NetworkPolicy{},
			"monitoring.coreos.com/v1 ServiceMonitor": &monitoring.ServiceMonitor{},
			"monitoring.coreos.com/v1 PrometheusRule": &monitoring.PrometheusRule{},
		}[head.APIVersion+" "+head.Kind]
		if value == nil {
			t.Fatalf("unexpected %s %s", head.APIVersion, head.Kind)
		}
		if err := strict.UnmarshalStrict(doc, value); err != nil {
			t.Errorf("%s: %v\n%s", head.Kind, err, doc)
		}
		if errs := validation.IsDNS1123Subdomain(head.Metadata.Name); len(errs) > 0 {
			t.Errorf("%s %q: %v", head.Kind, head.Metadata.Name, errs)
		}
		if head.Metadata.Namespace != "jitsi" {
			t.Errorf("%s %s: got namespace %q", head.Kind, head.Metadata.Name, head.Metadata.Namespace)
		}
		all = append(all, decoded{head.TypeMeta, value, head.Metadata.Name})
	}
}

func TestChart_DecodesStrictlyAndIsRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range variants {
		t.Run(name, func(t *testing.T) {
			pods := 0
			for _, d := range decode(t, manifests(t, set...)) {
				s, ok := d.value.(*apps.StatefulSet)
				if !ok {
					continue
				}
				pods++
				spec := s.Spec.Template.Spec
				for _, r := range evaluator.EvaluatePod(security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}, &s.Spec.Template.ObjectMeta, &spec) {
					if !r.Allowed {
						t.Errorf("pod security restricted: %s: %s", r.ForbiddenReason, r.ForbiddenDetail)
					}
				}
				if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken || spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
					t.Error("the pod gets a service account's token or variables of service links")
				}
				seen := map[string]bool{}
				for _, e := range spec.Containers[0].Env {
					if seen[e.Name] {
						t.Errorf("variable %s is set twice", e.Name)
					}
					seen[e.Name] = true
				}
				if *s.Spec.Replicas != 1 {
					t.Errorf("got %d replicas want 1", *s.Spec.Replicas)
				}
			}
			if pods != 1 {
				t.Errorf("got %d StatefulSets want 1", pods)
			}
		})
	}
}
