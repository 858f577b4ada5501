package bed_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

func TestProxyTakesTheAPIServerAwayFromOneClient(t *testing.T) {
	proxy, err := shared.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(proxy.Through(shared.AdminConfig()))
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := client.CoreV1().Namespaces().Get(ctx, "default", metav1.GetOptions{})
		return err
	}
	restored := func(after string) {
		t.Helper()
		if err := proxy.Restore(); err != nil {
			t.Fatal(err)
		}
		bed.WaitFor(t, wait, "an answer after "+after, ask)
	}
	restored("the start")
	proxy.Cut()
	if err := ask(); err == nil {
		t.Error("cut: it answers")
	}
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", proxy.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("cut: %v, want a refused connection", err)
	}
	restored("the cut")
	proxy.Hang()
	if err := ask(); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("hanging: %v, want an exceeded deadline", err)
	}
	restored("the hang")
}
