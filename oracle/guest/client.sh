# The kernel's NBD client on an array that graid serves in this guest: a raid5 of four files in memory.
load nbd
load ext4
set -e
now=start
trap 'echo "failed while: $now"; dmesg | tail -30' EXIT
export GRAID_RUNTIME_DIR=/tmp/run HOME=/tmp
graid=/host/graid
mkdir -p /tmp/m /tmp/run /mnt
chmod 700 /tmp/run
ip link set lo up
members="/tmp/m/0 /tmp/m/1 /tmp/m/2 /tmp/m/3"

now="create and serve"
$graid create md0 --level=raid5 --raid-devices=4 --chunk=64K --member-size=48M --nbd=unix:/tmp/nbd --nbd=tcp:127.0.0.1:10809 $members
now="attach by unix socket"
nbd-client -unix /tmp/nbd /dev/nbd0 -name md0 -persist -b 4096
echo "size $(blockdev --getsize64 /dev/nbd0)"
now="mkfs"
mkfs.ext4 -q -F /dev/nbd0
mount -t ext4 /dev/nbd0 /mnt
now="copy"
cp /host/graid /mnt/before
dd if=/host/pattern of=/mnt/fsynced bs=100k conv=fsync 2>/dev/null
now="fail a member while it is copied to"
(for i in 1 2 3 4; do cp /host/pattern /mnt/copy.$i; done) &
sleep 0.3
$graid fail md0 /tmp/m/2
wait $!
cp /host/graid /mnt/after
rm /mnt/copy.2
now="discard"
fstrim /mnt || true
sync
now="compare what is still cached"
cmp /host/graid /mnt/after
now="umount"
umount /mnt
nbd-client -d /dev/nbd0
now="attach by TCP"
nbd-client 127.0.0.1 10809 /dev/nbd1 -name md0 -b 4096
now="fsck"
e2fsck -f -n /dev/nbd1
now="mount again, degraded"
mount -t ext4 -o ro /dev/nbd1 /mnt
for f in before after; do cmp /host/graid /mnt/$f; done
for f in fsynced copy.1 copy.3 copy.4; do cmp /host/pattern /mnt/$f; done
[ ! -e /mnt/copy.2 ]
umount /mnt
nbd-client -d /dev/nbd1
now="status"
$graid status --json md0 || [ $? = 3 ]
now="stop"
$graid stop md0
now="take the members' heads home"
for m in 0 1 2 3; do dd if=/tmp/m/$m of=/host/member.$m bs=64k count=1 2>/dev/null; done
trap - EXIT
exit 0
