package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// logFormat is the value of --logging-format.
type logFormat string

// The log formats.
const (
	textLog logFormat = "text"
	jsonLog logFormat = "json"
)

// String returns the format.
func (f *logFormat) String() string { return string(*f) }

// Type names the kind of value in the help.
func (f *logFormat) Type() string { return "format" }

// Set takes one of the formats.
func (f *logFormat) Set(value string) error {
	return oneOf((*string)(f), value, string(textLog), string(jsonLog))
}

// maxVerbosity is the highest level of detail that anything in Kubernetes logs at.
const maxVerbosity = 10

// verbosity is the value of -v.
type verbosity int

// String returns the number.
func (v *verbosity) String() string { return strconv.Itoa(int(*v)) }

// Type names the kind of value in the help.
func (v *verbosity) Type() string { return "level" }

// Set takes a whole number from 0 to 10.
func (v *verbosity) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > maxVerbosity {
		return fmt.Errorf("allowed are whole numbers from 0 to %d", maxVerbosity)
	}
	*v = verbosity(n)
	return nil
}

// logFlags say how much is logged and in which form.
type logFlags struct {
	verbosity verbosity
	format    logFormat
}

func (l *logFlags) addFlags(flags *pflag.FlagSet) {
	l.format = textLog
	flags.VarP(&l.verbosity, "v", "v", "detail of the log, from 0 to 10 as with kubectl")
	flags.Var(&l.format, "logging-format", "form of the log: text or json")
}

// logger makes the logger of a program that runs for long. client-go's own lines go into the same log.
func (l *logFlags) logger(out io.Writer) logr.Logger {
	return l.leveled(out, zapcore.Level(-l.verbosity))
}

// errorLogger makes the logger of a program that shows on the terminal what it does: without -v only errors are logged.
func (l *logFlags) errorLogger(out io.Writer) logr.Logger {
	if l.verbosity == 0 {
		return l.leveled(out, zapcore.ErrorLevel)
	}
	return l.logger(out)
}

// quietLogger makes the logger of a command that a person waits for: what goes wrong is in the error at its end, so
// that without -v the log is silent.
func (l *logFlags) quietLogger(out io.Writer) logr.Logger {
	if l.verbosity == 0 {
		return l.leveled(out, zapcore.FatalLevel)
	}
	return l.logger(out)
}

// leveled makes a logger and hands it to client-go as well.
func (l *logFlags) leveled(out io.Writer, level zapcore.Level) logr.Logger {
	logger := zapr.NewLogger(zap.New(zapcore.NewCore(l.encoder(), zapcore.Lock(zapcore.AddSync(out)), level)))
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	// klog asks its own flag before it asks the logger. Its value is in range, so Set cannot fail.
	_ = flags.Set("v", l.verbosity.String())
	klog.SetLoggerWithOptions(logger.WithName("client-go"), klog.ContextualLogger(true))
	return logger
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
	if l.format == jsonLog {
		return zapcore.NewJSONEncoder(config)
	}
	config.EncodeTime = zapcore.ISO8601TimeEncoder
	config.EncodeLevel = zapcore.CapitalLevelEncoder
	config.ConsoleSeparator = " "
	return zapcore.NewConsoleEncoder(config)
}
