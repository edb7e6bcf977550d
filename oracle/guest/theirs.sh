# Arrays made by mdadm, written and read by the kernel. The pattern is in /tmp/pattern; out/ is on the share.
for m in linear raid0 raid1 raid456 raid10; do load $m; done
echo 1000000 >/proc/sys/dev/raid/speed_limit_max
echo 1000000 >/proc/sys/dev/raid/speed_limit_min
cp /host/pattern /tmp/pattern
set -e
complain() { trap 'echo "failed while at: $now"; cat /proc/mdstat; dmesg | tail -30' EXIT; }
content() { trap - EXIT; }
complain

# Each processor of the guest makes arrays of its own, as $MD.
MD=md127

# devices "0 missing 2": what mdadm wants to see.
devices() {
	local list="" d
	for d in $1; do
		case $d in missing) list="$list missing" ;; *) list="$list $(disk $d)" ;; esac
	done
	echo $list
}

# create MD NAME "DISKS" OPTIONS...
create() {
	md=/dev/$1 now=$2
	local name=$2 devs
	devs=$(devices "$3")
	shift 3
	case "$*" in *metadata=0.90*) ;; *) set -- --homehost=oracle --name=$name "$@" ;; esac
	mdadm --create $md --run "$@" $devs
}

bytes() { echo $(($(cat /sys/block/${md#/dev/}/size) * 512)); }

# fill SKIP: the array holds the pattern from sector SKIP * 128 on.
fill() { dd if=/tmp/pattern of=$md bs=64k skip=$1 iflag=count_bytes,fullblock count=$(bytes) conv=fsync,notrunc 2>/dev/null; }

# settle: wait for the end of background work. An array that was not written since it started has not begun its own.
settle() {
	local sys=/sys/block/${md#/dev/}/md
	[ -e $sys/sync_action ] || return 0
	mdadm --readwrite $md 2>/dev/null || true
	while sleep 0.05; [ "$(cat $sys/sync_action)" != idle ]; do :; done
}

stop() { mdadm --stop --quiet $md; }

# keep NAME "DISKS": assemble it again, so that nothing cached is believed, and store what the kernel reads.
keep() {
	now="$1 (reading back)"
	mdadm --assemble --readonly --quiet $md $(devices "$2" | sed 's/missing//g')
	dd if=$md of=/host/out/$1 bs=1M 2>/dev/null
	stop
}

# plain NAME SKIP "DISKS" OPTIONS...: the whole life of an ordinary array.
plain() {
	local name=$1 skip=$2 disks=$3
	shift 2; shift
	create $MD $name "$disks" "$@"
	fill $skip
	settle
	stop
	keep $name "$disks"
}

# bitmapped is plain, and keeps what mdadm says of each member's bitmap.
bitmapped() {
	local d
	plain "$@"
	for d in $3; do mdadm --examine-bitmap $(disk $d) >/host/out/$1.bitmap.$d; done
}

# taken NAME SKIP "DISKS" OPTIONS...: a raid4 without its parity, which the kernel then turns into a raid0. mdadm refuses to create a
# raid0 with a 0.90 superblock, because that cannot say which of the two layouts it has.
taken() {
	local name=$1 skip=$2 disks=$3
	shift 3
	create $MD $name "$disks missing" "$@"
	echo raid0 >/sys/block/$MD/md/level
	fill $skip
	stop
	keep $name "$disks"
}

# stale NAME SKIP "DISKS" LOST OPTIONS...: disk LOST fails half way through its life, and everything is written anew without it.
stale() {
	local name=$1 skip=$2 disks=$3 lost=$4 rest=""
	shift 4
	create $MD $name "$disks" "$@"
	fill $((skip + 64))
	settle
	mdadm --manage --quiet $md --fail $(disk $lost)
	fill $skip
	stop
	for d in $disks; do [ $d = $lost ] || rest="$rest $d"; done
	keep $name "$rest"
}

# halfway NAME SKIP "DISKS" OPTIONS...: stopped in the middle of the resync or the recovery that its creation began.
halfway() {
	local name=$1 skip=$2 disks=$3 sys=/sys/block/$MD/md
	shift 3
	create $MD $name "$disks" --readonly "$@" # it begins when it is slow
	echo 256 >$sys/sync_speed_max
	echo 1 >$sys/sync_speed_min
	mdadm --readwrite $md
	fill $skip
	while [ "$(cat $sys/sync_action)" = idle ]; do sleep 0.1; done
	sleep 1
	cat $sys/sync_action $sys/sync_completed
	stop
	keep $name "$disks"
}

# started MD NAME SKIP "DISKS" OPTIONS...: an array that stays up, written once, for the power cut.
started() {
	local m=$1 name=$2 skip=$3 disks=$4
	shift 4
	create $m $name "$disks" "$@"
	fill $skip
}

# overwrite MD SKIP SIZE: goes on writing the pattern from sector SKIP * 128 on, SIZE at a time, past the page cache.
overwrite() {
	md=/dev/$1
	dd if=/tmp/pattern of=/tmp/src.$1 bs=64k skip=$2 iflag=count_bytes,fullblock count=$(bytes) 2>/dev/null
	while :; do dd if=/tmp/src.$1 of=$md bs=$3 oflag=direct conv=notrunc 2>/dev/null || sleep 0.2; done &
}

# cut SECONDS: let the writers run, then the power fails. Nothing is flushed and md is not told.
cut() {
	sleep $1
	echo cut >/host/status
	echo b >/proc/sysrq-trigger
	sleep 60
}
