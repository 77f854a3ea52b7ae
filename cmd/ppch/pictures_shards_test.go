package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// TestPicturesShards saves pictures of the pages, and what the terminal shows, while a visitor node or a shard is down.
//
//	PPCH_PICTURES=/tmp/pictures go test ./cmd/ppch -run TestPicturesShards
func TestPicturesShards(t *testing.T) {
	dir := os.Getenv(picturesVariable)
	if dir == "" {
		t.Skip("saves pictures only into the folder in " + picturesVariable)
	}
	if err := os.MkdirAll(filepath.Clean(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	options := prosodytest.Options{Module: true, HideRooms: true}
	first, second := prosodytest.New(t, options), prosodytest.New(t, options)
	options.Base = "v1.meet.jitsi"
	node := prosodytest.New(t, options)
	links := map[string]string{}
	var lines []string
	for name, args := range map[string][]string{"door": {"--room", "planning", "--names"}, "wall": {"--all"}} {
		path, line := newLink(t, nil, args...)
		links[name] = path
		lines = append(lines, line)
	}
	s := runService(t, variables{
		"PPCH_API_KEY": testKey, "PPCH_RATE_LIMIT": "0", "PPCH_PORT": "0", "PPCH_MAX_STALENESS": "15s", "PPCH_SITE_NAME": "Example Meet",
		"PPCH_API_KEYS_FILE": written(t, "keys", strings.Join(lines, "\n")+"\n"),
		"PPCH_SHARDS_FILE":   written(t, "shards", shardLine(t, "frankfurt", "main", first)+shardLine(t, "dublin", "main", second)+shardLine(t, "visitors-1", "visitors", node)),
	}).ready()
	a, b, v := castOn(t, first), castOn(t, second), castOn(t, node)
	meeting(t, a, first.Room("planning"), "Ada Lovelace", "Grace Hopper", "Linus")
	meeting(t, b, second.Room("planning"), "Radia")
	meeting(t, a, first.Room("physics%202b"), "Niels", "Marie", "Lise", "Max")
	meeting(t, b, second.Room("customer%20call%20weber"), "Barbara", "Edsger")
	meeting(t, v, node.Room("planning"), "Vera", "Wim")
	eventually(t, 30*time.Second, "all is known", func() bool {
		got := s.room("planning").data
		return got["participant_count"] == 4.0 && got["visitors"] == 2.0
	})
	browser := startChromium(t)
	env := asks(t, s)
	save := func(state string) {
		time.Sleep(20 * time.Second) // longer than PPCH_MAX_STALENESS
		for _, language := range []string{"en", "de"} {
			for _, size := range []screen{{390, 844}, {1440, 900}} {
				name := strings.Join([]string{state, language, size.String()}, "-")
				t.Run(name, func(t *testing.T) { // closes its tabs
					d := openDashboard(t, browser, s.url)
					d.as("light", size.width, size.height)
					d.inLanguage(language)
					d.isState("ask")
					d.enter(testKey)
					d.dir = dir
					shown := func(p *tab, part string) {
						time.Sleep(2 * time.Second)
						p.dir = dir
						p.picture(name + "-" + part)
					}
					shown(d.tab, "list")
					d.click("#state")
					shown(d.tab, "connection")
					d.goTo("#/room/" + first.Room("planning"))
					shown(d.tab, "room")
					for link, path := range links {
						p := browser.open(t, s.url+path)
						p.as("light", size.width, size.height)
						p.inLanguage(language)
						shown(p, link)
					}
				})
			}
		}
		for _, args := range [][]string{{"rooms"}, {"rooms", "--shard", "frankfurt"}, {"room", "planning"}, {"healthcheck"}} {
			out, err := command(t, env, args...)
			if err != nil {
				out += "ppch: " + err.Error() + "\n"
			}
			if err := os.WriteFile(filepath.Join(dir, state+"-"+strings.Join(args, "-")+".txt"), []byte(out), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	save("node")
	if err := node.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	save("shard")
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, "no shard is known", func() bool { return s.room("nowhere").status == http.StatusServiceUnavailable })
	save("all")
}
