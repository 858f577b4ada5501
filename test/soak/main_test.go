// Package soak shows that the program holds out: for a long time while all around it changes and fails, and with tenants that do harm, by
// accident or on purpose. It runs on the stage of the end-to-end tests.
package soak

import (
	"flag"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

var (
	length = flag.Duration("length", 20*time.Second, "how long TestSoak lets everything change and fail")
	seed   = flag.Uint64("seed", 0, "what chance begins with in TestSoak; 0 takes the time")
)

func TestMain(m *testing.M) { stage.Main(m, 4) }
