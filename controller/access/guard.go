package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes"
)

const (
	// verdictAge is how long a verdict counts: kube components keep theirs as long.
	verdictAge = 10 * time.Second
	// maxVerdicts bounds each of the two caches. A verdict takes some hundred bytes.
	maxVerdicts = 2048
	// maxReviews is how many requests wait for the API server at once; further ones wait for their turn.
	maxReviews = 16
	// reviewPatience is how long a request waits for its verdict, its turn included.
	reviewPatience = 5 * time.Second
	// maxToken bounds a token, in bytes: those of Kubernetes have about 1,000, those of identity providers some thousand.
	maxToken = 16 << 10
)

// Guard lets those requests through that their users may make.
type Guard struct {
	client kubernetes.Interface
	log    logr.Logger
	// users are the verdicts on tokens, by their digest: tokens themselves are not kept. rights are those on requests.
	users, rights *cache.LRUExpireCache
	turns         chan struct{}
	// told is when it was logged last that the API server could not be asked, in nanoseconds since 1970.
	told atomic.Int64
}

// New makes a Guard that asks by a client, which should have a rate limit of its own: whoever reaches the port can cause a review.
// What it refuses to known users it logs.
func New(client kubernetes.Interface, log logr.Logger) *Guard {
	return &Guard{
		client: client, log: log, turns: make(chan struct{}, maxReviews),
		users: cache.NewLRUExpireCache(maxVerdicts), rights: cache.NewLRUExpireCache(maxVerdicts),
	}
}

// Handler serves what next does: the paths of open to everyone, all else to whom RBAC allows it. It answers 401 without a token that
// the API server knows, 403 to a user without the right, and 503 if the API server cannot be asked.
func (g *Guard) Handler(next http.Handler, open ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(open, r.URL.Path) {
			if refusal := g.check(r); refusal != nil {
				refusal.answer(w)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// refusal is why a request is not served.
type refusal struct {
	code int
	text string
}

func (f *refusal) answer(w http.ResponseWriter) {
	if f.code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="gpuscaler"`)
	}
	http.Error(w, f.text, f.code)
}

// check returns why a request is refused, nil if it is not.
func (g *Guard) check(r *http.Request) *refusal {
	ctx, cancel := context.WithTimeout(r.Context(), reviewPatience)
	defer cancel()
	token, err := bearer(r.Header)
	if err != nil {
		return &refusal{http.StatusUnauthorized, "Unauthorized: " + err.Error()}
	}
	who := digest(sha256.Sum256([]byte(token)))
	user, err := g.user(ctx, who, token)
	if err != nil {
		return g.undecided(err)
	}
	if user == nil {
		return &refusal{http.StatusUnauthorized, "Unauthorized: the API server does not accept the bearer token"}
	}
	what := attributesOf(r)
	allowed, err := g.allowed(ctx, right{who, what}, user)
	if err != nil {
		return g.undecided(err)
	}
	if !allowed {
		return &refusal{http.StatusForbidden, fmt.Sprintf("Forbidden: user %q cannot %s path %q: a ClusterRole has to grant it in nonResourceURLs", user.Username, what.verb, what.path)}
	}
	return nil
}

// undecided refuses what could not be decided. It is logged once in 10 s: whoever reaches the port can cause it while the API server
// is away.
func (g *Guard) undecided(err error) *refusal {
	now, told := time.Now().UnixNano(), g.told.Load()
	if now-told >= int64(verdictAge) && g.told.CompareAndSwap(told, now) {
		g.log.Error(err, "Requests cannot be authorised and are refused")
	}
	return &refusal{http.StatusServiceUnavailable, "The request cannot be authorised now: " + err.Error()}
}

// bearer returns the bearer token of a request.
func bearer(header http.Header) (string, error) {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return "", errors.New("a bearer token is required, as in Authorization: Bearer TOKEN")
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	token = strings.TrimSpace(token)
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return "", errors.New("the Authorization header has no bearer token, as in Authorization: Bearer TOKEN")
	case len(token) > maxToken:
		return "", fmt.Errorf("the bearer token has %d bytes, and at most %d are allowed", len(token), maxToken)
	}
	return token, nil
}

// digest stands for a token.
type digest [sha256.Size]byte

// attributes are what is asked of RBAC.
type attributes struct{ verb, path string }

// right is one user's wish.
type right struct {
	who  digest
	what attributes
}

// attributesOf is what RBAC has to allow for a request.
func attributesOf(r *http.Request) attributes {
	path := r.URL.Path
	if path != "/metrics" {
		path = "/gpuscaler" + path
	}
	return attributes{strings.ToLower(r.Method), path}
}

// user returns whose token it is, nil if it is nobody's.
func (g *Guard) user(ctx context.Context, who digest, token string) (*authenticationv1.UserInfo, error) {
	return kept(ctx, g, g.users, who, func() (*authenticationv1.UserInfo, error) { return g.reviewToken(ctx, token) })
}

// allowed reports whether a user may do it.
func (g *Guard) allowed(ctx context.Context, wish right, user *authenticationv1.UserInfo) (bool, error) {
	return kept(ctx, g, g.rights, wish, func() (bool, error) { return g.reviewAccess(ctx, wish.what, user) })
}

// kept returns the verdict that is kept, or makes one when it is this request's turn. Errors are no verdicts.
func kept[T any](ctx context.Context, g *Guard, verdicts *cache.LRUExpireCache, key any, review func() (T, error)) (T, error) {
	if verdict, ok := verdicts.Get(key); ok {
		return verdict.(T), nil
	}
	select {
	case g.turns <- struct{}{}:
		defer func() { <-g.turns }()
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("waiting to ask the API server: %w", context.Cause(ctx))
	}
	verdict, err := review()
	if err == nil {
		verdicts.Add(key, verdict, verdictAge)
	}
	return verdict, err
}
