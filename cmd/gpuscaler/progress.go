package main

import (
	"fmt"
	"io"
	"time"
)

// progress tells a person what is being waited for, once that has taken longer than a second. What it prints is gone when
// the wait is over. Where nobody watches it prints nothing. The function returned ends it.
func progress(out io.Writer, terminal bool, what string) (stop func()) {
	if !terminal {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		began := time.Now()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for shown := false; ; shown = true {
			select {
			case <-tick.C:
				fmt.Fprintf(out, "\r\x1b[K%s… %v", what, time.Since(began).Truncate(time.Second))
			case <-end:
				if shown {
					fmt.Fprint(out, "\r\x1b[K")
				}
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}
