package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// BuildInfo tells which server it is.
type BuildInfo struct {
	// Version is what the server calls its version: some that speak Prometheus' API tell that of the API.
	Version string `json:"version"`
}

// maxBuildInfo bounds the reply, which takes some hundred bytes.
const maxBuildInfo = 64 << 10

// BuildInfo asks the server for its version. Not everything that answers queries answers that.
func (p *Prometheus) BuildInfo(ctx context.Context) (BuildInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, p.client.opts.Timeout)
	defer cancel()
	var reply struct {
		Status string    `json:"status"`
		Data   BuildInfo `json:"data"`
	}
	if err := p.client.document(ctx, "/api/v1/status/buildinfo", maxBuildInfo, &reply); err != nil {
		return BuildInfo{}, fmt.Errorf("asking for the version: %w", err)
	}
	if reply.Status != "success" || reply.Data.Version == "" {
		return BuildInfo{}, fmt.Errorf("asking for the version: %w", p.client.fail(ErrMalformed, http.StatusOK, "the reply names none", "", nil))
	}
	return reply.Data, nil
}

// document fetches a small JSON document by GET: the other endpoints take nothing else.
func (c *client) document(ctx context.Context, endpoint string, limit int64, into any) error {
	get := &client{base: c.base, opts: c.opts}
	get.opts.GET, get.opts.Gzip = true, false
	req, err := get.request(ctx, endpoint, nil)
	if err != nil {
		return c.fail(ErrRefused, 0, err.Error(), "", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode != http.StatusOK:
		return c.refused(resp, err == nil && media == "application/json")
	case err != nil || media != "application/json":
		return c.fail(ErrMalformed, resp.StatusCode, "no JSON", "check that the URL is that of a Prometheus API", nil)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, limit)).Decode(into); err != nil {
		return c.unreadable(ctx, resp.StatusCode, &body{}, err)
	}
	return nil
}
