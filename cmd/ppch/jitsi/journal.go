package jitsi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// journal is what an installation did, in the directory .ppch beside what it installed to. It is written before
// anything else is, so that whatever is interrupted can be gone on with, or be undone.
type journal struct {
	dir string
	was []byte // as it was read, nil for none

	Format  int      `json:"format"`
	Records []record `json:"files"`
	// Dirs are the directories that were made.
	Dirs []string `json:"dirs,omitempty"`
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
)

// openJournal reads the journal of dir. One that isn't there is empty.
func openJournal(dir string) (*journal, error) {
	j := &journal{dir: filepath.Join(dir, journalDir), Format: journalFormat}
	path := filepath.Join(j.dir, journalName)
	data, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return j, nil
	case err != nil:
		return nil, fmt.Errorf("%w: run this as whoever installed, or as root", err)
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
		return path
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
	path := filepath.Join(j.dir, "backup", s.SHA256)
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("the backup is gone: %w", err)
	}
	if checksum(data) != s.SHA256 {
		return nil, fmt.Errorf("the backup %s was changed, and is not what it was", path)
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

// write writes backups and journal to the disk, so that what they tell of may begin.
func (j *journal) write() error {
	backup := filepath.Join(j.dir, "backup")
	if err := os.MkdirAll(backup, 0o700); err != nil {
		return err
	}
	for _, r := range j.Records {
		if r.Before == nil || r.Before.data == nil {
			continue
		}
		if err := renameio.WriteFile(filepath.Join(backup, r.Before.SHA256), r.Before.data, 0o600, renameio.WithTempDir(backup)); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(j.dir, journalName), append(data, '\n'), 0o600, renameio.WithTempDir(j.dir))
}

// restore puts the journal back as it was read. Backups that were added since do no harm.
func (j *journal) restore() error {
	if j.was == nil {
		return j.remove()
	}
	return renameio.WriteFile(filepath.Join(j.dir, journalName), j.was, 0o600, renameio.WithTempDir(j.dir))
}

// remove removes journal and backups.
func (j *journal) remove() error { return os.RemoveAll(j.dir) }
