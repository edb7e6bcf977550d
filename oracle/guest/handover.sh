# Arrays in the middle of their lives: left by the kernel, and taken over by it. It goes with recovery.sh and intent.sh.

# logged NAME SKIP "DISKS" OPTIONS...: written to a block at a time until the power fails, now this and now that.
logged() {
	fresh "$@"
	echo 600 >$sys/safe_mode_delay
	local units=$(($(cat /sys/block/${md#/dev/}/size) / 128))
	local to=$((units * 7 / 16)) skip=$2
	echo "(while block $md 0 $to $((units / 8)); do block $md $((skip + to)) $to $((units / 8)) || true; done) &" >>/tmp/writers
	block $md 0 $to 1
}

# block MD FROM TO UNITS: a piece of the pattern goes to the array, in blocks of 4 KiB; units are of 64 KiB.
block() { dd if=/tmp/pattern of=$1 bs=4k skip=$(($2 * 16)) seek=$(($3 * 16)) count=$(($4 * 16)) oflag=direct conv=notrunc 2>/dev/null; }

# replacing NAME SKIP "DISKS" OLD NEW OPTIONS...: the kernel copies OLD to NEW up to the middle and waits there until the power fails.
replacing() {
	local name=$1 skip=$2 disks=$3 old=$4 new=$5 at half
	shift 5
	fresh $name $skip "$disks" "$@"
	half=$(($(cat $sys/component_size) / 128 * 128))
	echo $half >$sys/sync_max
	mdadm --manage --quiet $md --add-spare $(disk $new)
	mdadm --manage --quiet $md --replace $(disk $old) --with $(disk $new)
	while read -r at _ <$sys/sync_completed; [ "$at" != $half ]; do sleep 0.05; done
	rewrite
	quiet
	mdadm --detail $md >/host/out/$name.detail
}

# replaced is replacing, and stopped.
replaced() {
	replacing "$@"
	mdadm --stop --quiet $md
}

# marred NAME SKIP "DISKS" MEMBER SECTOR COUNT OPTIONS...: MEMBER gets an entry in its bad block log, SECTOR from the start of its data.
marred() {
	local name=$1 skip=$2 disks=$3 member=$4 sector=$5 count=$6 dev
	shift 6
	fresh $name $skip "$disks" "$@"
	dev=$sys/dev-$(basename $(disk $member))
	echo "$((sector + $(cat $dev/offset))) $count" >$dev/bad_blocks
	rewrite
	quiet
	cat $dev/bad_blocks >/host/out/$name.bad
	mdadm --stop --quiet $md
}

# synced NAME SKIP "DISKS" OPTIONS...: the resync that its creation began is stopped half-way. It is written to as a whole before that.
synced() {
	now="$1 (create)"
	local name=$1 skip=$2 disks=$3 at half
	shift 3
	mdadm --create $md --run --readonly --homehost=oracle --name=${name%-*} "$@" $(disks "$disks")
	half=$(($(cat $sys/component_size) / 128 * 128))
	echo $half >$sys/sync_max
	mdadm --readwrite $md
	while read -r at _ <$sys/sync_completed; [ "$at" != $half ]; do sleep 0.05; done
	dd if=/tmp/pattern of=$md bs=64k skip=$skip iflag=count_bytes,fullblock count=$(($(cat /sys/block/${md#/dev/}/size) * 512)) \
		conv=fsync,notrunc 2>/dev/null
	rewrite
	mdadm --stop --quiet $md
}

# flagged NAME SKIP "DISKS" MEMBER SPARE OPTIONS...: MEMBER is write-mostly and failfast, and there is a spare.
flagged() {
	local name=$1 skip=$2 disks=$3 member=$4 spare=$5 f
	shift 5
	fresh $name $skip "$disks" "$@"
	for f in writemostly failfast; do echo $f >$sys/dev-$(basename $(disk $member))/state; done
	mdadm --manage --quiet $md --add-spare $(disk $spare)
	rewrite
	mdadm --stop --quiet $md
}

# takeover NAME "DISKS" DEGRADED [FAIL]: assemble it, with a member failed at once, let the kernel do what is left to do, check, and read. Each finding is a file.
takeover() {
	local out=/host/out/$1 d
	now="$1 (takeover)"
	mdadm --assemble --readonly --run --quiet $md $(disks "$2")
	mdadm --detail $md >$out.before
	for d in $2; do echo $d $(cat $sys/dev-$(basename $(disk $d))/bad_blocks); done >$out.bad
	dd if=$md of=$out.ro bs=1M 2>/dev/null
	mdadm --readwrite $md 2>/dev/null || true
	[ -z "$4" ] || mdadm --manage --quiet $md --fail $(disk $4)
	while mdadm --detail $md | grep -q 'spare rebuilding' || [ "$(cat $sys/degraded)" != $3 ] || [ "$(cat $sys/resync_start)" != none ] ||
		[ "$(cat $sys/sync_action)" != idle ]; do sleep 0.1; done
	mdadm --detail $md >$out.after
	echo check >$sys/sync_action
	while [ "$(cat $sys/sync_action)" != idle ]; do sleep 0.05; done
	cat $sys/mismatch_cnt >$out.mismatch
	for d in $2; do echo $d $(cat $sys/dev-$(basename $(disk $d))/bad_blocks); done >$out.left
	dd if=$md of=$out.rw bs=1M iflag=direct 2>/dev/null
	mdadm --stop --quiet $md
}
