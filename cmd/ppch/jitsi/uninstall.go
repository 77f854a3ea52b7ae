package jitsi

import (
	"fmt"
	"slices"
	"strings"

	"ppch/prosody"
)

// Uninstall plans what takes PPCH away from the Jitsi in o.Dir: every file as it was before, byte by byte,
// if nobody changed it since; otherwise without what this program put there. It reads and changes nothing.
func Uninstall(o Options) (*Plan, error) {
	o, err := o.absolute()
	if err != nil {
		return nil, err
	}
	j, err := openJournal(o.ground)
	if err != nil {
		return nil, err
	}
	o = o.recall(j)
	s, notJitsi := recognise(o)
	if notJitsi != nil {
		s = nil
	}
	if err := j.verify(o, s); err != nil && notJitsi != nil {
		return nil, fmt.Errorf("%w\n%w", notJitsi, err)
	} else if err != nil {
		return nil, err
	}
	if j.empty() {
		return nil, fmt.Errorf("%s has no .ppch/install.json: \"ppch jitsi install\" was not run there, or it is undone already", o.Dir)
	}
	p := &Plan{What: o.Dir, g: o.ground, journal: j, final: true}
	// The other way round: what names the module goes first.
	for _, r := range slices.Backward(j.Records) {
		path := j.absolute(r.Path)
		if !isRoot() && !p.g.Has(path) {
			// Jitsi has another configuration by now, or none: our own rights are what bounds this.
			if _, _, err := p.g.Add("/", p.g.trusts); err != nil {
				return nil, p.g.why(err)
			}
		}
		f, err := p.open(path, r.Kind)
		if err != nil {
			return nil, err
		}
		if f.was == nil {
			if r.Before != nil {
				p.note("%s is gone, and is not brought back.", r.Path)
			}
			continue
		}
		if r.Before != nil && checksum(f.was) == r.Before.SHA256 {
			continue // put back already, by a run that didn't come to its end
		}
		data, kept, err := j.undo(&r, f.was)
		if err != nil {
			return nil, err
		}
		f.data = data
		if r.Before != nil && checksum(f.was) == r.After {
			f.mode, f.owner = r.Before.Mode, owner{r.Before.UID, r.Before.GID}
		}
		p.Notes = append(p.Notes, kept...)
	}
	// Jitsi may have been changed, or be gone; then there is nothing to say.
	if s != nil {
		p.Next = s.undone
	}
	return p, nil
}

// undo returns what a file is without what was done to it, nil for no file, and tells what stays of what was.
func (j *journal) undo(r *record, now []byte) (data []byte, kept []string, err error) {
	if checksum(now) == r.After {
		if r.Before == nil {
			return nil, nil, nil
		}
		data, err = j.content(r.Before)
		return data, nil, err
	}
	edited := r.Path + " was edited since the installation: "
	switch r.Kind {
	case kindEnv:
		data, kept = withoutEdits(r, now)
		kept = append([]string{edited + "only what was added is taken out."}, kept...)
	case kindHost:
		data, kept = disableModule(now), []string{edited + "only the module's name is taken out."}
	case kindConf:
		data, kept = withoutLines(r, now, edited)
	default:
		data, kept = now, []string{edited + "it stays, and nothing loads it."}
	}
	if r.Before == nil && strings.TrimSpace(string(data)) == "" {
		data = nil
	}
	return data, kept, nil
}

// withoutEdits takes back the edits of a .env file.
func withoutEdits(r *record, now []byte) (data []byte, kept []string) {
	e := ParseEnv(now)
	for _, d := range slices.Backward(r.Edits) {
		i := e.last(d.Key)
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
			kept = append(kept, fmt.Sprintf("%s in %s was changed since, and stays.", d.Key, r.Path))
		}
	}
	return e.Bytes(), kept
}

// withoutLines takes out of the file that was ours the lines that still are.
func withoutLines(r *record, now []byte, edited string) (data []byte, kept []string) {
	left := []string{}
	for _, line := range lines(now) {
		if !slices.Contains(r.Lines, checksum([]byte(strings.TrimSpace(line)))) {
			left = append(left, line)
		}
	}
	data = []byte(strings.Join(left, ""))
	if _, err := parseLua(r.Path, data); err != nil {
		return now, []string{edited + "it can't be told apart what is yours, so it stays. Remove it yourself, and restart Prosody."}
	}
	if strings.TrimSpace(string(data)) == "" {
		return nil, nil
	}
	return data, []string{edited + "these lines of yours stay:\n" + strings.TrimRight(string(mask(kindConf, data, nil)), "\n")}
}
