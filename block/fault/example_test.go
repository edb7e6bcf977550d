package fault_test

import (
	"context"
	"fmt"

	"graid/block"
	"graid/block/fault"
	"graid/block/mem"
	"graid/sched"
)

// A device under rules, which come and go while it is in use.
func Example() {
	ctx := context.Background()
	set := fault.NewSet(sched.Real)
	disk := set.Wrap(mem.New(1<<20, mem.Options{Name: "disk"}), false)

	rules, err := fault.Parse("disk write [4K,+4K) media count=1; disk flush lie")
	if err != nil {
		panic(err)
	}
	if _, err := set.Add(rules...); err != nil {
		panic(err)
	}
	b := make([]byte, 512)
	fmt.Println(block.WriteAt(ctx, disk, b, 0))
	fmt.Println(block.WriteAt(ctx, disk, b, 4096))
	fmt.Println(block.WriteAt(ctx, disk, b, 4096))
	for _, e := range set.List() {
		fmt.Println(e.ID, e.Hits, e.Rule)
	}
	// Output:
	// <nil>
	// disk: write [4096,+512): unreadable or unwritable medium
	// <nil>
	// 1 1 disk write [4K,+4K) media count=1
	// 2 0 disk flush lie
}
