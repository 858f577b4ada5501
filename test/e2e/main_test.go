// Package e2e shows the program's main job on a real control plane and a real Prometheus: the tests run the built program as its
// users do, under exactly the rights that deploy/ ships, and look at what happens in the cluster.
//
// All tests share one control plane, one fleet of GPU nodes and one program binary; each has a namespace, a program and, where
// it makes it fail, a Prometheus of its own.
package e2e

import (
	"testing"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

func TestMain(m *testing.M) { stage.Main(m, 8) }
