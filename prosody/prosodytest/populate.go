package prosodytest

import (
	"context"
	"fmt"
	"strings"

	"ppch/prosody"
)

// Populate creates rooms on the main room domain, room1, room2 and so on, with people in each, in Prosody's memory:
// much faster than joins. 100,000 people take a few seconds, during which Prosody does nothing else.
// Their presence is as long as a browser's. They have no connection, so a stanza sent to one makes it leave.
// More than 10,000 rooms need a larger muc_room_cache_size.
func (s *Server) Populate(ctx context.Context, rooms, each int) error {
	return s.populate(ctx, s.Domains.MUC, "room", "User", rooms, each)
}

// PopulateDomain is Populate for any room domain.
func (s *Server) PopulateDomain(ctx context.Context, domain string, rooms, each int) error {
	return s.populate(ctx, domain, "room", "User", rooms, each)
}

// PopulateAs is Populate with other names of rooms and people, each followed by a number.
func (s *Server) PopulateAs(ctx context.Context, room, user string, rooms, each int) error {
	return s.populate(ctx, s.Domains.MUC, room, user, rooms, each)
}

func (s *Server) populate(ctx context.Context, domain, room, user string, rooms, each int) error {
	chunk := strings.Join(strings.Fields(populate), " ")
	args := strings.Join([]string{prosody.LuaString(room), prosody.LuaString(user), prosody.LuaString(domain), prosody.LuaString(s.Domains.Main)}, ", ")
	_, err := s.Shell(ctx, fmt.Sprintf("> (%s)(%d, %d, %s)", chunk, rooms, each, args))
	return err
}

// populate is sent to the shell as one line, so it has no comments.
const populate = `function (rooms, each, name, user, muc, main)
	local st = require "util.stanza";
	local mod_muc = prosody.hosts[muc].modules.muc;
	for r = 1, rooms do
		local room = mod_muc.create_room(("%s%d@%s"):format(name, r, muc));
		for o = 1, each do
			local bare = ("u%s%d-%d@%s"):format(name, r, o, main);
			local occupant = room:new_occupant(bare, ("%s/%08x"):format(room.jid, o));
			occupant:set_session(bare .. "/web", st.presence()
				:tag("nick", { xmlns = "http://jabber.org/protocol/nick" }):text(user.." "..o):up()
				:tag("stats-id"):text("Some-xyz"):up()
				:tag("jitsi_participant_codecList"):text("av1,vp9,vp8,h264"):up()
				:tag("avatar-url"):text("https://example.com/avatars/"..o..".png"):up()
				:tag("SourceInfo"):text(('{"%08x-a0":{"muted":true},"%08x-v0":{"muted":false}}'):format(o, o)):up()
				:tag("c", { xmlns = "http://jabber.org/protocol/caps", hash = "sha-1", node = "https://jitsi.org", ver = "x" }):up());
			room:save_occupant(occupant);
		end
	end
end`
