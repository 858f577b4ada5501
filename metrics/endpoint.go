package metrics

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// EndpointKind says which of the forms of --prometheus-url an Endpoint has.
type EndpointKind uint8

// The forms of --prometheus-url.
const (
	NoEndpoint   EndpointKind = iota // empty: no Prometheus at all
	AutoEndpoint                     // auto: to be found among the cluster's Services, see Discover
	HTTPEndpoint                     // http:// or https://
	KubeEndpoint                     // kube://: through the Kubernetes API server's service proxy
)

// Endpoint is a parsed --prometheus-url.
type Endpoint struct {
	Kind EndpointKind
	// URL is the base URL of an HTTPEndpoint, as given, without a trailing slash.
	URL string
	// The parts of a KubeEndpoint. Scheme is http, https or empty; Port a name or a number; Path is empty or
	// begins with a slash and does not end with one; Query is sent along with every request.
	Namespace, Scheme, Service, Port, Path, Query string
}

var (
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	// portName is an IANA service name, which Kubernetes wants of named ports; it needs a letter.
	portName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	// plainSegment is the part of a path that means the same escaped and not, to every proxy on the way.
	plainSegment = regexp.MustCompile(`^[-A-Za-z0-9._~:@!$&'()*+,;=]+$`)

	hasLetter = regexp.MustCompile(`[a-z]`)
)

// forms is what error messages say is allowed.
const urlForms = "want http://HOST[:PORT][/PATH], https://..., kube://NAMESPACE/[http:|https:]SERVICE:PORT[/PATH], auto, " +
	"or nothing"

// ParseURL reads the value of --prometheus-url.
func ParseURL(raw string) (Endpoint, error) {
	switch raw {
	case "":
		return Endpoint{}, nil
	case "auto":
		return Endpoint{Kind: AutoEndpoint}, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return Endpoint{}, fmt.Errorf("parsing the Prometheus URL: %w; %s", withoutURL(err), urlForms)
	}
	if u.Fragment != "" || strings.HasSuffix(raw, "#") {
		return Endpoint{}, urlError(u, "it has a fragment (#...)")
	}
	if i := strings.Index(u.Path, "/api/v1"); i >= 0 {
		return Endpoint{}, urlError(u, fmt.Sprintf("its path %q goes into the API; leave out /api/v1 and what follows", u.Path))
	}
	switch u.Scheme {
	case "http", "https":
		return parseHTTP(u)
	case "kube":
		return parseKube(u)
	}
	return Endpoint{}, urlError(u, fmt.Sprintf("scheme %q is unknown", u.Scheme))
}

func urlError(u *url.URL, problem string) error {
	return fmt.Errorf("parsing the Prometheus URL %q: %s; %s", forPeople(u), problem, urlForms)
}

var secretParameter = regexp.MustCompile(`(?i)token|key|secret|passw|auth|signature`)

// forPeople is a URL for people and logs: without a password, and without the values of parameters that may be credentials.
func forPeople(u *url.URL) string {
	safe := *u
	query := u.Query()
	for name := range query {
		if secretParameter.MatchString(name) {
			query[name] = []string{"xxxxx"}
			safe.RawQuery = query.Encode()
		}
	}
	return safe.Redacted()
}

func parseHTTP(u *url.URL) (Endpoint, error) {
	if u.Hostname() == "" {
		return Endpoint{}, urlError(u, "it names no host")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return Endpoint{}, urlError(u, fmt.Sprintf("port %q is not between 1 and 65535", port))
		}
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	e := Endpoint{Kind: HTTPEndpoint, URL: u.String()}
	if _, err := url.Parse(e.URL); err != nil { // odd zones of IPv6 addresses are read and not written
		return Endpoint{}, urlError(u, "its host "+strconv.Quote(u.Host)+" cannot be written as a URL")
	}
	return e, nil
}

func parseKube(u *url.URL) (Endpoint, error) {
	if u.User != nil {
		return Endpoint{}, urlError(u, "it has a user; the kubeconfig's credentials are used")
	}
	service, path, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	e := Endpoint{Kind: KubeEndpoint, Namespace: u.Host, Service: service, Query: u.RawQuery}
	if scheme, rest, ok := strings.Cut(service, ":"); ok && strings.Contains(rest, ":") {
		e.Scheme, e.Service = scheme, rest
	}
	e.Service, e.Port, _ = strings.Cut(e.Service, ":")
	switch {
	case !dnsLabel.MatchString(e.Namespace):
		return Endpoint{}, urlError(u, fmt.Sprintf("namespace %q is no DNS label", e.Namespace))
	case e.Scheme != "" && e.Scheme != "http" && e.Scheme != "https":
		return Endpoint{}, urlError(u, fmt.Sprintf("scheme %q of the service is neither http nor https", e.Scheme))
	case !dnsLabel.MatchString(e.Service):
		return Endpoint{}, urlError(u, fmt.Sprintf("service %q is no DNS label", e.Service))
	case e.Port == "":
		return Endpoint{}, urlError(u, fmt.Sprintf("service %q has no port; the API server wants its name or number", e.Service))
	case !validPort(e.Port):
		return Endpoint{}, urlError(u, fmt.Sprintf("port %q is neither a number between 1 and 65535 nor a port's name", e.Port))
	}
	// A dot segment would climb out of the service into the rest of the Kubernetes API.
	if u.RawPath != "" || !cleanPath(path) {
		return Endpoint{}, urlError(u, fmt.Sprintf("path %q has segments that are empty, dots, or made of more than plain characters", "/"+path))
	}
	if path = strings.TrimSuffix(path, "/"); path != "" {
		e.Path = "/" + path
	}
	return e, nil
}

func validPort(port string) bool {
	if n, err := strconv.Atoi(port); err == nil {
		return n >= 1 && n <= 65535 && strconv.Itoa(n) == port
	}
	return len(port) <= 15 && portName.MatchString(port) && hasLetter.MatchString(port)
}

func cleanPath(path string) bool {
	if path == "" {
		return true
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." || !plainSegment.MatchString(segment) {
			return false
		}
	}
	return true
}

// ProxyPath is the path of a KubeEndpoint on the Kubernetes API server; the API's own path follows it.
func (e Endpoint) ProxyPath() string {
	name := e.Service + ":" + e.Port
	if e.Scheme != "" {
		name = e.Scheme + ":" + name
	}
	return "/api/v1/namespaces/" + e.Namespace + "/services/" + name + "/proxy" + e.Path
}

// BaseURL is the URL to query. For a KubeEndpoint apiServer is the base URL of the Kubernetes API server.
func (e Endpoint) BaseURL(apiServer string) string {
	if e.Kind != KubeEndpoint {
		return e.URL
	}
	base := strings.TrimRight(apiServer, "/") + e.ProxyPath()
	if e.Query != "" {
		base += "?" + e.Query
	}
	return base
}

// String is the endpoint as a user would write it, without credentials.
func (e Endpoint) String() string {
	switch e.Kind {
	case AutoEndpoint:
		return "auto"
	case HTTPEndpoint:
		if u, err := url.Parse(e.URL); err == nil {
			return forPeople(u)
		}
		return e.URL
	case KubeEndpoint:
		name := e.Service + ":" + e.Port
		if e.Scheme != "" {
			name = e.Scheme + ":" + name
		}
		s := "kube://" + e.Namespace + "/" + name + e.Path
		if e.Query != "" {
			s += "?" + e.Query
		}
		return s
	}
	return ""
}
