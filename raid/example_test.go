package raid_test

import (
	"context"
	"fmt"

	"graid/block"
	"graid/block/mem"
	"graid/raid"
	"graid/raid/md"
)

// An array of four members in memory, one of which is lost.
func Example() {
	ctx := context.Background()
	var members []raid.Member
	for _, name := range []string{"a", "b", "c", "d"} {
		members = append(members, raid.Member{Path: name, Dev: mem.New(64<<20, mem.Options{})})
	}
	spec := md.Spec{Level: 5, Layout: -1, RaidDevices: len(members), Name: "tank"}
	if _, err := raid.Create(ctx, spec, members, raid.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	array, err := raid.Assemble(ctx, members, raid.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer array.Close()

	text := make([]byte, 4096)
	copy(text, "what was written is there")
	fmt.Println(block.WriteAt(ctx, array, text, 1<<20))
	fmt.Println(array.Fail(ctx, "b"))
	clear(text)
	fmt.Println(block.ReadAt(ctx, array, text, 1<<20))
	fmt.Println(string(text[:25]))
	fmt.Println(array.Status().State, array.Status().Members[1].State)
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// what was written is there
	// degraded faulty
}
