//go:build unix

package targets

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block/file"
	"graid/daemon"
	"graid/raid/md"
)

// folder is a runtime folder with a name short enough for sockets.
func folder(t testing.TB) daemon.Folder {
	dir, err := os.MkdirTemp("", "graid-fuzz-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	f, err := daemon.OpenFolder(dir)
	require.NoError(t, err)
	return f
}

// FuzzAddress: an address that is accepted prints as itself, is served in the clear on this machine alone, and its URI names socket and export.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"unix:/run/a b.nbd", "unix:rel?&=#%", "tcp:127.0.0.1:10809", "tcp:[::1]:0", "tcp:localhost:1", "tcp:0.0.0.0:1", "tcp::1", "tcp:[::ffff:127.0.0.1]:9",
		"tcp:127.0.0.1:http", "unix:", "tcp:[fe80::1%lo]:1"} {
		f.Add(s, "tank")
	}
	f.Add("unix:/x", "a/b?c#d%00 é")
	f.Fuzz(func(t *testing.T, s, export string) {
		a, err := daemon.ParseAddress(s)
		if err != nil {
			require.Zero(t, a)
			return
		}
		again, err := daemon.ParseAddress(a.String())
		require.NoError(t, err)
		require.Equal(t, a, again)
		u, err := url.Parse(a.URI(export, false))
		require.NoError(t, err)
		require.Equal(t, "/"+export, u.Path)
		if a.Network == "unix" {
			require.True(t, filepath.IsAbs(a.At))
			require.Equal(t, a.At, u.Query().Get("socket"))
			return
		}
		require.Equal(t, a.At, u.Host)
		host, _, err := net.SplitHostPort(a.At)
		require.NoError(t, err)
		local := host == "localhost" || net.ParseIP(host).IsLoopback()
		require.Equal(t, local, daemon.TLS{}.Allows(a) == nil, host)
	})
}

// FuzzState: whatever a dead process left in the runtime folder, it is told, as often as asked, or passed over.
func FuzzState(f *testing.F) {
	dir := folder(f)
	for _, s := range []string{`{"name":"md0","pid":7,"uris":["nbd://x"],"members":["a"],"started":"2026-11-21T04:00:00Z"}`, `{"name":7}`, `{"pid":1e99}`, "", "[]", `{"name":"x","started":"soon"}`} {
		f.Add("md0", []byte(s))
	}
	f.Add("../x", []byte("{}"))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if daemon.CheckName(name) != nil {
			return
		}
		require.Equal(t, name, filepath.Base(name))
		for kind, content := range map[string][]byte{"lock": nil, "json": b[:min(len(b), 4096)], "log": b} {
			require.NoError(t, os.WriteFile(filepath.Join(dir.Path(), name+"."+kind), content, 0o600))
		}
		var want daemon.State
		_ = json.Unmarshal(b[:min(len(b), 4096)], &want)
		list, err := dir.All(context.Background())
		require.NoError(t, err)
		if want.Name == "" {
			require.Empty(t, list)
		} else {
			require.Len(t, list, 1)
			require.Equal(t, &want, list[0].Died)
		}
		again, err := dir.All(context.Background())
		require.NoError(t, err)
		require.Equal(t, list, again)
		require.NoError(t, os.RemoveAll(filepath.Join(dir.Path(), name+".json")))
	})
}

// FuzzAnswer gives the client of a running array any bytes for an answer.
func FuzzAnswer(f *testing.F) {
	dir := folder(f)
	l, err := net.Listen("unix", filepath.Join(dir.Path(), "md0.sock"))
	require.NoError(f, err)
	f.Cleanup(func() { l.Close() })
	next := make(chan []byte, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = c.Write(<-next)
			c.Close()
		}
	}()
	for _, s := range []string{`{"name":"md0","size_bytes":1,"members":[{"path":null,"role":null}]}`, `{"size_bytes":1e40}`, `{"sync":{"eta_seconds":-1}}`, "[", ""} {
		f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n" + s))
	}
	f.Add([]byte("HTTP/1.1 500 x\r\n\r\n{\"error\":\"why\"}"))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nid: 4\nevent: fail\ndata: {}\n\nid: x\ndata: 1\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), 4096)]
		Allocates(t, len(b), func() {
			next <- b
			a, err := dir.Status(ctx, "md0")
			for _, m := range a.Members {
				_ = m.Name()
			}
			require.True(t, err == nil || !strings.Contains(err.Error(), "pid 0"), "%v", err)
		})
		next <- b
		_ = dir.Events(ctx, "md0", 0, func(int64, json.RawMessage) {})
	})
}

// FuzzControl posts any bodies to a running array: it answers each with JSON, an error in one line, and runs on.
func FuzzControl(f *testing.F) {
	dir := folder(f)
	paths := []string{filepath.Join(dir.Path(), "a.img"), filepath.Join(dir.Path(), "b.img")}
	spec := md.Spec{Level: 1, RaidDevices: 2, Rand: rand.New(rand.NewSource(7)), AssumeClean: true, Created: time.Unix(1e9, 0)}
	draft, err := spec.Draft([]md.NewMember{{Size: 4 << 20}, {Size: 4 << 20}})
	require.NoError(f, err)
	for i, path := range paths {
		require.NoError(f, os.WriteFile(path, make([]byte, 4<<20), 0o600))
		dev, err := file.Open(path, file.Options{})
		require.NoError(f, err)
		require.NoError(f, draft.Write(ctx, i, dev))
		require.NoError(f, dev.Close())
	}
	p, err := daemon.Start(ctx, daemon.Config{Folder: dir, Name: "md0", Members: paths})
	require.NoError(f, err)
	f.Cleanup(func() {
		done, cancel := context.WithCancel(ctx)
		cancel()
		_ = p.Wait(done)
	})
	c := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(dir.Path(), "md0.sock"))
	}}}
	f.Cleanup(c.CloseIdleConnections)
	for _, s := range []string{`{"member":"a.img"}`, `{"member":""}`, `{"member":"../b.img\n"}`, `{"mem`, `{"force":"yes"}`, `{"other":1}`, `{}`, `null`, strings.Repeat("[", 3000)} {
		for where := range uint8(4) {
			f.Add(where, []byte(s))
		}
	}
	f.Add(uint8(2), []byte(`{"rules":["a.img read [0,+4K) media count=1","* stuck"]}`))
	f.Add(uint8(3), []byte(`{"ids":[1,-1]}`))
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		where := []string{"fail", "stop", "inject", "inject/clear"}[which%4]
		if where == "stop" {
			var q struct{ Force bool }
			if json.NewDecoder(strings.NewReader(string(body))).Decode(&q) == nil {
				body = append([]byte("x"), body...) // it would stop
			}
		}
		answer, err := c.Post("http://graid/"+where, "application/json", strings.NewReader(string(body)))
		require.NoError(t, err)
		b, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		var said struct{ Error string }
		require.NoError(t, json.Unmarshal(b, &said), "%s", b)
		require.Contains(t, []int{200, 400, 422, 500}, answer.StatusCode)
		require.Equal(t, answer.StatusCode == 200, said.Error == "")
		if where == "inject" {
			answer, err := c.Post("http://graid/inject/clear", "application/json", strings.NewReader("{}"))
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, 200, answer.StatusCode)
		}
		status, err := dir.Status(ctx, "md0")
		require.NoError(t, err, fmt.Sprintf("after %q", body))
		require.Equal(t, "md0", status.Name)
	})
}
