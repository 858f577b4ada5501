package metrics

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds of one scrape.
const (
	maxPageBytes   = 16 << 20 // decompressed
	maxPageHeaders = 64 << 10
	// maxConnect bounds connecting. In a cluster it takes a millisecond; where packets are dropped, or from a laptop, waiting is in vain.
	maxConnect      = time.Second
	maxIdleScrapers = 4096 // kept connections, one to a pod
	keepScraper     = 30 * time.Second
)

// failureKind sorts failures, so that the commonest can be told.
type failureKind uint8

const (
	failAddress failureKind = iota
	failTimeout
	failRefused
	failNetwork
	failRedirect
	failStatus
	failType
	failEncoding
	failSize
	failTruncated
	failSyntax
	failTime
	failAgent
	failBusy // no slot was free: nothing was asked
	failureKinds
)

// failure is a scrape without result.
type failure struct {
	kind failureKind
	what string // what happened: short, one line, without secrets
	hint string // what to do next
}

// scraper reads pages. It contacts nobody but the addresses that it is given, follows nobody elsewhere, and believes no page
// that it has not read to its end.
type scraper struct {
	transport      *http.Transport
	timeout        time.Duration
	refuseLoopback bool
	buffers        sync.Pool
}

func newScraper(timeout, interval time.Duration, refuseLoopback bool) *scraper {
	dialer := &net.Dialer{Timeout: min(timeout, maxConnect)}
	return &scraper{
		timeout: timeout, refuseLoopback: refuseLoopback,
		buffers: sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxLine) }},
		transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, DisableCompression: true, ForceAttemptHTTP2: false,
			MaxIdleConns: maxIdleScrapers, MaxIdleConnsPerHost: 1, IdleConnTimeout: max(keepScraper, 2*interval),
			MaxResponseHeaderBytes: maxPageHeaders, WriteBufferSize: 1 << 10, // what is sent is a few lines
		},
	}
}

// scrapeHeader asks for text first: it is what every exporter has, and the cheapest to read. Header values are shared between
// requests, which nobody changes.
var scrapeHeader = http.Header{
	"Accept":          {"text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1"},
	"Accept-Encoding": {"identity"},
	"User-Agent":      {userAgent},
}

// pageAt makes the request for a page, which is repeated from then on.
func (s *scraper) pageAt(address netip.AddrPort, path string) (*http.Request, *failure) {
	if !address.Addr().IsValid() {
		return nil, &failure{failAddress, "it has no address yet", "see the pod's status.podIP"}
	}
	if why := s.refuses(address); why != "" {
		return nil, &failure{failAddress, fmt.Sprintf("the address %s is refused: it is %s", address, why), "see the pod's status.podIP"}
	}
	target := &url.URL{Scheme: "http", Host: address.String(), Path: "/" + strings.TrimPrefix(path, "/")}
	return &http.Request{Method: http.MethodGet, URL: target, Host: target.Host, Header: scrapeHeader}, nil
}

// refuses says why an address cannot be a pod's. A pod's status is written by its node: it must not send us to a cloud's
// metadata service or to ourselves.
func (s *scraper) refuses(address netip.AddrPort) string {
	switch ip := address.Addr().Unmap(); {
	case address.Port() == 0:
		return "without a port"
	case ip.IsUnspecified():
		return "unspecified"
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "multicast"
	case ip.IsLinkLocalUnicast() || ip.Zone() != "":
		return "link-local"
	case ip.IsLoopback() && s.refuseLoopback:
		return "a loopback address"
	}
	return ""
}

// scrape reads a page into p. The deadline of ctx holds for connection, headers and the whole body.
func (s *scraper) scrape(ctx context.Context, request *http.Request, p *page, clock func() time.Time) *failure {
	asked := clock()
	response, err := s.transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return s.unreachable(ctx, err)
	}
	// After a refusal the body is not drained: the rest may be endless. Closing it drops the connection.
	defer func() { _ = response.Body.Close() }()
	openMetrics, fail := checkPage(response)
	if fail != nil {
		return fail
	}
	network := &body{r: response.Body, left: 1 << 62}
	plain, err := decompress(response, network)
	if err == nil {
		in := s.buffers.Get().(*bufio.Reader)
		in.Reset(&body{r: plain, left: maxPageBytes})
		err = p.read(in, openMetrics, asked, clock())
		in.Reset(nil)
		s.buffers.Put(in)
	}
	if err != nil {
		return s.unreadable(ctx, network, response, err)
	}
	return nil
}

// checkPage refuses what is no page of metrics.
func checkPage(response *http.Response) (openMetrics bool, fail *failure) {
	status, raw := response.StatusCode, response.Header.Get("Content-Type")
	if status >= 300 && status < 400 {
		where := "elsewhere"
		if to, err := response.Location(); err == nil {
			where = excerpt(to.Scheme + "://" + to.Host + to.EscapedPath())
		}
		return false, &failure{failRedirect, "HTTP " + fmt.Sprint(status) + ", redirected to " + where, "redirects are not followed: give the final port and path in gpuscaler.io/scrape"}
	}
	if status != http.StatusOK {
		return false, &failure{failStatus, strings.TrimSpace(fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))), statusHint(status)}
	}
	media, _, err := mime.ParseMediaType(raw)
	switch {
	case err == nil && media == "text/plain":
		return false, nil
	case err == nil && media == "application/openmetrics-text":
		return true, nil
	case media == "application/json":
		return false, &failure{failType, "Content-Type application/json, which is no page of metrics", "check the path in gpuscaler.io/scrape: trtllm-serve has its metrics at /prometheus/metrics, and JSON at /metrics"}
	case raw == "":
		return false, &failure{failType, "no Content-Type", "check the port and path in gpuscaler.io/scrape: a page of metrics is text/plain or application/openmetrics-text"}
	}
	return false, &failure{failType, fmt.Sprintf("Content-Type %q", excerpt(raw)), "check the port and path in gpuscaler.io/scrape: a page of metrics is text/plain or application/openmetrics-text"}
}

func statusHint(status int) string {
	switch status {
	case http.StatusNotFound:
		return "check the path in gpuscaler.io/scrape, and that the server was started with metrics (SGLang: --enable-metrics, llama.cpp: --metrics)"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "pods are asked without credentials: let the metrics be read without, or leave this to Prometheus"
	}
	return "see the server's own log"
}

// unreachable explains why no reply came. The errors of package net repeat addresses, which would make each pod's differ.
func (s *scraper) unreachable(ctx context.Context, err error) *failure {
	var timeout net.Error
	var errno syscall.Errno
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &failure{failRefused, "connection refused", "check the port in gpuscaler.io/scrape, and that the server listens on all addresses"}
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return &failure{failTimeout, fmt.Sprintf("no complete reply within %v", s.timeout), "check network policies, and whether the server is overloaded"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return &failure{failTruncated, "the connection was closed before the end of the reply", "see the server's own log"}
	case errors.As(err, &errno):
		return &failure{failNetwork, errno.Error(), "check network policies and the pod's network"}
	}
	return &failure{failNetwork, excerpt(withoutURL(err).Error()), "check that an HTTP server is behind this port"}
}

// unreadable tells a broken connection from a broken page.
func (s *scraper) unreadable(ctx context.Context, network *body, response *http.Response, err error) *failure {
	switch {
	case errors.Is(err, errTooLarge):
		what := err.Error()
		if errors.Is(err, errTooLarge) && what == errTooLarge.Error() {
			what = fmt.Sprintf("more than %d MiB", maxPageBytes>>20)
		}
		return &failure{failSize, excerpt(what), "check that this is the page of one inference server"}
	case errors.Is(err, errLongLine), errors.Is(err, errManyLines):
		return &failure{failSize, err.Error(), "check that this is a page of metrics"}
	case errors.Is(err, errTime):
		return &failure{failTime, excerpt(err.Error()), "let the exporter write no timestamps, or set the clocks of the nodes"}
	case network.err != nil || ctx.Err() != nil:
		if network.err == nil {
			network.err = ctx.Err()
		}
		return s.unreachable(ctx, network.err)
	case errors.Is(err, errTruncated), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &failure{failTruncated, errTruncated.Error(), "see the server's own log"}
	case response.Header.Get("Content-Encoding") != "":
		return &failure{failEncoding, excerpt(err.Error()), "let the server send its metrics as they are, or by gzip"}
	}
	return &failure{failSyntax, excerpt(err.Error()), "check that this is a page of metrics"}
}
