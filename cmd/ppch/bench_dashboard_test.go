package main

import (
	"context"
	"math"
	"net/http"
	"slices"
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
// Of all times it was opened, it reports the median time from the first event to the first rows (ms-to-rows) and to all rooms
// (ms-to-all-rooms), and the median number of long tasks and longest one. Of the joins, which the last page follows,
// it reports the same of long tasks (joins-…), and the JavaScript memory in MB.
func BenchmarkDashboard(b *testing.B) {
	const busy, rate = 50, 50
	srv := prosodytest.New(b, prosodytest.Options{Module: true, HideRooms: true})
	if err := srv.Populate(b.Context(), 10_000-busy, 10); err != nil {
		b.Fatal(err)
	}
	c := must(srv.Churn(b.Context(), castOn(b, srv), busy, 5))(b)
	defer c.Close()
	p := startProcess(b, buildProgram(b), envFor(srv))
	url := p.url
	s := &service{url: url, client: p.client}
	eventually(b, 2*time.Minute, "the service is ready", func() bool {
		a, err := s.try(b.Context(), "/readyz")
		return err == nil && a.status == http.StatusOK
	})
	browser := startChromium(b)
	figures := map[string][]float64{}
	var last *tab
	tasks := func(while string) {
		time.Sleep(time.Second) // long tasks are reported with a delay
		figures[while+"-long-tasks"] = append(figures[while+"-long-tasks"], evaluate[float64](last, "tasks.length"))
		figures[while+"-longest-task-ms"] = append(figures[while+"-longest-task-ms"], evaluate[float64](last, "Math.max(0, ...tasks)"))
		evaluate[bool](last, "tasks.length = 0, true")
	}
	for b.Loop() {
		if last != nil {
			last.do(chromedp.Navigate(url + "/livez")) // so that one page follows the events at a time
		}
		last = browser.open(b, url+"/livez")
		last.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: longTasks})
			return err
		}), chromedp.Navigate(url+"/dashboard/"))
		dashboard{last}.signIn(testKey)
		for name, mark := range map[string]string{"ms-to-rows": "ppch:first-rows", "ms-to-all-rooms": "ppch:snapshot"} {
			last.until(mark, func() bool { return evaluate[int](last, `performance.getEntriesByName("`+mark+`").length`) > 0 })
			figures[name] = append(figures[name], evaluate[float64](last, `performance.getEntriesByName("`+mark+`")[0].startTime - performance.getEntriesByName("ppch:first-event")[0].startTime`))
		}
		tasks("opening")
	}

	ctx, stop := context.WithTimeout(b.Context(), 10*time.Second)
	defer stop()
	came := c.Joins()
	if err := c.Run(ctx, rate, math.MaxInt/2); err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(c.Joins()-came)/10, "joins/s")
	tasks("joins")
	b.ReportMetric(evaluate[float64](last, "performance.memory.usedJSHeapSize")/1e6, "MB")
	for name, all := range figures {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], name)
	}
	b.ReportMetric(0, "ns/op")
}
