package controller

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// checkpointVersion is that of the format. A reader takes its own and older ones; fields that it does not know it leaves out, and
// those that are missing are zero. Only a change that an older reader would misunderstand makes a new version.
const checkpointVersion = 1

const (
	// shardCount is fixed, because RBAC names each ConfigMap. 10,000 targets fill them to a tenth.
	shardCount = 16
	// maxShardSize is how large a shard may get, compressed. The API server refuses a ConfigMap over 1 MiB.
	maxShardSize = 768 << 10
	// maxShardText and maxShardTargets bound what is read from one, so that no ConfigMap can fill the memory.
	maxShardText    = 64 << 20
	maxShardTargets = 1 << 16
	// maxTargetText is how much one target may take. It is far more than any needs: nobody's annotations crowd out the others.
	maxTargetText = 64 << 10
)

// shardOf returns in which shard a target is kept.
func shardOf(uid types.UID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid)) // never fails
	return int(h.Sum32() % shardCount)
}

// checkpointHeader is the first line of a shard.
type checkpointHeader struct {
	Version int `json:"version"`
	// Time is that of the tick after which it was so.
	Time time.Time `json:"time"`
}

// kept is a target in a checkpoint.
type kept struct {
	*Remembered
	// changed is the time of the tick in which it last was another.
	changed time.Time
}

// encodeShard writes down targets: gzip of a line of JSON for the header and one for each target. If they are too many, those are left
// out by which a namespace takes more than others do, and of these the ones that have not changed for longest: most of what they
// remember has left their windows. It returns how many are left out and why.
func encodeShard(at time.Time, targets []kept) (body []byte, leftOut int, why error) {
	lines, why := encodeTargets(targets)
	for {
		body, fits := pack(at, lines)
		if fits {
			return body, len(targets) - len(lines), why
		}
		why = fmt.Errorf("the shard would be over %d bytes", maxShardSize)
		lines = lines[:len(lines)*3/4]
	}
}

// encodeTargets makes the lines, those first that are to be left out last.
func encodeTargets(targets []kept) (lines [][]byte, why error) {
	list := slices.Clone(targets)
	slices.SortStableFunc(list, func(a, b kept) int {
		return cmp.Or(b.changed.Compare(a.changed), cmp.Compare(a.UID, b.UID))
	})
	type encoded struct {
		text []byte
		// upTo is what its namespace takes with it and with those that have changed later.
		upTo int
	}
	all, taken := make([]encoded, 0, len(list)), map[string]int{}
	for i := range list {
		line, err := encodeTarget(list[i].Remembered)
		if err != nil {
			why = err
			continue
		}
		taken[list[i].Namespace] += len(line)
		all = append(all, encoded{line, taken[list[i].Namespace]})
	}
	slices.SortStableFunc(all, func(a, b encoded) int { return cmp.Compare(a.upTo, b.upTo) })
	lines = make([][]byte, len(all))
	for i := range all {
		lines[i] = all[i].text
	}
	return lines, why
}

// encodeTarget makes a target's line.
func encodeTarget(r *Remembered) ([]byte, error) {
	line, err := json.Marshal(r)
	if err == nil && len(line) > maxTargetText {
		err = fmt.Errorf("over %d bytes", maxTargetText)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding what is remembered of %s/%s: %w", r.Namespace, r.Name, err)
	}
	return line, nil
}

// pack compresses header and lines and reports whether that is small enough.
func pack(at time.Time, lines [][]byte) (body []byte, fits bool) {
	// A time and a number can be encoded, and a buffer takes everything: nothing here fails.
	header, _ := json.Marshal(checkpointHeader{checkpointVersion, at})
	var buffer bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&buffer, gzip.BestSpeed)
	text := 0
	for _, line := range append([][]byte{header}, lines...) {
		_, _ = zip.Write(line)
		_, _ = zip.Write([]byte{'\n'})
		text += len(line) + 1
	}
	_ = zip.Close()
	return buffer.Bytes(), buffer.Len() <= maxShardSize && text <= maxShardText && len(lines) <= maxShardTargets
}

// decodeShard reads what encodeShard has written. It takes all of it or nothing.
func decodeShard(body []byte) (Memory, error) {
	zip, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return Memory{}, fmt.Errorf("decompressing: %w", err)
	}
	decoder := json.NewDecoder(io.LimitReader(zip, maxShardText))
	var header checkpointHeader
	if err := decoder.Decode(&header); err != nil {
		return Memory{}, fmt.Errorf("decoding the header: %w", err)
	}
	if header.Version < 1 || header.Version > checkpointVersion {
		return Memory{}, fmt.Errorf("version %d is not known here, only 1 to %d", header.Version, checkpointVersion)
	}
	m := Memory{Time: header.Time}
	for {
		var r Remembered
		switch err := decoder.Decode(&r); {
		case errors.Is(err, io.EOF):
			return m, nil
		case err != nil:
			return Memory{}, fmt.Errorf("decoding target %d: %w", len(m.Targets)+1, err)
		case r.UID == "":
			return Memory{}, fmt.Errorf("target %d has no uid", len(m.Targets)+1)
		case len(m.Targets) == maxShardTargets:
			return Memory{}, fmt.Errorf("more than %d targets", maxShardTargets)
		}
		if r.State == nil {
			r.State = &policy.State{}
		}
		m.Targets = append(m.Targets, r)
	}
}
