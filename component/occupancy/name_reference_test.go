package occupancy_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ppch/component/occupancy"
	"ppch/prosody/prosodytest"
)

// links returns the parts of links after the host, as people write them.
func links(t testing.TB) (all []string) {
	t.Helper()
	data, err := os.ReadFile("testdata/links.json")
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	check(t, err)
	return all
}

// syllables are the parts of random names: all that has a meaning to a browser, the client or Prosody.
var syllables = append(strings.Split("a B 1 é É ß Σ ς İ ｔ ﬁ 会 🎉 ̱ \u200d \u00ad \u3000 \u202e . .. - _ ~ % %2 %25 %2B %2b %41 %C3%A9 %c3 %20 %2F %5B %3C", " "),
	strings.Split(":?#[]!$&'()*+,;=></\"\\^`{|} /", "")...)

func randomLinks(n int) (all []string) {
	random := rand.New(rand.NewPCG(15, 9))
	for range n {
		var b strings.Builder
		for range 1 + random.IntN(7) {
			b.WriteString(syllables[random.IntN(len(syllables))])
		}
		all = append(all, b.String())
	}
	return all
}

// refusals are parts of the reasons for which a NameResolver may reject a link that a browser would open.
var refusals = []string{
	"browsers remove it",      // dot segments
	"no partner",              // brackets are a tenant here, so one alone is a mistake
	"one tenant at most",      // "[a]b/c"
	"apostrophe",              // Prosody refuses its address
	"can't contain control",   // as does XML
	"30 combining marks",      // NFKC of x/text
	"a tenant can't be empty", // "//room", which nginx makes one slash
	"part of a host name",     // "a/[b", or a tenant that Prosody refuses
}

// TestNames_AgreeWithJitsi compares Room with testdata/jitsi.mjs, which computes in JavaScript, from a browser's URL, which room a link opens.
func TestNames_AgreeWithJitsi(t *testing.T) {
	written := append(links(t), randomLinks(5000)...)
	for i := range written {
		// Leading brackets are a tenant as Prosody names it, which no link has; an @ makes a JID.
		if strings.HasPrefix(strings.TrimLeft(written[i], `/\`), "[") {
			written[i] = strings.TrimLeft(written[i], `/\[`)
		}
		written[i] = strings.ReplaceAll(written[i], "@", "%40")
	}
	in := must(json.Marshal(written))(t)
	reference := exec.Command(prosodytest.Installed(t, "node"), "testdata/jitsi.mjs")
	reference.Stdin, reference.Stderr = strings.NewReader(string(in)), t.Output()
	out := must(reference.Output())(t)
	var entered []struct{ Local, None string }
	check(t, json.Unmarshal(out, &entered))
	n := newNames(mucDomain...)
	rooms := 0
	for i, want := range entered {
		got, err := n.Room(written[i])
		var refused *occupancy.NameError
		switch {
		case err == nil && got.Localpart() != want.Local:
			t.Errorf("%q: got %q want %q (%s)", written[i], got.Localpart(), want.Local, want.None)
		case err == nil:
			rooms++
		case !errors.As(err, &refused) || want.Local != "" && !mayRefuse(refused.Reason):
			t.Errorf("%q: got %v want %q", written[i], err, want.Local)
		}
	}
	if rooms < 2500 {
		t.Errorf("only %d names were those of rooms", rooms)
	}
}

func mayRefuse(reason string) bool {
	for _, r := range refusals {
		if strings.Contains(reason, r) {
			return true
		}
	}
	return false
}

// tenants are decoded tenants from links.
var tenants = []string{
	"acme", "ACME", "my_tenant", "-x-", "täst", "TÄST", "Straße", "ẞ", "ΟΔΥΣΣΕΥΣ", "ς", "İst", "ıst", "ŉx", "ǰ", "և", "ẖ", "ẚ", "ﬁne", "ﬅ", "ſ", "ΐ", "ᾳ", "ｔｅｎ", "①", "Ⅷ", "ﾊﾝ", "한국", "会议", "हिन्दी", "ไทย",
	"te\u00adnant", "te\u200bnant", "te\u200cnant", "te\u200dnant", "te\ufeffnant", "te\ufe0fnant", "e\u0301", "H\u0331", "q\u0331\u0331", "te+nant", "a%b", "a(b)c!", "a;b,c=d$e*", "a~b`c{d}|e^f", "\u212a", "\u0130\u0049",
}

// TestTenant_AgreesWithProsody compares Tenant with how Prosody prepares the host that a tenant's client addresses.
func TestTenant_AgreesWithProsody(t *testing.T) {
	srv := prosodytest.New(t, prosodytest.Options{})
	for _, tenant := range tenants {
		// As docker-jitsi-meet's system-config.js does; JavaScript keeps the dot of an İ.
		host := "muc." + strings.ToLower(strings.NewReplacer(".", "_", "İ", "i\u0307").Replace(tenant)) + ".meet.jitsi"
		lua := "> return string.format('%q', tostring(require'util.jid'.prep('" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(host) + "')))"
		out := must(srv.Shell(t.Context(), lua))(t)
		want := "muc." + occupancy.Tenant(tenant) + ".meet.jitsi"
		if !strings.Contains(out, `"`+want+`"`) {
			t.Errorf("%q: got %s want %s", tenant, out, want)
		}
	}
}
