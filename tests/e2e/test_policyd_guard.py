#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""policyd and the guard's tables, without a loader: real maps, made here, come by the environment or from a socket that speaks the
loader's protocol. What is written into them is read back here."""
import array
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake_stage  # noqa: E402
import lib  # noqa: E402
import pipeline  # noqa: E402
from pipeline import wait_for  # noqa: E402

LINE, COUNTS = 64, (1 << 18) + 256 + (66 << 10)
GUARD = 256 + 8192 + 8 + 12 * 256  # bytes of struct pst_guard
IFACES = 256 + 8192  # in it: struct pst_guard_ifaces
REASONS_ROOM = 64  # PST_GUARD_REASONS_ROOM
CPUS = os.cpu_count()
WEB = "    - {name: web, proto: tcp, dport: 80, action: accept}\n"
TELNET = "    - {name: telnet, interface: lo, proto: tcp, dport: 23, action: reject}\n"


def abi_version():
    with open(os.path.join(lib.ROOT, "proto", "abi", "maps.h")) as f:
        return int(re.search(r"#define PST_ABI_VERSION\s+(\d+)", f.read()).group(1))


class Maps:
    """The guard's maps, as the loader makes them."""

    def __init__(self, fw_lines=4096, block_lines=4096):
        sizes = {"guard": (GUARD, 1), "fw_lines": (fw_lines * LINE, 2), "block_lines": (LINE, 2 * block_lines),
                 "guard_sigs": (8192, 2), "offenders": (LINE, 16385), "drop_samples": (32, 1024), "guard_counts": (COUNTS, CPUS)}
        self.fds = {name: (lib.create_array(name, *size), size[1]) for name, size in sizes.items()}
        self.words = mmap.mmap(self.fds["guard"][0], GUARD)
        self.attach(1)
        self.counts = mmap.mmap(self.fds["guard_counts"][0], COUNTS * CPUS)

    def environment(self):
        return {"PENSTOCK_FDS": ",".join(f"{fd}:{name}:{size}" for name, (fd, size) in self.fds.items())}

    def attach(self, n):
        """As the loader does when it has attached the programs to @n interfaces."""
        struct.pack_into("I", self.words, IFACES, n)

    def generations(self):
        """Of the firewall and of the lists."""
        return struct.unpack_from("QQ", self.words)

    def count(self, place, packets):
        """As a program on the last CPU does it."""
        struct.pack_into("QQ", self.counts, (CPUS - 1) * COUNTS + (REASONS_ROOM + place) * 16, packets, packets * 100)

    def close(self):
        self.words.close()
        self.counts.close()
        for fd, _ in self.fds.values():
            os.close(fd)


class FdServer:
    """loader.fds: hands out @maps to whoever asks."""

    def __init__(self, path, maps):
        self.path, self.fds = path, dict(maps.fds) if maps else {}
        if os.path.exists(path):
            os.unlink(path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        self.sock.listen(8)
        self.asked = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def message(self, name, size):
        return struct.pack("32sQII", name.encode(), size, abi_version(), 0)

    def serve(self):
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            with client:
                client.recv(2)
                for name, (fd, size) in self.fds.items():
                    client.sendmsg([self.message(name, size)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
                client.send(self.message("", 0))
            self.asked += 1

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@unittest.skipUnless(os.geteuid() == 0, "makes maps and users")
class GuardTest(unittest.TestCase):
    def setUp(self):
        self.p = pipeline.Pipeline()
        self.addCleanup(self.p.close)
        self.firewall, self.block = (os.path.join(self.p.dir, n) for n in ("fw.yaml", "block.list"))
        self.p.sections["policyd"] = f"firewall: {self.firewall}\nallow: []\nblock: [{self.block}]\n"
        self.p.write_config()
        self.write(self.firewall, "firewall:\n  policy: drop\n  rules:\n" + WEB)
        self.write(self.block, "192.0.2.1 reason=scan\n")
        os.mkdir(self.p.run_dir)
        os.chown(self.p.run_dir, 0, lib.COMMON_GROUP)
        os.chmod(self.p.run_dir, 0o1775)

    def maps(self, *args):
        m = Maps(*args)
        self.addCleanup(m.close)
        return m

    def serve(self, maps):
        s = FdServer(os.path.join(self.p.run_dir, "loader.fds"), maps)
        self.addCleanup(s.close)
        return s

    def write(self, path, text):
        with open(path + ".next", "w") as f:
            f.write(text)
        os.rename(path + ".next", path)

    def write_rules(self, rules):
        self.write(self.firewall, "firewall:\n  policy: drop\n  rules:\n" + rules)

    def begin(self, maps):
        self.p.begin("policyd", env=maps.environment(), pass_fds=[fd for fd, _ in maps.fds.values()])

    def ctl(self, op, **request):
        return self.p.ctl("policyd", op=op, **request)

    def good(self, op, **request):
        reply = self.ctl(op, **request)
        self.assertNotIn("rror", str(reply.get("error", "")), reply)
        self.assertFalse(reply.get("error"), reply)
        return reply

    def rules(self):
        return {r[1]: r for r in self.good("firewall")["rules"]}

    def verdict(self, **packet):
        r = self.good("firewall_test", packet=packet)
        return r["verdict"], r["by"], r["rule"]

    def wait_state(self, op, state):
        return wait_for(lambda: (r := self.ctl(op))["state"] == state and r, f"{op}: {state}")

    def penstock(self, *words):
        return subprocess.run([os.path.join(lib.BINDIR, "penstock"), *words[:2], "--run-dir", self.p.run_dir, *words[2:]],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def extra(self):
        return self.ctl("status")["extra"]


class Environment(GuardTest):
    def test_from_files_to_maps(self):
        maps = self.maps()
        self.begin(maps)
        self.assertEqual(maps.generations(), (1, 1))
        self.assertEqual(self.verdict(src="198.51.100.1", dport=80), ("accept", "rule", "web"))
        self.assertEqual(self.verdict(src="198.51.100.1", dport=81), ("drop", "policy", ""))
        self.assertEqual(self.verdict(src="192.0.2.1", dport=80), ("drop", "block_list", ""))
        self.assertEqual((self.extra()["firewall"], self.extra()["lists"]), ("in force", "in force"))

        # the file is watched; names of interfaces can be asked for in the sandbox
        self.write_rules(WEB + TELNET)
        wait_for(lambda: maps.generations()[0] == 2, "the new rules")
        self.assertEqual(self.verdict(interface="lo", dport=23), ("reject", "rule", "telnet"))
        self.assertEqual(self.rules()["telnet"][3], "interface lo proto tcp dport 23")

        # a bad one changes nothing, and is said; SIGHUP and the op say the same
        self.write_rules(WEB + "    - {name: x, interface: nosuch0, action: drop}\n")
        wait_for(lambda: "fw.yaml:5:" in self.ctl("firewall")["error"], "the error")
        self.p.stage["policyd"].send(signal.SIGHUP)
        self.assertIn("nosuch0", self.ctl("reload")["error"])
        self.assertEqual(self.verdict(interface="lo", dport=23), ("reject", "rule", "telnet"))
        self.assertEqual(maps.generations()[0], 2)
        self.assertEqual(self.p.stage["policyd"].stop(), 0)
        self.assertEqual(maps.generations()[0], 2)  # what is in force stays without us

    def test_config_map(self):
        """As Kubernetes mounts one: the file leads over a link that is exchanged, to folders that were not there when the sandbox was entered."""
        folder = os.path.join(self.p.dir, "map")
        os.mkdir(folder)
        os.unlink(self.firewall)
        os.symlink("map/fw.yaml", self.firewall)
        os.symlink("..data/fw.yaml", os.path.join(folder, "fw.yaml"))

        def publish(version, rules):
            os.mkdir(os.path.join(folder, version))
            self.write(os.path.join(folder, version, "fw.yaml"), "firewall:\n  policy: drop\n  rules:\n" + rules)
            os.symlink(version, os.path.join(folder, "..data_tmp"))
            os.rename(os.path.join(folder, "..data_tmp"), os.path.join(folder, "..data"))

        publish("..1", WEB)
        maps = self.maps()
        self.begin(maps)
        self.assertEqual(set(self.rules()), {"web"})
        for n in (2, 3):
            publish(f"..{n}", f"    - {{name: rule {n}, action: accept}}\n")
            wait_for(lambda: set(self.rules()) == {f"rule {n}"}, "the version that was published")
        self.assertEqual(self.ctl("firewall")["error"], "")

    def test_counters_survive_kill(self):
        maps = self.maps()
        self.write_rules(WEB + TELNET)
        self.begin(maps)
        for place in range(4):
            maps.count(place, 10 + place)
        before = {name: r[4:6] for name, r in self.rules().items()}
        self.assertEqual(len({tuple(v) for v in before.values()}), 2, before)
        self.assertEqual(before["web"][1], before["web"][0] * 100)
        self.good("firewall_add", rule="{name: bad, src: 203.0.113.9, action: drop}")
        self.good("block", address="203.0.113.7", reason="by hand", expires_s=1000)
        self.good("block", address="2001:db8:7::/48")
        self.wait_state("firewall", "in force")
        self.wait_state("lists", "in force")
        self.p.kill("policyd")
        generations = maps.generations()
        self.write_rules(TELNET + WEB)
        self.begin(maps)
        self.wait_state("firewall", "in force")
        self.assertGreater(maps.generations()[0], generations[0])
        self.assertEqual({n: r[4:6] for n, r in self.rules().items()}, {**before, "bad": [0, 0]})
        self.assertEqual(self.verdict(src="203.0.113.9", dport=80), ("drop", "rule", "bad"))
        self.assertEqual(self.verdict(src="203.0.113.7")[1], "block_list")
        self.assertEqual(self.verdict(src="2001:db8:7::1")[1], "block_list")
        self.assertEqual(self.good("firewall_test", packet={"src": "203.0.113.7"})["reason"], "by hand")
        stats = {(s[0], s[2]): s[4] for s in self.ctl("status")["stats"]}
        self.assertEqual(stats["firewall_rule_packets", "web"], before["web"][0])

    def test_who_may_change(self):
        self.begin(self.maps())
        own, other = self.p.uid("policyd"), self.p.uid("exporter")
        self.assertEqual(self.as_user(other, "firewall")["state"], "in force")
        self.assertEqual(self.as_user(other, "lists")["state"], "in force")
        for op, request in (("firewall_add", {"rule": "{name: x, action: drop}"}), ("firewall_delete", {"name": "web"}),
                            ("block", {"address": "203.0.113.1"}), ("unblock", {"address": "203.0.113.1"}), ("reload", {})):
            self.assertIn("only root", self.as_user(other, op, **request)["error"])
        self.assertNotIn("error", self.as_user(own, "reload"))
        self.assertNotIn("error", self.as_user(own, "block", address="203.0.113.1"))
        self.assertEqual(self.verdict(src="203.0.113.1")[1], "block_list")

    def as_user(self, uid, op, **request):
        """The reply that this user gets."""
        rd, wr = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.setgroups([lib.COMMON_GROUP])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                reply = fake_stage.request(os.path.join(self.p.run_dir, "policyd.ctl"), {"op": op, **request})
                os.write(wr, repr(reply).encode())
            finally:
                os._exit(0)
        os.close(wr)
        with os.fdopen(rd, "rb") as f:
            text = f.read().decode()
        os.waitpid(pid, 0)
        return eval(text)  # of our own child

    def test_not_maps(self):
        """What the environment names may be anything; policyd does its other work."""
        empty = os.memfd_create("empty")
        self.addCleanup(os.close, empty)
        names = ("guard", "fw_lines", "block_lines", "guard_sigs", "offenders", "drop_samples", "guard_counts")
        fds = [os.dup(empty) for _ in names]
        self.addCleanup(lambda: [os.close(fd) for fd in fds])
        self.p.begin("policyd", env={"PENSTOCK_FDS": ",".join(f"{fd}:{n}:2" for fd, n in zip(fds, names))}, pass_fds=fds)
        self.assertEqual(self.ctl("firewall")["state"], "not guarded")
        self.assertEqual(self.ctl("firewall")["total"], 1)
        self.assertIn("not guarded", self.ctl("firewall_test", packet={})["error"])


class Loader(GuardTest):
    """Tables that come while policyd is in its sandbox, where /proc is out of reach."""

    def test_comes_later_and_changes(self):
        self.p.begin("policyd")
        self.assertEqual(self.extra()["firewall"], "not guarded")
        self.good("firewall_add", rule="{name: bad, src: 203.0.113.9, action: drop}")
        first = self.maps()
        self.serve(first)
        self.wait_state("firewall", "in force")
        self.assertEqual(first.generations(), (1, 1))
        self.assertEqual(self.verdict(src="203.0.113.9"), ("drop", "rule", "bad"))

        # another loader with the same maps: nothing is written anew
        again = self.serve(first)
        wait_for(lambda: again.asked, "policyd's question")
        self.assertEqual(self.ctl("firewall")["state"], "in force")
        self.assertEqual(first.generations(), (1, 1))

        # with maps of other sizes
        second = self.maps(16384, 1024)
        self.serve(second)
        wait_for(lambda: second.generations() == (1, 1), "the new maps")
        self.assertEqual(first.generations(), (1, 1))
        self.assertEqual(self.verdict(src="203.0.113.9"), ("drop", "rule", "bad"))
        self.good("block", address="203.0.113.7")
        self.assertEqual(self.verdict(src="203.0.113.7")[1], "block_list")

        # one that guards nothing
        self.serve(None)
        self.wait_state("firewall", "not guarded")

    def test_written_and_not_enforced(self):
        """While the loader has attached no program nothing is called in force; it is told by all that show it."""
        maps = self.maps()
        maps.attach(0)
        self.serve(maps)
        self.p.begin("policyd")
        self.assertEqual(maps.generations(), (1, 1))
        self.assertEqual((self.extra()["firewall"], self.extra()["lists"], self.extra()["guard_attached"]), ("not enforced", "not enforced", 0))
        self.assertEqual((self.ctl("firewall")["state"], self.ctl("lists")["state"], self.ctl("ddos")["not_enforced"]), ("not enforced", "not enforced", True))
        self.assertIn("written, not enforced", self.p.stage["policyd"].text())
        for words in (("fw", "list"), ("ddos", "list"), ("ddos", "stats")):
            self.assertIn("written, not enforced", self.penstock(*words).stdout, words)
        p = self.penstock("fw", "add", "{name: late, action: drop}")
        self.assertEqual((p.returncode, p.stderr.startswith("written, not enforced")), (0, True), p.stderr)
        maps.attach(2)
        wait_for(lambda: self.extra()["guard_attached"] == 2 and "enforced from now on" in self.p.stage["policyd"].text(), "the loader's word")
        self.assertEqual(self.wait_state("firewall", "in force")["total"], 2)
        for words in (("fw", "list"), ("ddos", "list"), ("ddos", "stats")):
            self.assertNotIn("not enforced", self.penstock(*words).stdout, words)

    def test_there_from_the_start(self):
        maps = self.maps()
        self.serve(maps)
        self.p.begin("policyd")
        self.assertEqual(maps.generations(), (1, 1))
        self.assertEqual(self.extra()["firewall"], "in force")


class Check(GuardTest):
    def check(self, *args):
        p = lib.Process(self.p.args("penstock-policyd", "--check", "--rules", self.p.rules_path, *args), notify=False)
        self.addCleanup(p.close)
        return p.wait(), p.text()

    def test_names_the_place(self):
        self.assertEqual(self.check()[0], 0)
        self.write_rules("    - {name: x, proto: tpc, action: drop}\n")
        self.write(self.block, "10.0.0.1/8\n")
        code, text = self.check()
        self.assertEqual(code, lib.EXIT_USAGE)
        self.assertIn(f"{self.firewall}:4:24: ", text)
        self.assertIn(f"{self.block}:1:", text)
        other = os.path.join(self.p.dir, "other.yaml")
        self.assertIn(other, self.check("--firewall", other)[1])


if __name__ == "__main__":
    unittest.main()
