package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/fuzz/targets"
	"graid/nbd"
)

// FuzzClient gives the client any bytes for what a server says, from the greeting on or behind a handshake in which it said what it should. Every
// call ends; what it says was read came over the wire; no memory beside the buffers changes; a few bytes take little memory.
func FuzzClient(f *testing.F) {
	t := &testing.T{}
	// The cookies of the four requests: see link.seat.
	for _, lines := range [][]string{
		{"simple:0:4096", "fill:64:11", "simple:5:4097", "simple:0:4098"},
		{"chunk:0:DATA:4096 8:0 fill:32:11", "chunk:DONE:HOLE:4096 8:32 4:32", "chunk:DONE:STATUS:4097 4:7 4:64 4:3", "chunk:DONE:NONE:4098"},
		{`chunk:DONE:ERROR:4096 4:5 2:3 "why"`, "chunk:DONE:ERROR:4097 4:22 2:0", "simple:0:4098", "chunk:DONE:DATA:4099 8:0x80000 fill:20000:22"},
		{"chunk:0:DATA:4096 8:0 fill:32:11", "chunk:DONE:DATA:4096 8:0 fill:32:11"}, // half of it twice
		{"chunk:0:DATA:4099 8:0x84e1f fill:1:11", "chunk:0:HOLE:4099 8:0x80000 4:19999", "chunk:DONE:NONE:4099"},
		{"chunk:DONE:HOLE:4096 8:0 4:0xffffffff"}, {"chunk:DONE:DATA:4096:0xffffffff 8:0"}, {"chunk:DONE:STATUS:4097:0x100000 4:7"}, {"simple:0:9"},
		{"chunk:0:STATUS:4097 4:7 4:32 4:0 4:4096 4:1", "chunk:DONE:STATUS:4097 4:7 4:64 4:0"},
	} {
		var b []byte
		for _, line := range lines {
			b = append(b, encode(t, line)...)
		}
		f.Add(b, true, false)
		f.Add(b, false, false)
	}
	for _, lines := range [][]string{
		{"hello", "rep:STRUCTURED_REPLY:ACK", `rep:SET_META_CONTEXT:META 4:7 "base:allocation"`, "rep:SET_META_CONTEXT:ACK", "rep:0x47524944:ERR_UNSUP", "rep:GO:REP_INFO 2:0 8:0x100000 2:0xd6d", "rep:GO:REP_INFO 2:3 4:512 4:4096 4:0x10000", "rep:GO:ACK"},
		{"hello", "rep:STRUCTURED_REPLY:ERR_UNSUP", "rep:0x47524944:0x47524944 2:1 2:1 2:0 2:0 fill:16:77 8:3 8:0 4:1000 4:0", "rep:0x47524944:ACK", "rep:GO:REP_INFO 2:0 8:0x100000 2:0xd6d", "rep:GO:ACK"},
		{"hello", "rep:STRUCTURED_REPLY:ERR_UNSUP", "rep:0x47524944:0x47524944 2:1 2:1 2:0 2:0 fill:16:00 8:0 8:0 4:1000", "rep:0x47524944:ACK"},
		{"hello", "rep:STRUCTURED_REPLY:ERR_UNSUP", "rep:GO:REP_INFO 2:0 8:0xffffffffffffffff 2:0xd6d", "rep:GO:ACK"},
		{"hello", "rep:STRUCTURED_REPLY:ERR_UNSUP", "rep:GO:REP_INFO 2:3 4:0 4:3 4:1", "rep:GO:ACK"},
		{"hello", "rep:STRUCTURED_REPLY:ACK:0xffffffff"}, {`"NBDMAGIC"`, "8:0x00420281861253"},
	} {
		var b []byte
		for _, line := range lines {
			b = append(b, encode(t, line)...)
		}
		f.Add(b, true, true)
	}
	f.Fuzz(func(t *testing.T, in []byte, structured, all bool) {
		in = bytes.ReplaceAll(in[:min(len(in), 32<<10)], []byte{0xA5}, []byte{0x5A})
		var before []byte
		if !all {
			lines := []string{"hello", "rep:STRUCTURED_REPLY:ERR_UNSUP"}
			if structured {
				lines = []string{"hello", "rep:STRUCTURED_REPLY:ACK", `rep:SET_META_CONTEXT:META 4:7 "base:allocation"`, "rep:SET_META_CONTEXT:ACK"}
			}
			for _, line := range append(lines, extension...) {
				before = append(before, encode(t, line)...)
			}
			before = append(before, encode(t, "rep:GO:REP_INFO 2:0 8:0x100000 2:0xd6d")...)
			before = append(before, encode(t, "rep:GO:ACK")...)
		}
		targets.Allocates(t, len(in)+64<<10, func() { fuzzed(t, slices.Concat(before, in), len(before), structured, all) })
	})
}

// extension is what the server of the fuzz targets says to the options that only graid has.
var extension = []string{"rep:0x47524944:ERR_UNSUP"}

// fuzzed is one run of a client whose server says in; it does not say more than open bytes before all requests were sent.
func fuzzed(t *testing.T, in []byte, open int, structured, all bool) {
	nc := &script{in: in, done: make(chan struct{}), out: said[:0]}
	if !all {
		nc.gate, nc.open = make(chan struct{}), open
	}
	var once sync.Once
	c, err := nbd.Dial(ctx, "nbd://host/disk", nbd.Options{Reconnect: -1, Timeout: 20 * time.Second, Dial: func(context.Context, string, string) (dialled net.Conn, err error) {
		err = errors.New("once is enough")
		once.Do(func() { dialled, err = nc, nil })
		return dialled, err
	}})
	if err != nil {
		require.True(t, all, "%v", err)
		return
	}
	small, large := newFenced(64), newFenced(20000)
	var asked sync.WaitGroup
	sent := nc.written()
	ask := func(do func()) {
		asked.Go(do)
		for !all && nc.written() == sent {
			time.Sleep(time.Microsecond)
		}
		sent = nc.written()
	}
	info := c.Info()
	read := func(f fenced, off int64) func() {
		return func() {
			if int64(len(f.mem)) > info.Size || off+int64(len(f.mem)) > info.Size || info.Block > 1 {
				return
			}
			if block.ReadAt(ctx, c, f.mem, off) == nil && bytes.IndexByte(f.mem, 0xA5) >= 0 {
				t.Errorf("a read of %d bytes: not all of it was received", len(f.mem))
			}
		}
	}
	ask(read(small, 0))
	if structured && !all {
		ask(func() {
			list, err := c.Extents(ctx, 0, 64, nil)
			total := int64(0)
			for _, e := range list {
				total += e.Len
			}
			if err == nil && total != 64 {
				t.Errorf("extents of %d bytes for 64", total)
			}
		})
	}
	ask(func() { _ = block.Sync(ctx, c) })
	ask(read(large, 512<<10))
	if nc.gate != nil {
		close(nc.gate)
	}
	asked.Wait()
	require.NoError(t, c.Close())
	small.check(t)
	large.check(t)
}

// written is how much was said to it.
func (c *script) written() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)
}
