package jitsi

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// networkOf returns Docker's name for Jitsi's network, "" if unknown.
func networkOf(project *types.Project, prosody types.ServiceConfig) string {
	keys := prosody.NetworksByPriority()
	if i := slices.Index(keys, "meet.jitsi"); i > 0 {
		keys[0] = keys[i]
	}
	if len(keys) == 0 {
		return ""
	}
	return project.Networks[keys[0]].Name
}

// networkSettings tell PPCH's docker-compose.yml about Jitsi's network: that it belongs to the same project if
// PPCH's settings are in Jitsi's own .env, else its name.
func networkSettings(s *site, jitsiEnv, network string) []setting {
	switch {
	case s.envFile == jitsiEnv:
		return []setting{{"PPCH_NETWORK_IS_EXTERNAL", "false"}}
	case network != "":
		return []setting{{"PPCH_NETWORK_EXTERNAL", network}}
	}
	return nil
}

// startInOwnFolder returns the commands that enter PPCH's folder and that start PPCH there as a project of its own, with its
// settings in s.envFile, and the docker compose command for later: without --env-file PPCH would start without settings.
func startInOwnFolder(s *site) (cd, compose, up string) {
	dir, name := filepath.Split(s.envFile)
	if name == ".env" && s.scope.exists(filepath.Join(dir, "docker-compose.yml")) {
		return "cd " + shellQuote(filepath.Clean(dir)), "docker compose", "docker compose up -d"
	}
	compose = "docker compose --env-file " + shellQuote(s.envFile)
	return "cd ~/ppch", compose, compose + " up -d    # ~/ppch: the folder with its docker-compose.yml; every command there needs --env-file"
}

// startInJitsiProject returns the same commands for PPCH as part of the project in dir, which consists of files.
// With -f Compose reads no default files, so that all must be listed.
func startInJitsiProject(dir string, files []string) (cd, compose, up string) {
	up = "docker compose"
	for _, file := range files {
		up += " -f " + shellQuote(relative(dir, file))
	}
	return "cd " + shellQuote(dir), "docker compose", up + " -f ~/ppch/docker-compose.yml up -d ppch    # ~/ppch: the folder of PPCH's docker-compose.yml"
}

// shellQuote quotes a word for a shell where necessary.
func shellQuote(word string) string {
	if needsNoQuotes.MatchString(word) && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
