#!/usr/bin/env bash
# interop.sh GRAID: the NBD clients that people use, against an array that this binary serves: flags, copies, sparse files, unaligned and illegal
# requests, TLS, standard input and output, socket activation. One line a check; "make interop". What a missing tool leaves out is named,
# and with CI=true it is a failure.
set -uo pipefail
graid=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3
dir=$(mktemp -d /tmp/graid-interop-XXXXXX)
export GRAID_RUNTIME_DIR=$dir/run
passed=0 failed=0 left=0

end() {
  for name in a ro tls; do "$graid" stop --force "$name" >/dev/null 2>&1; done
  rm -rf "$dir"
}
trap end EXIT
cd "$dir" || exit 1

# check NAME COMMAND...: it must succeed. refused NAME TEXT COMMAND...: it must fail, and say TEXT.
check() {
  local name=$1; shift
  if timeout 120 "$@" >out.log 2>&1; then echo "ok      $name"; passed=$((passed + 1)); else
    echo "FAILED  $name: $*"; sed 's/^/        /' out.log | tail -20; failed=$((failed + 1)); fi
}
refused() {
  local name=$1 text=$2; shift 2
  if timeout 120 "$@" >out.log 2>&1; then echo "FAILED  $name: succeeded: $*"; failed=$((failed + 1))
  elif grep -q -- "$text" out.log; then echo "ok      $name"; passed=$((passed + 1))
  else echo "FAILED  $name: does not say \"$text\":"; sed 's/^/        /' out.log | tail -20; failed=$((failed + 1)); fi
}
# have TOOL WHAT: whether it is there; if not, says what is not checked.
have() {
  command -v "$1" >/dev/null && return 0
  echo "left    $2: no $1"; left=$((left + 1)); return 1
}
must() { "$@" >out.log 2>&1 || { echo "FAILED  $*"; cat out.log; exit 1; }; }

must "$graid" create a --level 5 --chunk 64K --member-size 16M --assume-clean --nbd "unix:$dir/sock" --nbd tcp:127.0.0.1:0 m0 m1 m2 m3
size=$("$graid" detail --json a | tr ',' '\n' | sed -n 's/.*"size_bytes": *\([0-9]*\).*/\1/p' | head -1)
unix="nbd+unix:///a?socket=$dir/sock"
tcp=$("$graid" detail a | grep -o 'nbd://[^ ]*' | head -1)
head -c "$size" /dev/urandom >in
dd if=/dev/zero of=in bs=1M seek=4 count=8 conv=notrunc status=none # a hole

if have nbdinfo "what an export says about itself"; then
  for uri in "$unix" "$tcp"; do
    check "nbdinfo --json ${uri%%:*}" nbdinfo --json "$uri"
    check "nbdinfo --list ${uri%%:*}" grep -q 'export="a"' <(nbdinfo --list "$uri")
    check "nbdinfo --size ${uri%%:*}" test "$(nbdinfo --size "$uri")" = "$size"
  done
  for can in connect read write flush fua trim zero fast-zero df cache multi-conn structured-reply; do check "nbdinfo --can $can" nbdinfo --can $can "$unix"; done
  check "nbdinfo --is read-only is 2" bash -c 'nbdinfo --is read-only "$1"; [ $? = 2 ]' - "$unix"
  check "nbdinfo --map --totals" grep -q hole <(nbdinfo --map --totals "$unix")
  refused "nbdinfo of an export that is not there" "No such file" nbdinfo "nbd+unix:///b?socket=$dir/sock"
fi
if have nbdcopy "copies by libnbd"; then
  check "nbdcopy to the array, 4 connections" nbdcopy -C 4 -T 4 -R 64 --flush in "$unix"
  check "nbdcopy from the array, by TCP" nbdcopy -C 4 -T 4 -R 64 "$tcp" out
  check "nbdcopy: the same bytes" cmp -n "$size" in out
  check "nbdcopy --allocated" nbdcopy --allocated in "$tcp"
  rm -f out; check "nbdcopy --destination-is-zero" nbdcopy --destination-is-zero "$unix" out
  check "nbdcopy: the same bytes again" cmp -n "$size" in out
fi
if have qemu-img "copies by qemu"; then
  check "qemu-img convert, 16 requests out of order" qemu-img convert -n -m 16 -W -f raw -O raw in "$unix"
  check "qemu-img compare" qemu-img compare -f raw -F raw in "$tcp"
  check "qemu-img map finds the hole" grep -q '"data": false' <(qemu-img map -f raw --output=json "$unix")
  check "qemu-img info" qemu-img info -f raw "$unix"
  check "qemu-img bench, 64 deep, with flushes" qemu-img bench -f raw -c 5000 -d 64 -w --flush-interval=64 "$unix"
  check "qemu-nbd --list" qemu-nbd --list -k "$dir/sock"
fi
if have qemu-io "odd requests by qemu"; then
  check "qemu-io: FUA, unaligned, vectors, zeroes, discard, flush" bash -c '! qemu-io -f raw -c "write -f -P 1 0 4k" -c "write -P 2 511 1026" -c "read -P 2 511 1026" \
    -c "read -P 1 0 511" -c "writev -P 6 2M 512 1024 77" -c "read -P 6 2M 1613" -c "write -z -u 3M 1M" -c "read -P 0 3M 1M" -c "discard 5M 1M" -c flush "$1" |
    grep -E "fail|mismatch|rror"' - "$unix"
  refused "qemu-io past the end" "Input/output error" qemu-io -f raw -c "read 1G 4k" "$unix"
fi
if have fio "fio that verifies"; then
  check "fio verifies crc32c, 32 deep" fio --name=x --ioengine=nbd --uri="$tcp" --rw=randrw --bsrange=4k-64k --size=16m --iodepth=32 --verify=crc32c --verify_fatal=1
fi
if have nbdkit "nbdkit as a client"; then
  must nbdcopy "$unix" ref
  head -c 4M ref >part
  for filter in retry "stats statsfile=$dir/stats" "delay rdelay=1ms" "log logfile=$dir/log" "error error-rate=0%" "blocksize maxdata=64k" "fua fuamode=force"; do
    set -- $filter; name=$1; shift
    check "nbdkit --filter=$name" nbdkit -U - --filter="$name" nbd uri="$unix" "$@" --run 'nbdcopy part "$uri" && nbdcopy "$uri" - | cmp - ref'
  done
fi
if $python -c 'import nbd' 2>/dev/null; then
  check "libnbd without its own checks: illegal requests" $python "$here/../../nbd/testdata/illegal.py" "$unix"
else
  have python3-libnbd "illegal requests by libnbd"
fi

# Who may: another array, with TLS alone.
must "$graid" pki init
must "$graid" pki server localhost
must "$graid" pki client alice
must "$graid" pki client bob
must "$graid" pki init --ca foreign
must "$graid" pki client eve --ca foreign
cp pki/ca-cert.pem foreign/eve/ # she believes the server; it does not believe her
must "$graid" create tls --level 1 --member-size 8M --assume-clean --tls-certs pki/localhost --tls-access alice=rw --tls-access bob=ro \
  --nbd tcp:127.0.0.1:0 --nbd "unix:$dir/tls.sock" t0 t1
port=$("$graid" detail tls | sed -n 's,.*nbds://127.0.0.1:\([0-9]*\)/.*,\1,p' | head -1)
tls="nbds://localhost:$port/tls?tls-certificates=$dir/pki"
creds="tls-creds-x509,id=t,endpoint=client,dir=$dir/pki"
if have nbdinfo "TLS with libnbd"; then
  check "TLS: nbdinfo" nbdinfo "$tls/alice"
  check "TLS: nbdinfo on a unix socket" nbdinfo "nbds+unix:///tls?socket=$dir/tls.sock&tls-hostname=localhost&tls-certificates=$dir/pki/alice"
  check "TLS: nbdcopy there" bash -c 'head -c 4M in >part && nbdcopy -C 4 part "$1"' - "$tls/alice"
  check "TLS: nbdcopy back" bash -c 'nbdcopy -C 4 "$1" - | cmp -n 4194304 - part' - "$tls/alice"
  check "TLS: bob may read alone" nbdinfo --is read-only "$tls/bob"
  refused "TLS: bob may not write" "read-only" nbdcopy part "$tls/bob"
  refused "TLS: eve is of another authority" "alert" nbdinfo "nbds://localhost:$port/tls?tls-certificates=$dir/foreign/eve"
  refused "TLS: a client without" "Operation not supported" nbdinfo "nbd://localhost:$port/tls"
  refused "TLS: names are hidden without" "Operation not supported" nbdinfo --list "nbd://localhost:$port"
fi
if have qemu-img "TLS with qemu"; then
  check "TLS: qemu-img" qemu-img info --object "$creds/alice" --image-opts "driver=nbd,host=localhost,port=$port,export=tls,tls-creds=t"
  check "TLS: qemu-io writes and reads" qemu-io --object "$creds/alice" --image-opts "driver=nbd,host=localhost,port=$port,export=tls,tls-creds=t" \
    -c "write -P 5 1M 64k" -c "read -P 5 1M 64k" -c flush
  check "TLS: qemu-nbd --list" qemu-nbd --list --object "$creds/alice" --tls-creds t -b localhost -p "$port"
  refused "TLS: qemu-img without" "TLS" qemu-img info "nbd://localhost:$port/tls"
fi
must "$graid" stop tls

# Started by its client: on a socket pair, and by a socket that is handed over.
must "$graid" stop a
if have nbdinfo "socket activation"; then
  check "socket activation: nbdinfo [ ]" nbdinfo -- [ "$graid" serve a m0 m1 m2 m3 ]
fi
if $python -c 'import nbd' 2>/dev/null; then
  check "serve --stdio: libnbd starts it" $python - "$graid" <<'P'
import sys, nbd
h = nbd.NBD()
h.connect_command([sys.argv[1], "serve", "a", "--stdio", "m0", "m1", "m2", "m3"])
h.pwrite(b"by standard input", 12345, nbd.CMD_FLAG_FUA)
assert h.pread(17, 12345) == b"by standard input"
h.shutdown()
P
  check "what came by standard input is there" bash -c '"$1" dump m0 m1 m2 m3 | tail -c +12346 | head -c 17 | grep -qx "by standard input"' - "$graid"
fi
echo "$passed passed, $failed failed, $left left out for want of tools"
[ "$failed" = 0 ] && { [ "$left" = 0 ] || [ "${CI:-}" != true ]; }
