# Arrays that graid made, assembled by mdadm and the kernel. out/ is on the share.
for m in linear raid0 raid1 raid456 raid10; do load $m; done
echo 1000000 >/proc/sys/dev/raid/speed_limit_max
echo 1000000 >/proc/sys/dev/raid/speed_limit_min
md=/dev/md127
sys=/sys/block/md127/md

idle() { while [ "$(cat $sys/sync_action)" != idle ]; do sleep 0.05; done; }

# adopt NAME "DISKS" MARK: read it read-only, then read-write after the kernel's own resync and a check, then leave 64 KiB of MARK in it.
# Each finding is a file; what is not there did not happen.
adopt() {
	local out=/host/out/$1 devs="" d
	for d in $2; do devs="$devs $(disk $d)"; done
	echo "== $1"
	dmesg -c >/dev/null
	if ! mdadm --assemble --readonly $md $devs; then
		dmesg | tail -15
		mdadm --stop $md
		return
	fi
	dd if=$md of=$out.ro bs=1M 2>/dev/null
	cp /sys/block/md127/md/degraded $out.degraded 2>/dev/null
	mdadm --readwrite $md
	if [ -e $sys/sync_action ]; then
		sleep 0.1
		idle
		dmesg | grep -o "resync of RAID array"
		echo check >$sys/sync_action
		idle
		cat $sys/mismatch_cnt >$out.mismatch
	fi
	dd if=$md of=$out.rw bs=1M iflag=direct 2>/dev/null
	yes $3 | dd of=$md bs=64k count=1 iflag=fullblock conv=notrunc,fsync 2>/dev/null
	mdadm --stop --quiet $md
}
