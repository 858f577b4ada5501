package controller

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/policy"
)

// The files are what a real API server noted of changes, see TestManagedFieldsAreNotedAsTheFilesSay in test/e2e. Each is named for what
// was done.
func TestHandsAreToldByManagedFields(t *testing.T) {
	for name, want := range map[string]struct {
		by      policy.HandKind
		manager string
	}{
		"created":                 {policy.CreatorsHand, "kubectl-client-side-apply"},
		"created-at-zero":         {policy.CreatorsHand, "helm"},
		"created-by-apply":        {policy.CreatorsHand, "kubectl"},
		"created-by-stranger":     {policy.CreatorsHand, "my-operator"},
		"applied-without":         {policy.NoHand, ""},
		"kubectl-scale":           {policy.PersonsHand, "kubectl"},
		"kubectl-scale-zero":      {policy.NoHand, ""},
		"zero-then-kubectl-scale": {policy.NoHand, ""},
		"zero-then-kubectl-edit":  {policy.PersonsHand, "kubectl-edit"},
		"kubectl-edit-zero":       {policy.PersonsHand, "kubectl-edit"},
		"kubectl-edit":            {policy.PersonsHand, "kubectl-edit"},
		"kubectl-patch":           {policy.PersonsHand, "kubectl-patch"},
		"client-side-apply":       {policy.ResettingHand, "kubectl-client-side-apply"},
		"server-side-apply":       {policy.ResettingHand, "argocd-controller"},
		"applied-as-it-was":       {policy.OurHand, fieldManager},
		"applied-twice":           {policy.ResettingHand, "kustomize-controller"},
		"without-then-ours":       {policy.NoHand, ""},
		"helm":                    {policy.ResettingHand, "helm"},
		"ours":                    {policy.OurHand, fieldManager},
		"ours-to-zero-and-back":   {policy.NoHand, ""},
		"ours-to-zero":            {policy.NoHand, ""},
		"ours-then-another-image": {policy.OurHand, fieldManager},
		"hpa":                     {policy.NoHand, "kube-controller-manager"},
		"keda":                    {policy.NoHand, "keda"},
		"stranger":                {policy.PersonsHand, "my-operator"},
		"stranger-with-template":  {policy.ResettingHand, "my-operator"},
	} {
		text, err := os.ReadFile(filepath.Join("testdata/hands", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var d appsv1.Deployment
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		hand, stranger := handOf(&d)
		if hand.By != want.by || hand.Manager != want.manager || stranger != strings.HasPrefix(name, "stranger") {
			t.Errorf("%s: %+v, a stranger's: %v; want %d by %s", name, hand, stranger, want.by, want.manager)
		}
		timed := want.by == policy.ResettingHand || want.by == policy.CreatorsHand || strings.Contains(want.manager, "-")
		if want.manager == "kube-controller-manager" {
			timed = false
		}
		if timed == hand.Time.IsZero() {
			t.Errorf("%s: at %v, want a time: %v", name, hand.Time, timed)
		}
	}
}

// noted makes a Deployment with one owner of its replicas.
func noted(replicas int32, image, fields string, e metav1.ManagedFieldsEntry) *deployment {
	api := apiDeployment("ns", "a", replicas, asks(policy.RunningRequests))
	api.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour))
	api.Spec.Template.Spec.Containers = []corev1.Container{{Image: image}}
	e.FieldsV1 = metav1.NewFieldsV1(fields)
	api.ManagedFields = []metav1.ManagedFieldsEntry{e}
	d, _ := newDeployment(api)
	return d
}

func TestFieldsThatAreNotSpecReplicas(t *testing.T) {
	at := metav1.NewTime(noon)
	for fields, e := range map[string]metav1.ManagedFieldsEntry{
		`{"f:status":{"f:replicas":{}}}`:                        {Manager: "x"},
		`{"f:spec":{"f:replicas":{}}}`:                          {Manager: "x", Subresource: "status"},
		`{"f:spec":{"f:template":{"f:metadata":"f:replicas"}}}`: {Manager: "x"},
		`{"f:spec":{"f:replicas":`:                              {Manager: "x"},
		`{"f:spec":"\"f:replicas\":{}"}`:                        {Manager: "x"},
		`{"f:metadata":{"f:annotations":{"f:replicas":{}}}}`:    {Manager: "x"},
	} {
		e.Time = &at
		if d := noted(2, "a", fields, e); d.hand != (policy.Hand{}) {
			t.Errorf("%s: hand %+v, want none", fields, d.hand)
		}
	}
	created := metav1.NewTime(noon.Add(-time.Hour - time.Second))
	if d := noted(2, "a", `{"f:spec":{"f:replicas":{}}}`, metav1.ManagedFieldsEntry{Manager: "x", Time: &created}); d.hand.By != policy.CreatorsHand {
		t.Errorf("noted a second before the creation: %+v, want the creator's hand", d.hand)
	}
	api := apiDeployment("ns", "a", 2, asks(policy.RunningRequests))
	api.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "x", Time: &at}}
	if d, _ := newDeployment(api); d.hand != (policy.Hand{}) {
		t.Errorf("without fields: hand %+v, want none", d.hand)
	}
}

// What the watch shows of a change says more than what is noted of it.
func TestHandsAreToldByWhatChanged(t *testing.T) {
	const whole, replicas = `{"f:spec":{"f:replicas":{},"f:template":{}}}`, `{"f:spec":{"f:replicas":{}}}`
	by := func(manager string, minute int) metav1.ManagedFieldsEntry {
		at := metav1.NewTime(noon.Add(time.Duration(minute) * time.Minute))
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &at}
	}
	before := func() *deployment { return noted(2, "server:1", replicas, by("kubectl-edit", 1)) }
	for name, tt := range map[string]struct {
		after   *deployment
		by      policy.HandKind
		manager string
		minute  int
	}{
		"a stranger who has set the template before": {noted(4, "server:1", whole, by("operator", 5)), policy.PersonsHand, "operator", 5},
		"a stranger who sets the template too":       {noted(4, "server:2", whole, by("operator", 5)), policy.ResettingHand, "operator", 5},
		"another image by the person who scaled":     {noted(2, "server:2", whole, by("kubectl-edit", 5)), policy.PersonsHand, "kubectl-edit", 1},
		"an apply of the number that there was":      {noted(2, "server:1", replicas, by("helm", 5)), policy.PersonsHand, "kubectl-edit", 1},
		"an apply of another number":                 {noted(3, "server:1", replicas, by("helm", 5)), policy.ResettingHand, "helm", 5},
	} {
		s := &store[*deployment]{adopt: adoptDeployment}
		_ = s.Add(before())
		_ = s.Update(tt.after)
		want := policy.Hand{By: tt.by, Manager: tt.manager, Time: noon.Add(time.Duration(tt.minute) * time.Minute)}
		got := s.get(key{"ns", "a"}).hand
		if got.By != want.By || got.Manager != want.Manager || !got.Time.Equal(want.Time) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	anew := noted(2, "server:1", replicas, by("helm", 5))
	anew.uid = "another"
	s := &store[*deployment]{adopt: adoptDeployment}
	_ = s.Add(before())
	_ = s.Update(anew)
	if got := s.get(key{"ns", "a"}).hand; got.Manager != "helm" {
		t.Errorf("created anew: %+v, want nothing of the old one", got)
	}
}

// Of a scale no time is noted: it was when it was seen. Of one that was made before, none is known.
func TestScaleHasTheTimeAtWhichItWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const replicas = `{"f:spec":{"f:replicas":{}}}`
		scaled := metav1.ManagedFieldsEntry{Manager: fieldManager, Subresource: "scale"}
		s := &store[*deployment]{adopt: adoptDeployment}
		hand := func(n int32) policy.Hand {
			_ = s.Update(noted(n, "server:1", replicas, scaled))
			return s.get(key{"ns", "a"}).hand
		}
		if got := hand(2); !got.Time.IsZero() {
			t.Errorf("%+v, want no time", got)
		}
		time.Sleep(time.Minute)
		for range 2 {
			if got := hand(4); got.By != policy.OurHand || !got.Time.Equal(noon.Add(time.Minute)) {
				t.Errorf("%+v, want our hand a minute after noon", got)
			}
			time.Sleep(time.Minute)
		}
	})
}

// Where the API server notes nobody, a change is ours if it is the one that we made, and else that of a person.
func TestHandThatIsNotNoted(t *testing.T) {
	ours, person := policy.Hand{By: policy.OurHand, Manager: fieldManager}, policy.Hand{By: policy.PersonsHand}
	for name, tt := range map[string]struct {
		// script is what happens between ticks; the write that the first tick decides, 2 -> 4, gets the version 10.
		script func(b *bed, show func(version, replicas int))
		dryRun bool
		want   policy.Hand
	}{
		"nothing":   {script: func(*bed, func(int, int)) {}},
		"our write": {script: func(_ *bed, show func(int, int)) { show(10, 4) }, want: ours},
		"our write, seen with a later one of another field": {script: func(_ *bed, show func(int, int)) { show(12, 4) }, want: ours},
		"scaled before our write was seen":                  {script: func(_ *bed, show func(int, int)) { show(11, 5) }, want: person},
		"scaled after our write":                            {script: func(b *bed, show func(int, int)) { show(10, 4); b.tick(1); show(11, 3) }, want: person},
		"scaled to our number later": {script: func(b *bed, show func(int, int)) {
			show(10, 4)
			b.tick(1)
			show(11, 3)
			b.tick(2)
			show(12, 4)
		}, want: person},
		"another field, after our write":  {script: func(b *bed, show func(int, int)) { show(10, 4); b.tick(1); show(11, 4) }, want: ours},
		"scaled while nothing is written": {script: func(_ *bed, show func(int, int)) { show(11, 5) }, dryRun: true},
	} {
		b := newBed(t, func(o *Options) { o.DryRun = tt.dryRun })
		b.scaler.answer = func(_ context.Context, c change) (written, error) { return written{replicas: c.to, version: "10"}, nil }
		b.reader.set(policy.RunningRequests, 100)
		b.deploy("a", 2, asks(policy.RunningRequests))
		b.tick(0)
		b.reader.set(policy.RunningRequests, 50)
		tt.script(b, func(version, replicas int) {
			b.version = version - 1
			b.show("a", "uid-a", replicas, asks(policy.RunningRequests))
		})
		b.tick(9)
		if got := b.targets["uid-a"].hand; got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// A write without an answer is ours if the cache shows that it was made, and nothing is judged before it is known.
func TestHandOfAWriteWithoutAnswer(t *testing.T) {
	b := newBed(t)
	b.scaler.answer = func(context.Context, change) (written, error) { return written{}, io.ErrUnexpectedEOF }
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.Tick(t.Context(), noon)
	b.show("a", "uid-a", 4, asks(policy.RunningRequests))
	b.reader.set(policy.RunningRequests, 50)
	b.tick(1)
	b.tick(2)
	if got := b.targets["uid-a"].hand; got.By != policy.OurHand {
		t.Errorf("%+v, want our hand", got)
	}
}
