-- Specs of the pure helpers of mod_room_participants_api, without a running Prosody.
--
-- Needs busted (Debian: lua-busted) and Prosody's own libraries. From the folder prosody:
--
--	busted --lua=lua5.4 spec
--
-- PROSODY_LIB names Prosody's libraries where they aren't in /usr/lib/prosody.

local lib = os.getenv("PROSODY_LIB") or "/usr/lib/prosody";
package.path = lib .. "/?.lua;" .. package.path;
package.cpath = lib .. "/?.so;" .. package.cpath;

local st = require "util.stanza";
local xml = require "util.xml";

-- As much of Prosody as loading takes, on a virtual host without rooms. Given a clock, the module's time is clock.seconds.
local function load_module(clock)
	local real_time = require "util.time";
	if clock then
		package.loaded["util.time"] = { now = real_time.now, monotonic = function () return clock.seconds; end };
	end
	local fake = {
		name = "room_participants_api", host = "meet.jitsi";
		get_host_type = function () return "local"; end;
		get_option = function () end;
		get_option_set = function () end;
		get_option_string = function () end;
		shared = function () return {}; end;
		hook_global = function () end;
		set_status = function () end;
		log = function () end;
		depends = function () error("no HTTP"); end;
	};
	local env = setmetatable({ module = fake, prosody = { hosts = {}, full_sessions = {} } }, { __index = _G });
	assert(loadfile("mod_room_participants_api.lua", "t", env))();
	package.loaded["util.time"] = real_time;
	return fake._spec;
end

local pure = load_module();

local function sample(name)
	local file = assert(io.open("samples/" .. name .. ".xml"));
	local text = file:read("a");
	file:close();
	return assert(xml.parse((text:gsub("%s+$", ""))));
end

local function presence(raw)
	return assert(xml.parse("<presence xmlns='jabber:client'>" .. raw .. "</presence>"));
end

-- Attributes and children, in a form that can be compared.
local function shape(element)
	local children = {};
	for _, child in ipairs(element) do
		children[#children + 1] = type(child) == "string" and child or shape(child);
	end
	local attr = {};
	for name, value in pairs(element.attr) do
		if name ~= "xmlns" then attr[name] = value; end
	end
	return { name = element.name, attr = attr, children = children };
end

local function escape(text)
	return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }));
end

-- The elements of a sample, as the module would have them.
local function read_batch(element)
	local rooms, gone = {}, {};
	for _, child in ipairs(element.tags) do
		if child.name == "gone" then
			local lines;
			for line in escape(child:get_text() or ""):gmatch("[^\n]*\n") do
				lines = lines or {};
				lines[#lines + 1] = line;
			end
			gone[#gone + 1] = pure.gone_tag(child.attr.jid, lines, child.attr.reason, child.attr.alternate);
		else
			local room = { jid = child.attr.jid, new = child.attr.new == "1", lines = {} };
			if child.attr.facts then
				room.facts, room.breakouts = "", "";
				for name, value in pairs(child.attr) do
					if name ~= "jid" and name ~= "new" and name ~= "xmlns" then room.facts = room.facts .. pure.written(name, value); end
				end
			end
			for _, breakout in ipairs(child.tags) do
				room.breakouts = room.breakouts .. "<breakout" .. pure.written("jid", breakout.attr.jid) .. pure.written("name", breakout.attr.name) .. "/>";
			end
			for _, text in ipairs(child) do
				if type(text) == "string" then
					for line in escape(text):gmatch("[^\n]*\n") do room.lines[#room.lines + 1] = line; end
				end
			end
			rooms[#rooms + 1] = room;
		end
	end
	return rooms, gone;
end

describe("samples", function ()
	it("are what the module sends last", function ()
		local sub = {
			tag = "<batch xmlns='urn:ppch:occupancy:1' epoch='e1' seq='", seq = 4, true_at = 1019.25, synced = true, rooms = 2, occupants = 4;
			before_message = "<message>";
		};
		local got = assert(xml.parse(pure.last_batch(sub)));
		assert.same(shape(sample("batch-end")), shape(got.tags[1]));
	end);

	for _, name in ipairs { "batch-snapshot", "batch-changes", "batch-heartbeat", "batch-unseen" } do
		it("are what the module sends: " .. name, function ()
			local want = sample(name);
			local sub = {
				tag = ("<batch xmlns='%s' epoch='%s' seq='"):format(want.attr.xmlns, want.attr.epoch);
				seq = tonumber(want.attr.seq), true_at = tonumber(want.attr.at), synced = want.attr.synced == "1";
				rooms = tonumber(want.attr.rooms), occupants = tonumber(want.attr.occupants), unseen = want.attr.unseen == "1";
			};
			local rooms, elements = read_batch(want);
			for i = #rooms, 1, -1 do
				table.insert(elements, 1, pure.room_text(rooms[i].jid, rooms[i], rooms[i].new, rooms[i].facts, rooms[i].lines));
			end
			local got = assert(xml.parse(pure.batch_text(sub, table.concat(elements), "", "")));
			assert.same(shape(want), shape(got));
		end);

		it("have fields as the module writes them: " .. name, function ()
			for _, room in ipairs((read_batch(sample(name)))) do
				for _, line in ipairs(room.lines) do
					for field in line:gsub("\n$", "\t"):gmatch("([^\t]*)\t") do
						local text = field:gsub("\\(.)", { ["\\"] = "\\", t = "\t", n = "\n", r = "\r" });
						text = text:gsub("&(%a+);", { amp = "&", lt = "<", gt = ">" });
						assert.equal(field, pure.field(text));
					end
				end
			end
		end);
	end
end);

describe("field", function ()
	it("escapes what would end a field or a line", function ()
		assert.equal("a\\tb\\nc\\rd\\\\e", pure.field("a\tb\nc\rd\\e"));
	end);

	it("escapes what XML would take for its own", function ()
		assert.equal("&lt;a b='c' d=\"e\"/&gt;&amp;amp;", pure.field("<a b='c' d=\"e\"/>&amp;"));
	end);

	it("leaves all other characters as they are", function ()
		for byte = 32, 126 do
			local char = string.char(byte);
			local want = ({ ["\\"] = "\\\\", ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" })[char] or char;
			assert.equal(want, pure.field(char));
		end
		assert.equal("é🤖", pure.field("é🤖"));
	end);

	it("looks more closely at what it may have to escape alone, since that takes long", function ()
		for byte = 0, 255 do
			local char = string.char(byte);
			local as_it_is = byte >= 32 and byte <= 126 and not char:find("[\\&<>]");
			for _, text in ipairs { char, char .. "b", "a" .. char, "a" .. char .. "b" } do
				assert.equal(as_it_is, text:find(pure.plain) ~= nil, "of byte " .. byte);
			end
		end
	end);

	it("is empty for what is no text", function ()
		for _, value in ipairs { {}, true, false, print } do
			assert.equal("", pure.field(value));
		end
		assert.equal("", pure.field(nil));
	end);

	it("takes numbers", function ()
		assert.equal("42", pure.field(42));
		assert.equal("42", pure.field(42.0));
		assert.equal("1.5", pure.field(1.5));
		assert.equal("1e+300", pure.field(1e300));
		assert.equal("inf", pure.field(math.huge));
	end);

	it("lets nothing out that XML can't hold", function ()
		for byte = 0, 255 do
			local text = pure.field("a" .. string.char(byte) .. "b");
			assert.has_no.errors(function () st.stanza("x"):text(text); end);
			assert.is_nil(text:find("[%z\1-\31\127]"));
		end
		assert.equal("ab", pure.field("a\239\191\190b"));
		assert.equal("", pure.field("\237\160\128"), "a surrogate");
		assert.equal("", pure.field("\192\128"), "an overlong form");
	end);

	it("is cut between characters", function ()
		assert.equal(("x"):rep(1024), pure.field(("x"):rep(1025)));
		assert.equal(("é"):rep(512), pure.field(("é"):rep(513)));
		assert.equal("x" .. ("é"):rep(511), pure.field("x" .. ("é"):rep(512)));
		assert.equal(("🤖"):rep(256), pure.field(("🤖"):rep(400)));
		assert.equal("", pure.field(("\128"):rep(2000)));
	end);
end);

describe("attribute", function ()
	it("has blanks for white space, and none when empty", function ()
		assert.equal("a b c d", pure.attribute("a\tb\nc\rd"));
		assert.is_nil(pure.attribute(""));
		assert.is_nil(pure.attribute({}));
		assert.is_nil(pure.attribute(nil));
	end);
end);

describe("milliseconds", function ()
	it("tells seconds from milliseconds", function ()
		assert.equal(1790000000000, pure.milliseconds(1790000000));
		assert.equal(1790000000000, pure.milliseconds(1790000000000));
		assert.equal(1790000000000, pure.milliseconds("1790000000000"));
		assert.equal(1790000000500, pure.milliseconds(1790000000.5));
	end);

	it("knows no other times", function ()
		for _, value in ipairs { 0, -1, "x", {}, math.huge, -math.huge, 0/0, 1e20, true } do
			assert.is_nil(pure.milliseconds(value));
		end
		assert.is_nil(pure.milliseconds(nil));
	end);
end);

describe("source_info", function ()
	local marks = pure.source_info;

	it("reads what is muted", function ()
		assert.equal("audio-muted video-on screen-off", marks('{"a-a0":{"muted":true},"a-v0":{"muted":false}}'));
		assert.equal("audio-on video-muted screen-off", marks('{"b-a0":{"muted":false},"b-v0":{"muted":true}}'));
		assert.equal("audio-muted video-muted screen-off", marks('{}'));
	end);

	it("gives the same for another person's id", function ()
		for _ = 1, 2 do
			for id = 1, 600 do
				assert.equal("audio-on video-muted screen-off", marks(('{"%08x-a0":{"muted":false}}'):format(id)));
			end
		end
	end);

	it("can't be made to lie about others", function ()
		-- All look like honest ones once the ids are out.
		marks('{"\\-a0":{"muted":true}}');
		marks('{"x-a0":{"muted":true},"y-a0":{"muted":false}}');
		assert.equal("audio-muted video-muted screen-off", marks('{"a-a0":{"muted":true}}'));
	end);

	it("reads two levels, and skips what is deeper", function ()
		assert.equal("audio-on video-muted screen-off", marks('{"a-a0":{"x":[{"y":{"muted":true}}],"muted":false},"a-v0":{"x":{"muted":false}}}'));
		assert.equal("audio-muted video-muted screen-off", marks('{"x":{"a-a0":{"muted":false}}}'));
		assert.equal("audio-muted video-muted screen-off", marks(('{"a-a0":'):rep(400) .. ("}"):rep(400)));
	end);

	it("reads a screen as no camera", function ()
		assert.equal("audio-muted video-muted screen-on", marks('{"a-v0":{"muted":false,"videoType":"desktop"}}'));
		assert.equal("audio-muted video-on screen-off", marks('{"a-v0":{"muted":false,"videoType":"camera"}}'));
	end);

	it("isn't misled by escapes and blanks", function ()
		assert.equal("audio-on video-muted screen-off", marks(' { "a-a0" : { "x" : "\\"" , "muted" : false } } '));
		assert.equal("audio-muted video-muted screen-off", marks('{"a-a0":{"x":"\\"muted\\":false"}}'));
	end);

	it("looks at a hundred sources", function ()
		local many = {};
		for i = 1, 150 do many[i] = ('"%d-x0":{}'):format(i); end
		assert.equal("audio-muted video-muted screen-off", marks("{" .. table.concat(many, ",") .. ',"a-a0":{"muted":false}}'));
	end);

	it("knows nothing of what is no object, or too much", function ()
		for _, text in ipairs { "", "x", "{", "7", '"a-a0"', "[{}]", '{"a-a0":', ("["):rep(100), ("["):rep(16000), (" "):rep(5000) .. "{}" } do
			assert.is_nil(marks(text));
			assert.is_nil(marks(text .. "false"));
		end
	end);
end);

describe("tail_of", function ()
	local function tail(raw) return pure.tail_of(presence(raw)); end

	it("has what Jitsi's clients write", function ()
		assert.equal("Ada &lt;3\thttps://example.com/a.png\thand audio-muted video-on screen-off\n", tail [[
			<nick xmlns='http://jabber.org/protocol/nick'>Ada &lt;3</nick><avatar-url>https://example.com/a.png</avatar-url>
			<jitsi_participant_raisedHand>1</jitsi_participant_raisedHand><SourceInfo>{"a-v0":{"muted":false}}</SourceInfo>]]);
		assert.equal("\t\thand\n", tail "<jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>");
		assert.equal("\t\t\n", tail "<jitsi_participant_raisedHand>false</jitsi_participant_raisedHand>");
		assert.equal("\t\t\n", pure.tail_of(nil));
	end);

	it("takes the last of each", function ()
		assert.equal("b\tb\taudio-muted video-muted screen-off\n", tail [[
			<nick xmlns='http://jabber.org/protocol/nick'>a</nick><nick xmlns='http://jabber.org/protocol/nick'>b</nick>
			<avatar-url>a</avatar-url><avatar-url>b</avatar-url><SourceInfo>{"a-a0":{"muted":false}}</SourceInfo><SourceInfo>{"a-a0":{}}</SourceInfo>]]);
	end);

	it("takes a nick of any namespace, and an empty one for none", function ()
		assert.equal("b\t\t\n", tail "<nick xmlns='http://jabber.org/protocol/nick'>a</nick><nick xmlns='urn:x'>b</nick>");
		assert.equal("\t\t\n", tail "<nick xmlns='http://jabber.org/protocol/nick'>a</nick><nick/>");
	end);

	it("passes over what is of another namespace, or has elements for text", function ()
		assert.equal("\t\t\n", tail [[
			<initiator/><avatar-url xmlns='urn:example'>a</avatar-url><avatar-url>a<b/></avatar-url>
			<SourceInfo><a/></SourceInfo>]]);
	end);

	it("has marks in a fixed order", function ()
		local kinds = [[
			<videomuted>true</videomuted><audiomuted>false</audiomuted><email>inbound-sip-jibri@x</email>
			<initiator xmlns='http://jitsi.org/protocol/jigasi'/><jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>
			<features><feature var='http://jitsi.org/protocol/jibri'/><feature var='http://jitsi.org/protocol/transcriber'/>
			<feature var='http://jitsi.org/protocol/jigasi'/></features>]];
		assert.equal("\t\tjigasi transcriber jibri initiator sip-jibri hand audio-on video-muted\n", tail(kinds));
		assert.equal("\t\tjigasi transcriber jibri initiator sip-jibri hand audio-muted video-on screen-off\n",
			tail(kinds .. '<SourceInfo>{"a-v0":{"muted":false}}</SourceInfo>'));
		assert.equal("\t\tvideo-muted screen-on\n", tail "<videomuted>false</videomuted><videoType>desktop</videoType>");
	end);
end);

describe("update_known", function ()
	local asked, known, joined, room, occupant;

	local function say(raw)
		occupant.sessions["a@b/c"] = presence(raw);
	end

	local function update(afresh)
		return pure.update_known(known, room, "r@muc/ada", occupant, joined, false, afresh);
	end

	before_each(function ()
		asked = 0;
		known, joined = pure.new_known(), 1790000000000;
		room = { jid = "r@muc", _affiliations = {} };
		function room:get_affiliation(bare)
			asked = asked + 1;
			return self._affiliations[bare];
		end
		occupant = { jid = "a@b/c", bare_jid = "a@b", role = "participant", sessions = {} };
		say "<nick xmlns='http://jabber.org/protocol/nick'>Ada</nick>";
		assert.is_true(update());
	end);

	it("makes a line", function ()
		assert.equal("+\tada\ta@b/c\tparticipant\tnone\t1790000000000\t\t\t\t\tAda\t\t\n", known[1]);
	end);

	it("does nothing for presence that says nothing new", function ()
		assert.is_false(update());
		say "<nick xmlns='http://jabber.org/protocol/nick'>Ada</nick><stats-id>x</stats-id>";
		assert.is_false(update());
		assert.equal(1, asked);
	end);

	it("sees each thing that changes", function ()
		local changes = {
			function () occupant.role = "moderator"; end;
			function () joined = joined + 1; end;
			function () room._affiliations["a@b"] = "owner"; end;
			function () occupant.jid = "a@b/d"; occupant.sessions["a@b/d"] = occupant.sessions["a@b/c"]; end;
			function () occupant.jid = "a@b/c"; say "<nick xmlns='http://jabber.org/protocol/nick'>Bo</nick>"; end;
			function () say "<avatar-url>x</avatar-url>"; end;
			function () say "<avatar-url>x</avatar-url><SourceInfo>{}</SourceInfo>"; end;
			function () say "<avatar-url>x</avatar-url><SourceInfo>{\"a-a0\":{\"muted\":false}}</SourceInfo>"; end;
			function () say "<avatar-url>x</avatar-url><jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>"; end;
			function () occupant.sessions = {}; end;
		};
		for i, change in ipairs(changes) do
			change();
			assert.is_true(update(), "change " .. i);
			assert.is_false(update(), "after change " .. i);
		end
	end);

	it("has a field for what few have: where from, and a client that can't be reached", function ()
		assert.is_true(pure.update_known(known, room, "r@muc/ada", occupant, joined + 1, false, false, "main@muc"));
		assert.equal("+\tada\ta@b/c\tparticipant\tnone\t1790000000001\t\t\t\t\tAda\t\t\tmain@muc\n", known[1]);
		say "<nick xmlns='http://jabber.org/protocol/nick'>Bo</nick>";
		assert.is_true(pure.update_known(known, room, "r@muc/ada", occupant, joined + 1, false, false, "main@muc"));
		assert.truthy(known[1]:find("\tBo\t\t\tmain@muc\n", 1, true));
	end);

	it("asks Prosody again only if afresh", function ()
		function room.get_affiliation() return "admin"; end
		assert.is_false(update());
		assert.is_true(update(true));
		assert.truthy(known[1]:find("\tadmin\t", 1, true));
	end);

	it("lets no text out of a field", function ()
		occupant.jid, occupant.role = "a@b/<\n>", "\0<x/>\t";
		assert.is_true(update());
		assert.equal("+\tada\ta@b/&lt;\\n&gt;\t&lt;x/&gt;\\t\tnone\t1790000000000\t\t\t\t\t\t\t\n", known[1]);
	end);
end);

describe("is_full", function ()
	local page;

	before_each(function ()
		page = pure.new_page(0);
		page.deadline = math.huge;
	end);

	it("is so by the page, and by bytes", function ()
		page.units = 199;
		assert.is_false(pure.is_full(page));
		page.units = 200;
		assert.is_true(pure.is_full(page));
		page.units, page.bytes = 1, 64 * 1024;
		assert.is_true(pure.is_full(page));
	end);

	it("is so by the clock, and stays so", function ()
		page.deadline = 0;
		page.units = 7;
		assert.is_false(pure.is_full(page));
		page.units = 8;
		assert.is_true(pure.is_full(page));
		assert.is_true(pure.is_full(page));
	end);
end);

describe("read_session", function ()
	it("keeps e-mail to itself unless asked", function ()
		local session = { jitsi_meet_context_user = { id = "1", name = "Ada", email = "a@b" }, jitsi_meet_context_group = "g" };
		assert.same({ "1", "Ada", "g", "" }, { pure.read_session(session, false) });
		assert.same({ "1", "Ada", "g", "a@b" }, { pure.read_session(session, true) });
		assert.same({ "", "", "", "" }, { pure.read_session(nil, true) });
		assert.same({ "", "", "", "" }, { pure.read_session({ jitsi_meet_context_user = "x" }, true) });
	end);
end);

describe("read_visitors", function ()
	local function visitors(value)
		return pure.read_visitors(presence("<conference-properties xmlns='http://jitsi.org/protocol/focus'><property key='x' value='7'/>"
			.. "<property key='visitor-count' value='" .. value .. "'/></conference-properties>"));
	end

	it("reads a number", function ()
		assert.equal("12", visitors("12"));
		assert.equal("0", visitors("0"));
		for _, value in ipairs { "-1", "", "x", "1e99", "nan", "inf" } do
			assert.is_nil(visitors(value));
		end
	end);

	it("knows the default only of what focus has sent", function ()
		assert.equal("0", pure.read_visitors(presence("<conference-properties xmlns='http://jitsi.org/protocol/focus'/>"), "0"));
		assert.is_nil(pure.read_visitors(presence("<conference-properties xmlns='http://jitsi.org/protocol/focus'/>")));
		assert.is_nil(pure.read_visitors(presence("<conference-properties xmlns='urn:other'/>"), "0"));
		assert.is_nil(pure.read_visitors(presence(""), "0"));
	end);
end);

describe("moves", function ()
	local clock, moves, way;

	before_each(function ()
		clock = { seconds = 1000 };
		moves, way = load_module(clock).moves, { now = {}, before = {}, since = 0, count = 0 };
	end);

	it("takes a note once", function ()
		moves.note(way, "ada", "a@muc");
		assert.is_nil(moves.take(way, "bob"));
		assert.equal("a@muc", moves.take(way, "ada"));
		assert.is_nil(moves.take(way, "ada"));
	end);

	it("takes a note only for its room", function ()
		moves.note(way, "ada", "a@muc");
		assert.is_nil(moves.take(way, "ada", "b@muc"));
		assert.equal("a@muc", moves.take(way, "ada", "a@muc"));
	end);

	it("keeps a note for half a minute, and drops it after a minute", function ()
		moves.note(way, "ada", "a@muc");
		clock.seconds = clock.seconds + 29;
		moves.note(way, "bob", "a@muc");
		clock.seconds = clock.seconds + 2;
		moves.note(way, "cyd", "a@muc"); -- the table is replaced
		assert.equal("a@muc", moves.take(way, "ada"));
		clock.seconds = clock.seconds + 27;
		assert.equal("a@muc", moves.take(way, "bob"));
		clock.seconds = clock.seconds + 34;
		assert.is_nil(moves.take(way, "cyd"));
		moves.note(way, "dan", "a@muc");
		assert.is_nil(next(way.before));
	end);

	it("keeps a limited number of notes", function ()
		for i = 1, 1500 do moves.note(way, "client " .. i, "a@muc"); end
		local count = 0;
		for _ in pairs(way.now) do count = count + 1; end
		assert.equal(1000, count);
	end);

	it("recognises the answer that promotes a visitor", function ()
		local function read(iq)
			local response = moves.promotion_of(assert(xml.parse(iq)));
			return response and response.attr.username;
		end
		local promoted = "<iq type='set'><visitors xmlns='jitsi:visitors' room='a@muc.v1'>"
			.. "<promotion-response jid='x@v1/1' username='u' allow='true'/></visitors></iq>";
		assert.equal("u", read(promoted));
		for from, to in pairs {
			["allow='true'"] = "allow='false'", [" allow='true'"] = "", ["type='set'"] = "type='result'", ["jitsi:visitors"] = "urn:other";
			["promotion%-response"] = "promotion-request", ["<visitors"] = "<x/><visitors", ["<iq"] = "<message";
		} do
			local other = promoted:gsub(from, to);
			assert.is_nil(read(to == "<message" and other:gsub("/iq", "/message") or other));
		end
		assert.is_nil(read("<iq type='set'/>"));
		assert.is_nil(read("<iq type='set'>text</iq>"));
	end);
end);
