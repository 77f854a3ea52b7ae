package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ppch/prosody/prosodytest"
)

//go:embed ejabberd.yml
var ejabberdConfig string

// errNoEjabberd appears in the table.
var errNoEjabberd = errors.New("ejabberd is not installed")

// ejabberd starts Debian's ejabberd, fills its rooms (room1 and so on), and returns the URL of its API.
//
// Without a node name Erlang doesn't listen for other nodes and starts no daemons.
func (t *trial) ejabberd(rooms, each int) (api string, err error) {
	// Debian has ejabberd in a folder with its version, /usr/lib/TRIPLET/ejabberd-23.01-1/ebin.
	libraries, err := filepath.Glob("/usr/lib/*/ejabberd-*/ebin/ejabberd.app")
	t.check(err)
	erl, err := exec.LookPath("erl")
	if err != nil || len(libraries) == 0 {
		return "", errNoEjabberd
	}
	library := filepath.Dir(filepath.Dir(libraries[0]))
	t.versions["ejabberd"], _, _ = strings.Cut(strings.TrimPrefix(filepath.Base(library), "ejabberd-"), "-")

	dir := filepath.Join(t.dir, "ejabberd")
	t.check(os.MkdirAll(dir, 0o700))
	components, http := strconv.Itoa(must(prosodytest.FreePort())(t)), strconv.Itoa(must(prosodytest.FreePort())(t))
	secret := rand.Text()
	config := strings.NewReplacer("COMPONENTS", components, "HTTP", http, "SECRET", secret).Replace(ejabberdConfig)
	t.check(os.WriteFile(filepath.Join(dir, "ejabberd.yml"), []byte(config), 0o600))
	cmd := exec.Command(erl, "+K", "true", "-noinput", "-mnesia", "dir", strconv.Quote(filepath.Join(dir, "mnesia")), "-s", "ejabberd") // #nosec G204 -- the installed ejabberd
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "HOME="+dir, "ERL_LIBS="+filepath.Dir(library), "ERL_CRASH_DUMP=/dev/null",
		"EJABBERD_CONFIG_PATH="+filepath.Join(dir, "ejabberd.yml"), "EJABBERD_LOG_PATH="+filepath.Join(dir, "ejabberd.log"))
	gone := must(prosodytest.Tie(cmd))(t)
	t.cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	t.check(listens(t.ctx, "127.0.0.1:"+components, gone))
	t.check(listens(t.ctx, "127.0.0.1:"+http, gone))

	// The first to join opens the room.
	srv := must(prosodytest.Attach("", "127.0.0.1:"+components, prosodytest.Options{Secret: secret}))(t)
	crowd := must(srv.Crowd(t.ctx))(t)
	t.cleanup(func() { _ = crowd.Close() })
	var names []string
	for i := range rooms {
		names = append(names, srv.Room("room"+strconv.Itoa(1+i)))
	}
	must(crowd.Join(t.ctx, each, names...))(t)
	return "http://127.0.0.1:" + http + "/api", nil
}

// listens waits until a server accepts connections at an address.
func listens(ctx context.Context, addr string, gone <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-gone:
			return fmt.Errorf("the server for %s has ended", addr)
		case <-ctx.Done():
			return fmt.Errorf("nothing listens at %s: %w", addr, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
