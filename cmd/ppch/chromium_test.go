package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"ppch/prosody/prosodytest"
)

// chromium is a browser that runs until the test ends.
type chromium struct{ ctx context.Context }

// startChromium starts a browser with an empty profile that requests nothing but its pages.
// It skips the test with a second Prosody, which a browser can't tell from the first.
func startChromium(t testing.TB) *chromium {
	t.Helper()
	if other := os.Getenv("PPCH_TEST_PROSODY"); other != "" {
		t.Skipf("in a browser PPCH is the same with %s as with the installed Prosody", other)
	}
	// Root can't use the sandbox; the other options disable updates.
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(prosodytest.Installed(t, "chromium")), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.Headless,
		chromedp.NoFirstRun, chromedp.DisableGPU, chromedp.NoDefaultBrowserCheck,
	}
	for _, flag := range []string{
		"disable-quic", "disable-dev-shm-usage", "no-proxy-server", "disable-background-networking", "disable-component-update", "disable-sync",
		// Without these, background tabs are slow.
		"disable-background-timer-throttling", "disable-backgrounding-occluded-windows", "disable-renderer-backgrounding",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := chromedp.Cancel(closing); err != nil {
			t.Logf("the browser's end: %v", err)
		}
		end()
	})
	check(t, chromedp.Do(ctx))
	return &chromium{ctx}
}

// tab is a page in the browser. The test fails if the page has an error, violates its policy, or requests other origins.
type tab struct {
	t   testing.TB
	ctx context.Context
	url string
	may []string // allowed origins
	dir string   // for pictures

	// mu protects what follows.
	mu     sync.Mutex
	faults []string
	asked  []string // the URLs
}

// open opens a URL in a new tab, which may request its origin and those in may.
// The tab has its own session and closes when the test ends.
func (c *chromium) open(t testing.TB, url string, others ...string) *tab {
	t.Helper()
	p := &tab{t: t, url: url, may: append(others, strings.Join(strings.SplitN(url, "/", 4)[:3], "/")), dir: t.ArtifactDir()}
	var leave context.CancelFunc
	p.ctx, leave = chromedp.NewContext(c.ctx)
	check(t, chromedp.Listen(p.ctx, p.note))
	console := chromedp.Console(p.ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range console {
			if err != nil {
				return
			}
			p.hear(m)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			p.picture("failed")
		}
		leave()
		reading.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, fault := range p.faults {
			t.Errorf("the page at %s: %s", url, fault)
		}
	})
	p.do(chromedp.Navigate(url))
	return p
}

// hear records errors of the page's console, except responses with an error status.
func (p *tab) hear(m chromedp.ConsoleMessage) {
	bad := m.Type == chromedp.ConsoleError || m.IsException() || m.Source == "security" || m.Source == "violation" || strings.Contains(m.Text, "Content Security Policy")
	if bad && m.Source != "network" {
		p.fault(fmt.Sprintf("%s %s %s:%d", m.Source, m, m.URL, m.Line))
	}
}

// note records the requests of the page.
func (p *tab) note(event any) {
	e, ok := event.(*network.EventRequestWillBeSent)
	if !ok {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, e.Request.URL)
	p.mu.Unlock()
	allowed := func(origin string) bool { return strings.HasPrefix(e.Request.URL, origin+"/") }
	if !slices.ContainsFunc(p.may, allowed) && !strings.HasPrefix(e.Request.URL, "data:") {
		p.fault("it asks " + e.Request.URL)
	}
	if strings.Contains(e.Request.URL, testKey) {
		p.fault("it has the key in the URL " + e.Request.URL)
	}
}

// asks returns the URLs that the page has requested.
func (p *tab) asks() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *tab) fault(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, text)
}

// do runs actions on the page, for at most half a minute.
func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%v\n%s", err, p.text("body"))
	}
}

// click and write act on the element of a selector once it is visible.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(selector, chromedp.NodeVisible))
}

func (p *tab) write(selector, text string) {
	p.t.Helper()
	p.do(chromedp.Clear(selector, chromedp.NodeVisible), chromedp.SendKeys(selector, text))
}

// evaluate returns the value of a script in the page.
func evaluate[T any](p *tab, script string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// text returns the text of the first visible element of a selector, or "".
func (p *tab) text(selector string) string {
	p.t.Helper()
	return evaluate[string](p, `(e => e?.checkVisibility() ? e.innerText.trim() : "")(document.querySelector(`+strconv.Quote(selector)+`))`)
}

// list evaluates an expression of e for each element of a selector.
func (p *tab) list(selector, expression string) []string {
	p.t.Helper()
	return evaluate[[]string](p, `[...document.querySelectorAll(`+strconv.Quote(selector)+`)].map(e => String(`+expression+`))`)
}

// shows waits until a value is as wanted and otherwise fails with the value.
func (p *tab) shows(what, want string, get func() string) {
	p.t.Helper()
	var got string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		late := time.Now().After(deadline)
		if got = get(); got == want {
			return
		}
		if late {
			p.t.Fatalf("%s: got %q want %q, in\n%s", what, got, want, p.text("body"))
		}
	}
}

// until waits for a condition.
func (p *tab) until(what string, ok func() bool) {
	p.t.Helper()
	p.shows(what, "true", func() string { return strconv.FormatBool(ok()) })
}

// picture saves a picture of the page for "go test -artifacts".
func (p *tab) picture(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(p.dir, name+".png"), png, 0o600)
	}
	if err != nil {
		p.t.Logf("a picture of the page: %v", err)
	}
}
