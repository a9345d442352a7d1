#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What rules do beside their verdicts, as who stands behind or before the guard sees it: marks."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import pipeline  # noqa: E402
import test_firewall  # noqa: E402

MARKED, PLAIN = 4001, 4003
RULES = """
firewall:
  policy: accept
  rules:
    - {name: every, dport: [4001, 4003], action: continue, mark: 5}
    - {name: some, dport: 4001, action: accept, mark: 0x70000}
"""


class ActsTest(test_firewall.FirewallTest):
    rules = RULES
    at = "tc"

    def setUp(self):
        self.loader = test_firewall.LOADER + f"\nrungs: {{guard: {self.at}}}"
        super().setUp()

    def penstock(self, *args):
        p = subprocess.run([os.path.join(lib.BINDIR, "penstock"), *args[:2], "--run-dir", self.p.run_dir, *args[2:]],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=pipeline.PATIENCE)
        self.assertEqual(p.returncode, 0, p.stdout)
        return p.stdout

    def events(self):
        return {r[2]: r[4] for r in self.p.ctl("policyd", op="status")["stats"] if r[0] == "guard_events"}


class Marks(ActsTest):
    def nft(self, text):
        subprocess.run(["nsenter", "--net", "-t", str(self.p.holder.pid), "nft", "-f", "-"], input=text, text=True, check=True)

    def seen(self):
        p = subprocess.run(["nsenter", "--net", "-t", str(self.p.holder.pid), "nft", "-j", "list", "counters"],
                           stdout=subprocess.PIPE, text=True, check=True)
        return {c["counter"]["name"]: c["counter"]["packets"] for c in json.loads(p.stdout)["nftables"] if "counter" in c}

    def test_netfilter_sees_them(self):
        """The last rule's mark is the packet's, in both families; where nothing is said of it, nothing is idle."""
        self.nft("table inet t {\ncounter five {}\ncounter large {}\ncounter none {}\nchain c {\ntype filter hook input priority 0\n"
                 "meta mark 5 counter name five\nmeta mark 0x70000 counter name large\nudp dport 4002 meta mark 0 counter name none\n}\n}\n")
        for n, family in enumerate(test_firewall.FAMILIES, 1):
            for port in (MARKED, PLAIN, test_firewall.SHUT):
                self.assertTrue(self.passes(port, family))
            pipeline.wait_for(lambda n=n: self.seen() == {"five": 3 * n, "large": 3 * n, "none": 3 * n}, "marks in netfilter's hook")
        self.assertEqual(self.ask("firewall")["idle"], "")
        self.assertNotIn("not done", self.penstock("fw", "list"))

    def test_routing_sees_them(self):
        """A policy route by the mark."""
        for family in ("-4", "-6"):
            for args in (("add", "pref", "100", "table", "local"), ("del", "pref", "0"), ("add", "pref", "50", "fwmark", "0x70000", "blackhole")):
                self.p.run("ip", family, "rule", *args)
        for family in test_firewall.FAMILIES:
            self.assertTrue(self.passes(PLAIN, family))
            self.assertFalse(self.passes(MARKED, family))


class AtXdp(ActsTest):
    at = "xdp"

    def test_what_cannot_be_done_is_told(self):
        """Where the guard is at XDP: in the log, in the list, and counted by packet."""
        self.assertTrue(self.passes(MARKED))
        pipeline.wait_for(lambda: "marks are not set" in self.p.stage["policyd"].text(), "the word of it")
        self.assertIn("marks are not set", self.ask("firewall")["idle"])
        self.assertRegex(self.penstock("fw", "list"), r"(?m)^not done: marks are not set on interfaces that are guarded at XDP")
        self.assertEqual(self.events()["unmarked"], 3)
        self.put(self.firewall, RULES.replace(", mark: 5", "").replace(", mark: 0x70000", ""))
        self.reload()
        self.assertEqual(self.ask("firewall")["idle"], "")
        self.assertTrue(self.passes(MARKED))
        self.assertEqual(self.events()["unmarked"], 3)


del ActsTest
if __name__ == "__main__":
    unittest.main()
