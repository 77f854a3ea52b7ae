-- Replaces Jitsi's mod_muc_breakout_rooms and mod_jitsi_session in tests.
-- A moderator adds, renames and removes breakout rooms by messages to their domain:
-- <breakout_rooms type='features/breakout-rooms/add' subject='…'/>. As in Jitsi's, a meeting's list of breakout rooms is
-- in its _data, the session's URL determines the meeting, and changes fire no event.
-- Load it on the main host, where main_muc is set.

local jid = require "util.jid";
local new_uuid = require "util.uuid".generate;

local main_muc = assert(module:get_option_string("main_muc"), "main_muc is not set");
local breakout_muc = module:get_option_string("breakout_rooms_muc", "breakout." .. module.host);

local function muc_of(host)
	return prosody.hosts[host].modules.muc;
end

-- Jitsi's client has the meeting in its connection URL; a test client joins it first.
local function note_meeting(event)
	if not event.origin then return; end
	local node = jid.node(event.room.jid);
	local tenant, name = node:match("^%[([^%]]+)%](.+)$");
	event.origin.jitsi_web_query_room = name or node;
	event.origin.jitsi_web_query_prefix = tenant or "";
end

local function meeting_of(session)
	local name, tenant = session.jitsi_web_query_room, session.jitsi_web_query_prefix;
	if not name then return nil; end
	if tenant and tenant ~= "" then name = "[" .. tenant .. "]" .. name; end
	return muc_of(main_muc).get_room_from_jid(jid.join(name, main_muc));
end

local function is_moderator(meeting, real_jid)
	local occupant = meeting:get_occupant_by_real_jid(real_jid);
	for room_jid in pairs(meeting._data.breakout_rooms or {}) do
		local room = muc_of(breakout_muc).get_room_from_jid(room_jid);
		occupant = occupant or room and room:get_occupant_by_real_jid(real_jid);
	end
	return occupant and occupant.role == "moderator";
end

local actions = {};

actions["features/breakout-rooms/add"] = function (meeting, attr)
	local data = meeting._data;
	data.breakout_rooms = data.breakout_rooms or {};
	data.breakout_rooms[new_uuid() .. "@" .. breakout_muc] = attr.subject;
	data.breakout_rooms_active = true;
	meeting:set_persistent(true);
end;

actions["features/breakout-rooms/rename"] = function (meeting, attr)
	meeting._data.breakout_rooms[attr.breakoutRoomJid] = attr.subject;
end;

actions["features/breakout-rooms/remove"] = function (meeting, attr)
	local room = muc_of(breakout_muc).get_room_from_jid(attr.breakoutRoomJid);
	if room then room:destroy(meeting.jid, "Breakout room removed."); end
	meeting._data.breakout_rooms[attr.breakoutRoomJid] = nil;
end;

local function on_message(event)
	local child = event.stanza:get_child("breakout_rooms");
	local action = child and actions[child.attr.type];
	local meeting = action and meeting_of(event.origin);
	if not meeting or not is_moderator(meeting, event.stanza.attr.from) then return false; end
	action(meeting, child.attr);
	meeting:save(true);
	return true;
end

local function follow(host)
	local context = module:context(host);
	if host == main_muc then context:hook("muc-occupant-joined", note_meeting); end
	if host == breakout_muc then context:hook("message/host", on_message); end
end

for host in pairs(prosody.hosts) do
	follow(host);
end
module:hook_global("host-activated", follow);
