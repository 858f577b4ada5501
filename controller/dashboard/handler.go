package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"
)

//go:embed templates assets
var files embed.FS

// templates are parsed once: what is wrong with them is found by the first test.
var templates = template.Must(template.New("").Funcs(template.FuncMap{"count": count}).ParseFS(files, "templates/*.html"))

// securityPolicy lets a page load nothing but what this server has, and run nothing but its one script.
const securityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// pictureSecurityPolicy is for a chart that is looked at by itself: it carries its styles.
const pictureSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

// Dashboard serves the pages.
type Dashboard struct{ source Source }

// New makes the dashboard of a source.
func New(source Source) *Dashboard { return &Dashboard{source} }

// Register adds the pages to a mux. Those that show a Source go through at, which may answer in another place. What nobody else
// answers gets a page that says so.
func (d *Dashboard) Register(mux *http.ServeMux, at func(http.HandlerFunc) http.Handler) {
	mux.Handle("GET /{$}", at(d.fleet))
	mux.Handle("GET /workloads/{namespace}/{name}", at(d.workload))
	mux.Handle("GET /workloads/{namespace}/{name}/chart.svg", at(d.chart))
	mux.HandleFunc("GET /assets/{name}", asset)
	mux.HandleFunc("/", lost)
}

// fleet serves the first page.
func (d *Dashboard) fleet(w http.ResponseWriter, r *http.Request) {
	render(w, http.StatusOK, "fleet.html", newFleetPage(d.source.Fleet(), filterOf(r.URL.Query()), time.Now()))
}

// workload serves the page of one.
func (d *Dashboard) workload(w http.ResponseWriter, r *http.Request) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	detail := d.source.Detail(namespace, name)
	if detail == nil {
		sorry(w, r, http.StatusNotFound, "No such workload",
			fmt.Sprintf("No Deployment %q in namespace %q is scaled here. It may have been deleted, or it has no annotation gpuscaler.io/enabled: \"true\".", name, namespace))
		return
	}
	render(w, http.StatusOK, "workload.html", newDetailPage(detail, pageOf(r.URL.Query()), time.Now()))
}

// The widths of a chart in CSS pixels: on a phone its letters must stay readable.
const (
	wideChart   = 1120
	narrowChart = 420
)

// chart serves the chart of a workload.
func (d *Dashboard) chart(w http.ResponseWriter, r *http.Request) {
	detail := d.source.Detail(r.PathValue("namespace"), r.PathValue("name"))
	if detail == nil || detail.Chart == nil {
		sorry(w, r, http.StatusNotFound, "No chart", "There is no such workload, or nothing to draw of it yet.")
		return
	}
	width := wideChart
	if r.FormValue("size") == "narrow" {
		width = narrowChart
	}
	picture, err := detail.Chart(width, r.FormValue("theme") == "dark")
	if err != nil {
		sorry(w, r, http.StatusInternalServerError, "No chart", fmt.Sprintf("It could not be drawn: %v.", err))
		return
	}
	secure(w.Header(), pictureSecurityPolicy)
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write(picture) // fails only if the client has gone
}

// asset serves what the pages are dressed with. A page that is new must not meet an old one.
func asset(w http.ResponseWriter, r *http.Request) {
	name := "assets/" + r.PathValue("name")
	if _, err := fs.Stat(files, name); err != nil {
		lost(w, r)
		return
	}
	secure(w.Header(), securityPolicy)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r, files, name)
}

// lost answers whatever nobody else does.
func lost(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		sorry(w, r, http.StatusMethodNotAllowed, "Nothing can be changed here",
			fmt.Sprintf("This server is asked by GET only, and was asked by %.20q. Replicas and policies are changed in the cluster: by annotations on the Deployment.", r.Method))
		return
	}
	sorry(w, r, http.StatusNotFound, "No such page", fmt.Sprintf("There is nothing at %.200q.", r.URL.Path))
}

// sorry answers with a page that says what is wrong and leads back to the first one.
func sorry(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	now := time.Now()
	p := struct {
		page
		Text string
	}{newPage(title, back(r.URL.Path), now, now), text}
	render(w, status, "sorry.html", p)
}

// back leads from a path to the first page, relative: before the path there may be that of a proxy.
func back(path string) string {
	return "./" + strings.Repeat("../", max(strings.Count(path, "/")-1, 0))
}

// render answers with a page, whole or not at all.
func render(w http.ResponseWriter, status int, name string, data any) {
	var text bytes.Buffer
	if err := templates.ExecuteTemplate(&text, name, data); err != nil {
		http.Error(w, fmt.Sprintf("making the page: %v", err), http.StatusInternalServerError)
		return
	}
	secure(w.Header(), securityPolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // fails only if the client has gone
}

// secure sets the headers that every answer has.
func secure(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}
