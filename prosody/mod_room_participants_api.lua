-- Tells PPCH who is in which room, as it happens.
--
-- Loaded on a MUC domain (docker-jitsi-meet: XMPP_MUC_MODULES) it serves that one.
-- Loaded on virtual hosts (GLOBAL_MODULES) it serves every MUC domain that has no
-- instance of its own. Components ask by XMPP, namespace urn:ppch:occupancy:1;
-- prosody/README.md of PPCH is the norm for what is said, here is only how.
--
-- XEP-0030 (found by disco), XEP-0045 (rooms), XEP-0114 (components).
--
-- Prosody is one thread, so the rules of this file are: a hook notes a name and
-- returns; all else happens in turns of bounded size (see "Turns" below).

local host_type = module:get_host_type();

if host_type == "component" and not prosody.hosts[module.host].modules.muc then
	module:log_status("warn", "This is no MUC domain: load the module on those, or on virtual hosts");
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

-- One turn of Prosody's event loop is held no longer than this, give or take a record.
local turn = 0.003;
-- Rooms and occupants between two looks at the clock: on some machines it costs more than they do.
local clock_units = 8;
-- Text of one batch, before XML escapes it.
local max_batch_bytes = 64 * 1024;
-- What a client writes, and how much of it is looked at.
local max_text = 1024;
local max_jid = 3071; -- RFC 7622
local max_children = 500;
local max_features = 100;
local max_source_info = 4 * 1024;
local max_sources = 100;
local max_cached = 256;
local max_breakouts = 200;
-- Joins told on the spot that may follow each other at once.
local max_credit = 3;
-- Seconds after which an acknowledgement is due again; earlier where a quarter of the window was sent.
local ask_every = 1;
-- More changed names than this in one room, and the room is gone through instead.
local max_marks = 2000;
-- Everything is compared with Prosody once in this many heartbeats.
local audit_heartbeats = 12;
-- Rooms that Prosody may have swapped out, looked for in its storage at a time.
local max_lookups = 4;
-- Rooms in storage that were never seen in memory: more than that are left out, and the batches say so.
local max_stored = 100000;
local too_many = ("more than %d rooms"):format(max_stored);
-- Seconds between a message about breakout rooms and the look at what it changed.
local breakout_delay = 0.1;

--- Options

-- COMPAT 0.12: get_option_enum, _integer and _period are of 13, and those of 0.12
-- log an error where a warning in words is due.
local function wrong(context, name, value, expected, default)
	module:log("warn", "%s: %s = %s is not %s: using %s", context.host, name, tostring(value), expected, tostring(default));
	return default;
end

local function number_option(context, name, default, least, most, whole)
	local value = context:get_option(name);
	if value == nil then return default; end
	local number = tonumber(value);
	if not number or not (number >= least and number <= most) or (whole and number ~= floor(number)) then
		return wrong(context, name, value, ("a %snumber from %s to %s"):format(whole and "whole " or "", least, most), default);
	end
	return whole and floor(number) or number;
end

local function boolean_option(context, name, default)
	local value = context:get_option(name);
	if value == nil then return default; end
	if value == true or value == "true" then return true; end
	if value == false or value == "false" then return false; end
	return wrong(context, name, value, "true or false", default);
end

-- A set of domains, or the default if any of it is none.
local function domains_option(context, name, default)
	local value = context:get_option(name);
	if value == nil then return default; end
	local domains = {};
	for _, item in pairs(type(value) == "table" and value or { value }) do
		local node, domain, resource = jid.prepped_split(type(item) == "string" and item or nil);
		if not domain or node or resource then
			local names = {};
			for known in pairs(default or {}) do names[#names + 1] = known; end
			wrong(context, name, item, "a domain", default and (names[1] and t_concat(names, ", ") or "none") or "all");
			return default;
		end
		domains[domain] = true;
	end
	return domains;
end

-- The items of a set that other programs wrote, separated by spaces.
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

-- Prefixes by an option of Jitsi's. Like Jitsi's util.lib.lua this adds the global set, or the default where there is
-- none, to the domain's own set.
local function prefixes_option(context, name, default)
	return spaced(context:get_option_inherited_set(name, default));
end

-- Domains whose occupants Jitsi's clients don't show: by our own option, and by visitors_ignore_list, which Jitsi has
-- on the main virtual host for the domain of recorders and transcribers.
local function hidden_option(context, main)
	local hidden = module:context(main):get_option_set("visitors_ignore_list", {});
	for domain in pairs(domains_option(context, "room_participants_hidden_domains", {})) do
		hidden:add(domain);
	end
	return spaced(hidden);
end

-- The login of Jicofo, which Debian's packages let people choose: Jitsi's mod_client_proxy forwards to it.
local function focus_option(main)
	local target = module:context("focus." .. main):get_option("target_address");
	local node, domain = jid.prepped_split(type(target) == "string" and target or nil);
	return node and node .. "@" .. domain or nil;
end

local function read_options(context)
	local parent = context.host:match("^[^.]+%.(.+)$") or context.host;
	local main = context:get_option_string("muc_mapper_domain_base", parent); -- Jitsi's main virtual host
	return {
		components = domains_option(context, "room_participants_components", { ["ppch." .. parent] = true });
		tick = number_option(context, "room_participants_tick", 0.02, 0.001, 1);
		page = number_option(context, "room_participants_page", 200, 10, 1000, true);
		window = number_option(context, "room_participants_window", 32, 2, 256, true);
		ack_timeout = number_option(context, "room_participants_ack_timeout", 15, 1, 300);
		heartbeat = number_option(context, "room_participants_heartbeat", 5, 1, 10);
		email = boolean_option(context, "room_participants_email", false);
		-- The defaults are those of Jitsi's util.lib.lua.
		recorders = prefixes_option(context, "recorder_prefixes", { "recorder@recorder.", "jibria@recorder.", "jibrib@recorder." });
		transcribers = prefixes_option(context, "transcriber_prefixes",
			{ "transcriber@recorder.", "transcribera@recorder.", "transcriberb@recorder." });
		hidden = hidden_option(context, main);
		focus = focus_option(main);
		-- As mod_muc reads it.
		room_cache = math.min(floor(context:get_option_number("muc_room_cache_size", 100) or 100), 2^30);
	};
end

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

-- Text that is safe to send, whoever wrote it: a string, of bounded size, in UTF-8,
-- of characters that XML 1.0 can hold. Anything else becomes less, or empty.
local function clean(text, limit)
	if type(text) == "number" then
		text = text == floor(text) and text < 2^53 and text > -2^53 and ("%d"):format(text) or tostring(text);
	end
	if type(text) ~= "string" then return ""; end
	-- Cut first: what follows costs by the byte.
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

-- What a line can't hold as it is, and what XML can't.
local escapes = {
	["\\"] = "\\\\", ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r";
	["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;";
};

-- Text of ASCII alone, without control characters and \ & < >. These are four ranges of all others; the end of a
-- range is never an escape in a pattern, so that % is one of them. A repeated class is read once, while in search
-- of its opposite it would be read again for each character.
local plain = "^[]-~ -%'-;=?-[]*$";

-- A field of a line, as it stands in XML, of text that anybody wrote.
local function field(text, limit)
	if text == nil then return ""; end
	if type(text) == "string" and #text <= (limit or max_text) and text:find(plain) then
		return text; -- as most is
	end
	return (clean(text, limit):gsub("[\\\t\n\r&<>]", escapes));
end

-- An attribute: XML makes blanks of white space in those.
local function attribute(text, limit)
	if text == nil then return nil; end
	text = clean(text, limit):gsub("[\t\n\r]", " ");
	return text ~= "" and text or nil;
end

-- Unix time in milliseconds, of a number that may be in seconds.
local function milliseconds(value)
	value = tonumber(value);
	if not value or not (value > 0 and value < 1e14) then return nil; end
	if value < 1e11 then value = value * 1000; end
	return floor(value);
end

-- Patterns read the sources without recursion, since a guest may nest them as deep as it likes. They see two
-- levels: an object within a source is skipped whole. Nothing that is looked for has escapes.
local function read_sources(text)
	local object = text:gsub("\\.", "_"):match("^%s*(%b{})%s*$");
	if not object then return {}; end
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
	return { audio, video, screen };
end

local source_cache, source_cache_size = {}, 0;

-- Whether microphone, camera and screen are sent, by Jitsi's JSON {"<id>-a0":{"muted":true},…}. Camera and screen
-- are both called v, and have any number: only the videoType marks a screen.
-- A kind of source that isn't there counts as muted. But for the ids all say one of a
-- few things, so without the ids most needn't be parsed again.
local function source_info(text)
	if type(text) ~= "string" or text == "" or #text > max_source_info then return nil; end
	text = text:gsub('"%w+(%-[av]%d+)"', '"%1"');
	local marks = source_cache[text];
	if not marks then
		marks = read_sources(text);
		if #text <= max_text then
			if source_cache_size >= max_cached then
				source_cache, source_cache_size = {}, 0;
			end
			source_cache[text], source_cache_size = marks, source_cache_size + 1;
		end
	end
	return marks[1], marks[2], marks[3];
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

-- Users in the e-mail addresses of SIP-Jibri (Jitsi's util.lib.lua, get_sip_jibri_email_prefix).
local sip_jibris = {
	["inbound-sip-jibri"] = true, ["sipjibriina"] = true;
	["outbound-sip-jibri"] = true, ["sipjibriouta"] = true, ["sipjibrioutb"] = true;
};

-- The text of an element; nil where it has elements in it.
local function text_of(element)
	local text = element[1];
	if type(text) == "string" and element[2] == nil then return text; end -- as most have
	return element:get_text();
end

-- Readers of the children of a presence that are told. Each gets what was found so
-- far and the child. Of several of one name the last counts, as in lib-jitsi-meet
-- (ChatRoom.ts, onPresence), except audiomuted and videomuted (getMediaPresenceInfo).
local readers = {
	["nick"] = function (found, child)
		found.name = text_of(child) or "";
	end;
	["initiator"] = function (found)
		found.initiator = true;
	end;
	["email"] = function (found, child)
		if sip_jibris[(text_of(child) or ""):match("^([^@]+)@")] then found.sip_jibri = true; end
	end;
	["avatar-url"] = function (found, child)
		found.avatar = text_of(child) or "";
	end;
	["features"] = function (found, child)
		local tags = child.tags;
		for i = 1, min(#tags, max_features) do
			local mark = tags[i].name == "feature" and feature_marks[tags[i].attr.var];
			if mark then found[mark] = true; end
		end
	end;
	["jitsi_participant_raisedHand"] = function (found, child)
		local text = text_of(child);
		found.hand = text ~= nil and text ~= "" and text ~= "false" and text ~= "0";
	end;
	["SourceInfo"] = function (found, child)
		found.sources = text_of(child) or "";
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

-- Namespaces that aren't the presence's own; lib-jitsi-meet takes a nick of any.
local namespaces = { ["nick"] = true, ["initiator"] = xmlns_jigasi };

-- What a client says of itself, as it says it.
local function read_presence(presence)
	local found = {};
	local tags = presence.tags;
	for i = 1, min(#tags, max_children) do
		local child = tags[i];
		local name = child.name;
		local reader = readers[name];
		if reader then
			local ns, own = child.attr.xmlns, namespaces[name];
			if own == true or ns == own or (not own and ns == "jabber:client") then reader(found, child); end
		end
	end
	return found;
end

-- The marks of a presence. Audio, video and screen follow its sources, else the elements of clients before 2022: these
-- send one video, and videoType says what it shows.
local function marks_of(found, audio, video, screen)
	local marks = "";
	if next(found) == nil then return marks; end
	if found.jigasi then marks = marks .. " jigasi"; end
	if found.transcriber then marks = marks .. " transcriber"; end
	if found.jibri then marks = marks .. " jibri"; end
	if found.initiator then marks = marks .. " initiator"; end
	if found.sip_jibri then marks = marks .. " sip-jibri"; end
	if found.hand then marks = marks .. " hand"; end
	if not video and found.video and found.desktop then
		video, screen = "video-muted", found.video == "video-on" and "screen-on" or "screen-off";
	end
	audio, video = audio or found.audio, video or found.video;
	if audio then marks = marks .. " " .. audio; end
	if video then marks = marks .. " " .. video; end
	if screen then marks = marks .. " " .. screen; end
	return marks:sub(2);
end

-- What Jitsi's token verification left in the session of an authenticated user.
-- The token's issuer wrote it, so the types may be anything.
local function read_session(session, with_email)
	if not session then return "", "", "", ""; end
	local user, group = session.jitsi_meet_context_user, session.jitsi_meet_context_group;
	if not user and not group then return "", "", "", ""; end
	if type(user) ~= "table" then user = nil; end
	return field(user and user.id), field(user and user.name), field(group),
		with_email and field(user and user.email) or "";
end

-- The number of visitors on other servers by a presence of focus, nil where it doesn't say. Jicofo puts properties into
-- its presence as soon as it has joined, and a number among them when the first visitor comes: before that it is the default.
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

-- Jicofo makes a room a minute to see whether Prosody lives; nobody meets there.
-- A tombstone is what Prosody keeps of a room that was destroyed.
local function is_meeting(room)
	return not room.jid:find("^__jicofo%-health%-check") and not room._data.destroyed;
end

--- What Prosody says of a room

-- The public ways to an occupant copy it with all its sessions; these look at the
-- original, which Prosody 0.12 and 13 both keep by occupant JID, and change nothing.
local function occupant_of(room, nick)
	local occupant = room._occupants[nick];
	return occupant and occupant.role and occupant or nil;
end

-- What is remembered of an occupant who was told: the three parts of the line, each
-- beside what it was made of. As long as that is the same nothing is made anew.
local function new_known()
	return {
		jid = false, role = false, joined = false, affiliation = false, user = false, group = false, head = "";
		name = false, avatar = false, face = "";
		sources = false, audio = false, video = false, screen = false, marks = "";
	};
end

-- Roles and affiliations that nobody needs to look at.
local words = { moderator = "moderator", participant = "participant", none = "none", member = "member", owner = "owner" };

-- Fields 1 to 10 of a line: what Prosody says.
local function update_head(known, record, nick, occupant, session, with_email)
	local room, role = record.room, occupant.role;
	local affiliation = room:get_affiliation(occupant.bare_jid) or "none";
	local id, user, group, email = read_session(session, with_email);
	local head = "+\t" .. field(nick:sub(#room.jid + 2)) .. "\t" .. field(occupant.jid, max_jid) .. "\t" .. (words[role] or field(role)) .. "\t"
		.. (words[affiliation] or field(affiliation)) .. "\t" .. (record.joined[nick] or "") .. "\t"
		.. id .. "\t" .. user .. "\t" .. group .. "\t" .. email .. "\t";
	local changed = head ~= known.head;
	known.head = head;
	return changed;
end

-- Brings what is known of an occupant up to date, and returns whether that makes another
-- line. Afresh looks behind what was remembered: what get_affiliation() says beside the
-- room's own list, and what is in a session, can change without a trace.
local function update_known(known, record, nick, occupant, with_email, afresh)
	local changed = false;
	local session = full_sessions[occupant.jid];
	local user, group = session and session.jitsi_meet_context_user, session and session.jitsi_meet_context_group;
	local affiliation, joined = record.room._affiliations[occupant.bare_jid], record.joined[nick];
	if afresh or known.jid ~= occupant.jid or known.role ~= occupant.role or known.joined ~= joined
	or known.affiliation ~= affiliation or known.user ~= user or known.group ~= group then
		known.jid, known.role, known.joined, known.affiliation = occupant.jid, occupant.role, joined, affiliation;
		known.user, known.group = user, group;
		changed = update_head(known, record, nick, occupant, session, with_email);
	end
	local presence = occupant:get_presence();
	local found = presence and read_presence(presence) or {};
	if known.name ~= found.name or known.avatar ~= found.avatar then
		known.name, known.avatar = found.name, found.avatar;
		local face = field(found.name) .. "\t" .. field(found.avatar) .. "\t";
		changed = changed or face ~= known.face;
		known.face = face;
	end
	if known.sources ~= found.sources then
		known.sources = found.sources;
		known.audio, known.video, known.screen = source_info(found.sources);
	end
	local marks = marks_of(found, known.audio, known.video, known.screen);
	changed = changed or marks ~= known.marks;
	known.marks = marks;
	return changed;
end

-- Where visitors are: "here" on a visitor node, "elsewhere" where this server sends them to such nodes, else nil.
local function place_of_visitors(watch)
	if hosts[watch.host].modules.fmuc then return "here"; end
	for _, session in pairs(hosts) do
		if session.modules.visitors_component then return "elsewhere"; end
	end
end

-- Focus opens every room and owns it; a guest who takes its name doesn't.
-- On a visitor node visitors are occupants, and what focus says of all nodes is another number.
local function visitors_of(watch, room)
	if watch.visitors == "here" then return nil; end
	local focus = occupant_of(room, room.jid .. "/focus");
	local presence = focus and focus:get_presence();
	if not presence or room:get_affiliation(focus.bare_jid) ~= "owner" then return nil; end
	return read_visitors(presence, not watch.visitors and "0" or nil);
end

local function breakouts_of(room)
	local rooms = room._data.breakout_rooms;
	if type(rooms) ~= "table" then return nil; end
	local breakouts = {};
	for room_jid, name in pairs(rooms) do
		if #breakouts == max_breakouts then break; end
		room_jid = attribute(room_jid);
		if room_jid then
			breakouts[#breakouts + 1] = { jid = room_jid, name = attribute(name) };
		end
	end
	t_sort(breakouts, function (a, b) return a.jid < b.jid; end);
	return breakouts;
end

-- Whether a room's facts come from what they came from before. Most changes are of
-- people, so this is asked often; it remembers what it was asked.
local function same_facts(told)
	local room, was = told.record.room, told.sources;
	local data = room._data;
	local _, subject = room:get_subject();
	local password, members = room:get_password(), room:get_members_only();
	if was and not data.breakout_rooms and not was.breakouts and was.visitors == told.visitors and was.subject == subject
	and was.password == password and was.members == members and was.meeting == data.meetingId and was.lobby == data.lobbyroom
	and was.created == room.created_timestamp then
		return true;
	end
	told.sources = {
		breakouts = data.breakout_rooms ~= nil, visitors = told.visitors, subject = subject, password = password, members = members;
		meeting = data.meetingId, lobby = data.lobbyroom, created = room.created_timestamp;
	};
	return false;
end

-- Attributes and breakout rooms of a room, and all of it as one string to compare.
local function facts_of(record, visitors)
	local room = record.room;
	local data = room._data;
	local _, subject = room:get_subject();
	local created = milliseconds(room.created_timestamp) or record.created;
	local facts = {
		created = created and ("%d"):format(created) or nil;
		meeting = attribute(data.meetingId);
		subject = attribute(subject);
		password = room:get_password() and "1" or nil;
		members = room:get_members_only() and "1" or nil;
		visitors = visitors;
		lobby = attribute(data.lobbyroom);
	};
	local key = t_concat({
		facts.created or "", facts.meeting or "", facts.subject or "", facts.password or "", facts.members or "", visitors or "",
		facts.lobby or "",
	}, "\n");
	local breakouts = breakouts_of(room);
	if breakouts then
		for i = 1, #breakouts do
			key = key .. "\n" .. breakouts[i].jid .. "\t" .. (breakouts[i].name or "");
		end
	end
	return facts, breakouts, key;
end

--- Batches
--
-- A batch is built as a list of rooms and sent whole. A subscription remembers in
-- `told` what the other side has after all batches sent so far: told[room] = { record,
-- occupants, facts, visitors, count, marks }. So the totals are exact, and what changed is
-- found by comparing.
--
-- A batch is written as XML at once, of fields that are escaped when they are made: as
-- stanzas, all of it would be looked through twice more, character by character.

local function new_batch(sub)
	return { rooms = {}, gone = {}, units = 0, bytes = 0, deadline = monotonic() + turn, look_at = clock_units, limit = sub.watch.options.page };
end

local function is_full(batch)
	if batch.units >= batch.limit or batch.bytes >= max_batch_bytes then return true; end
	if batch.units < batch.look_at then return false; end
	batch.look_at = batch.units + clock_units;
	if monotonic() < batch.deadline then return false; end
	batch.limit = batch.units;
	return true;
end

-- The beginning of a room's element.
local function room_tag(room_jid)
	return "<room jid='" .. xml_escape(attribute(room_jid, max_jid) or "") .. "'";
end

-- The batch's element for a room; only the last can be written to.
local function open_room(batch, room_jid, told)
	local last = batch.rooms[#batch.rooms];
	if last and last.jid == room_jid then return last; end
	told.tag = told.tag or room_tag(room_jid); -- most rooms are told of again and again
	last = { jid = room_jid, tag = told.tag, lines = {} };
	batch.rooms[#batch.rooms + 1] = last;
	batch.bytes = batch.bytes + #room_jid;
	return last;
end

local function add_facts(sub, batch, room_jid, told)
	if same_facts(told) then return; end
	local facts, breakouts, key = facts_of(told.record, told.visitors);
	sub.parents[room_jid] = breakouts and true or nil;
	if key == told.facts then return; end
	told.facts = key;
	local element = open_room(batch, room_jid, told);
	element.facts, element.breakouts = facts, breakouts;
	batch.bytes = batch.bytes + #key;
end

local function add_occupant(sub, batch, room_jid, told, nick, afresh)
	batch.units = batch.units + 1;
	local record, known = told.record, told.occupants[nick];
	local occupant = occupant_of(record.room, nick);
	local line;
	if occupant then
		local fresh = not known;
		if fresh then
			known = new_known();
			told.occupants[nick] = known;
			told.count, sub.occupants = told.count + 1, sub.occupants + 1;
		end
		if not update_known(known, record, nick, occupant, sub.watch.options.email, afresh or fresh) then return; end
		line = known.head .. known.face .. known.marks .. "\n";
	elseif known then
		told.occupants[nick] = nil;
		told.count, sub.occupants = told.count - 1, sub.occupants - 1;
		line = "-\t" .. field(nick:sub(#room_jid + 2)) .. "\n";
	else
		return;
	end
	local lines = open_room(batch, room_jid, told).lines;
	lines[#lines + 1] = line;
	batch.bytes = batch.bytes + #line;
end

local function add_gone(sub, batch, room_jid, told)
	sub.told[room_jid], sub.parents[room_jid] = nil, nil;
	sub.rooms, sub.occupants = sub.rooms - 1, sub.occupants - told.count;
	batch.gone[#batch.gone + 1] = room_jid;
	batch.bytes = batch.bytes + #room_jid;
end

local function add_attributes(out, ...)
	for i = 1, select("#", ...), 2 do
		local name, value = select(i, ...);
		if value then
			out[#out + 1] = " " .. name .. "='" .. xml_escape(value) .. "'";
		end
	end
end

local function write_room(out, room)
	out[#out + 1] = room.tag;
	add_attributes(out, "new", room.new and "1");
	local facts = room.facts;
	if facts then
		add_attributes(out, "facts", "1", "created", facts.created, "meeting", facts.meeting, "subject", facts.subject, "password", facts.password,
			"members", facts.members, "visitors", facts.visitors, "lobby", facts.lobby);
	end
	out[#out + 1] = ">";
	for _, breakout in ipairs(room.breakouts or {}) do
		out[#out + 1] = "<breakout";
		add_attributes(out, "jid", breakout.jid, "name", breakout.name);
		out[#out + 1] = "/>";
	end
	for i = 1, #room.lines do
		out[#out + 1] = room.lines[i];
	end
	out[#out + 1] = "</room>";
end

-- A batch between two tags, as one text: each copy of it that is made on the way is garbage.
local function write_batch(sub, batch, before, after)
	local out = { before, ("<batch xmlns='%s' epoch='%s' seq='%d' at='%.3f'"):format(xmlns, sub.epoch, sub.seq, sub.true_at) };
	if sub.synced then
		out[3] = (" synced='1' rooms='%d' occupants='%d'%s"):format(sub.rooms, sub.occupants, sub.unseen and " unseen='1'" or "");
	end
	out[#out + 1] = ">";
	for i = 1, #batch.rooms do
		write_room(out, batch.rooms[i]);
	end
	for i = 1, #batch.gone do
		out[#out + 1] = "<gone";
		add_attributes(out, "jid", attribute(batch.gone[i], max_jid));
		out[#out + 1] = "/>";
	end
	out[#out + 1] = "</batch>";
	out[#out + 1] = after;
	return t_concat(out);
end

-- Whether no more may be sent until an acknowledgement comes.
local function is_waiting(sub)
	return sub.seq - sub.acked >= sub.watch.options.window;
end

-- The tags around a batch: it is an IQ where an acknowledgement is due, else a message.
local function envelope(sub)
	local watch, seq, at = sub.watch, sub.seq, sub.sent_at;
	local name, attr = "message", "type='normal'";
	if seq >= sub.asked_seq + max(1, floor(watch.options.window / 4)) or at >= sub.asked_at + ask_every then
		local id = new_id();
		sub.asked_seq, sub.asked_at = seq, at;
		sub.last_ask = sub.last_ask + 1;
		sub.asks[sub.last_ask] = { id = id, seq = seq, at = at };
		sub.ids[id], watch.awaited[id] = sub.last_ask, sub;
		name, attr = "iq", "type='set' id='" .. id .. "'";
	end
	return ("<%s %s from='%s' to='%s'>"):format(name, attr, watch.host, sub.jid), "</" .. name .. ">";
end

local function send_batch(sub, batch)
	sub.seq = sub.seq + 1;
	sub.sent_at = monotonic();
	sub.unseen = sub.watch.unlisted or next(sub.watch.unread) ~= nil;
	-- What waits for the next batch makes this one no newer than the last that left nothing out.
	if not (sub.dirty[sub.dirty_at] or sub.synced and (sub.queue[sub.queue_at] or sub.walk and not sub.walk.audit)) then
		sub.true_at = sub.sent_at;
	end
	local before, after = envelope(sub);
	-- Straight into its stream, as answers go; mod_component's own keepalive is text as well.
	sub.origin.send(write_batch(sub, batch, before, after));
end

-- An acknowledgement is of all batches up to its own.
local function acknowledge(sub, id)
	local upto = sub.ids[id];
	sub.acked = sub.asks[upto].seq;
	for i = sub.first_ask, upto do
		local ask = sub.asks[i];
		sub.asks[i], sub.ids[ask.id], sub.watch.awaited[ask.id] = nil, nil, nil;
	end
	sub.first_ask = upto + 1;
end

--- Subscriptions

local run_turn;

local watches = {}; -- MUC domain -> what this instance has to do with it
local told_status;

-- For people at prosodyctl's shell. Never "error": Jitsi's health check takes that for
-- an unhealthy Prosody.
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
	if text ~= told_status then
		told_status = text;
		module:set_status("info", text);
	end
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
	if sub.timer then sub.timer:stop(); end
	if watch.beat and next(watch.subs) == nil then
		watch.beat:stop();
		watch.beat = nil;
	end
	-- The timer that is still in Prosody's heap holds on to this table, and to no more.
	sub.timer, sub.told, sub.queue, sub.audits, sub.dirty, sub.walk, sub.ids, sub.asks, sub.parents = nil, {}, {}, {}, {}, nil, {}, {}, {};
	module:log("info", "%s: the subscription of %s is over: %s", watch.host, sub.jid, why);
	show_status();
end

-- Nothing that goes wrong here may hurt a stanza that is on its way.
local function guarded(sub, action)
	local ok, err = xpcall(action, debug.traceback, sub);
	if not ok then
		module:log("error", "Please report this: %s", err);
		drop(sub, "a fault in the module");
	end
end

local function has_work(sub)
	return sub.dirty[sub.dirty_at] ~= nil or sub.walk ~= nil or sub.queue[sub.queue_at] ~= nil or sub.audits[sub.audits_at] ~= nil
		or not sub.synced;
end

-- Sees to it that the next turn comes: now if the last one is old enough, whether or not it
-- had something to send, else when its tick is over. Where the window is full, an acknowledgement will do it.
local function arm(sub, wait)
	if sub.timer or is_waiting(sub) then return; end
	local at = monotonic();
	wait = wait or max(0, sub.turn_at + sub.watch.options.tick - at);
	sub.due, sub.waiting = at + wait, 0;
	sub.timer = module:add_timer(wait, function ()
		sub.timer = nil;
		if not sub.dropped then guarded(sub, run_turn); end
	end);
end

-- Timers wait while sockets have something to read, so in a storm of stanzas a batch
-- that is overdue goes out from the hook.
local function hurry(sub)
	if not sub.timer then return arm(sub); end
	sub.waiting = sub.waiting + 1;
	if sub.waiting % clock_units == 0 and monotonic() > sub.due + sub.watch.options.tick then
		sub.timer:stop();
		sub.timer = nil;
		guarded(sub, run_turn);
	end
end

local function queue_room(sub, room_jid)
	if not sub.queued[room_jid] then
		sub.queued[room_jid] = true;
		sub.queue[#sub.queue + 1] = room_jid;
		hurry(sub);
	end
end

-- Notes that something of a room may have changed. Rooms that were not told yet are
-- in the queue. Where more of the same change follows at once, nothing is told in between.
local function mark(watch, room_jid, nick, more)
	for _, sub in next, watch.subs do
		local told = sub.told[room_jid];
		if told then
			local marks, fresh = told.marks, false;
			if not marks then
				marks, fresh = {}, true;
				told.marks = marks;
				sub.dirty[#sub.dirty + 1] = room_jid;
			end
			if nick and not marks[nick] then
				fresh = true;
				if #marks < max_marks then
					marks[nick] = true;
					marks[#marks + 1] = nick;
				else
					queue_room(sub, room_jid);
				end
			end
			if more then
				marks.more = marks.more or {};
				marks.more[nick] = true;
				arm(sub);
			elseif fresh then -- what was marked before has its batch coming
				hurry(sub);
			end
		end
	end
end

--- Records: what is known of each room beside Prosody's own memory
--
-- watch.rooms[room JID] = { room, joined = { [occupant JID] = text }, created = ms, latest = ms }
-- By JID, because a room that was swapped out comes back as another object. A room that lies in storage since before this
-- instance began has no `room`: it is read when it is told.

local function forget_room(watch, room_jid)
	if watch.rooms[room_jid] then
		watch.rooms[room_jid], watch.unread[room_jid] = nil, nil;
		mark(watch, room_jid);
	end
end

local function learn_room(watch, room, created)
	local record = watch.rooms[room.jid];
	if record then
		if record.room ~= room then
			record.room, watch.unread[room.jid] = room, nil;
			for _, sub in pairs(watch.subs) do
				queue_room(sub, room.jid);
			end
		end
		return record;
	end
	if not is_meeting(room) then return nil; end
	record = { room = room, joined = {}, created = created, latest = 0 };
	watch.rooms[room.jid] = record;
	for _, sub in pairs(watch.subs) do
		queue_room(sub, room.jid);
	end
	return record;
end

local function note_joined(record, nick)
	-- Each later than the one before: whoever leaves and comes back differs.
	record.latest = max(floor(now() * 1000), record.latest + 1);
	record.joined[nick] = ("%d"):format(record.latest);
end

-- Prosody's mod_muc keeps persistent rooms, and those that it swapped out of its cache, in three stores: what there is, and
-- of each room its configuration and, where somebody is in it, its state. Rooms are read here without mod_muc: what it
-- restores takes the place of another room in its cache.

local function open_stores(context)
	return { index = context:open_store("persistent"), configs = context:open_store("config"), states = context:open_store("state") };
end

-- A driver may fail in its own way. One without storage has empty tables for all.
local function load_stored(store, key)
	local ok, data, err = pcall(store.get, store, key);
	if not ok then return nil, data; end
	if not data then return nil, err; end
	return next(data) ~= nil and data or nil;
end

-- A stored room as an object that only we know, or nil where there is none that counts, and why where that can't be told.
local function read_stored(watch, room_jid)
	local node = jid.split(room_jid);
	local config, err = load_stored(watch.stores.configs, node);
	if not config then return nil, err; end
	local state;
	state, err = load_stored(watch.stores.states, node);
	if not state and err then return nil, err; end
	local room = hosts[watch.host].modules.muc.new_room(room_jid, config._data);
	if not is_meeting(room) then return nil; end
	room._affiliations = config._affiliations or room._affiliations; -- as Prosody stored them in earlier versions
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

-- Records the rooms in storage that aren't in memory.
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
			for _, sub in pairs(watch.subs) do
				queue_room(sub, room_jid);
			end
		end
	end
	if watch.unlisted and watch.unlisted ~= was then
		module:log("warn", "%s: The rooms in Prosody's storage can't all be listed (%s): PPCH doesn't know which other rooms exist",
			watch.host, watch.unlisted);
	end
end

-- Returns a stored room to tell, or nil. One that can't be read is tried again by the audit.
local function stored_room(watch, room_jid)
	local ok, room, err = pcall(read_stored, watch, room_jid);
	if not ok then room, err = nil, room; end
	if not room and not err then
		forget_room(watch, room_jid);
	elseif err and not watch.unread[room_jid] then
		module:log("warn", "%s: %s can't be read from Prosody's storage: %s", watch.host, room_jid, tostring(err));
	end
	watch.unread[room_jid] = err;
	return room;
end

-- Makes sure that rooms which aren't in memory any more are in storage at least.
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

-- Compares the records with Prosody's rooms: no occupants, so it is done in one turn.
local function take_stock(watch)
	local muc = hosts[watch.host] and hosts[watch.host].modules.muc;
	if not muc then return; end
	local live = {};
	for room in muc.live_rooms() do
		live[room.jid] = true;
		learn_room(watch, room);
	end
	if watch.swapped[1] then return; end -- some are still to be looked for
	for room_jid in pairs(watch.rooms) do
		if not live[room_jid] then
			watch.swapped[#watch.swapped + 1] = room_jid;
		end
	end
end

--- Turns
--
-- In one turn of the event loop one batch is built, of at most a page and at most a
-- few milliseconds: first what changed in rooms that were told, then the walk through
-- rooms that were not (a snapshot, a new room) or that are due to be compared.

local function tell_changes(sub, batch)
	while not is_full(batch) do
		local room_jid = sub.dirty[sub.dirty_at];
		if not room_jid then
			sub.dirty, sub.dirty_at = {}, 1;
			return;
		end
		batch.units = batch.units + 1;
		local told, record = sub.told[room_jid], sub.watch.rooms[room_jid];
		local marks = told and told.marks;
		if marks and not record then
			add_gone(sub, batch, room_jid, told);
		elseif marks and told.record ~= record then
			queue_room(sub, room_jid);
			told.marks = nil;
		elseif marks and not record.room then
			told.marks = nil; -- nothing changes in storage
		elseif marks then
			if marks[room_jid .. "/focus"] then
				told.visitors = visitors_of(sub.watch, record.room);
			end
			add_facts(sub, batch, room_jid, told);
			local at, more = marks.at or 1, false;
			while marks[at] and (more or not is_full(batch)) do
				local nick = marks[at];
				add_occupant(sub, batch, room_jid, told, nick);
				marks[nick] = nil;
				more = marks.more and marks.more[nick];
				at = at + 1;
			end
			if marks[at] then -- the rest goes into the next batch
				marks.at = at;
				return;
			end
			told.marks = nil;
		end
		sub.dirty[sub.dirty_at] = false;
		sub.dirty_at = sub.dirty_at + 1;
	end
end

-- The next room of the queue, else of the audit, with the names to go through.
local function next_walk(sub, batch)
	local room_jid, audit = sub.queue[sub.queue_at], false;
	if room_jid then
		sub.queue_at = sub.queue_at + 1;
		sub.queued[room_jid] = nil;
	else
		sub.queue, sub.queue_at = {}, 1;
		room_jid, audit = sub.audits[sub.audits_at], true;
		if not room_jid then
			sub.audits, sub.audits_at = {}, 1;
			return nil;
		end
		sub.audits_at = sub.audits_at + 1;
	end
	local told, record = sub.told[room_jid], sub.watch.rooms[room_jid];
	local walk = { jid = room_jid, at = 1, audit = audit };
	batch.units = batch.units + 1;
	if not record then
		if told then add_gone(sub, batch, room_jid, told); end
		return walk;
	end
	local room = record.room;
	if not room then
		if told and told.record == record then return walk; end -- nothing changes in storage
		room = stored_room(sub.watch, room_jid);
		batch.look_at = 0; -- it may have taken long
		if not room then return walk; end
		record.room, walk.stored = room, room;
	elseif not told and next(room._occupants) == nil then
		-- create_room() announces a room before it is sure that there is place for it.
		local muc = hosts[sub.watch.host].modules.muc;
		if not muc or not muc.get_room_from_jid(room_jid) then
			forget_room(sub.watch, room_jid);
			return walk;
		end
	end
	if not told or told.record ~= record then
		if told then
			sub.rooms, sub.occupants = sub.rooms - 1, sub.occupants - told.count;
		end
		told = { record = record, occupants = {}, count = 0 };
		sub.told[room_jid] = told;
		sub.rooms = sub.rooms + 1;
		open_room(batch, room_jid, told).new = true;
	else
		for nick in pairs(told.occupants) do
			if not room._occupants[nick] then walk[#walk + 1] = nick; end
		end
		for nick in pairs(record.joined) do
			if not room._occupants[nick] then record.joined[nick] = nil; end
		end
	end
	told.visitors = visitors_of(sub.watch, room);
	add_facts(sub, batch, room_jid, told);
	for nick in pairs(room._occupants) do
		walk[#walk + 1] = nick;
	end
	return walk;
end

local function tell_rooms(sub, batch)
	while not is_full(batch) do
		local walk = sub.walk or next_walk(sub, batch);
		if not walk then return; end
		local told, record = sub.told[walk.jid], sub.watch.rooms[walk.jid];
		if record and not record.room then record.room = walk.stored; end -- only for this moment
		-- Whoever forgot the room in the meantime has marked it.
		while told and walk[walk.at] and not is_full(batch) do
			add_occupant(sub, batch, walk.jid, told, walk[walk.at], true);
			walk.at = walk.at + 1;
		end
		sub.walk = told and walk[walk.at] and walk or nil;
		if walk.stored and record and record.room == walk.stored then record.room = nil; end
	end
end

function run_turn(sub)
	if is_waiting(sub) then return; end
	local batch = new_batch(sub);
	sub.turn_at = batch.deadline - turn;
	-- They take turns at being first, so that neither starves the other.
	if sub.seq % 2 == 0 then
		tell_changes(sub, batch);
		tell_rooms(sub, batch);
	else
		tell_rooms(sub, batch);
		tell_changes(sub, batch);
	end
	local completed = not sub.synced and not sub.walk and not sub.queue[sub.queue_at];
	sub.synced = sub.synced or completed;
	if completed or batch.rooms[1] or batch.gone[1] then
		send_batch(sub, batch);
		if completed then show_status(); end
	end
	if not sub.dropped and has_work(sub) then
		-- What is left of a full batch needn't wait, and Prosody's other work comes in between.
		arm(sub, 0);
	end
end

-- Breakout rooms are added, named and removed without an event, so the few rooms that
-- have some are looked at every time. A list first: a mark may send, and so change parents.
local function look_at_parents(sub)
	local due = {};
	for room_jid in pairs(sub.parents) do
		due[#due + 1] = room_jid;
	end
	for _, room_jid in ipairs(due) do
		mark(sub.watch, room_jid);
	end
end

-- A few rooms at a time all that was told is built again and compared.
local function audit(sub, share)
	local watch = sub.watch;
	if not sub.round then
		sub.round = {};
		for room_jid in pairs(watch.rooms) do
			if sub.told[room_jid] then
				sub.round[#sub.round + 1] = room_jid;
			else
				queue_room(sub, room_jid);
			end
		end
		for room_jid in pairs(sub.told) do
			if not watch.rooms[room_jid] then mark(watch, room_jid); end
		end
	end
	local units = ceil((sub.rooms + sub.occupants) * share);
	while units > 0 do
		local room_jid = table.remove(sub.round);
		if not room_jid then break; end
		local told = sub.told[room_jid];
		units = units - 1 - (told and told.count or 0);
		sub.audits[#sub.audits + 1] = room_jid;
	end
	arm(sub);
end

-- Everything that happens by the clock, while somebody is subscribed.
local function on_beat(watch)
	local at, options = monotonic(), watch.options;
	local beats = audit_heartbeats * options.heartbeat / watch.beat_every;
	watch.beats = watch.beats + 1;
	local round = watch.beats >= beats;
	if round then
		watch.beats = 0;
		watch.visitors = place_of_visitors(watch);
		take_stock(watch);
		if watch.unlisted and watch.unlisted ~= too_many then list_stored(watch); end
	end
	look_for_swapped(watch);
	for _, sub in pairs(watch.subs) do
		local oldest = sub.asks[sub.first_ask];
		if sub.origin.destroyed then
			drop(sub, "disconnected");
		elseif oldest and at - oldest.at > options.ack_timeout then
			drop(sub, "no acknowledgement in time");
		else
			if round then sub.round = nil; end
			-- A little more than its share, so that a round ends within its time.
			if sub.synced then
				look_at_parents(sub);
				audit(sub, 1.25 / beats);
			end
			if at - sub.sent_at > options.heartbeat - 1.5 * watch.beat_every and not is_waiting(sub) then
				send_batch(sub, new_batch(sub));
			end
		end
	end
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
-- Jitsi's mod_muc_breakout_rooms adds, renames and removes them in the data of the main room, and fires no event. It does
-- so while it handles a message to their domain, and only in the room of the sender's URL.

-- Called before Jitsi's plugin handles the message, so the look at the room comes later.
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
	end);
end

--- Handlers: each is hooked on the MUC domain below

local handlers = {};

-- The domain of a component that may speak to us, and speaks as itself.
local function subscriber(watch, event)
	local origin, from = event.origin, event.stanza.attr.from;
	if origin.type == "component" and origin.conn and from and origin.host == from and watch.options.components[from] then
		return from;
	end
end

handlers["iq-set/host/" .. xmlns .. ":subscribe"] = function (watch, event)
	local origin, stanza = event.origin, event.stanza;
	local name = subscriber(watch, event);
	if not name then return; end -- and so nobody answers, as for any unknown namespace
	if watch.subs[name] then
		drop(watch.subs[name], "subscribed anew");
	end
	local sub = {
		watch = watch, jid = name, origin = origin, epoch = new_id(), seq = 0, sent_at = monotonic() - 1, turn_at = 0, true_at = monotonic();
		credit = max_credit, credit_at = monotonic();
		acked = 0, asked_seq = 0, asked_at = -ask_every, asks = {}, first_ask = 1, last_ask = 0, ids = {};
		told = {}, rooms = 0, occupants = 0;
		queue = {}, queue_at = 1, queued = {};
		audits = {}, audits_at = 1;
		dirty = {}, dirty_at = 1;
		parents = {};
	};
	for room_jid in pairs(watch.rooms) do
		sub.queue[#sub.queue + 1] = room_jid;
		sub.queued[room_jid] = true;
	end
	watch.subs[name] = sub;
	watch.visitors = place_of_visitors(watch); -- hosts and modules may have been loaded after this one
	watch.follow_component(name);
	origin.send(st.reply(stanza):tag("subscribed", {
		xmlns = xmlns, epoch = sub.epoch, version = version, heartbeat = tostring(watch.options.heartbeat), at = ("%.3f"):format(sub.true_at);
		time = ("%d"):format(floor(now() * 1000)), visitors = watch.visitors == "here" and "here" or nil;
		recorders = watch.options.recorders ~= "" and watch.options.recorders or nil;
		transcribers = watch.options.transcribers ~= "" and watch.options.transcribers or nil;
		hidden = watch.options.hidden ~= "" and watch.options.hidden or nil;
		focus = watch.options.focus; cache = ("%d"):format(watch.options.room_cache);
	}));
	module:log("info", "%s: %s has subscribed", watch.host, name);
	start_beat(watch);
	arm(sub, 0);
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

-- Before mod_iq, which knows no answers but those to Prosody's own questions.
handlers["iq/host"] = { priority = 10; function (watch, event)
	local attr = event.stanza.attr;
	if attr.type ~= "result" and attr.type ~= "error" then return; end
	local sub = watch.awaited[attr.id];
	if not sub or attr.from ~= sub.jid then return; end
	if attr.type == "error" then
		drop(sub, "a batch was refused");
		return true;
	end
	acknowledge(sub, attr.id);
	if has_work(sub) then arm(sub); end
	return true;
end };

-- After mod_muc has taken it into its list (-1000), which may refuse it.
handlers["muc-room-pre-create"] = { priority = -1001; function (watch, event)
	forget_room(watch, event.room.jid);
	learn_room(watch, event.room, floor(now() * 1000));
end };

handlers["muc-room-created"] = function (watch, event)
	learn_room(watch, event.room, floor(now() * 1000));
end;

handlers["muc-room-restored"] = function (watch, event)
	learn_room(watch, event.room);
end;

-- Right after mod_muc's own (0), and before that of tombstones (-10) ends it.
handlers["muc-room-destroyed"] = { priority = -1; function (watch, event)
	forget_room(watch, event.room.jid);
end };

-- Whether a join needn't wait for the end of the tick: a few may do that, one in each tick
-- in the long run, so that a storm is told in few batches all the same.
local function may_interrupt(sub)
	local at = monotonic();
	if at >= sub.due then return true; end
	sub.credit = min(max_credit, sub.credit + (at - sub.credit_at) / sub.watch.options.tick);
	sub.credit_at = at;
	if sub.credit < 1 then return false; end
	sub.credit = sub.credit - 1;
	return true;
end

-- Last of all, so that what others note of the occupant is there; and told on the spot if
-- the tick allows, so that the component sees it as soon as another occupant.
handlers["muc-occupant-joined"] = { priority = -100; function (watch, event)
	local record = learn_room(watch, event.room);
	if not record then return; end
	note_joined(record, event.nick);
	mark(watch, event.room.jid, event.nick);
	for _, sub in next, watch.subs do
		if sub.timer and may_interrupt(sub) then
			sub.timer:stop();
			sub.timer = nil;
			guarded(sub, run_turn);
		end
	end
end };

handlers["muc-occupant-left"] = function (watch, event)
	local record = learn_room(watch, event.room);
	if not record then return; end
	record.joined[event.nick] = nil;
	-- Of a room that is being destroyed everybody has left by now; it is told as gone, not as ever emptier.
	if event.room.destroying then return; end
	mark(watch, event.room.jid, event.nick);
end;

-- Fired for all that changes an occupant who stays, and before joined and left. Another
-- session under the same nick shows here as well.
handlers["muc-broadcast-presence"] = function (watch, event)
	local room, occupant = event.room, event.occupant;
	if room.destroying then return; end
	local record = learn_room(watch, room);
	if not record or not occupant then return; end
	local nick, joined = occupant.nick, record.joined;
	if event.nick then
		-- A new name for whom we have: there is no other event for it.
		joined[room.jid .. "/" .. event.nick] = joined[nick];
	elseif record.created and occupant.role and not joined[nick] then
		-- One of two sessions has taken a name of its own: no event either.
		note_joined(record, nick);
	end
	-- Under the old name nobody is there any more, under the new one nobody yet: that is said next.
	mark(watch, room.jid, nick, event.nick ~= nil);
end;

-- The subject, and word of a new configuration (status 104), are said by the room itself.
handlers["muc-broadcast-message"] = function (watch, event)
	local room, stanza = event.room, event.stanza;
	if stanza.attr.from == room.jid or stanza:get_child("subject") then
		mark(watch, room.jid);
	end
end;

handlers["muc-config-submitted"] = function (watch, event)
	mark(watch, event.room.jid);
end;

-- All rooms were swapped out. They come back, as other objects, when somebody or the
-- audit asks for them; until then the old ones hold what is true.
handlers["module-reloaded"] = function (watch, event)
	if event.module == "muc" and watch.feature_of ~= module then
		watch.feature_of = hosts[watch.host].modules.muc.module;
		watch.feature_of:add_feature(xmlns);
	end
end;

--- Which instance serves which MUC domain
--
-- An instance on the MUC domain itself comes first. Of those on virtual hosts the
-- first to come serves all that are left, and the others stand by.

local registry = module:shared("/*/room_participants_api/registry");
registry.owners = registry.owners or {}; -- MUC domain -> function that ends the service
registry.claims = registry.claims or {}; -- host of an instance -> function that takes what is free
registry.rooms = registry.rooms or {}; -- MUC domain -> records, which outlive a reload

local function stop_watch(host)
	local watch = watches[host];
	watches[host], registry.owners[host] = nil, nil;
	for _, sub in pairs(watch.subs) do
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
		beat_every = max(0.25, min(options.heartbeat, options.ack_timeout) / 4), beats = 0;
		subs = {}, awaited = {}, hooks = {}, changed_parents = {}, swapped = {};
		stores = open_stores(context), unread = {};
		-- mod_disco asks the modules of its own host, so where we aren't one of them
		-- mod_muc has the feature for us.
		feature_of = host == module.host and module or hosts[host].modules.muc.module;
	};
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
	-- Also fired for connections that were refused, so compare.
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
	local breakouts = {}; -- domain -> its host session, which is another once the host was deactivated
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
	watch.follow_breakouts();
	watches[host] = watch;
	registry.owners[host] = function () stop_watch(host); end;
	watch.feature_of:add_feature(xmlns);
	take_stock(watch);
	list_stored(watch);
	module:log("info", "Serving %s to %s", host, (function ()
		local names = {};
		for name in pairs(options.components) do names[#names + 1] = name; end
		t_sort(names);
		return t_concat(names, ", ");
	end)());
	show_status();
end

local function serve(host)
	local session = hosts[host];
	if not session or not session.modules.muc or registry.owners[host] then return; end
	if host ~= module.host and (session.modules[module.name] or (muc_domains and not muc_domains[host])) then return; end
	start_watch(host);
end

local function serve_all()
	for host in pairs(hosts) do
		serve(host);
	end
end

-- Follows a host's modules: mod_muc, and an instance of this one.
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
	end
end, -1);

if host_type == "component" then
	module:depends("muc"); -- and so reloads with it
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

--- HTTP: a sign of life, for those who looked for it in earlier versions

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

-- Not every Prosody may have a web server, and rooms don't need one.
if pcall(module.depends, module, "http") then
	module:provides("http", {
		cors = { enabled = false };
		route = { ["GET /health"] = on_health };
	});
else
	module:log("info", "No HTTP here, and so no /%s/health", module.name);
end

-- For the specs.
module.pure = {
	attribute = attribute, clean = clean, cut = cut, plain = plain, field = field, milliseconds = milliseconds;
	read_presence = read_presence, marks_of = marks_of, read_session = read_session, read_visitors = read_visitors, source_info = source_info;
	new_known = new_known, update_known = update_known, new_batch = new_batch, is_full = is_full, room_tag = room_tag, write_batch = write_batch;
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
