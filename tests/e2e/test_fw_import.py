#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`penstock fw import` with what real nft and iptables print, in a network namespace of the test's own.

Every document is read by policyd's own parser.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402

PENSTOCK = os.path.join(lib.BINDIR, "penstock")
PATIENCE = 60
ALL_GOOD, BAD, LEFT_OUT = 0, 2, 3

NFT = """
table inet filter {
	set office { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 } }
	set web { type inet_service; elements = { 80, 443 } }
	chain services {
		tcp dport 8080 counter accept comment "the proxy"
		ip saddr @office return
		tcp dport @web reject with tcp reset
	}
	chain guard {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iif "lo" accept
		ip saddr @office tcp dport 22 log prefix "ssh " accept
		tcp flags & (syn | rst) == syn | rst drop
		icmp type echo-request accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, packet-too-big } accept
		meta l4proto { tcp, udp } th dport 53 meta mark set 0x10
		ip6 saddr fe80::/10 udp dport 546 accept
		jump services
	}
}
"""

IPTABLES = """
-N web
-A web -p tcp --dport 8080 -j ACCEPT
-A web -s 10.0.0.0/8 -j RETURN
-A web -p tcp -m multiport --dports 80,443 -j REJECT --reject-with tcp-reset
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp --syn ! -s 192.0.2.0/24 --dport 22 -m comment --comment 'from "far" away' -j DROP
-A INPUT -p icmp --icmp-type echo-request -j ACCEPT
-A INPUT -m iprange --src-range 10.0.0.1-10.0.0.2 -j LOG --log-prefix x
-A INPUT -p tcp -j web
-P INPUT DROP
"""


def run(*args, text="", code=0, ns=None):
    """(standard output, standard error)"""
    command = ["nsenter", f"--net=/proc/{ns}/ns/net", *args] if ns else list(args)
    p = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    if code is not None and p.returncode != code:
        raise AssertionError(f"{' '.join(args)} ended with {p.returncode}, expected {code}:\n{p.stdout}\n{p.stderr}")
    return p.stdout, p.stderr


def rules(yaml):
    """The rules without their names."""
    return [re.sub(r'^- \{name: ("(\\.|[^"])*"|[^,]*), ', "", line.strip()) for line in yaml.splitlines() if line.startswith("    - ")]


class Import(unittest.TestCase):
    def setUp(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(self.stop)
        self.assertEqual(self.holder.stdout.readline(), b"up\n")
        self.ns = self.holder.pid

    def stop(self):
        self.holder.kill()
        self.holder.wait(10)
        self.holder.stdout.close()

    def needs(self, *programs):
        for name in programs:
            if not shutil.which(name):
                self.skipTest(f"no {name} here")

    def works(self, *args, text=""):
        """Or this kernel does not have it."""
        p = subprocess.run(["nsenter", f"--net=/proc/{self.ns}/ns/net", *args], input=text, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
        if p.returncode:
            self.skipTest(f"{' '.join(args)}: {p.stdout.strip().splitlines()[0] if p.stdout.strip() else p.returncode}")

    def reads(self, yaml):
        """policyd's parser takes it: the unit test has it."""
        reader = os.path.join(lib.BINDIR, "..", "tests", "unit", "cli", "test_import")
        if os.path.exists(reader):  # it is not in the virtual machines
            run(reader, "--document", text=yaml)

    def test_nft(self):
        self.needs("nft")
        self.works("nft", "-f", "-", text=NFT)
        ruleset, _ = run("nft", "-j", "list", "ruleset", ns=self.ns)
        yaml, said = run(PENSTOCK, "fw", "import", text=ruleset, code=ALL_GOOD)
        self.assertIn(f"{len(rules(yaml))} rules written, 0 left out", said)
        self.reads(yaml)
        self.assertIn("    office: [192.0.2.0/24, 198.51.100.7]\n", yaml)
        got = rules(yaml)
        self.assertEqual(sorted(got[:3]), sorted(["state: established, action: accept}", "state: related, action: accept}",
                                                  "state: invalid, action: drop}"]))
        self.assertEqual(got[3:], [
            "interface: lo, action: accept}",
            "proto: tcp, src: $office, dport: 22, action: accept, log: yes}",
            'proto: tcp, tcp_flags: "syn,rst / syn,rst", action: drop}',
            "proto: icmp, icmp: echo-request, action: accept}",
            "proto: icmpv6, icmp: [packet-too-big, 135-136], action: accept}",
            "proto: [tcp, udp], dport: 53, action: continue, mark: 0x10}",
            "proto: udp, src: fe80::/10, dport: 546, action: accept}",
            "proto: tcp, dport: 8080, action: accept}",
            "family: 6, proto: tcp, dport: $web, action: reject}",
            "proto: tcp, src: {not: $office}, dport: $web, action: reject}",
            "action: drop}"])
        self.assertIn("{name: the proxy, ", yaml)

    def test_nft_and_what_is_left_out(self):
        self.needs("nft")
        self.works("nft", "-f", "-", text=NFT + "\nadd rule inet filter guard tcp dport 25 limit rate 5/second accept\n"
                   "add chain inet filter forwarded { type filter hook forward priority 0; policy drop; }\n")
        ruleset, _ = run("nft", "-j", "list", "ruleset", ns=self.ns)
        yaml, said = run(PENSTOCK, "fw", "import", "--format", "nft", text=ruleset, code=LEFT_OUT)
        place = r"inet filter guard handle \d+: it holds for a rate only; what it accepts meets the rules below$"
        self.assertRegex(said, re.compile("^stdin: left out: " + place, re.M))
        self.assertRegex(yaml, re.compile("^    # left out: " + place, re.M))
        self.assertIn("# LEFT OUT: 1 rules", yaml)
        self.reads(yaml)
        self.assertIn("note: the chain inet filter forwarded", said)
        self.assertRegex(said, r"\d+ rules written, 1 left out\n$")

    def iptables(self, program):
        self.needs(program, program + "-save")
        for line in IPTABLES.strip().splitlines():
            if program == "ip6tables":
                line = line.replace("192.0.2.0/24", "2001:db8::/32").replace("10.0.0.0/8", "fd00::/8").replace(
                    "10.0.0.1-10.0.0.2", "fd00::1-fd00::2").replace("-p icmp --icmp-type", "-p ipv6-icmp --icmpv6-type")
            self.works("sh", "-c", f"{program} -w {line}")
        text, _ = run(program + "-save", ns=self.ns)
        with tempfile.NamedTemporaryFile("w", suffix=".rules") as f:
            f.write(text)
            f.flush()
            yaml, said = run(PENSTOCK, "fw", "import", f.name, code=ALL_GOOD)
        self.reads(yaml)
        return yaml, said

    def test_iptables(self):
        yaml, said = self.iptables("iptables")
        self.assertEqual(rules(yaml), [
            "family: 4, state: [established, related], action: accept}",
            "family: 4, interface: lo, action: accept}",
            'proto: tcp, src: {not: 192.0.2.0/24}, dport: 22, tcp_flags: "syn / fin,syn,rst,ack", action: drop}',
            "family: 4, proto: icmp, icmp: echo-request, action: accept}",
            "src: [10.0.0.1, 10.0.0.2], action: continue, log: yes}",
            "family: 4, proto: tcp, dport: 8080, action: accept}",
            "proto: tcp, src: {not: 10.0.0.0/8}, dport: [80, 443], action: reject}",
            "family: 4, action: drop}"])
        self.assertIn('{name: "from \\"far\\" away", ', yaml)
        self.assertRegex(said, r"8 rules written, 0 left out\n$")

    def test_ip6tables(self):
        yaml, _ = self.iptables("ip6tables")
        self.assertEqual(rules(yaml), [
            "family: 6, state: [established, related], action: accept}",
            "family: 6, interface: lo, action: accept}",
            'proto: tcp, src: {not: 2001:db8::/32}, dport: 22, tcp_flags: "syn / fin,syn,rst,ack", action: drop}',
            "family: 6, proto: icmpv6, icmp: echo-request, action: accept}",
            "src: [fd00::1, fd00::2], action: continue, log: yes}",
            "family: 6, proto: tcp, dport: 8080, action: accept}",
            "proto: tcp, src: {not: fd00::/8}, dport: [80, 443], action: reject}",
            "family: 6, action: drop}"])

    def test_nft_of_iptables(self):
        """What iptables left in nftables is told in part only: not guessed."""
        self.needs("iptables-nft", "nft")
        self.works("iptables-nft", "-A", "INPUT", "-p", "tcp", "-m", "multiport", "--dports", "1,2", "-j", "DROP")
        ruleset, _ = run("nft", "-j", "list", "ruleset", ns=self.ns)
        if '"xt"' not in ruleset:
            self.skipTest("nft translates all of it here")
        _, said = run(PENSTOCK, "fw", "import", text=ruleset, code=LEFT_OUT)
        self.assertIn("iptables-save does", said)


class Command(unittest.TestCase):
    def test_bad_texts_have_a_place(self):
        for text, args, want in (("hello\n", (), "stdin:1: expected what iptables-save prints"), ('{"nftables":\n[1,]}', (), "stdin:2:"),
                                 ("*filter\n:INPUT DROP\nCOMMIT\n", ("--chain", "OUTPT"), "stdin: there is no chain OUTPT"),
                                 ("{}", ("--format", "iptables"), "stdin:1: expected"), ("", ("/nowhere/x",), "/nowhere/x: No such file"),
                                 ("*\x1b[2J\n\x1b\n", (), "stdin:2:")):
            with self.subTest(text=text):
                out, said = run(PENSTOCK, "fw", "import", *args, text=text, code=BAD)
                self.assertEqual(out, "")
                self.assertIn(want, said)
                self.assertNotIn("\x1b", said)

    def test_usage(self):
        for args, want in (((), "expected a subcommand"), (("imprt",), 'did you mean "import"'), (("import", "--format", "pf"), "no format"),
                           (("import", "a", "b"), "at most one FILE"), (("import", "--chian", "x"), "did you mean --chain")):
            with self.subTest(args=args):
                out, said = run(PENSTOCK, "fw", *args, code=lib.EXIT_USAGE)
                self.assertEqual(out, "")
                self.assertIn(want, said)

    def test_help(self):
        out, _ = run(PENSTOCK, "fw", "import", "--help")
        with open(os.path.join(lib.ROOT, "docs", "man", "penstock.1"), encoding="utf-8") as f:
            section = re.search(r"^\.Ss penstock fw import\b.*?\n(.*?)(?=^\.S[sh] )", f.read(), re.M | re.S).group(1)
        for option in re.findall(r"--([a-z]+)", out.split("\nExamples:\n")[0]):
            if option not in ("help", "version"):
                self.assertRegex(section, rf"Fl -{option}\b")


if __name__ == "__main__":
    unittest.main()
