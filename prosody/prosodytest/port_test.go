package prosodytest_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"ppch/prosody/prosodytest"
)

// manyPorts is so large that two processes picking at random would share 11 ports on average.
const manyPorts = 500

func TestFreePort_IsUniqueAcrossProcesses(t *testing.T) {
	var picked []string
	for range manyPorts {
		port := must(prosodytest.FreePort())(t)
		picked = append(picked, strconv.Itoa(port))
	}
	const other = "PPCH_TEST_PICKS_PORTS"
	if os.Getenv(other) != "" {
		fmt.Println("picked", strings.Join(picked, " "))
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), other+"=1")
	out, err := cmd.CombinedOutput()
	theirs, _, _ := strings.Cut(string(out), "\n")
	if err != nil || len(strings.Fields(theirs)) != manyPorts+1 {
		t.Fatalf("got %v, %s", err, out)
	}
	taken := map[string]bool{}
	for _, port := range append(picked, strings.Fields(theirs)...) {
		if taken[port] {
			t.Errorf("port %s was picked twice", port)
		}
		taken[port] = true
	}
}

// Nothing listens on a port until its server starts.
func TestFreePort_CanBeListenedOn(t *testing.T) {
	port := must(prosodytest.FreePort())(t)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if c, err := net.Dial("tcp4", address); err == nil {
		t.Errorf("%s answers", c.RemoteAddr())
		_ = c.Close()
	}
	l := must(net.Listen("tcp4", address))(t)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
