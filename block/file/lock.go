package file

import (
	"fmt"
	"os"
	"strconv"
)

// inUse is the error for a lock that somebody else has; pid is empty if it is not known who.
func inUse(path, pid string) error {
	switch pid {
	case "":
		return fmt.Errorf("%s: %w by another process", path, ErrInUse)
	case strconv.Itoa(os.Getpid()):
		return fmt.Errorf("%s: %w: %w", path, ErrInUse, ErrTwice)
	}
	return fmt.Errorf("%s: %w by another process (pid %s)", path, ErrInUse, pid)
}
