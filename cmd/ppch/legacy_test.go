package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// Clients of Jitsi's mod_muc_size and mod_muc_census get their answers from PPCH, with the people of a real Prosody.
func TestLegacy_RealProsody(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada", "Grace")
	must(cast.Recorder(t.Context(), srv.Room("planning")))(t)
	must(cast.Caller(t.Context(), srv.Room("planning"), "+49 30 123456"))(t)
	meeting(t, cast, srv.Room("[acme]stand%20up"), "Linus")
	meeting(t, cast, srv.Room("%d0%ba%d0%b0%d1%84%d0%b5"), "Марина")
	meeting(t, cast, srv.Room("focus-alone"))
	env := envFor(srv)
	env["PPCH_LEGACY_ROUTES"] = "true"
	env["PPCH_API_KEYS_FILE"] = filepath.Join(t.TempDir(), "keys")
	path, line := newLink(t, variables{"MUC_DOMAIN": env["MUC_DOMAIN"]}, "--room", "planning", "--names")
	token := path[len("/s/"):]
	check(t, os.WriteFile(env["PPCH_API_KEYS_FILE"], []byte(line+"\n"), 0o600))
	s := runService(t, env).ready()
	ask := func(path string) answer { return s.get(path, "X-API-Key", testKey) }
	size := func(query string) answer { return ask("/room-size?domain=meet.jitsi&" + query) }

	eventually(t, 10*time.Second, "everyone has joined", func() bool {
		return size("room=planning").data["participants"] == 3.0 && size("room=%D0%BA%D0%B0%D1%84%D0%B5").data["participants"] == 1.0 &&
			size("room=focus-alone").status == http.StatusOK
	})
	for query, want := range map[string]float64{
		"room=Stand%20Up&subdomain=acme": 1, "room=stand%2520up&subdomain=acme": 1, "room=" + url.QueryEscape("acme/Stand up"): 1,
		"room=" + url.QueryEscape("Кафе"): 1, "room=focus-alone": 0,
	} {
		if got := size(query); got.data["participants"] != want {
			t.Errorf("%s: got %d %s want %v participants", query, got.status, got.body, want)
		}
	}
	if got := size("room=stand%20up"); got.status != http.StatusNotFound {
		t.Errorf("a room without the tenant got %d %s want 404", got.status, got.body)
	}

	var members []struct{ JID, DisplayName string }
	noKey := s.get("/room?room=planning&domain=meet.jitsi&token=" + token)
	decoded := []map[string]string{}
	if err := json.Unmarshal([]byte(noKey.body), &decoded); err != nil {
		t.Fatalf("got %d %s: %v", noKey.status, noKey.body, err)
	}
	for _, m := range decoded {
		members = append(members, struct{ JID, DisplayName string }{m["jid"], m["display_name"]})
	}
	slices.SortFunc(members, func(a, b struct{ JID, DisplayName string }) int { return len(a.DisplayName) - len(b.DisplayName) })
	if len(members) != 3 || members[0].DisplayName != "Ada" || members[1].DisplayName != "Grace" || members[2].DisplayName != "+49 30 123456" {
		t.Errorf("got the members %v", members)
	}

	census := ask("/room-census")
	var list struct {
		Rooms []struct {
			Name         string `json:"room_name"`
			Participants int    `json:"participants"`
			Created      string `json:"created_time"`
		} `json:"room_census"`
	}
	if err := json.Unmarshal([]byte(census.body), &list); err != nil || len(list.Rooms) != 4 {
		t.Fatalf("got %d %s, %v want four rooms", census.status, census.body, err)
	}
	if last := list.Rooms[3]; last.Name != "planning@muc.meet.jitsi" || last.Participants != 3 || len(last.Created) != 13 {
		t.Errorf("got %+v", last)
	}

	check(t, srv.Stop())
	eventually(t, 60*time.Second, "old numbers are no longer served", func() bool {
		return size("room=planning").status == http.StatusServiceUnavailable && ask("/room-census").status == http.StatusServiceUnavailable
	})
}
