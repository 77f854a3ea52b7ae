package cluster

import "strings"

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
