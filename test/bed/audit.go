package bed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// auditLog is the name of the audit log in the data directory.
const auditLog = "audit.log"

// AuditEvent is one request that reached the API server: one that could have changed something, or any of a user in Options.AuditReads.
type AuditEvent struct {
	// Time is when the request arrived.
	Time time.Time
	// Verb is the API verb: create, update, patch, delete or deletecollection; of Options.AuditReads get, list or watch too.
	Verb string
	// User is who asked; Impersonated is as whom, if it differs.
	User, Impersonated string
	// Agent is the user agent of the request.
	Agent string
	// URI is the path and the query of the request.
	URI string
	// Namespace, Resource, Subresource and Name say what was addressed; the name is empty for a create.
	Namespace, Resource, Subresource, Name string
	// Code is the HTTP status of the answer: 403 for a request that was refused.
	Code int
}

// String renders the event as one line.
func (e AuditEvent) String() string {
	return fmt.Sprintf("%s %s %s -> %d", e.User, e.Verb, e.URI, e.Code)
}

// harmless tells whether the request changed nothing by its nature: a read, a question in the form of a create, or a dry run.
func (e AuditEvent) harmless() bool {
	switch {
	case e.Verb == "get" || e.Verb == "list" || e.Verb == "watch":
		return true
	case e.Verb == "create" && strings.HasSuffix(e.Resource, "reviews"):
		return true
	}
	at, err := url.Parse(e.URI)
	return err == nil && at.Query().Get("dryRun") == "All"
}

// AuditMutations returns the requests of a user ("" for all users) that would change something, refused ones included,
// in their order. Reviews (SelfSubjectAccessReview and its like) and dry runs are no mutations. The requests of the
// bed's own controllers and those with KubeletConfig are not recorded.
func (b *Bed) AuditMutations(user string) ([]AuditEvent, error) {
	events, err := b.AuditRequests(user)
	return slices.DeleteFunc(events, AuditEvent.harmless), err
}

// AuditRequests returns all requests of a user ("" for all users) that the audit log has, in the order of their answers: those of
// AuditMutations, reviews and dry runs, and the reads of Options.AuditReads. A watch is there when it has ended.
func (b *Bed) AuditRequests(user string) ([]AuditEvent, error) {
	all, _, err := ReadAudit(b.AuditLog(), 0)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(e AuditEvent) bool { return user != "" && e.User != user && e.Impersonated != user }), nil
}

// AuditLog is the path of the audit log, for ReadAudit.
func (b *Bed) AuditLog() string { return b.dir.path(auditLog) }

// ReadAudit reads the events of an audit log from an offset in bytes, and returns the offset at which the next ones begin. It serves
// processes that are not the bed's own.
func ReadAudit(path string, offset int64) (events []AuditEvent, next int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, offset, fmt.Errorf("reading the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.NewSectionReader(file, offset, math.MaxInt64-offset))
	if err != nil {
		return nil, offset, fmt.Errorf("reading the audit log: %w", err)
	}
	// A last line without its end is of a request that has no answer yet: it is being written.
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(whole) {
		event, err := parseAuditEvent(line)
		if err != nil {
			return nil, offset, err
		}
		events = append(events, event)
	}
	return events, offset + int64(len(whole)), nil
}

// auditLine is the part of an audit.k8s.io/v1 Event that matters here.
type auditLine struct {
	Verb       string    `json:"verb"`
	RequestURI string    `json:"requestURI"`
	UserAgent  string    `json:"userAgent"`
	Received   time.Time `json:"requestReceivedTimestamp"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	Impersonated struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	Object struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

func parseAuditEvent(line []byte) (AuditEvent, error) {
	var l auditLine
	if err := json.Unmarshal(line, &l); err != nil {
		return AuditEvent{}, fmt.Errorf("reading the audit log: line %q: %w", line, err)
	}
	return AuditEvent{
		Time: l.Received, Verb: l.Verb, User: l.User.Username, Impersonated: l.Impersonated.Username,
		Agent: l.UserAgent, URI: l.RequestURI, Namespace: l.Object.Namespace, Resource: l.Object.Resource,
		Subresource: l.Object.Subresource, Name: l.Object.Name, Code: l.Response.Code,
	}, nil
}
