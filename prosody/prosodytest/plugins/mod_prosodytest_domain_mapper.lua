-- Stands in for Jitsi's mapping of tenant domains, for tests.
-- A client says room@muc.tenant.base and Prosody means [tenant]room@muc.base.
-- What clients send is mapped on the way in. What they are sent, and what is
-- routed to any host, components included, has its sender mapped back.
-- Load it globally.

module:set_global();

local filters = require "util.filters";
local jid = require "util.jid";

local base = module:get_option_string("muc_mapper_domain_base");
local prefix = module:get_option_string("muc_mapper_domain_prefix", "muc");
if not base then
	error("muc_mapper_domain_base is not set");
end
local muc = prefix .. "." .. base;

-- What was sent to a tenant's room domain itself: id -> that address.
-- Keyed by the bare id, as Jitsi's is, so whatever bears the id next is taken for
-- the answer.
local roomless = {};

-- "muc.tenant.base" -> "tenant"; a tenant is one label, never more.
local function tenant_of(host)
	if host:sub(1, #prefix + 1) ~= prefix .. "." or host:sub(-#base - 1) ~= "." .. base then
		return nil;
	end
	return host:sub(#prefix + 2, -#base - 2):match("^[^.]+$");
end

local function map_to(stanza)
	local attr = stanza.attr;
	local node, host, resource = jid.split(attr.to);
	local tenant = host and tenant_of(host);
	if not tenant then return; end
	if node then
		attr.to = jid.join("[" .. tenant .. "]" .. node, muc, resource);
		return;
	end
	if attr.id then
		roomless[attr.id] = attr.to;
	end
	attr.to = jid.join(nil, muc, resource);
end

local function map_from(stanza)
	local attr = stanza.attr;
	if not attr.from then return; end
	local asked = attr.id and roomless[attr.id];
	if asked then
		roomless[attr.id] = nil;
		attr.from = asked;
		return;
	end
	local node, host, resource = jid.split(attr.from);
	if host ~= muc or not node then return; end
	local tenant, room = node:match("^%[([^%]]+)%](.+)$");
	if tenant then
		attr.from = jid.join(room, prefix .. "." .. tenant .. "." .. base, resource);
	end
end

local function on_sent(event)
	map_to(event.stanza);
end

local function on_routed(event)
	map_from(event.stanza);
end

-- Jitsi hooks at 0, where mod_iq does, and util.events calls equals in no order.
-- After mod_iq and before mod_component, at -1, is one of the orders that occur.
local after_iq = -0.5;

-- Components do not load global modules, so every host is taken as it comes up.
local function map_host(host)
	local context = module:context(host);
	for _, name in ipairs { "iq", "message", "presence" } do
		for _, kind in ipairs { "host", "bare", "full" } do
			-- Pre events are fired for clients alone, so what a component addresses is
			-- taken as it is. See core_post_stanza in core/stanza_router.lua.
			context:hook("pre-" .. name .. "/" .. kind, on_sent, 100);
			context:hook(name .. "/" .. kind, on_routed, after_iq);
		end
	end
end

for host in pairs(prosody.hosts) do
	map_host(host);
end
module:hook("host-activated", map_host);

-- An answer goes straight to the session that asked. Sessions of clients have
-- filters, those of components have none: see mod_component.lua.
local function map_sent(stanza)
	if stanza.attr then -- not white space
		map_from(stanza);
	end
	return stanza;
end

local function map_session(session)
	filters.add_filter(session, "stanzas/out", map_sent);
end

filters.add_filter_hook(map_session);

function module.unload()
	filters.remove_filter_hook(map_session);
end
