package main

import (
	"context"
	"math"
	"net/http"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"ppch/prosody/prosodytest"
)

// longTasks makes the page record what blocks its user interface: tasks of more than 50 ms (W3C, Long Tasks API).
const longTasks = `window.tasks = []; new PerformanceObserver(l => tasks.push(...l.getEntries().map(e => e.duration))).observe({type: "longtask", buffered: true})`

// BenchmarkDashboard opens the dashboard with 10,000 rooms of ten people each; then 50 people a second join and as many leave.
//
// It reports the time from the first event to the first rows (ms-to-rows) and to all rooms (ms-to-all-rooms), the number
// of long tasks and the longest, while opening (opening-…) and later (joins-…), and the JavaScript memory in MB.
func BenchmarkDashboard(b *testing.B) {
	const busy, rate = 50, 50
	srv := prosodytest.New(b, prosodytest.Options{Module: true, HideRooms: true})
	if err := srv.Populate(b.Context(), 10_000-busy, 10); err != nil {
		b.Fatal(err)
	}
	c := must(srv.Churn(b.Context(), castOn(b, srv), busy, 5))(b)
	defer c.Close()
	p := startProcess(b, buildProgram(b), envFor(srv))
	url, key := p.url, testKey
	s := &service{url: url, client: p.client}
	eventually(b, 2*time.Minute, "the service is ready", func() bool {
		a, err := s.try(b.Context(), "/readyz")
		return err == nil && a.status == http.StatusOK
	})
	browser := startChromium(b)
	for b.Loop() {
		p := browser.open(b, url+"/livez")
		p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: longTasks})
			return err
		}), chromedp.Navigate(url+"/dashboard/"))
		d := dashboard{p}
		d.signIn(key)
		since := func(mark string) float64 {
			d.until(mark, func() bool { return evaluate[int](p, `performance.getEntriesByName("`+mark+`").length`) > 0 })
			return evaluate[float64](p, `performance.getEntriesByName("`+mark+`")[0].startTime - performance.getEntriesByName("ppch:first-event")[0].startTime`)
		}
		b.ReportMetric(since("ppch:first-rows"), "ms-to-rows")
		b.ReportMetric(since("ppch:snapshot"), "ms-to-all-rooms")
		tasks := func(while string) {
			b.ReportMetric(evaluate[float64](p, "tasks.length"), while+"-long-tasks")
			b.ReportMetric(evaluate[float64](p, "Math.max(0, ...tasks)"), while+"-longest-task-ms")
			evaluate[bool](p, "tasks.length = 0, true")
		}
		time.Sleep(time.Second) // long tasks are reported with a delay
		tasks("opening")

		ctx, stop := context.WithTimeout(b.Context(), 10*time.Second)
		came := c.Joins()
		if err := c.Run(ctx, rate, math.MaxInt/2); err != nil {
			b.Error(err)
		}
		stop()
		b.ReportMetric(float64(c.Joins()-came)/10, "joins/s")
		time.Sleep(time.Second)
		tasks("joins")
		b.ReportMetric(evaluate[float64](p, "performance.memory.usedJSHeapSize")/1e6, "MB")
		b.ReportMetric(0, "ns/op")
	}
}
