-- The relevant hosts of docker-jitsi-meet.
local function with(names)
	local all = { "prosodytest_hide_rooms" }; -- replaces muc_hide_all
	for name in (names or ""):gmatch("[^,%s]+") do all[#all + 1] = name; end
	return all;
end
local main = ENV_XMPP_DOMAIN or "meet.jitsi";

VirtualHost(main)
	authentication = "anonymous"

VirtualHost(ENV_XMPP_AUTH_DOMAIN or "auth.meet.jitsi")
	storage = "internal"

VirtualHost(ENV_XMPP_HIDDEN_DOMAIN or "hidden.meet.jitsi")
	storage = "internal"

Component(ENV_XMPP_MUC_DOMAIN or "muc.meet.jitsi") "muc"
	restrict_room_creation = true
	muc_room_locking = false
	muc_room_default_public_jids = true
	muc_room_cache_size = 10000
	muc_tombstones = false
	muc_room_allow_persistent = false
	modules_enabled = with(ENV_XMPP_MUC_MODULES)

Component("breakout." .. main) "muc"
	restrict_room_creation = true
	muc_room_locking = false
	muc_room_default_public_jids = true
	muc_tombstones = false
	modules_enabled = with(ENV_XMPP_BREAKOUT_MUC_MODULES)

Component("lobby." .. main) "muc"
	restrict_room_creation = true
	muc_room_locking = false
	muc_room_default_public_jids = true
	muc_tombstones = false
	modules_enabled = with(ENV_XMPP_LOBBY_MUC_MODULES)
