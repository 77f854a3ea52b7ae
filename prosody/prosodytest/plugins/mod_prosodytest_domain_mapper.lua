-- Replaces Jitsi's mapping of tenant domains in tests.
-- Clients use room@muc.tenant.base, and Prosody uses [tenant]room@muc.base.
-- The plugin maps addresses of stanzas from clients. In stanzas to clients and to
-- any host, components included, it maps the sender back.
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

-- Requests to a tenant's room domain itself: id -> that address.
-- As in Jitsi's, the key is the bare id, so the next stanza with this id counts
-- as the answer.
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

-- Jitsi hooks at priority 0 like mod_iq, and util.events doesn't order equals.
-- After mod_iq and before mod_component (-1) is one of the possible orders.
local after_iq = -0.5;

-- Components don't load global modules, so map every host when it is activated.
local function map_host(host)
	local context = module:context(host);
	for _, name in ipairs { "iq", "message", "presence" } do
		for _, kind in ipairs { "host", "bare", "full" } do
			-- Only clients fire pre events, so addresses from components are not
			-- mapped. See core_post_stanza in core/stanza_router.lua.
			context:hook("pre-" .. name .. "/" .. kind, on_sent, 100);
			context:hook(name .. "/" .. kind, on_routed, after_iq);
		end
	end
end

for host in pairs(prosody.hosts) do
	map_host(host);
end
module:hook("host-activated", map_host);

-- Answers go directly to the session. Client sessions have filters, component
-- sessions don't: see mod_component.lua.
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
