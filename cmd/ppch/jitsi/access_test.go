package jitsi_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ppch/cmd/ppch/jitsi"
)

// The settings file may be a copy of .env.example: that sets nothing that the installer has to decide.
func TestInstall_FillsInEnvExample(t *testing.T) {
	tr := layOut(t, "docker-stable-11146")
	jitsiEnv := filepath.Join(tr.root, "jitsi", ".env")
	write(t, jitsiEnv, read(t, jitsiEnv)+"XMPP_DOMAIN=talk.example\nXMPP_MUC_DOMAIN=rooms.talk.example\nXMPP_AUTH_DOMAIN=auth.talk.example\n")
	example := must(os.ReadFile("../../../.env.example"))(t)
	tr.options.EnvFile = filepath.Join(tr.root, "ppch", ".env")
	write(t, tr.options.EnvFile, string(example))
	p := tr.install(t)
	for _, note := range p.Notes {
		if strings.Contains(note, " stays ") {
			t.Errorf("got the note %s", note)
		}
	}
	values := must(jitsi.ParseEnv([]byte(read(t, tr.options.EnvFile))).Values(func(string) (string, bool) { return "", false }))(t)
	for name, want := range map[string]string{
		"PPCH_COMPONENT_DOMAIN": "ppch.talk.example", "MUC_DOMAIN": "rooms.talk.example,breakout.talk.example,lobby.talk.example",
		"PROSODY_URL": "xmpp://prosody:5347", "PPCH_NETWORK_EXTERNAL": "jitsi_meet.jitsi",
	} {
		if values[name] != want {
			t.Errorf("%s: got %s want %s", name, values[name], want)
		}
	}
	if len(values["PPCH_API_KEY"]) != 32 || len(values["PPCH_COMPONENT_SECRET"]) != 64 {
		t.Errorf("got the key %q and the secret %q", values["PPCH_API_KEY"], values["PPCH_COMPONENT_SECRET"])
	}
}

func TestInstall_SaysWhereTheDashboardIs(t *testing.T) {
	for _, tt := range []struct{ env, url, key string }{
		{"", "http://127.0.0.1:8890", "PPCH_API_KEY in {env}"},
		{"PPCH_PORT=9000\nPPCH_API_KEY=0123456789abcdef\n", "http://127.0.0.1:9000", "PPCH_API_KEY in {env}"},
		{"PPCH_PUBLIC_URL=https://ppch.example.com/\n", "https://ppch.example.com", "PPCH_API_KEY in {env}"},
		{"PPCH_TLS_CERT=/cert\n", "https://127.0.0.1:8890", "PPCH_API_KEY in {env}"},
		{"PPCH_API_KEY=change-me\n", "http://127.0.0.1:8890", "PPCH_API_KEY in {env}"},
		{"PPCH_API_KEY_FILE=/etc/ppch/key\n", "http://127.0.0.1:8890", "in the file of PPCH_API_KEY_FILE, which {env} names"},
		{"PPCH_API_KEYS_FILE=/etc/ppch/keys\n", "http://127.0.0.1:8890", "one of your clients' keys, of PPCH_API_KEYS_FILE in {env}"},
	} {
		tr := layOut(t, "docker-stable-11146")
		tr.options.EnvFile = filepath.Join(tr.root, "ppch", ".env")
		write(t, tr.options.EnvFile, tt.env)
		want := "Dashboard: " + tt.url + "/dashboard/\nAPI key: " + strings.ReplaceAll(tt.key, "{env}", tr.options.EnvFile)
		for range 2 { // a second run says the same
			if got := tr.install(t).Access; got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", tt.env, got, want)
			}
		}
	}
}

func TestInstall_NotesUnknownVariables(t *testing.T) {
	tr := layOut(t, "docker-stable-11146")
	tr.options.EnvFile = filepath.Join(tr.root, "ppch", ".env")
	write(t, tr.options.EnvFile, "PPCH_PROT=9000\nPPCH_FILES=./files\nCONFIG=x\n")
	notes := tr.install(t).Notes
	if !slices.ContainsFunc(notes, func(n string) bool {
		return strings.HasSuffix(n, ": PPCH_PROT is not a variable of PPCH and has no effect: did you mean PPCH_PORT?")
	}) || strings.Contains(strings.Join(notes, "\n"), "PPCH_FILES") {
		t.Errorf("got the notes %q", notes)
	}
}

// Domain names have no case.
func TestInstall_DomainInAnyCase(t *testing.T) {
	for name, domain := range map[string]string{"docker-stable-11146": "Meet.Jitsi", "debian": "MEET.example.com"} {
		tr := layOut(t, name)
		tr.options.Domain = domain
		if _, err := jitsi.Install(tr.options); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
