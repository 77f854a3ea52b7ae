package jitsi_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ppch/cmd/ppch/jitsi"
)

// The three volumes of Prosody in the compose file of docker-stable-11146.
const (
	configMount  = "            - ${CONFIG}/prosody/config:/config:Z\n"
	pluginsMount = "            - ${CONFIG}/prosody/prosody-plugins-custom:/prosody-plugins-custom:Z\n"
)

// folders makes folders in the tree.
func (tr *tree) folders(t *testing.T, paths ...string) {
	for _, path := range paths {
		check(t, os.MkdirAll(filepath.Join(tr.root, path), 0o755))
	}
}

// wrote checks that an installation wrote the component and the module to these folders, and that a second one changes nothing.
func (tr *tree) wrote(t *testing.T, confDir, plugins string) {
	t.Helper()
	tr.install(t)
	if got := tr.get(confDir + "/ppch.cfg.lua"); !strings.Contains(got, `Component "ppch.meet.jitsi"`) {
		t.Errorf("got %s", got)
	}
	if got := tr.get(plugins + "/mod_room_participants_api.lua"); got == "" {
		t.Error("got an empty module")
	}
	if again := must(jitsi.Install(tr.options))(t); !again.Empty() {
		t.Errorf("a second installation would change %s", again.Diff())
	}
}

// A volume that only names a folder is that folder.
func TestInstall_VolumeThatNamesAFolder(t *testing.T) {
	tr := layOut(t, "docker-stable-11146")
	tr.folders(t, "jitsi/own/config", "jitsi/own/plugins")
	tr.replace(t, compose, configMount, "            - prosody-config:/config\n")
	tr.replace(t, compose, pluginsMount, "            - prosody-plugins:/prosody-plugins-custom\n")
	tr.put(compose, tr.get(compose)+`
volumes:
    prosody-config:
        driver: local
        driver_opts: {type: none, o: "rw,bind", device: "`+tr.at("jitsi/own/config")+`"}
    prosody-plugins:
        driver_opts: {type: none, o: bind, device: "`+tr.at("jitsi/own/plugins")+`"}
`)
	tr.wrote(t, "jitsi/own/config/conf.d", "jitsi/own/plugins")
}

// A folder of its own for conf.d has precedence over the volume around it.
func TestInstall_OwnFolderForConfD(t *testing.T) {
	tr := layOut(t, "docker-stable-11146")
	tr.folders(t, "jitsi/confs", "jitsi/plugins")
	tr.replace(t, compose, configMount, "            - ./confs:/config/conf.d\n            - prosody-config:/config\n")
	tr.replace(t, compose, pluginsMount, "            - ./plugins:/prosody-plugins-custom/\n")
	tr.put(compose, tr.get(compose)+"\nvolumes:\n    prosody-config:\n")
	tr.wrote(t, "jitsi/confs", "jitsi/plugins")
}

// With volumes of Docker, the error has the lines that move them to folders. After these, the installation works.
func TestInstall_VolumesOfDocker(t *testing.T) {
	for name, tt := range map[string]struct {
		config, plugins string // instead of the folders
		want            []string
	}{
		"both": {"            - prosody-config:/config\n", "            - prosody-plugins:/prosody-plugins-custom\n", []string{
			"the service prosody keeps its configuration or modules in a volume, which only Docker can write to. Run in {root}/jitsi:\n" +
				"      mkdir -p prosody-config prosody-plugins && docker compose cp prosody:/config/. prosody-config && sudo chown -R 1000 prosody-config\n",
			"      - ./prosody-config:/config:Z\n      - ./prosody-plugins:/prosody-plugins-custom:Z\nand run this again",
		}},
		"modules only": {configMount, "            - prosody-plugins:/prosody-plugins-custom\n", []string{
			"      mkdir -p prosody-plugins\n", "    volumes:\n      - ./prosody-plugins:/prosody-plugins-custom:Z\nand run this again",
		}},
		"a volume of another driver": {"            - nfs:/config\n", pluginsMount, []string{"    volumes:\n      - ./prosody-config:/config:Z\nand run this again"}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := layOut(t, "docker-stable-11146")
			tr.replace(t, compose, configMount, tt.config)
			tr.replace(t, compose, pluginsMount, tt.plugins)
			tr.put(compose, tr.get(compose)+"\nvolumes:\n    prosody-config:\n    prosody-plugins:\n    nfs:\n        driver: netshare\n        driver_opts: {o: bind, device: /srv}\n")
			tr.refused(t, tt.want...)

			// As the lines say.
			tr.folders(t, "jitsi/prosody-config", "jitsi/prosody-plugins")
			text := strings.Replace(tr.get(compose), tt.config, "            - ./prosody-config:/config:Z\n", 1)
			tr.put(compose, strings.Replace(text, tt.plugins, "            - ./prosody-plugins:/prosody-plugins-custom:Z\n", 1))
			tr.wrote(t, "jitsi/prosody-config/conf.d", "jitsi/prosody-plugins")
		})
	}
}
