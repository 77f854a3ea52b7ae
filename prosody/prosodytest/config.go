package prosodytest

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"ppch/prosody"
)

//go:embed prosody.cfg.lua.tmpl
var configText string

//go:embed plugins/*.lua
var plugins embed.FS

// site is the template's data: options, domains, ports and folder of a server.
type site struct {
	Options
	Domains
	Dir                                 string
	ClientPort, ComponentPort, HTTPPort int
}

// Admins are the programs that own every room in Jitsi.
func (s site) Admins() []string {
	return []string{"focus@" + s.Auth, "jigasi@" + s.Auth}
}

// Externals are the domains of external components.
func (s site) Externals() []string {
	return append([]string{s.Component, s.Cast}, s.Components...)
}

// GlobalModules are Prosody's modules that Cast needs, then the caller's.
// Prosody 0.12 needs "posix" to shut down cleanly on SIGTERM.
func (s site) GlobalModules() []string {
	all := []string{"admin_shell", "disco", "ping", "posix", "roster", "saslauth", "version"}
	if s.DomainMapper {
		all = append(all, "prosodytest_domain_mapper")
	}
	return append(all, s.Modules...)
}

// PluginPaths are the caller's, then ours with the stand-in plugins and the module.
func (s site) PluginPaths() []string {
	return append(append([]string{}, s.Options.PluginPaths...), filepath.Join(s.Dir, "plugins"))
}

// host renders the variable part of a host's section: modules, then the
// caller's lines.
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

// write writes the configuration, the stand-in plugins and the accounts to s.Dir.
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
	// CopyFS doesn't overwrite, but a second attempt to start writes again.
	dir := filepath.Join(s.Dir, "plugins")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.CopyFS(dir, sub); err != nil {
		return err
	}
	module, err := withConstants(prosody.Module, s.ModuleConstants)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "mod_"+prosody.ModuleName+".lua"), module, 0o600)
}

// withConstants replaces lines "local NAME = VALUE;" of a Lua source.
func withConstants(source []byte, constants map[string]string) ([]byte, error) {
	for name, value := range constants {
		line := regexp.MustCompile(`(?m)^local ` + regexp.QuoteMeta(name) + ` = .+;$`)
		if !line.Match(source) {
			return nil, fmt.Errorf("ModuleConstants: the module has no line \"local %s = …;\"", name)
		}
		source = line.ReplaceAllLiteral(source, []byte("local "+name+" = "+value+";"))
	}
	return source, nil
}

// writeAccounts writes accounts for mod_storage_internal:
// data/<host>/accounts/<user>.dat, with names escaped as in util.datamanager.
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

// dataName escapes all characters of a file name except letters and digits.
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
