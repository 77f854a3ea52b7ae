//go:build unix && !linux

package folder

import "errors"

// As works on Linux only.
func As(int, int, func() error) error {
	return errors.New("this system can't assume the rights of another user: run this as that user")
}
