#!/bin/bash
# Compares graid with other NBD servers: one load generator, the same file size on tmpfs, one run, interleaved, medians.
# Run it as `make bench`, or `bench/peers.sh [graid] [nbdload flags]`. It takes about a minute and leaves nothing behind.
set -u
binary=
case ${1:-} in
'' | -*) ;;
*)
	binary=$(realpath "$1") || exit 1
	shift
	;;
esac
cd "$(dirname "$0")/.."

size=$((256 << 20))
dir=$(mktemp -d -p /dev/shm graid-bench.XXXXXX)
pids=()
finish() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
	for p in "${pids[@]}"; do wait "$p" 2>/dev/null; done
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM

say() { printf '%s\n' "$*" >&2; }
targets=()

# await NAME PID SOCKET EXPORT: once its socket is there, a server takes part.
await() {
	for _ in $(seq 100); do
		if [ -S "$3" ]; then
			targets+=("$1=$2,$3,$4")
			return
		fi
		kill -0 "$2" 2>/dev/null || break
		sleep 0.05
	done
	say "$1 did not start and is left out: $(tail -n 1 "$dir/$1.log" 2>/dev/null)"
}

# launch NAME SOCKET EXPORT COMMAND…: starts a server in the foreground of its own job.
launch() {
	local name=$1 socket=$2 export=$3
	shift 3
	"$@" >"$dir/$name.log" 2>&1 &
	pids+=($!)
	await "$name" $! "$socket" "$export"
}

file() { truncate -s "$1" "$2"; }

go build -o "$dir/nbdload" ./bench/nbdload && go build -o "$dir/memserve" ./bench/memserve || exit 1
launch graid-memory "$dir/mem.sock" mem "$dir/memserve" -unix "$dir/mem.sock" -size $size

export GRAID_RUNTIME_DIR=$dir/run
# graid NAME LEVEL COUNT SIZE: an array of COUNT files of SIZE bytes each, served without a resync.
graid() {
	local name=$1 level=$2 count=$3 bytes=$4 members=()
	for i in $(seq "$count"); do
		file "$bytes" "$dir/$name.$i"
		members+=("$dir/$name.$i")
	done
	if ! "$binary" create "$name" --level "$level" --raid-devices "$count" --no-start --assume-clean "${members[@]}" >"$dir/graid-$name.log" 2>&1; then
		say "graid-$name was not created and is left out: $(tail -n 1 "$dir/graid-$name.log")"
		return
	fi
	launch "graid-$name" "$dir/$name.sock" "$name" "$binary" serve "$name" --nbd "unix:$dir/$name.sock" "${members[@]}"
}
if [ -z "$binary" ]; then
	binary=$dir/graid
	go build -o "$binary" ./cmd/graid || binary=
fi
if [ -n "$binary" ]; then
	graid linear linear 1 $((size + (2 << 20)))
	graid raid5 raid5 4 $((size / 3 + (2 << 20)))
else
	say "cmd/graid does not build: its arrays are left out"
fi

if command -v qemu-nbd >/dev/null; then
	file $size "$dir/qemu"
	launch qemu-nbd "$dir/qemu.sock" x qemu-nbd -t -f raw -x x --shared=8 -k "$dir/qemu.sock" "$dir/qemu"
else
	say "qemu-nbd is not installed: there is nothing to compute ratios to"
fi
if command -v nbdkit >/dev/null; then
	file $size "$dir/kit"
	launch nbdkit-file "$dir/kit.sock" '' nbdkit -f -U "$dir/kit.sock" file "$dir/kit"
	launch nbdkit-memory "$dir/kitmem.sock" '' nbdkit -f -U "$dir/kitmem.sock" memory $size
else
	say "nbdkit is not installed and is left out"
fi

# A halted virtual CPU takes 20 to 30 us to wake, which would be most of any figure at depth 1: idle-class loops keep the
# CPUs awake, for everybody alike.
if command -v chrt >/dev/null; then
	for _ in $(seq "$(nproc)"); do
		chrt -i 0 bash -c 'while :; do :; done' &
		pids+=($!)
	done
fi

timeout 90 "$dir/nbdload" "$@" "${targets[@]}"
