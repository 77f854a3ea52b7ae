package jitsi

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// hostPath returns where a path in a service's container is on the host, "" if it is in no folder of the host:
// a volume belongs to Docker, unless it only names a folder.
func (p *project) hostPath(s service, path string) (host string) {
	longest := ""
	for _, v := range s.Volumes {
		target := filepath.Clean(v.Target)
		below, err := filepath.Rel(target, path)
		if err != nil || below == ".." || strings.HasPrefix(below, "../") || len(target) < len(longest) {
			continue
		}
		source := ""
		switch v.Type {
		case types.VolumeTypeBind:
			source = v.Source
		case types.VolumeTypeVolume:
			source = p.boundTo(v.Source)
		}
		longest, host = target, ""
		if source != "" {
			host = filepath.Join(source, below)
		}
	}
	return host
}

// boundTo returns the folder that a volume names in the options of Docker's local driver, or "".
func (p *project) boundTo(volume string) string {
	v := p.Volumes[volume]
	options := strings.Split(v.DriverOpts["o"], ",")
	device := v.DriverOpts["device"]
	if v.Driver != "" && v.Driver != "local" || !slices.Contains(options, "bind") && !slices.Contains(options, "rbind") || !filepath.IsAbs(device) {
		return ""
	}
	return device
}

// noFolders is the error for a container whose configuration or modules are in no folder of the host, with the lines that move them to one.
func (p *project) noFolders(s service, config, plugins bool) error {
	run, lines := "mkdir -p prosody-plugins", ""
	if config {
		run = "mkdir -p prosody-config prosody-plugins && docker compose cp " + s.Name + ":/config/. prosody-config"
		if s.rootless() {
			uid, _, _ := strings.Cut(s.User, ":")
			run += " && sudo chown -R " + cmp.Or(uid, strconv.Itoa(rootlessUser)) + " prosody-config"
		}
		lines = "\n      - ./prosody-config:/config:Z"
	}
	if plugins {
		lines += "\n      - ./prosody-plugins:/prosody-plugins-custom:Z"
	}
	return fmt.Errorf("the service %s keeps its configuration or modules in a volume, which only Docker can write to. Run in %s:\n      %s\n"+
		"Then replace its volumes at these paths in %s by\n    volumes:%s\nand run this again", s.Name, p.o.Dir, run, filepath.Base(s.composeFile), lines)
}
