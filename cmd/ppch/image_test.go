package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

const (
	imageCommit = "0123456789abcdef0123456789abcdef01234567"
	imageDate   = "2026-11-22T09:00:00Z"
)

// build builds the image with one of the two builders.
func (e *engine) build(buildKit bool, tag string, args ...string) {
	e.t.Helper()
	e.t.Setenv("DOCKER_BUILDKIT", map[bool]string{true: "1", false: "0"}[buildKit])
	e.docker(append([]string{
		"build", "--quiet", "--no-cache", "--tag", tag,
		"--build-arg", "VERSION=9.8.7", "--build-arg", "COMMIT=" + imageCommit, "--build-arg", "DATE=" + imageDate,
	}, append(args, ".")...)...)
}

// files returns the files of an image, without those that the engine adds to each container.
func (e *engine) files(image string) (names []string, program []byte) {
	e.t.Helper()
	container := e.docker("create", image)
	defer e.docker("rm", container)
	raw := must(exec.Command("docker", "export", container).Output())(e.t)
	archive := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return names, program
		} else if err != nil {
			e.t.Fatal(err)
		}
		top, _, _ := strings.Cut(h.Name, "/")
		switch top {
		case "dev", "etc", "proc", "sys", ".dockerenv":
			continue
		}
		names = append(names, h.Name)
		// A new volume mounted there gets this owner and mode.
		if want := "65532:65532 700"; h.Name == "data/" && fmt.Sprintf("%d:%d %o", h.Uid, h.Gid, h.Mode&0o777) != want {
			e.t.Errorf("/data: got %d:%d %o want %s", h.Uid, h.Gid, h.Mode, want)
		}
		if h.Name == "ppch" {
			program = must(io.ReadAll(archive))(e.t)
		}
	}
}

func TestImage_Runs(t *testing.T) {
	e := newEngine(t)
	e.build(false, "ppch:older-builder")
	e.build(true, "ppch:buildkit")

	names, program := e.files("ppch:buildkit")
	if got := fmt.Sprint(names); got != "[data/ ppch]" {
		t.Errorf("the image contains %s want only the program and an empty folder", got)
	}
	if _, older := e.files("ppch:older-builder"); sha256.Sum256(older) != sha256.Sum256(program) {
		t.Error("two builds of the same commit differ")
	}
	if got, want := e.inspect("ppch:buildkit", "{{.RootFS.Layers}}"), e.inspect("ppch:older-builder", "{{.RootFS.Layers}}"); got != want {
		t.Errorf("the layers differ: %s and %s", got, want)
	}
	size := must(strconv.Atoi(e.inspect("ppch:buildkit", "{{.Size}}")))(t)
	if t.Logf("%.1f MB", float64(size)/1e6); size > 26e6 {
		t.Errorf("got %d bytes want 26 MB at most", size)
	}
	if got, want := e.inspect("ppch:buildkit", "{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Healthcheck.Test}}"), "65532:65532 [/ppch] [CMD /ppch healthcheck]"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
	for label, want := range map[string]string{"title": "PPCH", "version": "9.8.7", "revision": imageCommit, "created": imageDate, "licenses": "MIT"} {
		if got := e.inspect("ppch:buildkit", `{{index .Config.Labels "org.opencontainers.image.`+label+`"}}`); got != want {
			t.Errorf("%s: got %q want %q", label, got, want)
		}
	}
	if got := e.docker("run", "--rm", "--read-only", "--network", "none", "ppch:buildkit", "version"); !strings.HasPrefix(got, "ppch 9.8.7 (0123456789ab, "+imageDate+") go") {
		t.Errorf("got %s", got)
	}

	e.build(true, "ppch:arm64", "--platform", "linux/arm64")
	if got := e.inspect("ppch:arm64", "{{.Os}}/{{.Architecture}}"); got != "linux/arm64" {
		t.Errorf("got %s want linux/arm64", got)
	}
	_, program = e.files("ppch:arm64")
	file := must(elf.NewFile(bytes.NewReader(program)))(t)
	if libraries, err := file.ImportedLibraries(); file.Machine != elf.EM_AARCH64 || err != nil || len(libraries) > 0 {
		t.Errorf("got a program for %s that needs %v want a static one for arm64", file.Machine, libraries)
	}
}

func TestImage_GoVersion(t *testing.T) {
	t.Parallel()
	_, wanted, _ := strings.Cut(ofTheProject(t, "go.mod"), "\ngo ")
	wanted, _, _ = strings.Cut(wanted, "\n")
	major, _, _ := strings.Cut(wanted[2:], ".")
	for _, name := range []string{"Dockerfile", "cmd/ppch-demo/Dockerfile"} {
		_, pinned, ok := strings.Cut(ofTheProject(t, name), "\nARG GO=")
		pinned, _, _ = strings.Cut(pinned, "\n")
		if parts := strings.Split(pinned, "."); !ok || len(parts) != 3 || parts[1] != major {
			t.Errorf("%s: got Go %q want a pinned release of the Go %s in go.mod", name, pinned, wanted)
		}
	}
	if _, err := os.Stat("../../.dockerignore"); err != nil {
		t.Error(err)
	}
}
