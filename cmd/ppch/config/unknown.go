package config

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// osEnvironment is the environment of this process.
type osEnvironment struct{ Lookuper }

// Names returns the names of all variables.
func (osEnvironment) Names() (names []string) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
	}
	return names
}

// composeVariables are read by docker-compose.yml only. PPCH_NETWORK_INTERNAL is from version 1.
var composeVariables = []string{
	"PPCH_NETWORK_EXTERNAL", "PPCH_NETWORK_IS_EXTERNAL", "PPCH_NETWORK_INTERNAL", "PPCH_FILES", "PPCH_DATA", "PPCH_IMAGE", "PPCH_CONTAINER_NAME", "PPCH_RESTART_POLICY",
	"PPCH_HEALTHCHECK_INTERVAL", "PPCH_HEALTHCHECK_TIMEOUT", "PPCH_HEALTHCHECK_RETRIES", "PPCH_HEALTHCHECK_START_PERIOD",
}

// serviceLink matches the variables that Kubernetes sets in a pod for a Service whose name begins with ppch
// (kubernetes.io, "Accessing the Service": Environment Variables). A PPCH_…_PORT is one if it is a URL.
var serviceLink = regexp.MustCompile(`^PPCH(_[A-Z0-9]+)*(_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// linkedPort matches the value that Kubernetes gives to the port of a Service.
var linkedPort = regexp.MustCompile(`^(tcp|udp|sctp)://`)

// Unknown returns a warning for each variable whose name begins with PPCH_ and that nothing reads, with the nearest name.
// Empty variables count as not set.
func Unknown(names []string, lookup func(string) (string, bool)) (warnings []string) {
	known := slices.Clone(composeVariables)
	for _, v := range Variables() {
		known = append(known, v.Name)
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		value, _ := lookup(name)
		switch {
		case value == "", !strings.HasPrefix(name, "PPCH_"), slices.Contains(known, name), serviceLink.MatchString(name):
		case strings.HasSuffix(name, "_PORT") && linkedPort.MatchString(value):
		default:
			warnings = append(warnings, fmt.Sprintf("%s is not a variable of PPCH and has no effect: %s", name, suggestion(name, known)))
		}
	}
	return warnings
}

// suggestion names the nearest variable, or how to list all.
func suggestion(name string, known []string) string {
	distance := func(other string) int { return levenshtein.ComputeDistance(name, other) }
	nearest := slices.MinFunc(known, func(a, b string) int { return distance(a) - distance(b) })
	if distance(nearest) > max(2, len(name)/4) {
		return "remove it; ppch serve --help lists all variables"
	}
	return "did you mean " + nearest + "?"
}
