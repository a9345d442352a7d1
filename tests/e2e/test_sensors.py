#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The sensors of processes, end to end: what the API shows of fork, exec, failed exec, exit and change of credentials is what /proc,
stat(2) and wait(2) say."""
import ctypes
import errno
import os
import pty
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fcntl  # noqa: E402
import shutil  # noqa: E402
import termios  # noqa: E402
import lib  # noqa: E402
import sensors  # noqa: E402
from pipeline import unique  # noqa: E402
from sensors import GROUP, USER, Proc, boot_ns, cgroup_mount, cgroup_of, inode, libc, status_of  # noqa: E402

NAMESPACES = ("mnt", "pid", "net", "user", "uts", "ipc", "cgroup", "time")
CLONE_VM, CLONE_NEWUTS = 0x100, 0x04000000
CAPS = {0: "CAP_CHOWN", 5: "CAP_KILL", 10: "CAP_NET_BIND_SERVICE", 13: "CAP_NET_RAW", 21: "CAP_SYS_ADMIN"}
ARGV_MAX = 4096
CAT = os.path.realpath("/usr/bin/cat")
marks = iter(range(1000000))


def mark():
    return unique(f"sensor-{next(marks)}")


class Fork(sensors.SensorTest):
    def forked(self, pid):
        proc = Proc.of(pid)
        return self.one(f"kind=process_fork&pid={os.getpid()}",
                        lambda e: e["child_pid"] == pid and proc.born(e["child_start_ns"]))

    def test_fork(self):
        """fork(2): who, whom, when, and in which cgroup."""
        self.needs("process")
        before = boot_ns()
        c = self.child(lambda c: c.hear())
        e = self.forked(c.pid)
        self.assertTrue(before < e["ts_ns"] < boot_ns())
        self.assert_who(e, os.getpid())
        self.assertEqual(e["child_cgroup_id"], inode(cgroup_mount() + cgroup_of(c.pid)))
        self.assertEqual(int(e["clone_flags"], 16), signal.SIGCHLD)

    def test_what_is_shared(self):
        """vfork(2) shares the memory; clone(2) may give namespaces."""
        self.needs("process")
        p = self.popen(["/usr/bin/cat"], close_fds=False)
        flags = int(self.forked(p.pid)["clone_flags"], 16)
        self.assertEqual(flags & CLONE_VM, CLONE_VM)
        number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
        rd, wr = os.pipe()
        pid = ctypes.PyDLL(None).syscall(number, CLONE_NEWUTS | signal.SIGCHLD, 0, 0, 0, 0)
        if not pid:
            os.close(wr)
            os.read(rd, 1)
            os._exit(0)
        try:
            self.assertEqual(int(self.forked(pid)["clone_flags"], 16), CLONE_NEWUTS | signal.SIGCHLD)
        finally:
            os.close(rd)
            os.close(wr)
            os.waitpid(pid, 0)

    def test_total(self):
        """The counter counts them."""
        self.needs("process")

        def forks():
            return int(self.p.metrics()["penstock_process_forks_total"])
        before = forks()
        for _ in range(20):
            os.waitpid(os.posix_spawn("/usr/bin/true", ["true"], {}), 0)
        self.until(lambda: forks() >= before + 20, "20 forks counted")


class Exec(sensors.SensorTest):
    def setUp(self):
        self.needs("process")
        self.dir = os.path.join(self.p.dir, mark())
        os.mkdir(self.dir, 0o755)

    def shell(self, *words, **kw):
        """A shell that waits for a line and ends with 7; its arguments are ours."""
        return self.popen(["/usr/bin/sh", "-c", "read x; exit 7", *words], **kw)

    def assert_caps(self, names, bits):
        self.assertEqual(len(names), bin(bits).count("1"))
        for bit, name in CAPS.items():
            self.assertEqual(name in names, bool(bits >> bit & 1), name)

    def assert_exec(self, e, pid, filename="/usr/bin/sh", flags=()):
        """Every field of the event, while the process lives."""
        proc, st = Proc.of(pid), status_of(pid)
        self.assert_who(e, pid)
        self.assertEqual(e["filename"], filename)
        words = lib.read(f"/proc/{pid}/cmdline")[:-1].split(b"\0")
        self.assertEqual([w.decode(errors="replace") for w in words], e["argv"])
        self.assertEqual(e["argc"], len(words))
        self.assertEqual(e["cwd"], os.readlink(f"/proc/{pid}/cwd"))
        self.assertEqual(e.get("euid"), int(st["Uid"][1]))
        loginuid = int(lib.read(f"/proc/{pid}/loginuid")) if os.path.exists(f"/proc/{pid}/loginuid") else 2 ** 32 - 1
        self.assertEqual(e.get("loginuid", 2 ** 32 - 1), loginuid)
        self.assert_caps(e.get("cap_effective", []), int(st["CapEff"][0], 16))
        self.assertEqual(e.get("tty"), proc.tty)
        for name in NAMESPACES:
            path = f"/proc/{pid}/ns/{name}"
            if os.path.exists(path):
                self.assertEqual(e[name + "_ns"], inode(path), name)
        st = os.stat(f"/proc/{pid}/exe")
        self.assertEqual((e["exe_dev"], e["exe_ino"]), (f"{os.major(st.st_dev)}:{os.minor(st.st_dev)}", st.st_ino))
        self.assertEqual(e["parent_pid"], proc.ppid)
        self.assertTrue(Proc.of(proc.ppid).born(e["parent_start_ns"]))
        self.assertEqual(sorted(e.get("flags", [])), sorted(flags))

    def test_fields(self):
        """Of root's process: path, arguments, directory, ids, capabilities, namespaces, inode, parent."""
        m, before = mark(), boot_ns()
        p = self.shell(m, "two words", "", "ü", cwd=self.dir)
        e = self.exec_of(m)
        self.assertTrue(before < e["ts_ns"] < boot_ns())
        self.assert_exec(e, p.pid)
        self.assertEqual(e["user"], "root")
        p.communicate(b"\n")
        self.assertEqual(self.exit_of(e)["exit_code"], 7)

    def test_user(self):
        """Of a user: no capability; its name comes from the host's passwd (here the instance's)."""
        uid = self.p.uid("collector")
        m = mark()
        p = self.shell(m, user=uid, group=GROUP, extra_groups=[])
        e = self.exec_of(m)
        self.assert_exec(e, p.pid)
        self.assertEqual((e["uid"], e["gid"], e["user"]), (uid, GROUP, self.p.prefix + "collector"))
        self.assertNotIn("cap_effective", e)

    def test_capabilities(self):
        """The effective set, as the kernel computed it for the new program."""
        m = mark()
        p = self.popen(["setpriv", "--reuid", str(USER), "--regid", str(GROUP), "--clear-groups", "--inh-caps", "+net_raw,+kill",
                        "--ambient-caps", "+net_raw", "/usr/bin/sh", "-c", "read x", m])
        e = self.exec_of(m, lambda e: e["filename"] == "/usr/bin/sh")
        self.assert_exec(e, p.pid)
        self.assertEqual(e["cap_effective"], ["CAP_NET_RAW"])

    def test_loginuid(self):
        """The audit login user."""
        if not os.path.exists("/proc/self/loginuid"):
            self.skipTest("this kernel is built without auditing")
        m = mark()

        def login():
            with open("/proc/self/loginuid", "w") as f:
                f.write("4711")
        try:
            p = self.shell(m, preexec_fn=login)
        except subprocess.SubprocessError:
            self.skipTest("this kernel lets nobody set the login user here")
        e = self.exec_of(m)
        self.assert_exec(e, p.pid)
        self.assertEqual(e["loginuid"], 4711)

    def test_terminal(self):
        """The controlling terminal."""
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        self.addCleanup(os.close, follower)
        m = mark()

        def become():
            os.setsid()
            fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
        p = self.shell(m, preexec_fn=become)
        e = self.exec_of(m)
        self.assert_exec(e, p.pid)
        dev = os.fstat(follower).st_rdev
        self.assertEqual(e["tty"], f"{os.major(dev)}:{os.minor(dev)}")

    def test_namespaces(self):
        """Of a process that lives in namespaces of its own; pids stay those of the initial one."""
        m = mark()
        kinds = ["--uts", "--ipc", "--net", "--mount", "--cgroup", "--pid", "--fork"]
        kinds += ["--time"] if os.path.exists("/proc/self/ns/time") else []
        self.popen(["unshare", *kinds, "--kill-child", "/usr/bin/sh", "-c", "read x", m])
        e = self.exec_of(m, lambda e: e["filename"] == "/usr/bin/sh")
        self.assert_exec(e, e["pid"])
        own = [n for n in NAMESPACES if os.path.exists(f"/proc/self/ns/{n}") and e[n + "_ns"] != inode(f"/proc/self/ns/{n}")]
        self.assertEqual(own, [n for n in NAMESPACES if n != "user" and (n != "time" or "--time" in kinds)])

    def test_user_namespace(self):
        """All capabilities, but only in there."""
        m = mark()
        p = self.popen(["unshare", "--user", "--map-root-user", "/usr/bin/sh", "-c", "read x", m])
        try:
            p.wait(0.5)
            self.skipTest("no user namespaces here")
        except subprocess.TimeoutExpired:
            pass
        e = self.exec_of(m, lambda e: e["filename"] == "/usr/bin/sh")
        self.assert_exec(e, p.pid)
        self.assertNotEqual(e["user_ns"], inode("/proc/self/ns/user"))

    def argv_of_length(self, length):
        """A mark, and words that make the arguments so many bytes with their separators; (mark, all)."""
        m = mark()
        fixed = len("\0".join(["/usr/bin/sh", "-c", "read x; exit 7", m])) + 1
        words = ["w" * 100] * ((length - fixed) // 101)
        rest = length - fixed - 101 * len(words)
        return m, [m, *words, "r" * rest]

    def test_argv_that_just_fits(self):
        m, words = self.argv_of_length(ARGV_MAX)
        p = self.shell(*words)
        e = self.exec_of(m)
        self.assertEqual(len(lib.read(f"/proc/{p.pid}/cmdline")), ARGV_MAX + 1)
        self.assert_exec(e, p.pid)

    def test_argv_that_is_a_byte_too_long(self):
        m, words = self.argv_of_length(ARGV_MAX + 1)
        p = self.shell(*words)
        e = self.exec_of(m)
        self.assertEqual(e["flags"], ["argv_cut"])
        self.assertEqual("\0".join(e["argv"]).encode(), lib.read(f"/proc/{p.pid}/cmdline")[:ARGV_MAX])
        self.assertEqual(e["argc"], 3 + len(words))

    def test_argv_of_a_megabyte(self):
        m = mark()
        p = self.shell(m, *["x" * 1000] * 1000)
        e = self.exec_of(m)
        self.assertEqual((e["flags"], e["argc"]), (["argv_cut"], 1004))
        self.assertEqual("\0".join(e["argv"]).encode(), lib.read(f"/proc/{p.pid}/cmdline")[:ARGV_MAX])

    def test_argv_that_is_no_text(self):
        m = mark()
        p = self.popen([b"/usr/bin/sh", b"-c", b"read x", m.encode(), b"\xff\xfe"])
        e = self.exec_of(m)
        self.assert_exec(e, p.pid)
        self.assertEqual((e["argv"][-1], e["argv_b64"][-1]), ("\ufffd\ufffd", "//4="))

    def test_script(self):
        """What runs is the interpreter; what was asked for is the script."""
        path, m = os.path.join(self.dir, "script"), mark()
        with open(path, "w") as f:
            f.write("#!/usr/bin/sh -u\nread x\n")
        os.chmod(path, 0o755)
        p = self.popen([path, m])
        e = self.exec_of(m)
        self.assert_exec(e, p.pid, filename=path)
        self.assertEqual(e["exe"], os.path.realpath("/usr/bin/sh"))
        self.assertEqual(e["argv"], ["/usr/bin/sh", "-u", path, m])

    def run_fd(self, fd, m):
        """cat behind a descriptor, with our mark as its name."""
        return self.popen([m], executable=f"/proc/self/fd/{fd}", pass_fds=[fd])

    def test_memfd(self):
        """A program that was never a file."""
        fd, m = os.memfd_create("payload", 0), mark()
        self.addCleanup(os.close, fd)
        os.write(fd, lib.read(CAT))
        p = self.run_fd(fd, m)
        e = self.exec_of(m)
        self.assertEqual((sorted(e["flags"]), e["exe"]), (["memfd", "unlinked"], "/memfd:payload"))
        self.assertEqual(os.readlink(f"/proc/{p.pid}/exe"), "/memfd:payload (deleted)")
        self.assertEqual(e["exe_ino"], os.fstat(fd).st_ino)

    def test_unlinked(self):
        """A file without a name."""
        path, m = os.path.join(self.dir, "gone"), mark()
        shutil.copy(CAT, path)
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        os.unlink(path)
        p = self.run_fd(fd, m)
        e = self.exec_of(m)
        self.assertEqual((e["flags"], e["exe_ino"]), (["unlinked"], os.fstat(fd).st_ino))
        self.assertEqual(os.readlink(f"/proc/{p.pid}/exe"), path + " (deleted)")
        self.assertIn(e["exe"], (path, path + " (deleted)"))

    def test_overlay(self):
        """From the writable layer of an overlay: put there, or copied up by a chmod; not what lies below."""
        script = ("mount -t tmpfs none $0 && cd $0 && mkdir lower upper work at && cp $1 lower/below && cp $1 lower/copied && "
                  "cp $1 upper/above && mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work at || exit 77; "
                  "chmod 0700 at/copied; (exec at/below $2 </dev/null); (exec at/copied $2 </dev/null); exec at/above $2 </dev/null")
        m = mark()
        copy = os.path.join(self.dir, "empty")
        open(copy, "w").close()
        # each prints an empty file that has the mark's name
        shutil.copy(copy, os.path.join(self.dir, m))
        p = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, self.dir, CAT, m],
                           stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        if p.returncode == 77:
            self.skipTest(f"this kernel cannot mount an overlay here: {p.stderr.strip()}")
        execs = self.want("kind=process_exec", lambda e: m in e.get("argv", []) and e["exe"].startswith(self.dir), 3)
        self.assertEqual({os.path.basename(e["exe"]): e.get("flags", []) for e in execs},
                         {"below": [], "copied": ["upper"], "above": ["upper"]})


class ExecFailed(sensors.SensorTest):
    def attempt(self, path, *words):
        """(pid of a child that tries, errno that it got)"""
        def work(c):
            c.hear()
            try:
                os.execv(path, [path, *words])
            except OSError as e:
                c.say(e.errno)
            c.hear()
        c = self.child(work, name="pst-attempt")
        return c, c.ask()

    def test_errors(self):
        """Each error by name, with what was tried, by whom."""
        self.needs("exec_failed")
        folder = os.path.join(self.p.dir, mark())
        os.mkdir(folder)
        for name, text, mode in (("plain", "#!/usr/bin/true\n", 0o644), ("empty", "what is it\n", 0o755),
                                 ("lost", "#!/nonexistent\n", 0o755)):
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
            os.chmod(os.path.join(folder, name), mode)
        os.symlink("loop", os.path.join(folder, "loop"))

        def failures():
            return {k: int(v) for k, v in self.p.metrics().items() if k.startswith("penstock_process_exec_failures_total")}
        for name, error in (("missing", "ENOENT"), ("lost", "ENOENT"), ("plain", "EACCES"), ("empty", "ENOEXEC"), ("loop", "ELOOP"),
                            ("plain/below", "ENOTDIR")):
            with self.subTest(name=name):
                path, m = os.path.join(folder, name), mark()
                c, got = self.attempt(path, m, "-x")
                self.assertEqual(errno.errorcode[got], error)
                e = self.one(f"kind=process_exec_failed&pid={c.pid}", lambda e, path=path: e["filename"] == path)
                self.assertEqual((e["error"], e["argv"]), (error, [path, m, "-x"]))
                self.assert_who(e, c.pid)
                self.assertEqual(e["comm"], "pst-attempt")
                self.assertGreaterEqual(failures()[f'penstock_process_exec_failures_total{{error="{error}"}}'], 1)


class Exit(sensors.SensorTest):
    def ended(self, work, before_end=lambda c: None):
        """(event, status of wait(2), usage, shortest and longest life in ns, process)"""
        born = boot_ns()
        c = self.child(work)
        pid, proc = c.pid, Proc.of(c.pid)
        c.hear()
        started = boot_ns()
        before_end(c)
        stopped = boot_ns()
        c.say()
        status = c.wait()
        e = self.one(f"kind=process_exit&pid={pid}", lambda e: proc.born(e["start_ns"]))
        self.assertEqual(e["parent_pid"], os.getpid())
        self.assertTrue(stopped - started <= e["run_ns"] <= boot_ns() - born, (e, stopped - started))
        self.assertEqual(e.get("exit_code", 0), os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0)
        self.assertEqual(e.get("signal"), signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else None)
        self.assertEqual(e.get("core_dumped", False), os.WCOREDUMP(status))
        return e, c.usage

    @staticmethod
    def leave(c):
        c.say()
        c.hear()

    def test_codes(self):
        """The exit code, also 0 and 255, and the time it lived."""
        self.needs("process")
        for code in (0, 1, 7, 255):
            with self.subTest(code=code):
                def work(c, code=code):
                    self.leave(c)
                    os._exit(code)
                e, _ = self.ended(work)
                self.assertEqual(e["exit_code"], code)

    def test_signals(self):
        """The signal that killed it, and whether a core was written."""
        self.needs("process")

        def counted(name):
            return int(self.p.metrics().get(f'penstock_process_exits_total{{result="signal",signal="{name}"}}', "0"))
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGABRT):
            with self.subTest(signal=number.name):
                def work(c, number=number):
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                    self.leave(c)
                    os.kill(os.getpid(), number)
                before = counted(number.name)
                e, _ = self.ended(work)
                self.assertEqual(e["signal"], number.name)
                self.until(lambda n=number.name, b=before: counted(n) > b, "signal counted")

    def test_cpu_time(self):
        """User and system time add up to what wait4(2) tells, to the tick."""
        self.needs("process")

        def work(c):
            self.leave(c)
            while sum(os.times()[:2]) < 0.3:
                os.stat("/")
        e, usage = self.ended(work)
        told = (usage.ru_utime + usage.ru_stime) * 1e9
        self.assertLess(abs(e.get("utime_ns", 0) + e.get("stime_ns", 0) - told), 3 * sensors.TICK, (e, usage))

    def test_threads_end_as_one(self):
        """A process of many threads has one exit."""
        self.needs("process")

        def work(c):
            import threading
            for _ in range(8):
                threading.Thread(target=signal.pause, daemon=True).start()
            self.leave(c)
            os._exit(3)
        e, _ = self.ended(work)
        self.assertEqual(e["exit_code"], 3)


class Credentials(sensors.SensorTest):
    IDS = ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid")

    def ids(self, pid):
        st = status_of(pid)
        return [int(v) for v in (*st["Uid"], *st["Gid"])], int(st["CapEff"][0], 16), int(st["CapPrm"][0], 16)

    def assert_change(self, e, before, after):
        for side, (ids, effective, permitted) in (("old_", before), ("new_", after)):
            self.assertEqual([e.get(side + n) for n in self.IDS], ids, side)
            self.assertEqual(len(e.get(side + "cap_effective", [])), bin(effective).count("1"))
            self.assertEqual(len(e.get(side + "cap_permitted", [])), bin(permitted).count("1"))

    def changed(self, work):
        """A child that looks on while work() changes it; (event, before, after)"""
        def run(c):
            self.step(c)
            work()
            self.step(c)
        c = self.child(run, name="pst-cred")
        c.hear()
        proc, before = Proc.of(c.pid), self.ids(c.pid)
        c.say()
        c.hear()
        after = self.ids(c.pid)
        e = self.one(f"kind=process_cred&pid={c.pid}", lambda e: proc.born(e["start_ns"]))
        self.assertEqual((e["comm"], e["tid"]), ("pst-cred", c.pid))
        self.assert_change(e, before, after)
        c.say()
        return e, c

    @staticmethod
    def step(c):
        c.say()
        c.hear()

    def test_user(self):
        """setresuid(2): all four ids and the capabilities that went with them."""
        self.needs("cred")
        e, _ = self.changed(lambda: os.setresuid(USER, USER, USER))
        self.assertEqual((e["old_uid"], e["new_uid"]), (0, USER))
        self.assertNotIn("new_cap_effective", e)

    def test_group(self):
        self.needs("cred")
        e, _ = self.changed(lambda: os.setresgid(GROUP, GROUP + 1, GROUP + 2))
        self.assertEqual([e[f"new_{n}gid"] for n in ("", "e", "s", "fs")], [GROUP, GROUP + 1, GROUP + 2, GROUP + 1])

    def test_effective_only(self):
        self.needs("cred")
        e, _ = self.changed(lambda: os.seteuid(USER))
        self.assertEqual((e["new_uid"], e["new_euid"], e["new_suid"], e["new_fsuid"]), (0, USER, 0, USER))
        self.assertIn("new_cap_permitted", e)
        self.assertNotIn("new_cap_effective", e)

    def test_capabilities(self):
        """capset(2)"""
        self.needs("cred")

        def drop():
            head = (ctypes.c_uint32 * 2)(0x20080522, 0)
            data = (ctypes.c_uint32 * 6)(1 << 5 | 1 << 10, 1 << 5 | 1 << 10 | 1 << 13, 0, 0, 0, 0)
            if libc.capset(head, data):
                raise OSError(ctypes.get_errno(), "capset")
        e, _ = self.changed(drop)
        self.assertEqual(e["new_cap_effective"], ["CAP_KILL", "CAP_NET_BIND_SERVICE"])
        self.assertEqual(e["new_cap_permitted"], ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"])

    def test_set_user_id_program(self):
        """A set-user-ID helper: the exec says so, and the change is told with both sides."""
        self.needs("cred")
        base = next((d for d in ("/tmp", "/var/tmp", "/var/lib") if os.path.isdir(d) and not os.statvfs(d).f_flag & os.ST_NOSUID), None)
        if not base:
            self.skipTest("no folder here where set-user-ID programs have an effect")
        folder, m = tempfile.mkdtemp(prefix=mark(), dir=base), mark()
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "cat")
        shutil.copy(CAT, path)
        os.chmod(path, 0o4755)
        self.assertTrue(os.stat(path).st_mode & stat.S_ISUID)
        p = self.popen([m], executable=path, user=USER, group=GROUP, extra_groups=[])
        x = self.exec_of(m)
        self.assertEqual((x["flags"], x["uid"], x["euid"], x["filename"]), (["setid"], USER, 0, path))
        e = self.one(f"kind=process_cred&pid={p.pid}", lambda e: e["start_ns"] == x["start_ns"] and "in_exec" in e.get("flags", []))
        self.assert_change(e, ([USER] * 4 + [GROUP] * 4, 0, 0), self.ids(p.pid))
        self.assertEqual((e["old_euid"], e["new_uid"], e["new_euid"], e["new_suid"]), (USER, USER, 0, 0))

    def test_total(self):
        self.needs("cred")

        def total():
            return int(self.p.metrics()["penstock_process_credential_changes_total"])
        before = total()
        self.changed(lambda: os.setresuid(USER, USER, USER))
        self.assertGreater(total(), before)


if __name__ == "__main__":
    unittest.main()
