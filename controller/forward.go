package controller

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// forwarded marks a request that a standby sent on, so that no two processes can send it back and forth.
const forwarded = "Gpuscaler-Forwarded"

// atLeader answers on the leader and has a standby forward the request to the one that the lease names.
func (c *Controller) atLeader(serve, forward http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case c.Leading():
			serve(w, r)
		case r.Header.Get(forwarded) != "" || c.lease.elector.IsLeader():
			noLeader(w)
		default:
			forward(w, r)
		}
	})
}

// noLeader refuses what only a leader can answer.
func noLeader(w http.ResponseWriter) {
	http.Error(w, "this process stands by and knows no leader that serves the same way: try again in some seconds", http.StatusServiceUnavailable)
}

// newTransport reaches a pod: directly, whatever the environment's proxies are for, and in a time in which one answers.
func newTransport(config *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
		IdleConnTimeout:       time.Minute,
	}
}

var toLeader = newTransport(nil)

// forward has the leader's HTTP server answer.
func (c *Controller) forward(w http.ResponseWriter, r *http.Request) {
	address := addressOf(c.lease.elector.GetLeader())
	if address == "" {
		noLeader(w)
		return
	}
	proxy(&url.URL{Scheme: "http", Host: address}, toLeader, func(h http.Header) {
		// There the API asks for no credentials, and whoever may write the Lease must not get any.
		h.Del("Authorization")
	}).ServeHTTP(w, r)
}

// forwardSecurely has the leader's HTTPS server answer, which authorises the caller once more by the token that is passed on. Whoever
// may write the Lease must not get that token, so peer verifies by the certificate that it is one of ours.
func (c *Controller) forwardSecurely(peer *tls.Config) http.HandlerFunc {
	transport := newTransport(peer)
	return func(w http.ResponseWriter, r *http.Request) {
		address := secureAddressOf(c.lease.elector.GetLeader())
		switch {
		case address == "":
			noLeader(w)
		case peer == nil:
			http.Error(w, fmt.Sprintf("this process stands by, and cannot tell whether %s is the leader, to which it would pass your token on: "+
				"give all of them the same certificate by --tls-cert-file and --tls-private-key-file, or ask the leader itself", address), http.StatusServiceUnavailable)
		default:
			proxy(&url.URL{Scheme: "https", Host: address}, transport, func(http.Header) {}).ServeHTTP(w, r)
		}
	}
}

// proxy sends a request on, with its headers as clean leaves them.
func proxy(to *url.URL, transport http.RoundTripper, clean func(http.Header)) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Header.Set(forwarded, "1")
			p.Out.Header.Del("Cookie")
			clean(p.Out.Header)
		},
		Transport: transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, fmt.Sprintf("asking the leader: %v", err), http.StatusBadGateway)
		},
	}
}
