package doctor

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// maxVersion bounds the reply about the version, which takes some hundred bytes.
const maxVersion = 64 << 10

// askAPIServer asks for the version, and by the reply's date for the time. What cannot be had stays unknown: whether the API server
// answers is seen by what else is asked of it.
func askAPIServer(ctx context.Context, o *Options, into *ClusterFacts) {
	client, err := rest.HTTPClientFor(o.Config)
	if err != nil {
		return
	}
	server, _, err := rest.DefaultServerUrlFor(o.Config)
	if err != nil {
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.JoinPath("version").String(), nil)
	if err != nil {
		return
	}
	asked := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	answered := time.Now()
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		// The date is cut to the second: on average half a second has passed since.
		into.Skew, into.Slack = skewOf(at.Add(time.Second/2), asked, answered, time.Second/2)
	}
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if response.StatusCode == http.StatusOK && json.NewDecoder(io.LimitReader(response.Body, maxVersion)).Decode(&version) == nil {
		into.Version = version.GitVersion
	}
}

// skewOf compares another clock, read at some time between two of ours, give or take what is known of its resolution.
func skewOf(theirs, asked, answered time.Time, resolution time.Duration) (skew, slack time.Duration) {
	half := answered.Sub(asked) / 2
	return theirs.Sub(asked.Add(half)), half + resolution
}
