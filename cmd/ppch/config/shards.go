package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// Via is how the service receives the rooms of a shard.
type Via string

// The ways to a shard.
const (
	ViaXMPP Via = "xmpp" // from its Prosody, as a component
	ViaNATS Via = "nats" // from another service, over NATS
)

// Shard is a Prosody to watch.
type Shard struct {
	Name string
	Kind occupancy.ShardKind
	Via  Via

	MUCDomains []jid.JID // the main one first

	// These are of a shard via XMPP.
	Prosody string // host:port
	Domain  jid.JID
	Secret  Secret

	// Deliverer is the component of the service that delivers the shard's webhooks, of several that watch it; zero if none is named.
	Deliverer jid.JID

	// Retired is when it was taken out of service, or zero.
	Retired time.Time

	// Settings are what the operator calls the settings of a shard via XMPP.
	Settings occupancy.Settings

	secretFile string
}

// Equal reports whether two shards have the same configuration.
func (s Shard) Equal(other Shard) bool {
	return s.Name == other.Name && s.Kind == other.Kind && s.Via == other.Via && slices.EqualFunc(s.MUCDomains, other.MUCDomains, jid.JID.Equal) &&
		s.Prosody == other.Prosody && s.Domain.Equal(other.Domain) && s.Secret.Reveal() == other.Secret.Reveal() && s.Settings == other.Settings && s.Retired.Equal(other.Retired) && s.Deliverer.Equal(other.Deliverer)
}

// Main reports whether meetings take place on the shard.
func (s Shard) Main() bool { return s.Kind == occupancy.ShardMain }

// maxShardProblems is how many problems an error lists: if the variable names a wrong file, every line has one.
const maxShardProblems = 20

// shardFields are the fields of a line.
var shardFields = []string{"name", "url", "component", "secret_file", "muc", "kind", "via", "deliverer", "retired"}

// shardName matches valid names of shards, which have no special characters of logs, URLs and subjects of NATS.
var shardName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// parseShards reads the text of a file of shards.
// Each line has one shard, as fields of the form name=value with white space between them;
// empty lines, and those that begin with #, are skipped. It opens no file.
//
// The error names each wrong line; the shards are those of the others.
func parseShards(text string) (shards []Shard, err error) {
	var problems []string
	where := map[string]int{} // the line of each name
	eachLine(text, func(n int, line string) {
		s, err := parseShard(line)
		if err == nil {
			if first, twice := where[s.Name]; twice {
				err = fmt.Errorf("name: already used in line %d", first)
			} else {
				where[s.Name] = n
				err = checkDomains(shards, s)
			}
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("line %d: %v", n, err))
			return
		}
		shards = append(shards, s)
	})
	if more := len(problems) - maxShardProblems; more > 0 {
		problems = append(problems[:maxShardProblems], fmt.Sprintf("and %d more", more))
	}
	switch {
	case len(problems) > 0:
		return shards, errors.New(strings.Join(problems, "\n"))
	case !slices.ContainsFunc(shards, func(s Shard) bool { return s.Retired.IsZero() }):
		return nil, errors.New("names no shard that is in service: add a line such as " +
			"name=main url=xmpp://prosody:5347 component=ppch.meet.jitsi secret_file=/run/secrets/main muc=muc.meet.jitsi")
	}
	return shards, nil
}

// eachLine calls f with the number of each line that has a shard, and its fields.
func eachLine(text string, f func(n int, line string)) {
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) { // some editors begin a file with a BOM
		n++
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			f(n, line)
		}
	}
}

// parseShard reads one line.
func parseShard(line string) (Shard, error) {
	s := Shard{Kind: occupancy.ShardMain, Via: ViaXMPP}
	seen := map[string]bool{}
	for i, word := range strings.Fields(line) {
		field, value, ok := strings.Cut(word, "=")
		switch {
		case !ok || !slices.Contains(shardFields, field):
			return Shard{}, fmt.Errorf("word %d is not a field: use %s=", i+1, strings.Join(shardFields, "=, "))
		case seen[field]:
			return Shard{}, fmt.Errorf("%s: duplicate field: separate MUC domains with commas", field)
		}
		seen[field] = true
		if err := s.set(field, value); err != nil {
			return Shard{}, fmt.Errorf("%s: %w", field, err)
		}
	}
	required := []string{"name", "muc"}
	if s.Via == ViaXMPP {
		required = append(required, "url", "component")
	}
	for _, field := range required {
		if !seen[field] {
			return Shard{}, fmt.Errorf("%s= is missing", field)
		}
	}
	if seen["deliverer"] && s.Via != ViaXMPP {
		return Shard{}, errors.New("deliverer: is for services with via=xmpp: remove it")
	}
	if slices.ContainsFunc(s.MUCDomains, s.Domain.Equal) {
		return Shard{}, fmt.Errorf("muc: %s is the component", s.Domain)
	}
	return s, nil
}

// set parses the value of a field into s.
func (s *Shard) set(field, value string) (err error) {
	p := &parser{}
	switch field {
	case "name":
		s.Name = value
		if !shardName.MatchString(value) {
			return errors.New("use up to 64 letters, digits, hyphens and underscores, beginning with a letter or digit")
		}
	case "url":
		s.Prosody = p.prosody("", value)
	case "component":
		s.Domain = p.domain("", value)
	case "secret_file":
		if s.secretFile = value; value == "" {
			return errors.New("is empty: name the file with the component_secret")
		}
	case "muc":
		s.MUCDomains = p.mucDomains("", value, jid.JID{})
	case "kind":
		if s.Kind = occupancy.ShardKind(value); s.Kind != occupancy.ShardMain && s.Kind != occupancy.ShardVisitors {
			return fmt.Errorf("%q is not a kind: use main, or visitors for a visitor node", value)
		}
	case "via":
		if s.Via = Via(value); s.Via != ViaXMPP && s.Via != ViaNATS {
			return fmt.Errorf("%q is no way to a shard: use xmpp or nats", value)
		}
	case "deliverer":
		s.Deliverer = p.domain("", value)
	case "retired":
		if s.Retired, err = time.Parse(time.RFC3339, value); err != nil || s.Retired.Unix() < 0 {
			return fmt.Errorf("%q is not a time such as 2027-12-31T18:00:00Z", value)
		}
	}
	if len(p.problems) > 0 {
		return errors.New(strings.TrimPrefix(p.problems[0], ": "))
	}
	return nil
}

// checkDomains returns an error if a domain of s belongs to a shard of another kind, or if two shards are one component of one Prosody.
func checkDomains(others []Shard, s Shard) error {
	for _, other := range others {
		if s.Via == ViaXMPP && other.Via == ViaXMPP && s.Prosody == other.Prosody && s.Domain.Equal(other.Domain) {
			return fmt.Errorf("url: %s as %s is the shard %s already", s.Prosody, s.Domain, other.Name)
		}
		if other.Kind == s.Kind {
			continue
		}
		for _, d := range s.MUCDomains {
			if slices.ContainsFunc(other.MUCDomains, d.Equal) {
				return fmt.Errorf("muc: %s is a MUC domain of the shard %s, which is of kind %s", d, other.Name, other.Kind)
			}
		}
	}
	return nil
}

// shards returns the shards to watch: those of the file, or one of the other settings.
func (p *parser) shards(s Settings) []Shard {
	if s.ShardsFile != "" {
		if s.WebhookDeliverer != "" {
			p.problem("PPCH_WEBHOOK_DELIVERER", "is set, and PPCH_SHARDS_FILE too: write deliverer= into the line of the shard")
		}
		shards, err := s.LoadShards()
		if err != nil {
			p.problem("PPCH_SHARDS_FILE", "%s", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		}
		return shards
	}
	one := Shard{
		Name: occupancy.DefaultShard, Kind: occupancy.ShardMain, Via: ViaXMPP,
		Prosody: p.prosody("PROSODY_URL", s.ProsodyURL),
		Domain:  p.domain("PPCH_COMPONENT_DOMAIN", s.ComponentDomain),
		Secret: p.secret("PPCH_COMPONENT_SECRET", s.ComponentSecret, s.ComponentSecretFile,
			"it is the component_secret in Prosody's configuration"),
		Settings: occupancy.Settings{Secret: s.secretSetting()}.OrDefault(),
	}
	if s.WebhookDeliverer != "" {
		one.Deliverer = p.domain("PPCH_WEBHOOK_DELIVERER", s.WebhookDeliverer)
	}
	one.MUCDomains = p.mucDomains("MUC_DOMAIN", s.MUCDomains, one.Domain)
	return []Shard{one}
}

// mucDomainsOf returns the MUC domains of the shards in service, those of main shards first.
func mucDomainsOf(shards []Shard) (domains []jid.JID) {
	for _, kind := range []occupancy.ShardKind{occupancy.ShardMain, occupancy.ShardVisitors} {
		for _, s := range shards {
			if s.Kind != kind || !s.Retired.IsZero() {
				continue
			}
			for _, d := range s.MUCDomains {
				if !slices.ContainsFunc(domains, d.Equal) {
					domains = append(domains, d)
				}
			}
		}
	}
	return domains
}

// deliverers warns of deliverers that have no effect.
func (p *parser) deliverers(shards []Shard, s Settings) {
	for _, shard := range shards {
		switch {
		case shard.Deliverer.Equal(jid.JID{}) || !shard.Retired.IsZero():
		case s.NATSURL == "":
			p.warnings = append(p.warnings, "the deliverer of the shard "+shard.Name+" has no effect: set PPCH_NATS_URL, over which its peer takes over")
		case s.DataDir == "":
			p.warnings = append(p.warnings, "the deliverer of the shard "+shard.Name+" has no effect: set PPCH_DATA_DIR, which webhooks need")
		}
	}
}
