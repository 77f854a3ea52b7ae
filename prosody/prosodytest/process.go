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

// process is a run of Prosody in its own process group.
// Safe for concurrent use once start has returned.
type process struct {
	cmd  *exec.Cmd
	done <-chan struct{} // closed when the process has ended and is reaped
}

// start starts the command.
func (p *process) start() (err error) {
	p.done, err = Tie(p.cmd)
	return err
}

// Tie starts cmd in its own process group, which Ctrl-C in a terminal does not
// reach. On Linux the kernel kills it when our process ends for any reason.
// gone is closed when the process has ended and cmd.ProcessState is set.
func Tie(cmd *exec.Cmd) (gone <-chan struct{}, err error) {
	cmd.SysProcAttr = procAttr()
	done, started := make(chan struct{}), make(chan error, 1)
	// This goroutine ends with the process.
	go func() {
		defer close(done)
		// The kernel sends the death signal of procAttr when the parent's thread ends,
		// not its process. Locking the thread keeps it alive until the child ends.
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

// alive reports whether the process has not been reaped yet.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends sig to the process group. A missing group is no error.
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
// It does not hang, because SIGKILL also works on a paused process.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// stop asks the process to end, kills it after grace, and blocks until it is reaped.
func (p *process) stop(grace time.Duration) error {
	// A paused process handles SIGTERM only after SIGCONT.
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
