package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shortDir is a folder whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "graid-t-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// started is a graid that runs beside the test.
type started struct {
	*exec.Cmd
	pipe io.Closer
	out  *bufio.Reader
	err  *bytes.Buffer
}

func start(t *testing.T, dir string, args ...string) *started {
	t.Helper()
	c := exec.Command(graidBinary, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GRAID_RUNTIME_DIR="+filepath.Join(dir, "run"), "TMPDIR="+dir)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	s := &started{c, out, bufio.NewReader(out), &bytes.Buffer{}}
	c.Stderr = s.err
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		if c.ProcessState == nil {
			c.Process.Kill()
			c.Wait()
		}
	})
	return s
}

// line is the next line that it prints.
func (s *started) line(t *testing.T) string {
	t.Helper()
	l, err := s.out.ReadString('\n')
	require.NoError(t, err, s.err)
	return strings.TrimSpace(l)
}

// ends sends the signal and wants this exit status.
func (s *started) ends(t *testing.T, sig os.Signal, status int) {
	t.Helper()
	require.NoError(t, s.Process.Signal(sig))
	go io.Copy(io.Discard, s.out)
	s.Wait()
	require.Equal(t, status, s.ProcessState.ExitCode(), s.err)
}
