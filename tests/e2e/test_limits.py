#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Limits of a source by protocol, with real packets: of one protocol alone, beside those of all, and what `penstock why` says."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
import test_firewall  # noqa: E402
from test_firewall import FAMILIES, OPEN  # noqa: E402


class ByProtocol(test_firewall.FirewallTest):
    policyd = "limits: {udp: {packets: 50}, icmp: {packets: 1000000}, burst: 1s}"

    def datagrams(self, family, n):
        """How many of them arrive."""
        near, far = self.socket("near", family, port=OPEN), self.socket("far", family)
        for _ in range(n):
            far.sendto(b"loud", near.getsockname())
        got = 0
        while self.there(near, 0.5):
            near.recv(64)
            got += 1
        near.close()
        return got

    def why(self, protocol, *more):
        far, near = net.V4[1], net.V4[0]
        out = subprocess.run([os.path.join(lib.BINDIR, "penstock"), "why", "--run-dir", self.p.run_dir, protocol, far + ":9", f"{near}:{OPEN}",
                              "--dev", "pstn0", *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
                             timeout=pipeline.PATIENCE)
        return out.stdout

    def test_one_of_them(self):
        for family in FAMILIES:
            got = self.datagrams(family, 2000)
            self.assertTrue(40 <= got <= 400, got)  # the burst, and what the time of sending allows
            self.assertTrue(self.connects(OPEN, family))
        self.assertGreaterEqual(self.reasons()["rate"], 3000)
        steps = {s[0]: s[1:] for s in self.ask("ddos")["steps"]}
        self.assertEqual(steps["rate"][0], "drop")
        limits = json.loads(self.why("udp", "--json"))["limits"]
        self.assertEqual((limits["protocol"]["packets"]["burst_ms"], "packets" in limits), (1000, False))
        self.assertRegex(self.why("udp"), r"(?m)^  limits      (within|over): its protocol's packets \d+ ms of 1000 ms used")
        self.assertRegex(self.why("tcp"), r"(?m)^  limits      none: its protocol has none$")


class BesideAll(ByProtocol):
    policyd = "limits: {packets: 1000000, udp: {packets: 50, bytes: 1GiB}, burst: 1s}"

    def test_one_of_them(self):
        got = self.datagrams("inet", 2000)
        self.assertTrue(40 <= got <= 400, got)
        self.assertTrue(self.connects(OPEN))
        limits = json.loads(self.why("udp", "--json"))["limits"]
        self.assertEqual((limits["packets"]["burst_ms"], sorted(k for k in limits["protocol"] if k != "known")), (1000, ["bytes", "packets"]))
        self.assertRegex(self.why("tcp"), r"(?m)^  limits      within: packets \d+ ms of 1000 ms used$")


if __name__ == "__main__":
    unittest.main()
