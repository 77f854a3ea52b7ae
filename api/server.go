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
	"sync"
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
	"ppch/api/webhook"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// renewEvery is how often the files of the certificate are read.
const renewEvery = 10 * time.Second

// The bounds of one connection.
// All responses are fast to write, so a client that hits one of these is broken or hostile.
const (
	// readHeaderTimeout disconnects clients that send the header one byte at a time (slowloris).
	readHeaderTimeout = 5 * time.Second

	// readTimeout bounds the whole request, including an unexpected body.
	readTimeout = 10 * time.Second

	// writeTimeout runs from the end of the request's header, so it must leave time for a query to Prosody, which takes up to 15 s.
	writeTimeout = 20 * time.Second

	// idleTimeout is longer than the 60 s for which nginx and most connection pools keep an idle connection.
	// Otherwise the service would sometimes close a connection just when they reuse it.
	idleTimeout = 2 * time.Minute

	// maxHeaderBytes is far more than a browser sends, even with cookies for the whole domain.
	maxHeaderBytes = 32 << 10

	// drainTimeout is how long requests in progress may take when the service stops.
	// Docker kills the service after 10 s, and the XMPP stream closes after the API.
	drainTimeout = 5 * time.Second

	// defaultMaxStreams is enough for a dashboard on every desk, and takes a few hundred MiB at most.
	defaultMaxStreams = 10000

	// otherConnections is the default number of connections beyond those of streams, and thus of requests in progress.
	// With a low MaxConnections, spareConnections of them are reserved for requests.
	otherConnections = 2000
	spareConnections = 50
)

// Prosody has the data that is in no Directory. It must be safe for concurrent use.
type Prosody interface {
	// Room asks Prosody about one room, on all shards. It blocks until the answer arrives or ctx ends.
	// It is for rooms of which Directory.Room returns occupancy.ErrNoModule or Unasked; its errors are those of Directory.Room.
	Room(ctx context.Context, room jid.JID) (occupancy.Room, error)

	// RoomOn is Room for one shard.
	RoomOn(ctx context.Context, shard string, room jid.JID) (occupancy.Room, error)

	// Diagnostics returns the state of the connection to Prosody. The caller owns it. It must not block, because probes wait for it.
	Diagnostics() occupancy.Diagnostics

	// Services returns the MUC services of Prosody, or an error if they can't be discovered.
	Services() ([]occupancy.Service, error)
}

// Config is the configuration of a Server.
type Config struct {
	// Addr is host:port; port 0 selects a free port.
	Addr string

	// ChainFile and KeyFile have the certificate chain and its key, as PEM, for HTTPS. The Server reloads them when they change.
	// Both are empty for HTTP.
	ChainFile, KeyFile string

	// Keys are the API keys.
	Keys *keys.Keyring

	// Names finds the JID of a room by the names that clients use; nil rejects every name.
	Names *occupancy.NameResolver

	// Directory has all rooms, their status and their events. Prosody has the rest.
	Directory *occupancy.Directory
	Prosody   Prosody

	// Webhooks delivers events; nil if PPCH keeps no data. The caller runs it.
	Webhooks *webhook.Outbox

	// Epoch names this run of the service in positions, see [webhook.NewEpoch].
	Epoch string

	// Meetings records meetings; nil if none are recorded. The caller runs it.
	Meetings *history.Recorder

	// Archive reads the meetings that Meetings and other PPCH record; nil if there are no others.
	Archive *history.Archive

	// Metrics are all metrics that "/metrics" serves; nil for none.
	Metrics prometheus.Gatherer

	// MetricsPublic makes "/metrics" readable without a key.
	MetricsPublic bool

	// Origins are the origins of web pages that may read responses, as browsers send them; empty for none.
	Origins []string

	// SiteName is the name of this site, which its pages show; it may be empty.
	SiteName string

	// EmbedOrigins are the origins of web pages that may show the page of a share link in a frame; empty for none.
	EmbedOrigins []string

	// LegacyRoutes adds the routes of Jitsi's mod_muc_size and mod_muc_census.
	LegacyRoutes bool

	// MaxStreams is the maximum number of event streams; 0 means 10000.
	MaxStreams int

	// MaxConnections is the maximum number of connections; 0 means MaxStreams and 2000 more.
	// A low number also allows fewer streams than MaxStreams, so that streams leave room for other requests.
	MaxConnections int

	// TrustedProxies are networks whose addresses may each have any number of connections, because many clients share them.
	// Loopback addresses are always trusted.
	TrustedProxies []netip.Prefix

	// Hosts are the DNS names that requests without a key may use, in addition to those of the certificate.
	Hosts Hosts

	// Secret seals tokens that clients store, such as tickets and cursors. Every process with the same Secret can open them.
	// If it is empty, only this process can.
	Secret string

	// Version is the program's version, for "/" and "/health".
	Version string

	// Commit is the hash of the commit that the program was built from, and Built its date, for "/health".
	// Both may be zero, which it shows as null.
	Commit string
	Built  time.Time

	// Log receives a record for each request; nil discards them.
	Log *slog.Logger
}

// Server serves the HTTP API.
// Its methods are safe for concurrent use, but Run may be called only once.
type Server struct {
	cfg       Config
	nameCache *lru.Cache[string, namedRoom] // by name
	docs      web.Docs
	dashboard map[string]web.Asset // by name
	share     map[string]web.Asset // likewise, of share links
	links     *links
	encoder   *encoder
	etags     etagSeed
	unread    *budget
	turns     turns
	refusals  *sampler
	cursors   *keys.Sealer
	hub       *events.Hub
	lastHour  *lastHour
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
	streams   sync.WaitGroup // those that have taken over a connection, which net/http doesn't know

	metricsNeed  keys.Scope // of the key
	renewEvery   time.Duration
	positionWait time.Duration // maxWait, but for tests
}

// New returns a Server that listens already, so that a port in use is an error at start.
// Run accepts connections, and closes the listener.
func New(cfg Config) (*Server, error) {
	if cfg.Keys == nil {
		return nil, errors.New("api: Keys is nil: without keys, the data would be public")
	}
	cfg.Origins = slices.Clone(cfg.Origins)
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.Directory == nil || len(cfg.Directory.Domains()) == 0 {
		return nil, errors.New("api: Directory is nil or watches no MUC domain")
	}
	if cfg.Names == nil {
		cfg.Names = occupancy.NewNameResolver()
	}
	if cfg.Webhooks == nil {
		cfg.Webhooks = webhook.New(webhook.Config{Keys: cfg.Keys, Names: cfg.Names})
	}
	if cfg.Meetings == nil {
		cfg.Meetings = history.NewRecorder(history.RecorderConfig{Store: history.New("", history.Options{}), Directory: cfg.Directory})
	}
	if cfg.Archive == nil {
		cfg.Archive = history.NewArchive(cfg.Meetings, nil)
	}
	docs, err := web.LoadDocs()
	if err != nil {
		return nil, err
	}
	dashboard, err := web.LoadDashboard(cfg.SiteName)
	if err != nil {
		return nil, err
	}
	share, err := web.LoadShare(cfg.EmbedOrigins...)
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
		cfg:       cfg,
		nameCache: named,
		docs:      docs,
		dashboard: dashboard,
		share:     share,
		encoder:   newEncoder(cfg.Names),
		etags:     newEtagSeed(cfg),
		unread:    newBudget(),
		turns:     newTurns(),
		refusals:  refusals,
		cursors:   cursors,
		traffic:   newTraffic(),
		scrape:    newScrape(cfg.Metrics, cfg.Log),
		lastHour:  newLastHour(cfg.Directory),
		tickets:   tickets,
		requests:  keys.NewShares(connections - streams),
		gate:      newGate(connections, cfg.TrustedProxies, cfg.Log, refusals),
		drainFor:  drainTimeout,

		metricsNeed:  keys.ScopeMetrics,
		renewEvery:   renewEvery,
		positionWait: maxWait,
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
	s.links = newLinks(s)
	s.router, s.table = s.newRouter()
	s.http = s.newHTTPServer()
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

// newHTTPServer returns the server beneath s.
func (s *Server) newHTTPServer() *http.Server {
	return &http.Server{
		Handler:           s.wrap(s.dispatch),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.refusals.errorLog().Handler(), slog.LevelWarn),
		ConnContext:       withConn,
		ConnState:         s.gate.connState,

		// The write deadline of one response doesn't cover a connection on which the client no longer reads.
		HTTP2: &http.HTTP2Config{WriteByteTimeout: events.SendTimeout},

		// Without this, net/http answers "OPTIONS *" itself, with an empty 200.
		DisableGeneralOptionsHandler: true,
	}
}

// Addr returns the address on which the Server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Handler returns the whole API, including its middleware, for benchmarks and tests without a network.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Run serves until ctx ends, then finishes the requests in progress and returns nil.
// It returns an error if serving fails.
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
	g.Go(func() error { return s.lastHour.Run(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		s.drain(context.WithoutCancel(ctx))
		return nil
	})
	return g.Wait()
}

// serve accepts connections until the server is shut down.
func (s *Server) serve() error {
	if s.cert != nil {
		return s.http.ServeTLS(s.listener, "", "") // the certificate is in TLSConfig
	}
	return s.http.Serve(s.listener)
}

// drain lets the requests in progress finish, and closes the remaining connections after drainFor.
// ctx must not be canceled: Shutdown would not wait.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.drainFor)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		// This is no error of Run: a client that never finishes must not make a regular stop look like a crash.
		s.cfg.Log.Warn("connections cut at stop", "err", err)
		_ = s.http.Close() // best effort: the service stops anyway
		return
	}
	s.streams.Wait() // each ends soon after the hub
}
