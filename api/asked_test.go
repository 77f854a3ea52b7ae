package api_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/component/occupancy"
)

// countingProsody notes the questions that a Server asks.
type countingProsody struct {
	api.Prosody

	// mu protects what follows.
	mu    sync.Mutex
	asked []string
}

func (p *countingProsody) Room(ctx context.Context, room jid.JID) (occupancy.Room, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, room.Localpart())
	return p.Prosody.Room(ctx, room)
}

func (p *countingProsody) RoomOn(ctx context.Context, shard string, room jid.JID) (occupancy.Room, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, room.Localpart()+" of "+shard)
	return p.Prosody.RoomOn(ctx, shard, room)
}

// Prosody is asked once for each room of a response, even if its answers take so long that no cache keeps the first one.
func TestRoom_AsksProsodyOncePerResponse(t *testing.T) {
	t.Parallel()
	prosody := &countingProsody{}
	s := start(t, withRooms(occupied), func(cfg *api.Config) {
		prosody.Prosody = cfg.Prosody
		cfg.Prosody = prosody
	})
	for path, want := range map[string][]string{
		"/api/rooms/daily":                   {"daily"},
		"/api/rooms/daily/participants":      {"daily"},
		"/api/rooms?name=a&name=b&name=A":    {"a", "b"},
		"/api/rooms?name=a&expand=occupants": {"a"},
		"/api/rooms/daily?shard=main":        {"daily of main"},
		"/api/rooms/daily?expand=visitors":   {"daily"},
	} {
		prosody.asked = nil
		if got := s.get(path).object(t); got["participant_count"] == nil && got["rooms"] == nil {
			t.Errorf("%s: got %v", path, got)
		}
		if !slices.Equal(prosody.asked, want) {
			t.Errorf("%s: asked %q want %q", path, prosody.asked, want)
		}
	}
}

// Without the Lua module, the answer about one shard is that of its Prosody, as without the parameter.
func TestShards_OneWithoutModule(t *testing.T) {
	t.Parallel()
	s := start(t, withRooms(occupied))
	all, one := s.get("/api/rooms/daily").object(t), s.get("/api/rooms/daily?shard=main").object(t)
	if one["participant_count"] != all["participant_count"] || one["room_jid"] != all["room_jid"] {
		t.Errorf("got %v want the numbers of %v", one, all)
	}
}
