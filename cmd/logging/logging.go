// Package logging is what the programs have in common on their command lines: the flags that say how much is logged and in which form,
// and flags that take one of a few words.
package logging

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The formats of a log.
const (
	Text = "text"
	JSON = "json"
)

// MaxVerbosity is the highest level of detail that anything in Kubernetes logs at.
const MaxVerbosity = 10

// Flags say how much is logged and in which form.
type Flags struct {
	// Verbosity is -v, from 0 to MaxVerbosity.
	Verbosity Verbosity
	// Format is --logging-format.
	Format Choice
}

// AddFlags adds -v and --logging-format.
func (f *Flags) AddFlags(flags *pflag.FlagSet) {
	f.Format = Choice{Text, []string{Text, JSON}}
	flags.VarP(&f.Verbosity, "v", "v", "detail of the log, from 0 to 10 as with kubectl")
	flags.Var(&f.Format, "logging-format", "form of the log: text or json")
}

// Level is the one that -v asks for.
func (f *Flags) Level() zapcore.Level { return zapcore.Level(-f.Verbosity) }

// Logger makes a logger of what is at a level or above.
func (f *Flags) Logger(out io.Writer, level zapcore.Level) logr.Logger {
	return zapr.NewLogger(zap.New(zapcore.NewCore(f.encoder(), zapcore.Lock(zapcore.AddSync(out)), level)))
}

// encoder writes lines for people, or JSON for machines.
func (f *Flags) encoder() zapcore.Encoder {
	config := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", MessageKey: "msg", StacktraceKey: "stacktrace",
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
	if f.Format.Value == JSON {
		return zapcore.NewJSONEncoder(config)
	}
	config.EncodeTime = zapcore.ISO8601TimeEncoder
	config.EncodeLevel = zapcore.CapitalLevelEncoder
	config.ConsoleSeparator = " "
	return zapcore.NewConsoleEncoder(config)
}

// Verbosity is the value of -v.
type Verbosity int

// String returns the number.
func (v *Verbosity) String() string { return strconv.Itoa(int(*v)) }

// Type names the kind of value in the help.
func (v *Verbosity) Type() string { return "level" }

// Set takes a whole number from 0 to MaxVerbosity.
func (v *Verbosity) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > MaxVerbosity {
		return fmt.Errorf("allowed are whole numbers from 0 to %d", MaxVerbosity)
	}
	*v = Verbosity(n)
	return nil
}

// Choice is the value of a flag that takes one of a few words.
type Choice struct {
	Value   string
	Allowed []string
}

// String returns the word.
func (c *Choice) String() string { return c.Value }

// Type names the kind of value in the help.
func (c *Choice) Type() string { return "format" }

// Set takes one of the words.
func (c *Choice) Set(value string) error {
	if !slices.Contains(c.Allowed, value) {
		return fmt.Errorf("allowed are %s", strings.Join(c.Allowed, ", "))
	}
	c.Value = value
	return nil
}
