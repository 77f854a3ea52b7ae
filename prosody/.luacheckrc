-- What Prosody gives a module, on top of Lua 5.4.
std = "lua54"
read_globals = { "prosody" }
globals = { "module" }
max_line_length = 150

-- In Prosody's configuration an option is set as a global.
files["**/*.cfg.lua"] = { global = false }
