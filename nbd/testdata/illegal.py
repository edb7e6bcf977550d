# Sends what no client should, through libnbd with its own checks switched off.
import errno
import sys

import nbd

h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(sys.argv[1])
h.set_strict_mode(0)
size = h.get_size()


def refused(want, call, *args, **kw):
    try:
        call(*args, **kw)
    except nbd.Error as e:
        assert e.errnum == want, (call.__name__, args, kw, e)
        return
    raise AssertionError(("accepted", call.__name__, args, kw))


refused(errno.EINVAL, h.pread, 1, size)
refused(errno.EINVAL, h.pread, 4096, size - 4095)
refused(errno.EINVAL, h.pread, 1, 2**64 - 1)
refused(errno.EINVAL, h.pread, 1, 0, flags=0x8000)
refused(errno.ENOSPC, h.pwrite, b"x" * 4096, size - 4095)
refused(errno.ENOSPC, h.pwrite, b"x", 2**64 - 1)
refused(errno.EINVAL, h.pwrite, b"x" * 4096, 0, flags=nbd.CMD_FLAG_NO_HOLE)
refused(errno.EINVAL, h.trim, 2, size - 1)
refused(errno.EINVAL, h.trim, 1, 0, flags=nbd.CMD_FLAG_FAST_ZERO)
refused(errno.ENOSPC, h.zero, 2, size - 1)
refused(errno.EINVAL, h.cache, 2, size - 1)
refused(errno.EINVAL, h.flush, flags=0x8000)
refused(errno.EINVAL, h.block_status, 2, size - 1, lambda *a: 0)
refused(errno.EINVAL, h.block_status, 0, 0, lambda *a: 0)

# Zero lengths succeed, and the connection is still in step.
h.trim(0, 0)
h.zero(0, 0)
h.pwrite(b"", 0)
h.pwrite(b"hello", 1, flags=nbd.CMD_FLAG_FUA)
assert h.pread(7, 0, flags=nbd.CMD_FLAG_DF | nbd.CMD_FLAG_FUA)[1:6] == b"hello"
got = []
h.block_status(size, 0, lambda name, off, entries, err: got.append((name, entries)) and 0, flags=nbd.CMD_FLAG_REQ_ONE)
assert len(got) == 1 and got[0][0] == "base:allocation" and len(got[0][1]) == 2, got
h.shutdown()
print("ok")
