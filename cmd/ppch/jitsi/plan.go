package jitsi

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// kind says how a file is shown, and how what was done to it is undone when somebody edited it since.
type kind string

const (
	kindModule kind = "module" // the Lua module
	kindConf   kind = "conf"   // conf.d/ppch.cfg.lua, all of which is ours
	kindHost   kind = "host"   // a file of Prosody's configuration that is the operator's
	kindEnv    kind = "env"    // a .env file
)

// Plan is what is to be done, and why. Making one only reads.
// It belongs to whoever asked for it and is not safe for concurrent use.
type Plan struct {
	// What names the Jitsi that was found.
	What string
	// Notes are for the operator, who may go on without heeding them.
	Notes []string
	// Next are the commands to type afterwards.
	Next []string

	g        *ground
	settings settings
	journal  *journal
	files    []*file
	mkdirs   []newDir
	made     []string // of these, so far
	// final means that the journal goes when all is done.
	final bool
}

// newDir is a directory that has to be made.
type newDir struct {
	path string
	owner
}

// file is a file as it is and as it is to be.
type file struct {
	path string
	kind kind

	// was is what is there now and data what is to be; nil means no such file.
	was, data []byte
	mode      fs.FileMode
	owner
	edits []edit
	// back is what uninstalling writes, nil for no file. It is was unless PPCH had been here before.
	back *state
}

func (f *file) changed() bool {
	return !bytes.Equal(f.was, f.data) || (f.was == nil) != (f.data == nil)
}

// edit is one change of a .env file.
type edit struct {
	// Key is the variable, and List whether only an item was added to its value.
	Key  string `json:"key"`
	List bool   `json:"list,omitempty"`
	// Old and New are the whole statement; Old is empty where there was none.
	Old string `json:"old,omitempty"`
	New string `json:"new"`
}

// heading stands above what is added to a .env file.
const heading = "# For PPCH, which tells who is in a room. Written by: ppch jitsi install"

// edit changes the variable key of a .env file by change.
func (f *file) edit(key string, list bool, change func(*EnvFile)) {
	e := ParseEnv(f.data)
	done := edit{Key: key, List: list}
	if i := e.last(key); i >= 0 {
		done.Old = e.items[i].text
	} else if !strings.Contains(string(f.data), heading) {
		if len(e.items) > 0 {
			e.appendLine("")
		}
		e.appendLine(heading)
		f.edits = append(f.edits, edit{New: e.items[len(e.items)-1].text})
	}
	change(e)
	done.New = e.items[e.last(key)].text
	f.data = e.Bytes()
	f.edits = append(f.edits, done)
}

// open takes a file into the plan, by the place that a link leads to.
func (p *Plan) open(path string, k kind) (*file, error) {
	path, err := p.g.place(path)
	if err != nil {
		return nil, withRights(err, "root, or as whoever owns it")
	}
	for _, f := range p.files {
		if f.path == path {
			return f, nil
		}
	}
	f := &file{path: path, kind: k}
	data, info, err := p.g.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, withRights(p.g.why(err), "root, or as whoever owns it")
	default:
		f.was, f.mode, f.owner = append([]byte{}, data...), info.Mode.Perm(), owner{info.UID, info.GID}
		f.data = append([]byte{}, data...)
	}
	p.files = append(p.files, f)
	return f, nil
}

// mkdir makes a directory part of the plan where there is none.
func (p *Plan) mkdir(path string, o owner) {
	if !p.g.there(path) {
		p.mkdirs = append(p.mkdirs, newDir{path, o})
	}
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

func (p *Plan) relative(path string) string { return relative(p.g.dir, path) }

// Empty tells whether nothing is to be done.
func (p *Plan) Empty() bool {
	for _, f := range p.files {
		if f.changed() {
			return false
		}
	}
	return len(p.mkdirs) == 0 && !p.final
}

// lines splits text into its lines, each with its line feed.
func lines(data []byte) (all []string) {
	for line := range strings.Lines(string(data)) {
		all = append(all, line)
	}
	return all
}
