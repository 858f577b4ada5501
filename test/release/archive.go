package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// entry is a file of an archive.
type entry struct {
	name string
	path string      // where its contents are
	size int64       // in bytes
	mode os.FileMode // 0755 for programs, 0644 for the rest
	link string      // the file of the archive that this one is another name of, or ""
}

// contents returns the files of a folder, in the order of their names. Who may read and write them there does not matter.
func contents(folder string) ([]entry, error) {
	found, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var files []entry
	for _, f := range found {
		info, err := f.Info()
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a file", f.Name())
		}
		e := entry{name: f.Name(), path: filepath.Join(folder, f.Name()), size: info.Size(), mode: 0o644}
		if info.Mode()&0o111 != 0 || filepath.Ext(f.Name()) == ".exe" {
			e.mode = 0o755
		}
		files = append(files, e)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("nothing in it")
	}
	return files, nil
}

// packTar writes files as a compressed tar archive.
func packTar(to io.Writer, files []entry, date time.Time) error {
	compressed, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Size: f.size, Mode: int64(f.mode), ModTime: date, Format: tar.FormatUSTAR,
		}
		if f.link != "" {
			header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.link, 0o777
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if err := f.copy(archive); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

// packZip writes files as a zip archive.
func packZip(to io.Writer, files []entry, date time.Time) error {
	// The form of dates in zip archives begins here.
	if begin := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC); date.Before(begin) {
		date = begin
	}
	archive := zip.NewWriter(to)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: date}
		header.SetMode(f.mode)
		in, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if err := f.copy(in); err != nil {
			return err
		}
	}
	return archive.Close()
}

// copy writes the contents of a file; a link has none.
func (e entry) copy(to io.Writer) error {
	if e.link != "" {
		return nil
	}
	from, err := os.Open(e.path)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}

// writeFile creates a file and has it filled.
func writeFile(path string, fill func(*os.File) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := fill(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// sums writes the checksums of a folder's files to SHA256SUMS in it, as `sha256sum -c` reads them.
func sums(folder string) error {
	files, err := contents(folder)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(folder, "SHA256SUMS"), func(to *os.File) error {
		for _, f := range files {
			hash := sha256.New()
			if err := f.copy(hash); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(to, "%x  %s\n", hash.Sum(nil), f.name); err != nil {
				return err
			}
		}
		return nil
	})
}
