package occupancy

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Rule is an operator's rule for occupants that don't count, such as bots. It goes by the real JID, which Prosody guarantees,
// because clients choose their nicks and names.
type Rule struct {
	// Name is shown in place of the reason.
	Name string

	// Pattern matches bare JIDs: * stands for any characters and ? for one, both only before the @.
	Pattern string
}

var ruleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ParseRule reads a rule written as PATTERN or NAME=PATTERN. Without a name, the pattern is the name.
func ParseRule(text string) (Rule, error) {
	name, pattern, named := strings.Cut(text, "=")
	if !named {
		name, pattern = text, text
	} else if !ruleName.MatchString(name) {
		return Rule{}, fmt.Errorf("%q is not a name: use letters, digits, dots, hyphens and underscores", name)
	}
	pattern = strings.ToLower(pattern)
	local, domain, ok := strings.Cut(pattern, "@")
	switch {
	case !ok || local == "" || domain == "" || strings.ContainsAny(domain, "@/*?[]\\ "):
		return Rule{}, fmt.Errorf("%q is not a pattern of real JIDs: write bot@bots.example.com, *-bot@example.com or *@bots.example.com", pattern)
	case strings.ContainsAny(local, `[]\/ `):
		return Rule{}, errors.New("before the @, only * and ? are wildcards")
	}
	return Rule{name, pattern}, nil
}

// Matches reports whether the rule is about an occupant with this real JID.
func (r Rule) Matches(realJID string) bool {
	bare, _, _ := strings.Cut(realJID, "/")
	ok, _ := path.Match(r.Pattern, bare) // ParseRule has checked the pattern
	return ok
}

// HidesEveryone reports whether the rule is about every account of a domain.
func (r Rule) HidesEveryone(domain string) bool {
	local, of, _ := strings.Cut(r.Pattern, "@")
	return of == domain && strings.Trim(local, "*") == ""
}

// rule returns the name of the first rule for an occupant, or "". A kind that is more precise than hidden stays.
func (t SystemAccounts) rule(o *Occupant, kind Kind) string {
	switch kind {
	case KindFocus, KindRecorder, KindTranscriber:
		return ""
	}
	for _, r := range t.NotCounted {
		if r.Matches(o.RealJID) {
			return r.Name
		}
	}
	return ""
}

// RuleCount is the number of occupants that a rule hides now.
type RuleCount struct {
	Rule      string
	Occupants int
}

// RuleCounts returns the number of hidden occupants for each of NotCounted, in the replicas at hand. It reads all rooms:
// it is for diagnosis.
func (d *Directory) RuleCounts() []RuleCount {
	all := make([]RuleCount, len(d.NotCounted))
	for i, r := range d.NotCounted {
		all[i].Rule = r.Name
	}
	if len(all) == 0 {
		return nil
	}
	counts := map[string]int{}
	d.mu.RLock()
	for _, m := range d.domains {
		if m.replica == nil {
			continue
		}
		for _, room := range m.replica.rooms {
			for _, o := range room.occupants {
				if rule := o.common.Value().rule; rule != "" {
					counts[rule]++
				}
			}
		}
	}
	d.mu.RUnlock()
	for i := range all {
		all[i].Occupants = counts[all[i].Rule]
	}
	return all
}
