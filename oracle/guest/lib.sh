# What the guest's scripts share. disk N prints the device of the N-th drive.
disk() {
	local d=/sys/bus/scsi/devices/0:0:$(($1 / 32)):$(($1 % 32))/block
	while [ ! -d "$d" ]; do sleep 0.05; done
	echo "/dev/$(ls "$d")"
}
