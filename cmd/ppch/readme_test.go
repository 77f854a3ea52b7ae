package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are all documents of the repository.
var documents = []string{
	topReadme, "CHANGELOG.md", apiReadme, programReadme, "cmd/ppch-bench/README.md", "component/README.md", "prosody/README.md", webhookReadme,
}

// prose returns a document without its code.
func prose(t *testing.T, document string) string {
	t.Helper()
	text := regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(ofTheProject(t, document), "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllStringFunc(text, func(code string) string { return strings.Map(dropPunctuation, code) })
}

// dropPunctuation keeps the characters that GitHub keeps of a heading.
func dropPunctuation(r rune) rune {
	if strings.ContainsRune("`[]()#*", r) {
		return -1
	}
	return r
}

var heading = regexp.MustCompile(`(?m)^(#{1,6}) (.+)$`)

// anchorOf returns GitHub's anchor of a heading.
func anchorOf(heading string) string {
	anchor := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(anchor, " ", "-")
}

// anchors returns the anchors of a document's headings of these ranks.
func anchors(t *testing.T, document string, ranks ...string) (all []string) {
	t.Helper()
	for _, m := range heading.FindAllStringSubmatch(prose(t, document), -1) {
		if len(ranks) == 0 || slices.Contains(ranks, m[1]) {
			all = append(all, anchorOf(m[2]))
		}
	}
	return all
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestReadme_LinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, document := range documents {
		for _, m := range link.FindAllStringSubmatch(prose(t, document), -1) {
			target, anchor, hasAnchor := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := document
			if target != "" {
				file = path.Join(path.Dir(document), target)
			}
			if _, err := os.Stat(filepath.Join("..", "..", file)); err != nil {
				t.Errorf("%s: the link to %s: %v", document, m[1], err)
				continue
			}
			if hasAnchor && !slices.Contains(anchors(t, file), anchor) {
				t.Errorf("%s: the link to %s: %s has no such heading", document, m[1], file)
			}
		}
	}
}

func TestReadme_TablesOfContentsAreComplete(t *testing.T) {
	t.Parallel()
	for _, document := range documents[2:] {
		contents, _, _ := strings.Cut(prose(t, document), "\n## ")
		var got []string
		for _, m := range link.FindAllStringSubmatch(contents, -1) {
			if anchor, ok := strings.CutPrefix(m[1], "#"); ok {
				got = append(got, anchor)
			}
		}
		for _, want := range anchors(t, document, "##") {
			if !slices.Contains(got, want) {
				t.Errorf("%s: the table of contents lacks #%s", document, want)
			}
		}
	}
}

// repositoryPath is code that names a file or folder of the repository.
var repositoryPath = regexp.MustCompile("`((?:api|cmd|component|prosody)/[a-z0-9_/.-]*)`")

func TestReadme_PathsExist(t *testing.T) {
	t.Parallel()
	for _, document := range documents {
		for _, m := range repositoryPath.FindAllStringSubmatch(ofTheProject(t, document), -1) {
			if _, err := os.Stat(filepath.Join("..", "..", m[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}

func TestReadme_IsShort(t *testing.T) {
	t.Parallel()
	if lines := strings.Count(ofTheProject(t, topReadme), "\n"); lines > 250 {
		t.Errorf("README.md has %d lines, want at most 250: move details to the folders' documents", lines)
	}
}

// The operator's quick start is the documented installation, which TestDocker… runs.
func TestReadme_QuickStartIsTheInstallation(t *testing.T) {
	t.Parallel()
	install := commandsIn(t, programReadme, "### docker-jitsi-meet")
	if len(install) != 3 {
		t.Fatalf("got %d blocks of commands, want the image, the installer and what that prints", len(install))
	}
	next := strings.Split(install[2], "\n")
	want := strings.Join(append(install[:2:2], next[:len(next)-1]...), "\n")
	if blocks := commandsIn(t, topReadme, "## Quick start"); !slices.Contains(blocks, want) {
		t.Errorf("got the blocks %q, want one of them to be\n%s", blocks, want)
	}
	_, doctor, _ := strings.Cut(next[len(next)-1], " && ")
	if doctor, _, _ = strings.Cut(doctor, "    #"); doctor == "" || !strings.Contains(ofTheProject(t, topReadme), doctor) {
		t.Errorf("README.md lacks %s", doctor)
	}
}

// The documented command installs, and prints the documented commands. TestDocker… runs all of them in containers.
func TestReadme_InstallerPrintsTheNextCommands(t *testing.T) {
	t.Parallel()
	commands := commandsIn(t, programReadme, "### docker-jitsi-meet")
	install, next := commands[1], commands[2]
	home := jitsiTree(t, "docker-stable-11146")
	check(t, os.Rename(filepath.Join(home, "jitsi"), filepath.Join(home, "docker-jitsi-meet")))
	put(t, filepath.Join(home, "ppch", "docker-compose.yml"), ofTheProject(t, "docker-compose.yml"))
	_, args, ok := strings.Cut(strings.ReplaceAll(install, "~", home), " ppch jitsi ")
	if !ok {
		t.Fatalf("got %s want a command that runs ppch jitsi", install)
	}
	out := must(command(t, nil, append([]string{"jitsi"}, strings.Fields(args)...)...))(t)
	if got, want := strings.TrimSpace(nextIn(t, out)), strings.ReplaceAll(next, "~", home); got != want {
		t.Errorf("it printed\n%s\nand the document has\n%s", got, want)
	}
}

// The most frequent reasons are rows of the whole table, which TestReadme_Reasons compares with the program.
func TestReadme_FrequentReasonsAreOfTheTable(t *testing.T) {
	t.Parallel()
	rows := func(text string) (rows []string) {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "| `") {
				rows = append(rows, line)
			}
		}
		return rows
	}
	all := rows(section(t, programReadme, "### Reasons"))
	frequent := rows(section(t, topReadme, "## Troubleshooting"))
	if len(frequent) != 5 {
		t.Errorf("got %d reasons want 5", len(frequent))
	}
	for _, row := range frequent {
		if !slices.Contains(all, row) {
			t.Errorf("%s has no row %s", programReadme, row)
		}
	}
}
