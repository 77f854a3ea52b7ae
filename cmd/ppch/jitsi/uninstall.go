package jitsi

import (
	"fmt"
	"slices"
	"strings"

	"ppch/prosody"
)

// Uninstall plans to remove PPCH from the Jitsi in o.Dir. It restores each file byte for byte; from a file that was
// edited later, it removes only what was installed. Uninstall itself only reads.
func Uninstall(o Options) (*Plan, error) {
	o, err := o.absolute()
	if err != nil {
		return nil, err
	}
	j, err := openJournal(o.scope)
	if err != nil {
		return nil, err
	}
	o = o.withRecorded(j)
	if n := len(o.recordedEnvFiles); o.EnvFile == "" && n > 0 {
		o.EnvFile = o.recordedEnvFiles[n-1] // the next steps need it
	}
	s, notJitsi := detect(o)
	if notJitsi != nil {
		s = nil
	}
	if err := j.verify(o, s); err != nil && notJitsi != nil {
		return nil, fmt.Errorf("%w\n%w", notJitsi, err)
	} else if err != nil {
		return nil, err
	}
	if j.empty() {
		return nil, fmt.Errorf("%s has no .ppch/install.json: PPCH was not installed there, or is uninstalled already", o.Dir)
	}
	p := &Plan{Title: o.Dir, scope: o.scope, journal: j, uninstall: true}
	// In reverse order: files that name the module come first.
	for _, r := range slices.Backward(j.Records) {
		path := j.absolute(r.Path)
		if !isRoot() && !p.scope.Has(path) {
			// Jitsi's configuration has moved, or is gone. Our own rights limit what this can touch.
			if _, _, err := p.scope.Add("/", p.scope.trustsLinks); err != nil {
				return nil, p.scope.withRemedy(err)
			}
		}
		f, err := p.open(path, r.Kind)
		if err != nil {
			return nil, err
		}
		if f.before == nil {
			if r.Before != nil {
				p.addNote("%s was deleted; not restored.", r.Path)
			}
			continue
		}
		if r.Before != nil && checksum(f.before) == r.Before.SHA256 {
			continue // restored by an earlier, interrupted run
		}
		data, kept, err := j.withoutChanges(&r, f.before)
		if err != nil {
			return nil, err
		}
		f.after = data
		if r.Before != nil && checksum(f.before) == r.After {
			f.mode, f.owner = r.Before.Mode, owner{r.Before.UID, r.Before.GID}
		}
		p.Notes = append(p.Notes, kept...)
	}
	// If Jitsi is gone, there is nothing to restart.
	if s != nil {
		p.Next = s.afterUninstall
	}
	return p, nil
}

// withoutChanges returns a file without the recorded changes, nil for no file, and notes on what stays.
func (j *journal) withoutChanges(r *record, now []byte) (data []byte, kept []string, err error) {
	if checksum(now) == r.After {
		if r.Before == nil {
			return nil, nil, nil
		}
		data, err = j.content(r.Before)
		return data, nil, err
	}
	edited := r.Path + " was edited after the installation: "
	switch r.Kind {
	case kindEnv:
		data, kept = withoutEdits(r, now)
		kept = append([]string{edited + "removing only what was added."}, kept...)
	case kindHost:
		data, kept = disableModule(now), []string{edited + "removing only the module's name."}
	case kindConf:
		data, kept = withoutLines(r, now, edited)
	default:
		data, kept = now, []string{edited + "it stays, but nothing loads it."}
	}
	if r.Before == nil && strings.TrimSpace(string(data)) == "" {
		data = nil
	}
	return data, kept, nil
}

// withoutEdits reverts the edits of a .env file.
func withoutEdits(r *record, now []byte) (data []byte, kept []string) {
	e := ParseEnv(now)
	for _, d := range slices.Backward(r.Edits) {
		i := e.lastIndex(d.Key)
		if d.Key == "" {
			i = slices.IndexFunc(e.items, func(item envItem) bool { return item.text == d.New })
		}
		switch {
		case i < 0:
		case e.items[i].text == d.New && d.Old != "":
			e.items[i] = nextItem(d.Old)
		case e.items[i].text == d.New:
			e.remove(i)
			if d.Key == "" && i > 0 && strings.TrimSpace(e.items[i-1].text) == "" {
				e.remove(i - 1)
			}
		case d.List:
			e.RemoveFromList(d.Key, prosody.ModuleName)
		default:
			kept = append(kept, fmt.Sprintf("%s in %s was changed after the installation and stays.", d.Key, r.Path))
		}
	}
	return e.Bytes(), kept
}

// withoutLines removes our lines from a file that was all ours.
func withoutLines(r *record, now []byte, edited string) (data []byte, kept []string) {
	left := []string{}
	for _, line := range lines(now) {
		if !slices.Contains(r.Lines, checksum([]byte(strings.TrimSpace(line)))) {
			left = append(left, line)
		}
	}
	data = []byte(strings.Join(left, ""))
	if _, err := parseLua(r.Path, data); err != nil {
		return now, []string{edited + "your changes can't be separated from ours, so it stays. Remove it yourself and restart Prosody."}
	}
	if strings.TrimSpace(string(data)) == "" {
		return nil, nil
	}
	return data, []string{edited + "your lines stay:\n" + strings.TrimRight(string(mask(kindConf, data, nil)), "\n")}
}
