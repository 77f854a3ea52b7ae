package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/gorilla/mux"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"ppch/api/certificate"
	"ppch/api/events"
	"ppch/api/keys"
	"ppch/api/web"
	"ppch/component/occupancy"
)

// renewEvery is how often the files of the certificate are read.
const renewEvery = 10 * time.Second

// The bounds of one connection.
// None of the answers is slow to write, so whoever hits one of these is broken or hostile.
const (
	// readHeaderTimeout cuts clients that send a header a byte at a time (slowloris).
	readHeaderTimeout = 5 * time.Second

	// readTimeout bounds the whole request, thus also a body that nobody asked for.
	readTimeout = 10 * time.Second

	// writeTimeout runs from the end of the request's header, so it must leave room for a question to Prosody, which takes 15 s at most.
	writeTimeout = 20 * time.Second

	// idleTimeout is longer than the 60 s for which nginx and most pools keep an idle connection:
	// were it shorter, we would now and then close one at the moment in which they use it again.
	idleTimeout = 2 * time.Minute

	// maxHeaderBytes is far above what a browser with cookies for the whole domain sends.
	maxHeaderBytes = 32 << 10

	// drainTimeout is how long requests under way may take when the service stops;
	// Docker kills after 10 s, and XMPP has to be closed after us.
	drainTimeout = 5 * time.Second

	// defaultMaxStreams is far more than a dashboard on every desk, and some hundred MiB at most.
	defaultMaxStreams = 10000

	// otherConnections is how many connections there may be unless fewer are allowed, beside those of streams,
	// and so how many requests under way. Of few connections spareConnections stay for these.
	otherConnections = 2000
	spareConnections = 50
)

// Prosody answers what no Directory holds. It must be safe for concurrent use.
type Prosody interface {
	// Room asks about one room, which blocks until the answer comes or ctx ends.
	// It is for rooms that can't be read because of occupancy.ErrNoModule; the errors are those of Directory.Room.
	Room(ctx context.Context, room jid.JID) (occupancy.Room, error)

	// Diagnostics returns how the service is connected to Prosody. The caller owns it. It must not block, since probes wait for it.
	Diagnostics() occupancy.Diagnostics

	// Services returns the MUC services that Prosody shows, or why it can't be asked.
	Services() ([]occupancy.Service, error)
}

// Config is what a Server needs.
type Config struct {
	// Addr is host:port; port 0 takes a free one.
	Addr string

	// ChainFile and KeyFile hold the certificate with those that vouch for it, and its key, as PEM: the API then speaks HTTPS.
	// They are read again while the Server runs. Both are empty for HTTP.
	ChainFile, KeyFile string

	// Keys are those of clients.
	Keys *keys.Keyring

	// Names makes a room's JID of what a client calls it.
	Names *occupancy.NameResolver

	// Directory has all rooms, whether they are current, and what happens. Prosody has the rest.
	Directory *occupancy.Directory
	Prosody   Prosody

	// Metrics are what "/metrics" tells, all in all; nil for none.
	Metrics prometheus.Gatherer

	// MetricsPublic lets anybody read them, without the key.
	MetricsPublic bool

	// Origins are those of web pages that may read answers, each as a browser sends it; empty for none.
	Origins []string

	// MaxStreams is how many event streams there may be at a time; 0 means 10000.
	MaxStreams int

	// MaxConnections is how many connections there may be at a time; 0 means MaxStreams and 2000 more.
	// With few of them there may be fewer streams than MaxStreams, so that others can still ask.
	MaxConnections int

	// TrustedProxies are networks of which an address may have any number of connections, since it stands for many clients.
	// Addresses of loopback always do.
	TrustedProxies []netip.Prefix

	// Hosts are the DNS names by which requests without a key may ask, beside those of the certificate.
	Hosts Hosts

	// Secret seals what clients keep for the service, such as tickets. What one process seals, another with the same Secret opens;
	// with an empty one it opens in this process only.
	Secret string

	// Version is shown by "/" and "/health".
	Version string

	// Commit is the hash of what the program was built from, and Built that commit's date.
	// "/health" shows them, and null for an empty or zero one.
	Commit string
	Built  time.Time

	// Log receives a record for each request; nil discards them.
	Log *slog.Logger
}

// Server serves the HTTP API.
// Its methods are safe for concurrent use, but Run may be called only once.
type Server struct {
	keys      *keys.Keyring
	names     *occupancy.NameResolver
	nameCache *lru.Cache[string, namedRoom] // what names has said
	directory *occupancy.Directory
	prosody   Prosody
	version   string
	commit    string
	built     time.Time
	origins   []string
	hosts     Hosts
	log       *slog.Logger
	docs      web.Docs
	dashboard map[string]web.Asset // by name
	encoder   *encoder
	unread    *budget
	turns     turns
	refusals  *sampler
	cursors   *keys.Sealer
	hub       *events.Hub
	history   *history
	tickets   keys.Tickets
	requests  *keys.Shares
	gate      *gate
	router    *mux.Router
	table     map[*mux.Route]route
	listener  net.Listener
	http      *http.Server
	cert      *certificate.Certificate // nil for HTTP
	traffic   *traffic
	scrape    http.Handler
	drainFor  time.Duration

	metricsNeed keys.Scope // of the key
	renewEvery  time.Duration
}

// New returns a Server that already listens, so that a port which is taken fails at start.
// Connections are accepted only by Run, which also closes the listener.
func New(cfg Config) (*Server, error) {
	if cfg.Keys == nil {
		return nil, errors.New("api: no keys: without them anybody could read who is in a room")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.Directory == nil || len(cfg.Directory.Domains()) == 0 {
		return nil, errors.New("api: no directory, or one that watches no MUC domain")
	}
	docs, err := web.LoadDocs()
	if err != nil {
		return nil, err
	}
	dashboard, err := web.LoadDashboard()
	if err != nil {
		return nil, err
	}
	cursors, err := keys.NewSealer(cfg.Secret, "cursors")
	if err != nil {
		return nil, err
	}
	named, err := lru.New[string, namedRoom](maxNames)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	tickets, err := keys.NewTickets(cfg.Secret)
	if err != nil {
		return nil, err
	}
	maxStreams := cmp.Or(cfg.MaxStreams, defaultMaxStreams)
	connections := cmp.Or(cfg.MaxConnections, maxStreams+otherConnections)
	streams := min(maxStreams, connections-min(connections/4, spareConnections))
	refusals := newSampler(cfg.Log)
	s := &Server{
		keys:      cfg.Keys,
		names:     cfg.Names,
		nameCache: named,
		directory: cfg.Directory,
		prosody:   cfg.Prosody,
		version:   cfg.Version,
		commit:    cfg.Commit,
		built:     cfg.Built,
		origins:   slices.Clone(cfg.Origins),
		hosts:     cfg.Hosts,
		log:       cfg.Log,
		docs:      docs,
		dashboard: dashboard,
		encoder:   newEncoder(cfg.Names),
		unread:    newBudget(),
		turns:     newTurns(),
		refusals:  refusals,
		cursors:   cursors,
		traffic:   newTraffic(),
		scrape:    newScrape(cfg.Metrics, cfg.Log),
		history:   newHistory(cfg.Directory),
		tickets:   tickets,
		requests:  keys.NewShares(connections - streams),
		gate:      newGate(connections, cfg.TrustedProxies, cfg.Log, refusals),
		drainFor:  drainTimeout,

		metricsNeed: keys.ScopeMetrics,
		renewEvery:  renewEvery,
	}
	if cfg.MetricsPublic {
		s.metricsNeed = public
	}
	s.hub = events.NewHub(events.Config{
		Directory:  cfg.Directory,
		Names:      cfg.Names,
		Keys:       cfg.Keys,
		MaxStreams: streams,
		Memory:     s.unread,
		TakeTurn:   func() events.Turn { return s.turns.take() },
	})
	s.router, s.table = s.newRouter()
	s.http = &http.Server{
		Handler:           s.wrap(s.dispatch),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.refusals.errorLog().Handler(), slog.LevelWarn),
		ConnContext:       withConn,
		ConnState:         s.gate.connState,

		// The deadline of one answer means nothing to a connection on which nobody reads any more.
		HTTP2: &http.HTTP2Config{WriteByteTimeout: events.SendTimeout},

		// "OPTIONS *" goes through the router like everything else, instead of an empty 200.
		DisableGeneralOptionsHandler: true,
	}
	if cfg.ChainFile != "" || cfg.KeyFile != "" {
		if s.cert, err = certificate.Load(cfg.ChainFile, cfg.KeyFile, cfg.Log); err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		s.http.TLSConfig = s.cert.Config()
	}
	listener, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s.listener = gateListener{listener, s.gate}
	return s, nil
}

// Addr returns the address on which the Server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Handler returns the whole API, all wrapping included, for benchmarks and tests that need no network.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Run serves until ctx ends, then drains and returns nil.
// It returns an error if serving ends by itself.
func (s *Server) Run(ctx context.Context) error {
	defer s.refusals.flush()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := s.serve(); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("api: serve: %w", err)
		}
		return nil
	})
	if s.cert != nil {
		g.Go(func() error {
			s.cert.Watch(ctx, s.renewEvery)
			return nil
		})
	}
	g.Go(func() error { return s.hub.Run(ctx) })
	g.Go(func() error { return s.refusals.Run(ctx) })
	g.Go(func() error { return s.history.Run(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		s.drain(context.WithoutCancel(ctx))
		return nil
	})
	return g.Wait()
}

// serve answers requests until the server is shut down.
func (s *Server) serve() error {
	if s.cert != nil {
		return s.http.ServeTLS(s.listener, "", "") // the certificate is in TLSConfig
	}
	return s.http.Serve(s.listener)
}

// drain lets the requests under way finish and closes what is left after drainFor.
// ctx must not have ended: a Shutdown with an ended one would wait for nobody.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.drainFor)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		// Not an error of Run's: a client that never finishes must not make a wanted stop look like a crash.
		s.log.Warn("connections cut at stop", "err", err)
		_ = s.http.Close() // what it could complain of is being closed anyway
	}
}
