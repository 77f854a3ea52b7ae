package prosodytest

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"ppch/prosody"
)

//go:embed prosody.cfg.lua.tmpl
var configText string

//go:embed plugins/*.lua
var plugins embed.FS

// site is what the template sees: one server's options, addresses and folders.
type site struct {
	Options
	Domains
	Dir                                 string
	ClientPort, ComponentPort, HTTPPort int
}

// Admins are the programs that Jitsi trusts with every room.
func (s site) Admins() []string {
	return []string{"focus@" + s.Auth, "jigasi@" + s.Auth}
}

// Externals are the domains of external components.
func (s site) Externals() []string {
	return append([]string{s.Component, s.Cast}, s.Components...)
}

// GlobalModules are Prosody's own that the cast needs, then the caller's.
// "posix" is what makes Prosody 0.12 leave in order at SIGTERM.
func (s site) GlobalModules() []string {
	all := []string{"admin_shell", "disco", "ping", "posix", "roster", "saslauth", "version"}
	if s.DomainMapper {
		all = append(all, "prosodytest_domain_mapper")
	}
	return append(all, s.Modules...)
}

// PluginPaths are the caller's, then ours: the stand-ins and the module.
func (s site) PluginPaths() []string {
	return append(append([]string{}, s.Options.PluginPaths...), filepath.Join(s.Dir, "plugins"))
}

// host renders what a host's section holds beyond the template: modules, then
// the caller's own lines.
func (s site) host(domain string) string {
	var modules []string
	switch domain {
	case s.MUC, s.Breakout, s.Lobby:
		if s.HideRooms {
			modules = append(modules, "prosodytest_hide_rooms")
		}
		if s.Module {
			modules = append(modules, prosody.ModuleName)
		}
		modules = append(modules, s.MUCModules...)
	}
	modules = append(modules, s.HostModules[domain]...)
	var b strings.Builder
	if len(modules) > 0 {
		fmt.Fprintf(&b, "modules_enabled = { %s }\n", luaList(modules))
	}
	b.WriteString(s.HostConfig[domain])
	return b.String()
}

// write fills s.Dir with the configuration, the stand-in plugins and the accounts.
func (s site) write() error {
	t, err := template.New("prosody.cfg.lua").Funcs(template.FuncMap{
		"lua":  prosody.LuaString,
		"list": luaList,
		"host": s.host,
	}).Parse(configText)
	if err != nil {
		return fmt.Errorf("prosodytest: parse the configuration template: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, s); err != nil {
		return fmt.Errorf("prosodytest: render the configuration: %w", err)
	}
	if err := os.WriteFile(s.configPath(), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("prosodytest: write the configuration: %w", err)
	}
	if err := s.writePlugins(); err != nil {
		return fmt.Errorf("prosodytest: write the stand-in plugins: %w", err)
	}
	if err := s.writeAccounts(); err != nil {
		return fmt.Errorf("prosodytest: write the accounts: %w", err)
	}
	return nil
}

func (s site) configPath() string { return filepath.Join(s.Dir, "prosody.cfg.lua") }

func (s site) writePlugins() error {
	sub, err := fs.Sub(plugins, "plugins")
	if err != nil {
		return err
	}
	// CopyFS refuses to overwrite, and a second attempt at a start writes again.
	dir := filepath.Join(s.Dir, "plugins")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.CopyFS(dir, sub); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "mod_"+prosody.ModuleName+".lua"), prosody.Module, 0o600)
}

// writeAccounts puts accounts where mod_storage_internal looks for them:
// data/<host>/accounts/<user>.dat, names escaped as util.datamanager does.
func (s site) writeAccounts() error {
	for account, password := range s.Accounts {
		user, domain, _ := strings.Cut(account, "@")
		dir := filepath.Join(s.Dir, "data", dataName(domain), "accounts")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		body := fmt.Sprintf("return {\n\t[\"password\"] = %s;\n};\n", prosody.LuaString(password))
		if err := os.WriteFile(filepath.Join(dir, dataName(user)+".dat"), []byte(body), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// dataName escapes a name for the file system: everything but letters and digits.
func dataName(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

func luaList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = prosody.LuaString(item)
	}
	return strings.Join(quoted, ", ")
}
