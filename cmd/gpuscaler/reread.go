package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-logr/logr"
)

// classesFile is the file of --classes while a controller runs. It is read again when it changes, and as long as it is broken the
// last good classes stay. A ConfigMap that is mounted changes by a link that points to another file; looking at what the path leads
// to finds both.
type classesFile struct {
	path string
	log  logr.Logger
	// text is what was read last, and wrong what is wrong with it, nil if nothing is.
	text  []byte
	wrong error
	// looked is the file at the last look, and read the one that text is from; nil for none.
	looked, read fs.FileInfo
	// told is the problem that was logged, empty if it has passed.
	told string
}

// next returns the classes if there are others than before. It is asked at each tick: as long as nothing changes it costs one look.
func (f *classesFile) next() (classes map[string]map[string]string, changed bool) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.looked, f.read = nil, nil
		f.tell(err)
		return nil, false
	}
	if !sameFile(info, f.looked) { // it may be half written: the next look reads it
		f.looked = info
		return nil, false
	}
	if sameFile(info, f.read) {
		return nil, false
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		f.tell(err)
		return nil, false
	}
	f.read = info
	if !bytes.Equal(text, f.text) {
		f.text = text
		classes, f.wrong = parseClasses(text)
		changed = f.wrong == nil
	}
	f.tell(f.wrong)
	if !changed {
		return nil, false
	}
	f.log.Info("The classes have changed", "file", f.path, "classes", len(classes))
	return classes, true
}

// sameFile reports whether nobody has written the file in between.
func sameFile(now, before fs.FileInfo) bool {
	return before != nil && os.SameFile(now, before) && now.ModTime().Equal(before.ModTime()) && now.Size() == before.Size()
}

// tell logs a problem when it comes, and when it has passed.
func (f *classesFile) tell(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	switch problem {
	case f.told:
	case "":
		f.log.Info("The file of --classes is good again", "file", f.path)
	default:
		var lost *fs.PathError
		if !errors.As(err, &lost) {
			err = fmt.Errorf("reading --classes %s: %w", f.path, err)
		}
		f.log.Error(err, "The classes stay as they were")
	}
	f.told = problem
}
