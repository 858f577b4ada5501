package main

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

// choice is the value of a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

// String returns the word.
func (c *choice) String() string { return c.value }

// Type names the kind of value in the help.
func (c *choice) Type() string { return "format" }

// Set takes one of the words.
func (c *choice) Set(value string) error {
	if !slices.Contains(c.allowed, value) {
		return fmt.Errorf("allowed are %s", strings.Join(c.allowed, ", "))
	}
	c.value = value
	return nil
}

// verbosity is the value of -v.
type verbosity int

// String returns the number.
func (v *verbosity) String() string { return strconv.Itoa(int(*v)) }

// Type names the kind of value in the help.
func (v *verbosity) Type() string { return "level" }

// Set takes a whole number from 0 to 10.
func (v *verbosity) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 10 {
		return fmt.Errorf("allowed are whole numbers from 0 to 10")
	}
	*v = verbosity(n)
	return nil
}

// logFlags say how much is logged and in which form, as gpuscaler's do.
type logFlags struct {
	verbosity verbosity
	format    choice
}

func (l *logFlags) addFlags(flags *pflag.FlagSet) {
	l.format = choice{"text", []string{"text", "json"}}
	flags.VarP(&l.verbosity, "v", "v", "detail of the log, from 0 to 10")
	flags.Var(&l.format, "logging-format", "form of the log: text or json")
}

// logger makes the logger.
func (l *logFlags) logger(out io.Writer) logr.Logger {
	core := zapcore.NewCore(l.encoder(), zapcore.Lock(zapcore.AddSync(out)), zapcore.Level(-l.verbosity))
	return zapr.NewLogger(zap.New(core))
}

// encoder writes lines for people, or JSON for machines.
func (l *logFlags) encoder() zapcore.Encoder {
	config := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", MessageKey: "msg", StacktraceKey: "stacktrace",
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
	if l.format.value == "json" {
		return zapcore.NewJSONEncoder(config)
	}
	config.EncodeTime = zapcore.ISO8601TimeEncoder
	config.EncodeLevel = zapcore.CapitalLevelEncoder
	config.ConsoleSeparator = " "
	return zapcore.NewConsoleEncoder(config)
}
