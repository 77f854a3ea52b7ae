package prosodytest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is one run of Prosody in a process group of its own.
// Safe for concurrent use once start has returned.
type process struct {
	cmd  *exec.Cmd
	done <-chan struct{} // closed when the process is gone and reaped
}

// start runs the command and returns when it is running.
func (p *process) start() (err error) {
	p.done, err = Tie(p.cmd)
	return err
}

// Tie starts cmd in a process group of its own, which Ctrl-C in a terminal does
// not reach, and on Linux ties its life to ours: it dies with us, however we do.
// gone is closed when the process has ended and cmd.ProcessState says how.
func Tie(cmd *exec.Cmd) (gone <-chan struct{}, err error) {
	cmd.SysProcAttr = procAttr()
	done, started := make(chan struct{}), make(chan error, 1)
	// This goroutine ends with the process.
	go func() {
		defer close(done)
		// The kernel ties the death signal of procAttr to the parent's thread, not to
		// its process. A thread locked here until the child is gone cannot end sooner.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		// The exit status is in cmd.ProcessState.
		_ = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("prosodytest: start %s: %w", cmd.Path, err)
	}
	return done, nil
}

// alive tells whether the process has not been reaped yet.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends sig to the whole group. A group that is gone is no error.
func (p *process) signal(sig syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	err := syscall.Kill(-p.cmd.Process.Pid, sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("prosodytest: send %v: %w", sig, err)
	}
	return nil
}

// kill ends the process at once and blocks until it is reaped.
// SIGKILL works on a stopped process too, so this does not hang.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// stop asks the process to leave, kills it after grace, and blocks until it is reaped.
func (p *process) stop(grace time.Duration) error {
	// A paused process would take the request only when resumed.
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
		if err := p.signal(sig); err != nil {
			return err
		}
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return p.kill()
	}
}
