package jitsi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"ppch/cmd/ppch/jitsi/folder"
)

// journal is what an installation did, in the directory .ppch beside what it installed to. It is written before
// anything else is, so that whatever is interrupted can be gone on with, or be undone.
type journal struct {
	g   *ground
	dir string
	// folder is that directory, and backup the one in it with files as they were; nil while they aren't there.
	folder, backup *folder.Dir
	was            []byte // as it was read, nil for none

	Format  int      `json:"format"`
	Records []record `json:"files"`
	// Dirs are the directories that were made.
	Dirs []string `json:"dirs,omitempty"`
	// Home is the directory that this is the journal of, by its ID: it counts for no other.
	// EnvFiles and AllowDirs are what the operator named.
	Home      string   `json:"home,omitempty"`
	EnvFiles  []string `json:"env_files,omitempty"`
	AllowDirs []string `json:"allow_dirs,omitempty"`
}

// record is what was done to one file.
type record struct {
	// Path is relative to the journal's directory's parent where the file is below that.
	Path string `json:"path"`
	Kind kind   `json:"kind"`
	// Before is what was there, nil for nothing; its content is in backup/ under its checksum.
	Before *state `json:"before"`
	// After is the checksum of what was written.
	After string `json:"after"`
	Edits []edit `json:"edits,omitempty"`
	// Lines are the checksums of the lines of a file that is all ours, without the space around them.
	Lines []string `json:"lines,omitempty"`
}

// state is a file's content, mode and owner.
type state struct {
	SHA256 string      `json:"sha256"`
	Mode   fs.FileMode `json:"mode"`
	UID    int         `json:"uid"`
	GID    int         `json:"gid"`

	data []byte
}

const (
	journalDir    = ".ppch"
	journalName   = "install.json"
	journalFormat = 1
	backupDir     = "backup"
)

// openJournal reads the journal in --dir. One that isn't there is empty.
func openJournal(g *ground) (*journal, error) {
	j := &journal{g: g, dir: filepath.Join(g.dir, journalDir), Format: journalFormat}
	top, err := g.OpenDir(g.dir)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	const who = "the user who installed, or as root"
	if j.folder, err = j.openDir(top, journalDir); err != nil || j.folder == nil {
		return j, withRights(err, who)
	}
	if j.backup, err = j.openDir(j.folder, backupDir); err != nil {
		return nil, withRights(err, who)
	}
	path := filepath.Join(j.dir, journalName)
	data, err := j.read(j.folder, journalName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return j, nil
	case err != nil:
		return nil, withRights(err, who)
	}
	j.was = data
	if err := json.Unmarshal(data, j); err != nil {
		return nil, fmt.Errorf("%s is not what this program writes (%w): restore it, or move %s away; its folder backup has the files as they were", path, err, j.dir)
	}
	if j.Format != journalFormat {
		return nil, fmt.Errorf("%s is of another version of ppch: use that one", path)
	}
	return j, nil
}

// remember notes what the operator named.
func (j *journal) remember(o Options) {
	j.Home = o.ground.id
	for _, path := range o.AllowDirs {
		if !slices.Contains(j.AllowDirs, path) {
			j.AllowDirs = append(j.AllowDirs, path)
		}
	}
	if o.EnvFile != "" && !slices.Contains(j.EnvFiles, o.EnvFile) {
		j.EnvFiles = append(j.EnvFiles, o.EnvFile)
	}
}

// openDir opens one of the journal's directories, nil where there is none. As root it has to be root's alone:
// by a journal of another user that one could have any file written or removed.
func (j *journal) openDir(in *folder.Dir, name string) (*folder.Dir, error) {
	d, err := in.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // that is what it says
	} else if err != nil {
		return nil, err
	}
	info, err := d.Info()
	if err == nil {
		err = onlyRoots(d.Path(), info)
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// read reads a file of the journal.
func (j *journal) read(in *folder.Dir, name string) ([]byte, error) {
	if in == nil {
		return nil, fs.ErrNotExist
	}
	data, info, err := in.Read(name)
	if err != nil {
		return nil, err
	}
	return data, onlyRoots(filepath.Join(in.Path(), name), info)
}

// onlyRoots returns an error, as root, for what another user may have written.
func onlyRoots(path string, info folder.Info) error {
	switch {
	case !isRoot():
	case !isRoots(info.UID):
		return fmt.Errorf("%s is of user %d, and root goes by a journal of its own alone: run this as that user, or move %s away", path, info.UID, journalDir)
	case info.Mode.Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written by others than root, who goes by a journal of its own alone: move %s away", path, journalDir)
	}
	return nil
}

// verify returns an error, as root, for a journal that names other files than an installation writes:
// the owner of --dir may have put that of another directory there.
// s is the Jitsi there, nil where none was recognised.
func (j *journal) verify(o Options, s *site) error {
	if !isRoot() {
		return nil
	}
	known := map[string]kind{filepath.Join(o.Dir, ".env"): kindEnv}
	dirs := map[string]bool{}
	add := func(path string, k kind) {
		if real, err := j.g.place(path); err == nil {
			known[real] = k
		}
	}
	for _, path := range append(o.recalled, o.EnvFile) {
		if path != "" {
			add(path, kindEnv)
		}
	}
	if s != nil {
		add(s.envFile, kindEnv)
		add(s.modulePath(), kindModule)
		add(filepath.Join(s.confDir, confName), kindConf)
		for _, path := range s.otherConfs() {
			add(path, kindHost)
		}
		dirs[s.confDir], dirs[s.pluginDir] = true, true
	}
	const unknown = "%s names %s, which is none of the files that an installation in %s writes: "
	path := filepath.Join(j.dir, journalName)
	for _, r := range j.Records {
		switch is := j.absolute(r.Path); {
		case known[is] == r.Kind:
		case r.Kind == kindEnv:
			return fmt.Errorf(unknown+"if it has PPCH's settings, add --env-file %s", path, is, o.Dir, shell(is))
		default:
			return fmt.Errorf(unknown+"if Jitsi's configuration was moved since, move it back, or move %s away", path, is, o.Dir, j.dir)
		}
	}
	for _, dir := range j.Dirs {
		if is := j.absolute(dir); !dirs[is] {
			return fmt.Errorf(unknown+"move %s away", path, is, o.Dir, j.dir)
		}
	}
	return nil
}

// empty tells whether nothing is installed.
func (j *journal) empty() bool { return len(j.Records) == 0 }

// find returns what was done to a file, or nil.
func (j *journal) find(path string) *record {
	for i := range j.Records {
		if j.absolute(j.Records[i].Path) == path {
			return &j.Records[i]
		}
	}
	return nil
}

func (j *journal) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(j.dir), path)
}

func checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// stateOf returns the state for content as it is to be found again.
func stateOf(data []byte, mode fs.FileMode, o owner) *state {
	return &state{SHA256: checksum(data), Mode: mode, UID: o.uid, GID: o.gid, data: data}
}

// content returns what a state's file held, which is checked.
func (j *journal) content(s *state) ([]byte, error) {
	if s.data != nil {
		return s.data, nil
	}
	data, err := j.read(j.backup, s.SHA256)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the backup is gone: %s", filepath.Join(j.dir, backupDir, s.SHA256))
	} else if err != nil {
		return nil, err
	}
	if checksum(data) != s.SHA256 {
		return nil, fmt.Errorf("the backup %s was changed, and is not what it was", filepath.Join(j.dir, backupDir, s.SHA256))
	}
	return data, nil
}

// add notes what is about to be done to a file.
func (j *journal) add(f *file) {
	r := record{Path: relative(filepath.Dir(j.dir), f.path), Kind: f.kind, Before: f.back, After: checksum(f.data), Edits: f.edits}
	if f.kind == kindConf {
		for _, line := range lines(f.data) {
			if line = strings.TrimSpace(line); line != "" {
				r.Lines = append(r.Lines, checksum([]byte(line)))
			}
		}
	}
	if old := j.find(f.path); old != nil {
		*old = r
		return
	}
	j.Records = append(j.Records, r)
}

// write writes backups and journal to the disk, so that what they record may begin.
func (j *journal) write() error {
	if err := j.make(); err != nil {
		return err
	}
	for _, r := range j.Records {
		if r.Before == nil || r.Before.data == nil {
			continue
		}
		if err := put(j.backup, r.Before.SHA256, r.Before.data); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return put(j.folder, journalName, append(data, '\n'))
}

// make makes the directories that aren't there.
func (j *journal) make() error {
	if j.folder == nil {
		top, err := j.g.OpenDir(filepath.Dir(j.dir))
		if err != nil {
			return err
		}
		defer top.Close()
		if j.folder, err = top.Mkdir(journalDir, 0o700, -1, -1); err != nil {
			return err
		}
	}
	if j.backup == nil {
		var err error
		if j.backup, err = j.folder.Mkdir(backupDir, 0o700, -1, -1); err != nil {
			return err
		}
	}
	return nil
}

// put writes a file for us alone.
func put(d *folder.Dir, name string, data []byte) error {
	s, err := d.Stage(name, data, 0o600, -1, -1)
	if err != nil {
		return err
	}
	return s.Replace()
}

// restore puts the journal back as it was read. Backups that were added since do no harm.
func (j *journal) restore() error {
	if j.was == nil {
		return j.remove()
	}
	return put(j.folder, journalName, j.was)
}

// remove removes journal and backups, which are the files in their two directories.
func (j *journal) remove() error {
	top, err := j.g.OpenDir(filepath.Dir(j.dir))
	if err != nil {
		return err
	}
	defer top.Close()
	for _, d := range []struct {
		in, dir *folder.Dir
		name    string
	}{{j.folder, j.backup, backupDir}, {top, j.folder, journalDir}} {
		if d.dir == nil {
			continue
		}
		names, err := d.dir.Names()
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := d.dir.Remove(name); err != nil {
				return err
			}
		}
		if err := d.in.RemoveDir(d.name); err != nil {
			return err
		}
	}
	return nil
}
