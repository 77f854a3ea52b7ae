package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ppch/prosody/prosodytest"
)

// newBare returns "ppch-bench bare", the limit of reads over net/http: a separate process that only writes the answers
// that it received on standard input. The answers' paths start with /0, /1 and so on, followed by the original path,
// so that requests are as long as the service's.
func newBare() *cobra.Command {
	return &cobra.Command{
		Use:    "bare",
		Short:  "Write fixed answers",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answers []answer
			if err := json.NewDecoder(cmd.InOrStdin()).Decode(&answers); err != nil {
				return err
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			mux := http.NewServeMux()
			for i, a := range answers {
				path, _, _ := strings.Cut(a.Asked, "?")
				mux.HandleFunc("/"+strconv.Itoa(i)+path, a.serve)
			}
			fmt.Fprintln(cmd.OutOrStdout(), listener.Addr())
			// The service's time limits: enforcing them costs net/http time, and a public server can't omit them.
			server := &http.Server{
				Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
			}
			defer server.Close()
			return server.Serve(listener)
		},
	}
}

func (a answer) serve(w http.ResponseWriter, _ *http.Request) {
	// The map's own slices: a header costs nothing but its bytes.
	maps.Copy(w.Header(), a.Header)
	w.WriteHeader(a.Status)
	if a.Status != http.StatusNotModified {
		_, _ = w.Write(a.Body)
	}
}

// bare starts the bare handler with answers and returns the URL of each.
func (t *trial) bare(answers ...answer) (urls []string) {
	raw := must(json.Marshal(answers))(t)
	cmd := exec.Command(must(os.Executable())(t), "bare") // #nosec G204 -- this program itself
	cmd.Stdin = bytes.NewReader(raw)
	out, in := io.Pipe()
	cmd.Stdout = in
	gone := must(prosodytest.Tie(cmd))(t)
	t.cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	var addr string
	if _, err := fmt.Fscan(out, &addr); err != nil {
		t.check(fmt.Errorf("the bare handler: %w", err))
	}
	for i, a := range answers {
		urls = append(urls, "http://"+addr+"/"+strconv.Itoa(i)+a.Asked)
		got := must(get(t.ctx, urls[i], ""))(t)
		if got.Status != a.Status || !bytes.Equal(got.Body, a.Body) || !slices.Equal(headerNames(got), headerNames(a)) {
			t.check(fmt.Errorf("the bare handler writes status %d and %v, not %d and %v", got.Status, got.Header, a.Status, a.Header))
		}
	}
	return urls
}

func headerNames(a answer) []string { return slices.Sorted(maps.Keys(a.Header)) }

// plain returns the answer with only the headers that any handler writes: three, with the Date that net/http adds.
func (a answer) plain() answer {
	a.Header = http.Header{"Content-Type": a.Header["Content-Type"], "Content-Length": {strconv.Itoa(len(a.Body))}}
	return a
}
