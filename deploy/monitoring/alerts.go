package monitoring

import (
	_ "embed"
	"fmt"

	"sigs.k8s.io/yaml"
)

//go:embed rules.yaml
var rules []byte

// Alert is an alert of rules.yaml.
type Alert struct {
	Name string `json:"alert"`
	Expr string `json:"expr"`
}

// Alerts returns the alerts of all groups, in their order.
func Alerts() ([]Alert, error) {
	var file struct {
		Groups []struct{ Rules []Alert }
	}
	if err := yaml.Unmarshal(rules, &file); err != nil {
		return nil, fmt.Errorf("reading rules.yaml: %w", err)
	}
	var alerts []Alert
	for _, g := range file.Groups {
		alerts = append(alerts, g.Rules...)
	}
	return alerts, nil
}
