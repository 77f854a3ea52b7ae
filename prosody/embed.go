// Package prosody has what PPCH brings into Prosody: the Lua module that reports who is in which room.
// README.md in this folder is the norm for the protocol between the module and package component.
package prosody

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
)

// ModuleName is the name under which Prosody loads the module.
const ModuleName = "room_participants_api"

// Module is the file mod_room_participants_api.lua.
//
//go:embed mod_room_participants_api.lua
var Module []byte

// ModuleVersion is the version that Module reports where it is loaded.
var ModuleVersion = string(regexp.MustCompile(`(?m)^local version = "(.+)";$`).FindSubmatch(Module)[1])

// LuaString quotes s as a Lua string. Bytes outside plain ASCII are escaped in
// decimal, the one form that every Lua reads alike.
func LuaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\%03d`, c)
			continue
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}
