#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The sandbox of each stage, tried from inside: the running process itself is made to do what it must not (tests/helpers/inject.c)."""
import errno
import glob
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import pipeline  # noqa: E402

SENSORS = ("sensors: {process: yes, exec_failed: no, cred: no, tcp: no, accept: no, udp: no, drops: no, flows: yes, "
           "syscalls: yes, " + lib.NO_RARE + "}\nflows: {slots: 1024}")
# x86-64; inject says so elsewhere
NR = {"open": 2, "mmap": 9, "mprotect": 10, "socket": 41, "connect": 42, "clone": 56, "fork": 57, "vfork": 58, "execve": 59,
      "kill": 62, "ptrace": 101, "setuid": 105, "setresuid": 117, "prctl": 157, "mount": 165, "init_module": 175,
      "unlink": 87, "close": 3, "unshare": 272, "perf_event_open": 298, "open_by_handle_at": 304, "process_vm_readv": 310,
      "finit_module": 313, "bpf": 321, "execveat": 322, "io_uring_setup": 425, "clone3": 435, "keyctl": 250, "setns": 308,
      "memfd_create": 319, "userfaultfd": 323, "symlink": 88, "truncate": 76}
BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_OBJ_GET = 0, 5, 7
SYSCTL = "/proc/sys/kernel/unprivileged_bpf_disabled"
# An array of one element, which is what anybody may have where it is not forbidden.
MAP_CREATE = ("import ctypes,struct\nc=ctypes.CDLL(None,use_errno=True)\n"
              "a=ctypes.create_string_buffer(struct.pack('IIII',2,4,4,1),128)\n"
              "print(c.syscall(321,0,a,128),ctypes.get_errno())")
RULES = "rules:\n  - name: all-execs\n    kinds: process_exec\n    rate: none\n"


def landlock_abi():
    """0: none"""
    import ctypes
    return max(0, ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1))


@unittest.skipUnless(platform.machine() == "x86_64", "system calls are injected on x86-64 only")
class Sandbox(pipeline.PipelineTest):
    @classmethod
    def setUpClass(cls):
        cls.p = pipeline.Pipeline(RULES, loader=SENSORS)
        cls.addClassCleanup(cls.p.close)
        cls.p.up()
        cls.landlock = landlock_abi()

    def setUp(self):
        self.instances = [self.p]

    def inject(self, tid, name, *args):
        """("ret", value) or ("killed", signal)"""
        out = subprocess.run([pipeline.helper("inject"), str(tid), str(NR[name]), *map(str, args)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, timeout=pipeline.PATIENCE)
        self.assertEqual(out.returncode, 0, out.stderr)
        what, value = out.stdout.split()
        return what, int(value)

    def can_open(self, stage, path, flags=os.O_RDONLY, mode=0o600):
        """0, or the error of open(2) within the stage."""
        what, value = self.inject(self.p.pid(stage), "open", "s:" + path, flags, mode)
        self.assertEqual(what, "ret", f"{stage}: open {path}")
        if value >= 0:
            self.assertEqual(self.inject(self.p.pid(stage), "close", value), ("ret", 0))
        return max(0, -value)

    def threads(self, stage):
        for path in glob.glob(f"/proc/{self.p.pid(stage)}/task/*/status"):
            with open(path) as f:
                yield dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)

    def fatal(self, stage, name, *args):
        """The call ends the whole process, by SIGSYS; then it is started again."""
        pid = self.p.pid(stage)
        what = self.inject(pid, name, *args)
        self.assertEqual(what, ("killed", signal.SIGSYS), f"{stage} {name}")
        self.assertEqual(self.p.stage[stage].wait(pipeline.PATIENCE), -signal.SIGSYS, f"{stage} {name}")
        self.p.stage[stage].close()
        self.p.begin(stage)

    # ---- what the kernel says of them ----

    def test_rights_of_every_thread(self):
        for stage in lib.STAGES:
            threads = list(self.threads(stage))
            self.assertTrue(threads)
            uid = self.p.uid(stage)
            for t in threads:
                with self.subTest(stage=stage, thread=t["Pid"]):
                    for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                        self.assertEqual(int(t[caps], 16), 0, caps)
                    self.assertEqual((t["NoNewPrivs"], t["Seccomp"]), ("1", "2"))
                    self.assertEqual(t["Uid"].split(), [str(uid)] * 4)
                    self.assertEqual(t["Gid"].split(), [str(uid)] * 4)
                    self.assertEqual(set(t["Groups"].split()), {str(uid), str(lib.COMMON_GROUP)})
            level = self.p.status(stage)["sandbox"]
            self.assertEqual(level, f"uid={uid} caps=none nnp seccomp landlock={min(self.landlock, 7)}")
            with open(f"/proc/{self.p.pid(stage)}/limits") as f:
                core = next(line for line in f if line.startswith("Max core file size"))
            self.assertEqual(core.split()[4:6], ["0", "0"])

    def test_nobody_else_may_look_in(self):
        """Another process of the same user can neither attach nor read its memory."""
        for stage in lib.STAGES:
            pid, uid = self.p.pid(stage), self.p.uid(stage)
            for path in (f"/proc/{pid}/mem", f"/proc/{pid}/environ", f"/proc/{pid}/maps"):
                out = subprocess.run(["/usr/bin/cat", path], user=uid, group=uid, extra_groups=[], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True)
                self.assertIn("Permission denied", out.stderr, f"{stage} {path}")

    # ---- what ends the process ----

    def test_bpf_ends_the_process(self):
        """The first bpf(2), whatever it wants; also for a pin that the stage's group may open."""
        pin = os.path.join(self.p.bpffs, "maps", "ring_process")
        for stage in lib.STAGES:
            with self.subTest(stage=stage):
                # union bpf_attr of BPF_OBJ_GET: u64 pathname, ... A bad pointer will do: the call itself is what is forbidden.
                self.fatal(stage, "bpf", BPF_OBJ_GET, "s:" + pin, 16)
                self.fatal(stage, "bpf", BPF_MAP_CREATE, "z:128", 128)

    def test_no_program_can_be_run(self):
        for stage in lib.STAGES:
            with self.subTest(stage=stage):
                self.fatal(stage, "execve", "s:/bin/true", "z:8", "z:8")
                self.fatal(stage, "execveat", 0xffffff9c, "s:/bin/true", "z:8", "z:8", 0)

    def test_other_ways_out_end_the_process(self):
        calls = [("ptrace", 16, 1), ("unshare", 0x10000000), ("setns", 0, 0), ("mount", "s:x", "s:/tmp", "s:tmpfs", 0, 0),
                 ("setuid", 0), ("setresuid", 0, 0, 0), ("perf_event_open", "z:128", 0, -1 & (1 << 64) - 1, -1 & (1 << 64) - 1, 0),
                 ("init_module", "z:16", 16, "s:"), ("finit_module", 0, "s:", 0), ("process_vm_readv", 1, "z:16", 1, "z:16", 1, 0),
                 ("open_by_handle_at", 0, "z:64", 0), ("io_uring_setup", 8, "z:120"), ("keyctl", 0, 0), ("userfaultfd", 0),
                 ("bpf", BPF_PROG_LOAD, "z:128", 128)]
        if pipeline.VM:
            calls = calls[:4]
        for i, call in enumerate(calls):
            stage = lib.STAGES[i % len(lib.STAGES)]
            with self.subTest(stage=stage, call=call[0]):
                self.fatal(stage, *call)

    # ---- what is refused ----

    def test_no_process_no_code_no_foreign_signal(self):
        for stage in lib.STAGES:
            pid = self.p.pid(stage)
            refused = [("fork",), ("vfork",), ("clone", signal.SIGCHLD, 0, 0, 0, 0), ("clone", 0x10000000 | signal.SIGCHLD, 0),
                       ("kill", 1, 0), ("kill", os.getpid(), 0), ("mmap", 0, 4096, 5, 0x22, -1 & (1 << 64) - 1, 0),
                       ("memfd_create", "s:x", 0), ("socket", socket.AF_NETLINK, socket.SOCK_RAW, 0),
                       ("socket", socket.AF_PACKET, socket.SOCK_RAW, 0), ("socket", socket.AF_INET, socket.SOCK_RAW, 6),
                       ("socket", socket.AF_INET, socket.SOCK_DGRAM, 0), ("prctl", 4, 1, 0, 0, 0)]
            if stage != "exporter":
                refused += [("socket", f, socket.SOCK_STREAM, 0) for f in (socket.AF_INET, socket.AF_INET6)]
            for call in refused:
                with self.subTest(stage=stage, call=call):
                    self.assertEqual(self.inject(pid, *call), ("ret", -errno.EPERM))
            self.assertEqual(self.inject(pid, "clone3", "z:88", 88), ("ret", -errno.ENOSYS))
            self.assertTrue(self.p.stage[stage].alive())

    def test_exporter_connects_to_nobody(self):
        if self.landlock < 4:
            self.skipTest(f"Landlock {self.landlock} of this kernel knows no TCP (6.7 does); docs/design/sandbox.md says so")
        address = "x:" + struct.pack("=H2s4s8x", socket.AF_INET, (9).to_bytes(2, "big"), socket.inet_aton("127.0.0.1")).hex()
        pid = self.p.pid("exporter")
        what, fd = self.inject(pid, "socket", socket.AF_INET, socket.SOCK_STREAM, 0)
        self.assertGreaterEqual(fd, 0)
        self.assertEqual(self.inject(pid, "connect", fd, address, 16), ("ret", -errno.EACCES))
        self.inject(pid, "close", fd)

    # ---- files ----

    def test_what_each_may_open(self):
        """Else the next test would show nothing."""
        iters = os.path.join(self.p.bpffs, "iters")
        own = {"collector": ["/proc/sys/kernel/random/boot_id"], "policyd": [self.p.rules_path],
               "enricher": [f"{iters}/tasks", "/proc/1/stat", "/etc/passwd", "/etc/services"],
               "exporter": [f"{iters}/{name}" for name in ("syscalls", "interfaces", "programs", "maps")]}
        for stage, paths in own.items():
            for path in (*paths, f"{self.p.run_dir}/loader.json", f"{self.p.run_dir}/{stage}.ckpt"):
                if not os.path.exists(path) and path == "/etc/services":
                    continue
                with self.subTest(stage=stage, path=path):
                    self.assertEqual(self.can_open(stage, path), 0)
            new = f"{self.p.run_dir}/{stage}.new"
            self.assertEqual(self.can_open(stage, new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), 0)
            self.assertEqual(self.inject(self.p.pid(stage), "unlink", "s:" + new), ("ret", 0))

    def test_pins_and_iterators_of_others(self):
        b = self.p.bpffs
        owner = {"tasks": "enricher", "syscalls": "exporter", "interfaces": "exporter", "programs": "exporter",
                 "maps": "exporter"}
        links = os.listdir(f"{b}/links")
        self.assertTrue(links)
        for stage in lib.STAGES:
            others = [f"{b}/iters/{name}" for name, who in owner.items() if who != stage]
            # What the loader hands to the collector is its own; that it opens even that not is Landlock's doing.
            others += [f"{b}/maps/{name}" for name in os.listdir(f"{b}/maps")
                       if self.landlock or os.stat(f"{b}/maps/{name}").st_gid != self.p.uid(stage)]
            others += [f"{b}/links/{links[0]}", f"{b}/links", f"{b}/progs", f"{b}/version", b]
            for path in others:
                for flags in (os.O_RDONLY, os.O_RDWR):
                    with self.subTest(stage=stage, path=path, flags=flags):
                        self.assertIn(self.can_open(stage, path, flags),
                                      (errno.EISDIR, errno.EACCES) if os.path.isdir(path) and flags else
                                      (errno.EACCES, errno.EPERM))
            own = [f"{b}/iters/{name}" for name, who in owner.items() if who == stage]
            for path in own:
                self.assertEqual(self.can_open(stage, path, os.O_RDWR), errno.EACCES, path)

    def test_files_outside_the_list(self):
        run = self.p.run_dir
        for stage in lib.STAGES:
            # by file modes, on every kernel
            shut = ["/etc/shadow", "/proc/kcore", *(f"{run}/{s}.ret" for s in ("collector", "enricher", "policyd") if s != stage),
                    *(f"{run}/{s}.lock" for s in lib.STAGES if s != stage), f"{run}/loader.lock"]
            # by Landlock: the world may read these
            world = [os.path.join(lib.BINDIR, "penstock-loader"), "/etc/hostname", "/etc/group", "/bin/true", "/tmp", "/", "/usr/bin",
                     "/sys/kernel/mm/transparent_hugepage/enabled", "/dev/zero", "/dev/null"]
            if stage != "enricher":
                world += ["/etc/passwd", "/proc/1/stat", "/proc/self/status", "/proc/version"]
            if stage != "policyd":  # it may read the folder of the rules, as they are changed by putting another file there
                world += [self.p.rules_path, self.p.config_path]
            for path in shut + (world if self.landlock else []):
                if not os.path.exists(path) or path.startswith("/proc/self"):
                    continue
                with self.subTest(stage=stage, path=path):
                    self.assertEqual(self.can_open(stage, path), errno.EACCES)
            self.assertIn(self.can_open(stage, f"/tmp/{stage}.new", os.O_WRONLY | os.O_CREAT),
                          (errno.EACCES,) if self.landlock else (0,))
            if not self.landlock:
                os.unlink(f"/tmp/{stage}.new")
            self.assertEqual(self.can_open(stage, f"{run}/loader.json", os.O_WRONLY), errno.EACCES)
            self.assertEqual(self.inject(self.p.pid(stage), "symlink", "s:/etc/shadow", f"s:{run}/{stage}.link")[1],
                             -errno.EPERM)
        if not self.landlock:
            self.skipTest("the modes were tried; this kernel has no Landlock (5.13 has)")

    # ---- and with all that they still work ----

    def test_rules_are_read_again_from_a_file_that_was_replaced(self):
        with open(self.p.rules_path) as f:
            rules = f.read()
        for _ in range(3):
            before = self.p.ctl("policyd", op="rules")
            with open(self.p.rules_path + ".next", "w") as f:
                f.write(rules)
            os.rename(self.p.rules_path + ".next", self.p.rules_path)
            pipeline.wait_for(lambda: self.p.ctl("policyd", op="rules")["generation"] > before["generation"], "the rules read again")
            now = self.p.ctl("policyd", op="rules")
            self.assertEqual((now["error"], len(now["rules"])), ("", len(before["rules"])))

    def test_the_pipeline_works_with_bpf_forbidden_to_the_unprivileged(self):
        with open(SYSCTL) as f:
            value = int(f.read())
        if pipeline.VM:
            self.assertEqual(value, 2, "the guest starts so (tests/vm/init)")
        if value == 0:
            self.skipTest(f"{SYSCTL} is 0 here, and it is not ours to change")
        out = subprocess.run(["/usr/bin/python3", "-c", MAP_CREATE], user=lib.STRANGER, group=lib.STRANGER, extra_groups=[],
                             stdout=subprocess.PIPE, text=True, check=True)
        self.assertEqual(out.stdout.split(), ["-1", str(errno.EPERM)])  # the setting does what it says
        self.p.down()
        self.p.up()
        self.assertEqual(self.p.report()["kernel"]["unprivileged_bpf_disabled"], value)
        seen = pipeline.Observer(self.p, "policyd")
        self.addCleanup(seen.close)
        mark = pipeline.unique("sandboxed")
        spawner = pipeline.Spawner(mark, 100)
        self.addCleanup(spawner.close)
        spawner.result()
        seen.wait(lambda: len(pipeline.execs_of(seen, mark)) == 100, "an alert for each")
        pipeline.wait_for(lambda: any(k.startswith("penstock_syscalls_total") for k in self.p.metrics()), "system calls")
        pipeline.wait_for(lambda: self.p.get("/readyz")[0] == 200, "all to be ready: " + str(self.p.get("/readyz")))


if __name__ == "__main__":
    unittest.main()
