#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""policyd puts policies in force, without a loader: real maps, made here, come by the environment or from a socket that speaks the
loader's protocol. What is written into them is read back here; cgroups are made in the real hierarchy."""
import mmap
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import test_policyd_guard as guard  # noqa: E402
from pipeline import wait_for  # noqa: E402

HALF = 65536 * 64  # bytes of PST_POL_LINES and of PST_PATHS_LINES
LABEL, RULES = 128, 10240
LABELS = 128 + RULES * LABEL  # bytes of struct pst_pol_labels
PAGE, LEVELS, FLAGS = 264, 40, 32  # of struct pst_policy
DENY, OBSERVE = 3, 1
FILE_OPEN = 12
POLICY = """apiVersion: penstock.dev/v1
kind: Policy
metadata: {{name: {name}}}
spec:
  scope: {scope}
  rules:
    - {{name: no {path}, operations: file.open, paths: {path}, action: deny}}
"""


def policy(name, path, scope="{uids: 33}"):
    return POLICY.format(name=name, path=path, scope=scope)


class Maps(guard.Maps):
    """Those of policies beside the guard's."""

    def __init__(self):
        super().__init__()
        for name, size, n in (("policy", PAGE, 1), ("policy_lines", HALF, 2), ("path_lines", HALF, 2), ("policy_names", LABELS, 2)):
            self.fds[name] = (lib.create_array(name, size, n), n)
        self.page = mmap.mmap(self.fds["policy"][0], mmap.PAGESIZE)
        self.lines = mmap.mmap(self.fds["policy_lines"][0], 2 * HALF)
        self.names = mmap.mmap(self.fds["policy_names"][0], 2 * LABELS + -2 * LABELS % mmap.PAGESIZE)
        struct.pack_into("QQ", self.page, 16, 11, 22)
        self.level(DENY)

    def level(self, level):
        self.page[LEVELS:LEVELS + 64] = bytes([level] * 64)

    def generation(self):
        return struct.unpack_from("Q", self.page)[0]

    def head(self):
        """Operations, seed and generation of the half in force."""
        return struct.unpack_from("QQQII", self.lines, (self.generation() & 1) * HALF)

    def labels(self):
        at = (self.generation() & 1) * LABELS
        n = self.head()[4]
        rows = [self.names[at + 128 + i * LABEL:at + 128 + (i + 1) * LABEL] for i in range(n)]
        return struct.unpack_from("Q", self.names, at)[0], [tuple(r[k:k + 64].rstrip(b"\0").decode() for k in (0, 64)) for r in rows]

    def cgroups(self):
        """Ids in the table of cgroups of the half in force."""
        half = (self.generation() & 1) * HALF
        first, mask = struct.unpack_from("II", self.lines, half + 56)
        rows = range(half + first * 64, half + (first + mask + 1) * 64, 16)
        return {struct.unpack_from("Q", self.lines, at)[0] for at in rows} - {0, 2**64 - 1} if first else set()

    def close(self):
        for m in (self.page, self.lines, self.names):
            m.close()
        super().close()


class Policies(guard.GuardTest):
    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.p.dir, "policies")
        os.mkdir(self.folder)
        self.p.sections["policyd"] += f"policies: {{files: [{self.folder}]}}\n"
        self.p.write_config()

    def maps(self):
        m = Maps()
        self.addCleanup(m.close)
        return m

    def apply(self, *texts, **request):
        for n, text in enumerate(texts):
            for at in range(0, len(text), 60000):
                self.good("policy_upload", id="t", file=f"{n}.yaml", text=text[at:at + 60000], more=at + 60000 < len(text))
        return self.ctl("policy_apply", id="t", **request)

    def names(self):
        return [r[0] for r in self.good("policy_list")["policies"]]

    def in_force(self):
        return self.wait_state("policy_list", "in force")

    def test_from_commands_to_maps(self):
        maps = self.maps()
        self.begin(maps)
        self.assertEqual(self.ctl("policy_list")["state"], "off")
        self.assertTrue(self.apply(policy("one", "/etc/shadow"))["ok"])
        self.in_force()
        self.assertEqual(maps.head()[:4], (1 << FILE_OPEN, 11, 22, maps.generation()))
        self.assertEqual(maps.labels(), (maps.generation(), [("one", "no /etc/shadow")]))
        first = maps.generation()
        reply = self.apply(policy("two", "/b"), for_s=1)
        self.assertTrue(reply["ok"], reply)
        wait_for(lambda: maps.generation() not in (first, 0), "the second set")
        self.assertEqual(sorted(maps.labels()[1]), [("one", "no /etc/shadow"), ("two", "no /b")])
        # nobody says that it is good
        wait_for(lambda: maps.generation() == first, "the first set")
        self.assertEqual(self.names(), ["one"])
        # what is in force stays without us, and is ours again
        self.p.kill("policyd")
        self.assertEqual(maps.generation(), first)
        self.begin(maps)
        wait_for(lambda: maps.generation() != first, "tables of this process")
        self.assertEqual(maps.labels(), (maps.generation(), [("one", "no /etc/shadow")]))
        self.assertEqual(self.extra()["policies_state"], "in force")
        self.assertEqual(self.p.stats("policyd")[("policy_rules", None)], 1)
        self.assertIn("any process of the host", self.apply(policy("all", "/x", "{host: true}"))["error"])
        show = self.good("policy_show", name="one")
        self.assertEqual((show["text"].decode() if isinstance(show["text"], bytes) else show["text"]), policy("one", "/etc/shadow"))
        self.assertEqual(show["rules"], [["no /etc/shadow", "file.open", "deny", "deny"]])

    def test_many(self):
        maps = self.maps()
        self.begin(maps)
        text = "---\n".join(policy(f"p{n}", f"/srv/{n}", "{uids: %d}" % n) for n in range(1000))
        reply = self.apply(text)
        self.assertTrue(reply.get("ok"), reply)
        self.in_force()
        self.assertEqual(len(maps.labels()[1]), 1000)
        page = self.good("policy_list", **{"from": 500, "limit": 1000})
        self.assertEqual((page["total"], len(page["policies"])), (1000, 500))
        self.assertTrue(self.good("policy_rollback")["ok"])
        self.assertEqual(maps.generation(), 0)

    def test_files(self):
        maps = self.maps()
        self.write(os.path.join(self.folder, "a.yaml"), policy("one", "/a"))
        self.begin(maps)
        self.in_force()
        self.assertEqual(maps.labels()[1], [("one", "no /a")])
        self.write(os.path.join(self.folder, "a.yaml"), policy("one", "/b"))
        wait_for(lambda: maps.labels()[1] == [("one", "no /b")], "the file's new text")
        # a bad one changes nothing, and is said
        self.write(os.path.join(self.folder, "b.yaml"), "kind: no\n")
        wait_for(lambda: "b.yaml:1:" in self.ctl("policy_list")["error"], "the error")
        self.assertIn("b.yaml:1:", self.ctl("reload")["error"])
        self.assertEqual(maps.labels()[1], [("one", "no /b")])
        check = lib.Process(self.p.args("penstock-policyd", "--check", "--rules", self.p.rules_path), notify=False)
        self.addCleanup(check.close)
        self.assertEqual(check.wait(), lib.EXIT_USAGE)
        self.assertIn("b.yaml:1:", check.text())
        os.unlink(os.path.join(self.folder, "b.yaml"))
        wait_for(lambda: not self.ctl("policy_list")["error"], "the file's end")

    def test_loader_later(self):
        """Tables come, do less than before, and are others."""
        self.serve(None)
        self.p.begin("policyd")
        self.assertTrue(self.apply(policy("one", "/a"))["ok"])
        self.assertEqual(self.ctl("policy_list")["state"], "not enforced")
        maps = self.maps()
        self.serve(maps)
        self.in_force()
        maps.level(OBSERVE)
        wait_for(lambda: "deny cannot be had of this kernel" in self.extra()["policies_error"], "the error")
        self.assertEqual(self.extra()["policy_rules_weaker"], 1)
        self.assertEqual(self.good("policy_show", name="one")["rules"][0][3], "audit")
        self.assertIn("it can be told, and not denied", self.apply(policy("two", "/b"))["error"])
        others = self.maps()
        self.serve(others)
        struct.pack_into("Q", maps.page, FLAGS, 1)
        wait_for(others.generation, "tables in the other maps")
        self.assertEqual(others.labels()[1], [("one", "no /a")])
        self.in_force()
        self.assertEqual(self.extra()["policy_rules_weaker"], 0)

    def test_cgroups(self):
        """In the sandbox, as other user: those that are there, come and go."""
        mounts = [line.split() for line in open("/proc/self/mounts")]
        root = next((m[1] for m in mounts if m[2] == "cgroup2"), None)
        top = root and os.path.join(root, f"penstock-test-{os.getpid()}")
        try:
            os.mkdir(top)
        except (TypeError, OSError) as e:
            self.skipTest(f"no cgroups can be made here: {e}")
        self.addCleanup(os.rmdir, top)
        maps = self.maps()
        self.begin(maps)
        self.assertTrue(self.apply(policy("one", "/a", "{cgroups: [/%s]}" % os.path.basename(top)))["ok"])
        self.in_force()
        self.assertIn(os.stat(top).st_ino, maps.cgroups())
        below = os.path.join(top, "below")
        os.mkdir(below)
        ino = os.stat(below).st_ino
        wait_for(lambda: ino in maps.cgroups(), "the new cgroup")
        os.rmdir(below)
        wait_for(lambda: ino not in maps.cgroups(), "its end")


if __name__ == "__main__":
    unittest.main()
