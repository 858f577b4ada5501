package metrics

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxErrorBytes bounds the body of a refusal: nobody reads more of it.
const maxErrorBytes = 64 << 10

var (
	errTooLarge = errors.New("larger than the limit")
	errEncoding = errors.New("unexpected Content-Encoding")
)

// body bounds what is read of a reply and remembers whether reading it failed, as opposed to its content being bad.
type body struct {
	r    io.Reader
	left int64
	err  error // of the connection
}

func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One more byte tells a reply of exactly the limit from one that goes on.
		var one [1]byte
		n, err := b.r.Read(one[:])
		if n > 0 {
			return 0, errTooLarge
		}
		return 0, err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// read checks a response and decodes it.
func (c *client) read(ctx context.Context, resp *http.Response, q question) error {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return c.redirected(resp)
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := err == nil && media == "application/json"
	if resp.StatusCode != http.StatusOK {
		return c.refused(resp, isJSON)
	}
	if !isJSON {
		return c.fail(ErrMalformed, resp.StatusCode,
			fmt.Sprintf("Content-Type %q where application/json was expected", excerpt(resp.Header.Get("Content-Type"))),
			"check that the URL is Prometheus' own and not that of a login page or a dashboard", nil)
	}
	network := &body{r: resp.Body, left: 1 << 62}
	plain, err := decompress(resp, network)
	if err != nil {
		return c.unreadable(ctx, resp.StatusCode, network, err)
	}
	d := c.borrow(q.purpose)
	rep, err := d.decode(&body{r: plain, left: c.opts.MaxBytes}, q.want, q.emit)
	c.giveBack(d, q.purpose)
	if rep.status == "error" {
		return c.fail(errorKind(rep.errorType), resp.StatusCode, said(rep), hintOf(rep.errorType), nil)
	}
	if err != nil {
		return c.unreadable(ctx, resp.StatusCode, network, err)
	}
	return c.verify(resp.StatusCode, rep)
}

// verify checks what can only be known at the end of the reply.
func (c *client) verify(status int, rep reply) error {
	switch {
	case rep.status != "success":
		return c.fail(ErrMalformed, status, fmt.Sprintf("status %q where success was expected", excerpt(rep.status)),
			"check that the URL is that of a Prometheus API", nil)
	case rep.resultType == "":
		return c.fail(ErrMalformed, status, "no result", "check that the URL is that of a Prometheus API", nil)
	case len(rep.warnings) > 0:
		return c.fail(ErrPartial, status, excerpt(strings.Join(rep.warnings, "; ")),
			"some of the data may be missing; check the stores behind this server", nil)
	}
	return nil
}

func decompress(resp *http.Response, r io.Reader) (io.Reader, error) {
	switch encoding := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		return r, nil
	case "gzip":
		return gzip.NewReader(r)
	default:
		return nil, fmt.Errorf("%w %q", errEncoding, excerpt(encoding))
	}
}

// unreadable tells a broken connection from a broken reply.
func (c *client) unreadable(ctx context.Context, status int, network *body, err error) error {
	switch {
	case network.err != nil || ctx.Err() != nil:
		if network.err == nil {
			network.err = ctx.Err()
		}
		return c.unreachable(ctx, network.err)
	case errors.Is(err, errTooLarge):
		return c.fail(ErrMalformed, status, fmt.Sprintf("more than %d bytes", c.opts.MaxBytes),
			"find what exposes so many series and drop them when scraping, or watch fewer namespaces", errTooLarge)
	case errors.Is(err, errManySeries):
		return c.fail(ErrMalformed, status, err.Error(),
			"find what exposes so many series and drop them when scraping, or watch fewer namespaces", errTooLarge)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return c.fail(ErrMalformed, status, "the reply ends in the middle", "check the proxies in between", nil)
	}
	return c.fail(ErrMalformed, status, excerpt(err.Error()), "check that the URL is that of a Prometheus API", err)
}

func (c *client) redirected(resp *http.Response) error {
	where := "elsewhere"
	if to, err := resp.Location(); err == nil {
		where = "host " + excerpt(to.Host)
	}
	return c.fail(ErrMalformed, resp.StatusCode, "redirected to "+where+"; redirects are not followed",
		"give the final URL, and check that no login stands in between", nil)
}

// refused explains a status that is neither success nor a redirect.
func (c *client) refused(resp *http.Response, isJSON bool) error {
	var rep reply
	if isJSON {
		if plain, err := decompress(resp, resp.Body); err == nil {
			d := c.borrow("")
			// What matters of a refusal is its status; a broken explanation is left out.
			rep, _ = d.decode(io.LimitReader(plain, maxErrorBytes), "", func(*labelSet, float64, float64) {})
			c.giveBack(d, "")
		}
	}
	message := said(rep)
	if message == "" {
		message = http.StatusText(resp.StatusCode)
	}
	hint, kind := refusal(resp.StatusCode, rep.errorType)
	return c.fail(kind, resp.StatusCode, message, hint, nil)
}

// refusal sorts the statuses of refusals and says what to do about each.
func refusal(status int, errorType string) (hint string, kind error) {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "check the credentials in --prometheus-http-config, or for kube:// the right to get services/proxy", ErrUnauthorized
	case status == http.StatusTooManyRequests:
		return "the server asks for fewer queries: raise --interval", ErrUnavailable
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "check the path of --prometheus-url: /api/v1/query is not below it", ErrRefused
	case status == http.StatusRequestURITooLong || status == http.StatusRequestHeaderFieldsTooLarge:
		return "something in between takes no URL this long: watch fewer namespaces, or use http(s):// instead of kube://", ErrRefused
	case status >= 500:
		return "check the server's own health and logs", ErrUnavailable
	}
	return hintOf(errorType), ErrRefused
}

// said renders errorType and error of a reply.
func said(rep reply) string {
	return excerpt(strings.Trim(rep.errorType+": "+rep.message, ": "))
}

// errorKind sorts the error types of the API: those that pass by themselves, and those that do not.
func errorKind(errorType string) error {
	switch errorType {
	case "timeout", "canceled", "internal", "unavailable":
		return ErrUnavailable
	}
	return ErrRefused
}

func hintOf(errorType string) string {
	switch errorType {
	case "timeout", "canceled", "unavailable":
		return "the server had no time for the query: check its load"
	case "execution":
		return "the server could not evaluate the query: check its limits"
	}
	return ""
}
