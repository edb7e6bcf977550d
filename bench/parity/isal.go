package main

/*
#cgo LDFLAGS: -lisal
#include <stdlib.h>
#include <isa-l/raid.h>

typedef int (*kernel)(int vects, int len, void **array);

// run calls the kernel for n groups of blocks from one on, round and round: the loop is here so that cgo's own cost is not counted
// against ISA-L.
static int run(int which, int vects, int len, void **array, long groups, long from, long n) {
	static const kernel kernels[] = {xor_gen, pq_gen, xor_gen_avx, pq_gen_avx2, xor_gen_sse, pq_gen_sse};
	int bad = 0;
	while (n-- > 0) {
		bad |= kernels[which](vects, len, array + from * vects);
		if (++from == groups)
			from = 0;
	}
	return bad;
}
*/
import "C"

import "unsafe"

// isal names ISA-L's kernels by level: as it chooses itself, and forced down.
var isal = map[string][2]C.int{"": {0, 1}, "avx2": {2, 3}, "sse2": {4, 5}}

// table is the addresses of the blocks of all groups, in C's memory: cgo would look through memory of Go at every call.
func table(groups [][][]byte) *unsafe.Pointer {
	blocks := len(groups[0])
	t := (*unsafe.Pointer)(C.malloc(C.size_t(len(groups)*blocks) * C.size_t(unsafe.Sizeof(unsafe.Pointer(nil)))))
	all := unsafe.Slice(t, len(groups)*blocks)
	for i, g := range groups {
		for j, b := range g {
			all[i*blocks+j] = unsafe.Pointer(&b[0])
		}
	}
	return t
}

func free(t *unsafe.Pointer) { C.free(unsafe.Pointer(t)) }

// runISAL does n groups of blocks, data first and then the sums.
func (c *cell) runISAL(which C.int, n int) {
	blocks := c.sources + c.sums
	if C.run(which, C.int(blocks), C.int(c.size), c.table, C.long(len(c.groups)), C.long(c.next), C.long(n)) != 0 {
		panic("ISA-L refused")
	}
}
