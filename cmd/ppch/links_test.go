package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/prosody/prosodytest"
)

// The reference for names runs in Node.js; here it is compared with a real browser.
func TestNames_LinksInChromium(t *testing.T) {
	t.Parallel()
	const reference = "../../component/occupancy/testdata/"
	var links []string
	check(t, json.Unmarshal(must(os.ReadFile(reference+"links.json"))(t), &links))
	for c := ' '; c < 0x7f; c++ {
		links = append(links, "a"+string(c)+"b%")
	}
	in := must(json.Marshal(links))(t)

	script := `import {browse} from "` + reference + `jitsi.mjs"; import {readFileSync} from "node:fs";
		process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(browse)));`
	node := exec.Command(prosodytest.Installed(t, "node"), "--input-type=module", "--eval", script)
	node.Stdin, node.Stderr = strings.NewReader(string(in)), t.Output()
	var want []string
	check(t, json.Unmarshal(must(node.Output())(t), &want))

	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><link rel="icon" href="data:,">`)
	}))
	t.Cleanup(page.Close)
	tab := startChromium(t).open(t, page.URL)
	got := evaluate[[]string](tab, fmt.Sprintf(`%s.map(text => {
		const link = document.createElement("a");
		link.href = "https://meet.example/" + text.replace(/^[/\\]/, "");
		return link.pathname;
	})`, in))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("- the reference, + Chromium:\n%s", diff)
	}
}
