package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"ppch/component/bucket"
	"ppch/component/cluster"
	"ppch/component/occupancy"
)

func reason(err error) string {
	var p *occupancy.UnavailableError
	if errors.As(err, &p) {
		return string(p.Reason)
	}
	return err.Error()
}

func TestBucket_OneSettingEverywhere(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(*testing.T) string{
		"Debian's NATS":  debianNATS,
		"current NATS":   func(t *testing.T) string { return runNATS(t).ClientURL() },
		"three replicas": func(t *testing.T) string { return runCluster(t)[0].ClientURL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := url(t)
			a := newNode(t, url)
			a.problem("bucket-missing")
			if got := a.value("keys"); got != "bucket-missing" {
				t.Errorf("got %q want that it is unknown", got)
			}
			a.put("keys", "one")
			b := newNode(t, url)
			b.has("keys", "one")
			b.has("other", "-")
			if got := a.value("keys"); got != "one" {
				t.Errorf("got %q after the write want it at once", got)
			}
			for i := range 50 {
				b.put(fmt.Sprintf("webhook.%d", i), fmt.Sprint(i))
			}
			b.remove("webhook.7")
			a.has("webhook.49", "49")
			a.has("webhook.7", "-")
			if all, err := a.Entries("webhook."); err != nil || len(all) != 50 || all[0].Name != "webhook.0" {
				t.Errorf("got %d entries, %v want 50", len(all), err)
			}
			a.problem("")
			b.put("keys", "two")
			a.has("keys", "two")
			stream, err := newForeign(t, url).js.Stream(t.Context(), "KV_ppch_config")
			if err != nil {
				t.Fatal(err)
			}
			if got := stream.CachedInfo().Config.Replicas; (got == 3) != (name == "three replicas") {
				t.Errorf("got %d replicas", got)
			}
		})
	}
}

// Two writers at a time: no change is lost.
func TestBucket_ConcurrentUpdates(t *testing.T) {
	t.Parallel()
	url := runNATS(t).ClientURL()
	newClient(t, url).put("keys", "")
	var wg sync.WaitGroup
	for range 4 {
		n := newClient(t, url)
		wg.Go(func() {
			for range 5 {
				for {
					_, err := n.Update(t.Context(), "keys", func(now bucket.Entry) (bucket.Entry, error) {
						return bucket.Entry{Value: append(bytes.Clone(now.Value), 'x')}, nil
					})
					if err == nil {
						break
					}
					if !strings.Contains(err.Error(), "other programs change") {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	newNode(t, url).has("keys", strings.Repeat("x", 20))
}

func TestBucket_NATSAway(t *testing.T) {
	t.Parallel()
	nats := runNATS(t)
	url := nats.ClientURL()
	a := newNode(t, url)
	a.put("keys", "one")
	a.problem("")
	nats.Stop()
	a.problem("nats-unreachable")
	d := a.Diagnostics()
	if got := a.value("keys"); got != "one" || !d.Loaded || d.ReadAt.IsZero() {
		t.Errorf("got %q, %+v want the last settings", got, d)
	}
	if _, err := a.Update(timeout(t, time.Second), "keys", func(bucket.Entry) (bucket.Entry, error) { return bucket.Entry{}, nil }); reason(err) != "nats-unreachable" {
		t.Errorf("got %v want that NATS is away", err)
	}
	late := newNode(t, url)
	late.problem("nats-unreachable")
	if got := late.value("keys"); got != "nats-unreachable" {
		t.Errorf("got %q want that it is unknown", got)
	}
	if all, err := late.Entries(""); err == nil {
		t.Errorf("got %v want that the entries are unknown", all)
	}
	nats.Start()
	late.has("keys", "one") // from the files of NATS
	a.problem("")
	late.put("keys", "two")
	a.has("keys", "two")
}

func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestBucket_Lost(t *testing.T) {
	t.Parallel()
	url := runNATS(t).ClientURL()
	a := newNode(t, url)
	a.put("keys", "one")
	a.put("webhook.1", "hook")
	a.has("keys", "one")
	f := newForeign(t, url)
	if err := f.js.DeleteKeyValue(t.Context(), "ppch_config"); err != nil {
		t.Fatal(err)
	}
	a.problem("bucket-missing")
	if got := a.value("keys"); got != "one" {
		t.Errorf("got %q want the last settings", got)
	}
	newNode(t, url).has("keys", "bucket-missing")
	newClient(t, url).put("keys", "two")
	a.has("keys", "two")
	a.problem("bucket-deleted") // the webhook
	if got := a.value("webhook.1"); got != "hook" {
		t.Errorf("got %q want the webhook kept", got)
	}
}

func TestBucket_ForeignPrograms(t *testing.T) {
	t.Parallel()
	url := runNATS(t).ClientURL()
	a := newNode(t, url)
	a.put("keys", "one")
	f := newForeign(t, url)
	old := f.raw("keys")
	a.put("keys", "two")
	b := newNode(t, url)
	b.has("keys", "two")
	last := f.raw("keys")
	otherCluster := func(c *cluster.Config) { c.Secret = "the secret of another cluster" }
	stranger := newNode(t, url, otherCluster)
	stranger.has("keys", "bucket-foreign")
	if _, err := stranger.set("keys", "mine"); reason(err) != "bucket-foreign" {
		t.Errorf("got %v want that a node with another secret doesn't replace the keys", err)
	}

	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"garbage":           {[]byte("\x00\xff garbage"), "bucket-foreign"},
		"nothing":           {nil, "bucket-foreign"},
		"without a seal":    {[]byte("ppch-bucket/1\nname=x sha256=00 scope=all"), "bucket-foreign"},
		"a changed bit":     {append(bytes.Clone(last[:len(last)-1]), last[len(last)-1]^1), "bucket-foreign"},
		"an older value":    {old, "bucket-replayed"},
		"a newer version":   {[]byte("ppch-bucket/2\nwho knows"), "bucket-version"},
		"an absurd version": {[]byte("ppch-bucket/99999999999999999999\n"), "bucket-foreign"},
	} {
		f.write("keys", c.data)
		b.problem(c.want)
		if got := b.value("keys"); got != "two" {
			t.Errorf("%s: got %q want the last settings", name, got)
		}
		f.write("keys", last)
		b.problem("")
	}

	// An entry under another name.
	f.write("webhook.1", last)
	b.problem("bucket-foreign")
	b.has("webhook.1", "bucket-foreign")

	// Deletions.
	if err := f.Purge(t.Context(), "webhook.1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Delete(t.Context(), "keys"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deletion is reported", func() bool { return strings.Contains(b.log.String(), "bucket-deleted") })
	if got := b.value("keys"); got != "two" {
		t.Errorf("got %q want the last settings", got)
	}

	// A removed entry doesn't come back by its old value.
	b.put("webhook.2", "gone")
	removed := f.raw("webhook.2")
	b.remove("webhook.2")
	a.has("webhook.2", "-")
	f.write("webhook.2", removed)
	eventually(t, "the replay is reported", func() bool { return strings.Contains(a.log.String(), "bucket-replayed") })
	if got := a.value("webhook.2"); got != "-" {
		t.Errorf("got %q want it removed", got)
	}

	// The next change of PPCH is based on what it had.
	if _, err := b.Update(t.Context(), "keys", func(now bucket.Entry) (bucket.Entry, error) {
		return bucket.Entry{Value: append(bytes.Clone(now.Value), " and three"...)}, nil
	}); err != nil {
		t.Fatal(err)
	}
	a.has("keys", "two and three")
	if b.Diagnostics().Refused == 0 {
		t.Error("nothing is counted as refused")
	}
}

// No program without the secret reads the settings in the bucket, or in the log.
func TestBucket_Secrecy(t *testing.T) {
	t.Parallel()
	url := runNATS(t).ClientURL()
	a := newNode(t, url)
	const value = "whsec_dGhpcyBpcyBhIHNlY3JldA=="
	a.put("webhook.1", value)
	a.has("webhook.1", value)
	f := newForeign(t, url)
	first := f.raw("webhook.1")
	a.put("webhook.1", value)
	if second := f.raw("webhook.1"); bytes.Equal(first, second) || bytes.Contains(second, []byte("whsec")) || bytes.Contains(second, []byte("dGhpcyBp")) {
		t.Errorf("got %q want it encrypted", second)
	}
	if log := a.log.String(); strings.Contains(log, value) {
		t.Error(log)
	}
}

func TestBucket_NoJetStream(t *testing.T) {
	t.Parallel()
	a := newNode(t, runNATS(t, func(o *server.Options) { o.JetStream = false }).ClientURL())
	a.problem("jetstream-off")
	if _, err := a.set("keys", "one"); reason(err) != "jetstream-off" {
		t.Errorf("got %v want that there is no JetStream", err)
	}
}

// readers and writers are the least permissions, as in the documentation.
var (
	readers = []string{"$JS.API.STREAM.INFO.KV_ppch_config", "$JS.API.DIRECT.GET.KV_ppch_config"}
	writers = append([]string{"$KV.ppch_config.>", "$JS.API.DIRECT.GET.KV_ppch_config.>"}, readers...)
	makers  = append([]string{"$JS.API.STREAM.CREATE.KV_ppch_config"}, writers...)
)

func TestBucket_Permissions(t *testing.T) {
	t.Parallel()
	user := func(name string, publish ...string) *server.User {
		return &server.User{Username: name, Password: name, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}
	}
	nats := runNATS(t, func(o *server.Options) {
		collector := user("collector", readers...)
		collector.Permissions.Subscribe.Allow = []string{"ppch.a.ppch_meet_jitsi.answer.>"}
		o.Users = []*server.User{user("reader", readers...), user("writer", writers...), user("maker", makers...), user("stranger", "x"), collector}
	})
	as := func(name string) func(*cluster.Config) {
		return func(c *cluster.Config) { c.User, c.Password = name, name }
	}
	url := nats.ClientURL()
	if _, err := newClient(t, url, as("writer")).set("keys", "one"); reason(err) != "nats-forbidden" || !strings.Contains(remedy(err), "$JS.API.STREAM.CREATE.KV_ppch_config") {
		t.Errorf("got %v %s want the missing permission", err, remedy(err))
	}
	newClient(t, url, as("maker")).put("keys", "one")
	newClient(t, url, as("writer")).put("keys", "two")
	reader := newNode(t, url, as("reader"))
	reader.has("keys", "two")
	newNode(t, url, as("collector"), func(c *cluster.Config) { c.Shard, c.Collector = "a", "ppch.meet.jitsi" }).has("keys", "two")
	if _, err := reader.set("keys", "three"); reason(err) != "nats-forbidden" || !strings.Contains(remedy(err), "$JS.API.DIRECT.GET.KV_ppch_config.$KV.ppch_config.keys") {
		t.Errorf("got %v %s want the missing permission", err, remedy(err))
	}
	stranger := newNode(t, url, as("stranger"))
	stranger.problem("nats-forbidden")
	if p := stranger.conn.Diagnostics().Problem; p != nil {
		t.Errorf("got %v want shards unaffected", p)
	}
	if n := strings.Count(stranger.log.String(), "NATS forbids"); n != 1 {
		t.Errorf("got %d lines in the log want 1:\n%s", n, stranger.log)
	}
}

func remedy(err error) string {
	var p *occupancy.UnavailableError
	if errors.As(err, &p) {
		return p.Remedy
	}
	return ""
}

func TestBucket_Bounds(t *testing.T) {
	t.Parallel()
	url := runNATS(t).ClientURL()
	a := newNode(t, url)
	if _, err := a.set("keys", strings.Repeat("x", bucket.MaxValue+1)); err == nil || !strings.Contains(err.Error(), "at most 768 KiB") {
		t.Errorf("got %v want that the value is too large", err)
	}
	a.put("keys", strings.Repeat("x", bucket.MaxValue))
	f := newForeign(t, url)
	for i := range 300 {
		f.write(fmt.Sprintf("flood.%d", i), []byte("x"))
	}
	b := newNode(t, url)
	b.has("keys", strings.Repeat("x", bucket.MaxValue))
	eventually(t, "all are refused", func() bool { return b.Diagnostics().Refused >= 300 })
	if n := strings.Count(b.log.String(), "refused"); n > 100 {
		t.Errorf("got %d lines in the log want at most 100", n)
	}
}

// A server of the cluster stops, and another answers.
func TestBucket_ServerStops(t *testing.T) {
	t.Parallel()
	servers := runCluster(t)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	all := func(c *cluster.Config) { c.URLs = urls }
	a, b := newNode(t, urls[0], all), newNode(t, urls[1], all)
	a.put("keys", "one")
	b.has("keys", "one")
	servers[0].Stop()
	eventually(t, "the others take a change", func() bool {
		_, err := b.set("keys", "two")
		return err == nil
	})
	a.has("keys", "two")
}
