package multipath_test

import (
	"context"
	"fmt"

	"graid/block"
	"graid/block/mem"
	"graid/multipath"
	"graid/sched"
)

// Two ways to one disk, of which one is taken away.
func Example() {
	ctx := context.Background()
	disk := mem.New(1<<20, mem.Options{})
	paths := []multipath.Path{
		{Name: "left", Dev: disk, Local: true, Priority: 50},
		{Name: "right", Dev: disk, Local: true, Priority: 10},
	}
	d, err := multipath.New(ctx, "mpa", paths, multipath.Options{}, sched.Real)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	text := make([]byte, 512)
	copy(text, "still here")
	fmt.Println(block.WriteAt(ctx, d, text, 4096))
	fmt.Println(d.Fail("left"))
	clear(text)
	fmt.Println(block.ReadAt(ctx, d, text, 4096))
	fmt.Println(string(text[:10]))
	fmt.Println(d.Explain()[0])
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// still here
	// I/O goes to right (the only one that can be used there), in group "priority 10"
}

// A device that is another one is not taken for a path.
func ExampleNew_anotherMedium() {
	ctx := context.Background()
	here, there := mem.New(1<<20, mem.Options{}), mem.New(1<<20, mem.Options{})
	_ = block.WriteAt(ctx, there, make([]byte, 512), 0)
	_ = block.WriteAt(ctx, here, []byte{511: 1}, 0)
	seen := make(chan string, 100)
	d, err := multipath.New(ctx, "mpa", []multipath.Path{
		{Name: "a", Dev: here, Local: true},
		{Name: "b", Dev: there, Local: true},
	}, multipath.Options{OnEvent: func(e multipath.Event) {
		if e.To == "refused" {
			seen <- e.Path + ": " + e.Reason
		}
	}}, sched.Real)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-seen)
	fmt.Println(d.Close())
	// Output:
	// b: not the same medium: its bytes from 0 on are not what a shows
	// <nil>
}
