# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: an instance of Penstock of its own, beside whatever else runs on this host.

An Instance has its own run folder, bpffs folder, network namespace and user names, and takes all of it away again in close(),
also when the test failed. Nothing here needs more than Python's standard library.
"""
import array
import atexit
import ctypes
import json
import mmap
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINDIR = os.environ.get("PENSTOCK_BINDIR", os.path.join(ROOT, "build", "bin"))
BPFFS = "/sys/fs/bpf"
STAGES = ("collector", "enricher", "policyd", "exporter")
# Sensors of files, most of them off by default, those that judge by policies, and of what processes rarely do, for a configuration that
# wants none of them.
FILES = ("file_unlink", "file_rename", "file_link", "file_symlink", "file_mkdir", "file_mknod",
         "file_chmod", "file_chown", "file_truncate", "file_xattr",
         "file_mount", "file_umount", "file_pivot_root")
POLICIES = ("policy_exec", "policy_open", "policy_file", "policy_chown", "policy_net", "policy_proc", "policy_made", "policy_module")
RARE = ("module", "bpf", "ptrace", "signal", "namespace", "memfd", "exec_memory", "perf", "proc_mem", "capability", "socket", "bind", *FILES, *POLICIES)
NO_RARE = ", ".join(f"{name}: no" for name in RARE)
EXIT_USAGE, EXIT_SYSTEM = 100, 111

# Numbers outside of what Debian hands out, one user and one group a stage; the last is nobody of ours.
FIRST_ID = 61000
STRANGER = FIRST_ID + 99
COMMON_GROUP = FIRST_ID + 50

_libc = ctypes.CDLL(None, use_errno=True)
_count = 0
_open = []


def make_users():
    """The users as whom the stages go on when root starts them; what is there stays."""
    subprocess.run([os.path.join(ROOT, "compose", "local", "users.sh")], check=True, stdout=subprocess.DEVNULL)


def mounted(path, kind):
    with open("/proc/self/mounts") as f:
        return any(line.split()[1] == path and line.split()[2] == kind for line in f)


def ensure_bpffs():
    if not mounted(BPFFS, "bpf"):
        subprocess.run(["mount", "-t", "bpf", "bpf", BPFFS], check=True)


def wait_for(check, seconds=10.0, what="a condition"):
    """The first true value of check(), asked again and again."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def bpftool(*args):
    for _ in range(20):  # it gives up when an object goes while it lists them
        out = subprocess.run(["bpftool", "-j", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if not out.returncode:
            break
        time.sleep(0.1)
    else:
        raise RuntimeError(f"bpftool {' '.join(args)}: {out.stdout.decode()} {out.stderr.decode()}")
    return json.loads(out.stdout.strip() or b"null")


def bpf(command, attr, what=""):
    """bpf(2)"""
    number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    r = _libc.syscall(number, command, ctypes.create_string_buffer(attr, 128), 128)
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)
    return r


def obj_get(path):
    """Descriptor of a pinned object (BPF_OBJ_GET)."""
    name = ctypes.create_string_buffer(path.encode())
    return bpf(7, struct.pack("QII", ctypes.addressof(name), 0, 0), path)


def obj_pin(path, fd):
    """Pins a descriptor (BPF_OBJ_PIN)."""
    name = ctypes.create_string_buffer(path.encode())
    bpf(6, struct.pack("QII", ctypes.addressof(name), fd, 0), path)


def create_array(name, value, entries):
    """A BPF array that can be mapped."""
    return bpf(0, struct.pack("IIIIIII16s", 2, 4, value, entries, 1 << 10, 0, 0, name.encode()[:15]), name)


class Process:
    """A child whose standard error is kept; ready when it says so on PENSTOCK_NOTIFY_FD."""

    def __init__(self, args, env=None, name=None, notify=True, pass_fds=()):
        self.name = name or os.path.basename(args[0])
        self.log = []
        rd, wr = os.pipe()
        extra = {"PENSTOCK_NOTIFY_FD": str(wr)} if notify else {}
        self.started = time.monotonic()
        self.p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  env={**os.environ, **extra, **(env or {})}, pass_fds=(*pass_fds, *((wr,) if notify else ())))
        os.close(wr)
        self.notify = rd
        self.reader = threading.Thread(target=self._drain, daemon=True)
        self.reader.start()

    def _drain(self):
        for line in self.p.stderr:
            self.log.append(line.decode(errors="replace").rstrip("\n"))

    def text(self):
        return "\n".join(self.log)

    def wait_ready(self, seconds=60.0):
        if not select.select([self.notify], [], [], seconds)[0]:
            raise AssertionError(f"{self.name} is not ready after {seconds} s:\n{self.text()}")
        if os.read(self.notify, 16) != b"\n":
            self.wait(5)
            raise AssertionError(f"{self.name} ended with {self.p.returncode} before it was ready:\n{self.text()}")
        self.ready_after = time.monotonic() - self.started
        return self

    def wait(self, seconds=30.0):
        code = self.p.wait(seconds)
        self.reader.join(5)
        return code

    def send(self, number):
        self.p.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=30.0):
        if self.p.poll() is None:
            self.p.send_signal(number)
        code = self.wait(seconds)
        self.close()
        return code

    def alive(self):
        return self.p.poll() is None

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait(60)
        if self.notify >= 0:
            os.close(self.notify)
            self.notify = -1


class Instance:
    """Folders, network namespace and users of one test."""

    def __init__(self, config=""):
        global _count
        _count += 1
        self.name = f"pst-test-{os.getpid()}-{_count}"
        ensure_bpffs()
        self.dir = tempfile.mkdtemp(prefix=self.name + "-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.run_dir = os.path.join(self.dir, "run")
        self.bpffs = os.path.join(BPFFS, self.name)
        self.config_path = os.path.join(self.dir, "penstock.yaml")
        self.prefix = "pt-"
        self.processes = []
        self.configure(config)
        self._accounts()
        self._namespaces()
        _open.append(self)

    # ---- the surroundings ----

    def uid(self, stage):
        return FIRST_ID + 1 + STAGES.index(stage)

    def _accounts(self):
        """The host's user names and ours, seen only within this instance."""
        names = {"passwd": "", "group": f"penstock:x:{COMMON_GROUP}:\n"}
        for s in STAGES:
            i = self.uid(s)
            names["passwd"] += f"{self.prefix}{s}:x:{i}:{i}::/nonexistent:/usr/sbin/nologin\n"
            names["group"] += f"{self.prefix}{s}:x:{i}:\n"
        for file, own in names.items():
            kept = [line for line in open(f"/etc/{file}") if not line.startswith(("penstock:", self.prefix))]
            with open(os.path.join(self.dir, file), "w") as f:
                f.write(own + "".join(kept))

    def _namespaces(self):
        script = (f"mount --bind {self.dir}/passwd /etc/passwd && mount --bind {self.dir}/group /etc/group && "
                  "ip link set lo up && echo up && exec sleep infinity")
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"up\n":
            raise AssertionError("no namespaces for this test")

    def inside(self, *args):
        """A command line within the instance's namespaces."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", f"--mount=/proc/{self.holder.pid}/ns/mnt", *args]

    def run(self, *args, check=True, **kw):
        return subprocess.run(self.inside(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=check,
                              **kw)

    def configure(self, text):
        common = f"common:\n  user_prefix: {self.prefix}\n"
        tmp = self.config_path + ".next"
        with open(tmp, "w") as f:
            f.write(common + text)
        os.rename(tmp, self.config_path)

    # ---- programs ----

    def args(self, program, *args):
        return self.inside(os.path.join(BINDIR, program), "--config", self.config_path, "--run-dir", self.run_dir,
                           "--bpffs", self.bpffs, *args)

    def start(self, program, *args, env=None, ready=60.0, pass_fds=()):
        p = Process(self.args(program, *args), env, name=program, pass_fds=pass_fds)
        self.processes.append(p)
        return p.wait_ready(ready) if ready else p

    def loader(self, *args, env=None, seconds=120.0):
        """Runs the loader to its end; returns (code, log)."""
        p = Process(self.args("penstock-loader", *args), env, name="penstock-loader")
        self.processes.append(p)
        code = p.wait(seconds)
        p.close()
        return code, p.text()

    def load(self, *args):
        code, log = self.loader("load", *args)
        if code:
            raise AssertionError(f"load ended with {code}:\n{log}")
        return log

    def report(self):
        with open(os.path.join(self.run_dir, "loader.json")) as f:
            return json.load(f)

    # ---- pins ----

    def pins(self, folder):
        path = os.path.join(self.bpffs, folder)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def pin(self, folder, name):
        return os.path.join(self.bpffs, folder, name)

    def own_programs(self):
        """Ids of our programs, by the loader's own iterator."""
        raw = read(self.pin("iters", "programs"))
        return {struct.unpack_from("I", raw, at)[0] for at in range(0, len(raw), 56)}

    def close(self):
        """Everything away again; what cannot be taken away is an error of the test."""
        if self in _open:
            _open.remove(self)
        trouble = []
        for p in self.processes:
            try:
                p.close()
            except subprocess.TimeoutExpired:
                trouble.append(f"{p.name} does not die")
        if os.path.isdir(self.bpffs):
            out = subprocess.run(self.args("penstock-loader", "unload"), stderr=subprocess.PIPE, text=True)
            if out.returncode or os.path.exists(self.bpffs):
                trouble.append(f"unload ended with {out.returncode}: {out.stderr}")
        self.holder.kill()
        self.holder.wait(10)
        self.holder.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        if trouble:
            raise AssertionError("; ".join(trouble))


@atexit.register
def _close_all():
    for i in list(_open):
        i.close()


# ---- descriptors and rings ----

MESSAGE = struct.Struct("32sQII")


def request_fds(path):
    """What the loader hands to this process: ({name: (fd, size)}, error)."""
    fds = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(10)
        s.connect(path)
        s.send(b"1")
        while True:
            data, ancillary, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(64))
            if not data:
                return fds, None
            name, size, _, error = MESSAGE.unpack(data)
            name = name.rstrip(b"\0").decode()
            if not name:
                return fds, error
            came = array.array("i")
            for _, kind, cdata in ancillary:
                if kind == socket.SCM_RIGHTS:
                    came.frombytes(cdata)
            fds[name] = (came[0], size)


class Ring:
    """Reader of a BPF ring buffer by its descriptor."""

    def __init__(self, fd, size):
        page = mmap.PAGESIZE
        self.size = size
        self.consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self.data = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self.base = page

    def records(self):
        """All complete records that are there; their room goes back to the kernel."""
        out = []
        at = struct.unpack_from("Q", self.consumer, 0)[0]
        head = struct.unpack_from("Q", self.data, 0)[0]
        while at < head:
            off = self.base + (at & (self.size - 1))
            length = struct.unpack_from("I", self.data, off)[0]
            if length & 1 << 31:
                break
            if not length & 1 << 30:
                out.append(self.data[off + 8:off + 8 + length])
            at += ((length & 0x3fffffff) + 8 + 7) & ~7
        struct.pack_into("Q", self.consumer, 0, at)
        return out

    def close(self):
        self.consumer.close()
        self.data.close()
