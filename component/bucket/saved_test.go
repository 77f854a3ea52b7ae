package bucket_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/component/bucket"
)

// A node that starts while NATS is away has the settings that it saved, until it can read the bucket.
func TestSaved_StartWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	nats := runNATS(t)
	url, file := nats.ClientURL(), filepath.Join(t.TempDir(), "data", "settings")
	first := newSavingNode(t, url, file)
	first.put("keys", "name=a sha256=00")
	first.put("webhook.1", "hook")
	first.put("webhook.2", "hook")
	first.remove("webhook.2")
	eventually(t, "the settings are saved", func() bool {
		b, err := bucket.New(bucket.Config{Conn: first.conn, Secret: secret, File: file})
		if err != nil {
			t.Fatal(err)
		}
		_, some, err := b.Get("webhook.1")
		_, none, _ := b.Get("webhook.2")
		return err == nil && some && !none
	})
	first.stop()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v want a file that only its owner reads", info, err)
	}
	if data, err := os.ReadFile(file); err != nil || bytes.Contains(data, []byte("sha256")) || bytes.Contains(data, []byte("keys")) {
		t.Errorf("got %q, %v want it sealed", data, err)
	}
	nats.Stop()

	late := newSavingNode(t, url, file)
	late.problem("nats-unreachable")
	for name, want := range map[string]string{"keys": "name=a sha256=00", "webhook.1": "hook", "webhook.2": "-", "other": "-"} {
		if got := late.value(name); got != want {
			t.Errorf("%s: got %q want %q", name, got, want)
		}
	}
	if all, err := late.Entries("webhook."); err != nil || len(all) != 2 {
		t.Errorf("got %v, %v want both entries", all, err)
	}
	if d := late.Diagnostics(); !d.Loaded || d.ReadAt.IsZero() || time.Since(d.ReadAt) > time.Hour {
		t.Errorf("got %+v want when the settings were compared last", d)
	}
	if log := late.log.String(); !strings.Contains(log, `using="saved settings"`) || !strings.Contains(log, "age=") {
		t.Errorf("got the log %s want the age", log)
	}

	nats.Start()
	other := newClient(t, url)
	other.put("keys", "")
	other.remove("webhook.1")
	late.has("keys", "")
	late.has("webhook.1", "-")
	late.problem("")
	late.stop()
	nats.Stop()
	again := newSavingNode(t, url, file)
	again.problem("nats-unreachable")
	if got := again.value("keys"); got != "" {
		t.Errorf("got %q want that the removal was saved", got)
	}
}

// Once NATS answers, only the bucket counts: what it doesn't have is gone.
func TestSaved_EndsWhenNATSAnswers(t *testing.T) {
	t.Parallel()
	url, file := runNATS(t).ClientURL(), filepath.Join(t.TempDir(), "settings")
	newClient(t, url).put("keys", "one")
	bucket.WriteSaved(t, file, secret, "ppch_config", time.Now(), bucket.Entry{Name: "old", Value: []byte("x"), Generation: 1})
	n := newSavingClient(t, url, file)
	if got := n.value("old"); got != "x" {
		t.Errorf("got %q want the saved entry", got)
	}
	n.follow()
	n.has("old", "-")
	n.has("keys", "one")
}

func TestSaved_Unusable(t *testing.T) {
	t.Parallel()
	entry := bucket.Entry{Name: "keys", Value: []byte("one"), Generation: 1}
	for name, tt := range map[string]struct {
		secret, bucket string
		age            time.Duration
		data           string
		log            string
	}{
		"older than a day":       {secret, "ppch_config", bucket.SavedFor + time.Second, "", "too old"},
		"of a clock set back":    {secret, "ppch_config", -bucket.SavedFor - time.Second, "", "too old"},
		"of another cluster":     {"the secret of another cluster", "ppch_config", 0, "", "not usable"},
		"of another bucket":      {secret, "other_config", 0, "", "not usable"},
		"garbage":                {data: "garbage", log: "not usable"},
		"cut off":                {data: "ppch-bucket/1\n", log: "not usable"},
		"nothing":                {data: " ", log: "not usable"},
		"of a later release":     {data: "ppch-bucket/2\nx", log: "not usable"},
		"an entry of the bucket": {data: string(bucket.Seal(t, secret, entry)), log: "not usable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "settings")
			if tt.data == "" {
				bucket.WriteSaved(t, file, tt.secret, tt.bucket, time.Now().Add(-tt.age), entry)
			} else if err := os.WriteFile(file, []byte(tt.data), 0o600); err != nil {
				t.Fatal(err)
			}
			n := newSavingNode(t, "nats://127.0.0.1:1", file)
			n.has("keys", "nats-unreachable")
			if log := n.log.String(); !strings.Contains(log, "saved settings "+tt.log) || !strings.Contains(log, file) {
				t.Errorf("got the log %s", log)
			}
		})
	}
}

// Settings that a node uses end when they become too old.
func TestSaved_End(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "settings")
	bucket.WriteSaved(t, file, secret, "ppch_config", time.Now().Add(2*time.Second-bucket.SavedFor), bucket.Entry{Name: "keys", Value: []byte("one"), Generation: 1})
	n := newSavingClient(t, "nats://127.0.0.1:1", file)
	if got := n.value("keys"); got != "one" {
		t.Errorf("got %q want the saved entry", got)
	}
	changed := n.Changed()
	n.follow()
	n.has("keys", "nats-unreachable")
	select {
	case <-changed:
	default:
		t.Error("the end is not reported")
	}
}

// A folder that can't be written is reported once, and changes nothing else.
func TestSaved_Unwritable(t *testing.T) {
	t.Parallel()
	url, dir := runNATS(t).ClientURL(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n := newSavingNode(t, url, filepath.Join(dir, "data", "settings"))
	n.put("keys", "one")
	n.has("keys", "one")
	eventually(t, "the error is in the log", func() bool { return strings.Contains(n.log.String(), "settings not saved") })
	n.put("keys", "two")
	n.has("keys", "two")
	n.problem("")
	if got := strings.Count(n.log.String(), "settings not saved"); got != 1 {
		t.Errorf("got %d lines want 1:\n%s", got, n.log)
	}
}
