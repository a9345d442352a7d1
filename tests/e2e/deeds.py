# SPDX-License-Identifier: Apache-2.0
"""What processes rarely do, done by a child of the test for the sensors to see: each returns its pid, and the child is gone."""
import contextlib
import ctypes
import mmap
import os
import resource
import signal
import socket
import struct
import time

import lib

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
# x86-64
NR_DELETE_MODULE, NR_PERF_EVENT_OPEN, NR_FINIT_MODULE, NR_BPF = 176, 298, 313, 321
BPF_PROG_LOAD, SOCKET_FILTER = 5, 1
CLONE_NEWUTS = 0x04000000
PTRACE_SEIZE, PR_SET_PDEATHSIG = 0x4206, 1
PAGE = mmap.PAGESIZE


def check(result, what):
    if result is None or result < 0 or result == 2**64 - 1:
        raise OSError(ctypes.get_errno(), what)
    return result


def child(deed):
    """Runs deed() in a child; its pid, after it ended well."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            deed()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status:
        raise AssertionError(f"the child ended with {status:#x}")
    return pid


class Sleeper:
    """A child that does nothing, in a cgroup where one is given."""

    def __init__(self, group=None):
        self.pid = os.fork()
        if not self.pid:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            while True:
                signal.pause()
        if group:
            with open(f"{group}/cgroup.procs", "w") as f:
                f.write(str(self.pid))

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def module_to_spare():
    """Path of a module that the VM has and nobody uses, or None."""
    if not os.path.exists("/vm/modules") or not os.path.exists("/proc/modules"):
        return None
    with open("/vm/modules") as f:
        return next((line.strip() for line in f if "/udp_diag.ko" in line), None)


def load_module(path):
    libc.syscall(NR_DELETE_MODULE, b"udp_diag", os.O_NONBLOCK)

    def deed():
        fd = os.open(path, os.O_RDONLY)
        check(libc.syscall(NR_FINIT_MODULE, fd, b"", 0), "finit_module")
    return child(deed)


def bpf_load(name):
    insns = ctypes.create_string_buffer(struct.pack("=BBhi", 0xb7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0))
    text = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("=IIQQIIQII16sII", SOCKET_FILTER, 2, ctypes.addressof(insns), ctypes.addressof(text), 0, 0, 0, 0, 0, name, 0, 0)

    def deed():
        with contextlib.suppress(ValueError, OSError):  # programs are counted before 5.11; not everybody may raise it
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        check(libc.syscall(NR_BPF, BPF_PROG_LOAD, ctypes.create_string_buffer(attr, len(attr)), len(attr)), "bpf")
    return child(deed)


def seize(pid):
    return child(lambda: check(libc.ptrace(PTRACE_SEIZE, pid, None, None), "ptrace"))


def new_uts():
    return child(lambda: check(libc.unshare(CLONE_NEWUTS), "unshare"))


def memfd(name):
    return child(lambda: os.memfd_create(name))


def executable_memory():
    """mmap of both at once, then what a compiler does: write, then execute."""
    def deed():
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        check(libc.mmap(None, PAGE, 7, flags, -1, 0), "mmap")
        at = check(libc.mmap(None, 2 * PAGE, 3, flags, -1, 0), "mmap")
        check(libc.mprotect(at, 2 * PAGE, 5), "mprotect")
    return child(deed)


def perf(config):
    """A counter of the kernel's own that nobody may be refused; if it is, the error is told."""
    attr = struct.pack("=IIQ", 1, 64, config).ljust(64, b"\0")
    return child(lambda: libc.syscall(NR_PERF_EVENT_OPEN, ctypes.create_string_buffer(attr, 64), 0, -1, -1, 0))


def open_memory(pid):
    return child(lambda: os.open(f"/proc/{pid}/mem", os.O_RDWR))


def raw_socket():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def bind_unix(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.bind("\0" + name)


def chroot():
    """To where it is: needs a capability and does nothing. Why not, or 0."""
    return 0 if not libc.chroot(b"/") else ctypes.get_errno()


def kill(pid, number):
    return child(lambda: os.kill(pid, number))


class Group:
    """A cgroup of its own below the cgroup2 mount."""

    def __init__(self):
        with open("/proc/self/mountinfo") as f:
            mount = next(line.split()[4] for line in f if " - cgroup2 " in line and line.split()[3] == "/")
        self.path = f"{mount}/pst-deeds-{os.getpid()}-{time.monotonic_ns()}"
        os.mkdir(self.path)

    def close(self):
        lib.wait_for(self._remove, 20, "the cgroup to become empty")

    def _remove(self):
        try:
            os.rmdir(self.path)
            return True
        except OSError:
            return False
