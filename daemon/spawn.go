package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Report is what a background process says, as one line on its standard output, once it serves or cannot.
type Report struct {
	Array  *Array `json:"array,omitempty"`
	Error  string `json:"error,omitempty"`
	Status int    `json:"status,omitempty"` // exit status that goes with Error
}

// Send writes the report.
func (r Report) Send(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// Spawn runs this program with args as a process of its own, which outlives this one and has its files in the same folder, and
// waits for its Report. When ctx ends first the process is told to end.
func (f Folder) Spawn(ctx context.Context, args []string) (Report, error) {
	exe, err := os.Executable()
	if err != nil {
		return Report{}, err
	}
	c := exec.Command(exe, args...)
	c.Dir = os.TempDir() // not the caller's: that may be a mount to be unmounted
	if os.PathSeparator == '/' {
		c.Dir = "/"
	}
	c.Env = append(os.Environ(), "GRAID_RUNTIME_DIR="+f.path)
	detach(c)
	out, err := c.StdoutPipe()
	if err != nil {
		return Report{}, err
	}
	if err := c.Start(); err != nil {
		return Report{}, fmt.Errorf("starting the array's server: %w", err)
	}
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- line
	}()
	var line string
	select {
	case line = <-said:
	case <-ctx.Done():
		c.Process.Signal(os.Interrupt)
		line = <-said
	}
	if ctx.Err() != nil {
		c.Process.Signal(os.Interrupt) // it may have become ready in the meantime
		c.Wait()
		return Report{}, ctx.Err()
	}
	var r Report
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		c.Wait()
		return Report{}, errors.New("the array's server ended before it served: " + c.ProcessState.String())
	}
	if r.Array == nil {
		c.Wait()
	}
	return r, nil
}
