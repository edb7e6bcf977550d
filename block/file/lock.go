package file

import "fmt"

// inUse is the error for a lock that somebody else has; pid is empty if it is not known who.
func inUse(path, pid string) error {
	if pid != "" {
		pid = " (pid " + pid + ")"
	}
	return fmt.Errorf("%s: %w by another process%s", path, ErrInUse, pid)
}
