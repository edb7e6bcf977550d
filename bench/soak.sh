#!/bin/bash
# No user error ever while redundancy is left: a file system on an array, fio that verifies what it reads, and members that fail, go, and come back
# meanwhile. Run it as `make soak`, as root: the array is served over NBD, and nbdfuse and a loop device make a disk of it.
#
#	TIME=10m LEVELS="1 5 6 10" SEED=1 bench/soak.sh [graid]
#
# It ends with a figure for everything that happened, and with status 1 if fio met an error or read what was not written, if a check found members that
# disagree, or if fsck had something to say.
set -u
binary=$(realpath "${1:-bin/graid}") || exit 1
cd "$(dirname "$0")/.."
time=${TIME:-10m} # in all
case $time in
*m) time=$((${time%m} * 60)) ;;
*) time=${time%s} ;;
esac
levels=(${LEVELS:-1 5 6 10})
RANDOM=${SEED:-1}
size=192M

for tool in fio nbdfuse losetup mkfs.ext4 e2fsck jq; do
	PATH=$PATH:/usr/sbin:/sbin command -v $tool >/dev/null || { echo "soak: $tool is not installed" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "soak: only root may use loop devices" >&2; exit 1; }

dir=$(mktemp -d -p /dev/shm graid-soak.XXXXXX)
export GRAID_RUNTIME_DIR=$dir/run
loop= fuse= fio=
finish() {
	[ -z "$fio" ] || { kill "$fio"; wait "$fio"; } 2>/dev/null
	mountpoint -q "$dir/mnt" && umount "$dir/mnt"
	[ -z "$loop" ] || losetup -d "$loop"
	mountpoint -q "$dir/fuse" && umount "$dir/fuse"
	[ -z "$fuse" ] || wait "$fuse"
	"$binary" status --json 2>/dev/null | jq -r '.arrays[].name' | while read -r name; do "$binary" stop --force "$name"; done
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM

declare -A did
count() { did[$1]=$((${did[$1]:-0} + 1)); }

# die SAYS: the soak has failed. What the array has to tell is kept.
die() {
	echo "soak: $*" >&2
	"$binary" detail soak >&2
	"$binary" events soak --follow=false | tail -n 30 >&2
	tail -n 5 "$dir"/fio.* >&2
	exit 1
}

# graid VERB…: it must succeed; 3, look at it, is what a degraded array says.
graid() {
	"$binary" "$@" >"$dir/out" 2>&1
	local status=$?
	[ $status = 0 ] || [ $status = 3 ] || die "graid $*: status $status: $(cat "$dir/out")"
}

# state KEY: of the whole array.
state() { "$binary" status --json soak | jq -r ".arrays[0].$1"; }

# member STATE: the path of one that is in that state, any of them; nothing if none is.
member() {
	local list
	mapfile -t list < <("$binary" status --json soak | jq -r ".arrays[0].members[] | select(.state == \"$1\") | .path")
	path=${list[RANDOM % (${#list[@]} + !${#list[@]})]:-}
}

some() { sleep "$((RANDOM % $1)).$((RANDOM % 10))"; }

# lose: a member in sync fails, because somebody says so or because it takes no more writes. It is $path.
lose() {
	member in_sync
	if [ $((RANDOM % 3)) = 0 ]; then
		graid inject soak "$path write media count=1"
		some 2
		graid inject soak --clear
		count "writes failed"
	fi
	graid fail soak "$path"
	count failed
}

# back PATH: it returns, by the bitmap or as a new one.
back() {
	graid remove soak "$1"
	some 2
	case $((RANDOM % 6)) in
	0)
		rm "$1"
		graid add soak "$1" --member-size $size
		count replaced
		;;
	1)
		graid add soak "$1" --spare
		count "added anew"
		;;
	*) graid add soak "$1" ;; # by the bitmap, if that can tell what it missed
	esac
}

# check: nobody may disagree.
check() {
	graid check soak --wait
	[ "$(state mismatch_sectors)" = 0 ] || die "check: $(state mismatch_sectors) sectors differ"
	count checks
}

# happen LEVEL: something happens to members, and in the end all is well again.
happen() {
	local first
	case $((RANDOM % 6)) in
	0)
		graid inject soak "m$((RANDOM % 2)) read [$((8 + RANDOM % 64))M,+64K) bad"
		some 2
		check
		graid inject soak --clear
		count "bad sectors"
		return
		;;
	1) check && return ;;
	esac
	graid limit soak --max "$((RANDOM % 2 * 50))M"
	lose
	some 2
	if [ "$1" = 6 ]; then
		first=$path
		lose
		some 2
		back "$first"
	fi
	back "$path"
	some 2
	member rebuilding
	if [ -n "$path" ] && [ $((RANDOM % 3)) = 0 ]; then
		graid fail soak "$path"
		graid remove soak "$path"
		graid add soak "$path" --spare
		count "failed again"
	fi
	graid limit soak --max 0
	graid wait soak
	[ "$(state degraded)" = 0 ] || die "nothing is left to do, and the array is degraded"
}

# mount_it: a disk of the array, a file system on it, and files that stay as they are.
mount_it() {
	local uri
	uri=$(state 'exports[0].uri')
	mkdir -p "$dir/fuse" "$dir/mnt"
	nbdfuse "$dir/fuse/disk" "$uri" &
	fuse=$!
	for _ in $(seq 100); do [ -e "$dir/fuse/disk" ] && break; sleep 0.1; done
	loop=$(losetup -f --show --direct-io=on "$dir/fuse/disk") || die "losetup"
	mkfs.ext4 -q -F "$loop" && mount "$loop" "$dir/mnt" || die "no file system"
	head -c 32M /dev/urandom >"$dir/still" && cp "$dir/still" "$dir/mnt/still" && sync "$dir/mnt/still"
}

# still: what nobody writes is what it was, on the array and not in a cache.
still() { dd if="$dir/mnt/still" bs=1M iflag=direct 2>/dev/null | cmp - "$dir/still" || die "a file that nobody writes has changed"; }

# unmount_it: fsck has nothing to say.
unmount_it() {
	umount "$dir/mnt" && e2fsck -f -n "$loop" >"$dir/fsck" 2>&1 || die "fsck: $(cat "$dir/fsck")"
	losetup -d "$loop"
	loop=
	umount "$dir/fuse"
	wait "$fuse"
	fuse=
}

# load SECONDS: three kinds of use at once, each of which reads back what it wrote.
load() {
	fio --directory="$dir/mnt" --direct=1 --ioengine=libaio --verify=crc32c --verify_fatal=1 --time_based --runtime="$1" --output-format=json \
		--output="$dir/fio.json" \
		--name=random --rw=randwrite --bsrange=4k-64k --iodepth=8 --size=48M --verify_backlog=512 \
		--name=stream --rw=write --bs=256k --iodepth=2 --size=48M --verify_backlog=64 \
		--name=synced --rw=randwrite --bs=4k --iodepth=1 --fsync=32 --size=16M --verify_backlog=128 >"$dir/fio.log" 2>&1 &
	fio=$!
}

# soak LEVEL SECONDS: one array.
soak() {
	local n end
	n=$(jq -n "{\"1\": 3, \"5\": 4, \"6\": 5, \"10\": 4}[\"$1\"]")
	did=()
	graid create soak --level "$1" --raid-devices "$n" --chunk 64K --bitmap internal --member-size $size $(printf "$dir/member.%d " $(seq "$n"))
	mount_it
	load "$2"
	end=$((SECONDS + $2 - 5))
	while [ $SECONDS -lt $end ] && kill -0 "$fio" 2>/dev/null; do
		happen "$1"
		still
	done
	wait "$fio" || die "fio has failed: $(cat "$dir/fio.log")"
	fio=
	still
	unmount_it
	check
	did[re-added]=$("$binary" events soak --follow=false | grep -c ' ReAdded ')
	graid stop soak
	rm "$dir"/member.*
	jq -r '[.jobs[]] | "raid'"$1"': \(map(.error) | add) errors; \(map(.write.io_bytes) | add / 1048576 | floor) MiB written, \(map(.read.io_bytes) | add / 1048576 | floor) MiB verified"' "$dir/fio.json"
	[ "$(jq '[.jobs[].error] | add' "$dir/fio.json")" = 0 ] || die "fio met errors"
	for what in "${!did[@]}"; do printf '  %s: %d\n' "$what" "${did[$what]}"; done | sort
}

for level in "${levels[@]}"; do soak "$level" $((time / ${#levels[@]})); done
echo "soak: no user error, no mismatch, fsck clean"
