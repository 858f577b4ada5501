package past

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/backtest"
)

const (
	// keptFor is how long a chunk that nobody asks for stays on disk.
	keptFor = 14 * 24 * time.Hour
	// maxChunk bounds what is read of one, in bytes.
	maxChunk = 256 << 20
)

// path is where a chunk is kept: by all that tells it from others.
func (r *Reader) path(key string, c chunk) string {
	if r.Dir == "" {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "1\n%s\n%s\n%d\n%v\n%d", r.Server, key, c.start.UnixNano(), r.Step, c.steps))
	return filepath.Join(r.Dir, hex.EncodeToString(sum[:16])+".json.gz")
}

// load reads a chunk. One that cannot be read is fetched anew.
func load(path string) (part backtest.Signal, ok bool) {
	if path == "" {
		return part, false
	}
	file, err := os.Open(path)
	if err != nil {
		return part, false
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		return part, false
	}
	if err := json.NewDecoder(io.LimitReader(text, maxChunk)).Decode(&part); err != nil {
		return backtest.Signal{}, false
	}
	return part, true
}

// keep writes a chunk, whole or not at all. A disk that takes nothing is no reason to fail: the next try only takes longer.
func keep(path string, part *backtest.Signal) {
	if path == "" || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	file, err := os.CreateTemp(filepath.Dir(path), "part-*")
	if err != nil {
		return
	}
	defer os.Remove(file.Name())
	text := gzip.NewWriter(file)
	err = json.NewEncoder(text).Encode(part)
	if closing := text.Close(); err == nil {
		err = closing
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		_ = os.Rename(file.Name(), path)
	}
}

// Sweep removes the chunks of a folder that are too old to be asked for again.
func Sweep(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !e.IsDir() && now.Sub(info.ModTime()) > keptFor {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
