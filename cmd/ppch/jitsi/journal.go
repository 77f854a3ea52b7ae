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
	"syscall"

	"ppch/cmd/ppch/jitsi/folder"
)

// journal records an installation, in the directory .ppch in --dir. It is written before any other file, so that
// an interrupted installation can be continued or undone.
type journal struct {
	scope *scope
	dir   string
	// folder is that directory, and backup its subdirectory with the original files; nil if they don't exist.
	folder, backup *folder.Dir
	original       []byte // as read, nil for none

	Format  int      `json:"format"`
	Records []record `json:"files"`
	// Dirs are the directories made.
	Dirs []string `json:"dirs,omitempty"`
	// Home is the ID of the journal's --dir; elsewhere EnvFiles and AllowDirs are ignored.
	// EnvFiles and AllowDirs are paths that the operator named.
	Home      string   `json:"home,omitempty"`
	EnvFiles  []string `json:"env_files,omitempty"`
	AllowDirs []string `json:"allow_dirs,omitempty"`
}

// record is the change of one file.
type record struct {
	// Path is relative to --dir if the file is below it.
	Path string `json:"path"`
	Kind kind   `json:"kind"`
	// Before is the original file, nil for none; its content is in backup/ under its checksum.
	Before *state `json:"before"`
	// After is the checksum of the content written.
	After string `json:"after"`
	Edits []edit `json:"edits,omitempty"`
	// Lines are the checksums of the trimmed lines of a file that is all ours.
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

// openJournal reads the journal in --dir, an empty one if there is none.
func openJournal(sc *scope) (*journal, error) {
	j := &journal{scope: sc, dir: filepath.Join(sc.dir, journalDir), Format: journalFormat}
	top, err := sc.OpenDir(sc.dir)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	const who = "the user who installed PPCH, or as root"
	if j.folder, err = j.openDir(top, journalDir); err != nil || j.folder == nil {
		return j, suggestUser(err, who)
	}
	if j.backup, err = j.openDir(j.folder, backupDir); err != nil {
		return nil, suggestUser(err, who)
	}
	path := filepath.Join(j.dir, journalName)
	data, err := j.read(j.folder, journalName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return j, nil
	case err != nil:
		return nil, suggestUser(err, who)
	}
	j.original = data
	if err := json.Unmarshal(data, j); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): restore it, or move %s away; its folder backup has the original files", path, err, j.dir)
	}
	if j.Format != journalFormat {
		return nil, fmt.Errorf("%s has format %d, not %d: use the ppch that wrote it", path, j.Format, journalFormat)
	}
	return j, nil
}

// recordOptions records the paths that the operator named.
func (j *journal) recordOptions(o Options) {
	j.Home = o.scope.id
	for _, path := range o.AllowDirs {
		if !slices.Contains(j.AllowDirs, path) {
			j.AllowDirs = append(j.AllowDirs, path)
		}
	}
	if o.EnvFile != "" && !slices.Contains(j.EnvFiles, o.EnvFile) {
		j.EnvFiles = append(j.EnvFiles, o.EnvFile)
	}
}

// openDir opens one of the journal's directories, nil if it doesn't exist. For root it must belong to root alone:
// with a forged journal another user could have any file written or removed.
func (j *journal) openDir(in *folder.Dir, name string) (*folder.Dir, error) {
	d, err := in.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("%s is a link or a file, but must be a directory: move it away", filepath.Join(in.Path(), name))
	case err != nil:
		return nil, err
	}
	info, err := d.Info()
	if err == nil {
		err = checkRootOwned(d.Path(), info)
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
	return data, checkRootOwned(filepath.Join(in.Path(), name), info)
}

// checkRootOwned returns an error if this runs as root and another user may have written a file.
func checkRootOwned(path string, info folder.Info) error {
	switch {
	case !isRoot():
	case !isRootUID(info.UID):
		return fmt.Errorf("%s belongs to user %d, but root trusts only its own journal: run this as that user, or move %s away", path, info.UID, journalDir)
	case info.Mode.Perm()&0o022 != 0:
		return fmt.Errorf("%s is writable by other users, but root trusts only its own journal: move %s away", path, journalDir)
	}
	return nil
}

// verify returns an error if this runs as root and the journal names files that no installation writes:
// the owner of --dir may have moved it there from another directory.
// s is the Jitsi in --dir, nil if there is none.
func (j *journal) verify(o Options, s *site) error {
	if !isRoot() {
		return nil
	}
	known := map[string]kind{filepath.Join(o.Dir, ".env"): kindEnv}
	dirs := map[string]bool{}
	add := func(path string, k kind) {
		if real, err := j.scope.resolve(path); err == nil {
			known[real] = k
		}
	}
	for _, path := range append(o.recordedEnvFiles, o.EnvFile) {
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
		for _, f := range s.main {
			if filepath.IsAbs(f.path) { // not a variable with such lines
				add(f.path, kindHost)
			}
		}
		dirs[s.confDir], dirs[s.pluginDir] = true, true
	}
	const unknown = "%s names %s, which an installation in %s doesn't write: "
	path := filepath.Join(j.dir, journalName)
	for _, r := range j.Records {
		switch file := j.absolute(r.Path); {
		case known[file] == r.Kind:
		case r.Kind == kindEnv:
			return fmt.Errorf(unknown+"if it has PPCH's settings, add --env-file %s", path, file, o.Dir, shellQuote(file))
		default:
			return fmt.Errorf(unknown+"if you have moved Jitsi's configuration, move it back, or move %s away", path, file, o.Dir, j.dir)
		}
	}
	for _, dir := range j.Dirs {
		if made := j.absolute(dir); !dirs[made] {
			return fmt.Errorf(unknown+"move %s away", path, made, o.Dir, j.dir)
		}
	}
	return nil
}

// empty reports whether nothing is installed.
func (j *journal) empty() bool { return len(j.Records) == 0 }

// find returns the record of a file, or nil.
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

// stateOf returns the state of a file with this content.
func stateOf(data []byte, mode fs.FileMode, o owner) *state {
	return &state{SHA256: checksum(data), Mode: mode, UID: o.uid, GID: o.gid, data: data}
}

// content returns the content of a backup, after checking it.
func (j *journal) content(s *state) ([]byte, error) {
	if s.data != nil {
		return s.data, nil
	}
	data, err := j.read(j.backup, s.SHA256)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the backup %s is missing: restore it", filepath.Join(j.dir, backupDir, s.SHA256))
	} else if err != nil {
		return nil, err
	}
	if checksum(data) != s.SHA256 {
		return nil, fmt.Errorf("the backup %s was changed, its checksum differs: restore it", filepath.Join(j.dir, backupDir, s.SHA256))
	}
	return data, nil
}

// add records the change of a file before it is made.
func (j *journal) add(f *file) {
	r := record{Path: relative(filepath.Dir(j.dir), f.path), Kind: f.kind, Before: f.restore, After: checksum(f.after), Edits: f.edits}
	if f.kind == kindConf {
		for _, line := range lines(f.after) {
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

// write writes backups and journal to disk, before any change that they record.
func (j *journal) write() error {
	if err := j.makeDirs(); err != nil {
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

// makeDirs makes the missing directories.
func (j *journal) makeDirs() error {
	if j.folder == nil {
		top, err := j.scope.OpenDir(filepath.Dir(j.dir))
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

// put writes a file that only we can read.
func put(d *folder.Dir, name string, data []byte) error {
	s, err := d.Stage(name, data, 0o600, -1, -1)
	if err != nil {
		return err
	}
	return s.Replace()
}

// restore restores the journal as read. Backups added since are harmless.
func (j *journal) restore() error {
	if j.original == nil {
		return j.remove()
	}
	return put(j.folder, journalName, j.original)
}

// remove removes the journal's two directories with all files in them.
func (j *journal) remove() error {
	top, err := j.scope.OpenDir(filepath.Dir(j.dir))
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
