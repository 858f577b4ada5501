package controller

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A standby passes the caller's token on to a leader that proves to be one of ours, and to nobody else: whoever may write the Lease
// could otherwise collect tokens.
func TestStandbyForwardsSecurely(t *testing.T) {
	var tokens []string
	leader := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.Header.Get("Authorization")+r.Header.Get("Cookie")+" "+r.Header.Get(forwarded))
		_, _ = io.WriteString(w, "from the leader")
	}))
	leader.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // handshakes are refused here
	leader.StartTLS()
	defer leader.Close()
	address := leader.Listener.Addr().String()
	l := newLeases()
	l.hold(t, Identity("other", "", address))
	b := electing(t, l, "me_1_127.0.0.1:1")
	go b.start(t.Context())
	for b.lease.elector.GetLeader() == "" {
		time.Sleep(time.Millisecond)
	}
	peer := func(ours *x509.Certificate) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(state tls.ConnectionState) error {
			if !state.PeerCertificates[0].Equal(ours) {
				return errors.New("a stranger")
			}
			return nil
		}}
	}
	for _, c := range []struct {
		name string
		peer *tls.Config
		code int
		text string
		seen int
	}{
		{"ours", peer(leader.Certificate()), http.StatusOK, "from the leader", 1},
		{"a stranger", peer(&x509.Certificate{}), http.StatusBadGateway, "a stranger", 0},
		{"unknown authority", &tls.Config{}, http.StatusBadGateway, "asking the leader", 0},
		{"each its own certificate", nil, http.StatusServiceUnavailable, "--tls-cert-file", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tokens = nil
			code, body := get(b.SecureHandler(c.peer), "/api/v1/workloads", "Authorization", "Bearer secret", "Cookie", "c=1")
			if code != c.code || !strings.Contains(body, c.text) || len(tokens) != c.seen {
				t.Errorf("%d %q, %d requests at the leader; want %d %q, %d", code, body, len(tokens), c.code, c.text, c.seen)
			}
			if c.seen == 1 && (len(tokens) != 1 || tokens[0] != "Bearer secret 1") {
				t.Errorf("the leader saw %q, want the token alone, and that it was forwarded", tokens)
			}
		})
	}
	if code, body := get(b.Handler(), "/"); code != http.StatusServiceUnavailable {
		t.Errorf("%d %s at the plain port with a leader that has none, want 503", code, body)
	}
}
