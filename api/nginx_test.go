package api_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ppch/api/apitest"
	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

// nginxConf is a reverse proxy as in nginx's documentation, with buffering.
const nginxConf = `
daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		listen %[2]s;
		location / { proxy_pass http://%[3]s; }
	}
}
`

// behindNginx runs nginx in front of s until the test ends, and returns its address.
func (s *service) behindNginx() string {
	s.t.Helper()
	program := prosodytest.Installed(s.t, "nginx")
	l := must(net.Listen("tcp", "127.0.0.1:0"))(s.t)
	addr := l.Addr().String()
	_ = l.Close()
	dir := s.t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	check(s.t, os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr, s.Addr()), 0o600))
	cmd := exec.Command(program, "-p", dir, "-c", conf, "-e", "stderr")
	cmd.Stderr = os.Stderr
	check(s.t, cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	componenttest.Eventually(s.t, 10*time.Second, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return addr
}

func TestEvents_ImmediateBehindNginx(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := start(t, withDirectory(d.Directory))
	addr := s.behindNginx()
	f := openStream(t, s.client.Transport, "http://"+addr+"/api/events?snapshot=true")
	f.Until("snapshot")
	for i := range 5 {
		began := time.Now()
		d.Join("daily", fmt.Sprint("n", i))
		f.Until("participant.joined")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("event %d took %s", i, took)
		}
	}
	f.Leave()
	s.holds(0) // because its client has left nginx
}
