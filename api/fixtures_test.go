package api_test

import (
	"context"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/api/keys"
	"ppch/component/occupancy"
)

// refused is the remedy if nothing listens at Prosody's address.
var refused = occupancy.ProblemRefused.For(occupancy.Settings{}).With(occupancy.Fact{Name: "prosody", Value: "prosody:5347"}).Err(nil).Remedy

// healthyConnection has a main domain that can be counted.
func healthyConnection() connection {
	return connection{
		up:    true,
		since: now.Add(-90 * time.Minute).Truncate(time.Hour),
		domains: []domainStatus{
			{jid: mainDomain, mode: occupancy.ModeModule},
			{jid: breakoutDomain, problem: &occupancy.UnavailableError{
				Reason: occupancy.ReasonNoMUC,
				Remedy: "breakout.meet.jitsi is not a MUC service",
			}},
		},
	}
}

// lostConnection is a connection to a Prosody that is down.
func lostConnection() connection {
	return connection{
		since:   now.Add(-90 * time.Minute).Truncate(time.Hour),
		problem: &occupancy.UnavailableError{Reason: occupancy.ReasonRefused, Remedy: refused, RetryAfter: 2500 * time.Millisecond},
		domains: []domainStatus{{jid: mainDomain}},
	}
}

// syncingConnection is a connection whose rooms are loading.
func syncingConnection() connection {
	c := healthyConnection()
	c.domains[0].problem = syncing
	return c
}

// diagnosticsOf returns the diagnostics of domains.
func diagnosticsOf(domains ...occupancy.DomainDiagnostics) occupancy.Diagnostics {
	return occupancy.Diagnostics{Component: jid.MustParse("ppch.meet.jitsi"), Prosody: "prosody:5347", Domains: domains}
}

// healthyDiagnostics are the diagnostics of healthyConnection.
func healthyDiagnostics() occupancy.Diagnostics {
	w := diagnosticsOf(occupancy.DomainDiagnostics{
		Resyncs: 1,
		Sync: &occupancy.Sync{
			Version: "2.0.0", Epoch: "e1", Seq: 7, Heartbeat: 5 * time.Second,
			LastBatch: now.Add(-2 * time.Second), Lag: 12 * time.Millisecond, Ahead: new(-250 * time.Millisecond),
			RoomCache: 10000,
		},
	}, occupancy.DomainDiagnostics{})
	w.LastAnswer = now.Add(-625 * time.Millisecond)
	w.Admins = []occupancy.AdminDiagnostics{{JID: jid.MustParse("boss@auth.meet.jitsi"), Local: true}, {JID: jid.MustParse("ada@auth.meet.jitsi"), Local: true}}
	w.Rules = []occupancy.RuleCount{{Rule: "bots", Occupants: 1}}
	return w
}

// minutesBot is an occupant that an operator's rule hides.
func minutesBot(joined time.Time) occupancy.Occupant {
	return occupancy.Occupant{
		ID: "b07b07b0", Name: "Minutes", Kind: occupancy.KindHidden, Rule: "bots", Role: "participant", Affiliation: "none",
		RealJID: "minutes@bots.example.com/x", JoinedAt: joined,
	}
}

// withBot is occupied with a bot.
func withBot(ctx context.Context, room jid.JID) (occupancy.Room, error) {
	r, err := occupied(ctx, room)
	r.Counts[occupancy.KindHidden] = 1
	r.Occupants = append(r.Occupants, occupancy.NewRecord(minutesBot(now.Truncate(time.Hour).Add(4*time.Minute))))
	return r, err
}

// severalWithBot is several with a bot.
func severalWithBot() *occupancy.Directory {
	d := several()
	b := occupancy.Batch{Synced: true, Rooms: 2, Occupants: 6, Deltas: []occupancy.Delta{
		{Room: "[acme]planning@muc.meet.jitsi", Present: []occupancy.Occupant{minutesBot(now.Add(-10 * time.Minute))}},
	}}
	if err := d.Shard(occupancy.DefaultShard).Apply(mainDomain, b, now); err != nil {
		panic(err)
	}
	return d
}

// occupied is a fakeRooms of rooms with a meeting. It returns the occupants unsorted.
func occupied(_ context.Context, room jid.JID) (occupancy.Room, error) {
	began := now.Truncate(time.Hour)
	return occupancy.Room{
		JID:                 room,
		Exists:              true,
		Participants:        3,
		Exact:               true,
		Shard:               occupancy.DefaultShard,
		Source:              occupancy.SourceModule,
		AsOf:                now,
		CreatedAt:           began,
		Counts:              map[occupancy.Kind]int{occupancy.KindFocus: 1, occupancy.KindUser: 2, occupancy.KindSIP: 1, occupancy.KindRecorder: 1},
		Type:                occupancy.RoomMain,
		MeetingParticipants: new(7), Visitors: new(12),
		Lobby: &occupancy.RoomRef{JID: jid.MustParse("myroom@lobby.meet.jitsi"), Known: true, Exists: true, Participants: 1},
		Breakouts: []occupancy.RoomRef{
			{JID: jid.MustParse("7d1f@breakout.meet.jitsi"), Name: "Group 2", Known: true, Exists: true, Participants: 4},
			{JID: jid.MustParse("0c2e@breakout.meet.jitsi"), Name: "Group 1", Known: true},
		},
		Occupants: records([]occupancy.Occupant{
			{ID: "d15c0000", Kind: occupancy.KindRecorder, Role: "participant", Affiliation: "none", JoinedAt: began.Add(3 * time.Minute)},
			{
				ID: "c0ffee00", Name: "+44 20 7946 0000", Kind: occupancy.KindSIP, Role: "participant", Affiliation: "none",
				JoinedAt: began.Add(2 * time.Minute), Flags: occupancy.FlagJigasi | occupancy.FlagAudioOn,
			},
			{
				ID: "3b9d1a77", Name: "Ada", Kind: occupancy.KindUser, Role: "moderator", Affiliation: "owner", MovedFrom: "0c2e@breakout.meet.jitsi",
				JoinedAt: began.Add(1250 * time.Millisecond),
				RealJID:  "a17c@meet.jitsi/PcVx", UserID: "42", UserName: "Ada Lovelace", UserGroup: "staff", UserEmail: "ada@example.com",
				AvatarURL: "https://example.com/ada.png",
				Flags:     occupancy.FlagHandRaised | occupancy.FlagAudioMuted | occupancy.FlagVideoOn | occupancy.FlagScreenOff,
			},
			{ID: "focus", Kind: occupancy.KindFocus, Role: "moderator", Affiliation: "owner", JoinedAt: began},
			{
				ID: "8a7c1f02", Kind: occupancy.KindUser, Role: "participant", Affiliation: "none", Connection: occupancy.ConnectionHibernating,
				JoinedAt: began.Add(time.Minute), Flags: occupancy.FlagAudioOn | occupancy.FlagVideoMuted | occupancy.FlagScreenOn,
			},
		}...),
	}, nil
}

// inexact is a fakeRooms whose rooms have only a number of occupants.
func inexact(_ context.Context, room jid.JID) (occupancy.Room, error) {
	return occupancy.Room{JID: room, Exists: true, Participants: 4, Source: occupancy.SourceDisco, AsOf: now}, nil
}

// away is the error while Prosody is down.
var away = &occupancy.UnavailableError{Reason: occupancy.ReasonRefused, Remedy: refused, RetryAfter: 2100 * time.Millisecond}

// syncing is the error while rooms are loading.
var syncing = occupancy.ProblemSyncing.About(mainDomain).Err(nil)

// hides is the error if Prosody hides rooms.
var hides = occupancy.ProblemHidden.About(mainDomain).Err(nil)

// panics is a fakeRooms that panics.
func panics(context.Context, jid.JID) (occupancy.Room, error) { panic("the secret of the room") }

// several returns a Directory of meetings, breakout rooms and a lobby.
func several() *occupancy.Directory {
	began := now.Add(-30 * time.Minute)
	d := apitest.NewDirectory(panicker{}, mainDomain, breakoutDomain, lobbyDomain)
	d.Now = func() time.Time { return now }
	d.NotCounted = []occupancy.Rule{{Name: "bots", Pattern: "*@bots.example.com"}}
	person := func(id, name string, after time.Duration) occupancy.Occupant {
		return occupancy.Occupant{ID: id, Name: name, Role: "participant", Affiliation: "none", RealJID: id + "@meet.jitsi/x", JoinedAt: began.Add(after)}
	}
	ada, grace := person("3b9d1a77", "Ada", time.Second), person("8a7c1f02", "Grace", time.Minute)
	ada.MovedFrom, grace.Connection = "7d1f@breakout.meet.jitsi", occupancy.ConnectionHibernating
	focus := occupancy.Occupant{ID: "focus", Role: "moderator", Affiliation: "owner", RealJID: "focus@auth.meet.jitsi/f", JoinedAt: began}
	d.Load(mainDomain,
		occupancy.Delta{
			New: true, Room: "[acme]planning@muc.meet.jitsi",
			Facts: &occupancy.RoomFacts{
				CreatedAt: began, MeetingID: "0b7a7c2e", Subject: "Planning", Password: true, MembersOnly: true, Visitors: new(2),
				Lobby: "[acme]planning@lobby.meet.jitsi", Breakouts: []occupancy.Breakout{{JID: "7d1f@breakout.meet.jitsi", Name: "Group 1"}},
			},
			Present: []occupancy.Occupant{focus, ada, grace},
		},
		occupancy.Delta{
			New: true, Room: "standup@muc.meet.jitsi",
			Facts:   &occupancy.RoomFacts{CreatedAt: began.Add(10 * time.Minute), Visitors: new(0)},
			Present: []occupancy.Occupant{focus, person("5e0c77aa", "Alan", 10*time.Minute)},
		})
	d.Load(breakoutDomain, occupancy.Delta{
		New: true, Room: "7d1f@breakout.meet.jitsi", Facts: &occupancy.RoomFacts{CreatedAt: began.Add(20 * time.Minute), Visitors: new(0)},
		Present: []occupancy.Occupant{person("99f00d11", "Edsger", 20*time.Minute)},
	})
	d.Load(lobbyDomain)
	return d.Directory
}

// withPast serves a Directory whose data may be of any age.
func withPast(d *occupancy.Directory) func(*api.Config) {
	d.MaxStaleness = forever
	return withDirectory(d)
}

// split returns a Directory of three shards: a room is on two of them, and the third is down.
func split() *occupancy.Directory {
	began := now.Add(-30 * time.Minute)
	all := apitest.NewShards(panicker{})
	all.Now = func() time.Time { return now }
	for i, name := range []string{"main", "second"} {
		shard := all.AddShard(occupancy.ShardConfig{Name: name, Domains: []jid.JID{mainDomain}})
		shard.Connect(began)
		shard.Load(mainDomain, occupancy.Delta{
			New: true, Room: "standup@muc.meet.jitsi", Facts: &occupancy.RoomFacts{CreatedAt: began.Add(time.Duration(i) * time.Minute), Visitors: new(0)},
			Present: []occupancy.Occupant{{ID: "3b9d1a7" + name[:1], Name: "On " + name, Role: "participant", Affiliation: "none", RealJID: name + "@meet.jitsi/x", JoinedAt: began.Add(time.Duration(i) * time.Minute)}},
		})
	}
	all.AddShard(occupancy.ShardConfig{Name: "third", Domains: []jid.JID{mainDomain}}).Lose(away)
	return all.Directory
}

// visited returns a Directory of a main shard and a visitor node with one visitor of a meeting, for which Jicofo counts three.
func visited() *occupancy.Directory {
	began := now.Add(-30 * time.Minute)
	all := apitest.NewShards(panicker{})
	all.Now = func() time.Time { return now }
	main := all.AddShard(occupancy.ShardConfig{Name: "main", Domains: []jid.JID{mainDomain}})
	main.Connect(began)
	main.Load(mainDomain, occupancy.Delta{New: true, Room: "standup@muc.meet.jitsi", Facts: &occupancy.RoomFacts{CreatedAt: began, Visitors: new(3)}})
	node := all.AddShard(occupancy.ShardConfig{Name: "v1", Kind: occupancy.ShardVisitors, Domains: []jid.JID{nodeDomain}})
	node.Connect(began)
	node.Load(nodeDomain, occupancy.Delta{New: true, Room: "standup@muc.v1.meet.jitsi", Present: []occupancy.Occupant{
		{ID: "5e0c77aa", Name: "Vic", Role: "visitor", RealJID: "vic@v1.meet.jitsi/x", JoinedAt: began},
	}})
	return all.Directory
}

// withNATS serves the rooms of visited: this service publishes the shard main, and follows v1.
func withNATS(cfg *api.Config) {
	withPast(visited())(cfg)
	w := healthyDiagnostics()
	w.NATS = &occupancy.NATSDiagnostics{
		Connected: true, Server: "nats:4222", Since: now.Add(-30 * time.Minute),
		Published: []occupancy.CollectorDiagnostics{{Shard: "main", Name: "ppch.meet.jitsi", Epoch: "b1c2", Seq: 7, Batches: 7, Pages: 1, Webhooks: &occupancy.WebhooksDiagnostics{Deliverer: "ppch.meet.jitsi", Delivering: true}}},
		Followed: []occupancy.NodeDiagnostics{{
			Shard: "v1", Collector: "ppch.v1.meet.jitsi", Epoch: "d3e4", Version: "2.0.0", Seq: 9, LastMessage: now.Add(-2 * time.Second),
			Collectors: []string{"ppch.v1.meet.jitsi"}, Resyncs: 1, Gaps: 1,
		}},
		Bucket: &occupancy.BucketDiagnostics{Name: "ppch_config", Loaded: true, ReadAt: now.Add(-125 * time.Millisecond), Keys: 12, Webhooks: 3},
	}
	cfg.Prosody.(*fakeProsody).diagnostics = w
}

// noBucket is the problem of a node whose NATS has no bucket yet.
var noBucket = occupancy.ProblemBucketMissing.With(occupancy.Fact{Name: "bucket", Value: "ppch_config"}).Err(nil)

// unknownList is a list of keys that hasn't been read.
type unknownList struct{}

func (unknownList) Lines() (string, error)   { return "", noBucket }
func (unknownList) Changed() <-chan struct{} { return nil }

// withoutList serves with keys in NATS, which aren't known.
func withoutList(cfg *api.Config) {
	cfg.Keys = keyring(keys.KeyringConfig{Key: "another-key-of-the-node", Shared: unknownList{}, Names: names})
	w := healthyDiagnostics()
	w.NATS = &occupancy.NATSDiagnostics{
		Connected: true, Bucket: &occupancy.BucketDiagnostics{Name: "ppch_config", Problem: noBucket, Unknown: noBucket},
		Published: []occupancy.CollectorDiagnostics{{Shard: "main", Name: "ppch.meet.jitsi", Webhooks: &occupancy.WebhooksDiagnostics{Delivering: true}}},
	}
	cfg.Prosody.(*fakeProsody).diagnostics = w
}
