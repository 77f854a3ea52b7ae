package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"ppch/prosody/prosodytest"
)

// startBroker starts Mosquitto with more lines of configuration, and returns its address.
func startBroker(t *testing.T, lines ...string) string {
	t.Helper()
	addr := freeAddress(t)
	_, port, _ := strings.Cut(addr, ":")
	config := "user root\npersistence false\nlistener " + port + " 127.0.0.1\n" + strings.Join(lines, "\n") + "\n"
	inBackground(t, exec.Command(prosodytest.Installed(t, "mosquitto"), "-c", written(t, "mosquitto.conf", config)))
	return addr
}

// subscriber is a client of a broker: Mosquitto's own.
type subscriber struct {
	// mu protects messages, by topic: payload and expiry in seconds.
	mu       sync.Mutex
	messages map[string][2]string
}

// subscribe receives all messages of a broker, whose options are those of mosquitto_sub.
func subscribe(t *testing.T, addr string, options ...string) *subscriber {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	s := &subscriber{messages: map[string][2]string{}}
	program := prosodytest.Installed(t, "mosquitto_sub")
	args := append([]string{"-h", host, "-p", port, "-V", "mqttv5", "-t", "#", "-F", "%t\t%E\t%p"}, options...)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil { // the broker may not listen yet
			cmd := exec.CommandContext(ctx, program, args...)
			out, err := cmd.StdoutPipe()
			if err != nil || cmd.Start() != nil {
				return
			}
			for lines := bufio.NewScanner(out); lines.Scan(); {
				s.take(lines.Text())
			}
			_ = cmd.Wait()
			time.Sleep(50 * time.Millisecond)
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return s
}

func (s *subscriber) take(line string) {
	parts := strings.SplitN(line, "\t", 3)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages[parts[0]] = [2]string{parts[2], parts[1]}
}

// payload returns the last message of a topic.
func (s *subscriber) payload(topic string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages[topic][0]
}

// expires returns whether the broker drops the last message of a topic.
func (s *subscriber) expires(topic string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seconds, _ := strconv.Atoi(s.messages[topic][1])
	return seconds > 0 && seconds <= 90
}

// wants waits until the topics have these payloads.
func (s *subscriber) wants(t *testing.T, payloads map[string]string) {
	t.Helper()
	eventually(t, 40*time.Second, fmt.Sprint("the broker has ", payloads), func() bool {
		for topic, payload := range payloads {
			if s.payload(topic) != payload {
				return false
			}
		}
		return true
	})
}

// runMQTT runs "ppch mqtt" until ctx ends or the service or the broker refuses.
func runMQTT(ctx context.Context, env variables, log io.Writer, args ...string) error {
	cmd := newCommand(envconfig.MapLookuper(env))
	cmd.SetOut(io.Discard)
	cmd.SetErr(log)
	cmd.SetArgs(append([]string{"mqtt"}, args...))
	return cmd.ExecuteContext(ctx)
}

// mqttUntilRefused runs "ppch mqtt" until it gives up, and returns its log and its error.
func mqttUntilRefused(t *testing.T, env variables, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	log := &logBuffer{}
	err := runMQTT(ctx, env, log, args...)
	return log.String(), err
}

// mqttCommand runs "ppch mqtt" until stop is called, which returns its error, or the test ends.
func mqttCommand(t *testing.T, env variables, args ...string) (stop func() error, log *logBuffer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log = &logBuffer{}
	done := make(chan error, 1)
	go func() { done <- runMQTT(ctx, env, log, args...) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		_ = stop()
		if t.Failed() {
			t.Logf("ppch mqtt:\n%s", log.String())
		}
	})
	return stop, log
}

// A sensor of Home Assistant follows a room, and is unavailable whenever its number isn't current.
func TestMQTT_SensorFollowsRoom(t *testing.T) {
	t.Parallel()
	addr := startBroker(t, "allow_anonymous true")
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	people := meeting(t, cast, srv.Room("planning"), "Ada", "Grace")
	must(cast.Recorder(t.Context(), srv.Room("planning")))(t)
	env := envFor(srv)
	s := runService(t, env).ready()
	broker := subscribe(t, addr)
	stop, _ := mqttCommand(t, asks(t, s), "planning", "acme/Stand up", "--broker", "mqtt://"+addr)

	const other = "acme_stand_up_ec39a8bc"
	broker.wants(t, map[string]string{
		"ppch/status": "online", "ppch/planning/people": "2", "ppch/planning/availability": "online",
		"ppch/" + other + "/people": "0", "ppch/" + other + "/availability": "online",
	})
	for topic, want := range map[string]bool{
		"ppch/status": true, "ppch/planning/people": true, "ppch/planning/availability": true,
		"homeassistant/sensor/ppch/planning/config": false,
	} {
		later := subscribe(t, addr)
		eventually(t, 10*time.Second, topic+" is retained", func() bool { return later.payload(topic) != "" })
		if got := later.expires(topic); got != want {
			t.Errorf("%s: got expiry %v want %v", topic, got, want)
		}
	}
	var sensor struct {
		Name         string `json:"name"`
		UniqueID     string `json:"unique_id"`
		StateTopic   string `json:"state_topic"`
		Mode         string `json:"availability_mode"`
		Availability []struct{ Topic string }
		Device       struct{ Identifiers []string }
	}
	check(t, json.Unmarshal([]byte(broker.payload("homeassistant/sensor/ppch/"+other+"/config")), &sensor))
	if got := fmt.Sprint(sensor); got != "{acme/Stand up ppch_"+other+" ppch/"+other+"/people all [{ppch/status} {ppch/"+other+"/availability}] {[ppch]}}" {
		t.Errorf("got the sensor %s", got)
	}

	must(cast.User(t.Context(), srv.Room("planning"), "Linus"))(t)
	broker.wants(t, map[string]string{"ppch/planning/people": "3"})
	check(t, people[0].Leave(t.Context()))
	broker.wants(t, map[string]string{"ppch/planning/people": "2"})

	if err := srv.Kill(); err != nil { // without Prosody the number is not current, even while the API still serves it
		t.Fatal(err)
	}
	broker.wants(t, map[string]string{"ppch/planning/availability": "offline", "ppch/status": "online"})
	if got := s.room("planning"); got.status != http.StatusOK {
		t.Errorf("the API got %d: too late to show that the sensor is stricter", got.status)
	}
	check(t, srv.Restart(t.Context()))
	broker.wants(t, map[string]string{"ppch/planning/availability": "online", "ppch/planning/people": "0"})

	if err := stop(); err != nil {
		t.Errorf("got %v want a clean stop", err)
	}
	broker.wants(t, map[string]string{"ppch/status": "offline"})
}

// A command that is killed can't say goodbye: the broker publishes its last will.
func TestMQTT_LastWill(t *testing.T) {
	t.Parallel()
	addr := startBroker(t, "allow_anonymous true")
	broker := subscribe(t, addr)
	cmd := exec.Command(buildProgram(t), "mqtt", "planning", "--broker", "mqtt://"+addr, "--topic", "home/ppch")
	cmd.Env = []string{"PPCH_API_KEY=" + testKey, "PPCH_PORT=1"} // no service
	check(t, cmd.Start())
	broker.wants(t, map[string]string{"home/ppch/status": "online", "home/ppch/planning/availability": "offline"})
	if broker.payload("home/ppch/planning/people") != "" {
		t.Error("got a number without a service")
	}
	check(t, cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
	broker.wants(t, map[string]string{"home/ppch/status": "offline"})
}

// A service that no longer answers, although its connections are open, is noticed.
func TestMQTT_FrozenService(t *testing.T) {
	t.Parallel()
	addr := startBroker(t, "allow_anonymous true")
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada")
	var env []string
	for name, value := range envFor(srv) {
		env = append(env, name+"="+value)
	}
	cmd, s := serving(t, buildProgram(t), env...)
	broker := subscribe(t, addr)
	mqttCommand(t, asks(t, s), "planning", "--broker", "mqtt://"+addr)
	broker.wants(t, map[string]string{"ppch/planning/people": "1", "ppch/planning/availability": "online"})
	check(t, cmd.Process.Signal(syscall.SIGSTOP))
	broker.wants(t, map[string]string{"ppch/planning/availability": "offline"})
	check(t, cmd.Process.Signal(syscall.SIGCONT))
	broker.wants(t, map[string]string{"ppch/planning/people": "1", "ppch/planning/availability": "online"})
}

// The command waits for a service and a broker that start later.
func TestMQTT_WaitsForServiceAndBroker(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada")
	brokerAddr, serviceAddr := freeAddress(t), freeAddress(t)
	_, port, _ := strings.Cut(serviceAddr, ":")
	_, log := mqttCommand(t, variables{"PPCH_API_KEY": testKey, "PPCH_PORT": port}, "planning", "--broker", "mqtt://"+brokerAddr)
	eventually(t, 10*time.Second, "the command reports both", func() bool {
		return strings.Contains(log.String(), "no connection to the broker") && strings.Contains(log.String(), "is the service running?")
	})
	_, brokerPort, _ := strings.Cut(brokerAddr, ":")
	inBackground(t, exec.Command(prosodytest.Installed(t, "mosquitto"), "-c",
		written(t, "mosquitto.conf", "user root\nallow_anonymous true\nlistener "+brokerPort+" 127.0.0.1\n")))
	broker := subscribe(t, brokerAddr)
	broker.wants(t, map[string]string{"ppch/status": "online", "ppch/planning/availability": "offline"})
	env := envFor(srv)
	env["PPCH_PORT"] = port
	runService(t, env).ready()
	broker.wants(t, map[string]string{"ppch/planning/people": "1", "ppch/planning/availability": "online"})
}

// With TLS and a password, as on a broker outside of this machine.
func TestMQTT_TLSAndPassword(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, time.Hour)
	passwords := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.Command(prosodytest.Installed(t, "mosquitto_passwd"), "-b", "-c", passwords, "ppch", "s3cret word").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	acl := written(t, "acl", "user ppch\ntopic readwrite ppch/#\ntopic readwrite homeassistant/#\n")
	addr := startBroker(t, "allow_anonymous false", "password_file "+passwords, "acl_file "+acl, "certfile "+cert, "keyfile "+key)
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada")
	env := asks(t, runService(t, envFor(srv)).ready())
	right, wrong := written(t, "right", "s3cret word\n"), written(t, "wrong", "guess\n")

	broker := subscribe(t, addr, "--cafile", cert, "-u", "ppch", "-P", "s3cret word")
	mqttCommand(t, env, "planning", "--broker", "mqtts://"+addr, "--ca-file", cert, "--user", "ppch", "--password-file", right)
	broker.wants(t, map[string]string{"ppch/planning/people": "1", "ppch/planning/availability": "online"})

	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"a wrong password":   {[]string{"--user", "ppch", "--password-file", wrong}, "mqtt: the broker refuses the user or password: check --user and --password-file"},
		"no user":            {nil, "mqtt: the broker refuses the user or password: check --user and --password-file"},
		"a forbidden prefix": {[]string{"--user", "ppch", "--password-file", right, "--topic", "other"}, "mqtt: the broker refuses to let this user publish to other/planning/availability: allow it in the broker's access control, or choose another --topic"},
	} {
		t.Run(name, func(t *testing.T) {
			log, err := mqttUntilRefused(t, env, append([]string{"planning", "--broker", "mqtts://" + addr, "--ca-file", cert}, tt.args...)...)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v want %s", err, tt.want)
			}
			if strings.Contains(log, "s3cret") || strings.Contains(log, "guess") {
				t.Errorf("the log has a password:\n%s", log)
			}
		})
	}
	stop, log := mqttCommand(t, env, "planning", "--broker", "mqtts://"+addr, "--user", "ppch", "--password-file", right)
	eventually(t, 20*time.Second, "an unknown authority is reported", func() bool { return strings.Contains(log.String(), "certificate signed by unknown authority") })
	_ = stop()
}

// Home Assistant forgets the sensors of rooms that are no longer chosen, but not those of another program.
func TestMQTT_RemovesOldSensors(t *testing.T) {
	t.Parallel()
	addr := startBroker(t, "allow_anonymous true")
	env := variables{"PPCH_API_KEY": testKey, "PPCH_PORT": "1"}
	broker := subscribe(t, addr)
	for topic, rooms := range map[string][]string{"ppch": {"planning", "retro"}, "other": {"retro"}} {
		stop, _ := mqttCommand(t, env, append(rooms, "--topic", topic, "--broker", "mqtt://"+addr)...)
		broker.wants(t, map[string]string{topic + "/status": "online"})
		check(t, stop())
	}
	stop, _ := mqttCommand(t, env, "planning", "--broker", "mqtt://"+addr)
	defer func() { _ = stop() }()
	broker.wants(t, map[string]string{"ppch/status": "online", "homeassistant/sensor/ppch/retro/config": ""})
	for _, topic := range []string{"homeassistant/sensor/ppch/planning/config", "homeassistant/sensor/other/retro/config"} {
		if broker.payload(topic) == "" {
			t.Errorf("%s is gone", topic)
		}
	}
}

func TestMQTT_UsageErrors(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                                       "name at least one room, as in ppch mqtt planning",
		"a A":                                    `"a" and "A" are the same room: name it once`,
		"a --broker 127.0.0.1":                   "--broker: use mqtt:// or mqtts:// and a host, such as mqtt://127.0.0.1:1883",
		"a --broker http://x":                    "--broker: use mqtt:// or mqtts:// and a host, such as mqtt://127.0.0.1:1883",
		"a --broker mqtt://u:s3cret@x":           "--broker: contains a user, and perhaps a password, hidden here: use --user and --password-file",
		"a --topic a/#":                          `--topic: "a/#" can't begin topics: use a word such as ppch, or words with / between them`,
		"a --topic=":                             "--topic: is empty: use a word such as ppch",
		"a --password-file /none":                "--password-file: needs --user",
		"a --user u --password-file /none":       "--password-file: open /none: no such file or directory",
		"a --user u --password-file /dev/null":   "--password-file: the first line of /dev/null is empty: write the password there",
		"a --ca-file /x":                         "--ca-file: has no effect with mqtt://: use mqtts://",
		"a --broker mqtts://x --ca-file mqtt.go": "--ca-file: mqtt.go has no certificate in PEM format",
	} {
		_, err := command(t, variables{"PPCH_API_KEY": testKey}, append([]string{"mqtt"}, strings.Fields(args)...)...)
		if err == nil || err.Error() != want || exitStatus(err) != 2 {
			t.Errorf("%s: got %v want %s", args, err, want)
		}
	}
}

// A key that the service refuses ends the command.
func TestMQTT_WrongKey(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	env := asks(t, runService(t, envFor(srv)).ready())
	env["PPCH_API_KEY"] = "Another-Horse-Battery-Staple"
	_, err := mqttUntilRefused(t, env, "planning", "--broker", "mqtt://"+freeAddress(t))
	if err == nil || err.Error() != "mqtt: Unknown API key: check it, or ask the operator for a new one. (wrong-key)" || exitStatus(err) != 1 {
		t.Errorf("got %v", err)
	}
}
