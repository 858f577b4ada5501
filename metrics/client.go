package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Defaults of ClientOptions.
const (
	DefaultTimeout  = 4 * time.Second // below the default tick of 5 s
	DefaultMaxBytes = 64 << 20
	userAgent       = "gpuscaler"
)

// ClientOptions say how to reach one Prometheus server, or anything that speaks its HTTP API.
type ClientOptions struct {
	// URL is the base of the API: http or https, with the path before /api/v1 if there is one. A query string is
	// sent along with every request (for example partial_response=false for Thanos).
	URL string
	// Transport sends the requests; it may add credentials. Nil means http.DefaultTransport. Whatever it is,
	// redirects are not followed, so that credentials never travel to a place that was not configured.
	Transport http.RoundTripper
	// GET sends queries as GET requests. The Kubernetes API server authorizes a POST through its service proxy as
	// the verb create, which a reader has no business to have.
	GET bool
	// Gzip asks for compressed replies: for slow links. Within a cluster compressing costs the server more than
	// sending does.
	Gzip bool
	// Timeout bounds one request with its whole body; zero means DefaultTimeout. Keep it below the tick.
	Timeout time.Duration
	// MaxBytes bounds one decompressed body; zero means DefaultMaxBytes. It holds about 200,000 series.
	MaxBytes int64
}

// client is a small reader of the Prometheus HTTP API. It exists because the official one reads replies without a
// bound and decodes them into several times their size.
type client struct {
	base   *url.URL
	server string // base for messages
	http   *http.Client
	opts   ClientOptions

	mu    sync.Mutex
	idle  []*decoder
	names map[string]*interner // by purpose: replies to the same query list the same names
}

func newClient(opts ClientOptions) (*client, error) {
	base, err := url.Parse(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("parsing the Prometheus URL: %w", withoutURL(err))
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("parsing the Prometheus URL %q: want http:// or https:// and a host", base.Redacted())
	}
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	shown := url.URL{Scheme: base.Scheme, Host: base.Host, Path: base.Path}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{
		base: base, server: shown.String(), opts: opts,
		http:  &http.Client{Transport: opts.Transport, CheckRedirect: refuse},
		names: map[string]*interner{},
	}, nil
}

// withoutURL strips the URL from an error of net/url or net/http: it may hold a password or a long query.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// borrow returns a decoder that no one else uses, with the names of the last reply of the same purpose.
func (c *client) borrow(purpose string) *decoder {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := newDecoder()
	if n := len(c.idle); n > 0 {
		d, c.idle = c.idle[n-1], c.idle[:n-1]
	}
	if d.names = c.names[purpose]; d.names == nil {
		d.names = &interner{}
	}
	delete(c.names, purpose) // it is not safe for a concurrent read of the same purpose
	return d
}

// giveBack returns a decoder. Names are kept for a purpose only: an empty one will not come again.
func (c *client) giveBack(d *decoder, purpose string) {
	d.names.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	if purpose != "" {
		c.names[purpose] = d.names
	}
	d.names, d.emit, d.lex.r = nil, nil, nil
	c.idle = append(c.idle, d)
}

// question is one request to one of the API's query endpoints.
type question struct {
	endpoint string // below the base URL
	want     string // result type
	purpose  string // names questions that are asked again and again; empty for one that is not
	params   url.Values
	emit     func(labels *labelSet, t, v float64)
}

// query asks and hands every sample to q.emit. If it returns an error, everything handed out before is void. The
// errors are of type *Error.
func (c *client) query(ctx context.Context, q question) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		// The server need not go on when nobody listens any more. A duration only: never our clock's time.
		q.params.Set("timeout", promDuration(max(time.Until(deadline).Truncate(time.Millisecond), time.Millisecond)))
	}
	req, err := c.request(ctx, q.endpoint, q.params)
	if err != nil {
		return c.fail(ErrRefused, 0, err.Error(), "", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	// Closing without draining drops the connection: right after a refusal, where the rest may be endless.
	defer func() { _ = resp.Body.Close() }()
	return c.read(ctx, resp, q)
}

func (c *client) request(ctx context.Context, endpoint string, params url.Values) (*http.Request, error) {
	target := *c.base
	target.Path = strings.TrimSuffix(target.Path, "/") + endpoint
	if target.RawPath != "" {
		target.RawPath = strings.TrimSuffix(target.RawPath, "/") + endpoint
	}
	method, body := http.MethodPost, params.Encode()
	if c.opts.GET {
		method = http.MethodGet
		target.RawQuery = strings.TrimPrefix(target.RawQuery+"&"+body, "&")
		body = ""
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", withoutURL(err))
	}
	if !c.opts.GET {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	// Asking for an encoding by name keeps the transport from decompressing by itself, out of our bound.
	req.Header.Set("Accept-Encoding", "identity")
	if c.opts.Gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	// A query changes nothing: let net/http repeat it if a kept connection turns out to be closed. An empty value
	// says so without being sent.
	req.Header["Idempotency-Key"] = []string{}
	return req, nil
}

func (c *client) fail(kind error, status int, message, hint string, cause error) *Error {
	return &Error{Kind: kind, Server: c.server, Status: status, Message: message, Hint: hint, Cause: cause}
}

// unreachable explains why no reply came.
func (c *client) unreachable(ctx context.Context, err error) error {
	err = withoutURL(err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return c.fail(ErrUnreachable, 0, "no complete reply within the time limit",
			"check that it is not overloaded and that the network lets us in", context.DeadlineExceeded)
	}
	return c.fail(ErrUnreachable, 0, excerpt(err.Error()),
		"check --prometheus-url, the Service's endpoints and network policies", err)
}
