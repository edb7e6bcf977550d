# Write-intent bitmaps: arrays that the kernel leaves with bits set. It goes with recovery.sh.
cp /host/pattern /tmp/pattern

# fresh NAME SKIP "DISKS" OPTIONS...: an array that holds the pattern from sector SKIP * 128 on and has no bit set: stopping clears them.
fresh() {
	now="$1 (create)"
	local name=$1 skip=$2 disks=$3
	shift 3
	mdadm --create $md --run --assume-clean --homehost=oracle --name=${name%-*} "$@" $(disks "$disks")
	dd if=/tmp/pattern of=$md bs=64k skip=$skip iflag=count_bytes,fullblock count=$(($(cat /sys/block/${md#/dev/}/size) * 512)) \
		conv=fsync,notrunc 2>/dev/null
	mdadm --stop --quiet $md
	mdadm --assemble --quiet $md $(disks "$disks")
	now="$name"
}

# rewrite: another piece of the pattern goes to the middle of the array, an eighth of it.
rewrite() {
	local units=$(($(cat /sys/block/${md#/dev/}/size) / 128))
	dd if=/tmp/pattern of=$md bs=64k seek=$((units * 7 / 16)) count=$((units / 8)) oflag=direct conv=notrunc 2>/dev/null
}

# left NAME SKIP "DISKS" OPTIONS...: written to until the power fails, and never called clean, nor bits cleared, for being slow at it.
left() {
	fresh "$@"
	echo 600 >$sys/safe_mode_delay
	echo 600 >$sys/bitmap/time_base
	rewrite
	echo "(lane ${md#/dev/}; while rewrite; do :; done) &" >>/tmp/writers
}

# missed NAME SKIP "DISKS" LOST OPTIONS...: disk LOST is removed, and misses what is written then.
missed() {
	local name=$1 skip=$2 disks=$3 lost=$4
	shift 4
	fresh $name $skip "$disks" "$@"
	mdadm --manage --quiet $md --fail $(disk $lost)
	mdadm --manage --quiet $md --remove $(disk $lost)
	rewrite
	quiet
}

# away is missed, and stopped.
away() {
	missed "$@"
	mdadm --stop --quiet $md
}

# returning NAME SKIP "DISKS" LOST OPTIONS...: LOST is re-added, and waits in the middle of what it missed until the power fails.
returning() {
	local at half
	missed "$@"
	half=$(($(cat $sys/component_size) / 128 * 128))
	echo $half >$sys/sync_max
	now="$1 (re-add)"
	mdadm --manage $md --re-add $(disk $4)
	while read -r at _ <$sys/sync_completed; [ "$at" != $half ]; do sleep 0.05; done
	quiet
	mdadm --detail $md >/host/out/$1.detail
}

# returned is returning, and stopped.
returned() {
	returning "$@"
	mdadm --stop --quiet $md
}

# pristine NAME SKIP "DISKS" OPTIONS...: as mdadm makes it, until the power fails. The kernel would clear bits after a delay, and when it is stopped.
pristine() {
	now="$1 (create)"
	local name=$1 disks=$3
	shift 3
	mdadm --create $md --run --readonly --homehost=oracle --name=${name%-*} --delay=600 "$@" $(disks "$disks")
}

# readopt NAME "DISKS" LOST: assembles it without LOST, re-adds that, and adopts it.
readopt() {
	now="$1 (re-add)"
	mdadm --assemble --quiet --run $md $(disks "$2")
	mdadm --readwrite $md 2>/dev/null || true
	mdadm --manage $md --re-add $(disk $3)
	while [ "$(cat $sys/degraded)" != 0 ] || [ "$(cat $sys/sync_action)" != idle ]; do sleep 0.05; done
	mdadm --stop --quiet $md
	adopt $1 "$2 $3"
}

# cut: the writers of arrays that were left go on, and the power fails.
cut() {
	touch /tmp/writers
	. /tmp/writers
	sleep 1
	power_off
}
