package cluster

import (
	"strings"
	"time"
)

// Wrap returns a sealed message with a body.
func Wrap(secret string, body []byte) []byte { return newSealer(secret).wrap(body) }

// OtherVersion returns a message of another version.
func OtherVersion(secret string, number string, body []byte) []byte {
	return []byte(strings.Replace(string(Wrap(secret, body)), magic+"1", magic+number, 1))
}

// Recode returns the body of a message that was decoded and encoded, and an error if it can't be decoded.
func Recode(body []byte) ([]byte, error) {
	m, err := decode(body)
	if err != nil {
		return nil, err
	}
	return m.encode(), nil
}

// Unwrap returns the body of a message.
func Unwrap(secret string, data []byte) ([]byte, error) { return newSealer(secret).unwrap(data) }

// Crash ends the connection as the end of the program does: without a word to the nodes.
func (c *Conn) Crash() { c.nats.Close() }

// ShiftClock returns a message as its sender sends it if its wall clock is ahead by d, and so are the times that it sends.
func ShiftClock(secret string, data []byte, d time.Duration) []byte {
	body, err := newSealer(secret).unwrap(data)
	if err != nil {
		return data
	}
	m, err := decode(body)
	if err != nil {
		return data
	}
	m.Time += d.Milliseconds()
	for i := range m.Deltas {
		if f := m.Deltas[i].Facts; f != nil && !f.CreatedAt.IsZero() {
			f.CreatedAt = f.CreatedAt.Add(d)
		}
		for k := range m.Deltas[i].Present {
			m.Deltas[i].Present[k].JoinedAt = m.Deltas[i].Present[k].JoinedAt.Add(d)
		}
	}
	return newSealer(secret).wrap(m.encode())
}
