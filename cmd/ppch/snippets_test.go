package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"
	"github.com/yuin/gopher-lua/parse"

	"ppch/cmd/ppch/config"
	"ppch/component/componenttest"
	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// nixStubs stand for the parts of nixpkgs that the snippet uses: they give its values without a package set.
const nixStubs = `let
  lib = { mkMerge = builtins.concatStringsSep "\n"; mkBefore = text: text; mkAfter = text: text; };
  pkgs = { writeTextDir = name: text: builtins.toFile name text; };
  machine = import ./ppch.nix { inherit lib pkgs; };
in {
  inherit (machine.services.prosody) extraConfig extraModules;
  inherit (machine.systemd.services.ppch) environment;
  secrets = machine.systemd.services.prosody.serviceConfig.EnvironmentFile;
}`

// The module for NixOS is valid Nix. It gives Prosody valid Lua, and the service settings that it accepts.
func TestSnippets_NixOS(t *testing.T) {
	t.Parallel()
	program := prosodytest.Installed(t, "nix-instantiate")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ppch.nix": example(t, programReadme, "nix", "{ lib, pkgs, ... }:"), "stubs.nix": nixStubs, "mod_room_participants_api.lua": string(prosody.Module),
	} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.Command(program, "--eval", "--strict", "--json", "--readonly-mode", "stubs.nix")
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "NIX_STORE_DIR="+dir+"/store", "NIX_STATE_DIR="+dir+"/state", "NIX_LOG_DIR="+dir+"/log")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	var got struct {
		ExtraConfig           string
		ExtraModules, Secrets []string
		Environment           variables
	}
	check(t, json.Unmarshal(out, &got))
	if _, err := parse.Parse(strings.NewReader(got.ExtraConfig), "extraConfig"); err != nil || !strings.Contains(got.ExtraConfig, `Component "ppch.meet.example.com"`) {
		t.Errorf("got the configuration %s: %v", got.ExtraConfig, err)
	}
	if fmt.Sprint(got.ExtraModules, got.Secrets) != "["+prosody.ModuleName+"] [/etc/ppch/component.env]" {
		t.Errorf("got %v %v", got.ExtraModules, got.Secrets)
	}
	env := maps.Clone(got.Environment)
	env["PPCH_API_KEY"], env["PPCH_COMPONENT_SECRET"] = testKey, "s3cret"
	cfg, err := config.Load(t.Context(), envconfig.MapLookuper(env))
	if err != nil || cfg.Domain.String() != "ppch.meet.example.com" || len(cfg.MUCDomains) != 3 {
		t.Errorf("got %v, %v", cfg, err)
	}
}

// Ansible accepts the playbook, and its lines for the service are those of the section before.
func TestSnippets_Ansible(t *testing.T) {
	t.Parallel()
	playbook := example(t, programReadme, "yaml", "- name: PPCH on the machine with Jitsi")
	file := written(t, "ppch.yml", playbook)
	cmd := exec.Command(prosodytest.Installed(t, "ansible-playbook"), "--syntax-check", "--inventory", "jitsi,", file)
	cmd.Dir = filepath.Dir(file)
	cmd.Env = append(cmd.Environ(), "ANSIBLE_LOCALHOST_WARNING=false", "ANSIBLE_DUPLICATE_YAML_DICT_KEY=error", "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "WARNING") {
		t.Errorf("%v: %s", err, out)
	}
	shell := section(t, programReadme, "### Debian packages")
	for line := range strings.Lines(playbook) {
		if line = strings.TrimSpace(line); strings.Contains(line, "/etc/prosody/ppch.env") && !strings.Contains(shell, line) {
			t.Errorf("%q differs from the section on Debian packages", line)
		}
	}
	componenttest.Has(t, playbook, "ppch jitsi install --dir /etc/prosody", "Nothing to do.")
}
