// Command release packs the programs of bin/dist for those who download them: an archive for each platform, a list of what is
// in each program (CycloneDX), and the checksums of all of these. The same programs give the same bytes, whenever and wherever.
//
//	release -version v1.2.3 -sbom bin/cyclonedx-gomod -to bin/release bin/dist/gpuscaler_linux_amd64 …
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// release is what is made: from which programs, and where.
type release struct {
	version string
	to      string    // the folder that it is written to
	sbom    string    // the program cyclonedx-gomod
	date    time.Time // of all files in the archives
}

// run packs the folders named by the arguments.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	var r release
	flags.StringVar(&r.version, "version", "", "the release's version, such as v1.2.3")
	flags.StringVar(&r.to, "to", "", "the folder to write to; it is made anew")
	flags.StringVar(&r.sbom, "sbom", "", "the program cyclonedx-gomod")
	epoch := flags.String("date", "0", "the date of the files in the archives, in seconds since 1970")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if r.version == "" || r.to == "" || r.sbom == "" || flags.NArg() == 0 {
		return errors.New("usage: release -version VERSION -to FOLDER -sbom CYCLONEDX-GOMOD [-date SECONDS] FOLDER…")
	}
	seconds, err := strconv.ParseInt(*epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("-date %q: want seconds since 1970", *epoch)
	}
	r.date = time.Unix(seconds, 0).UTC()
	if err := os.RemoveAll(r.to); err != nil {
		return err
	}
	if err := os.MkdirAll(r.to, 0o755); err != nil {
		return err
	}
	for _, folder := range flags.Args() {
		if err := r.add(ctx, folder); err != nil {
			return fmt.Errorf("packing %s: %w", folder, err)
		}
	}
	return sums(r.to)
}

// add packs one folder, PROGRAM_OS_ARCH, and tells what is in its program.
func (r *release) add(ctx context.Context, folder string) error {
	parts := strings.Split(filepath.Base(folder), "_")
	if len(parts) != 3 {
		return errors.New("its name is not PROGRAM_OS_ARCH")
	}
	program, goos, goarch := parts[0], parts[1], parts[2]
	name := filepath.Join(r.to, strings.Join([]string{program, r.version, goos, goarch}, "_"))
	files, err := contents(folder)
	if err != nil {
		return err
	}
	if goos == "windows" {
		err = writeFile(name+".zip", func(to *os.File) error { return packZip(to, files, r.date) })
		program += ".exe"
	} else {
		if program == "gpuscaler" {
			files = append(files, entry{name: "kubectl-gpuscaler", link: program})
		}
		err = writeFile(name+".tar.gz", func(to *os.File) error { return packTar(to, files, r.date) })
	}
	if err != nil {
		return err
	}
	return r.describe(ctx, filepath.Join(folder, program), name+".cdx.json")
}

// describe writes which modules a program is made of. Serial number and date are left out: they would differ each time.
func (r *release) describe(ctx context.Context, program, file string) error {
	out, err := exec.CommandContext(ctx, r.sbom, "bin", "-json", "-std", "-noserial", "-notimestamp",
		"-version", r.version, "-output", file, program).CombinedOutput()
	if err != nil {
		return fmt.Errorf("listing the modules of %s: %w\n%s", program, err, out)
	}
	return nil
}
