package prosody_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// global loads the module as earlier versions did: GLOBAL_MODULES=http,room_participants_api.
var global = prosodytest.Options{Modules: []string{"http", name}}

func TestLoad_Globally(t *testing.T) {
	t.Parallel()
	srv := start(t, global)
	cast := newCast(t, srv)
	component := newComponent(t, srv, srv.Domains.Component)
	for _, domain := range []string{srv.Domains.MUC, srv.Domains.Breakout, srv.Domains.Lobby, srv.Domains.InternalMUC} {
		st := must(component.IQ(within(t), domain, "get", discoInfo))(t)
		if !st.Has("var='" + namespace + "'") {
			t.Errorf("%s: no feature: %s", domain, st.XML)
		}
		room := "alpha@" + domain
		must(cast.Open(within(t), room))(t)
		f := followAs(t, component, domain).untilSynced()
		guest := must(srv.Guest(within(t)))(t)
		ada := must(guest.Join(within(t), room, "ada"))(t)
		f.occupant(room, "ada", nil)
		check(t, ada.Leave(within(t)))
		f.gone(room, "ada") // a second active instance would break the sequence
		f.matches(srv)
	}
	if st := must(component.IQ(within(t), srv.Domains.Main, "get", discoInfo))(t); st.Has(namespace) {
		t.Errorf("the main domain has the feature: %s", st.XML)
	}
}

func TestLoad_GloballyForSomeDomains(t *testing.T) {
	t.Parallel()
	o := global
	o.GlobalConfig = `room_participants_muc_domains = { "muc.meet.jitsi" }`
	srv := start(t, o)
	f := follow(t, srv).untilSynced()
	_, err := f.client.IQ(within(t), srv.Domains.Lobby, "set", subscribe)
	wantCondition(t, err, "service-unavailable")
}

func TestLoad_GloballyAndOnTheDomain(t *testing.T) {
	t.Parallel()
	o := global
	o.HostModules = map[string][]string{"muc.meet.jitsi": {name}}
	srv := start(t, o)
	f := follow(t, srv).untilSynced()
	if got := status(t, srv, srv.Domains.MUC); got != "muc.meet.jitsi: 1 subscriber: ppch.meet.jitsi, 0 rooms, 0 occupants" {
		t.Errorf("status: %s", got)
	}
	// When this instance is unloaded, another one takes over, and vice versa.
	must(srv.Shell(within(t), `module:unload("`+name+`", "muc.meet.jitsi")`))(t)
	f.subscribe()
	f.untilSynced()
	must(srv.Shell(within(t), `module:load("`+name+`", "muc.meet.jitsi")`))(t)
	f.subscribe()
	f.untilSynced()
	if got := status(t, srv, srv.Domains.MUC); got != "muc.meet.jitsi: 1 subscriber: ppch.meet.jitsi, 0 rooms, 0 occupants" {
		t.Errorf("status: %s", got)
	}
	for range 2 {
		for _, host := range []string{srv.Domains.Main, srv.Domains.Auth, srv.Domains.Hidden} {
			if lua(t, srv, `return tostring(prosody.hosts["`+host+`"].modules.`+name+` ~= nil);`) == "true" && strings.Contains(status(t, srv, host), "lobby") {
				must(srv.Shell(within(t), `module:unload("`+name+`", "`+host+`")`))(t)
				break
			}
		}
		followAs(t, f.client, srv.Domains.Lobby).untilSynced()
	}
}

func TestLoad_RoomDomainActivatedLater(t *testing.T) {
	t.Parallel()
	srv := start(t, global)
	component := newComponent(t, srv, srv.Domains.Component)
	must(srv.Shell(within(t), `module:unload("muc", "muc.meet.jitsi")`))(t)
	_, err := component.IQ(within(t), srv.Domains.MUC, "set", subscribe)
	wantCondition(t, err, "service-unavailable")
	must(srv.Shell(within(t), `module:load("muc", "muc.meet.jitsi")`))(t)
	f := followAs(t, component, srv.Domains.MUC).untilSynced()
	f.until("a room", func(r *replica) bool {
		if len(r.rooms) == 0 {
			lua(t, srv, muc+`.create_room("alpha@muc.meet.jitsi"); return "";`)
		}
		return len(r.rooms) > 0
	})

	must(srv.Shell(within(t), `host:deactivate("lobby.meet.jitsi")`))(t)
	must(srv.Shell(within(t), `host:activate("lobby.meet.jitsi")`))(t)
	followAs(t, component, srv.Domains.Lobby).untilSynced()
}

func TestLoad_DuringAMeeting(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostModules: map[string][]string{}})
	cast := newCast(t, srv)
	room := srv.Room("alpha")
	must(cast.Open(within(t), room))(t)
	must(srv.Shell(within(t), `module:load("`+name+`", "muc.meet.jitsi")`))(t)
	f := follow(t, srv)
	if o := f.occupant(room, "focus", nil); o.joined() != "" || f.replica.fact(room, "created") != "" {
		t.Errorf("got %q in a room of %q, want unknown times", o, f.replica.fact(room, "created"))
	}
	ada := must(cast.User(within(t), room, "Ada"))(t)
	if o := f.occupant(room, ada.Nick(), nil); o.joined() == "" {
		t.Errorf("got %q", o)
	}
}

func TestReload_KeepsJoinTimes(t *testing.T) {
	t.Parallel()
	for how, o := range map[string]prosodytest.Options{"on the room domain": {}, "globally": global} {
		t.Run(how, func(t *testing.T) {
			srv, cast, f, room := meeting(t, o)
			ada := must(cast.User(within(t), room, "Ada"))(t)
			joined := f.occupant(room, ada.Nick(), nil).joined()
			created := f.replica.fact(room, "created")
			// Reload our module on its hosts, then mod_muc, which swaps out all rooms.
			for _, module := range []string{name, "muc"} {
				for _, host := range []string{srv.Domains.MUC, srv.Domains.Main, srv.Domains.Auth, srv.Domains.Hidden} {
					if lua(t, srv, `return tostring(prosody.hosts["`+host+`"].modules["`+module+`"] ~= nil);`) != "true" {
						continue
					}
					must(srv.Shell(within(t), `module:reload("`+module+`", "`+host+`")`))(t)
				}
				f.subscribe()
				f.untilSynced()
				if o, _ := f.replica.occupant(room, ada.Nick()); o.joined() != joined || f.replica.fact(room, "created") != created {
					t.Errorf("after a reload of %s: got %q in a room of %q, want %s and %s", module, o, f.replica.fact(room, "created"), joined, created)
				}
				st := must(f.client.IQ(within(t), f.domain, "get", discoInfo))(t)
				if !st.Has(namespace) {
					t.Errorf("after a reload of %s: no feature: %s", module, st.XML)
				}
				// Restore the room that mod_muc swapped out. Its occupants are still in it.
				lua(t, srv, muc+`.get_room_from_jid("`+room+`"); return "";`)
				f.matches(srv)
			}
			bo := must(cast.User(within(t), room, "Bo"))(t)
			f.occupant(room, bo.Nick(), nil)
			check(t, ada.Leave(within(t)))
			f.gone(room, ada.Nick())
			f.matches(srv)
		})
	}
}

// mod_muc is reloaded while an instance on another host keeps the subscription.
func TestReload_ModMUCDuringASubscription(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, global)
	ada := must(cast.User(within(t), room, "Ada"))(t)
	joined := f.occupant(room, ada.Nick(), nil).joined()
	must(srv.Shell(within(t), `module:reload("muc", "muc.meet.jitsi")`))(t)
	check(t, ada.Update(within(t), prosodytest.DisplayName("Ada L.")))
	if o := f.occupant(room, ada.Nick(), func(o occupant) bool { return o.name() == "Ada L." }); o.joined() != joined {
		t.Errorf("joined %s, before that %s", o.joined(), joined)
	}
	f.matches(srv)
}

func TestUnload_LeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for how, o := range map[string]prosodytest.Options{
		"on the room domain": {HostModules: map[string][]string{"muc.meet.jitsi": {"http"}}},
		"on a virtual host":  {HostModules: map[string][]string{"meet.jitsi": {"http"}}},
	} {
		t.Run(how, func(t *testing.T) {
			srv := start(t, o)
			host := sortedKeys(o.HostModules)[0]
			handlers := func() string {
				return lua(t, srv, `
					local n = 0;
					local function count(events) for _, map in pairs(events._event_map) do for _ in pairs(map) do n = n + 1; end end end
					count(prosody.events);
					for _, session in pairs(prosody.hosts) do count(session.events); end
					return tostring(n);`)
			}
			before := handlers()
			must(srv.Shell(within(t), `module:load("`+name+`", "`+host+`")`))(t)
			cast := newCast(t, srv)
			must(cast.Open(within(t), srv.Room("alpha")))(t)
			f := follow(t, srv).untilSynced()
			lua(t, srv, `prosody.weak = setmetatable({ prosody.hosts["`+host+`"].modules.`+name+`.module }, { __mode = "v" }); return "";`)
			must(srv.Shell(within(t), `module:unload("`+name+`", "`+host+`")`))(t)
			if last := f.next(); last.End != "1" || len(last.Rooms)+len(last.Gone) > 0 {
				t.Errorf("got %+v want a batch that ends the subscription", last)
			}
			if after := handlers(); after != before {
				t.Errorf("%s handlers before, %s after", before, after)
			}
			must(cast.User(within(t), srv.Room("alpha"), "Ada"))(t)
			f.silent(100 * time.Millisecond)
			_, err := f.client.IQ(within(t), f.domain, "set", subscribe)
			wantCondition(t, err, "service-unavailable")
			if st := must(f.client.IQ(within(t), f.domain, "get", discoInfo))(t); st.Has(namespace) {
				t.Errorf("the feature is still there: %s", st.XML)
			}
			// A timer, a hook or a shared table would keep it in memory.
			if got := lua(t, srv, `collectgarbage(); collectgarbage(); return tostring(prosody.weak[1]);`); got != "nil" {
				t.Errorf("still in memory: %s", got)
			}
		})
	}
}

func TestHealth_Endpoint(t *testing.T) {
	t.Parallel()
	both := global
	both.HostModules = map[string][]string{"muc.meet.jitsi": {name}}
	named := global
	named.GlobalConfig = `muc_mapper_domain = "breakout.meet.jitsi"` // Jitsi's util.lib.lua prefers it to the other two options
	for how, c := range map[string]struct {
		o          prosodytest.Options
		host, main string
	}{
		"globally":                    {global, "anything.example", "muc.meet.jitsi"},
		"globally, another host":      {global, "auth.meet.jitsi", "muc.meet.jitsi"},
		"globally, another main one":  {named, "anything.example", "breakout.meet.jitsi"},
		"on the room domain":          {prosodytest.Options{}, "muc.meet.jitsi", "muc.meet.jitsi"},
		"both, the room domain asked": {both, "muc.meet.jitsi", "muc.meet.jitsi"},
	} {
		t.Run(how, func(t *testing.T) {
			srv := start(t, c.o)
			cast := newCast(t, srv)
			must(cast.Open(within(t), srv.Room("secretroom")))(t)
			req := must(http.NewRequestWithContext(within(t), http.MethodGet, "http://"+srv.HTTPAddr()+"/"+name+"/health", nil))(t)
			req.Host = c.host
			req.Header.Set("Origin", "https://evil.example")
			resp := must(http.DefaultClient.Do(req))(t)
			body := must(io.ReadAll(resp.Body))(t)
			check(t, resp.Body.Close())
			var got map[string]string
			if err := json.Unmarshal(body, &got); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s: %v", resp.Status, body, err)
			}
			if len(got) != 4 || got["status"] != "ok" || got["version"] != prosody.ModuleVersion || got["module"] != name || got["muc_domain"] != c.main {
				t.Errorf("got %v", got)
			}
			if origin := resp.Header.Get("Access-Control-Allow-Origin"); origin != "" {
				t.Errorf("CORS for %s", origin)
			}
			if resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("content type %q", resp.Header.Get("Content-Type"))
			}
		})
	}
}

func TestHealth_OptionalWithoutHTTP(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostConfig: eachMUC(`modules_disabled = { "http" }`)})
	if !srv.LogContains("/" + name + "/health is disabled") {
		t.Error("nothing in the log")
	}
	follow(t, srv).untilSynced()
}

func TestLoad_OnADomainWithoutMUC(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostModules: map[string][]string{"ppch.meet.jitsi": {name}}})
	if !srv.LogContains("mod_muc is not loaded on this host") {
		t.Error("nothing in the log")
	}
}
