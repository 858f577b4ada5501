package bed

import (
	"sync/atomic"
	_ "unsafe" // for go:linkname

	_ "k8s.io/component-base/version"
)

// Kubernetes' own builds stamp these by linker flags; a Go module carries none, and a server that calls itself
// "v0.0.0-master+$Format:%H$" breaks clients that parse its version. Setting them here spares every build of this
// package the flags.

//go:linkname gitMajor k8s.io/component-base/version.gitMajor
var gitMajor string

//go:linkname gitMinor k8s.io/component-base/version.gitMinor
var gitMinor string

//go:linkname dynamicGitVersion k8s.io/component-base/version.dynamicGitVersion
var dynamicGitVersion atomic.Value

// Version is the release of Kubernetes that the bed runs and reports.
const Version = "v1.37.2"

func init() {
	gitMajor, gitMinor = "1", "37"
	dynamicGitVersion.Store(Version)
}
