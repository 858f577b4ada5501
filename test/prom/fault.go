package prom

import (
	"fmt"
	"net/http"
	"sync"
)

// Fault is a way in which the HTTP API fails. Scraping goes on meanwhile.
type Fault int

// The faults.
const (
	// Normal is none.
	Normal Fault = iota
	// Hang accepts requests and never answers.
	Hang
	// Status500 answers 500 with an error in Prometheus' format.
	Status500
	// HTML answers 200 with a page, as a login portal in front of it does.
	HTML
	// Refuse closes the port.
	Refuse
	// Custom is set by SetHandler.
	Custom
)

const html = `<!DOCTYPE html><html><head><title>Sign in</title></head><body><form method="post"></form></body></html>`

// SetFault lets the API fail from now on; Normal heals it. Requests that hang are cut off.
func (s *Server) SetFault(f Fault) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault.set(f, nil)
	if f == Refuse {
		return s.closeListener()
	}
	if s.listener == nil && !s.stopped {
		if err := s.listen(s.addr); err != nil {
			return fmt.Errorf("opening the port of Prometheus again: %w", err)
		}
	}
	return nil
}

// SetHandler lets a handler answer all requests in place of the API, which it is given to call; SetFault(Normal) ends
// it. It is for replies that no switch here has.
func (s *Server) SetHandler(answer func(api http.Handler) http.Handler) error {
	if err := s.SetFault(Normal); err != nil {
		return err
	}
	s.fault.set(Custom, answer)
	return nil
}

// faults stands in front of the API.
type faults struct {
	mu     sync.Mutex
	fault  Fault
	api    http.Handler
	custom func(http.Handler) http.Handler
	// healed is closed when the fault changes.
	healed chan struct{}
}

func newFaults() *faults { return &faults{healed: make(chan struct{})} }

func (f *faults) serve(api http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.api = api
}

func (f *faults) set(fault Fault, custom func(http.Handler) http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.healed)
	f.healed = make(chan struct{})
	f.fault, f.custom = fault, custom
}

// ServeHTTP answers as the fault says.
func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	fault, api, custom, healed := f.fault, f.api, f.custom, f.healed
	f.mu.Unlock()
	switch fault {
	case Hang:
		select {
		case <-r.Context().Done():
		case <-healed:
		}
		panic(http.ErrAbortHandler) // no answer, not even an empty one
	case Status500:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"status":"error","errorType":"internal","error":"opening storage failed"}`))
	case HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(html))
	case Custom:
		r.Header.Del("Accept-Encoding") // a compressed reply would be hard to change
		custom(api).ServeHTTP(w, r)
	case Normal, Refuse:
		api.ServeHTTP(w, r)
	}
}
