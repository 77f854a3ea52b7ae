package admin_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"ppch/component/occupancy"
)

// While a domain is dropped and loaded again, no answer says that it is empty.
func TestHandler_ForgottenIsNeverEmpty(t *testing.T) {
	s := newStage(t)
	s.set(t, "[acme]daily")
	ctx, stop := context.WithCancel(t.Context())
	var forgetting sync.WaitGroup
	forgetting.Go(func() {
		for ctx.Err() == nil {
			s.directory.Shard(occupancy.DefaultShard).Forget(muc)
			s.set(t)
		}
	})
	items := func(node string) string {
		return s.ask(t, "get", "<query xmlns='http://jabber.org/protocol/disco#items' node='"+node+"'/>")
	}
	for range 500 {
		chat := s.send(t, "<message type='chat' from='"+boss+"' to='"+own+"'><body>rooms</body></message>")
		if !strings.Contains(chat, "acme/daily") && !strings.Contains(chat, "muc.meet.jitsi: unavailable") {
			t.Fatalf("got %s", chat)
		}
		if got := items("muc.meet.jitsi/[acme]"); strings.Contains(got, "item-not-found") {
			t.Fatalf("got %s", got)
		}
		info := s.ask(t, "get", "<query xmlns='http://jabber.org/protocol/disco#info' node='muc.meet.jitsi'/>")
		if !strings.Contains(info, "Problem") && !strings.Contains(info, "<field type=\"text-single\" var=\"rooms\" label=\"Rooms\"><value>1</value>") {
			t.Fatalf("got %s", info)
		}
	}
	stop()
	forgetting.Wait()
}
