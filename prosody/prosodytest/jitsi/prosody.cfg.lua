-- The relevant part of docker-jitsi-meet's global section.
local modules = { "roster", "saslauth", "disco", "ping", "posix", "version", "admin_shell", "prosodytest_domain_mapper" };
for name in (ENV_GLOBAL_MODULES or ""):gmatch("[^,%s]+") do modules[#modules + 1] = name; end

daemonize = false;
data_path = "/run/prosody/data";
admin_socket = "/run/prosody/prosody.sock";
plugin_paths = { "/prosody-plugins-custom", "/prosody-plugins" };
log = { { to = "stdout", levels = { min = "info" }, timestamps = true } };
network_backend = "epoll";
gc = { mode = "incremental", threshold = 400, speed = 250, step_size = 13 };
interfaces = { "*" };
c2s_ports = { 5222 };
s2s_ports = {};
legacy_ssl_ports = {};
c2s_direct_tls_ports = {};
http_ports = { 5280 };
http_interfaces = { "*" };
https_ports = {};
-- Jitsi disables external components; a file in conf.d has to open the port.
component_ports = {};
component_admins_as_room_owners = true;
c2s_require_encryption = false;
allow_unencrypted_plain_auth = true;
authentication = "internal_plain";
storage = "memory";
modules_enabled = modules;
modules_disabled = { "s2s", "s2s_auth_certs", "tls", "offline" };
muc_mapper_domain_base = ENV_XMPP_DOMAIN or "meet.jitsi";
muc_mapper_domain_prefix = (ENV_XMPP_MUC_DOMAIN or "muc.meet.jitsi"):match("^[^.]+");
admins = { "focus@" .. (ENV_XMPP_AUTH_DOMAIN or "auth.meet.jitsi") };
recorder_prefixes = { "recorder@" .. (ENV_XMPP_HIDDEN_DOMAIN or "hidden.meet.jitsi") };
unlimited_jids = admins;

Include "conf.d/*.cfg.lua"
