package prosodytest

import "syscall"

// procAttr gives the child its own process group and lets the kernel kill it
// when the test process dies, however it dies.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
