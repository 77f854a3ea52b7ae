package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ppch/cmd/ppch/jitsi/folder"
	"ppch/component/componenttest"
)

func anyone(int) bool { return true }

func me(uid int) bool { return uid == os.Geteuid() }

// newSet returns a set with one known folder, and the path of a folder outside it.
func newSet(t *testing.T, trust func(int) bool) (s *folder.Set, known, outside string) {
	t.Helper()
	root := must(filepath.EvalSymlinks(t.TempDir()))(t)
	known, outside = filepath.Join(root, "known"), filepath.Join(root, "outside")
	for _, dir := range []string{known, outside, filepath.Join(known, "sub")} {
		check(t, os.Mkdir(dir, 0o755))
	}
	write(t, filepath.Join(known, "file"), "inside")
	write(t, filepath.Join(known, "sub", "file"), "below")
	write(t, filepath.Join(outside, "file"), "outside")
	s = folder.New(trust)
	t.Cleanup(s.Close)
	must2(s.Add(known, anyone))(t)
	return s, known, outside
}

func write(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), 0o644))
}

func link(t *testing.T, target, path string) {
	t.Helper()
	check(t, os.Symlink(target, path))
}

func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

var check = componenttest.Check

func must2[T, U any](v T, _ U, err error) func(testing.TB) T { return must(v, err) }

func TestSet_FollowsTrustedLinksThatEndInside(t *testing.T) {
	t.Parallel()
	s, known, outside := newSet(t, me)
	for _, tt := range []struct{ name, target, rest, want string }{
		{"relative", "file", "", "inside"},
		{"absolute", filepath.Join(known, "sub", "file"), "", "below"},
		{"a folder", "sub", "file", "below"},
		{"an absolute folder", filepath.Join(known, "sub"), "file", "below"},
		{"up and down", "sub/../../known/file", "", "inside"},
		{"a chain", "relative", "", "inside"},
		{"the folder itself", known, "file", "inside"},
		{"out", "../outside/file", "", "is a link out of the allowed folders, to " + filepath.Join(outside, "file")},
		{"out by a chain", "out", "", "is a link out of the allowed folders"},
		{"out absolutely", filepath.Join(outside, "file"), "", "is a link out of the allowed folders"},
		{"out by a folder", outside, "file", "is a link out of the allowed folders"},
		{"a ring", "a ring", "", "too many levels"},
		{"a pipe elsewhere", "/dev/zero", "", "is a pipe or a device, not a file"},
		{"nowhere", "gone", "", "no such file"},
	} {
		path := filepath.Join(known, tt.name)
		link(t, tt.target, path)
		data, _, err := s.Read(filepath.Join(path, tt.rest))
		if got := string(data); got != tt.want && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %q, %v want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestSet_OnlyTrustedLinksAreFollowed(t *testing.T) {
	t.Parallel()
	s, known, _ := newSet(t, func(int) bool { return false })
	link(t, "file", filepath.Join(known, "link"))
	link(t, "sub", filepath.Join(known, "dir"))
	for _, path := range []string{"link", "dir/file"} {
		var refused *folder.LinkError
		if _, _, err := s.Read(filepath.Join(known, path)); !errors.As(err, &refused) || refused.Outside || refused.UID != os.Geteuid() {
			t.Errorf("%s got %v want the link refused", path, err)
		}
	}
	if _, _, err := folder.New(anyone).Add(filepath.Join(known, "dir"), func(int) bool { return false }); err == nil || !strings.Contains(err.Error(), "is a link of user") {
		t.Errorf("a folder added by a link got %v want it refused", err)
	}
}

func TestSet_PathsOutsideAreRefused(t *testing.T) {
	t.Parallel()
	s, known, outside := newSet(t, anyone)
	for _, path := range []string{outside + "/file", known + "/../outside/file", known + "x", "/etc/passwd", "file", "", known + "/sub/../../outside/file"} {
		var refused *folder.OutsideError
		if _, _, err := s.Read(path); !errors.As(err, &refused) {
			t.Errorf("%q got %v want it outside", path, err)
		}
	}
	if _, _, err := s.Read(known + "/file\x00"); err == nil {
		t.Error("a NUL byte in a path got no error")
	}
	if _, _, err := s.Read(known); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("the folder itself got %v want EISDIR", err)
	}
}

// The open folder counts, not the one that has replaced it.
func TestSet_KnowsAFolderAndNotItsName(t *testing.T) {
	t.Parallel()
	s, known, outside := newSet(t, anyone)
	check(t, os.Rename(known, known+".away"))
	link(t, outside, known)
	if data, _, err := s.Read(filepath.Join(known, "file")); string(data) != "inside" {
		t.Errorf("got %q, %v want the original folder's file", data, err)
	}
}

func TestDir_NamesLeadNowhereElse(t *testing.T) {
	t.Parallel()
	s, known, outside := newSet(t, anyone)
	d := must(s.OpenDir(known))(t)
	defer d.Close()
	link(t, filepath.Join(outside, "file"), filepath.Join(known, "link"))
	link(t, outside, filepath.Join(known, "dir"))
	if data, _, err := d.Read("link"); err == nil {
		t.Errorf("a link was read: %q", data)
	}
	if _, err := d.Open("dir"); err == nil {
		t.Error("a link was opened as a folder")
	}
	for _, name := range []string{"", ".", "..", "../outside/file", "sub/file", "a\x00b"} {
		_, _, err := d.Read(name)
		_, err2 := d.Stage(name, nil, 0o600, -1, -1)
		_, err3 := d.Mkdir(name, 0o700, -1, -1)
		if err == nil || err2 == nil || err3 == nil || d.Remove(name) == nil || d.RemoveDir(name) == nil {
			t.Errorf("%q was accepted as a name", name)
		}
	}
	if got := string(must(os.ReadFile(filepath.Join(outside, "file")))(t)); got != "outside" {
		t.Errorf("got %q want it unchanged", got)
	}
}

func TestDir_ReadsRegularFilesOnly(t *testing.T) {
	t.Parallel()
	s, known, _ := newSet(t, anyone)
	d := must(s.OpenDir(known))(t)
	defer d.Close()
	check(t, syscall.Mkfifo(filepath.Join(known, "pipe"), 0o600))
	write(t, filepath.Join(known, "nul"), "A=1\x00")
	write(t, filepath.Join(known, "large"), "")
	check(t, os.Truncate(filepath.Join(known, "large"), folder.MaxSize+1))
	for name, want := range map[string]string{
		"pipe": "is a pipe or a device, not a file", "sub": "is a directory", "nul": "byte 3 is NUL",
		"large": "is too large: 16777217 bytes", "gone": "no such file",
	} {
		_, _, err := d.Read(name)
		_, err2 := folder.ReadFile(filepath.Join(known, name))
		for _, err := range []error{err, err2} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s got %v want %q", name, err, want)
			}
		}
	}
}

func TestStage_ReplacesAtOnceAndLeavesNothing(t *testing.T) {
	t.Parallel()
	s, known, outside := newSet(t, anyone)
	d := must(s.OpenDir(known))(t)
	defer d.Close()
	link(t, filepath.Join(outside, "file"), filepath.Join(known, "link"))
	for _, name := range []string{"file", "link", "new"} {
		staged := must(d.Stage(name, []byte("written"), 0o640, -1, -1))(t)
		if data, _, _ := d.Read(name); string(data) == "written" {
			t.Errorf("%s was replaced too early", name)
		}
		check(t, staged.Replace())
		data, info, err := d.Read(name)
		if string(data) != "written" || info.Mode != 0o640 {
			t.Errorf("%s got %q, %s, %v", name, data, info.Mode, err)
		}
	}
	must(d.Stage("file", nil, 0o600, -1, -1))(t).Discard()
	must(d.Stage("file", nil, 0o600, -1, -1))(t) // a run that is killed
	write(t, filepath.Join(known, ".file.1"), "")
	d.Sweep("file")
	names := must(d.Names())(t)
	if len(names) != 5 {
		t.Errorf("got %q want file, link, new, sub and .file.1", names)
	}
	if got := string(must(os.ReadFile(filepath.Join(outside, "file")))(t)); got != "outside" {
		t.Errorf("got %q through a link", got)
	}
}

func TestStage_NoticesWhatIsSwapped(t *testing.T) {
	t.Parallel()
	s, known, outside := newSet(t, anyone)
	d := must(s.OpenDir(known))(t)
	defer d.Close()
	staged := must(d.Stage("file", []byte("a secret"), 0o600, -1, -1))(t)
	for _, name := range must(d.Names())(t) {
		if strings.HasPrefix(name, ".file") {
			check(t, os.Remove(filepath.Join(known, name)))
			link(t, filepath.Join(outside, "file"), filepath.Join(known, name))
		}
	}
	if err := staged.Replace(); err == nil || !strings.Contains(err.Error(), "another process replaced it") {
		t.Errorf("got %v want an error", err)
	}
	info := must(os.Stat(filepath.Join(outside, "file")))(t)
	if got := string(must(os.ReadFile(filepath.Join(outside, "file")))(t)); got != "outside" || info.Mode() != 0o644 {
		t.Errorf("got %q %s want it unchanged", got, info.Mode())
	}
}

func TestDir_RootReadsNoHardLinkToAFileOfAnother(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s, known, outside := newSet(t, anyone)
	check(t, os.Link(filepath.Join(outside, "file"), filepath.Join(known, "hard")))
	check(t, os.Chown(known, 65534, 65534))
	if _, _, err := s.Read(filepath.Join(known, "hard")); err == nil || !strings.Contains(err.Error(), "is a hard link to a file of user 0: put a copy there") {
		t.Errorf("got %v want it refused", err)
	}
}

func TestAs_ReadsWithTheRightsOfAnother(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	_, known, outside := newSet(t, anyone)
	check(t, os.Chmod(filepath.Join(outside, "file"), 0o600))
	for dir := known; dir != "/"; dir = filepath.Dir(dir) {
		if info := must(os.Stat(dir))(t); info.Mode()&0o001 == 0 {
			check(t, os.Chmod(dir, 0o755))
		}
	}
	err := folder.As(65534, 65534, func() error {
		if _, err := folder.ReadFile(filepath.Join(known, "file")); err != nil {
			return err
		}
		_, err := folder.ReadFile(filepath.Join(outside, "file"))
		return err
	})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("root's file got %v want a permission error", err)
	}
	if _, err := folder.ReadFile(filepath.Join(outside, "file")); err != nil {
		t.Errorf("after As got %v want our own rights back", err)
	}
}
