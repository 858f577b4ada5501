package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// reviewer is an API server that answers reviews: it knows tokens, and what users may do.
type reviewer struct {
	*fake.Clientset
	mu     sync.Mutex
	tokens map[string]authenticationv1.UserInfo
	rights map[string]bool // "USER VERB PATH"
	// fails are the errors by resource, and denied vetoes everything.
	fails  map[string]error
	denied bool
	// asked are the reviews.
	asked []string
	// seen is the last SubjectAccessReview.
	seen authorizationv1.SubjectAccessReviewSpec
}

func newReviewer() *reviewer {
	r := &reviewer{
		Clientset: fake.NewClientset(), fails: map[string]error{},
		tokens: map[string]authenticationv1.UserInfo{
			"good": {Username: "scraper", UID: "u1", Groups: []string{"g1", "g2"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}}},
			"poor": {Username: "nobody"}, "expired": {Username: "scraper"},
		},
		rights: map[string]bool{"scraper get /metrics": true},
	}
	r.PrependReactor("create", "*", r.review)
	return r
}

// review answers one review.
func (r *reviewer) review(action clienttesting.Action) (bool, runtime.Object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	resource := action.GetResource().Resource
	if err := r.fails[resource]; err != nil {
		r.asked = append(r.asked, "failed "+resource)
		return true, nil, err
	}
	switch review := action.(clienttesting.CreateAction).GetObject().DeepCopyObject().(type) {
	case *authenticationv1.TokenReview:
		r.asked = append(r.asked, "token "+review.Spec.Token)
		review.Status.User, review.Status.Authenticated = r.tokens[review.Spec.Token], r.tokens[review.Spec.Token].Username != "" && review.Spec.Token != "expired"
		return true, review, nil
	case *authorizationv1.SubjectAccessReview:
		a := review.Spec.NonResourceAttributes
		wish := fmt.Sprintf("%s %s %s", review.Spec.User, a.Verb, a.Path)
		r.asked, r.seen = append(r.asked, wish), review.Spec
		review.Status.Allowed, review.Status.Denied = r.rights[wish], r.denied
		return true, review, nil
	}
	return false, nil, nil
}

// served is what lies behind the guard.
var served = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") })

// ask sends a request to a handler.
func ask(h http.Handler, method, path string, authorization ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, nil)
	for _, a := range authorization {
		r.Header.Add("Authorization", a)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestGuard(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*reviewer)
		method string
		path   string
		header []string
		code   int
		text   string // part of the answer
	}{
		{"allowed", nil, "GET", "/metrics", []string{"Bearer good"}, 200, "secret"},
		{"any case", nil, "GET", "/metrics", []string{"bearer  good "}, 200, "secret"},
		{"open", nil, "GET", "/healthz", nil, 200, "secret"},
		{"open with a bad token", nil, "GET", "/readyz", []string{"Bearer x"}, 200, "secret"},
		{"beside what is open", nil, "GET", "/healthz/", nil, 401, "bearer token is required"},
		{"no token", nil, "GET", "/metrics", nil, 401, "Authorization: Bearer TOKEN"},
		{"password", nil, "GET", "/metrics", []string{"Basic good"}, 401, "no bearer token"},
		{"no token after Bearer", nil, "GET", "/metrics", []string{"Bearer "}, 401, "no bearer token"},
		{"two tokens", nil, "GET", "/metrics", []string{"Bearer good", "Bearer good"}, 401, "bearer token is required"},
		{"long token", nil, "GET", "/metrics", []string{"Bearer " + strings.Repeat("x", maxToken+1)}, 401, "16385 bytes, and at most 16384"},
		{"unknown token", nil, "GET", "/metrics", []string{"Bearer bad"}, 401, "does not accept the bearer token"},
		{"known and not accepted", nil, "GET", "/metrics", []string{"Bearer expired"}, 401, "does not accept the bearer token"},
		{"no right", nil, "GET", "/metrics", []string{"Bearer poor"}, 403, `user "nobody" cannot get path "/metrics"`},
		{"other verb", nil, "POST", "/metrics", []string{"Bearer good"}, 403, `user "scraper" cannot post path "/metrics"`},
		{"dashboard", nil, "GET", "/", []string{"Bearer good"}, 403, `cannot get path "/gpuscaler/"`},
		{
			"everybody may read the API server's own paths", func(r *reviewer) { r.rights["scraper get /api/v1/workloads"] = true },
			"GET", "/api/v1/workloads?since=1h",
			[]string{"Bearer good"},
			403, `cannot get path "/gpuscaler/api/v1/workloads"`,
		},
		{
			"reader", func(r *reviewer) { r.rights["scraper get /gpuscaler/api/v1/workloads"] = true },
			"GET", "/api/v1/workloads",
			[]string{"Bearer good"},
			200, "secret",
		},
		{"veto", func(r *reviewer) { r.denied = true }, "GET", "/metrics", []string{"Bearer good"}, 403, "Forbidden"},
		{
			"no answer on the token", func(r *reviewer) { r.fails["tokenreviews"] = errors.New("connection refused") },
			"GET", "/metrics",
			[]string{"Bearer good"},
			503, "connection refused",
		},
		{
			"no answer on the right", func(r *reviewer) { r.fails["subjectaccessreviews"] = errors.New("connection refused") },
			"GET", "/metrics",
			[]string{"Bearer good"},
			503, "connection refused",
		},
		{
			"may not ask", func(r *reviewer) {
				r.fails["tokenreviews"] = apierrors.NewForbidden(schema.GroupResource{Resource: "tokenreviews"}, "", errors.New("no"))
			},
			"GET", "/metrics",
			[]string{"Bearer good"},
			503, "deploy/rbac/secure-metrics",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReviewer()
			if c.change != nil {
				c.change(r)
			}
			h := New(r, logr.Discard()).Handler(served, "/healthz", "/readyz")
			w := ask(h, c.method, c.path, c.header...)
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.text) {
				t.Errorf("%d %q, want %d and %q", w.Code, w.Body, c.code, c.text)
			}
			if c.code != http.StatusOK && strings.Contains(w.Body.String(), "secret") {
				t.Error("served what is refused")
			}
			if challenge := w.Header().Get("WWW-Authenticate"); (c.code == 401) != strings.HasPrefix(challenge, "Bearer") {
				t.Errorf("WWW-Authenticate: %q with %d", challenge, w.Code)
			}
		})
	}
}

// All that the API server tells of a user counts when its rights are asked for.
func TestUserIsPassedOn(t *testing.T) {
	r := newReviewer()
	ask(New(r, logr.Discard()).Handler(served), "GET", "/metrics", "Bearer good")
	if got := fmt.Sprint(r.seen.User, r.seen.UID, r.seen.Groups, r.seen.Extra); got != "scraperu1[g1 g2] map[k:[v]]" {
		t.Errorf("asked for %s", got)
	}
}

// Verdicts count for 10 s, good and bad ones, and failures not at all.
func TestVerdictsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReviewer()
		h := New(r, logr.Discard()).Handler(served)
		want := func(token string, code, reviews int) {
			t.Helper()
			before := len(r.asked)
			if w := ask(h, "GET", "/metrics", "Bearer "+token); w.Code != code || len(r.asked)-before != reviews {
				t.Errorf("%s: %d after %d reviews (%q), want %d after %d", token, w.Code, len(r.asked)-before, r.asked[before:], code, reviews)
			}
		}
		want("good", 200, 2)
		want("poor", 403, 2)
		want("bad", 401, 1)
		delete(r.tokens, "good")
		r.rights["nobody get /metrics"] = true
		time.Sleep(9 * time.Second)
		want("good", 200, 0)
		want("poor", 403, 0)
		want("bad", 401, 0)
		time.Sleep(2 * time.Second)
		want("good", 401, 1)
		want("poor", 200, 2)
		r.fails["tokenreviews"] = errors.New("gone")
		want("new", 503, 1)
		want("new", 503, 1)
		r.fails = nil
		r.tokens["new"] = authenticationv1.UserInfo{Username: "scraper"}
		want("new", 200, 2)
	})
}

// The caches and the number of reviews under way are bounded, and who waits too long is refused.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReviewer()
		g := New(r, logr.Discard())
		h := g.Handler(served)
		for i := range maxVerdicts + 100 {
			ask(h, "GET", "/metrics", fmt.Sprintf("Bearer bad-%d", i))
		}
		if n := len(g.users.Keys()); n != maxVerdicts {
			t.Errorf("%d verdicts are kept, want %d", n, maxVerdicts)
		}
		for range maxReviews {
			g.turns <- struct{}{} // a review that the API server does not answer
		}
		began := time.Now()
		w := ask(h, "GET", "/metrics", "Bearer good")
		if took := time.Since(began); w.Code != http.StatusServiceUnavailable || took != reviewPatience {
			t.Errorf("%d after %v, want 503 after %v", w.Code, took, reviewPatience)
		}
	})
}

// What is forbidden to a known user is logged with user, verb and path, once while the verdict counts; no token ever is.
func TestLog(t *testing.T) {
	var lines []string
	log := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{Verbosity: 1})
	r := newReviewer()
	h := New(r, log).Handler(served)
	for range 3 {
		ask(h, "GET", "/metrics", "Bearer poor")
	}
	ask(h, "GET", "/metrics", "Bearer bad")
	text := strings.Join(lines, "\n")
	if len(lines) != 2 || !strings.Contains(text, `"user"="nobody" "verb"="get" "path"="/metrics"`) {
		t.Errorf("logged\n%s\nwant one line with user, verb and path and one about the bad token", text)
	}
	if strings.Contains(text, "Bearer") || strings.Contains(text, "poor") {
		t.Errorf("a token is in the log:\n%s", text)
	}
	lines = nil
	r.fails["tokenreviews"] = errors.New("connection refused")
	for i := range 3 {
		ask(h, "GET", "/metrics", fmt.Sprintf("Bearer other-%d", i))
	}
	if len(lines) != 1 || !strings.Contains(lines[0], "connection refused") {
		t.Errorf("logged %q, want one line of an API server that does not answer", lines)
	}
}

// Whatever the header is, a token is one that can be asked for.
func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"Bearer a", "bearer  a ", "Bearer", "Basic a", "", "Bearer a b", "Bearer\ta"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := bearer(http.Header{"Authorization": {text}})
		if (err == nil) == (token == "") || len(token) > maxToken || token != strings.TrimSpace(token) || !strings.Contains(text, token) {
			t.Errorf("%q: token %q, %v", text, token, err)
		}
	})
}
