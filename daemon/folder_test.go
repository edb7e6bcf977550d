//go:build unix

package daemon

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhere(t *testing.T) {
	env := map[string]string{}
	where := func(uid int) string {
		return Where(func(k string) string { return env[k] }, uid, "/tmp")
	}
	require.Equal(t, "/run/graid", where(0))
	require.Equal(t, "/tmp/graid-1000", where(1000))
	require.Equal(t, "/tmp/graid", where(-1))
	env["XDG_RUNTIME_DIR"] = "/run/user/7"
	require.Equal(t, "/run/user/7/graid", where(0))
	env["GRAID_RUNTIME_DIR"] = "/x"
	require.Equal(t, "/x", where(1000))
}

func TestOpenFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	f, err := LookFolder(dir)
	require.NoError(t, err)
	require.NoDirExists(t, dir, "who only looks makes nothing")
	names, err := f.Names()
	require.NoError(t, err)
	require.Empty(t, names)

	_, err = OpenFolder(dir)
	require.NoError(t, err)
	fi, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), fi.Mode().Perm())

	require.NoError(t, os.Chmod(dir, 0o770))
	_, err = OpenFolder(dir)
	require.ErrorContains(t, err, "others may write")
	fi, err = os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o770), fi.Mode().Perm(), "not ours to change")
}

func TestNames(t *testing.T) {
	for _, good := range []string{"md0", "a", "0", "a.b-c_d+e", strings.Repeat("n", MaxName)} {
		require.NoError(t, CheckName(good), good)
	}
	for _, bad := range []string{"", ".", "..", ".hidden", "-f", "a/b", "a b", "a\nb", "ä", "a:b", strings.Repeat("n", MaxName+1)} {
		require.Error(t, CheckName(bad), bad)
	}
}

// TestDeath: what tells of a dead process stays, whoever looks, tries or fails, until another has run or somebody says to forget it.
func TestDeath(t *testing.T) {
	f, err := OpenFolder(t.TempDir())
	require.NoError(t, err)
	die := func() {
		require.NoError(t, os.WriteFile(f.file("md0", "json"), []byte(`{"name":"md0","pid":7,"command":["assemble"]}`), 0o600))
		require.NoError(t, os.WriteFile(f.file("md0", "log"), []byte("last words"), 0o600))
		require.NoError(t, os.WriteFile(f.file("md0", "lock"), nil, 0o600))
	}
	dead := &State{Name: "md0", PID: 7, Command: []string{"assemble"}}
	die()
	for range 3 {
		require.Equal(t, dead, f.Died("md0"))
		names, err := f.Names()
		require.NoError(t, err)
		require.Equal(t, []string{"md0"}, names)
		all, err := f.All(t.Context())
		require.NoError(t, err)
		require.Equal(t, []Answer{{Name: "md0", Died: dead}}, all)
		c, err := f.Claim("md0") // of one that cannot start after all
		require.NoError(t, err)
		require.Nil(t, f.Died("md0"), "somebody has the name")
		c.Release()
	}
	_, err = f.Status(t.Context(), "md0")
	require.ErrorIs(t, err, ErrNotRunning)
	require.ErrorContains(t, err, "pid 7")
	require.FileExists(t, f.LogPath("md0"))
	left, err := f.Forget("md0")
	require.NoError(t, err)
	require.Equal(t, dead, left)
	require.Nil(t, f.Died("md0"))
	left, err = f.Forget("md0")
	require.NoError(t, err)
	require.Nil(t, left)

	die()
	c, err := f.Claim("md0")
	require.NoError(t, err)
	require.NoError(t, c.publish(State{Name: "md0", PID: 8}))
	c.Release()
	list, err := os.ReadDir(f.path)
	require.NoError(t, err)
	require.Empty(t, list)
}

// TestClaim: one holder at a time; a released name leaves nothing.
func TestClaim(t *testing.T) {
	f, err := OpenFolder(t.TempDir())
	require.NoError(t, err)
	c, err := f.Claim("md0")
	require.NoError(t, err)
	require.Zero(t, f.state("md0"))
	require.True(t, f.Taken("md0"))
	_, err = f.Claim("md0")
	require.ErrorIs(t, err, ErrTaken)
	other, err := f.Claim("md1")
	require.NoError(t, err)
	require.NoError(t, c.publish(State{Name: "md0", PID: 8}))
	require.Equal(t, 8, f.state("md0").PID)
	c.Release()
	other.Release()
	require.False(t, f.Taken("md0"))
	left, err := os.ReadDir(f.path)
	require.NoError(t, err)
	require.Empty(t, left)

	long, err := OpenFolder(filepath.Join(t.TempDir(), strings.Repeat("d", 120)))
	require.NoError(t, err)
	_, err = long.Claim("md0")
	require.ErrorContains(t, err, "too long for a socket")
}

func TestAddresses(t *testing.T) {
	for in, uri := range map[string]string{
		"unix:/run/x.nbd":     "nbd+unix:///md0?socket=/run/x.nbd",
		"unix:/a b&c=d+e%?#":  "nbd+unix:///md0?socket=/a%20b%26c%3Dd%2Be%25%3F%23",
		"tcp:127.0.0.1:10809": "nbd://127.0.0.1:10809/md0",
		"tcp:[::1]:1":         "nbd://[::1]:1/md0",
		"tcp:localhost:0":     "nbd://localhost:0/md0",
	} {
		a, err := ParseAddress(in)
		require.NoError(t, err, in)
		require.Equal(t, uri, a.URI("md0", false))
		again, err := ParseAddress(a.String())
		require.NoError(t, err)
		require.Equal(t, a, again)
	}
	require.Equal(t, "nbd://127.0.0.1:1/a%20b/c%3F", Address{"tcp", "127.0.0.1:1"}.URI("a b/c?", false))
	for _, in := range []string{"", "unix:", "tcp:", "tcp:127.0.0.1", "tcp::10809x", "tcp:127.0.0.1:x", "tcp:127.0.0.1:65536", "tcp:127.0.0.1:-1", "tcp:127.0.0.1:+1", "udp:127.0.0.1:1", "/run/x"} {
		_, err := ParseAddress(in)
		require.Error(t, err, in)
	}
}

// TestListen: a dead socket is replaced, a live one and a file are not.
func TestListen(t *testing.T) {
	dir, err := os.MkdirTemp("", "graid-l-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	a := Address{"unix", filepath.Join(dir, "s")}
	l, err := a.Listen()
	require.NoError(t, err)
	fi, err := os.Stat(a.At)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	_, err = a.Listen()
	require.ErrorContains(t, err, "somebody serves there")
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	l, err = a.Listen()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoError(t, os.WriteFile(a.At, nil, 0o600))
	_, err = a.Listen()
	require.ErrorContains(t, err, "a file is in the way")
}

// TestRing: who asks late gets the last ringLen events, numbered; who follows is woken.
func TestRing(t *testing.T) {
	r := newRing()
	_, _, more := r.since(0)
	r.add(Event{Event: "0"})
	<-more
	for range ringLen {
		r.add(Event{Event: "x"})
	}
	list, next, more := r.since(0)
	require.Len(t, list, ringLen)
	require.Equal(t, int64(1), list[0].Number)
	require.Equal(t, int64(ringLen+1), next)
	list, next, _ = r.since(ringLen + 1)
	require.Empty(t, list)
	require.Equal(t, int64(ringLen+1), next)
	list, next, _ = r.since(1 << 40) // a number from the future: from now on
	require.Empty(t, list)
	require.Equal(t, int64(ringLen+1), next)
	select {
	case <-more:
		t.Fatal("nothing happened")
	default:
	}
}

// TestSilence: a socket nobody accepts on is told from one that is not there.
func TestSilence(t *testing.T) {
	dir, err := os.MkdirTemp("", "graid-s-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	f, err := OpenFolder(dir)
	require.NoError(t, err)
	_, err = f.Status(context.Background(), "md0")
	require.ErrorIs(t, err, ErrNotRunning)
	l, err := net.Listen("unix", f.file("md0", "sock"))
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = f.Status(ctx, "md0")
	require.ErrorContains(t, err, "does not answer")
}

// TestEndlessAnswer: who answers without an end is not listened to without an end.
func TestEndlessAnswer(t *testing.T) {
	dir, err := os.MkdirTemp("", "graid-s-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	f, err := OpenFolder(dir)
	require.NoError(t, err)
	l, err := net.Listen("unix", f.file("md0", "sock"))
	require.NoError(t, err)
	sent := 0
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		more := []byte(strings.Repeat("x", 64<<10))
		for n, err := w.Write([]byte(`{"name":"`)); err == nil && sent < 64<<20; n, err = w.Write(more) {
			sent += n
		}
	})}
	go server.Serve(l)
	_, err = f.Scrub(context.Background(), "md0", "check", ScrubOptions{})
	require.ErrorContains(t, err, "longer than 4194304 bytes")
	require.NoError(t, server.Shutdown(context.Background()))
	require.Less(t, sent, 16<<20)
}
