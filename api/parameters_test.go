package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// lenient are the paths that accept unknown parameters: clients of version 1 may send any to the first,
// and mail and chat programs add some to links to pages.
var lenient = []string{
	participants,
	"/docs", "/docs/", "/docs/{asset}", "/dashboard", "/dashboard/", "/dashboard/{asset}", sharePage, "/s/assets/{asset}",
}

// successes has a request for each operation of the document that succeeds.
func successes(t *testing.T) map[string]statusCase {
	t.Helper()
	found := map[string]statusCase{}
	for _, c := range statuses {
		methods := methodsOf(contract(t).Paths.Value(c.path), c.asked)
		for _, method := range methods {
			if _, ok := found[method+" "+c.path]; !ok && c.status < "309" && c.status != "304" {
				c.asked.method = method
				found[method+" "+c.path] = c
			}
		}
	}
	for path, item := range contract(t).Paths.Map() {
		for method := range item.Operations() {
			if _, ok := found[method+" "+path]; !ok {
				t.Errorf("there is no request for %s %s", method, path)
			}
		}
	}
	return found
}

// with returns the request with another parameter.
func (a ask) with(parameter string) ask {
	if separator := "?"; strings.Contains(a.target, separator) {
		a.target += "&" + parameter
	} else {
		a.target += separator + parameter
	}
	return a
}

func TestParameters_UnknownIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range successes(t) {
		t.Run(name, func(t *testing.T) {
			got := startWith(t, c).do(c.asked.with("unknown=1"))
			if slices.Contains(lenient, c.path) {
				if got.status >= 400 {
					t.Errorf("got %d %s want the answer without the parameter", got.status, got.body)
				}
				return
			}
			if c.asked.method == http.MethodHead || strings.HasSuffix(c.path, ".svg") {
				if got.status != http.StatusBadRequest {
					t.Errorf("got %d want 400", got.status)
				}
				return
			}
			if p := got.wantProblem(t, http.StatusBadRequest, "bad-parameter"); !strings.Contains(p["detail"].(string), `unknown parameter "unknown": `) {
				t.Errorf("got %v", p["detail"])
			}
		})
	}
}

// queryParameters returns the query parameters of an operation.
func queryParameters(item *openapi3.PathItem, method string) (names []string) {
	for _, p := range slices.Concat(item.Parameters, operationFor(item, method).Parameters) {
		if p.Value.In == openapi3.ParameterInQuery {
			names = append(names, p.Value.Name)
		}
	}
	return names
}

func TestParameters_DocumentedAreKnown(t *testing.T) {
	t.Parallel()
	for name, c := range successes(t) {
		t.Run(name, func(t *testing.T) {
			s := startWith(t, c)
			documented := queryParameters(contract(t).Paths.Value(c.path), c.asked.method)
			for _, parameter := range documented {
				if got := string(s.do(c.asked.with(url.QueryEscape(parameter) + "=")).body); strings.Contains(got, "unknown parameter") && parameter != "name" {
					t.Errorf("%s is documented, but: %s", parameter, got)
				}
			}
			_, known, _ := strings.Cut(string(s.do(c.asked.with("unknown=1")).body), ": use ")
			known, _, _ = strings.Cut(known, `"`)
			for parameter := range strings.SplitSeq(known, ", ") {
				if known != "" && parameter != "ticket" && !slices.Contains(documented, parameter) {
					t.Errorf("%s is known, but not documented", parameter)
				}
			}
		})
	}
}
