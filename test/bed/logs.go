package bed

import (
	"flag"
	"io"
	_ "unsafe" // for go:linkname

	"go.uber.org/zap"
	_ "k8s.io/apiserver/pkg/storage/storagebackend/factory"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
)

// etcdClientLogger is where the etcd client of the API server complains that etcd goes away: to standard error, unless
// the environment said otherwise when the process began.
//
//go:linkname etcdClientLogger k8s.io/apiserver/pkg/storage/storagebackend/factory.etcd3ClientLogger
var etcdClientLogger *zap.Logger

func init() {
	etcdClientLogger = zap.NewNop()
	// The logging options of kube-apiserver refuse to be applied twice in a process unless told so.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
}

// useLog sends klog, which is one global for all components, to w.
func useLog(w io.Writer) {
	if w == nil {
		w = io.Discard
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{
		"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL", "one_output": "true",
	} {
		_ = flags.Set(name, value) // these flags exist and take these values
	}
	klog.SetOutput(w)
}
