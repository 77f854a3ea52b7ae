-- Replaces Jitsi's mod_visitors_component of a main Prosody as far as a promotion goes: it answers the request of a visitor who is
-- on the visitor node. Call promote() from Prosody's shell.

local st = require "util.stanza";

function module.environment.promote(node, room, visitor, login, allow)
	module:send(st.iq({ type = "set", id = "promotion", from = module.host, to = node })
		:tag("visitors", { xmlns = "jitsi:visitors", room = room })
		:tag("promotion-response", { xmlns = "jitsi:visitors", jid = visitor, username = login, allow = allow }));
end
