#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Changes of files, end to end: what the API shows is what a process of a cgroup of its own did, each thing once, and what stat(2)
says of the files."""
import base64
import ctypes
import os
import shutil
import stat
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import deeds  # noqa: E402
import lib  # noqa: E402
import pipeline  # noqa: E402
import sensors  # noqa: E402

HOSTILE = b"\n\x01\xff \"'$(x)"
RENAME_EXCHANGE, AT_FDCWD, NR_RENAMEAT2 = 2, -100, 316
CLONE_NEWNS, MS_NODEV, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 4, 0x4000, 1 << 18, 2
MANY = 40


def kernel_dev(dev):
    return f"{os.major(dev)}:{os.minor(dev)}"


class Files(sensors.SensorTest):
    sections = {**sensors.SECTIONS, "loader": "sensors: {" + ", ".join(f"{name}: yes" for name in lib.FILES) + "}"}

    def setUp(self):
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="pst-files-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.group = deeds.Group()
        self.addCleanup(self.group.close)

    def path(self, name):
        return os.path.join(self.dir, name)

    def did(self, deed):
        """Its events of files; the deed ran in a cgroup of its own, in the test's folder, and nothing else did."""
        def work():
            fd = os.open(f"{self.group.path}/cgroup.procs", os.O_WRONLY)  # not "w", which cuts it: an event
            os.write(fd, b"0")
            os.close(fd)
            os.chdir(self.dir)
            os.umask(0)
            deed()
        pid = deeds.child(work)
        self.one(f"kind=process_exit&pid={pid}")
        found = self.events(f"pid={pid}", lambda e: e["kind"].startswith("file_"))
        self.assertEqual({e["cgroup_id"] for e in found}, {sensors.inode(self.group.path)} if found else set())
        self.assertTrue(all(e["exe"] == os.path.realpath("/proc/self/exe") for e in found))
        self.pid = pid
        return found

    def assert_file(self, e, st, rung):
        """What is known of the file; sys_exit has not seen it."""
        self.assertEqual(e.get("as_given", False), rung == "sys_exit")
        self.assertNotIn("pending", e)
        if rung == "sys_exit":
            self.assertNotIn("ino", e)
            return
        self.assertEqual((e["ino"], e["dev"], e["mode"]), (st.st_ino, kernel_dev(st.st_dev), f"{stat.S_IMODE(st.st_mode):04o}"))

    def test_unlink(self):
        rung = self.needs("file_unlink")
        name = os.path.join(os.fsencode(self.dir), HOSTILE)
        with open(name, "w"):
            st = os.lstat(name)
        os.mkdir(self.path("full"))
        os.mkdir(self.path("empty"))
        with open(self.path("full/x"), "w"):
            pass

        def deed():
            os.unlink(HOSTILE)
            os.rmdir(self.path("empty"))
            try:
                os.rmdir("full")
            except OSError:
                return
            raise AssertionError("a folder that is not empty was removed")
        one, two, three = self.did(deed)
        self.assertEqual({e["kind"] for e in (one, two, three)}, {"file_unlink"})
        self.assertEqual(base64.b64decode(one["path_b64"]), name)
        self.assert_file(one, st, rung)
        self.assertNotIn("error", one)
        self.assertEqual((two["path"], two["file_type"]), (self.path("empty"), "directory"))
        self.assertEqual((three["path"], three["error"]), (self.path("full"), "ENOTEMPTY"))
        self.assertIn("unlink", self.lines(self.pid))
        self.assertIn("/full ENOTEMPTY\n", self.lines(self.pid))

    def test_rename(self):
        rung = self.needs("file_rename")
        for name in ("one", "two", "three"):
            with open(self.path(name), "w"):
                pass
        os.mkdir(self.path("in"))
        ones, threes = os.lstat(self.path("one")), os.lstat(self.path("three"))

        def deed():
            os.rename("one", "in/one")
            os.replace("in/one", "two")
            libc = ctypes.CDLL(None)
            assert libc.syscall(NR_RENAMEAT2, AT_FDCWD, b"three", AT_FDCWD, b"two", RENAME_EXCHANGE) == 0
        found = self.did(deed)
        self.assertEqual([(e["kind"], e["path"], e["to_path"]) for e in found],
                         [("file_rename", self.path(a), self.path(b)) for a, b in (("one", "in/one"), ("in/one", "two"), ("three", "two"))])
        for e, st in zip(found, (ones, ones, threes)):
            self.assert_file(e, st, rung)
        self.assertEqual([int(e.get("rename_flags", "0"), 16) for e in found], [0, 0, RENAME_EXCHANGE])
        self.assertEqual(os.lstat(self.path("three")).st_ino, ones.st_ino)
        self.assertIn(f"rename {self.path('three')} → {self.path('two')}\n".split(" ", 1)[1], self.lines(self.pid))

    def test_links(self):
        rung = self.needs("file_link")
        self.needs("file_symlink")
        with open(self.path("file"), "w"):
            pass

        def deed():
            os.link("file", self.path("again"))
            os.symlink("../some\nwhere", "symbol")
        link, symbol = self.did(deed)
        self.assertEqual((link["kind"], link["path"], link["to_path"]), ("file_link", self.path("file"), self.path("again")))
        self.assert_file(link, os.lstat(self.path("again")), rung)
        self.assertEqual((symbol["kind"], symbol["path"], symbol["target"]), ("file_symlink", self.path("symbol"), "../some\nwhere"))
        self.assert_file(symbol, os.lstat(self.path("symbol")), rung)

    def test_make(self):
        rung = self.needs("file_mkdir")
        self.needs("file_mknod")

        def deed():
            os.mkdir("folder", 0o1750)
            os.mknod("device", stat.S_IFBLK | 0o606, os.makedev(250, 70000))
            os.mkfifo("fifo", 0o640)
            os.mknod("regular", stat.S_IFREG | 0o600)
        found = self.did(deed)
        self.assertEqual([(e["kind"], e["path"], e["file_type"], e["mode"]) for e in found],
                         [("file_mkdir", self.path("folder"), "directory", "1750"), ("file_mknod", self.path("device"), "block", "0606"),
                          ("file_mknod", self.path("fifo"), "fifo", "0640")])
        for e, name in zip(found, ("folder", "device", "fifo")):
            self.assert_file(e, os.lstat(self.path(name)), rung)
        self.assertEqual(found[1]["rdev"], "250:70000")

    def test_attributes(self):
        rung = self.needs("file_chmod")
        self.needs("file_chown")
        self.needs("file_truncate")
        self.needs("file_xattr")
        with open(self.path("file"), "w") as f:
            f.write("12345")
        os.chmod(self.path("file"), 0o640)
        before = os.lstat(self.path("file"))

        def deed():
            os.chmod("file", 0o4755)
            os.truncate("file", 3)
            os.chown("file", sensors.USER, -1)
            try:
                os.setxattr("file", b"trusted.pst-test", b"four")
            except OSError:
                pass
        mode, length, owner, attribute = self.did(deed)
        self.assertEqual((mode["kind"], mode["path"], mode["new_mode"]), ("file_chmod", self.path("file"), "4755"))
        self.assert_file(mode, before, rung)
        self.assertEqual((length["kind"], length["path"], length["bytes"]), ("file_truncate", self.path("file"), 3))
        self.assertEqual(length.get("old_bytes", 0), 0 if rung == "sys_exit" else 5)
        self.assertEqual((owner["kind"], owner["path"], owner["new_uid"]), ("file_chown", self.path("file"), sensors.USER))
        self.assertEqual(os.lstat(self.path("file")).st_uid, sensors.USER)
        if not owner.get("as_given"):
            self.assertEqual((owner["old_uid"], owner["old_gid"]), (before.st_uid, before.st_gid))
        self.assertEqual((attribute["kind"], attribute["path"], attribute["operation"], attribute["attribute"], attribute["bytes"]),
                         ("file_xattr", self.path("file"), "set", "trusted.pst-test", 4))
        self.assertIn(f"set trusted.pst-test {self.path('file')}", self.lines(self.pid))
        self.assertRegex(self.lines(self.pid), r"/file (0640→)?4755\n")

    def test_mounts(self):
        """In a mount namespace of the child's, whose own table says what is where."""
        rung = self.needs("file_mount")
        self.needs("file_umount")
        os.mkdir(self.path("at"))
        seen = self.path("table")

        def deed():
            deeds.check(deeds.libc.unshare(CLONE_NEWNS), "unshare")
            deeds.check(deeds.libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "private")
            deeds.check(deeds.libc.mount(b"pst-test", b"at", b"tmpfs", MS_NODEV, b"size=16k"), "mount")
            with open("/proc/self/mountinfo") as f, open(seen, "w") as out:
                out.write(f.read())
            deeds.check(deeds.libc.umount2(self.path("at").encode(), MNT_DETACH), "umount")
        private, mounted, gone = self.did(deed)
        with open(seen) as f:
            row = next(line.split() for line in f if line.split()[4] == self.path("at"))
        self.assertEqual((private["kind"], private["operation"], private["path"]), ("file_mount", "propagation", "/"))
        self.assertEqual((mounted["kind"], mounted["operation"], mounted["fs_type"], mounted["source"], int(mounted["mount_flags"], 16)),
                         ("file_mount", "mount", row[row.index("-") + 1], row[row.index("-") + 2], MS_NODEV))
        self.assertEqual((gone["kind"], gone["path"], int(gone["umount_flags"], 16)), ("file_umount", row[4], MNT_DETACH))
        self.assertNotIn("error", gone)
        self.assertEqual(os.path.basename(mounted["path"]), "at")
        if rung == "fexit":
            self.assertEqual(mounted["path"], row[4])

    def lines(self, pid):
        """What `penstock observe` prints of a process."""
        return self.p.run(os.path.join(lib.BINDIR, "penstock"), "observe", "--run-dir", self.p.run_dir, "--last", "1000000",
                          "--pid", str(pid)).stdout


class Bound(pipeline.PipelineTest):
    def test_ledger(self):
        """Each deed is an event, or it was held back, counted and told; and who did not ask for a sensor has no event of it."""
        p = self.pipeline(loader=pipeline.ALL_BUT_PROCESS.replace("file_mkdir: no", "file_mkdir: yes") + "\ncgroup_rate: 1")
        p.up()
        folder = tempfile.mkdtemp(prefix="pst-files-")
        self.addCleanup(shutil.rmtree, folder)
        group = deeds.Group()
        self.addCleanup(group.close)

        def deed():
            with open(f"{group.path}/cgroup.procs", "w") as f:
                f.write("0")
            for n in range(MANY):
                os.mkdir(f"{folder}/{n}")
                os.rmdir(f"{folder}/{n}")
        pid = deeds.child(deed)
        last = deeds.child(lambda: None)

        def told():
            """events_lost with this cause"""
            return sum(e["count"] for e in p.events("last=1000000&kind=events_lost") if e["cause"] == "suppressed")
        pipeline.wait_for(lambda: p.events(f"last=1000000&kind=process_exit&pid={last}"), "what came after it")
        seen = [e for e in p.events(f"last=1000000&pid={pid}") if e["kind"].startswith("file_")]
        self.assertEqual({e["kind"] for e in seen}, {"file_mkdir"})
        self.assertLess(len(seen), MANY)
        pipeline.wait_for(lambda: len(seen) + told() >= MANY, "what was held back to be told")
        p.down()


if __name__ == "__main__":
    unittest.main()
