// Package httpconfig makes HTTP transports from files in the format of Prometheus' own HTTP client configuration:
// basic_auth, authorization, oauth2, tls_config, http_headers, proxies. It is a package of its own because the library
// behind it is heavy: only the program links it, and package metrics takes any http.RoundTripper.
package httpconfig

import (
	"fmt"
	"net/http"

	"github.com/prometheus/common/config"
)

// Load reads such a file and returns the transport it describes. Relative paths in it are relative to the file's own
// folder. Credentials and certificates that it names by file are read again when they are used, so that rotated
// tokens and authorities are picked up without a restart. follow_redirects is accepted and has no effect: package
// metrics never follows one.
func Load(path string) (http.RoundTripper, error) {
	cfg, _, err := config.LoadHTTPConfigFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the HTTP client configuration %s: %w", path, err)
	}
	rt, err := config.NewRoundTripperFromConfig(*cfg, "prometheus")
	if err != nil {
		return nil, fmt.Errorf("applying the HTTP client configuration %s: %w", path, err)
	}
	return rt, nil
}
