package admission

import (
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/util/yaml"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
)

// oldest is the first version of Kubernetes with this kind of policy.
var oldest = version.MajorMinor(1, 30)

// TestTypes checks the expressions that read the object against the types of a Deployment, as a cluster does to warn of fields that
// do not exist. The other ones read variables.
func TestTypes(t *testing.T) {
	discovery := memory.NewMemCacheClient(cluster.Client().Discovery())
	checker := validating.TypeChecker{
		SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: discovery},
		RestMapper:     restmapper.NewDeferredDiscoveryRESTMapper(discovery),
	}
	p := readPolicy(t)
	expressions := checker.CreateContext(p)
	ofObject := []string{p.Spec.MatchConditions[0].Expression}
	for _, v := range p.Spec.Variables {
		if strings.Contains(v.Expression, "bject.") {
			ofObject = append(ofObject, v.Expression)
		}
	}
	for _, e := range ofObject {
		if found := checker.CheckExpression(expressions, e); len(found) > 0 {
			t.Errorf("%s: %s", e, found)
		}
	}
	if found := checker.CheckExpression(expressions, "object.metadata.nosuch"); len(found) == 0 {
		t.Error("a field that does not exist is not found: nothing is checked")
	}
}

// TestOldest compiles the expressions with nothing but what the oldest version knows.
func TestOldest(t *testing.T) {
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(oldest))
	if err != nil {
		t.Fatal(err)
	}
	p := readPolicy(t)
	compile := func(what string, of plugincel.ExpressionAccessor) {
		if r := compiler.CompileCELExpression(of, plugincel.OptionalVariableDeclarations{}, environment.NewExpressions); r.Error != nil {
			t.Errorf("%s: %v", what, r.Error)
		}
	}
	for i := range p.Spec.Variables {
		v := &validating.Variable{Name: p.Spec.Variables[i].Name, Expression: p.Spec.Variables[i].Expression}
		if r := compiler.CompileAndStoreVariable(v, plugincel.OptionalVariableDeclarations{}, environment.NewExpressions); r.Error != nil {
			t.Errorf("%s: %v", v.Name, r.Error)
		}
	}
	for _, v := range p.Spec.Validations {
		compile(v.Expression, &validating.ValidationCondition{Expression: v.Expression})
		compile(v.MessageExpression, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression})
	}
	for _, c := range p.Spec.MatchConditions {
		compile(c.Name, &validating.ValidationCondition{Expression: c.Expression})
	}
}

// readPolicy reads the first document of the manifest.
func readPolicy(t *testing.T) *admissionv1.ValidatingAdmissionPolicy {
	t.Helper()
	file, err := os.Open(manifest)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var p admissionv1.ValidatingAdmissionPolicy
	if err := yaml.NewYAMLOrJSONDecoder(file, 4096).Decode(&p); err != nil {
		t.Fatal(err)
	}
	if len(p.Spec.Variables) == 0 {
		t.Fatal("the manifest has no policy")
	}
	return &p
}
