package jitsi

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// networkOf returns the name that Docker knows Jitsi's network by, "" if that can't be told.
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

// besideJitsi returns what PPCH's docker-compose.yml has to know of Jitsi's network: that it is the same project's, where
// PPCH's settings are in Jitsi's own .env, or else its name.
func besideJitsi(s *site, jitsiEnv, network string) []setting {
	switch {
	case s.envFile == jitsiEnv:
		return []setting{{"PPCH_NETWORK_IS_EXTERNAL", "false"}}
	case network != "":
		return []setting{{"PPCH_NETWORK_EXTERNAL", network}}
	}
	return nil
}

// upInOwnFolder returns what starts PPCH as a project of its own, with its settings in s.envFile, and the Compose that finds it there:
// whoever leaves out --env-file later starts it without any setting.
func upInOwnFolder(s *site) (up, compose string) {
	envFile := s.envFile
	dir, name := filepath.Split(envFile)
	if name == ".env" && s.g.there(filepath.Join(dir, "docker-compose.yml")) {
		return "cd " + shell(filepath.Clean(dir)) + " && docker compose up -d", "docker compose"
	}
	compose = "docker compose --env-file " + shell(envFile)
	return "cd ~/ppch && " + compose + " up -d    # ~/ppch: where its docker-compose.yml is; --env-file belongs to every command there", compose
}

// upInJitsisProject returns what starts PPCH, and nothing else, as a part of the project in dir, which these files make.
// With -f Compose reads no further file by itself, so that each has to be named.
func upInJitsisProject(dir string, files []string) string {
	up := "docker compose"
	for _, file := range files {
		up += " -f " + shell(relative(dir, file))
	}
	return up + " -f ~/ppch/docker-compose.yml up -d ppch    # ~/ppch: where PPCH's is"
}

// shell returns a word for a shell.
func shell(word string) string {
	if needsNoQuotes.MatchString(word) && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
