package main

import (
	"context"
	"net"
	"net/http/httptrace"
	"regexp"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// open sends a request for a frozen Prosody and returns a channel for the response.
func (s *service) open(t *testing.T, room string) <-chan sighting {
	t.Helper()
	wrote, came := make(chan struct{}), make(chan sighting, 1)
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { close(wrote) },
	})
	go func() {
		asked := time.Now()
		a, err := s.try(ctx, "/api/rooms/"+room+"/participants", "X-API-Key", testKey)
		came <- sighting{a, asked, time.Now(), err}
	}()
	<-wrote
	// From outside, nothing shows that a handler has started.
	time.Sleep(300 * time.Millisecond)
	return came
}

// stopping stops the service, waits until it accepts no connections, and returns a channel for the error of run.
func (s *service) stopping(t *testing.T) <-chan error {
	t.Helper()
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	eventually(t, 5*time.Second, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	select {
	case err := <-stopped:
		t.Fatalf("run returned %v before the open request was answered", err)
	default:
	}
	return stopped
}

// The service stops during a request. It refuses new connections but completes this request,
// and closes the stream to Prosody only afterwards.
func TestStop_AnswersOpenRequests(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{LogLevel: "debug"})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada", "Bob")
	s := runService(t, envFor(srv)).ready()

	check(t, srv.Pause())
	waiting := s.open(t, "planning")
	stopped := s.stopping(t)
	// A closing stream stays for a second, so the response could arrive by luck.
	time.Sleep(1500 * time.Millisecond)
	check(t, srv.Resume())
	if got := <-waiting; got.err != nil || got.status != 200 || got.data["participant_count"] != 3.0 {
		t.Errorf("got %d %s, %v want the three who are there", got.status, got.body, got.err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("run got %v want nil", err)
	}

	records := s.log.Records(t)
	if last := records[len(records)-1]; last["msg"] != "ppch stopped" {
		t.Errorf("the log ends with %v want ppch stopped", last)
	}
	goodbye := regexp.MustCompile(`jcp\S+\s+debug\s+Received </stream:stream>`)
	eventually(t, 5*time.Second, "the stream was closed", func() bool { return goodbye.MatchString(srv.Log()) })
}

// Docker kills ten seconds after a stop, so a hanging Prosody must not delay it that long.
func TestStop_HangingProsody(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada")
	s := runService(t, envFor(srv)).ready()

	check(t, srv.Pause())
	began := time.Now()
	waiting := s.open(t, "planning")
	stopped := s.stopping(t)
	if err := <-stopped; err != nil {
		t.Errorf("run got %v want nil", err)
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("the stop took %s want less than Docker's ten seconds", took)
	}
	if got := <-waiting; got.err == nil && got.status != 503 {
		t.Errorf("got %d %s want no number of a Prosody that doesn't answer", got.status, got.body)
	}
}

func TestStop_BeforeProsodyIsUp(t *testing.T) {
	t.Parallel()
	// The kernel accepts the connection, but nothing reads from it.
	silent := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = silent.Close() })
	for name, address := range map[string]string{"nothing listens": "127.0.0.1:1", "nothing answers": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := runService(t, variables{"PPCH_API_KEY": testKey, "PPCH_COMPONENT_SECRET": "s3cret", "PPCH_PORT": "0", "PROSODY_URL": "xmpp://" + address})
			if got := s.room("planning"); got.status != 503 {
				t.Errorf("got %d %s want 503", got.status, got.body)
			}
			began := time.Now()
			if err := s.stop(); err != nil {
				t.Errorf("run got %v want nil", err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("the stop took %s want it at once", took)
			}
		})
	}
}
