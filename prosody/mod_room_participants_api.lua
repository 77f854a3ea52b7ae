-- mod_room_participants_api sends the rooms of a MUC domain and their occupants to PPCH, as they change.
--
-- Loaded on a MUC domain (docker-jitsi-meet: XMPP_MUC_MODULES) it serves that domain. Loaded on virtual hosts
-- (GLOBAL_MODULES) it serves every MUC domain without its own instance. Components subscribe by XMPP,
-- namespace urn:ppch:occupancy:1. PPCH's prosody/README.md is the norm for the protocol.
--
-- XEP-0030 (found by disco), XEP-0045 (rooms), XEP-0114 (components).
--
-- Prosody has one thread, so a hook only notes a name and returns; all other work happens in short turns of the event loop.
--
-- Sections:
--   Options         read once, when the module loads
--   Pure helpers    text, escapes, presence; tested by specs
--   Occupants       what Prosody knows of an occupant and a room, as lines and attributes
--   Batches         the XML of a batch, windows and acknowledgements
--   Subscriptions   who follows, and when the next turn comes
--   Records         rooms in memory and in storage
--   Turns           what changed, read once and sent to each subscriber; the audit
--   Breakout rooms  changes for which Prosody fires no event
--   Reasons         why an occupant leaves, and where it goes
--   Handlers        hooks on the MUC domain
--   Domains         which instance serves which MUC domain
--   HTTP            the health route of earlier versions

local host_type = module:get_host_type();

if host_type == "component" and not prosody.hosts[module.host].modules.muc then
	module:log_status("warn", "mod_muc is not loaded on this host: load this module on a MUC component or a VirtualHost");
	return;
end

local st = require "util.stanza";
local json = require "util.json";
local jid = require "util.jid";
local xml_escape = st.xml_escape;
local new_id = require "util.id".medium;
local time = require "util.time";
local valid_utf8 = require "util.encodings".utf8.valid;

local hosts = prosody.hosts;
local full_sessions = prosody.full_sessions;
local now, monotonic = time.now, time.monotonic;
local t_concat, t_sort = table.concat, table.sort;
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max;
local next, pairs, type, tonumber, tostring = next, pairs, type, tonumber, tostring;

local version = "2.0.0";
local xmlns = "urn:ppch:occupancy:1";
local xmlns_jigasi = "http://jitsi.org/protocol/jigasi";
local xmlns_focus = "http://jitsi.org/protocol/focus";

-- Seconds: changes within this time after a batch travel together in the next one.
local tick = 0.05;
-- Rooms and occupants in one batch.
local page_limit = 200;
-- Batches without an acknowledgement.
local window_limit = 128;
-- Batches after which an acknowledgement is due again.
local ask_batches = max(1, floor(window_limit / 4));
-- Seconds to wait for a due acknowledgement before the subscription ends.
local ack_timeout = 15;
-- Seconds for which one turn may hold Prosody's event loop, plus the time for one record.
local turn = 0.003;
-- Rooms and occupants between two reads of the clock: on some machines a read costs more than they do.
local clock_units = 8;
-- Bytes of text in one batch, before XML escapes it.
local max_batch_bytes = 64 * 1024;
-- Bytes of all unacknowledged batches, as sent.
local max_window_bytes = 2 * 1024 * 1024;
-- Limits on what is read of a client's presence.
local max_text = 1024;
local max_jid = 3071; -- RFC 7622
local max_children = 500;
local max_features = 100;
local max_source_info = 4 * 1024;
local max_sources = 100;
local max_cached = 256;
local max_breakouts = 200;
-- Joins that may be sent immediately in a burst, and how many more per second.
local max_burst = 20;
local burst_rate = 250;
-- Seconds after which an acknowledgement is due in any case, and earlier if a quarter of the window was sent.
local ask_every = 1;
-- If a subscriber misses more changes than this in one room, the whole room is sent.
local max_marks = 2000;
-- Heartbeats in which the audit compares everything with Prosody once.
local audit_heartbeats = 12;
-- Of this many audited rooms one is read without what is remembered of it.
local afresh_every = 20;
-- Rooms per audit that are looked up in storage, because Prosody may have swapped them out.
local max_lookups = 4;
-- Maximum of rooms in storage that were never in memory. More are left out, and the batches say so.
local max_stored = 100000;
local too_many = ("more than %d rooms"):format(max_stored);
-- Seconds in which a client that moves to another room should arrive there, and the maximum of clients on the way.
local move_time = 30;
local max_moved = 1000;
-- Seconds from a message about breakout rooms until its changes are read.
local breakout_delay = 0.1;

--- Options

-- The domains of a set, as Prosody compares them. It leaves out everything else.
local function domains_option(context, name, default)
	local set = context:get_option_set(name, default);
	return set and set / function (item)
		local node, domain, resource = jid.prepped_split(type(item) == "string" and item or nil);
		if domain and not node and not resource then return domain; end
		context:log("error", "Config option '%s': %s is not a domain", name, tostring(item));
	end;
end

local function heartbeat_option(context, name, default, least, most)
	-- Without limits: 0.12 ignores them, and with them 13.0.1 throws if the value is not a number.
	local value = context:get_option_number(name, default) or default;
	local limited = max(least, min(most, value));
	if value ~= limited then context:log("warn", "Config option '%s' out of bounds: using %g", name, limited); end
	return limited;
end

-- The items of a set, separated by spaces; other programs set the option.
local function spaced(set)
	local items = {};
	for item in set do
		if type(item) == "string" and item ~= "" and valid_utf8(item) and not item:find("[%s%c]") then
			items[#items + 1] = item;
		end
	end
	t_sort(items);
	return t_concat(items, " ");
end

-- Prefixes from one of Jitsi's options. Like Jitsi's util.lib.lua, this adds the global set, or the default if there is
-- none, to the domain's own set.
local function prefixes_option(context, name, default)
	return spaced(context:get_option_inherited_set(name, default));
end

-- Domains whose occupants Jitsi's clients don't show: from our own option and from visitors_ignore_list, which Jitsi sets
-- on the main virtual host to the domain of recorders and transcribers.
local function hidden_option(context, main)
	local hidden = module:context(main):get_option_set("visitors_ignore_list", {});
	hidden:include(domains_option(context, "room_participants_hidden_domains", {}));
	return spaced(hidden);
end

-- The login of Jicofo, which is configurable in Debian's packages: Jitsi's mod_client_proxy forwards to it.
local function focus_option(main)
	local target = module:context("focus." .. main):get_option("target_address");
	local node, domain = jid.prepped_split(type(target) == "string" and target or nil);
	return node and node .. "@" .. domain or nil;
end

local function read_options(context)
	local parent = context.host:match("^[^.]+%.(.+)$") or context.host;
	local main = context:get_option_string("muc_mapper_domain_base", parent); -- Jitsi's main virtual host
	local focus = focus_option(main);
	return {
		components = domains_option(context, "room_participants_components", { "ppch." .. parent });
		heartbeat = heartbeat_option(context, "room_participants_heartbeat", 5, 1, 10);
		email = context:get_option_boolean("room_participants_email", false);
		-- The defaults are those of Jitsi's util.lib.lua.
		recorders = prefixes_option(context, "recorder_prefixes", { "recorder@recorder.", "jibria@recorder.", "jibrib@recorder." });
		transcribers = prefixes_option(context, "transcriber_prefixes",
			{ "transcriber@recorder.", "transcribera@recorder.", "transcriberb@recorder." });
		hidden = hidden_option(context, main);
		main = main, focus = focus, focus_nick = focus and jid.node(focus) or "focus";
		-- As mod_muc reads it.
		room_cache = math.min(floor(context:get_option_number("muc_room_cache_size", 100) or 100), 2^30);
	};
end

-- What the instances of this module share.
local registry = module:shared("/*/room_participants_api/registry");
registry.owners = registry.owners or {}; -- MUC domain -> function that ends the service
registry.claims = registry.claims or {}; -- host of an instance -> function that takes over free domains
registry.rooms = registry.rooms or {}; -- MUC domain -> records, which outlive a reload
-- Clients on the way from a room, which is the value, by what is known of them. The module drops them with their table.
registry.moves = registry.moves or {
	client = { now = {}, before = {}, since = 0, count = 0 }; -- by real JID, after it left
	login = { now = {}, before = {}, since = 0, count = 0 }; -- by the login of a promoted visitor, on the main Prosody
	visitor = { now = {}, before = {}, since = 0, count = 0 }; -- by real JID of a promoted visitor, until it leaves the visitor node
};

local muc_domains = host_type ~= "component" and domains_option(module, "room_participants_muc_domains", nil) or nil;

--- Pure helpers

-- Cuts text to at most limit bytes without splitting a character.
local function cut(text, limit)
	if #text <= limit then return text; end
	local at = limit;
	while at > 0 do
		local byte = text:byte(at + 1);
		if byte < 0x80 or byte >= 0xC0 then break; end
		at = at - 1;
	end
	return text:sub(1, at);
end

-- Makes text from any source safe to send: a string of limited size, in UTF-8, with only the characters of XML 1.0.
-- It removes everything else.
local function clean(text, limit)
	if type(text) == "number" then
		text = text == floor(text) and text < 2^53 and text > -2^53 and ("%d"):format(text) or tostring(text);
	end
	if type(text) ~= "string" then return ""; end
	-- Cut first: the cost of the following grows with the length.
	text = cut(text, limit or max_text);
	if not valid_utf8(text) then return ""; end
	if text:find("[%z\1-\8\11\12\14-\31\127]") then
		text = text:gsub("[%z\1-\8\11\12\14-\31\127]", "");
	end
	if text:find("\239\191", 1, true) then -- U+FFFE and U+FFFF
		text = text:gsub("\239\191[\190\191]", "");
	end
	return text;
end

-- Escapes of characters that a line or XML can't contain.
local escapes = {
	["\\"] = "\\\\", ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r";
	["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;";
};

-- Matches ASCII text without control characters and \ & < >. The class has four ranges of all other characters; at the end
-- of a range, % is no escape. A repeated class is parsed once; a search for the opposite would parse it for each character.
local plain = "^[]-~ -%'-;=?-[]*$";

-- A field of a line, escaped for XML, from untrusted text.
local function field(text, limit)
	if text == nil or text == "" then return ""; end
	if type(text) == "string" and #text <= (limit or max_text) and text:find(plain) then
		return text; -- most text
	end
	return (clean(text, limit):gsub("[\\\t\n\r&<>]", escapes));
end

-- Matches text that needs no escapes in an attribute, like most JIDs.
local plain_attribute = "^[]-~ -%(-;=?-[]+$";

-- The text of an attribute, in which XML would turn white space into spaces.
local function attribute(text, limit)
	if text == nil then return nil; end
	text = clean(text, limit):gsub("[\t\n\r]", " ");
	return text ~= "" and text or nil;
end

-- Unix time in milliseconds, from a number that may be in seconds.
local function milliseconds(value)
	value = tonumber(value);
	if not value or not (value > 0 and value < 1e14) then return nil; end
	if value < 1e11 then value = value * 1000; end
	return floor(value);
end

-- Formats milliseconds as seconds. It caches the current second, because most times are in it and formatting is slow.
local write_clock;
do
	local digits, second, text = {}, nil, nil;
	for i = 0, 999 do digits[i] = (".%03d"):format(i); end
	function write_clock(ms)
		local rest = ms % 1000;
		if ms - rest ~= second then
			second = ms - rest;
			text = ("%d"):format(second / 1000);
		end
		return text .. digits[rest];
	end
end

local source_info;
do
	-- The state of microphone, camera and screen. A missing source counts as muted.
	local all_muted = "audio-muted video-muted screen-off";

	-- Patterns read the sources without recursion, because a guest may nest them arbitrarily. They read two levels
	-- and skip objects within a source. The keys that they look for have no escapes.
	local function read_sources(text)
		local object = text:gsub("\\.", "_"):match("^%s*(%b{})%s*$");
		if not object then return nil; end
		local audio, video, screen, left = "audio-muted", "video-muted", "screen-off", max_sources;
		for name, source in object:gmatch('"([^"]*)"%s*:%s*(%b{})') do
			local kind = name:match("%-([av])%d+$");
			if kind then
				source = source:sub(2, -2):gsub("%b{}", "");
				if source:find('"muted"%s*:%s*false') then
					if kind == "a" then
						audio = "audio-on";
					elseif source:find('"videoType"%s*:%s*"desktop') then -- or desktop_high_fps
						screen = "screen-on";
					else
						video = "video-on";
					end
				end
			end
			left = left - 1;
			if left == 0 then break; end
		end
		return audio .. " " .. video .. " " .. screen;
	end

	local source_cache, source_cache_size = {}, 0;

	-- Whether microphone, camera and screen are sent, from Jitsi's JSON {"<id>-a0":{"muted":true},…}; nil if unknown.
	-- Camera and screen are both called v, with any number: only videoType distinguishes a screen.
	function source_info(text)
		if #text > max_source_info then return nil; end
		-- A fast path for people who enter muted, as most do.
		if not text:find("false", 1, true) and not text:find("\\", 1, true) then
			return text:find("^%s*%b{}%s*$") and all_muted or nil;
		end
		-- Without the ids there are few different texts, so the cache has most of them.
		text = text:gsub('"%w+(%-[av]%d+)"', '"%1"');
		local marks = source_cache[text];
		if marks == nil then
			marks = read_sources(text) or false;
			if #text <= max_text then
				if source_cache_size >= max_cached then
					source_cache, source_cache_size = {}, 0;
				end
				source_cache[text], source_cache_size = marks, source_cache_size + 1;
			end
		end
		return marks or nil;
	end
end

local function muted(text, yes, no)
	if text == "true" then return yes; end
	if text == "false" then return no; end
	return nil;
end

local feature_marks = {
	["http://jitsi.org/protocol/jigasi"] = "jigasi";
	["http://jitsi.org/protocol/transcriber"] = "transcriber";
	["http://jitsi.org/protocol/jibri"] = "jibri";
};

-- Localparts of SIP-Jibri's e-mail addresses (Jitsi's util.lib.lua, get_sip_jibri_email_prefix).
local sip_jibris = {
	["inbound-sip-jibri"] = true, ["sipjibriina"] = true;
	["outbound-sip-jibri"] = true, ["sipjibriouta"] = true, ["sipjibrioutb"] = true;
};

-- The text of an element; nil if it contains elements.
local function text_of(element)
	local text = element[1];
	if type(text) == "string" and element[2] == nil then return text; end -- most elements
	return element:get_text();
end

-- Readers of rare children of a presence. Each gets the findings so far and the child.
local readers = {
	["initiator"] = function (found)
		found.initiator = true;
	end;
	["email"] = function (found, child)
		if sip_jibris[(text_of(child) or ""):match("^([^@]+)@")] then found.sip_jibri = true; end
	end;
	["features"] = function (found, child)
		local tags = child.tags;
		for i = 1, min(#tags, max_features) do
			local mark = tags[i].name == "feature" and feature_marks[tags[i].attr.var];
			if mark then found[mark] = true; end
		end
	end;
	["audiomuted"] = function (found, child)
		found.audio = found.audio or muted(text_of(child), "audio-muted", "audio-on");
	end;
	["videomuted"] = function (found, child)
		found.video = found.video or muted(text_of(child), "video-muted", "video-on");
	end;
	["videoType"] = function (found, child)
		found.desktop = text_of(child) == "desktop" or nil;
	end;
};

-- The marks from the findings. Audio, video and screen come from the sources, or from the elements of clients before 2022:
-- these send one video, and videoType says what it shows.
local function marks_of(found, hand, sources)
	local marks = (found.jigasi and " jigasi" or "") .. (found.transcriber and " transcriber" or "") .. (found.jibri and " jibri" or "")
		.. (found.initiator and " initiator" or "") .. (found.sip_jibri and " sip-jibri" or "") .. (hand and " hand" or "");
	if sources then
		marks = marks .. " " .. sources;
	else
		local video, screen = found.video, nil;
		if video and found.desktop then
			video, screen = "video-muted", video == "video-on" and "screen-on" or "screen-off";
		end
		marks = marks .. (found.audio and " " .. found.audio or "") .. (video and " " .. video or "") .. (screen and " " .. screen or "");
	end
	return marks:sub(2);
end

-- Fields 11 to 13 of a line: the client's own claims. If a child is repeated, the last one counts, as in lib-jitsi-meet (ChatRoom.ts,
-- onPresence), except audiomuted and videomuted (getMediaPresenceInfo). lib-jitsi-meet accepts a nick of any namespace.
local function tail_of(presence)
	if not presence then return "\t\t\n"; end
	local name, avatar, hand, sources, found;
	local tags = presence.tags;
	for i = 1, min(#tags, max_children) do
		local child = tags[i];
		local kind = child.name;
		if kind == "nick" then
			name = text_of(child) or "";
		elseif kind == "avatar-url" or kind == "SourceInfo" or kind == "jitsi_participant_raisedHand" then
			local ns = child.attr.xmlns;
			if ns == nil or ns == "jabber:client" then
				local text = text_of(child);
				if kind == "avatar-url" then
					avatar = text or "";
				elseif kind == "SourceInfo" then
					sources = text or "";
				else
					hand = text ~= nil and text ~= "" and text ~= "false" and text ~= "0";
				end
			end
		elseif readers[kind] then
			local ns = child.attr.xmlns;
			if kind == "initiator" and ns == xmlns_jigasi or kind ~= "initiator" and (ns == nil or ns == "jabber:client") then
				found = found or {};
				readers[kind](found, child);
			end
		end
	end
	sources = sources and source_info(sources);
	if found and next(found) then
		sources = marks_of(found, hand, sources);
	elseif hand then
		sources = sources and "hand " .. sources or "hand";
	end
	return field(name) .. "\t" .. field(avatar) .. "\t" .. (sources or "") .. "\n";
end

-- The user data that Jitsi's token verification stored in the session of an authenticated user.
-- The token's issuer wrote them, so they can have any type.
local function read_session(session, with_email)
	if not session then return "", "", "", ""; end
	local user, group = session.jitsi_meet_context_user, session.jitsi_meet_context_group;
	if not user and not group then return "", "", "", ""; end
	if type(user) ~= "table" then user = nil; end
	return field(user and user.id), field(user and user.name), field(group),
		with_email and field(user and user.email) or "";
end

-- The number of visitors on other servers from a presence of focus, nil if unknown. Jicofo adds properties to its presence
-- right after it joins, but the number only with the first visitor: until then it is the default.
local function read_visitors(presence, default)
	local properties = presence:get_child("conference-properties", xmlns_focus);
	if not properties then return nil; end
	for i = 1, min(#properties.tags, max_children) do
		local property = properties.tags[i];
		if property.name == "property" and property.attr.key == "visitor-count" then
			local value = tonumber(property.attr.value);
			return value and value >= 0 and value < 1e9 and ("%d"):format(floor(value)) or nil;
		end
	end
	return default;
end

-- Jicofo creates a room every minute to check that Prosody works; that is no meeting.
-- A tombstone is what remains of a destroyed room in Prosody.
local function is_meeting(room)
	return not room.jid:find("^__jicofo%-health%-check") and not room._data.destroyed;
end

--- Occupants

-- Prosody's public functions copy an occupant with all its sessions. This reads the original, without changing it;
-- Prosody 0.12 and 13 both store it by occupant JID.
local function occupant_of(room, nick)
	local occupant = room._occupants[nick];
	return occupant and occupant.role and occupant or nil;
end

-- The indexes of what is remembered of a sent occupant: its line, the length of the part from Prosody itself, and the values
-- of that part. It is an array, because there is one for each occupant of the server.
-- EXTRA (fields 14 and 15) and CONNECTION are rare, so no space is reserved for them.
local LINE, HEAD, JID, ROLE, AFFILIATION, JOINED, WHY, EXTRA, CONNECTION = 1, 2, 3, 4, 5, 6, 7, 8, 9;

local function new_known()
	return { false, 0, false, false, false, false, false };
end

-- The presence behind each line, or false. The references are weak, because presences are most of a room's memory.
local presences = setmetatable({}, { __mode = "kv" });

-- Roles and affiliations that need no escaping.
local words = { moderator = "moderator", participant = "participant", none = "none", member = "member", owner = "owner" };

-- A line. Its fields 1 to 10 come from Prosody.
local function line_of(room, nick, occupant, joined, session, with_email, tail)
	local role, affiliation = occupant.role, room:get_affiliation(occupant.bare_jid) or "none";
	local id, user, group, email = read_session(session, with_email);
	return "+\t" .. field(nick:sub(#room.jid + 2)) .. "\t" .. field(occupant.jid, max_jid) .. "\t" .. (words[role] or field(role)) .. "\t"
		.. (words[affiliation] or field(affiliation)) .. "\t" .. (joined or "") .. "\t"
		.. id .. "\t" .. user .. "\t" .. group .. "\t" .. email .. "\t" .. tail;
end

-- Field 15: the connection of an occupant's client; nil if it is up, or not a session of this server.
local function connection_of(real_jid)
	local session = full_sessions[real_jid];
	if session then return session.hibernating and "hibernating" or nil; end
	local at = real_jid:find("@", 1, true);
	local host = at and hosts[real_jid:sub(at + 1, (real_jid:find("/", at, true) or 0) - 1)];
	return host and host.type == "local" and "stale" or nil;
end

-- Fields 14 and 15; nil if both are empty, as for most occupants.
local function extra_of(from, connection)
	if not from and not connection then return nil; end
	return "\t" .. field(from, max_jid) .. (connection and "\t" .. connection or "");
end

-- Whether an occupant is unchanged, as far as a cheap comparison shows.
local function is_known(known, room, occupant, joined)
	return known[JID] == occupant.jid and known[ROLE] == occupant.role and known[JOINED] == joined
		and known[AFFILIATION] == room._affiliations[occupant.bare_jid] and presences[known] == (occupant.sessions[occupant.jid] or false);
end

-- Updates what is remembered of an occupant, and returns whether its line changed. With afresh it reads everything again,
-- because the result of get_affiliation() and the data in a session can change without a sign.
local function update_known(known, room, nick, occupant, joined, with_email, afresh, from)
	local line, affiliation = known[LINE], room._affiliations[occupant.bare_jid];
	if not afresh and line and is_known(known, room, occupant, joined) then return false; end
	local presence, tail = occupant.sessions[occupant.jid] or false;
	local is_new = afresh or presences[known] ~= presence;
	local connection = connection_of(occupant.jid);
	local extra = extra_of(from, connection);
	if is_new or known[EXTRA] ~= extra then
		presences[known] = presence;
		tail = tail_of(presence);
		if extra then tail = tail:sub(1, -2) .. extra .. "\n"; end
		if known[EXTRA] ~= extra then known[EXTRA], known[CONNECTION] = extra, connection; end
	else
		tail = line:sub(known[HEAD] + 1);
	end
	local session = full_sessions[occupant.jid];
	local is_user = session and (session.jitsi_meet_context_user or session.jitsi_meet_context_group);
	if afresh or is_user or known[JID] ~= occupant.jid or known[ROLE] ~= occupant.role or known[JOINED] ~= joined
	or known[AFFILIATION] ~= affiliation then
		known[JID], known[ROLE], known[JOINED], known[AFFILIATION] = occupant.jid, occupant.role, joined, affiliation;
		known[LINE] = line_of(room, nick, occupant, joined, session, with_email, tail);
		known[HEAD] = #known[LINE] - #tail;
	else
		known[LINE] = line:sub(1, known[HEAD]) .. tail;
	end
	return known[LINE] ~= line;
end

-- Where visitors are: "here" on a visitor node, "elsewhere" if this server sends them to such nodes, otherwise nil.
local function place_of_visitors(watch)
	if hosts[watch.host].modules.fmuc then return "here"; end
	for _, session in pairs(hosts) do
		if session.modules.visitors_component then return "elsewhere"; end
	end
end

-- The type of a MUC domain's rooms, from the options that Jitsi's mod_muc_lobby_rooms and mod_muc_breakout_rooms read on
-- their virtual host; nil if no host names the domain.
local function type_of_rooms(host)
	local function is_option(context, name, default)
		local value = context:get_option(name) or default;
		return type(value) == "string" and jid.prep(value) == host;
	end
	for main in pairs(hosts) do
		local context = module:context(main);
		if is_option(context, "main_muc") then return "main"; end
		if is_option(context, "lobby_muc") then return "lobby"; end
		if is_option(context, "breakout_rooms_muc", context:get_option("main_muc") and "breakout." .. main) then return "breakout"; end
	end
end

-- The number of visitors from focus. Focus opens and owns every room, unlike a guest who takes its name; its nick is its login.
-- On a visitor node visitors are occupants, and the number from focus is that of all nodes.
local function visitors_of(watch, room, focus_jid)
	if watch.visitors == "here" then return nil; end
	local focus = occupant_of(room, focus_jid);
	local presence = focus and focus:get_presence();
	if not presence or room:get_affiliation(focus.bare_jid) ~= "owner" then return nil; end
	return read_visitors(presence, not watch.visitors and "0" or nil);
end

-- Formats an attribute; empty without a value.
local function written(name, value)
	return value and " " .. name .. "='" .. xml_escape(value) .. "'" or "";
end

-- Formats an attribute from untrusted text.
local function written_text(name, text, limit)
	if text == nil or text == "" then return ""; end
	if type(text) == "string" and #text <= (limit or max_text) and text:find(plain_attribute) then
		return " " .. name .. "='" .. text .. "'";
	end
	return written(name, attribute(text, limit));
end

-- Breakout rooms as elements, in order; nil if the room has none.
local function breakouts_of(room)
	local rooms = room._data.breakout_rooms;
	if type(rooms) ~= "table" then return nil; end
	local breakouts = {};
	for room_jid, name in pairs(rooms) do
		if #breakouts == max_breakouts then break; end
		room_jid = attribute(room_jid);
		if room_jid then
			breakouts[#breakouts + 1] = "<breakout" .. written("jid", room_jid) .. written("name", attribute(name)) .. "/>";
		end
	end
	t_sort(breakouts);
	return t_concat(breakouts);
end

-- The indexes of the values behind a room's facts, in the array part of shown.
local SUBJECT, PASSWORD, MEMBERS, MEETING, LOBBY, CREATED, VISITORS = 1, 2, 3, 4, 5, 6, 7;

-- Whether these values are unchanged. This is called often, because most changes are of people.
local function same_facts(shown, room)
	local data = room._data;
	if not shown.facts or data.breakout_rooms or shown.breakouts then return false; end
	local _, subject = room:get_subject();
	return shown[SUBJECT] == subject and shown[PASSWORD] == room:get_password() and shown[MEMBERS] == room:get_members_only()
		and shown[MEETING] == data.meetingId and shown[LOBBY] == data.lobbyroom and shown[CREATED] == room.created_timestamp
		and shown[VISITORS] == shown.visitors;
end

-- Updates a room's facts, and returns whether they changed.
local function update_facts(shown, room)
	if same_facts(shown, room) then return false; end
	local data, visitors = room._data, shown.visitors;
	local _, subject = room:get_subject();
	local password, members = room:get_password(), room:get_members_only();
	shown[SUBJECT], shown[PASSWORD], shown[MEMBERS], shown[MEETING] = subject, password, members, data.meetingId;
	shown[LOBBY], shown[CREATED], shown[VISITORS] = data.lobbyroom, room.created_timestamp, visitors;
	local created = milliseconds(room.created_timestamp) or shown.record.created;
	local facts = " facts='1'" .. (created and " created='" .. created .. "'" or "") .. written_text("meeting", data.meetingId)
		.. written_text("subject", subject) .. (password and " password='1'" or "") .. (members and " members='1'" or "")
		.. (visitors and " visitors='" .. visitors .. "'" or "") .. written_text("lobby", data.lobbyroom);
	local breakouts = data.breakout_rooms and breakouts_of(room) or nil;
	if facts == shown.facts and breakouts == shown.breakouts then return false; end
	shown.facts, shown.breakouts = facts, breakouts;
	return true;
end

--- Batches
--
-- All subscribers get the same data, so each change is read and formatted once, as an element that every subscription with
-- the room adds to its batch. Elements are XML text of escaped fields: as stanzas, their text would be scanned twice more.
--
-- watch.shown[room JID] = { record, facts, breakouts, occupants = { [occupant JID] = known }, count, marks } is what
-- an up-to-date subscriber has; [SUBJECT] to [VISITORS] are the values behind its facts. Changes are found by comparison, and
-- the totals are exact.

-- watch.shown_rooms and watch.shown_occupants are its totals.

-- The budget of one turn, and its elements; reused, because turns are many.
local page_in_use = { out = {}, gone = {} };

local function new_page(at)
	local page, out, gone = page_in_use, page_in_use.out, page_in_use.gone;
	for i = #out, 1, -1 do out[i] = nil; end
	for i = #gone, 1, -1 do gone[i] = nil; end
	page.units, page.bytes, page.deadline, page.look_at, page.limit, page.names = 0, 0, at + turn, clock_units, page_limit, false;
	return page;
end

local function is_full(page)
	if page.units >= page.limit or page.bytes >= max_batch_bytes then return true; end
	if page.units < page.look_at then return false; end
	page.look_at = page.units + clock_units;
	if monotonic() < page.deadline then return false; end
	page.limit = page.units;
	return true;
end

-- The start of a room's element.
local function room_tag(room_jid)
	return "<room" .. written_text("jid", room_jid, max_jid);
end

local function gone_line(room_jid, nick, why)
	return "-\t" .. field(nick:sub(#room_jid + 2)) .. (why and "\t" .. why .. "\n" or "\n");
end

-- The element of a room that ended, with lines of the occupants who left for another reason than the room.
local function gone_tag(room_jid, lines, why, alternate)
	return "<gone" .. written_text("jid", room_jid, max_jid) .. (why and " reason='" .. why .. "'" or "")
		.. (alternate and written_text("alternate", alternate, max_jid) or "") .. (lines and ">" .. t_concat(lines) .. "</gone>" or "/>");
end

-- The text of a room's element.
local function room_text(room_jid, shown, new, facts, lines)
	return room_tag(room_jid) .. (new and " new='1'" or "") .. (facts and shown.facts or "") .. ">" .. (facts and shown.breakouts or "")
		.. (lines[2] and t_concat(lines) or lines[1] or "") .. "</room>";
end

-- The text of a batch: elements between two tags.
local function batch_text(sub, elements, before, after)
	local at = floor(sub.true_at * 1000);
	if not sub.synced then
		return before .. sub.tag .. sub.seq .. "' at='" .. write_clock(at) .. "'>" .. elements .. "</batch>" .. after;
	end
	return before .. sub.tag .. sub.seq .. "' at='" .. write_clock(at) .. "' synced='1' rooms='" .. sub.rooms .. "' occupants='" .. sub.occupants
		.. (sub.unseen and "' unseen='1'>" or "'>") .. elements .. "</batch>" .. after;
end

-- The last batch of a subscription, which ends here. It ignores the window, changes nothing and needs no answer.
local function last_batch(sub)
	sub.seq = sub.seq + 1;
	return (batch_text(sub, "", sub.before_message, "</message>"):gsub("<batch", "<batch end='1'", 1));
end

-- Whether sending must wait for an acknowledgement.
local function is_waiting(sub)
	return sub.seq - sub.acked >= window_limit or sub.bytes - sub.acked_bytes >= max_window_bytes;
end

-- The tags around a batch: an IQ if an acknowledgement is due, otherwise a message.
local function envelope(sub, at)
	local watch, seq = sub.watch, sub.seq;
	if seq < sub.asked_seq + ask_batches and at < sub.asked_at + ask_every and sub.bytes < sub.asked_bytes + max_window_bytes / 4 then
		return sub.before_message, "</message>";
	end
	local id = new_id();
	sub.asked_seq, sub.asked_at, sub.asked_bytes = seq, at, sub.bytes;
	sub.last_ask = sub.last_ask + 1;
	sub.asks[sub.last_ask] = { id = id, seq = seq, at = at, bytes = sub.bytes };
	sub.ids[id], watch.awaited[id] = sub.last_ask, sub;
	return "<iq type='set' id='" .. id .. "' from='" .. watch.host .. "' to='" .. sub.jid .. "'>", "</iq>";
end

-- Whether the subscriber has outdated data or, after its snapshot, lacks something.
local function is_behind(sub)
	local watch = sub.watch;
	if watch.changed[watch.changed_at] then return true; end
	if not sub.synced then return next(sub.owing) ~= nil; end
	return next(sub.late) ~= nil or watch.fresh[watch.fresh_at] ~= nil;
end

-- Sends a batch of elements.
local function send_batch(sub, elements, at)
	sub.seq, sub.sent_at = sub.seq + 1, at;
	sub.unseen = (sub.watch.unlisted or next(sub.watch.unread)) and true;
	if not is_behind(sub) then sub.true_at = at; end
	local before, after = envelope(sub, at);
	-- Directly to its stream, like answers; mod_component's own keepalive is text too.
	local text = batch_text(sub, elements, before, after);
	sub.bytes = sub.bytes + #text;
	sub.origin.send(text);
end

-- An acknowledgement covers all batches up to its own.
local function acknowledge(sub, id)
	local upto = sub.ids[id];
	sub.acked, sub.acked_bytes = sub.asks[upto].seq, sub.asks[upto].bytes;
	for i = sub.first_ask, upto do
		local ask = sub.asks[i];
		sub.asks[i], sub.ids[ask.id], sub.watch.awaited[ask.id] = nil, nil, nil;
	end
	sub.first_ask = upto + 1;
end

--- Subscriptions

local run_turn;

local watches = {}; -- MUC domain -> this instance's state for it
local last_status;

-- For people at prosodyctl's shell. Never "error", which Jitsi's health check would treat as an unhealthy Prosody.
local function show_status()
	local parts = {};
	for host, watch in pairs(watches) do
		local subs = {};
		for name, sub in pairs(watch.subs) do
			subs[#subs + 1] = ("%s, %d rooms, %d occupants%s"):format(name, sub.rooms, sub.occupants, sub.synced and "" or " so far");
		end
		t_sort(subs);
		parts[#parts + 1] = ("%s: %d subscriber%s%s%s"):format(host, #subs, #subs == 1 and "" or "s", #subs > 0 and ": " or "",
			t_concat(subs, "; "));
	end
	t_sort(parts);
	local text = #parts > 0 and t_concat(parts, " | ") or "no MUC domain to serve here";
	if text ~= last_status then
		last_status = text;
		module:set_status("info", text);
	end
end

-- Drops the data that only subscribers need.
local function clear(watch)
	watch.shown, watch.live, watch.due, watch.parents = {}, setmetatable({}, { __mode = "v" }), {}, {};
	watch.shown_rooms, watch.shown_occupants, watch.nicks = 0, 0, {};
	watch.changed, watch.changed_at, watch.fresh, watch.fresh_at = {}, 1, {}, 1;
	watch.audits, watch.audits_at, watch.between = {}, 1, nil;
	if watch.timer then watch.timer:stop(); end
	if watch.beat then watch.beat:stop(); end
	watch.timer, watch.beat = nil, nil;
end

local function drop(sub, why)
	local watch = sub.watch;
	if sub.dropped then return; end
	sub.dropped = true;
	if watch.subs[sub.jid] == sub then
		watch.subs[sub.jid] = nil;
	end
	for id in pairs(sub.ids) do
		watch.awaited[id] = nil;
	end
	sub.late, sub.owing, sub.queue, sub.queued, sub.ids, sub.asks = {}, {}, {}, {}, {}, {};
	if next(watch.subs) == nil then clear(watch); end
	module:log("info", "%s: subscription of %s ended: %s", watch.host, sub.jid, why);
	show_status();
end

-- An error in action must never affect the stanza whose hook calls it.
local function protect(watch, action)
	local ok, err = xpcall(action, debug.traceback, watch);
	if ok then return; end
	module:log("error", "Please report this: %s", err);
	for _, sub in pairs(watch.subs) do
		drop(sub, "internal error");
	end
end

local function has_work(watch)
	if watch.changed[watch.changed_at] or watch.fresh[watch.fresh_at] then return true; end
	for _, sub in next, watch.subs do
		if (sub.queue[sub.queue_at] or not sub.synced) and not is_waiting(sub) then return true; end
	end
	return false;
end

-- Schedules the next turn: now if a tick has passed since the last one, otherwise at the end of the tick.
local function schedule_turn(watch, wait)
	if next(watch.subs) == nil then return; end
	if watch.timer then
		if not wait then return; end
		watch.timer:stop();
	end
	local at = monotonic();
	wait = wait or max(0, watch.turn_at + tick - at);
	watch.due_at, watch.waiting = at + wait, 0;
	watch.timer = module:add_timer(wait, function ()
		watch.timer = nil;
		if has_work(watch) then protect(watch, run_turn); end
	end);
end

-- Timers wait while sockets have data to read, so under heavy load a hook sends an overdue batch.
local function flush_overdue(watch)
	if not watch.timer then return schedule_turn(watch); end
	watch.waiting = watch.waiting + 1;
	if watch.waiting % clock_units == 0 and monotonic() > watch.due_at + tick then
		protect(watch, run_turn);
	end
end

-- Sends a change immediately if that is cheap, otherwise in the next turn. A join is sent immediately while there is burst
-- left, which refills with time: PPCH then gets it as soon as other occupants do. Without any left it refills only after another
-- tick, so that a flood of joins shares one batch per tick.
-- Other changes are sent immediately after a tick without a turn. That saves a timer, which costs Prosody as much as a batch:
-- a few ms in which joins wait for each other cost more than they save (cmd/ppch-bench/README.md).
local function send_soon(watch, join)
	if watch.between then return schedule_turn(watch); end
	if not join and watch.timer then return flush_overdue(watch); end
	local at = monotonic();
	if at < watch.turn_at + tick then
		if not join then return schedule_turn(watch); end
		if at > watch.burst_at then
			watch.burst = min(max_burst, watch.burst + (at - watch.burst_at) * burst_rate);
			watch.burst_at = at;
		end
		if watch.burst < 1 then
			if at == watch.burst_at then watch.burst_at = at + tick; end
			return flush_overdue(watch);
		end
		watch.burst = watch.burst - 1;
	end
	protect(watch, run_turn);
end

-- Adds a room to the queue of rooms that were not sent yet.
local function enqueue(watch, room_jid, fresh)
	if watch.due[room_jid] then return; end
	watch.due[room_jid] = true;
	local queue = fresh and watch.fresh or watch.changed;
	queue[#queue + 1] = room_jid;
end

-- Marks a possible change in a room; the caller schedules a turn. Rooms that were not sent yet are in a queue. An occupant
-- with a new nick is sent as gone under the old nick and as present under the new one, in one batch.
local function mark(watch, room_jid, nick, new_nick)
	local shown = watch.shown[room_jid];
	if not shown then return; end
	local marks = shown.marks;
	if not marks then
		marks = {};
		shown.marks = marks;
		watch.changed[#watch.changed + 1] = room_jid;
	end
	if nick and not marks[nick] then
		marks[nick] = true;
		marks[#marks + 1] = nick;
	end
	if new_nick then
		marks.renamed = marks.renamed or {};
		marks.renamed[nick] = new_nick;
	end
end

--- Records: what the module keeps of each room in addition to Prosody's memory
--
-- watch.rooms[room JID] = { joined = { [occupant JID] = ms }, created = ms, latest = ms } has all rooms. With subscribers,
-- watch.live[room JID] is a weak reference to the room if it is in memory, because mod_muc swaps rooms out to save memory.
-- A swapped room does not change until it is back in memory, so nothing needs to be sent for it.

local function forget_room(watch, room_jid)
	if not watch.rooms[room_jid] then return; end
	watch.rooms[room_jid], watch.unread[room_jid], watch.live[room_jid] = nil, nil, nil;
	mark(watch, room_jid);
end

-- Queues a room to be sent, or marks it for a comparison if it was sent.
local function touch_room(watch, room_jid, fresh)
	if watch.shown[room_jid] then
		mark(watch, room_jid);
	else
		enqueue(watch, room_jid, fresh);
	end
end

local function record_room(watch, room, created)
	local room_jid = room.jid;
	local record = watch.rooms[room_jid];
	if not record then
		if not is_meeting(room) then return nil; end
		record = { joined = {}, created = created, latest = 0 };
		watch.rooms[room_jid] = record;
		if next(watch.subs) then touch_room(watch, room_jid); end
	end
	if watch.live[room_jid] ~= room and next(watch.subs) then
		watch.live[room_jid] = room;
		if watch.unread[room_jid] then
			watch.unread[room_jid] = nil;
			touch_room(watch, room_jid);
		end
	end
	return record;
end

local function note_joined(record, nick)
	-- Each time is later than the last, so that an occupant who leaves and rejoins differs.
	record.latest = max(floor(now() * 1000), record.latest + 1);
	record.joined[nick] = record.latest;
end

-- mod_muc has persistent and swapped rooms in three stores: the list of rooms, and for each room its configuration and,
-- if it has occupants, its state. This code reads them without mod_muc, because a room that mod_muc restores displaces
-- another one in its cache.

local function open_stores(context)
	return { index = context:open_store("persistent"), configs = context:open_store("config"), states = context:open_store("state") };
end

-- Reads a store. Drivers may throw or return errors; without storage the result is empty.
local function load_stored(store, key)
	local ok, data, err = pcall(store.get, store, key);
	if not ok then return nil, data; end
	if not data then return nil, err; end
	return next(data) ~= nil and data or nil;
end

-- A stored room as an object of our own, or nil if there is none to count; with a reason if that is unknown.
local function read_stored(watch, room_jid)
	local node = jid.split(room_jid);
	local config, err = load_stored(watch.stores.configs, node);
	if not config then return nil, err; end
	local state;
	state, err = load_stored(watch.stores.states, node);
	if not state and err then return nil, err; end
	local room = hosts[watch.host].modules.muc.new_room(room_jid, config._data);
	if not is_meeting(room) then return nil; end
	room._affiliations = config._affiliations or room._affiliations; -- format of earlier versions of Prosody
	for real_jid, affiliation in pairs(config) do
		if type(affiliation) == "string" and real_jid:sub(1, 1) ~= "_" then room._affiliations[real_jid] = affiliation; end
	end
	state = state or config;
	for nick, saved in pairs(state) do
		if type(saved) == "table" and saved.bare_jid and jid.bare(nick) == room_jid then
			local occupant = room:new_occupant(saved.bare_jid, nick);
			occupant.role, occupant.jid = saved.role, saved.jid;
			room._occupants[nick] = occupant;
		end
	end
	for real_jid, saved in pairs(state) do
		local occupant = type(saved) == "table" and saved.name == "presence" and room._occupants[saved.attr.from];
		if occupant then occupant.sessions[real_jid] = st.deserialize(saved); end
	end
	return room;
end

-- Adds the rooms that are only in storage to the records.
local function list_stored(watch)
	local was = watch.unlisted;
	local index, err = load_stored(watch.stores.index, nil);
	watch.unlisted = err and tostring(err);
	local count = 0;
	for room_jid in pairs(index or {}) do
		local node, host, resource = jid.split(type(room_jid) == "string" and room_jid or nil);
		if node and host == watch.host and not resource and not watch.rooms[room_jid] then
			if count == max_stored then
				watch.unlisted = too_many;
				break;
			end
			count = count + 1;
			watch.rooms[room_jid] = { joined = {}, latest = 0 };
			if next(watch.subs) then touch_room(watch, room_jid, true); end
		end
	end
	if watch.unlisted and watch.unlisted ~= was then
		module:log("warn", "%s: can't list all rooms in storage (%s): PPCH reports rooms that it hasn't seen as unknown",
			watch.host, watch.unlisted);
	end
end

-- Returns a stored room to send, or nil. If it can't be read, the audit retries.
local function stored_room(watch, room_jid)
	local ok, room, err = pcall(read_stored, watch, room_jid);
	if not ok then room, err = nil, room; end
	if not room and not err then
		forget_room(watch, room_jid);
	elseif err and not watch.unread[room_jid] then
		module:log("warn", "%s: can't read room %s from storage: %s", watch.host, room_jid, tostring(err));
	end
	watch.unread[room_jid] = err;
	return room;
end

-- Checks that rooms which have left memory are in storage.
local function look_for_swapped(watch)
	for _ = 1, max_lookups do
		local room_jid = table.remove(watch.swapped);
		if not room_jid then break; end
		local config, err = load_stored(watch.stores.configs, (jid.split(room_jid)));
		if not config and not err then
			local muc = hosts[watch.host] and hosts[watch.host].modules.muc;
			if not muc or not muc.get_room_from_jid(room_jid) then forget_room(watch, room_jid); end
		end
	end
end

-- The room to read, from memory or from storage; nil if there is none, or if it can't be read.
local function room_of(watch, page, room_jid)
	local room = watch.live[room_jid];
	if room then return room; end
	page.look_at = 0; -- check the time next, because storage may be slow
	return stored_room(watch, room_jid);
end

-- Compares the records with Prosody's rooms. Without occupants, this fits into one turn.
local function sync_rooms(watch)
	local muc = hosts[watch.host] and hosts[watch.host].modules.muc;
	if not muc then return; end
	local live = {};
	for room in muc.live_rooms() do
		live[room.jid] = true;
		record_room(watch, room);
	end
	if watch.swapped[1] then return; end -- look for these first
	for room_jid in pairs(watch.rooms) do
		if not live[room_jid] then
			watch.swapped[#watch.swapped + 1] = room_jid;
		end
	end
end

--- Turns
--
-- One turn of the event loop reads at most one page, for a few milliseconds: first changes in rooms that were sent, then rooms
-- that were not. Each subscriber gets one batch of it. If its window is full, or it lacks the room, the names of the changes
-- are noted in a walk, which continues when a batch has space.

-- The walk of a subscription through a room of which it lacks changes. had is the number of occupants that it has, or nil.
-- A whole walk sends the whole room.
local function walk_of(sub, room_jid, had, whole)
	local walk = { jid = room_jid, had = had, whole = whole, at = 1, limit = max_marks, sent = {}, seen = {}, listed = {} };
	sub.late[room_jid] = walk;
	if had then sub.owing[room_jid] = true; end
	if not sub.queued[room_jid] then
		sub.queued[room_jid] = true;
		sub.queue[#sub.queue + 1] = room_jid;
	end
	return walk;
end

local function end_walk(sub, room_jid)
	sub.late[room_jid], sub.owing[room_jid] = nil, nil;
end

-- Adds an occupant to a walk; was is whether the subscriber had it before the first change that it missed.
local function walk_to(walk, nick, was, line)
	if line:byte() == 45 then -- it left; keep the reason, which isn't available later
		walk.left = walk.left or {};
		walk.left[nick] = line;
	end
	if walk.whole and not walk.started or walk.listed[nick] then return; end
	if #walk >= walk.limit then -- too many names: send the whole room
		for i = #walk, 1, -1 do walk[i] = nil; end
		walk.whole, walk.started, walk.at = true, nil, 1;
		return;
	end
	if not walk.seen[nick] then
		walk.seen[nick], walk.sent[nick] = true, was or nil;
	end
	walk.listed[nick] = true;
	walk[#walk + 1] = nick;
end

-- Starts to send a whole room.
local function start_walk(walk, occupants)
	walk.started, walk.sent, walk.seen, walk.listed = true, {}, {}, {};
	for nick in pairs(occupants) do
		walk.seen[nick], walk.listed[nick] = true, true;
		walk[#walk + 1] = nick;
	end
	walk.limit = #walk + max_marks;
end

-- Adds an element to the batch of this turn; rooms that ended come last.
local function add(batch, element)
	local list = element.gone and batch.gone or batch.out;
	list[#list + 1] = element.text;
end

-- Adds an element to the own batch of a subscription, or notes its changes in a walk.
local function give(sub, element)
	local room_jid = element.jid;
	local had, walk = element.had, sub.late[room_jid];
	if walk then had = walk.had; end
	if element.gone then
		if had and sub.waiting then
			walk_of(sub, room_jid, had).gone = element.text;
			return;
		end
		if walk then end_walk(sub, room_jid); end
		if not had then return; end
		sub.rooms, sub.occupants = sub.rooms - 1, sub.occupants - had;
	elseif element.new then
		if sub.waiting then
			walk_of(sub, room_jid, had, true);
			return;
		end
		if walk then end_walk(sub, room_jid); end
		sub.rooms, sub.occupants = sub.rooms + (had and 0 or 1), sub.occupants + element.more - (had or 0);
	elseif walk or sub.waiting then
		walk = walk or walk_of(sub, room_jid, had);
		walk.facts = walk.facts or element.facts;
		for i = 1, #element.lines do walk_to(walk, element[i], element.was[i], element.lines[i]); end
		return;
	else
		sub.occupants = sub.occupants + element.more;
	end
	add(sub, element);
end

-- Reads an occupant, and adds its line to the element if it changed.
local function show_occupant(watch, page, shown, room, nick, element, afresh)
	page.units = page.units + 1;
	local occupant, known = occupant_of(room, nick), shown.occupants[nick];
	local was, line = known ~= nil;
	if occupant then
		if not known then
			known = new_known();
			shown.occupants[nick], shown.count = known, shown.count + 1;
			element.more = element.more + 1;
		end
		local record = shown.record;
		if not update_known(known, room, nick, occupant, record.joined[nick], watch.options.email, afresh, record.from and record.from[nick]) then
			return;
		end
		line, watch.nicks[known[JID]] = known[LINE], nick;
	elseif known then
		shown.occupants[nick], shown.count = nil, shown.count - 1;
		element.more = element.more - 1;
		line = gone_line(element.jid, nick, known[WHY] or nil);
		if watch.nicks[known[JID]] == nick then watch.nicks[known[JID]] = nil; end
	else
		return;
	end
	local lines, names = element.lines, element.was;
	lines[#lines + 1] = line;
	if names then
		element[#lines], names[#lines] = nick, was;
	end
	page.bytes = page.bytes + #line;
end

-- Drops the occupants of a room that is no longer shown, and returns the lines of those with their own reason. The reason of the
-- only occupant is the room's.
local function hide_occupants(watch, shown, room_jid)
	local lines;
	if shown.count == 1 and not shown.why then
		local nick, known = next(shown.occupants);
		if watch.nicks[known[JID]] == nick then watch.nicks[known[JID]] = nil; end
		shown.why = known[WHY] or nil;
		return nil;
	end
	for nick, known in next, shown.occupants do
		if watch.nicks[known[JID]] == nick then watch.nicks[known[JID]] = nil; end
		if known[WHY] then
			lines = lines or {};
			lines[#lines + 1] = gone_line(room_jid, nick, known[WHY]);
		end
	end
	return lines;
end

-- Adds a whole room to the element. Occupants that don't fit are marked.
local function show_room(watch, page, record, room, element)
	local room_jid = element.jid;
	local focus = room_jid .. "/" .. watch.options.focus_nick;
	local shown = {
		nil, nil, nil, nil, nil, nil, nil; -- see SUBJECT
		record = record, occupants = {}, count = 0, marks = nil, focus = focus, visitors = visitors_of(watch, room, focus);
		facts = nil, breakouts = nil;
	};
	watch.shown[room_jid], element.shown, element.new, element.facts = shown, shown, true, true;
	update_facts(shown, room);
	if shown.breakouts then watch.parents[room_jid] = true; end
	local marks;
	for nick in next, room._occupants do
		if not marks and is_full(page) then
			marks = {};
			shown.marks = marks;
		end
		if marks then
			marks[#marks + 1], marks[nick] = nick, true;
		else
			show_occupant(watch, page, shown, room, nick, element);
		end
	end
	page.bytes = page.bytes + #shown.facts + #room_jid;
	return element, not marks;
end

-- The current element, reused after its text is in the batches. had is how many occupants of the room were sent before,
-- nil if the room was not sent.
local element_in_use = { jid = nil, shown = nil, gone = nil, new = nil, facts = nil, had = nil, more = 0, was = nil, lines = {}, text = nil };

local function new_element(room_jid, shown, with_names)
	local element, lines = element_in_use, element_in_use.lines;
	for i = #lines, 1, -1 do lines[i], element[i] = nil, nil; end
	element.jid, element.shown, element.gone, element.new, element.facts, element.text, element.more = room_jid, shown, nil, nil, nil, nil, 0;
	element.had = shown and shown.count;
	element.was = with_names and {} or nil;
	return element;
end

-- Returns the element with the changes of a room, or nil, and whether the room was read completely.
local function look_at_room(watch, page, room_jid)
	page.units = page.units + 1;
	local record, shown = watch.rooms[room_jid], watch.shown[room_jid];
	local element = new_element(room_jid, shown, page.names);
	watch.due[room_jid] = nil;
	if not record then
		watch.shown[room_jid], watch.parents[room_jid] = nil, nil;
		if not shown then return nil, true; end
		local lines = hide_occupants(watch, shown, room_jid);
		element.gone, element.text = true, gone_tag(room_jid, lines, shown.why, shown.alternate);
		return element, true;
	end
	local room = room_of(watch, page, room_jid);
	if not room then
		-- Either the room doesn't exist, which the records then say, or it can't be read, and the audit retries.
		if shown then shown.marks = nil; end
		if not watch.rooms[room_jid] then return look_at_room(watch, page, room_jid); end
		return nil, true;
	end
	if not shown or shown.record ~= record then
		if next(room._occupants) == nil and watch.live[room_jid] then
			-- create_room() announces a room before it knows whether there is space for it.
			local muc = hosts[watch.host].modules.muc;
			if not muc or not muc.get_room_from_jid(room_jid) then
				forget_room(watch, room_jid);
				return look_at_room(watch, page, room_jid);
			end
		end
		if shown then hide_occupants(watch, shown, room_jid); end
		return show_room(watch, page, record, room, element);
	end
	local marks = shown.marks;
	if not marks then return nil, true; end
	if marks[shown.focus] then shown.visitors = visitors_of(watch, room, shown.focus); end
	if update_facts(shown, room) then
		element.facts = true;
		watch.parents[room_jid] = shown.breakouts and true or nil;
		page.bytes = page.bytes + #shown.facts;
	end
	local at, renamed = marks.at or 1, marks.renamed;
	while marks[at] and not is_full(page) do
		local nick = marks[at];
		while nick do
			show_occupant(watch, page, shown, room, nick, element, marks.afresh);
			marks[nick] = nil;
			nick = renamed and renamed[nick];
		end
		at = at + 1;
	end
	marks.at = at;
	local done = not marks[at];
	if done then shown.marks = nil; end
	page.bytes = page.bytes + #room_jid;
	return (element.facts or element.lines[1]) and element or nil, done;
end

-- Formats an element and adds it to all subscriptions.
local function take(watch, page, element)
	element.text = element.text or room_text(element.jid, element.shown, element.new, element.facts, element.lines);
	local had = element.had;
	if element.gone then
		watch.shown_rooms, watch.shown_occupants = watch.shown_rooms - 1, watch.shown_occupants - had;
	elseif element.new then
		watch.shown_rooms, watch.shown_occupants = watch.shown_rooms + (had and 0 or 1), watch.shown_occupants + element.more - (had or 0);
	else
		watch.shown_occupants = watch.shown_occupants + element.more;
	end
	add(page, element);
	if page.names then
		for _, sub in next, watch.subs do
			if sub.out then give(sub, element); end
		end
	end
end

-- Reads changes for all subscriptions.
local function read_changes(watch, page, queue, at)
	while queue[at] and not is_full(page) do
		local room_jid = queue[at];
		local element, done = look_at_room(watch, page, room_jid);
		if element then take(watch, page, element); end
		if not done and queue == watch.changed then break; end -- the rest goes into the next batch
		if not done then watch.changed[#watch.changed + 1] = room_jid; end
		queue[at] = false;
		at = at + 1;
	end
	if queue[at] or at == 1 then return at; end
	for i = at - 1, 1, -1 do queue[i] = nil; end
	return 1;
end

-- Adds the part of a walk that fits into the subscription's batch.
local function go_on(sub, page, walk)
	local watch, room_jid, had = sub.watch, walk.jid, walk.had;
	local shown = watch.shown[room_jid];
	page.units = page.units + 1;
	if walk.gone or not shown then
		end_walk(sub, room_jid);
		if not had then return; end
		sub.rooms, sub.occupants = sub.rooms - 1, sub.occupants - had;
		sub.gone[#sub.gone + 1] = walk.gone or gone_tag(room_jid);
		return;
	end
	local new, facts = false, walk.facts;
	if walk.whole and not walk.started then
		new, facts = true, true;
		start_walk(walk, shown.occupants);
		sub.rooms, sub.occupants = sub.rooms + (had and 0 or 1), sub.occupants - (had or 0);
		had = 0;
		sub.owing[room_jid] = true;
	end
	walk.facts = nil;
	local lines, more, is_gone = {}, 0, false;
	while walk[walk.at] and (is_gone or not is_full(page)) do -- the old and the new nick stay together
		local nick = walk[walk.at];
		walk.at, walk.listed[nick] = walk.at + 1, nil;
		local known, sent = shown.occupants[nick], walk.sent[nick];
		page.units = page.units + 1;
		is_gone = sent and not known;
		if known or sent then
			local line = known and known[LINE] or walk.left and walk.left[nick] or gone_line(room_jid, nick);
			lines[#lines + 1] = line;
			page.bytes = page.bytes + #line;
			more = more + (known and 1 or 0) - (sent and 1 or 0);
		end
		walk.sent[nick] = known and true or nil;
	end
	walk.had, sub.occupants = had + more, sub.occupants + more;
	if new or facts or lines[1] then
		sub.out[#sub.out + 1] = room_text(room_jid, shown, new, facts, lines);
		page.bytes = page.bytes + #room_jid;
	end
	if not walk[walk.at] then end_walk(sub, room_jid); end
end

local function catch_up(sub, page)
	while not is_full(page) do
		local room_jid = sub.queue[sub.queue_at];
		if not room_jid then
			sub.queue, sub.queue_at = {}, 1;
			return;
		end
		local walk = sub.late[room_jid];
		if walk then go_on(sub, page, walk); end
		if sub.late[room_jid] then return; end -- the page is full
		sub.queue[sub.queue_at], sub.queued[room_jid] = false, nil;
		sub.queue_at = sub.queue_at + 1;
	end
end

-- The text of a turn's elements.
local function elements_of(batch)
	local out, gone = batch.out, batch.gone;
	for i = 1, #gone do out[#out + 1] = gone[i]; end
	return out[2] and t_concat(out) or out[1];
end

-- Sends a turn's elements, and returns whether they complete the snapshot.
local function finish(sub, elements, at)
	local watch = sub.watch;
	local completed = not sub.synced and not sub.queue[sub.queue_at] and not watch.fresh[watch.fresh_at] and not watch.changed[watch.changed_at];
	sub.synced = sub.synced or completed;
	if completed or elements then
		send_batch(sub, elements or "", at);
	elseif not is_behind(sub) then
		sub.true_at = at; -- the marks of an audit were no changes; the next heartbeat says so
	end
	return completed;
end

-- Whether a subscription needs its own batch: its window is full, or it has walks.
local function begin(watch, page)
	local late = false;
	for _, sub in next, watch.subs do
		sub.waiting = is_waiting(sub);
		if sub.waiting or sub.queue[sub.queue_at] then
			sub.out, sub.gone, page.names = {}, {}, true;
			late = late or not sub.waiting and sub.queue[sub.queue_at] ~= nil;
		end
	end
	return late;
end

function run_turn(watch)
	local at = monotonic();
	local page = new_page(at);
	watch.turn_at, watch.turns, watch.due_at = at, watch.turns + 1, at + tick;
	local late = begin(watch, page);
	-- Changes, rooms that were not sent yet, and walks take turns at being first, so that none starves the others.
	-- A batch in which a room ends can have nothing else of it, so walks are alone in their turn.
	local order = watch.turns % 3;
	if order > 0 or not late then
		local fresh = watch.fresh[watch.fresh_at];
		if fresh and order == 2 then watch.fresh_at = read_changes(watch, page, watch.fresh, watch.fresh_at); end
		watch.changed_at = read_changes(watch, page, watch.changed, watch.changed_at);
		if fresh and order ~= 2 then watch.fresh_at = read_changes(watch, page, watch.fresh, watch.fresh_at); end
	end
	local units, bytes, completed = page.units, page.bytes, false;
	local elements = elements_of(page);
	for _, sub in next, watch.subs do
		if not sub.out then
			sub.rooms, sub.occupants = watch.shown_rooms, watch.shown_occupants;
			completed = finish(sub, elements, at) or completed;
		elseif not sub.waiting then
			if late then
				page.units, page.bytes, page.look_at, page.limit = units, bytes, units + clock_units, page_limit;
				catch_up(sub, page);
			end
			completed = finish(sub, elements_of(sub), at) or completed;
		end
		sub.out, sub.gone = nil, nil;
	end
	if completed then show_status(); end
	-- The rest of a full page continues immediately, after Prosody's other work.
	if has_work(watch) then schedule_turn(watch, 0); end
end

-- Breakout rooms are added, renamed and removed without an event, so the few rooms with breakout rooms are read every time.
local function look_at_parents(watch)
	for room_jid in pairs(watch.parents) do
		mark(watch, room_jid);
	end
end

-- Compares a sent room with Prosody's memory, and marks the differences. A room in storage doesn't change.
local function audit_room(watch, room_jid, afresh)
	local record, shown, room = watch.rooms[room_jid], watch.shown[room_jid], watch.live[room_jid];
	if not shown or shown.record ~= record or watch.unread[room_jid] then return touch_room(watch, room_jid, true); end
	if not room then return; end
	if not same_facts(shown, room) then mark(watch, room_jid); end
	local count = 0;
	for nick, occupant in next, room._occupants do
		if occupant.role then
			count = count + 1;
			local known = shown.occupants[nick];
			if known and known[CONNECTION] ~= connection_of(occupant.jid) then known[JID] = false; end
			if afresh or not known or not is_known(known, room, occupant, record.joined[nick]) then mark(watch, room_jid, nick); end
		end
	end
	if count ~= shown.count then
		for nick in next, shown.occupants do
			if not occupant_of(room, nick) then mark(watch, room_jid, nick); end
		end
	end
	if afresh and shown.marks then
		shown.marks.afresh = true;
		for nick in pairs(record.joined) do
			if not room._occupants[nick] then
				record.joined[nick] = nil;
				if record.from then record.from[nick] = nil; end
			end
		end
	end
end

-- Audits a share of the rooms. Every twentieth is read without what is remembered of it; the choice rotates.
local function audit(watch, share)
	if not watch.audits[1] then
		for room_jid in pairs(watch.rooms) do watch.audits[#watch.audits + 1] = room_jid; end
		for room_jid in pairs(watch.shown) do
			if not watch.rooms[room_jid] then watch.audits[#watch.audits + 1] = room_jid; end
		end
		watch.audits_at, watch.rounds = 1, watch.rounds + 1;
	end
	local upto = watch.audits_at + ceil(#watch.audits * share);
	for i = watch.audits_at, min(upto, #watch.audits) do
		audit_room(watch, watch.audits[i], watch.all_afresh or (i + watch.rounds) % afresh_every == 0);
	end
	watch.audits_at = upto + 1;
end

-- All periodic work while there are subscribers.
local function on_beat(watch)
	local at, options = monotonic(), watch.options;
	local beats = audit_heartbeats * options.heartbeat / watch.beat_every;
	watch.beats = watch.beats + 1;
	if watch.beats >= beats then
		watch.beats, watch.audits = 0, {};
		local place = place_of_visitors(watch);
		watch.all_afresh, watch.visitors = place ~= watch.visitors, place;
		sync_rooms(watch);
		if watch.unlisted and watch.unlisted ~= too_many then list_stored(watch); end
	end
	look_for_swapped(watch);
	look_at_parents(watch);
	-- Slightly more than the share, so that a round finishes in time.
	audit(watch, 1.25 / beats);
	for _, sub in pairs(watch.subs) do
		local oldest = sub.asks[sub.first_ask];
		if sub.origin.destroyed then
			drop(sub, "disconnected");
		elseif oldest and at - oldest.at > ack_timeout then
			drop(sub, "no acknowledgement in time");
		elseif at - sub.sent_at > options.heartbeat - 1.5 * watch.beat_every and not is_waiting(sub) then
			send_batch(sub, "", at);
		end
	end
	if has_work(watch) then schedule_turn(watch); end
	show_status();
	return next(watch.subs) and watch.beat_every or nil;
end

local function start_beat(watch)
	if watch.beat then return; end
	watch.beats = 0;
	watch.beat = module:add_timer(watch.beat_every, function ()
		local again = on_beat(watch);
		if not again then watch.beat = nil; end
		return again;
	end);
end

--- Breakout rooms
--
-- Jitsi's mod_muc_breakout_rooms stores them in the data of the main room and fires no event. It changes them only while it
-- handles a message to their domain, in the room of the sender's URL.

-- Called before Jitsi's plugin handles the message, so the room is read later.
local function on_breakout_message(watch, base, event)
	local child, session = event.stanza.tags[1], event.origin;
	if not child or child.name ~= "breakout_rooms" or not session or next(watch.subs) == nil then return; end
	local name, tenant = session.jitsi_web_query_room, session.jitsi_web_query_prefix;
	if type(name) ~= "string" then return; end
	if type(tenant) == "string" and tenant ~= "" and tenant ~= base then
		name = "[" .. tenant .. "]" .. name;
	end
	local room_jid = name .. "@" .. watch.host;
	if not watch.rooms[room_jid] then return; end
	watch.changed_parents[room_jid] = true;
	watch.parents_timer = watch.parents_timer or module:add_timer(breakout_delay, function ()
		local changed = watch.changed_parents;
		watch.parents_timer, watch.changed_parents = nil, {};
		for changed_jid in pairs(changed) do
			mark(watch, changed_jid);
		end
		flush_overdue(watch);
	end);
end

--- Reasons

-- Status codes of XEP-0045 that Prosody sends with the last presence.
local codes = { ["301"] = "banned", ["307"] = "kicked", ["321"] = "kicked", ["322"] = "kicked", ["332"] = "disconnected", ["333"] = "disconnected" };

local moves = {};

-- Records that a client leaves a room for another one. Clients that never arrive are dropped with their table.
function moves.note(way, key, room_jid)
	local at = monotonic();
	if at > way.since + move_time then
		way.before = at > way.since + 2 * move_time and {} or way.now;
		way.now, way.since, way.count = {}, at, 0;
	end
	if way.count >= max_moved then return; end
	way.now[key], way.count = room_jid, way.count + 1;
end

-- The room of a client on that way, or nil. Given a room, only that room.
function moves.take(way, key, only)
	local moved, before = way.now, way.before;
	if next(moved) == nil and next(before) == nil then return nil; end
	local room_jid = moved[key] or before[key];
	if only and room_jid ~= only then return nil; end
	moved[key], before[key] = nil, nil;
	return monotonic() <= way.since + 2 * move_time and room_jid or nil;
end

-- The room from which an occupant came, or nil.
function moves.origin_of(occupant)
	local ways = registry.moves;
	local from = moves.take(ways.client, occupant.jid);
	if from or next(ways.login.now) == nil and next(ways.login.before) == nil then return from; end
	local login = jid.node(occupant.bare_jid);
	return login and moves.take(ways.login, login);
end

-- Why the occupant of an unavailable presence left. A session that ended is no longer in the list, so a client can't fake that.
local function reason_of(event)
	local tags = event.x and event.x.tags;
	for i = 1, tags and #tags or 0 do
		local reason = tags[i].name == "status" and codes[tags[i].attr.code];
		if reason then return reason; end
	end
	local text, real_jid = event.stanza:get_child_text("status"), event.occupant.jid;
	if connection_of(real_jid) == "stale" then
		return text == "Disconnected: Replaced by new connection" and "replaced" or "disconnected"; -- by sessionmanager.lua
	end
	if text == "switch_room" then return "moved"; end -- by lib-jitsi-meet
	return moves.take(registry.moves.visitor, real_jid, event.room.jid) and "moved" or "left";
end

--- Promotions: the visitors component of the main Prosody allows a visitor to enter the meeting with a login that it makes for
--- this. It sends the login to the visitor node, which passes it to the visitor (Jitsi's mod_visitors_component.lua, mod_fmuc.lua).

-- The answer that allows a visitor to enter, and the visitor's meeting.
function moves.promotion_of(stanza)
	local first = stanza.tags[1];
	if not first or first.name ~= "visitors" or stanza.name ~= "iq" or stanza.attr.type ~= "set" then return; end
	local visitors = stanza:get_child("visitors", "jitsi:visitors");
	local response = visitors and visitors:get_child("promotion-response");
	if response and response.attr.allow == "true" then return response, visitors; end
end

-- On the main Prosody, as its visitors component sends the answer.
function moves.on_promotion_sent(watch, component, event)
	local stanza = event.stanza;
	if stanza.attr.from ~= component then return; end -- a client of the same host
	local response, visitors = moves.promotion_of(stanza);
	local login, node = response and response.attr.username, response and jid.node(visitors.attr.room);
	if login and node and event.to_host and watch.rooms[node .. "@" .. watch.host] then
		moves.note(registry.moves.login, login, node .. "@" .. watch.host:match("^[^.]+") .. "." .. event.to_host);
	end
end

-- On a visitor node, as a room passes the answer to one of its occupants: mod_fmuc has checked the sender, and no occupant can
-- send from the room's own JID.
function moves.on_promotion_passed(watch, event)
	local stanza = event.stanza;
	if not moves.promotion_of(stanza) then return; end
	local room_jid, real_jid = stanza.attr.from, stanza.attr.to;
	local nick = watch.nicks[real_jid];
	if nick and jid.bare(nick) == room_jid then moves.note(registry.moves.visitor, real_jid, room_jid); end
end

--- Handlers: each is hooked on the MUC domain, see Domains

local handlers = {};

-- The domain of the sender if it is an allowed component that uses its own address, otherwise nil.
local function subscriber(watch, event)
	local origin, from = event.origin, event.stanza.attr.from;
	if origin.type == "component" and origin.conn and from and origin.host == from and watch.options.components:contains(from) then
		return from;
	end
end

handlers["iq-set/host/" .. xmlns .. ":subscribe"] = function (watch, event)
	local origin, stanza = event.origin, event.stanza;
	local name = subscriber(watch, event);
	if not name then return; end -- Prosody answers as for an unknown namespace
	if watch.subs[name] then
		drop(watch.subs[name], "it subscribed again");
	end
	local first, at = next(watch.subs) == nil, monotonic();
	local sub = {
		watch = watch, jid = name, origin = origin, epoch = new_id(), seq = 0, sent_at = at - 1, true_at = at;
		before_message = "<message type='normal' from='" .. watch.host .. "' to='" .. name .. "'>";
		bytes = 0, acked = 0, acked_bytes = 0, asked_seq = 0, asked_at = -ask_every, asked_bytes = 0;
		asks = {}, first_ask = 1, last_ask = 0, ids = {};
		rooms = 0, occupants = 0; -- what it was sent
		late = {}, owing = {}, queue = {}, queue_at = 1, queued = {}; -- walks by room, walks of rooms that it has, and the order of walks
	};
	sub.tag = "<batch xmlns='" .. xmlns .. "' epoch='" .. sub.epoch .. "' seq='";
	watch.subs[name] = sub;
	if first then
		watch.follow_promotions();
		watch.visitors = place_of_visitors(watch); -- hosts and modules may have been loaded after this one
		sync_rooms(watch);
		for room_jid in pairs(watch.rooms) do enqueue(watch, room_jid, true); end
	else
		for room_jid in pairs(watch.shown) do walk_of(sub, room_jid, nil, true); end
	end
	watch.follow_component(name);
	origin.send(st.reply(stanza):tag("subscribed", {
		xmlns = xmlns, epoch = sub.epoch, version = version, heartbeat = tostring(watch.options.heartbeat), at = write_clock(floor(at * 1000));
		time = ("%d"):format(floor(now() * 1000)), visitors = watch.visitors == "here" and "here" or nil;
		recorders = watch.options.recorders ~= "" and watch.options.recorders or nil;
		transcribers = watch.options.transcribers ~= "" and watch.options.transcribers or nil;
		hidden = watch.options.hidden ~= "" and watch.options.hidden or nil;
		focus = watch.options.focus, type = type_of_rooms(watch.host); cache = ("%d"):format(watch.options.room_cache);
	}));
	module:log("info", "%s: %s subscribed", watch.host, name);
	start_beat(watch);
	schedule_turn(watch, 0);
	show_status();
	return true;
end

handlers["iq-set/host/" .. xmlns .. ":unsubscribe"] = function (watch, event)
	local name = subscriber(watch, event);
	if not name then return; end
	if watch.subs[name] then
		drop(watch.subs[name], "unsubscribed");
	end
	event.origin.send(st.reply(event.stanza));
	return true;
end

-- Before mod_iq, which accepts only answers to Prosody's own queries.
handlers["iq/host"] = { priority = 10; function (watch, event)
	local attr = event.stanza.attr;
	if attr.type ~= "result" and attr.type ~= "error" then return; end
	local sub = watch.awaited[attr.id];
	if not sub or attr.from ~= sub.jid then return; end
	if attr.type == "error" then
		drop(sub, "it refused a batch");
		return true;
	end
	acknowledge(sub, attr.id);
	if has_work(watch) then schedule_turn(watch); end
	return true;
end };

-- After mod_muc has added it to its list (-1000), which may fail.
handlers["muc-room-pre-create"] = { priority = -1001; function (watch, event)
	local room = event.room;
	if watch.rooms[room.jid] then forget_room(watch, room.jid); end
	record_room(watch, room, floor(now() * 1000));
end };

-- For rooms that other plugins create; those that a client entered have a record already.
handlers["muc-room-created"] = function (watch, event)
	local room = event.room;
	if watch.rooms[room.jid] then return; end
	record_room(watch, room, floor(now() * 1000));
	flush_overdue(watch);
end;

handlers["muc-room-restored"] = function (watch, event)
	record_room(watch, event.room);
end;

-- Right after mod_muc's hook (0), and before the one of tombstones (-10), which stops the event.
handlers["muc-room-destroyed"] = { priority = -1; function (watch, event)
	local room = event.room;
	local shown = watch.shown[room.jid];
	if shown and room.destroying then shown.why, shown.alternate = "room-destroyed", event.newjid; end
	forget_room(watch, room.jid);
	if next(watch.subs) then send_soon(watch); end
end };

-- Last, after all hooks that change the occupant.
handlers["muc-occupant-joined"] = { priority = -100; function (watch, event)
	local room, nick = event.room, event.nick;
	local record = watch.rooms[room.jid] or record_room(watch, room);
	if not record then return; end
	if watch.noted == nick then
		watch.noted = nil;
	else
		note_joined(record, nick);
	end
	if next(watch.subs) then
		local from = moves.origin_of(event.occupant);
		if from and from ~= room.jid then
			record.from = record.from or {};
			record.from[nick] = from;
		end
		mark(watch, room.jid, nick);
		send_soon(watch, true);
	end
end };

-- After mod_muc's hook (-1), which destroys an empty room: the room is sent as gone, without its last leaves.
handlers["muc-occupant-left"] = { priority = -2; function (watch, event)
	local room, nick = event.room, event.nick;
	local record = watch.rooms[room.jid];
	if not record then return; end
	record.joined[nick] = nil;
	if record.from then record.from[nick] = nil; end
	if room.destroying or not next(watch.subs) then return; end
	mark(watch, room.jid, nick);
	send_soon(watch);
end };

-- Fired for every change of a present occupant, including a new session under the same nick, and before joined and left.
handlers["muc-broadcast-presence"] = function (watch, event)
	local occupant, other = event.occupant, event.nick;
	if not occupant or not other and not next(watch.subs) then return; end
	local room, nick = event.room, occupant.nick;
	local room_jid = room.jid;
	if not other and not occupant.role then -- left follows
		local shown = watch.shown[room_jid];
		local known = shown and not room.destroying and shown.occupants[nick];
		if known then
			known[WHY] = reason_of(event);
			if known[WHY] == "moved" then moves.note(registry.moves.client, occupant.jid, room_jid); end
		end
		return;
	end
	local record = watch.rooms[room_jid] or record_room(watch, room);
	if not record or room.destroying then return; end
	local joined = record.joined;
	if other then
		-- A known occupant changes its nick: there is no other event. At this moment Prosody has it under neither nick; it adds the
		-- new one next.
		other = room_jid .. "/" .. other;
		joined[other] = joined[nick];
		watch.between = next(watch.subs) and true or nil;
		mark(watch, room_jid, nick, other);
		return;
	end
	watch.between = nil;
	mark(watch, room_jid, nick);
	if joined[nick] then
		send_soon(watch);
	elseif record.created then
		-- Usually joined follows, but not if one of two sessions takes its own nick.
		note_joined(record, nick);
		watch.noted = nick;
	end
end;

-- Messages from the room itself: a new subject, or a changed configuration (status 104).
handlers["muc-broadcast-message"] = function (watch, event)
	local room, stanza = event.room, event.stanza;
	if next(watch.subs) and (stanza.attr.from == room.jid or stanza:get_child("subject")) then
		mark(watch, room.jid);
		flush_overdue(watch);
	end
end;

handlers["muc-config-submitted"] = function (watch, event)
	if next(watch.subs) then
		mark(watch, event.room.jid);
		flush_overdue(watch);
	end
end;

-- A client has lost its connection, or is back; fired on the virtual host of its session.
local function on_connection(watch, session)
	local nick = session and watch.nicks[session.full_jid];
	local room_jid = nick and jid.bare(nick);
	local shown = room_jid and watch.shown[room_jid];
	local known = shown and shown.occupants[nick];
	if not known then return; end
	known[JID] = false; -- so that it is read again
	mark(watch, room_jid, nick);
	send_soon(watch);
end

-- All rooms were swapped out. They come back as new objects when a client or the audit needs them; until then the old
-- objects are current.
handlers["module-reloaded"] = function (watch, event)
	if event.module == "muc" and watch.feature_of ~= module then
		watch.feature_of = hosts[watch.host].modules.muc.module;
		watch.feature_of:add_feature(xmlns);
	end
end;

--- Domains: which instance serves which MUC domain
--
-- An instance on the MUC domain itself has priority. Of those on virtual hosts, the first one serves all other domains, and
-- the others stand by. A global module with add_host() would need no instances, but a reload on one host calls add_host() of
-- the old code, and an unload leaves the global part (core/modulemanager.lua of 0.12.3 and 13.0.1).

local function stop_watch(host)
	local watch = watches[host];
	watches[host], registry.owners[host] = nil, nil;
	for _, sub in pairs(watch.subs) do
		if not sub.origin.destroyed then sub.origin.send(last_batch(sub)); end
		drop(sub, "the module is unloaded");
	end
	if watch.parents_timer then watch.parents_timer:stop(); end
	for _, hook in ipairs(watch.hooks) do
		hook.context:unhook(hook.event, hook.handler);
	end
	watch.feature_of:remove_item("feature", xmlns);
	show_status();
end

local function start_watch(host)
	local context = module:context(host);
	local options = read_options(context);
	local watch = {
		host = host, context = context, options = options;
		beat_every = max(0.25, min(options.heartbeat, ack_timeout) / 4), beats = 0;
		subs = {}, awaited = {}, hooks = {}, changed_parents = {}, swapped = {};
		stores = open_stores(context), unread = {};
		turn_at = 0, due_at = 0, turns = 0, waiting = 0, rounds = 0, burst = max_burst, burst_at = 0;
		-- mod_disco lists the features of modules on its own host. On other hosts mod_muc gets our feature.
		feature_of = host == module.host and module or hosts[host].modules.muc.module;
	};
	clear(watch);
	registry.rooms[host] = registry.rooms[host] or {};
	watch.rooms = registry.rooms[host];
	local function hook(where, event, handler, priority)
		where:hook(event, handler, priority);
		watch.hooks[#watch.hooks + 1] = { context = where, event = event, handler = handler };
	end
	for event, handler in pairs(handlers) do
		local call = type(handler) == "table" and handler[1] or handler;
		hook(context, event, function (data) return call(watch, data); end, type(handler) == "table" and handler.priority or nil);
	end
	local followed = {};
	-- Also fired for refused connections, so compare.
	function watch.follow_component(name)
		if followed[name] then return; end
		followed[name] = true;
		hook(module:context(name), "component-disconnected", function (event)
			local sub = watch.subs[name];
			if sub and sub.origin == event.session then
				drop(sub, "disconnected");
			end
		end);
	end
	-- Jitsi names the domain of breakout rooms on the virtual host, which may be activated after this one.
	local breakouts = {}; -- domain -> its host session, a new one after a deactivation
	function watch.follow_breakouts()
		for main_host in pairs(hosts) do
			local main = module:context(main_host);
			local domain = main:get_option("breakout_rooms_muc") or "breakout." .. main_host;
			if main:get_option("main_muc") == host and hosts[domain] and breakouts[domain] ~= hosts[domain] then
				breakouts[domain] = hosts[domain];
				local base = main:get_option("muc_mapper_domain_base") or main_host;
				hook(module:context(domain), "message/host", function (event)
					on_breakout_message(watch, base, event);
				end, 10);
			end
		end
	end
	-- Clients are on virtual hosts.
	local clients = {}; -- host -> its session
	function watch.follow_clients()
		for client_host, session in pairs(hosts) do
			if session.type == "local" and clients[client_host] ~= session then
				clients[client_host] = session;
				hook(module:context(client_host), "smacks-hibernation-start", function (event) on_connection(watch, event.origin); end);
				hook(module:context(client_host), "smacks-hibernation-end", function (event) on_connection(watch, event.resumed or event.origin); end);
			end
		end
	end
	-- Promotions, where they are sent from or arrive.
	local promoters = {}; -- host -> its session
	function watch.follow_promotions()
		for name, session in pairs(hosts) do
			if session.modules.visitors_component and promoters[name] ~= session then
				promoters[name] = session;
				hook(module:context(name), "route/remote", function (event) moves.on_promotion_sent(watch, name, event); end, 100);
			end
		end
		local base = options.main;
		if hosts[host].modules.fmuc and hosts[base] and promoters[base] ~= hosts[base] then
			promoters[base] = hosts[base];
			hook(module:context(base), "iq/full", function (event) moves.on_promotion_passed(watch, event); end, 100);
		end
	end
	watch.follow_breakouts();
	watch.follow_clients();
	watch.follow_promotions();
	watches[host] = watch;
	registry.owners[host] = function () stop_watch(host); end;
	watch.feature_of:add_feature(xmlns);
	sync_rooms(watch);
	list_stored(watch);
	module:log("info", "Serving %s to %s", host, (function ()
		local names = {};
		for name in options.components do names[#names + 1] = name; end
		t_sort(names);
		return t_concat(names, ", ");
	end)());
	show_status();
end

local function serve(host)
	local session = hosts[host];
	if not session or not session.modules.muc or registry.owners[host] then return; end
	if host ~= module.host and (session.modules[module.name] or (muc_domains and not muc_domains:contains(host))) then return; end
	start_watch(host);
end

local function serve_all()
	for host in pairs(hosts) do
		serve(host);
	end
end

-- Follows mod_muc and this module on a host.
local function follow_modules(host)
	local context = module:context(host);
	local function on_change(event)
		if event.module == "muc" and watches[host] and not (hosts[host] and hosts[host].modules.muc) then
			stop_watch(host);
		end
		serve(host);
	end
	context:hook("module-loaded", on_change);
	context:hook("module-unloaded", on_change);
end

module:hook_global("host-activated", function ()
	for _, watch in pairs(watches) do
		watch.follow_breakouts();
		watch.follow_clients();
		watch.follow_promotions();
	end
end, -1);

if host_type == "component" then
	module:depends("muc"); -- also reloads with it
	if registry.owners[module.host] then
		registry.owners[module.host]();
	end
	serve(module.host);
else
	for host in pairs(hosts) do
		follow_modules(host);
	end
	module:hook_global("host-activated", function (host)
		follow_modules(host);
		serve(host);
	end, -1); -- modules of the host are loaded at 0
	module:hook_global("host-deactivated", function (host)
		if watches[host] then stop_watch(host); end
	end);
	registry.claims[module.host] = serve_all;
	serve_all();
	show_status();
end

--- HTTP: the health route of earlier versions

local function main_muc_domain()
	local base = module:get_option_string("muc_mapper_domain_base");
	local mapped = module:get_option_string("muc_mapper_domain")
		or base and module:get_option_string("muc_mapper_domain_prefix", "conference") .. "." .. base;
	if mapped and registry.owners[mapped] then return mapped; end
	local best;
	for host in pairs(registry.owners) do
		local other = host:find("^lobby%.") or host:find("^breakout%.") or host:find("^internal%-");
		local rank = (other and "1" or "0") .. host;
		if not best or rank < best then best = rank; end
	end
	return best and best:sub(2) or nil;
end

local function on_health(event)
	event.response.headers.content_type = "application/json";
	return json.encode({ status = "ok", module = module.name, version = version, muc_domain = main_muc_domain() });
end

-- Prosody may have no web server, and rooms don't need one.
if pcall(module.depends, module, "http") then
	module:provides("http", {
		cors = { enabled = false };
		route = { ["GET /health"] = on_health };
	});
else
	module:log("info", "mod_http is not available: /%s/health is disabled", module.name);
end

-- For the specs.
module._spec = {
	attribute = attribute, clean = clean, cut = cut, plain = plain, field = field, milliseconds = milliseconds;
	tail_of = tail_of, read_session = read_session, read_visitors = read_visitors, source_info = source_info;
	new_known = new_known, update_known = update_known, new_page = new_page, is_full = is_full;
	gone_tag = gone_tag, room_text = room_text, batch_text = batch_text, last_batch = last_batch, written = written;
	moves = moves;
};

function module.unload()
	registry.claims[module.host] = nil;
	for host in pairs(watches) do
		stop_watch(host);
		if not module.reloading and next(registry.claims) == nil then
			registry.rooms[host] = nil;
		end
	end
	if module.reloading then return; end
	for _, claim in pairs(registry.claims) do
		claim();
	end
end
