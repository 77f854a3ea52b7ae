package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"ppch/prosody/prosodytest"
)

// axe checks the accessibility of a page; axeSum is the checksum of its package.
const (
	axe    = "axe-core@4.14.1"
	axeSum = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

// fetchAxe returns the script of axe, from npm's cache if possible.
func fetchAxe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), prosodytest.Installed(t, "npm"), "pack", "--silent", "--prefer-offline", "--pack-destination", dir, axe)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("%v\n%s", err, out)
		prosodytest.Missing(t, "this machine cannot fetch "+axe)
	}
	files := must(filepath.Glob(filepath.Join(dir, "*.tgz")))(t)
	if len(files) != 1 {
		t.Fatalf("npm packed %q", files)
	}
	packed := must(os.ReadFile(files[0]))(t)
	if sum := sha512.Sum512(packed); "sha512-"+base64.StdEncoding.EncodeToString(sum[:]) != axeSum {
		t.Fatalf("%s is not what it was", axe)
	}
	file := must(os.Open(files[0]))(t)
	defer file.Close()
	for archive := tar.NewReader(must(gzip.NewReader(file))(t)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("%s has no script", axe)
		}
		check(t, err)
		if header.Name == "package/axe.min.js" {
			return string(must(io.ReadAll(archive))(t))
		}
	}
}

// finding is a problem that axe found.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

// findings returns the serious problems of the page.
func (p *tab) findings(script string) []finding {
	p.t.Helper()
	evaluate[bool](p, script+"; true")
	all := evaluate[[]finding](p, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(v => (
		{ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map(n => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`)
	return slices.DeleteFunc(all, func(f finding) bool { return f.Impact != "serious" && f.Impact != "critical" })
}

// as emulates another screen.
func (p *tab) as(scheme string, width, height int64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// The dashboard is accessible in light and dark mode, on desktop and phone.
func TestDashboard_Accessible(t *testing.T) {
	t.Parallel()
	script := fetchAxe(t)
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true})
	env := withStore(t, envFor(srv))
	env["PPCH_HISTORY"] = "names"
	s := runService(t, env).ready()
	s.hook("no-receiver", "http://127.0.0.1:9/", "")
	cast := castOn(t, srv)
	planning := srv.Room("planning")
	meeting(t, cast, planning, "Ada", "Grace")
	meeting(t, cast, srv.TenantRoom("acme", "retro"), "Edsger")
	browser := startChromium(t)
	for _, scheme := range []string{"light", "dark"} {
		for screen, size := range map[string][2]int64{"wide": {1280, 900}, "phone": {390, 844}} {
			t.Run(scheme+" "+screen, func(t *testing.T) {
				d := openDashboard(t, browser, s.url)
				d.as(scheme, size[0], size[1])
				look := func(at string) {
					d.picture(strings.Join([]string{at, scheme, screen}, "-"))
					for _, f := range d.findings(script) {
						t.Errorf("%s: %s %s: %s: %+v", at, f.Impact, f.ID, f.Help, f.Nodes)
					}
				}
				look("key")
				d.signIn(testKey)
				d.hasRooms("planning 2", "acme/retro 1")
				look("rooms")
				d.click("#state")
				look("connection")
				d.click("#state")
				d.click("#menu-button")
				look("menu")
				d.click("#menu-button")
				d.write("#search", "nothing like it")
				look("no match")
				d.click("#search-clear")
				ken := must(cast.User(t.Context(), planning, "Ken"))(t)
				d.until("the activity shows that Ken joined", func() bool { return d.lists("participant.joined", "Ken joined planning") })
				look("activity")
				d.look(planning, "planning")
				d.click("#not-counted summary")
				look("room")
				evaluate[string](d.tab, `document.body.dataset.state = "stale"`)
				look("stale")
				check(t, ken.Leave(t.Context()))
				d.isState("live")
				for _, at := range [][2]string{{"meetings", "#attendees"}, {"webhooks", "#deliveries"}} {
					page, list := at[0], at[1]
					d.click("#to-" + page)
					d.until(page+" are listed", func() bool { return d.text("#"+page+"-table") != "" })
					look(page)
					d.click("#" + page + "-table tbody a")
					d.until("its list is there", func() bool { return d.text(list) != "" })
					d.click(list + " .unfold")
					look("one of the " + page)
				}
				d.click("#webhook-all details summary")
				d.click("#test")
				d.until("the test is over", func() bool { return strings.Contains(d.text("#test-result"), "ms") })
				look("test and replay")
				d.goTo("#/meetings?room=none")
				d.until("it finds none", func() bool { return d.text("#meetings-empty") != "" })
				look("no meeting")
			})
		}
	}
}
