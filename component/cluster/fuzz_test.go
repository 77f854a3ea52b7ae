package cluster_test

import (
	"bytes"
	"strings"
	"testing"

	"ppch/component/cluster"
)

// samples are bodies of messages.
var samples = []string{
	`{"kind":"batch","shard":"main","collector":"ppch.meet.jitsi","epoch":"20261130T005323Z-BNN6QZ7G","seq":7,"at":12000000,"time":1764460000000,"domain":"muc.meet.jitsi","age":1500,"synced":true,"rooms":1,"occupants":2}` + "\n" +
		"=\ta@muc.meet.jitsi\tnew\t{\"created\":1700000000000,\"subject\":\"a b\",\"breakouts\":[{\"jid\":\"x@breakout.meet.jitsi\"}]}\n" +
		"-\tbob\tkicked\t\n" +
		"+\tann\tuser\t\tparticipant\tnone\t1700000000000\t1700000000000\tann@meet.jitsi/x\tAn\\tn\t96\thibernating\t\thttps://x/y.png\t1\tAnn\tstaff\tann@x\n" +
		"!\tb@muc.meet.jitsi\troom-destroyed\ta@muc.meet.jitsi\n",
	`{"kind":"state","shard":"main","collector":"c","epoch":"e","seq":7,"at":1,"version":"2.0.0","shard_kind":"main","heartbeat":4000000,"domains":[{"jid":"muc.meet.jitsi","type":"main","known":true,"age":5,"current":true,"connected":true,"since":70,"mode":"module","reason":"lost","remedy":"x","retry":5}],"end":true}` + "\n",
	`{"kind":"page","shard":"main","collector":"c","epoch":"e","seq":7,"nonce":"n","snapshot":"s","from":{"Domain":0,"Room":0,"Occupant":0},"next":{"Domain":1,"Room":0,"Occupant":0},"heartbeat":1}` + "\n",
	`{"kind":"request","shard":"main","collector":"c","epoch":"e","seq":0,"nonce":"n"}` + "\n",
	`{"kind":"question","shard":"main","collector":"c","epoch":"e","seq":0,"nonce":"n","once":true}` + "\n" + `{"Ask":"meetings"}`,
	`{"kind":"answer","shard":"main","collector":"c","epoch":"e","seq":0,"nonce":"n","part":2,"parts":3}` + "\nany\nbytes",
}

// FuzzMessage reads anything: what is accepted stays the same when it is written and read again.
func FuzzMessage(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := cluster.Recode(body)
		if err != nil {
			return
		}
		second, err := cluster.Recode(first)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%q written and read again: %v\n got %q\nwant %q", body, err, second, first)
		}
	})
}

// FuzzSeal opens anything: nothing is accepted that the secret didn't seal.
func FuzzSeal(f *testing.F) {
	body := []byte(samples[0])
	f.Add(cluster.Wrap(secret, body))
	f.Add(cluster.Wrap("another", body))
	f.Add(cluster.OtherVersion(secret, "2", body))
	f.Fuzz(func(t *testing.T, message []byte) {
		if got, err := cluster.Unwrap(secret, message); err == nil && !bytes.Equal(cluster.Wrap(secret, got), message) {
			t.Errorf("got %q from %q", got, message)
		}
	})
}

func TestMessage_Samples(t *testing.T) {
	for _, s := range samples {
		got, err := cluster.Recode([]byte(s))
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		_, lines, _ := strings.Cut(s, "\n")
		if _, again, _ := strings.Cut(string(got), "\n"); again != lines {
			t.Errorf("got\n%s want\n%s", again, lines)
		}
	}
}

func TestMessage_Refuses(t *testing.T) {
	batch := func(header, lines string) string {
		return `{"kind":"batch","shard":"main","collector":"c","epoch":"e","seq":1,"domain":"muc.x"` + header + "}\n" + lines
	}
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", "not a message"},
		{"no header", "hello\n", "header"},
		{"another kind", `{"kind":"party","shard":"main","collector":"c","epoch":"e"}` + "\n", `kind "party"`},
		{"no epoch", `{"kind":"batch","shard":"main","collector":"c"}` + "\n", "epoch"},
		{"a batch without number", `{"kind":"batch","shard":"main","collector":"c","epoch":"e","domain":"muc.x"}` + "\n", "seq 0"},
		{"a batch without domain", `{"kind":"batch","shard":"main","collector":"c","epoch":"e","seq":1}` + "\n", `domain ""`},
		{"a state without heartbeat", `{"kind":"state","shard":"main","collector":"c","epoch":"e"}` + "\n", "heartbeat"},
		{"a question without nonce", `{"kind":"question","shard":"main","collector":"c","epoch":"e"}` + "\n", "nonce"},
		{"an answer without parts", `{"kind":"answer","shard":"main","collector":"c","epoch":"e","nonce":"n"}` + "\n", "part 0 of 0"},
		{"a part beyond the last", `{"kind":"answer","shard":"main","collector":"c","epoch":"e","nonce":"n","part":3,"parts":2}` + "\n", "part 3 of 2"},
		{"too many parts", `{"kind":"answer","shard":"main","collector":"c","epoch":"e","nonce":"n","part":1,"parts":1000000}` + "\n", "part 1 of 1000000"},
		{"a negative age", batch(`,"age":-1`, ""), "age -1"},
		{"a clock that runs too fast", batch(`,"at":9223372036854775807`, ""), "at 9223372036854775807"},
		{"negative totals", batch(`,"rooms":-1`, ""), "-1 rooms"},
		{"a negative cursor", `{"kind":"page","shard":"main","collector":"c","epoch":"e","next":{"Domain":-1}}` + "\n", "cursor"},
		{"an unknown mode", `{"kind":"state","shard":"main","collector":"c","epoch":"e","heartbeat":1,"domains":[{"jid":"muc.x","type":"main","mode":"guess"}]}` + "\n", "guess"},
		{"an occupant outside of a room", batch("", "+\tann\tuser\t\t\t\t\t\t\t\t0\n"), "outside of a room"},
		{"an occupant of an ended room", batch("", "!\tr@muc.x\n+\tann\tuser\n"), "outside of a room"},
		{"an occupant without nick", batch("", "=\tr@muc.x\n+\t\tuser\n"), `nick ""`},
		{"an occupant of an unknown kind", batch("", "=\tr@muc.x\n+\tann\tghost\n"), `kind "ghost"`},
		{"flags that aren't a number", batch("", "=\tr@muc.x\n+\tann\tuser\n"), `flags ""`},
		{"a joining time after the year 9999", batch("", "=\tr@muc.x\n+\tann\tuser\t\t\t\t253402300800000\t\t\t\t0\n"), "time"},
		{"a room without address", batch("", "=\n"), "jid"},
		{"facts that aren't JSON", batch("", "=\tr@muc.x\t\tnone\n"), "facts"},
		{"a room created before 1970", batch("", "=\tr@muc.x\t\t{\"created\":-1}\n"), "facts"},
		{"an unknown sign", batch("", "=\tr@muc.x\n*\tann\n"), `"*"`},
		{"a line without end", batch("", "=\tr@muc.x"), "line end"},
		{"an unknown escape", batch("", "=\tr\\x@muc.x\n"), "escape"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := cluster.Recode([]byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %s and error %v, want an error with %q", got, err, c.want)
			}
		})
	}
}

func TestConfig_Refuses(t *testing.T) {
	good := cluster.Config{URLs: []string{"nats://127.0.0.1:1"}, Secret: secret}
	for _, c := range []struct {
		name   string
		change func(*cluster.Config)
		want   string
	}{
		{"no URL", func(c *cluster.Config) { c.URLs = nil }, "no URL"},
		{"no secret", func(c *cluster.Config) { c.Secret = "" }, "no secret"},
		{"not a URL", func(c *cluster.Config) { c.URLs = []string{"nats:4222"} }, `"nats:4222" is not a URL of NATS`},
		{"another scheme", func(c *cluster.Config) { c.URLs = []string{"http://user:pass@nats:4222"} }, `"http://user:xxxxx@nats:4222": the scheme is http`},
		{"a prefix with a wildcard", func(c *cluster.Config) { c.Prefix = "ppch.*" }, `"*" can't be a part of a subject`},
		{"a certificate without key", func(c *cluster.Config) { c.Cert = "cert.pem" }, "needs its key"},
		{"authorities that don't exist", func(c *cluster.Config) { c.CA = "/nowhere/ca.pem" }, "authorities"},
		{"authorities that aren't PEM", func(c *cluster.Config) { c.CA = "export_test.go" }, "no certificate in PEM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			conn, err := cluster.Dial(cfg)
			if err == nil {
				conn.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
