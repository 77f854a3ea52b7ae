package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// While a shard is down, the page of a share link shows minimums, in each layout and language.
// It names no shard.
func TestShareLink_ShardDown(t *testing.T) {
	t.Parallel()
	first, second := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true}), prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	one, oneLine := newLink(t, nil, "--room", "planning", "--names")
	late, lateLine := newLink(t, nil, "--room", "late")
	all, allLine := newLink(t, nil, "--all")
	s := runService(t, variables{
		"PPCH_API_KEY": testKey, "PPCH_PORT": "0", "PPCH_RATE_LIMIT": "0", "PPCH_MAX_STALENESS": "15s",
		"PPCH_API_KEYS_FILE": written(t, "keys", strings.Join([]string{oneLine, lateLine, allLine, ""}, "\n")),
		"PPCH_SHARDS_FILE":   shardsOf(t, map[string]*prosodytest.Server{"frankfurt": first, "dublin": second}),
	}).ready()
	a, b := castOn(t, first), castOn(t, second)
	meeting(t, a, first.Room("planning"), "Ada", "Grace")
	meeting(t, b, second.Room("planning"), "Linus")
	meeting(t, b, second.Room("late"), "Radia")
	browser := startChromium(t)
	door := browser.open(t, s.url+one)
	door.shows("the number", "3", func() string { return door.text(".number") })
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the shard is unknown", func() bool { return s.room("nowhere").status == http.StatusServiceUnavailable })

	door.until("the page notices", func() bool { return strings.HasPrefix(door.text("#state"), "Some servers don’t answer") })
	door.shows("the number", "2+ people, maybe more Ada, Grace", func() string { return strings.Join(strings.Fields(door.text(".count")+" "+door.text(".names")), " ") })
	for lang, want := range map[string][3]string{
		"en": {"people, maybe more", "at least 2 people", "Some servers don’t answer"},
		"de": {"Personen, vielleicht mehr", "mindestens 2 Personen", "Einige Server antworten nicht"},
		"fr": {"personnes, peut-être plus", "au moins 2 personnes", "Certains serveurs ne répondent pas"},
		"es": {"personas, quizá más", "al menos 2 personas", "Algunos servidores no responden"},
	} {
		for _, view := range []string{"door", "wall", "compact"} {
			t.Run(lang+" "+view, func(t *testing.T) {
				p := browser.open(t, s.url+all+"?lang="+lang+"&view="+view)
				p.as("light", 1440, 900)
				p.shows("the number", "2+", func() string { return p.text(".number") })
				p.until("the state says why", func() bool { return strings.HasPrefix(p.text("#state"), want[2]) })
				text, label := strings.Join(strings.Fields(p.text("body")), " "), evaluate[string](p, `document.querySelector(".number").ariaLabel ?? ""`)
				if view == "door" && !strings.Contains(text, want[0]) || view != "door" && label != want[1] {
					t.Errorf("got %q, labelled %q, want %q or %q", text, label, want[0], want[1])
				}
				if got := evaluate[string](p, "document.title"); !strings.HasPrefix(got, "2+ · ") {
					t.Errorf("got the title %q", got)
				}
				if leak := regexp.MustCompile(`frankfurt|dublin|127\.0\.0\.1`).FindString(text); leak != "" {
					t.Errorf("got %s in %q", leak, text)
				}
			})
		}
	}
	t.Run("nothing is certain", func(t *testing.T) {
		p := browser.open(t, s.url+late)
		p.until("the state says why", func() bool { return strings.HasPrefix(p.text("#state"), "Some servers don’t answer") })
		if got := strings.Join(strings.Fields(p.text("main")), " "); got != "late ? unknown" {
			t.Errorf("got %q", got)
		}
	})

	if err := second.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	door.shows("the number", "2", func() string { return door.text(".number") })
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, "no old minimum is shown", func() bool { return door.text(".number") == "?" })
}
