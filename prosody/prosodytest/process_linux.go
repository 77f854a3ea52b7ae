package prosodytest

import "syscall"

// procAttr gives the child its own process group. The kernel kills the child
// when the test process ends for any reason.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
