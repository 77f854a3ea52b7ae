-- Replaces Jitsi's hiding of rooms in tests.
-- Rooms are absent from the list of rooms and answer only their occupants.
-- Load it on a room domain.

local st = require "util.stanza";

local get_room_from_jid = module:depends("muc").get_room_from_jid;

module:hook("muc-room-pre-create", function (event)
	event.room:set_hidden(true);
end, -1);

-- Before mod_muc's own answer, which is at -2.
local function guard_disco_info(event)
	local stanza = event.stanza;
	local room = get_room_from_jid(stanza.attr.to);
	if room and not room:get_occupant_by_real_jid(stanza.attr.from) then
		event.origin.send(st.error_reply(stanza, "auth", "forbidden"));
		return true;
	end
end

module:hook("iq-get/bare/http://jabber.org/protocol/disco#info:query", guard_disco_info, 1);
module:hook("iq-get/host/http://jabber.org/protocol/disco#info:query", guard_disco_info, 1);
