# Members that are being filled: by the kernel, which is stopped half-way, and by graid, which left the rest to the kernel.
# The pattern is in /host/pattern; out/ is on the share.
for m in raid1 raid456 raid10; do load $m; done
echo 1000000 >/proc/sys/dev/raid/speed_limit_max
echo 1000000 >/proc/sys/dev/raid/speed_limit_min
set -e
complain() { trap 'echo "failed while at: $now"; cat /proc/mdstat; dmesg | tail -30' EXIT; }
content() { trap - EXIT; }

# Each processor of the guest has an array of its own, as $MD.
lane() { md=/dev/$1 sys=/sys/block/$1/md; }

disks() {
	local list="" d
	for d in $1; do list="$list $(disk $d)"; done
	echo $list
}

copy() { dd if=$(disk $1) of=$(disk $2) bs=1M iflag=direct oflag=direct 2>/dev/null; }

# degraded NAME SKIP "DISKS" OPTIONS...: an array without its last member, which holds the pattern from sector SKIP * 128 on.
degraded() {
	now="$1 (create)"
	local name=$1 skip=$2 disks=$3
	shift 3
	mdadm --create $md --run --assume-clean --homehost=oracle --name=${name%-*} "$@" $(disks "$disks") missing
	dd if=/host/pattern of=$md bs=64k skip=$skip iflag=count_bytes,fullblock count=$(($(cat /sys/block/${md#/dev/}/size) * 512)) \
		conv=fsync,notrunc 2>/dev/null
	quiet
}

# quiet: wait until superblocks call the array clean.
quiet() { while [ "$(cat $sys/array_state)" = active ] || [ "$(cat $sys/array_state)" = active-idle ]; do sleep 0.05; done; }

# fill NAME DISK: the kernel fills DISK up to the middle and waits there.
fill() {
	now="$1 (add)"
	local at half=$(($(cat $sys/component_size) / 128 * 128))
	echo $half >$sys/sync_max
	mdadm --manage --quiet $md --add $(disk $2)
	while read -r at _ <$sys/sync_completed; [ "$at" != $half ]; do sleep 0.05; done
	quiet
	mdadm --detail $md >/host/out/$1.detail
}

# stopped NAME SKIP "DISKS" "TWINS" NEW OPTIONS...: DISKS are left as they were before the kernel filled NEW beside TWINS, their copies, and was stopped.
stopped() {
	local name=$1 skip=$2 disks=$3 twins=$4 new=$5 d
	shift 5
	degraded $name $skip "$disks" "$@"
	mdadm --stop --quiet $md
	set -- $twins
	for d in $disks; do
		copy $d $1
		shift
	done
	mdadm --assemble --quiet --run $md $(disks "$twins")
	mdadm --readwrite $md 2>/dev/null || true
	fill $name $new
	mdadm --stop --quiet $md
}

# killed NAME SKIP "DISKS" NEW OPTIONS...: stays half-way until the power fails.
killed() {
	local name=$1 skip=$2 disks=$3 new=$4
	shift 4
	degraded $name $skip "$disks" "$@"
	fill $name $new
}

# power_off: nothing is flushed and md is not told.
power_off() {
	echo cut >/host/status
	echo b >/proc/sysrq-trigger
	sleep 60
}

# adopt NAME "DISKS": read it read-only, then let the kernel do what is left to do, check, and read again. Each finding is a file.
adopt() {
	local out=/host/out/$1
	now="$1 (adopt)"
	mdadm --assemble --readonly --quiet $md $(disks "$2")
	mdadm --detail $md >$out.before
	dd if=$md of=$out.ro bs=1M 2>/dev/null
	mdadm --readwrite $md
	while [ "$(cat $sys/degraded)" != 0 ] || [ "$(cat $sys/resync_start)" != none ] || [ "$(cat $sys/sync_action)" != idle ]; do sleep 0.05; done
	mdadm --detail $md >$out.after
	echo check >$sys/sync_action
	while [ "$(cat $sys/sync_action)" != idle ]; do sleep 0.05; done
	cat $sys/mismatch_cnt >$out.mismatch
	dd if=$md of=$out.rw bs=1M iflag=direct 2>/dev/null
	mdadm --stop --quiet $md
}
