// Package manifests_test renders the manifests with kustomize and reads them strictly, as
// the API server would.
package manifests_test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifests are all objects of one rendering.
type manifests struct {
	Namespaces  []core.Namespace
	Secrets     []core.Secret
	ConfigMaps  []core.ConfigMap
	Services    []core.Service
	Deployments []apps.Deployment
	Policies    []networking.NetworkPolicy
	Budgets     []policy.PodDisruptionBudget
	Monitors    []monitoring.ServiceMonitor
}

// render builds a directory and decodes every object into its type. An unknown or
// doubled field, or a kind that is not expected, fails the test.
func render(t *testing.T, dir string) manifests {
	t.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var all manifests
	for _, o := range objects.Resources() {
		text, err := o.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		kind := o.GetApiVersion() + " " + o.GetKind()
		switch kind {
		case "v1 Namespace":
			decode(t, text, &all.Namespaces)
		case "v1 Secret":
			decode(t, text, &all.Secrets)
		case "v1 ConfigMap":
			decode(t, text, &all.ConfigMaps)
		case "v1 Service":
			decode(t, text, &all.Services)
		case "apps/v1 Deployment":
			decode(t, text, &all.Deployments)
		case "networking.k8s.io/v1 NetworkPolicy":
			decode(t, text, &all.Policies)
		case "policy/v1 PodDisruptionBudget":
			decode(t, text, &all.Budgets)
		case "monitoring.coreos.com/v1 ServiceMonitor":
			decode(t, text, &all.Monitors)
		default:
			t.Errorf("%s %s is not expected", kind, o.GetName())
		}
	}
	return all
}

func decode[T any](t *testing.T, text []byte, into *[]T) {
	t.Helper()
	var object T
	if err := yaml.UnmarshalStrict(text, &object); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	*into = append(*into, object)
}

func TestManifests(t *testing.T) {
	for _, c := range []struct {
		dir      string
		replicas int32
		monitors int
	}{{"../base", 1, 0}, {"../overlays/production", 2, 1}} {
		t.Run(c.dir, func(t *testing.T) {
			m := render(t, c.dir)
			if len(m.Deployments) != 1 || len(m.Budgets) != 1 || len(m.Monitors) != c.monitors || len(m.Services) != 2 {
				t.Fatalf("%d deployments, %d budgets, %d monitors, %d services", len(m.Deployments), len(m.Budgets), len(m.Monitors), len(m.Services))
			}
			d := m.Deployments[0]
			if got := *d.Spec.Replicas; got != c.replicas {
				t.Errorf("%d replicas, want %d", got, c.replicas)
			}
			checkPod(t, d.Spec.Template.Spec)
			checkSelectors(t, m, d.Spec.Template)
			checkVolumes(t, m, d.Spec.Template.Spec)
			checkVariables(t, m, d.Spec.Template.Spec)
		})
	}
}

// checkPod: images that are pinned, a native sidecar, and no privilege.
func checkPod(t *testing.T, pod core.PodSpec) {
	t.Helper()
	if len(pod.InitContainers) != 1 || pod.InitContainers[0].RestartPolicy == nil ||
		*pod.InitContainers[0].RestartPolicy != core.ContainerRestartPolicyAlways {
		t.Error("rewatch is no native sidecar")
	}
	if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser != 65532 || *pod.TerminationGracePeriodSeconds <= 12 {
		t.Error("the pod runs as root, or is not given the time to drain")
	}
	tag := regexp.MustCompile(`^[^:@]+(:\d+/[^:@]+)?:[\w][\w.-]*$`)
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		if !tag.MatchString(c.Image) || strings.HasSuffix(c.Image, ":latest") || c.ImagePullPolicy != core.PullIfNotPresent {
			t.Errorf("%s: image %s, %s", c.Name, c.Image, c.ImagePullPolicy)
		}
		s := c.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Contains(s.Capabilities.Drop, "ALL") {
			t.Errorf("%s: %+v", c.Name, s)
		}
	}
}

// checkSelectors: whatever selects pods selects these, and ports that are named exist.
func checkSelectors(t *testing.T, m manifests, pod core.PodTemplateSpec) {
	t.Helper()
	selects := func(what string, s *meta.LabelSelector, in map[string]string) {
		selector, err := meta.LabelSelectorAsSelector(s)
		if err != nil || !selector.Matches(labels.Set(in)) {
			t.Errorf("%s does not select %v: %v", what, in, err)
		}
	}
	ports := map[string]bool{}
	for _, p := range pod.Spec.InitContainers[0].Ports {
		ports[p.Name] = true
	}
	for _, s := range m.Services {
		selects(s.Name, &meta.LabelSelector{MatchLabels: s.Spec.Selector}, pod.Labels)
		for _, p := range s.Spec.Ports {
			if !ports[p.TargetPort.String()] {
				t.Errorf("service %s: no port %s", s.Name, p.TargetPort.String())
			}
		}
	}
	for _, b := range m.Budgets {
		selects(b.Name, b.Spec.Selector, pod.Labels)
		if b.Spec.MaxUnavailable.IntValue() != 1 {
			t.Errorf("%s: %v", b.Name, b.Spec)
		}
	}
	for _, p := range m.Policies {
		selects(p.Name, &p.Spec.PodSelector, pod.Labels)
	}
	for _, monitor := range m.Monitors {
		i := slices.IndexFunc(m.Services, func(s core.Service) bool {
			selector, err := meta.LabelSelectorAsSelector(&monitor.Spec.Selector)
			return err == nil && selector.Matches(labels.Set(s.Labels))
		})
		if i < 0 || !slices.ContainsFunc(m.Services[i].Spec.Ports, func(p core.ServicePort) bool { return p.Name == monitor.Spec.Endpoints[0].Port }) {
			t.Errorf("%s finds no service with its port", monitor.Name)
		}
	}
}

// checkVolumes: every mount has its volume, and every volume what it is made from.
func checkVolumes(t *testing.T, m manifests, pod core.PodSpec) {
	t.Helper()
	there := map[string]bool{}
	for _, c := range m.ConfigMaps {
		there["map "+c.Name] = true
	}
	for _, s := range m.Secrets {
		there["secret "+s.Name] = true
	}
	for _, v := range pod.Volumes {
		there["volume "+v.Name] = true
		if v.ConfigMap != nil && !there["map "+v.ConfigMap.Name] || v.Secret != nil && !there["secret "+v.Secret.SecretName] {
			t.Errorf("volume %s is made from nothing", v.Name)
		}
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, mount := range c.VolumeMounts {
			if !there["volume "+mount.Name] {
				t.Errorf("%s: no volume %s", c.Name, mount.Name)
			}
		}
	}
}

// checkVariables has rewatch itself look at the variables that the pod is given. Names
// of the cluster cannot be resolved here, and its files are not there.
func checkVariables(t *testing.T, m manifests, pod core.PodSpec) {
	t.Helper()
	from := pod.InitContainers[0].EnvFrom[0].ConfigMapRef.Name
	i := slices.IndexFunc(m.ConfigMaps, func(c core.ConfigMap) bool { return c.Name == from })
	if i < 0 {
		t.Fatalf("no ConfigMap %s", from)
	}
	cmd := exec.Command("go", "run", "./cmd/rewatch", "check")
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), "POD_IP=127.0.0.1")
	files := t.TempDir()
	for name, value := range m.ConfigMaps[i].Data {
		for _, dir := range []string{"/etc/rewatch/", "/var/lib/rewatch/"} {
			value = strings.ReplaceAll(value, dir, files+"/")
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	for name, value := range m.Secrets[0].StringData {
		if err := os.WriteFile(files+"/"+name, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, _ := cmd.CombinedOutput()
	wrong := regexp.MustCompile(`(?m)^WRONG .*$`)
	for _, line := range wrong.FindAllString(string(out), -1) {
		if !regexp.MustCompile(`the name \S+ (does not exist|cannot be resolved)|redis`).MatchString(line) {
			t.Error(line)
		}
	}
	if !bytes.Contains(out, []byte("REWATCH_SERVER")) {
		t.Errorf("rewatch check says\n%s", out)
	}
}

// TestPresenceServerIsTheLabs: the pod's server has the configuration of the lab, which
// the integration tests talk to.
func TestPresenceServerIsTheLabs(t *testing.T) {
	var texts []string
	for _, file := range []string{"../base/presence.cfg", "../../lab/kamailio-presence.cfg"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if texts[0] != texts[1] {
		t.Error("base/presence.cfg is not docker/lab/kamailio-presence.cfg; copy it")
	}
}
