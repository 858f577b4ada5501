package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"strconv"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// scrapeInterval is Prometheus' in all arms that have one.
const scrapeInterval = time.Second

// prometheusReady is what the role says when it is ready.
type prometheusReady struct{ URL string }

// prometheusCommand replaces the targets of a source, or sets the fault.
type prometheusCommand struct {
	Source  string         `json:",omitempty"`
	Targets []fleet.Target `json:",omitempty"`
	Fault   *fault         `json:",omitempty"`
}

// runPrometheus is the role: a Prometheus that scrapes what it is told.
func runPrometheus(args []string, in *json.Decoder, out *json.Encoder) (err error) {
	flags := flag.NewFlagSet("prometheus", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for the data")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, err := prom.Start(prom.Options{
		Dir: *dir, Interval: scrapeInterval, Jobs: []prom.Job{{Name: "dcgm-exporter", Source: fleet.SourceDCGM}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if err := out.Encode(prometheusReady{p.URL()}); err != nil {
		return err
	}
	return obey(in, out, func(c prometheusCommand) (bool, error) {
		if c.Fault == nil {
			p.SetTargets(c.Source, c.Targets)
			return false, nil
		}
		return true, setFault(p, c.Fault)
	})
}

func setFault(p *prom.Server, f *fault) error {
	switch f.Kind {
	case refuses:
		return p.SetFault(prom.Refuse)
	case hangs:
		return p.SetFault(prom.Hang)
	case empty, half:
		return p.SetHandler(func(api http.Handler) http.Handler { return &thinned{api, f} })
	}
	return p.SetFault(prom.Normal)
}

// thinned leaves out what a fault does not show.
type thinned struct {
	api   http.Handler
	fault *fault
}

// ServeHTTP answers as the API does, without the series of some pods.
func (t *thinned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &kept{header: w.Header(), code: http.StatusOK}
	t.api.ServeHTTP(answer, r)
	text := answer.body.Bytes()
	if answer.code == http.StatusOK {
		if thin, err := t.thin(text); err == nil {
			text = thin
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(answer.code)
	_, _ = w.Write(text)
}

// thin takes series out of a vector. Other answers it refuses.
func (t *thinned) thin(text []byte) ([]byte, error) {
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			ResultType string `json:"resultType"`
			Result     []struct {
				Metric map[string]string  `json:"metric"`
				Value  [2]json.RawMessage `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	if answer.Data.ResultType != "vector" {
		return nil, errors.New("not a vector")
	}
	all := answer.Data.Result
	answer.Data.Result = all[:0]
	for _, series := range all {
		// The pod is in one label or another, as the job honours labels or not.
		shown := t.fault.Kind != empty
		for _, value := range series.Metric {
			shown = shown && t.fault.shows(value)
		}
		if shown {
			answer.Data.Result = append(answer.Data.Result, series)
		}
	}
	return json.Marshal(answer)
}

// kept is an answer that is not sent yet.
type kept struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header returns the header of the answer that will be sent.
func (k *kept) Header() http.Header { return k.header }

// WriteHeader keeps the status.
func (k *kept) WriteHeader(code int) { k.code = code }

// Write keeps a part of the body.
func (k *kept) Write(p []byte) (int, error) { return k.body.Write(p) }
