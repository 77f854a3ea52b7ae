package doctor

import (
	"fmt"

	"ppch/prosody"
)

// Installation is how Jitsi is installed, as far as the doctor can see.
type Installation int

const (
	// UnknownInstallation gets the advice for all others.
	UnknownInstallation Installation = iota
	// Containers is docker-jitsi-meet, with the doctor in PPCH's container.
	Containers
	// Packages is Jitsi from Debian's packages, with the doctor on the same machine.
	Packages
)

// pick returns the part of an advice that fits the installation.
func (e *run) pick(containers, packages string) string {
	switch e.Installation {
	case Containers:
		return containers
	case Packages:
		return packages
	}
	return containers + "; Debian: " + packages
}

// named is pick for an advice that differs in more than a command.
func (e *run) named(containers, packages string) string {
	if e.Installation == UnknownInstallation {
		return "docker-jitsi-meet: " + e.pick(containers, packages)
	}
	return e.pick(containers, packages)
}

// inContainers returns an addition unless the installation is known to have no containers.
func (e *run) inContainers(addition string) string {
	if e.Installation == Packages {
		return ""
	}
	return addition
}

func (e *run) restartProsody() string {
	return "then restart Prosody (" + e.pick("docker compose up -d --force-recreate prosody", "systemctl restart prosody") + ")"
}

func (e *run) prosodyLog() string {
	return e.pick("docker compose logs prosody", "/var/log/prosody/prosody.log")
}

// confFile names the file of the component.
func (e *run) confFile() string {
	switch e.Installation {
	case Containers:
		return "${CONFIG}/prosody/config/conf.d/ppch.cfg.lua"
	case Packages:
		return "/etc/prosody/conf.d/ppch.cfg.lua"
	}
	return "conf.d/ppch.cfg.lua (docker-jitsi-meet: in ${CONFIG}/prosody/config; Debian: in /etc/prosody)"
}

// moduleFolder names the folder of the Lua module.
func (e *run) moduleFolder() string {
	switch e.Installation {
	case Containers:
		return "${CONFIG}/prosody/prosody-plugins-custom/"
	case Packages:
		return "the first of plugin_paths"
	}
	return "${CONFIG}/prosody/prosody-plugins-custom/ (Debian: the first of plugin_paths)"
}

// installDoes is the last advice where the installer would have done everything.
func (e *run) installDoes() string {
	how := "ppch jitsi install --dir PATH, with docker-jitsi-meet's folder or /etc/prosody, which does all of this"
	switch e.Installation {
	case Containers:
		how = "ppch jitsi install --dir PATH, with docker-jitsi-meet's folder, which does all of this"
	case Packages:
		how = "sudo ppch jitsi install --dir /etc/prosody, which does all of this"
	}
	return "or run " + how + "; " + e.restartProsody()
}

func (e *run) startIt() string {
	return "start it: " + e.pick("docker compose up -d ppch; if it stops, see docker compose logs ppch", "systemctl start ppch; if it stops, see journalctl -u ppch")
}

func (e *run) restartIt() string {
	return "restart it with the key set here: " + e.pick("docker compose up -d --force-recreate ppch", "systemctl restart ppch")
}

// loadOn says how to load the module on a domain.
func (e *run) loadOn(domain string) string {
	return e.named(
		fmt.Sprintf("%s=%s in Jitsi's .env", variableOf(domain), prosody.ModuleName),
		fmt.Sprintf(`"%s" in modules_enabled below Component "%s" in /etc/prosody/conf.avail`, prosody.ModuleName, domain),
	) + "\n" + e.installDoes()
}

// copyModule says where the module's file belongs.
func (e *run) copyModule() string {
	return fmt.Sprintf("copy prosody/mod_%s.lua of this version over it, in %s", prosody.ModuleName, e.moduleFolder()) + "\n" + e.installDoes()
}

// missingFile is for a module that is enabled but missing, which only Prosody's log shows.
func (e *run) missingFile() string {
	return fmt.Sprintf("if it is enabled already, its file mod_%s.lua is missing, and Prosody's log says: Unable to load module '%s'. Copy prosody/mod_%s.lua to %s, %s",
		prosody.ModuleName, prosody.ModuleName, prosody.ModuleName, e.moduleFolder(), e.restartProsody())
}
