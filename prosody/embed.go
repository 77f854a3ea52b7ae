// Package prosody has what PPCH brings into Prosody: the Lua module that tells who is in which room.
// README.md beside it is the norm for what the module and package component say to each other.
package prosody

import _ "embed"

// ModuleName is the name under which Prosody loads the module.
const ModuleName = "room_participants_api"

// Module is the file mod_room_participants_api.lua.
//
//go:embed mod_room_participants_api.lua
var Module []byte
