// Command notices prints what the licences of other people's code in a program want to be passed on with it: which modules are
// in it, under which licence, and the texts of those licences. It fails if a module has none, or one that is not known to allow
// being shipped in a program under the Apache License.
//
//	notices -platform linux/amd64 ./cmd/gpuscaler > THIRD-PARTY-NOTICES
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run prints the notices of the package named by the arguments.
func run(ctx context.Context, args []string, to io.Writer) error {
	flags := flag.NewFlagSet("notices", flag.ContinueOnError)
	platform := flags.String("platform", runtime.GOOS+"/"+runtime.GOARCH, "the program's operating system and architecture")
	cgo := flags.Bool("cgo", false, "the program is built with cgo")
	dir := flags.String("C", "..", "the folder of the program's module")
	if err := flags.Parse(args); err != nil {
		return err
	}
	goos, goarch, ok := strings.Cut(*platform, "/")
	if !ok || flags.NArg() != 1 {
		return errors.New("usage: notices [-platform OS/ARCH] [-cgo] PACKAGE")
	}
	env := []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0"}
	if *cgo {
		env[2] = "CGO_ENABLED=1"
	}
	modules, err := linked(ctx, *dir, env, flags.Arg(0))
	if err != nil {
		return err
	}
	var problems []error
	for i := range modules {
		problems = append(problems, modules[i].read())
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("licences that cannot be passed on:\n%w", err)
	}
	buffered := bufio.NewWriter(to)
	write(buffered, modules)
	return buffered.Flush()
}
