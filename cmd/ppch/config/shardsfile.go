package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ppch/component/occupancy"
)

// maxShardsFile is the maximum size of the file: enough for thousands of shards.
const maxShardsFile = 1 << 20

// LoadShards reads the file of shards and the files of their secrets. The error names each wrong line.
func (s Settings) LoadShards() ([]Shard, error) {
	text, err := readShards(s.ShardsFile)
	if err != nil {
		return nil, err
	}
	shards, err := parseShards(text)
	p := &parser{}
	if err != nil {
		p.problems = append(p.problems, err.Error())
	}
	for i := range shards {
		shard := &shards[i]
		if shard.Via != ViaXMPP || !shard.Retired.IsZero() {
			continue
		}
		shard.Settings = occupancy.LineSettings(shard.Name)
		if shard.secretFile != "" {
			shard.Secret = p.secret("shard "+shard.Name+": secret", Secret{}, shard.secretFile, "it is the component_secret in Prosody's configuration")
			continue
		}
		if s.ComponentSecret.Reveal() == "" && s.ComponentSecretFile == "" {
			p.problem("shard "+shard.Name, "secret_file= is missing, and PPCH_COMPONENT_SECRET is not set: name the file with the component_secret in Prosody's configuration")
			continue
		}
		shard.Settings.Secret = s.secretSetting()
		shard.Secret = p.secret("PPCH_COMPONENT_SECRET", s.ComponentSecret, s.ComponentSecretFile, "it is the component_secret in Prosody's configuration")
	}
	if len(p.problems) > 0 {
		return shards, errors.New(strings.ReplaceAll(strings.Join(p.problems, "\n"), "secret_FILE", "secret_file"))
	}
	return shards, nil
}

// secretSetting returns what the operator calls the component's secret, unless it is that of a single shard.
func (s Settings) secretSetting() string {
	if s.ComponentSecretFile != "" {
		return "the file of PPCH_COMPONENT_SECRET_FILE"
	}
	return "PPCH_COMPONENT_SECRET"
}

// ShardsOfFile reads the file of shards alone, without their secrets.
func (s Settings) ShardsOfFile() ([]Shard, error) {
	text, err := readShards(s.ShardsFile)
	if err != nil {
		return nil, err
	}
	return parseShards(text)
}

func readShards(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a file", path)
	case info.Size() > maxShardsFile:
		return "", fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), maxShardsFile)
	}
	text, err := os.ReadFile(path) // #nosec G304 -- the operator names it
	return string(text), err
}

// RetireShard writes retired= into the line of a shard, with a time. The rest of the file stays as it is.
func (s Settings) RetireShard(name string, at time.Time) error {
	if s.ShardsFile == "" {
		return errors.New("PPCH_SHARDS_FILE is not set: set it to the file with the shards")
	}
	text, err := readShards(s.ShardsFile)
	if err != nil {
		return fmt.Errorf("PPCH_SHARDS_FILE: %w", err)
	}
	text, err = retireLine(text, name, at)
	if err != nil {
		return fmt.Errorf("%s: %w", s.ShardsFile, err)
	}
	err = replaceFile(s.ShardsFile, text)
	if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: where the file can be written, add retired=%s to the line of %s", err, at.UTC().Format(time.RFC3339), name)
	}
	return err
}

// retireLine returns the text of a file of shards in which one is retired.
func retireLine(text, name string, at time.Time) (string, error) {
	shards, err := parseShards(text)
	if err != nil {
		return "", err
	}
	inService := 0
	var names []string
	for _, s := range shards {
		names = append(names, s.Name)
		if s.Name == name {
			if !s.Retired.IsZero() {
				return "", fmt.Errorf("shard %s is retired since %s", name, s.Retired.Format(time.RFC3339))
			}
		}
		if s.Retired.IsZero() {
			inService++
		}
	}
	switch {
	case !slices.Contains(names, name):
		return "", fmt.Errorf("no shard is named %q: use %s", name, strings.Join(names, " or "))
	case inService == 1:
		return "", fmt.Errorf("%s is the only shard in service: add another first, or stop ppch", name)
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		body := strings.TrimRight(line, "\r\n")
		if s, err := parseShard(strings.TrimPrefix(body, "\ufeff")); err == nil && s.Name == name {
			line = strings.TrimRight(body, " \t") + " retired=" + at.UTC().Format(time.RFC3339) + line[len(body):]
		}
		out.WriteString(line)
	}
	return out.String(), nil
}

// replaceFile replaces the text of a file in one step, or in place where it is a mount of its own.
func replaceFile(path, text string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(path), ".ppch-shards-*")
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err == nil {
		_, err = next.WriteString(text)
		err = errors.Join(err, next.Chmod(info.Mode().Perm()), next.Sync(), next.Close())
		if err == nil {
			err = os.Rename(next.Name(), path)
		}
		if err == nil {
			return nil
		}
		_ = os.Remove(next.Name()) // it may be gone
	}
	return os.WriteFile(path, []byte(text), info.Mode().Perm()) // #nosec G304 -- the operator names it
}
