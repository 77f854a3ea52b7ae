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
	disruption "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
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
			"apps/v1 Deployment":                      &apps.Deployment{},
			"policy/v1 PodDisruptionBudget":           &disruption.PodDisruptionBudget{},
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

// pods returns the templates of all pods of a rendering, by the name of their StatefulSet or Deployment.
func pods(t *testing.T, all []decoded) map[string]core.PodTemplateSpec {
	t.Helper()
	templates := map[string]core.PodTemplateSpec{}
	for _, d := range all {
		switch v := d.value.(type) {
		case *apps.StatefulSet:
			templates[d.name] = v.Spec.Template
			if *v.Spec.Replicas != 1 {
				t.Errorf("%s: got %d replicas want 1", d.name, *v.Spec.Replicas)
			}
			selects(t, d.name, v.Spec.Selector, v.Spec.Template)
		case *apps.Deployment:
			templates[d.name] = v.Spec.Template
			selects(t, d.name, v.Spec.Selector, v.Spec.Template)
		}
	}
	return templates
}

// selects checks that a selector selects the pods of its own template.
func selects(t *testing.T, name string, by *meta.LabelSelector, template core.PodTemplateSpec) {
	t.Helper()
	selector, err := meta.LabelSelectorAsSelector(by)
	if err != nil || !selector.Matches(labels.Set(template.Labels)) {
		t.Errorf("%s: the selector doesn't select its pods: %v", name, err)
	}
}

func TestChart_DecodesStrictlyAndIsRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range variants {
		t.Run(name, func(t *testing.T) {
			templates := pods(t, decode(t, manifests(t, set...)))
			if len(templates) == 0 {
				t.Error("got no pods")
			}
			for name, template := range templates {
				spec := template.Spec
				for _, r := range evaluator.EvaluatePod(security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}, &template.ObjectMeta, &spec) {
					if !r.Allowed {
						t.Errorf("%s: pod security restricted: %s: %s", name, r.ForbiddenReason, r.ForbiddenDetail)
					}
				}
				if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken || spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
					t.Errorf("%s: the pod gets a service account's token or variables of service links", name)
				}
				seen := map[string]bool{}
				for _, e := range spec.Containers[0].Env {
					if seen[e.Name] {
						t.Errorf("%s: variable %s is set twice", name, e.Name)
					}
					seen[e.Name] = true
				}
				if len(name) > 52 { // the label controller-revision-hash has it and 11 more characters
					t.Errorf("the name %s is too long for a StatefulSet", name)
				}
				mounted := map[string]bool{}
				for _, m := range spec.Containers[0].VolumeMounts {
					mounted[m.Name] = true
				}
				for _, v := range spec.Volumes {
					if !mounted[v.Name] {
						t.Errorf("%s: the volume %s is not mounted", name, v.Name)
					}
				}
			}
		})
	}
}
