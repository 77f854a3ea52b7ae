-- Replaces Jitsi's mod_fmuc of a visitor node as far as a promotion goes. Written from its behaviour: the visitors component of the
-- main Prosody answers a visitor's request to the node's virtual host, and the visitor's room passes the answer to the visitor.
-- Load it on the MUC domain, with main_domain.

local st = require "util.stanza";

local base = module.host:match("^[^.]+%.(.+)$");
local main = module:get_option_string("main_domain");

local function pass(event)
	local stanza = event.stanza;
	local visitors = stanza:get_child("visitors", "jitsi:visitors");
	local response = visitors and visitors:get_child("promotion-response");
	if not response or stanza.attr.from ~= "visitors." .. main then return; end
	local room = module:depends("muc").get_room_from_jid(visitors.attr.room);
	local occupant = room and room:get_occupant_by_real_jid(response.attr.jid);
	if not occupant then return; end
	event.origin.send(st.reply(stanza));
	stanza.attr.to, stanza.attr.from = occupant.jid, room.jid;
	room:route_to_occupant(occupant, stanza);
	return true;
end

local function follow(host)
	if host == base then module:context(host):hook("iq/host", pass, 10); end
end

module:hook_global("host-activated", follow);
for host in pairs(prosody.hosts) do follow(host); end
