package faults

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofReplies are the faults of what Prometheus answers. But for the empty ones these replies hold samples that look like idle GPUs, which a
// program that believes them would follow.
var ofReplies = []row{
	{
		3, "a reply without end", "it is given up at 300,000 series, nothing is lowered, and memory stays below 250 MiB with one signal",
		anySize, floods("more than 300000 series", endless),
	},
	{
		3, "a reply that gzip has made small", "its unpacked size counts: it is given up at 64 MiB, nothing is lowered, and memory stays below 250 MiB with one signal",
		packedSize, floods("more than 67108864 bytes", bomb),
	},
	{
		3, "a reply that ends in the middle", "nothing of it is believed, nothing is lowered; resumes by itself",
		believesParts, holds("NoData", replies(func(w http.ResponseWriter, reply []byte) { _, _ = w.Write(reply[:third(reply)]) })),
	},
	{
		3, "a reply with garbage in the middle", "nothing of it is believed, nothing is lowered; resumes by itself",
		believesParts, holds("NoData", replies(func(w http.ResponseWriter, reply []byte) {
			_, _ = w.Write(append(append(reply[:third(reply):third(reply)], "\x00\xff}]"...), reply[third(reply):]...))
		})),
	},
	{
		3, "the connection is reset in the middle of a reply", "nothing of it is believed, nothing is lowered; resumes by itself",
		believesParts, holds("NoData", replies(resets)),
	},
	{
		4, "an empty vector", "nothing is lowered; resumes by itself",
		missingIsZero, holds("NoData", answers(beginning+"]}}")),
	},
	{
		4, "exporters no longer tell the signal", "nothing is lowered; resumes by itself",
		missingIsZero, holds("NoData", unread),
	},
	{
		4, "one signal of two has no series", "the other one raises, and lowers nothing",
		oneIsEnough, lacksOne,
	},
	{
		6, "a reply with warnings: some of the data may be missing", "nothing of it is believed, nothing is lowered; resumes by itself",
		believesWarned, holds("PartialData", edited(`{"status":"success",`, `{"status":"success","warnings":["1 of 3 stores did not answer"],`)),
	},
	{
		7, "status \"error\" with HTTP 200 and data", "nothing of it is believed, nothing is lowered; resumes by itself",
		believesErrors, holds("NoData", edited(`{"status":"success",`, `{"status":"error","errorType":"execution","error":"too many samples",`)),
	},
	{
		7, "a matrix, a scalar or a string in place of a vector", "nothing of it is believed, nothing is lowered; resumes by itself",
		anyType, holds("NoData", wrongType()),
	},
	{
		7, "several series where a query is to give one number", "none is chosen: nothing is lowered, and the message says what to do; others are scaled; resumes by itself",
		anySeries, several,
	},
	{
		8, "a login page, and JSON that is called a page", "neither is read, nothing is lowered; resumes by itself",
		anyPage, holds("NoData", loginPage()),
	},
}

var (
	anySize = &mutant.Mutation{
		Name: "a reply may be of any size",
		Edits: []mutant.Edit{
			{File: "metrics/client.go", Old: "		opts.MaxBytes = DefaultMaxBytes\n", New: "		opts.MaxBytes = DefaultMaxBytes\n		if mutant == N { opts.MaxBytes = 1 << 62 }\n"},
			{File: "metrics/decode.go", Old: "rep.series++; rep.series > maxSeries {", New: "rep.series++; mutant != N && rep.series > maxSeries {"},
		},
	}
	packedSize = &mutant.Mutation{
		Name: "the size of a reply is counted before it is unpacked",
		Edits: []mutant.Edit{{
			File: "metrics/response.go", Old: "&body{r: plain, left: c.opts.MaxBytes}", New: "&body{r: plain, left: c.opts.MaxBytes << map[bool]int{true: 20}[mutant == N]}",
		}},
	}
	believesParts = &mutant.Mutation{
		Name: "what a reply says before it breaks off is believed",
		Edits: []mutant.Edit{{
			File: "metrics/response.go", Old: "	if err != nil {\n		return c.unreadable(ctx, resp.StatusCode, network, err)\n	}\n	return c.verify",
			New: "	if mutant != N && err != nil {\n		return c.unreadable(ctx, resp.StatusCode, network, err)\n	}\n	return c.verify",
		}},
	}
	oneIsEnough = &mutant.Mutation{
		Name: "a signal lowers while another is missing",
		Edits: []mutant.Edit{{
			File: "policy/recommend.go", Old: "		if s.incomplete() {", New: "		if mutant != N && s.incomplete() {",
		}},
	}
	believesWarned = &mutant.Mutation{
		Name: "warnings are ignored",
		Edits: []mutant.Edit{{
			File: "metrics/response.go", Old: "	case len(rep.warnings) > 0:", New: "	case mutant != N && len(rep.warnings) > 0:",
		}},
	}
	believesErrors = &mutant.Mutation{
		Name: "the status in a reply is not looked at",
		Edits: []mutant.Edit{
			{File: "metrics/response.go", Old: `	if rep.status == "error" {`, New: `	if mutant != N && rep.status == "error" {`},
			{File: "metrics/response.go", Old: `	case rep.status != "success":`, New: `	case mutant != N && rep.status != "success":`},
		},
	}
	anyType = &mutant.Mutation{
		Name: "the type of a result is not looked at",
		Edits: []mutant.Edit{{
			File: "metrics/decode.go", Old: "	if rep.resultType != d.want {", New: "	if mutant != N && rep.resultType != d.want {",
		}},
	}
	anySeries = &mutant.Mutation{
		Name: "of several series the last one counts",
		Edits: []mutant.Edit{{
			File: "metrics/queries.go", Old: `		case n > 1 && pod == "":`, New: "		case mutant == N:\n		case n > 1 && pod == \"\":",
		}},
	}
	anyPage = &mutant.Mutation{
		Name: "the type of a page is not looked at",
		Edits: []mutant.Edit{{
			File: "metrics/response.go", Old: "	if !isJSON {\n", New: "	if mutant != N && !isJSON {\n",
		}},
	}
)

// third is the place behind the third series of a reply; its end if it has fewer.
func third(reply []byte) int {
	at := 0
	for range 3 {
		i := bytes.Index(reply[at:], []byte(`"]}`))
		if i < 0 {
			return len(reply)
		}
		at += i + len(`"]}`)
	}
	return at
}

// resets sends three series of a reply that is to be longer, and resets the connection.
func resets(w http.ResponseWriter, reply []byte) {
	connection, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = buffer.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(reply)+1) + "\r\n\r\n")
	_, _ = buffer.Write(reply[:third(reply)])
	_ = buffer.Flush()
	time.Sleep(50 * time.Millisecond) // what was sent arrives before the reset, which would overtake it
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// most is what a flood sends to a program that takes all of it: half as much again as a reply may have.
const most = 96 << 20

// flood sends series of pods that nobody knows, each with so many bytes beside, and then the true ones.
func flood(w io.Writer, beside int, truth []byte) error {
	block := []byte(beginning)
	padding := strings.Repeat("x", beside)
	for sent, i := 0, 0; sent < most; i++ {
		block = append(block, `{"metric":{"namespace":"nobody","more":"`...)
		block = append(append(block, padding...), `","pod":"`...)
		block = append(strconv.AppendInt(block, int64(i), 36), `"},"value":[1,"1"]},`...)
		if len(block) < 64<<10 {
			continue
		}
		if _, err := w.Write(block); err != nil {
			return err
		}
		sent, block = sent+len(block), block[:0]
	}
	_, err := w.Write(append(block, bytes.TrimPrefix(truth, []byte(beginning))...))
	return err
}

// endless sends one of small series, which take more memory than their text.
func endless(w http.ResponseWriter, truth []byte) error { return flood(w, 0, truth) }

// bomb packs one of long series. They take no memory, but time.
func bomb(w http.ResponseWriter, truth []byte) error {
	w.Header().Set("Content-Encoding", "gzip")
	packer, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := flood(packer, 1000, truth); err != nil {
		return err
	}
	return packer.Close()
}

// floods has the program read a flood that ends with idle GPUs. It has much time for it, and no window.
func floods(words string, flood func(w http.ResponseWriter, truth []byte) error) func(w *world) {
	return func(w *world) {
		s := w.site(4, "scale-down.stabilization", "0s")
		s.load.SetLoad(20)
		var over atomic.Int32
		replies(func(w http.ResponseWriter, reply []byte) {
			_ = flood(w, reply) // it fails where the program has had enough
			over.Add(1)
		}).start(s)
		s.program = s.runs(s.ns, s.prometheus.URL(), "--interval", "25s")
		bed.WaitFor(s, 40*time.Second, "the end of the flood", func() error { return bed.Want("floods that are over", over.Load() > 0, true) })
		if peak := s.program.Peak(s); peak > 250<<20 {
			s.Errorf("memory has been at %d MiB", peak>>20)
		}
		s.d.HoldsReplicas(4, 3*time.Second)
		s.d.WaitTold(s.program, "NoData", words)
	}
}

// lacksOne has a Deployment with two signals, of which one vanishes.
func lacksOne(w *world) {
	s := w.site(1)
	s.start()
	model := fleet.NewFixed(fleet.Reading{GPUUtilization: 50, Running: 4})
	annotations := stage.GPUAnnotations("target.running-requests", "4", "scale-down.stabilization", window.String(), "max-replicas", "4")
	d := stage.Launch(s, fleet.Deployment(s.ns, "llama").Replicas(2).Annotations(annotations).VLLM(), model)
	d.WaitReason(s.program, "WithinTolerance")
	model.SetAll(fleet.Reading{GPUUtilization: fleet.Absent})
	d.NeverBelow(2, outage)
	d.WaitReason(s.program, "NoData")
	model.SetAll(fleet.Reading{GPUUtilization: fleet.Absent, Running: 8})
	d.WaitReplicas(4, 10*time.Second)
}

// wrongType is a fault of the replies: they are of the other types in turn.
func wrongType() fault {
	var n atomic.Int32
	return replies(func(w http.ResponseWriter, reply []byte) {
		text := string(reply)
		switch n.Add(1) % 4 {
		case 0:
			text = `{"status":"success","data":{"resultType":"scalar","result":[1,"0"]}}`
		case 1:
			text = `{"status":"success","data":{"resultType":"string","result":[1,"0"]}}`
		default:
			text = strings.Replace(text, `"resultType":"vector"`, `"resultType":"matrix"`, 1)
			text = strings.ReplaceAll(text, `"value":[`, `"values":[[`)
			text = strings.ReplaceAll(text, `"]}`, `"]]}`)
		}
		_, _ = io.WriteString(w, text)
	})
}

// several has a query that gives one number as long as requests wait for one Deployment only.
func several(w *world) {
	s := w.site(2)
	gateway := s.gateway()
	gateway.SetQueue("audio", 20)
	annotations := stage.GPUAnnotations("query.waiting", "waiting", "target.waiting", "5", "scale-down.stabilization", window.String())
	delete(annotations, stage.Prefix+"target.gpu-utilization")
	d := stage.Create(s, s.ns, "audio", 4, annotations, fleet.NewFixed(fleet.Reading{}))
	s.start("--queries", s.file("queries.yaml", "queries:\n  waiting:\n    query: sum by (deployment) (gateway_queue_length)\n"))
	d.WaitReason(s.program, "WithinTolerance")
	gateway.SetQueue("audio", 0)
	gateway.SetQueue("video", 0)
	d.NeverBelow(4, outage)
	d.WaitTold(s.program, "NoData", "2 series without a pod; aggregate them")
	s.follows(s.d, s.load)
	gateway.Stop()
	gateway = s.gateway()
	gateway.SetQueue("audio", 5)
	d.WaitReplicas(1, 30*time.Second)
}

// loginPage is a fault of the replies: a page in place of each other one, and JSON under a page's name.
func loginPage() fault {
	var n atomic.Int32
	return replies(func(w http.ResponseWriter, reply []byte) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if n.Add(1)%4 == 0 {
			reply = []byte(`<!DOCTYPE html><html><body><form method="post">Sign in</form></body></html>`)
		}
		_, _ = w.Write(reply)
	})
}
