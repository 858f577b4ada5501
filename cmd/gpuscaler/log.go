package main

import (
	"flag"
	"io"

	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/gpuscaler/gpuscaler/cmd/logging"
)

// logFlags say how much is logged and in which form.
type logFlags struct{ logging.Flags }

// logger makes the logger of a program that runs for long. client-go's own lines go into the same log.
func (l *logFlags) logger(out io.Writer) logr.Logger { return l.leveled(out, l.Level()) }

// errorLogger makes the logger of a program that shows on the terminal what it does: without -v only errors are logged.
func (l *logFlags) errorLogger(out io.Writer) logr.Logger {
	if l.Verbosity == 0 {
		return l.leveled(out, zapcore.ErrorLevel)
	}
	return l.logger(out)
}

// quietLogger makes the logger of a command that a person waits for: what goes wrong is in the error at its end, so
// that without -v the log is silent.
func (l *logFlags) quietLogger(out io.Writer) logr.Logger {
	if l.Verbosity == 0 {
		return l.leveled(out, zapcore.FatalLevel)
	}
	return l.logger(out)
}

// leveled makes a logger and hands it to client-go as well.
func (l *logFlags) leveled(out io.Writer, level zapcore.Level) logr.Logger {
	logger := l.Logger(out, level)
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	// klog asks its own flag before it asks the logger. Its value is in range, so Set cannot fail.
	_ = flags.Set("v", l.Verbosity.String())
	klog.SetLoggerWithOptions(logger.WithName("client-go"), klog.ContextualLogger(true))
	return logger
}
