package policy

import "testing"

func TestOptedIn(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "false": false, "yes": true, "": true} {
		if got := OptedIn(map[string]string{Prefix + "enabled": value}); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	if OptedIn(map[string]string{Prefix + "max-replicas": "4"}) {
		t.Error("without the key it has not opted in")
	}
}
