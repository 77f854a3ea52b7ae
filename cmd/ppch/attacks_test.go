package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"ppch/prosody/prosodytest"
)

// attackSizes are the sizes of the attacks. The full sizes once brought an unlimited service down.
type attackSizes struct {
	full      bool
	room      int           // people in the room requested by many spellings; at most 200 of them have names of <
	large     int           // people in one large room
	rooms     int           // with ten people each, for snapshots of all
	at        int           // concurrent attackers
	streams   int           // concurrent subscribers
	places    int           // streams, waiting requests and connections that an attacker tries to get
	lasts     time.Duration // of each attack
	ratio     float64       // limit for other clients' p99 with an attack / without
	tolerance time.Duration // p99 below this is fine, at full size
}

// sizesOfAttacks is small unless PPCH_ATTACKS is full.
func sizesOfAttacks() attackSizes {
	if os.Getenv("PPCH_ATTACKS") == "full" {
		return attackSizes{full: true, room: 500, large: 40_000, rooms: 10_000, at: 50, streams: 200, places: 10_000, lasts: 10 * time.Second, ratio: 3, tolerance: 10 * time.Millisecond}
	}
	// Next to all other tests, durations mean nothing.
	return attackSizes{room: 100, large: 2000, rooms: 200, at: 20, streams: 40, places: 200, lasts: 600 * time.Millisecond}
}

// maxResident is the memory limit in MiB for each attack. PPCH_ATTACKS_MIB raises it, to measure other builds.
const maxResident = 256

// attack is what a client can do, with or without a key.
type attack struct {
	name string
	do   func(*attacker)
}

// attacker runs an attack on connections that are closed at the end.
type attacker struct {
	t     testing.TB
	sizes attackSizes
	addr  string
	ends  <-chan struct{}

	mu    sync.Mutex
	conns []net.Conn
	ended bool // a connection that comes later is closed at once
	doing sync.WaitGroup
	read  atomic.Int64 // bytes
}

// unread requests a target on separate connections and never reads a response.
func (a *attacker) unread(n int, target string) {
	for range n {
		a.send("GET " + target + " HTTP/1.1\r\nHost: ppch\r\nX-API-Key: " + testKey + "\r\n\r\n")
	}
}

// send sends a request on a new connection.
func (a *attacker) send(request string) net.Conn {
	conn, err := net.Dial("tcp", a.addr)
	if err != nil {
		a.t.Error(err)
		return nil
	}
	a.mu.Lock()
	a.conns = append(a.conns, conn)
	if a.ended {
		_ = conn.Close()
	}
	a.mu.Unlock()
	_, _ = io.WriteString(conn, request) // the service may close the connection
	return conn
}

// reads requests a target repeatedly on separate connections and reads all responses.
func (a *attacker) reads(n int, target, header string) {
	for range n {
		a.doing.Go(func() {
			for {
				conn := a.send("GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + header + "\r\n")
				if conn == nil {
					return
				}
				n, _ := io.Copy(io.Discard, conn)
				a.read.Add(n)
				_ = conn.Close()
				select {
				case <-a.ends:
					return
				default:
				}
			}
		})
	}
}

var attacks = []attack{
	{"one room by 100 spellings, unread", func(a *attacker) {
		a.unread(a.sizes.at, "/api/rooms?expand=occupants"+strings.Repeat("&name=crowd1", 100))
	}},
	{"a room of names of <, by 100 spellings, unread", func(a *attacker) {
		a.unread(a.sizes.at, "/api/rooms?expand=occupants"+strings.Repeat("&name=hostile1", 100))
	}},
	{"a large room, unread", func(a *attacker) { a.unread(a.sizes.at, "/api/rooms/large1/participants") }},
	{"a large room, read", func(a *attacker) {
		a.reads(8, "/api/rooms/large1", "X-API-Key: "+testKey+"\r\n")
	}},
	{"all rooms with occupants, unread", func(a *attacker) { a.unread(a.sizes.at, "/api/rooms?limit=1000&expand=occupants") }},
	{"snapshots of a large room, unread", func(a *attacker) { a.unread(a.sizes.streams, "/api/rooms/large1/events?snapshot=true") }},
	{"snapshots of all rooms, unread", func(a *attacker) { a.unread(a.sizes.streams, "/api/events?snapshot=true") }},
	{"snapshots of all rooms, read", func(a *attacker) {
		for range a.sizes.streams {
			conn := a.send("GET /api/events?snapshot=true HTTP/1.1\r\nHost: ppch\r\nX-API-Key: " + testKey + "\r\n\r\n")
			a.doing.Go(func() {
				n, _ := io.Copy(io.Discard, conn)
				a.read.Add(n)
			})
		}
	}},
	{"requests without a key", func(a *attacker) { a.reads(8, "/api/rooms", "") }},
}

// end closes all connections and waits for their readers.
func (a *attacker) end() {
	a.mu.Lock()
	a.ended = true
	for _, conn := range a.conns {
		_ = conn.Close()
	}
	a.mu.Unlock()
	a.doing.Wait()
}

// During each attack, the service stays within 256 MiB, in a control group with that limit, and stays fast for other clients.
func TestAttacks_MemoryAndOtherClients(t *testing.T) { carryOut(t, attacks) }

// carryOut runs the attacks one by one, and logs what each cost.
func carryOut(t *testing.T, attacks []attack) {
	sizes := sizesOfAttacks()
	if !sizes.full {
		t.Parallel()
	}
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, HostConfig: map[string]string{"muc.meet.jitsi": "muc_room_cache_size = 20000"},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, p := range []struct {
		room, user  string
		rooms, each int
	}{
		{"crowd", "User", 1, sizes.room}, {"hostile", strings.Repeat("<", 1020), 1, min(200, sizes.room)}, {"large", "User", 1, sizes.large}, {"room", "User", sizes.rooms, 10},
	} {
		check(t, srv.PopulateAs(ctx, p.room, p.user, p.rooms, p.each))
	}
	program := os.Getenv("PPCH_ATTACKS_PROGRAM") // another build, for comparison
	if program == "" {
		program = buildProgram(t)
	}
	limit := maxResident
	if more := os.Getenv("PPCH_ATTACKS_MIB"); more != "" {
		limit = must(strconv.Atoi(more))(t)
	}
	if group, err := newControlGroup(t, int64(limit)<<20); err == nil {
		program = inControlGroup(t, group, program)
	} else {
		t.Logf("no control group limits the service: %v", err)
	}
	var table strings.Builder
	rows := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(rows, "attack\tMiB at rest\tMiB at most\tCPU s\tread MB\tp99 ms without\twith\t")
	for _, c := range attacks {
		t.Run(c.name, func(t *testing.T) { fmt.Fprintln(rows, c.measure(t, srv, program, sizes)) })
	}
	_ = rows.Flush()
	t.Logf("each attack lasts %s\n%s", sizes.lasts, table.String())
}

// measure attacks a new service and returns the row of the table.
func (c attack) measure(t *testing.T, srv *prosodytest.Server, program string, sizes attackSizes) string {
	const othersKey = "ppch_B4AFLPN2TTFIVPCKM4NUM3MDF3"
	keys := filepath.Join(t.TempDir(), "keys")
	line := "name=others sha256=2e453a1c19730cc2e3bec31a4743b20eb07f464af75b3233cb73d4ea8d24756c scope=count,events\n"
	check(t, os.WriteFile(keys, []byte(line), 0o600))
	env := envFor(srv)
	env["PPCH_API_KEYS_FILE"] = keys
	env["PPCH_MAX_STREAMS"] = strconv.Itoa(sizes.places / 2)
	p := startProcess(t, program, env)
	p.ready(t)
	p.poll(t, othersKey, 100*time.Millisecond) // warm-up
	rest, _ := p.resident(t)
	without := p.poll(t, othersKey, min(3*time.Second, sizes.lasts))
	ends := make(chan struct{})
	a := &attacker{t: t, sizes: sizes, addr: strings.TrimPrefix(p.url, "http://"), ends: ends}
	before := p.cpu(t)
	c.do(a)
	with := p.poll(t, othersKey, sizes.lasts)
	select {
	case <-p.gone:
		close(ends)
		a.end()
		t.Errorf("the service ended: %s", p.cmd.ProcessState)
		return c.name + "\tkilled\t\t\t\t\t\t"
	default:
	}
	p.wantPlaces(t, othersKey)
	spent := p.cpu(t) - before
	close(ends)
	a.end()
	_, most := p.resident(t)
	if most > maxResident {
		t.Errorf("the service took %.0f MiB of memory, want %d at most", most, maxResident)
	}
	if sizes.full && with > sizes.tolerance && with.Seconds() > sizes.ratio*without.Seconds() {
		t.Errorf("p99 of other clients went from %s to %s", without, with)
	}
	p.kill()
	return fmt.Sprintf("%s\t%.0f\t%.0f\t%.1f\t%.0f\t%.2f\t%.2f\t", c.name, rest, most, spent.Seconds(), float64(a.read.Load())/1e6, without.Seconds()*1000, with.Seconds()*1000)
}

// pollVariable makes this program poll a service: in a separate process, the poll does not wait for other goroutines.
const pollVariable = "PPCH_TEST_POLL"

// poll requests a small room every few milliseconds on one connection and returns the 99th percentile of the latency,
// or the time without a response.
func (p *process) poll(t *testing.T, key string, lasts time.Duration) time.Duration {
	t.Helper()
	cmd := exec.Command(must(os.Executable())(t), key, lasts.String())
	cmd.Env = []string{pollVariable + "=" + strings.TrimPrefix(p.url, "http://")}
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("another client was disconnected: %v", err)
	}
	return must(time.ParseDuration(string(out)))(t)
}

// pollAndExit polls the service at an address, prints the result of poll and exits.
func pollAndExit(addr string) {
	key := os.Args[1]
	lasts, err := time.ParseDuration(os.Args[2])
	if err != nil {
		panic(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		panic(err)
	}
	answers := bufio.NewReader(conn)
	var took []time.Duration
	for began := time.Now(); time.Since(began) < lasts; time.Sleep(3 * time.Millisecond) {
		asked := time.Now()
		if err := conn.SetDeadline(asked.Add(10 * time.Second)); err != nil {
			panic(err)
		}
		_, _ = fmt.Fprintf(conn, "GET /api/rooms/room1/participants HTTP/1.1\r\nHost: ppch\r\nX-API-Key: %s\r\n\r\n", key)
		resp, err := http.ReadResponse(answers, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			fmt.Print(time.Since(asked))
			os.Exit(1)
		}
		took = append(took, time.Since(asked))
	}
	slices.Sort(took)
	fmt.Print(took[len(took)*99/100])
	os.Exit(0)
}

// resident returns the resident memory of the process in MiB, now and at its peak (proc(5), status: VmRSS and VmHWM).
func (p *process) resident(t *testing.T) (now, most float64) {
	t.Helper()
	status := must(os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)))(t)
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		for name, into := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &most} {
			if len(fields) > 1 && fields[0] == name {
				kib := must(strconv.ParseFloat(fields[1], 64))(t)
				*into = kib / 1024
			}
		}
	}
	return now, most
}

// cpu returns the processor time of the process (proc(5), stat: utime and stime, in hundredths of a second).
func (p *process) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat := must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid)))(t)
	_, rest, _ := strings.Cut(string(stat), ") ")
	var ticks int64
	for _, field := range strings.Fields(rest)[11:13] {
		n := must(strconv.ParseInt(field, 10, 64))(t)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
