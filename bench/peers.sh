#!/bin/bash
# Compares graid with other NBD servers: one load generator, the same size on tmpfs, one run, interleaved, medians.
# Run it as `make bench`, or `bench/peers.sh [graid] [nbdload flags]`. It takes about two minutes and leaves nothing behind.
# BENCH=full is all workloads, in five times the time.
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

# open NETWORK:ADDRESS: somebody listens there.
open() {
	case $1 in
	unix:*) [ -S "${1#unix:}" ] ;;
	tcp:*) (exec 3<>"/dev/tcp/127.0.0.1/${1##*:}") 2>/dev/null ;;
	esac
}

# await NAME PID EXPORT ADDRESS…: once somebody listens at its addresses, a server takes part there.
await() {
	local name=$1 pid=$2 export=$3 try
	shift 3
	for try in $(seq 100); do
		while [ $# -gt 0 ] && open "$1"; do
			targets+=("$name=$pid,$1,$export")
			shift
		done
		[ $# -gt 0 ] || return 0
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.05
	done
	say "$name did not start at $1 and is left out there: $(tail -n 1 "$dir/$name.log" 2>/dev/null)"
	return 1
}

# launch NAME EXPORT ADDRESS[,ADDRESS] COMMAND…: starts a server in the foreground of its own job.
launch() {
	local name=$1 export=$2 addresses=$3
	shift 3
	"$@" >>"$dir/$name.log" 2>&1 &
	pids+=($!)
	await "$name" $! "$export" ${addresses//,/ }
}

file() { truncate -s "$1" "$2"; }

# port sets tcp to a port that nobody listens at.
next=$((20000 + RANDOM % 20000))
port() {
	while open "tcp:127.0.0.1:$next"; do next=$((next + 1)); done
	tcp=$next
	next=$((next + 1))
}

go build -o "$dir/nbdload" ./bench/nbdload && go build -o "$dir/memserve" ./bench/memserve || exit 1
port
launch graid-memory mem "unix:$dir/mem.sock,tcp:127.0.0.1:$tcp" "$dir/memserve" -unix "$dir/mem.sock" -tcp "127.0.0.1:$tcp" -size $size

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
	port
	launch "graid-$name" "$name" "unix:$dir/$name.sock,tcp:127.0.0.1:$tcp" \
		"$binary" serve "$name" --nbd "unix:$dir/$name.sock" --nbd "tcp:127.0.0.1:$tcp" "${members[@]}"
}
if [ -z "$binary" ]; then
	binary=$dir/graid
	go build -o "$binary" ./cmd/graid || binary=
fi
if [ -n "$binary" ]; then
	graid single linear 1 $((size + (2 << 20)))
	graid raid5 raid5 4 $((size / 3 + (2 << 20)))
else
	say "cmd/graid does not build: its arrays are left out"
fi

# Peers serve one address each, so there are two of them over the same file.
if command -v nbdkit >/dev/null; then
	file $size "$dir/kit"
	port
	launch nbdkit-file '' "unix:$dir/kit.sock" nbdkit -f -U "$dir/kit.sock" file "$dir/kit"
	launch nbdkit-file '' "tcp:127.0.0.1:$tcp" nbdkit -f -i 127.0.0.1 -p $tcp file "$dir/kit"
	port
	launch nbdkit-memory '' "unix:$dir/kitmem.sock" nbdkit -f -U "$dir/kitmem.sock" memory $size
	launch nbdkit-memory '' "tcp:127.0.0.1:$tcp" nbdkit -f -i 127.0.0.1 -p $tcp memory $size
else
	say "nbdkit is not installed: there is nothing to compute most of the ratios to"
fi
if command -v qemu-nbd >/dev/null; then
	file $size "$dir/qemu"
	image=driver=raw,file.driver=file,file.locking=off,file.filename=$dir/qemu
	for aio in threads io_uring; do
		name=qemu-nbd
		[ $aio = threads ] || name=qemu-nbd-$aio
		port
		launch $name x "unix:$dir/$aio.sock" qemu-nbd -t -x x --shared=8 -k "$dir/$aio.sock" --image-opts $image,file.aio=$aio &&
			launch $name x "tcp:127.0.0.1:$tcp" qemu-nbd -t -x x --shared=8 -b 127.0.0.1 -p $tcp --image-opts $image,file.aio=$aio
	done
else
	say "qemu-nbd is not installed and is left out"
fi

# A halted virtual CPU takes 20 to 30 us to wake, which would be most of any figure at depth 1: idle-class loops keep the
# CPUs awake, for everybody alike.
if command -v chrt >/dev/null; then
	for _ in $(seq "$(nproc)"); do
		chrt -i 0 bash -c 'while :; do :; done' &
		pids+=($!)
	done
fi

case ${BENCH:-} in
'') limit=240 ;;
full)
	limit=900
	set -- -full -time 200ms "$@"
	;;
*)
	say "BENCH is '$BENCH': it is full, or nothing"
	exit 1
	;;
esac
echo "$(date -u '+%F %H:%M') $(nproc) CPUs, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), Linux $(uname -r), $(go version | cut -d' ' -f3), load $(cut -d' ' -f1-3 /proc/loadavg)"
timeout $((limit + 60)) "$dir/nbdload" -dir "$dir" -limit ${limit}s "$@" "${targets[@]}"
status=$?
echo "load $(cut -d' ' -f1-3 /proc/loadavg) at the end"
exit $status
