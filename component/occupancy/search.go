package occupancy

import "strings"

// Tenant returns a tenant as [Room] has it, given how people write it: Täst and t%c3%a4st are täst.
// It returns text that can't be a tenant as it is.
func Tenant(written string) string {
	group, err := tenant(written)
	if err != nil {
		return written
	}
	return group[1 : len(group)-1]
}

// Search returns which rooms, by their addresses, a search for text finds: those with text in their name, encoded or not,
// and the one that is shown as text, or has it for a JID. Case doesn't matter. An empty text finds all.
func (n *Names) Search(text string) func(address string) bool {
	if text == "" {
		return func(string) bool { return true }
	}
	shown := ""
	if j, err := n.Room(text); err == nil {
		// C++ is the room c, but who looks for C++ isn't looking for that.
		if name := n.Name(j); strings.Contains(text, "@") || strings.EqualFold(text, name) || strings.EqualFold(text, Readable(name)) {
			shown = j.String()
		}
	}
	written := strings.ToLower(text)
	decoded := strings.ToLower(decode(text))
	return func(address string) bool {
		if address == shown {
			return true
		}
		local, _, _ := strings.Cut(address, "@")
		name := strings.ToLower(decode(local))
		return strings.Contains(name, decoded) || strings.Contains(name, written) || strings.Contains(asPath(name), decoded)
	}
}

// asPath returns [tenant]room as it stands in a link, and any other name as it is.
func asPath(name string) string {
	if t := tenantOf(name); t != "" {
		return t + "/" + name[len(t)+2:]
	}
	return name
}
