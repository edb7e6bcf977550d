package main

import (
	"context"
	"fmt"

	"graid/daemon"
)

func growVerb() verb {
	return verb{
		name:  "grow",
		args:  "NAME --bitmap internal|none",
		short: "give a running array a write-intent bitmap, or take it away",
		long: `Adds an internal write-intent bitmap to the running array, or removes it, as "mdadm --grow --bitmap" does; writes wait for a moment. With
one, a resync after a crash covers only what was being written, and a member that was away is given only what it missed. Each piece has a bit,
which is set before the first write to it, and cleared some seconds after the last.`,
		flags: []flag{
			{name: "bitmap", short: "b", value: "internal|none", usage: "what the array is to have"},
			bitmapChunkFlag,
			{name: "timeout", value: "SECONDS", usage: "how long to wait for the server (default: 30)"},
			{name: "json", usage: "print JSON"},
		},
		run: grow,
	}
}

var bitmapChunkFlag = flag{name: "bitmap-chunk", value: "SIZE", usage: "of the array, or of each member, per bit of the bitmap: a power of two (default: 64M, or more where bits have no room)"}

func grow(c *call) error {
	name, err := c.oneName()
	if err != nil {
		return err
	}
	bitmap, err := c.oneOf("bitmap", "", "internal", "none")
	if err != nil {
		return err
	}
	if bitmap == "" {
		return usage("grow: give --bitmap internal or --bitmap none: the bitmap is all that can be changed yet")
	}
	chunk, err := c.bitmapChunk()
	if err != nil {
		return err
	}
	if chunk > 0 && bitmap == "none" {
		return usage("grow: --bitmap-chunk is of no use with --bitmap none: leave it out")
	}
	timeout, err := c.seconds("timeout", patience)
	if err != nil {
		return err
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	var a daemon.Array
	err = c.patiently(folder, name, "change the bitmap", timeout, func(ctx context.Context) (err error) {
		if bitmap == "none" {
			a, err = folder.RemoveBitmap(ctx, name)
		} else {
			a, err = folder.AddBitmap(ctx, name, chunk)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case c.has("json"):
		return printJSON(c.out, a)
	case a.Bitmap == nil:
		_, err = fmt.Fprintln(c.out, name+": has no bitmap now: a resync after a crash covers all of it")
	default:
		_, err = fmt.Fprintf(c.out, "%s: has an internal bitmap now: %s\n", name, bitmapWords(*a.Bitmap))
	}
	return err
}

// bitmapChunk reads --bitmap-chunk, in bytes; none given is 0.
func (c *call) bitmapChunk() (int64, error) {
	n, err := c.size("bitmap-chunk")
	if err == nil && c.given("bitmap-chunk") && (n < 4<<10 || n > 1<<30 || n&(n-1) != 0) {
		err = usage("%s: --bitmap-chunk %s: give a power of two from 4K to 1G, such as 64M", c.verb.name, c.get("bitmap-chunk"))
	}
	return n, err
}

// bitmapWords is "3/120 pieces dirty, 64M each".
func bitmapWords(b daemon.Bitmap) string {
	return fmt.Sprintf("%d/%d pieces dirty, %s each", b.Dirty, b.Bits, human(b.Chunk))
}
