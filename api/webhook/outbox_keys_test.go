package webhook_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"ppch/api/keys"
	"ppch/api/webhook"
	"ppch/component/componenttest"
)

func TestOutbox_RotatesSecrets(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	old := s.add("in", in.URL, nil).Secret
	in.secret = old
	fresh := webhook.NewSecret()
	status, created, err := s.outbox.Put(t.Context(), s.owner, "in", webhook.Settings{URL: in.URL, Enabled: true}, fresh)
	if err != nil || created || status.Secret != fresh || status.Previous != old {
		t.Fatalf("got %+v, %t, %v", status, created, err)
	}
	s.record(s.joins("a", 0, 1)...)
	in.wait(1)
	in.secret = fresh
	s.restart()
	s.record(s.joins("a", 1, 2)...)
	in.wait(2)
}

func TestOutbox_WithdrawnKeyStops(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 1)...)
	eventually(t, func() string {
		if in.attempts() == 0 {
			return "no attempt"
		}
		return ""
	})
	s.stop()
	ring := s.keys
	s.keys = keyringOf(t, "name=b sha256="+strings.Repeat("0", 64)+" scope=all,webhooks")
	s.start()
	in.fail(nil)
	status, err := s.outbox.Get(t.Context(), s.owner, "in")
	if err != nil || status.Stopped != "the API key has expired or lacks the scope webhooks" {
		t.Errorf("got %+v, %v", status, err)
	}
	s.record(s.joins("a", 1, 2)...)
	s.stop()
	if len(in.accepted()) != 0 {
		t.Errorf("got %v", in.accepted())
	}
	s.keys = ring
	s.start()
	s.record(s.joins("a", 2, 3)...)
	same(t, "what happened while the key was withdrawn", map[string][]string{"a": {"nick00000", "nick00002"}}, in.wait(2))
}

func TestOutbox_SeesWhatItsKeySees(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	text := "ppch_0123456789abcdef"
	s.keys = keyringOf(t, fmt.Sprintf("name=b sha256=%x scope=count,webhooks room=a*", sumOf(text)))
	s.owner = sumOf(text)
	s.restart()
	s.add("in", in.URL, nil) // with names, which the key may not see
	s.record(append(append(s.joins("apple", 0, 1), s.joins("banana", 0, 1)...), s.joins("avocado", 0, 1)...)...)
	in.wait(2)
	for _, d := range in.accepted() {
		if d.nick != "" || strings.HasPrefix(d.room, "banana") {
			t.Errorf("got %+v", d)
		}
	}
}

// Settings with which a webhook could never receive anything are refused. If only its key changes, its state says why.
func TestOutbox_WithoutAnythingToReceive(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	s.stop()
	withKey := func(fields string) {
		t.Helper()
		s.stop()
		s.keys = keyringOf(t, fmt.Sprintf("name=b sha256=%x %s", sumOf(ownKey), fields))
		s.start()
	}
	sync := webhook.Settings{URL: in.URL, Names: true, Format: webhook.FormatEventSync, Enabled: true}
	rooms := webhook.Settings{URL: in.URL, Rooms: []string{"planning", "town-*"}, Enabled: true}
	put := func(settings webhook.Settings) error {
		_, _, err := s.outbox.Put(t.Context(), s.owner, string(settings.Format)+"in", settings, "")
		return err
	}
	withKey("scope=webhooks")
	if err := put(sync); !errors.As(err, new(*keys.ScopeError)) {
		t.Errorf("got %v", err)
	}
	check(t, put(rooms))
	withKey("scope=participants,webhooks room=acme/*,town")
	if err := put(rooms); !errors.Is(err, keys.ErrRoomNotAllowed) {
		t.Errorf("got %v", err)
	}
	check(t, put(sync))
	stopped := func(id, want string) {
		t.Helper()
		if status := must(s.outbox.Get(t.Context(), s.owner, id))(t); status.Stopped != want {
			t.Errorf("%s: got %q", id, status.Stopped)
		}
	}
	stopped("in", "the API key is limited to other rooms")
	stopped("event_syncin", "")
	s.record(s.joins("acme", 0, 1)...)
	withKey("scope=webhooks room=town-hall")
	stopped("in", "")
	stopped("event_syncin", "the format event_sync has names, and the API key lacks the scope participants")
	if got := in.accepted(); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
}

// unknownKeys is a list of keys that isn't known.
type unknownKeys struct{}

func (unknownKeys) Lines() (string, error) { return "", errors.New("NATS is away") }

func (unknownKeys) Changed() <-chan struct{} { return nil }

// While it is unknown whether the key of a webhook is still valid, the webhook receives nothing, and the log says so once.
func TestOutbox_UnknownKeyIsReported(t *testing.T) {
	t.Parallel()
	log := &componenttest.LogBuffer{}
	s := newStation(t, func(c webhook.Config) webhook.Config {
		c.Log = slog.New(slog.NewTextHandler(log, nil))
		return c
	})
	in := newInbox(t)
	s.add("in", in.URL, nil)
	s.stop()
	ring := must(keys.NewKeyring(keys.KeyringConfig{Shared: unknownKeys{}}))(t)
	known := s.keys
	s.keys = ring
	s.start()
	for i := range 2 {
		s.record(s.joins("a", i, i+1)...)
	}
	if got := strings.Count(log.String(), `msg="webhooks whose API keys are unknown miss events"`); got != 1 || !strings.Contains(log.String(), "NATS is away") {
		t.Errorf("got %s want one line about the keys", log)
	}
	s.stop()
	s.keys = known
	s.start()
	s.record(s.joins("a", 2, 3)...)
	same(t, "nicks by room", map[string][]string{"a": nicks(2, 3)}, in.wait(1))
}
