-- Replaces Jitsi's mod_muc_size and mod_muc_census, which report participants over HTTP, in benchmarks.
-- Written from their answers: GET /room-size?room&domain and GET /room?room&domain report one room, GET /room-census all.
-- As theirs do, each answer iterates over the occupants, and each_occupant copies each. Load it on the main host.

local formdecode = require "util.http".formdecode;
local jid_resource = require "util.jid".resource;
local json = require "util.json";

local prefix = module:get_option_string("muc_mapper_domain_prefix", "muc");

module:depends("http");

local function muc_of(domain)
	local host = prosody.hosts[prefix .. "." .. domain];
	return host and host.modules.muc;
end

local function asked_room(event)
	local query = formdecode(event.request.url.query or "");
	if type(query) ~= "table" or not query.room or not query.domain then return; end
	local muc = muc_of(query.domain);
	return muc and muc.get_room_from_jid(("%s@%s.%s"):format(query.room, prefix, query.domain));
end

local function answer(event, value)
	event.response.headers.content_type = "application/json";
	return json.encode(value);
end

-- Subtracts the focus, but counts a single occupant of any kind.
local function size(event)
	local room = asked_room(event);
	if not room then return 404; end
	local count = 0;
	for _ in room:each_occupant() do
		count = count + 1;
	end
	return answer(event, { participants = count > 1 and count - 1 or count });
end

local function list(event)
	local room = asked_room(event);
	if not room then return 404; end
	local people = {};
	for _, occupant in room:each_occupant() do
		if jid_resource(occupant.nick) ~= "focus" then
			local presence = occupant:get_presence();
			people[#people + 1] = {
				jid = occupant.jid;
				email = presence:get_child_text("email");
				display_name = presence:get_child_text("nick", "http://jabber.org/protocol/nick");
			};
		end
	end
	return answer(event, people);
end

-- A room has leaked if none of its occupants is connected.
local function census(event)
	local rooms = {};
	for room in muc_of(module.host).live_rooms() do
		local count, leaked = 0, true;
		for _, occupant in room:each_occupant() do
			count = count + 1;
			for real_jid in occupant:each_session() do
				leaked = leaked and not prosody.full_sessions[real_jid];
			end
		end
		rooms[#rooms + 1] = { room_name = room.jid, participants = count - 1, created_time = room.created_timestamp, leaked = leaked };
	end
	return answer(event, { room_census = rooms });
end

module:provides("http", {
	default_path = "/";
	route = { ["GET /room-size"] = size, ["GET /room"] = list, ["GET /room-census"] = census };
});
