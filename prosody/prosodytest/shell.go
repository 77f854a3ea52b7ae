package prosodytest

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// nsShell is the namespace of prosodyctl shell's stream; see util/adminstream.lua.
const nsShell = "xmpp:prosody.im/admin"

// Shell runs a line in Prosody's admin shell and returns its output and result,
// as lines. Examples:
//
//	module:reload("muc", "muc.meet.jitsi")
//	> collectgarbage("count")
//
// A line that begins with ">" is Lua in Prosody's own global environment.
// It returns an error result as an error.
// Each call has its own session, so calls may be concurrent.
func (s *Server) Shell(ctx context.Context, line string) (string, error) {
	st, done, err := dial(ctx, "unix", s.socketPath())
	if err != nil {
		return "", fmt.Errorf("prosodytest: connect to the shell: %w", err)
	}
	defer st.conn.Close()
	out, err := st.ask(line)
	if !done() && err != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return "", fmt.Errorf("prosodytest: shell: %s: %w", line, err)
	}
	return out, nil
}

// socketPath is outside the data folder to keep it short: the kernel's limit is
// about 100 bytes.
func (s *Server) socketPath() string { return filepath.Join(s.site.Dir, "shell") }

func (s *stream) ask(line string) (string, error) {
	if _, err := s.open("", nsShell); err != nil {
		return "", err
	}
	if err := s.send("<repl-input>" + Escape(line) + "</repl-input>"); err != nil {
		return "", err
	}
	var lines []string
	for {
		st, err := s.next()
		if err != nil {
			return "", err
		}
		var text string
		if err := xml.Unmarshal([]byte(st.XML), &text); err != nil {
			return "", err
		}
		if text != "" {
			lines = append(lines, text)
		}
		switch {
		case st.Name != "repl-result":
		case st.Type == "error":
			return "", errors.New(strings.Join(lines, "\n"))
		default:
			return strings.Join(lines, "\n"), nil
		}
	}
}
