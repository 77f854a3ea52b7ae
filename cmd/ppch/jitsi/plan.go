package jitsi

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// kind determines how a file is shown, and how changes to it are undone if it was edited later.
type kind string

const (
	kindModule kind = "module" // the Lua module
	kindConf   kind = "conf"   // conf.d/ppch.cfg.lua, which is all ours
	kindHost   kind = "host"   // the operator's Prosody configuration
	kindEnv    kind = "env"    // a .env file
)

// Plan is a list of changes to make. Making a plan only reads.
// It is not safe for concurrent use.
type Plan struct {
	// Title names the Jitsi found.
	Title string
	// Notes are warnings for the operator.
	Notes []string
	// Next are the commands to run afterwards, each from any folder.
	Next []string
	// Access says where the dashboard is then, and where the API key is; empty after uninstalling.
	Access string

	scope    *scope
	settings settings
	journal  *journal
	files    []*file
	mkdirs   []newDir
	madeDirs []string // directories made so far
	// uninstall means that the journal is removed at the end.
	uninstall bool
}

// newDir is a directory to make.
type newDir struct {
	path string
	owner
}

// file is a file before and after the plan.
type file struct {
	path string
	kind kind

	// before and after are its content, nil for no file.
	before, after []byte
	mode          fs.FileMode
	owner
	edits []edit
	// restore is what Uninstall writes, nil for no file. It is before unless PPCH was installed earlier.
	restore *state
}

func (f *file) changed() bool {
	return !bytes.Equal(f.before, f.after) || (f.before == nil) != (f.after == nil)
}

// edit is one change of a .env file.
type edit struct {
	// Key is the variable. List means that only an item was added to its value.
	Key  string `json:"key"`
	List bool   `json:"list,omitempty"`
	// Old and New are whole statements; Old is empty if there was none.
	Old string `json:"old,omitempty"`
	New string `json:"new"`
}

// heading is the comment above the lines added to a .env file.
const heading = "# PPCH shows who is in a room. Added by: ppch jitsi install"

// edit changes the variable key of a .env file by change.
func (f *file) edit(key string, list bool, change func(*EnvFile)) {
	e := ParseEnv(f.after)
	done := edit{Key: key, List: list}
	if i := e.lastIndex(key); i >= 0 {
		done.Old = e.items[i].text
	} else if !strings.Contains(string(f.after), heading) {
		if len(e.items) > 0 {
			e.appendLine("")
		}
		e.appendLine(heading)
		f.edits = append(f.edits, edit{New: e.items[len(e.items)-1].text})
	}
	change(e)
	done.New = e.items[e.lastIndex(key)].text
	f.after = e.Bytes()
	f.edits = append(f.edits, done)
}

// open adds a file to the plan, following links.
func (p *Plan) open(path string, k kind) (*file, error) {
	path, err := p.scope.resolve(path)
	if err != nil {
		return nil, suggestUser(err, ownerOrRoot)
	}
	for _, f := range p.files {
		if f.path == path {
			return f, nil
		}
	}
	f := &file{path: path, kind: k}
	data, info, err := p.scope.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, suggestUser(p.scope.withRemedy(err), ownerOrRoot)
	default:
		f.before, f.mode, f.owner = append([]byte{}, data...), info.Mode.Perm(), owner{info.UID, info.GID}
		f.after = append([]byte{}, data...)
	}
	p.files = append(p.files, f)
	return f, nil
}

// mkdir plans a directory unless it exists.
func (p *Plan) mkdir(path string, o owner) {
	if !p.scope.exists(path) {
		p.mkdirs = append(p.mkdirs, newDir{path, o})
	}
}

func (p *Plan) addNote(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

func (p *Plan) relative(path string) string { return relative(p.scope.dir, path) }

// Empty reports whether the plan changes nothing.
func (p *Plan) Empty() bool {
	for _, f := range p.files {
		if f.changed() {
			return false
		}
	}
	return len(p.mkdirs) == 0 && !p.uninstall
}

// lines splits text into lines, each with its line feed.
func lines(data []byte) (all []string) {
	for line := range strings.Lines(string(data)) {
		all = append(all, line)
	}
	return all
}
