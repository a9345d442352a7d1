#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The firewall and the lists from file to packet: loader and policyd, and traffic between two namespaces."""
import json
import mmap
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guard  # noqa: E402
import lib  # noqa: E402
import loader  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402

VM = bool(os.environ.get("PENSTOCK_VM"))
LOADER = (pipeline.ALL_BUT_PROCESS.replace("{", "{process: no, ") +
          "\nrings: {process: 64KiB, net: 64KiB, flow: 64KiB}\nguard: {interfaces: [pstn0], firewall_memory: 1MiB, list_memory: 1MiB}")
SO_RCVBUFFORCE = 33
OPEN, SHUT = 4001, 4002  # ports; what comes to the second is never let in
RULES = """
firewall:
  policy: accept
  rules:
    - {name: shut, dport: 4002, action: drop}
    - {name: counted, proto: udp, dport: 4001, action: continue}
"""
FAMILIES = {"inet": (socket.AF_INET, net.V4), "inet6": (socket.AF_INET6, net.V6)}
# Numbered datagrams, without end, to both ports.
FLOOD = ("import socket,struct,sys,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\nn=0\n"
         "while True:\n"
         "  for _ in range(10):\n"
         "    s.sendto(struct.pack('Q',n),(sys.argv[1],int(sys.argv[2]))); s.sendto(b'x'*8,(sys.argv[1],int(sys.argv[3]))); n+=1\n"
         "  time.sleep(0.002)")


class FirewallTest(pipeline.PipelineTest):
    rules = RULES
    loader = LOADER
    policyd = ""  # more of its section

    def setUp(self):
        self.p = self.pipeline(loader=self.loader)
        self.firewall = os.path.join(self.p.dir, "firewall.yaml")
        self.allow, self.block = (os.path.join(self.p.dir, n + ".list") for n in ("allow", "block"))
        self.p.sections["policyd"] = f"firewall: {self.firewall}\nallow: [{self.allow}]\nblock: [{self.block}]\n{self.policyd}"
        self.p.write_config()
        self.put(self.firewall, self.rules)
        self.put(self.allow, "")
        self.put(self.block, "")
        self.peer = net.Peer(self.p)
        self.addCleanup(self.peer.close)
        self.p.up("loader", "policyd")
        self.in_force()

    @staticmethod
    def put(path, text):
        with open(path + ".next", "w") as f:
            f.write(text)
        os.rename(path + ".next", path)

    # ---- asking policyd ----

    def ask(self, op, **more):
        reply = self.p.ctl("policyd", op=op, **more)
        self.assertNotIn("error", {k: v for k, v in reply.items() if v}, reply)
        return reply

    def refused(self, op, **more):
        reply = self.p.ctl("policyd", op=op, **more)
        self.assertTrue(reply.get("error"), reply)
        return reply["error"]

    def in_force(self):
        for op in ("firewall", "lists"):
            pipeline.wait_for(lambda op=op: self.p.ctl("policyd", op=op)["state"] in ("in force", "off"), op)

    def reload(self):
        reply = self.p.ctl("policyd", op="reload")
        if not reply.get("error"):
            self.in_force()
        return reply.get("error", "")

    def counted(self, name):
        """(packets, bytes) of a rule."""
        return next((r[4], r[5]) for r in self.ask("firewall")["rules"] if r[1] == name)

    def reasons(self):
        return {r[0]: r[1] for r in self.ask("firewall")["reasons"]}

    # ---- traffic ----

    def socket(self, side, family="inet", kind=socket.SOCK_DGRAM, port=0):
        af, addresses = FAMILIES[family]

        def make():
            s = socket.socket(af, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((addresses[side == "far"], port))
            if kind == socket.SOCK_DGRAM:
                s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)  # seconds of what UnderTraffic sends
            return s
        s = net.within(self.peer.holder.pid if side == "far" else self.p.holder.pid, make)
        self.addCleanup(s.close)
        return s

    @staticmethod
    def there(s, seconds):
        return bool(select.select([s], [], [], seconds)[0])

    def passes(self, port, family="inet", source=None):
        """Does a datagram get in? Those that are dropped are waited for with one that is not."""
        near = self.socket("near", family, port=port)
        far = self.socket("far", family)
        for _ in range(3):
            far.sendto(b"?", near.getsockname())
        got = self.there(near, 0.3)
        near.close()
        far.close()
        return got

    def connects(self, port, family="inet"):
        server = self.socket("near", family, socket.SOCK_STREAM, port)
        server.listen()
        client = self.socket("far", family, socket.SOCK_STREAM)
        client.settimeout(1.0)
        try:
            client.connect(server.getsockname())
            accepted, _ = server.accept()
            client.sendall(b"ping")
            accepted.settimeout(5)
            self.assertEqual(accepted.recv(4), b"ping")
            accepted.close()
            return True
        except TimeoutError:
            return False
        finally:
            client.close()
            server.close()


class Rules(FirewallTest):
    def test_in_force(self):
        """TCP and UDP over IPv4 and IPv6; counters of the rules and the reasons."""
        for family in FAMILIES:
            before = self.counted("shut")[0]
            self.assertTrue(self.passes(OPEN, family))
            self.assertFalse(self.passes(SHUT, family))
            self.assertTrue(self.connects(OPEN, family))
            self.assertFalse(self.connects(SHUT, family))
            self.assertGreaterEqual(self.counted("shut")[0], before + 3 + 1)
        self.assertEqual(self.counted("counted")[0], 6)
        reply = self.ask("firewall")
        self.assertEqual((reply["total"], reply["policy"], reply["file"]), (2, "accept", self.firewall))
        self.assertEqual([r[1:3] for r in reply["rules"]], [["shut", "drop"], ["counted", "continue"]])
        self.assertGreaterEqual(self.reasons()["fw_drop"], 8)

    def test_what_would_happen(self):
        """The answer is of the tables in force, and what then happens."""
        for port, verdict in ((OPEN, "accept"), (SHUT, "drop")):
            reply = self.ask("firewall_test", packet={"src": net.V4[1], "dst": net.V4[0], "proto": "udp", "dport": port,
                                                      "interface": "pstn0"})
            self.assertEqual(reply["verdict"], verdict)
            self.assertEqual(self.passes(port), verdict == "accept")
        self.assertEqual((reply["by"], reply["rule"]), ("rule", "shut"))
        self.assertIn("expected", self.refused("firewall_test", packet={"src": "10.0.0.300"}))

    def test_a_changed_file(self):
        """By itself, by signal and by request; a rule that stays keeps its count."""
        self.assertFalse(self.passes(SHUT))
        before = self.counted("shut")
        self.put(self.firewall, RULES.replace("rules:", "rules:\n    - {name: also, dport: 4001, action: drop}"))
        pipeline.wait_for(lambda: self.ask("firewall")["total"] == 3 and self.ask("firewall")["state"] == "in force", "the watch")
        self.assertFalse(self.passes(OPEN))
        self.assertEqual(self.counted("shut"), before)
        self.assertEqual(self.counted("also")[0], 3)
        self.put(self.firewall, RULES)
        self.p.stage["policyd"].send(signal.SIGHUP)
        pipeline.wait_for(lambda: self.ask("firewall")["total"] == 2 and self.ask("firewall")["state"] == "in force", "the signal")
        self.assertTrue(self.passes(OPEN))

    def test_an_interface_that_is_made_anew(self):
        """It has another number, and the rules that name it still mean it."""
        self.put(self.firewall, RULES.replace("rules:", "rules:\n    - {name: here, interface: pstn0, dport: 4001, action: drop}"))
        self.reload()
        self.assertFalse(self.passes(OPEN))
        before = self.counted("here")
        self.p.run("ip", "link", "del", "pstn0")
        self.peer = net.Peer(self.p)
        self.addCleanup(self.peer.close)
        pipeline.wait_for(lambda: not self.passes(OPEN), "the rule for the interface of this name")
        self.assertGreater(self.counted("here")[0], before[0])
        self.assertEqual(self.p.ctl("policyd", op="firewall")["error"], "")

    def test_one_is_made_anew_and_another_is_missing(self):
        """The rules of the one follow it; those of the other match nothing, until it comes back."""
        self.p.run("ip", "link", "add", "pstd0", "type", "veth", "peer", "name", "pstd1")
        self.put(self.firewall, RULES.replace("rules:", "rules:\n    - {name: other, interface: pstd0, action: drop}\n"
                                              "    - {name: here, interface: pstn0, dport: 4001, action: drop}"))
        self.assertEqual(self.reload(), "")
        self.assertFalse(self.passes(OPEN))
        self.p.run("ip", "link", "del", "pstd0")
        self.p.run("ip", "link", "del", "pstn0")
        self.peer = net.Peer(self.p)
        self.addCleanup(self.peer.close)
        pipeline.wait_for(lambda: not self.passes(OPEN), "the rule for the interface of this name")
        self.assertEqual(self.p.ctl("policyd", op="firewall")["error"], "")
        # a rule by command is no reason to ask for the file's interfaces again; one that it names itself has to be there
        self.ask("firewall_add", rule="{name: late, dport: 4009, action: drop}")
        self.assertIn('no interface "pstx7"', self.refused("firewall_add", rule="{name: never, interface: pstx7, action: drop}"))
        # a file that is read anew names what there is
        self.assertIn('firewall.yaml:5:32: interface: there is no interface "pstd0"', self.reload())
        self.assertFalse(self.passes(OPEN))

    def rename(self, old, new):
        """Linux before 6.2 renames only what is down."""
        for args in (("set", old, "down"), ("set", old, "name", new), ("set", new, "up")):
            self.p.run("ip", "link", *args)

    def test_an_interface_that_is_renamed(self):
        """Rules mean the interface that bears the name now, and none while there is none."""
        self.p.sections["loader"] = LOADER.replace("[pstn0,", "['pst*',").replace("[pstn0]", "['pst*']")
        self.p.stage["loader"].stop()
        self.p.write_config()
        self.p.up("loader")
        self.in_force()
        self.put(self.firewall, RULES.replace("rules:", "rules:\n    - {name: here, interface: pstn0, dport: 4001, action: drop}"))
        self.assertEqual(self.reload(), "")
        self.assertFalse(self.passes(OPEN))
        self.rename("pstn0", "pstz0")
        pipeline.wait_for(lambda: self.passes(OPEN), "the rule to match nothing")
        self.assertIn("pstn0", next(r[3] for r in self.ask("firewall")["rules"] if r[1] == "here"))
        self.assertIn("was renamed", self.p.stage["policyd"].text())
        self.ask("firewall_add", rule="{name: late, dport: 4009, action: drop}")  # made from what was read
        self.assertTrue(self.passes(OPEN))
        self.rename("pstz0", "pstn0")
        pipeline.wait_for(lambda: not self.passes(OPEN), "the rule for the interface of this name")

    def test_what_is_refused(self):
        """An error that names the place; what was in force stays."""
        bad = {"firewall: [": "", "firewall:\n  rules:\n    - {name: a, dport: 99999, action: drop}\n": "firewall.yaml:3",
               "firewall:\n  rules:\n    - {name: a, interface: nowhere0, action: drop}\n": "nowhere0",
               "firewall:\n  rules:\n    - {name: a, proto: udp, tcp_flags: syn, action: drop}\n": "firewall.yaml:3",
               "firewall:\n  rules:\n    - {name: a, family: 4, src: 2001:db8::/32, action: drop}\n": "firewall.yaml:3",
               "firewall:\n  rulez: []\n": "did you mean", "x" * (17 << 20): "",
               # more than the memory that is configured
               "firewall:\n  rules:\n" + "".join(
                   f"    - {{name: r{i}, src: 10.{i % 250}.{i // 250}.0/24, sport: {i + 1}, dport: {i + 7}, action: drop}}\n"
                   for i in range(9000)): "firewall_memory"}
        generation = self.ask("firewall")["generation"]
        for text, place in bad.items():
            with self.subTest(text=text[:60]):
                self.put(self.firewall, text)
                error = self.p.ctl("policyd", op="reload").get("error", "")
                self.assertIn("firewall.yaml", error)
                self.assertIn(place, error)
                reply = self.p.ctl("policyd", op="firewall")
                self.assertEqual((reply["generation"], reply["total"], bool(reply["error"])), (generation, 2, True))
                self.assertFalse(self.passes(SHUT))
                self.assertTrue(self.passes(OPEN))
        self.put(self.firewall, RULES)
        self.assertEqual(self.reload(), "")
        self.assertEqual(self.ask("firewall")["error"], "")

    def test_check(self):
        """--check reads the files too, and says the same."""
        def check():
            return self.p.run(os.path.join(lib.BINDIR, "penstock-policyd"), "--config", self.p.config_path, "--check", "--rules",
                              self.p.rules_path, check=False)
        self.assertEqual(check().returncode, 0)
        self.put(self.firewall, "firewall:\n  rules:\n    - {name: a, dport: 99999, action: drop}\n")
        out = check()
        self.assertEqual(out.returncode, lib.EXIT_USAGE)
        self.assertIn("firewall.yaml:3", out.stderr)

    def test_by_command(self):
        """Rules that are added stand before those of the file, and outlive policyd."""
        self.ask("firewall_add", rule="{name: now, proto: udp, dport: 4001, action: drop}")
        self.in_force()
        self.assertFalse(self.passes(OPEN))
        self.assertTrue(self.connects(OPEN))
        self.assertIn("now", self.refused("firewall_add", rule="{name: now, action: drop}"))
        self.assertTrue(self.refused("firewall_add", rule="{name: b, action: drop"))
        self.assertTrue(self.refused("firewall_delete", name="shut"))
        self.p.stage["policyd"].stop(signal.SIGTERM, pipeline.PATIENCE)
        self.assertFalse(self.passes(OPEN))
        self.p.begin("policyd")
        self.in_force()
        self.assertFalse(self.passes(OPEN))
        self.assertEqual([r[1] for r in self.ask("firewall")["rules"]], ["now", "shut", "counted"])
        self.assertEqual(self.counted("now")[0], 9)
        self.ask("firewall_delete", name="now")
        self.in_force()
        self.assertTrue(self.passes(OPEN))

    def test_only_root_changes(self):
        script = ("import sys,os,json\nsys.path.insert(0,sys.argv[1])\nimport fake_stage\nos.setgroups([int(sys.argv[3])])\n"
                  "os.setgid(int(sys.argv[2]))\nos.setuid(int(sys.argv[2]))\n"
                  "for op in json.loads(sys.argv[5]): print(json.dumps(fake_stage.request(sys.argv[4], op)))")
        ops = [{"op": "firewall_add", "rule": "{name: x, action: accept}"}, {"op": "firewall_delete", "name": "shut"},
               {"op": "block", "address": "192.0.2.1"}, {"op": "unblock", "address": "192.0.2.1"}]
        out = subprocess.run(["/usr/bin/python3", "-c", script, os.path.dirname(os.path.abspath(__file__)), str(lib.STRANGER),
                              str(lib.COMMON_GROUP), os.path.join(self.p.run_dir, "policyd.ctl"), json.dumps(ops)],
                             stdout=subprocess.PIPE, check=True)
        replies = [json.loads(line) for line in out.stdout.splitlines()]
        self.assertEqual(len(replies), len(ops))
        for reply in replies:
            self.assertIn("root", reply.get("error", ""))


class Sets(FirewallTest):
    """Sets that commands change, and what packets then meet."""
    rules = ("firewall:\n  sets: {shut: [192.0.2.1], services: []}\n  rules:\n    - {name: shut, src: $shut, action: drop}\n"
             "    - {name: services, dst: $services, action: drop}\n")

    def penstock(self, *words, **options):
        return self.p.run(os.path.join(lib.BINDIR, "penstock"), "fw", *words, "--run-dir", self.p.run_dir, **options)

    def change(self, *words):
        self.penstock(*words)
        self.in_force()

    def test_mistakes(self):
        """Told as they are written, and nothing is changed."""
        for words, want in ((("shtu", "192.0.2.2"), 'there is no set "shtu", did you mean "shut"?'),
                            (("shut", "x"), 'firewall: element: "x" is no address, expected one such as')):
            p = self.penstock("add-element", *words, check=False)
            self.assertEqual((p.returncode, p.stdout), (lib.EXIT_SYSTEM, ""))
            self.assertIn(want, p.stderr)
        self.assertEqual(json.loads(self.penstock("sets", "--json").stdout)["changes"], [])

    def test_addresses(self):
        self.assertTrue(self.passes(OPEN))
        self.change("add-element", "shut", net.V4[1], net.V6[1] + "/128")
        for family in FAMILIES:
            self.assertFalse(self.passes(OPEN, family))
        self.assertIn("shut", self.penstock("sets").stdout)
        sets = json.loads(self.penstock("sets", "--json").stdout)
        self.assertEqual({s["name"]: (s["holds"], s["elements"]) for s in sets["sets"]},
                         {"shut": ("addresses", 3), "services": ("", 0)})
        self.assertEqual([(c["change"], c["element"]) for c in sets["changes"]], [("added", net.V4[1]), ("added", net.V6[1])])
        self.p.stage["policyd"].stop(signal.SIGKILL, pipeline.PATIENCE)
        self.assertFalse(self.passes(OPEN))
        self.p.begin("policyd")
        self.in_force()
        self.assertFalse(self.passes(OPEN))
        self.change("delete-element", "shut", net.V4[1])
        self.assertTrue(self.passes(OPEN))
        self.assertFalse(self.passes(OPEN, "inet6"))

    def test_addresses_with_ports(self):
        for family, endpoint in (("inet", f"{net.V4[0]}:{OPEN}"), ("inet6", f"[{net.V6[0]}]:{OPEN}")):
            self.assertTrue(self.passes(OPEN, family))
            self.change("add-element", "services", endpoint)
            self.assertFalse(self.passes(OPEN, family))
            self.assertTrue(self.passes(SHUT, family))  # the same address, another port
        self.assertIn("not in the set", self.penstock("delete-element", "services", "192.0.2.77:1", check=False).stderr)
        self.change("delete-element", "services", f"{net.V4[0]}:{OPEN}")
        self.assertTrue(self.passes(OPEN))
        self.assertFalse(self.passes(OPEN, "inet6"))

    def test_many_at_once(self):
        path = os.path.join(self.p.dir, "elements")
        with open(path, "w") as f:
            f.writelines(f"198.51.{i // 250}.{i % 250}  # {i}\n" for i in range(998))
            f.write(f"{net.V4[1]}\n\n# the end\n")
        generation = self.ask("firewall")["generation"]
        self.change("add-element", "shut", "--file", path)
        self.assertFalse(self.passes(OPEN))
        self.assertEqual(self.ask("firewall")["generation"], generation + 1)
        with open(path, "a") as f:
            f.write("10.0.0.1\n10.0.0.2\n")
        out = self.penstock("add-element", "shut", "--file", path, check=False)
        self.assertEqual(out.returncode, lib.EXIT_USAGE)
        self.assertIn("at most 1000 elements", out.stderr)


class Restore(FirewallTest):
    """Tables that were scribbled into, with everything that policyd may write: the loader puts back what came into force."""
    policyd = "ddos: {amplification: count}\ninner: {vxlan: yes, vxlan_port: 8472}\n"

    def loader_does(self, *words, **options):
        return self.p.run(os.path.join(lib.BINDIR, "penstock-loader"), *words, "--run-dir", self.p.run_dir, **options)

    def kept(self):
        return [line.split()[0] for line in self.loader_does("restore", "--list").stdout.splitlines() if "firewall" in line]

    def mapped(self, name):
        fd = lib.obj_get(os.path.join(self.p.bpffs, "maps", name))
        m = mmap.mmap(fd, guard.Tables.bytes(fd), mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        os.close(fd)
        self.addCleanup(m.close)
        return m

    def report(self):
        with open(os.path.join(self.p.run_dir, "loader.json")) as f:
            return json.load(f)

    def setUp(self):
        super().setUp()
        self.put(self.block, f"{net.V4[1]}\n")
        self.assertEqual(self.reload(), "")
        pipeline.wait_for(lambda: "latest" in self.kept(), "a copy")
        self.assertFalse(self.passes(OPEN))
        self.assertFalse(self.passes(SHUT, "inet6"))
        self.assertTrue(self.passes(OPEN, "inet6"))
        pipeline.wait_for(lambda: f"lists {self.ask('lists')['generation']}" in self.loader_does("restore", "--list").stdout, "the copy")

    def scribble(self):
        for name in ("fw_lines", "block_lines", "guard_sigs"):
            m = self.mapped(name)
            m[:] = os.urandom(1 << 16) * (len(m) >> 16) if len(m) >> 16 else os.urandom(len(m))

    def test_scribbled(self):
        self.p.stage["policyd"].stop(signal.SIGKILL, pipeline.PATIENCE)
        words = self.mapped("guard")
        before = [words[at:end] for at, end in guard.POLICYD_WORDS]
        self.scribble()
        for at, end in guard.POLICYD_WORDS[1:]:
            words[at:end] = os.urandom(end - at)
        words[slice(*guard.POLICYD_WORDS[0])] = bytes(8)  # flags: all steps off
        pipeline.wait_for(lambda: "firewall" in self.report()["tables_changed"], "the report")
        self.assertIn("penstock-loader restore", "".join(self.p.stage["loader"].log))
        self.assertIn("changed in force", self.p.run(os.path.join(lib.BINDIR, "penstock"), "status", "--run-dir", self.p.run_dir,
                                                     check=False).stdout)
        self.loader_does("restore")
        self.assertEqual([words[at:end] for at, end in guard.POLICYD_WORDS], before)
        self.assertFalse(self.passes(OPEN))
        self.assertFalse(self.passes(SHUT, "inet6"))
        self.assertTrue(self.passes(OPEN, "inet6"))
        pipeline.wait_for(lambda: self.report()["tables_changed"] == "", "the report")
        # and the next policyd goes on from there
        self.p.begin("policyd")
        self.in_force()
        self.assertFalse(self.passes(OPEN))
        self.assertFalse(self.passes(SHUT, "inet6"))

    def test_previous(self):
        """Rules that somebody put in force properly, and that are no good."""
        self.ask("firewall_add", rule="{name: open, dport: 4002, action: accept}")
        self.in_force()
        self.assertTrue(self.passes(SHUT, "inet6"))
        pipeline.wait_for(lambda: f"firewall {self.ask('firewall')['generation']} " in
                          self.loader_does("restore", "--list").stdout.splitlines()[0], "the copy")
        self.assertEqual(self.kept(), ["latest", "previous"])
        self.loader_does("restore", "--previous")
        self.assertFalse(self.passes(SHUT, "inet6"))
        self.assertEqual(self.kept(), ["latest"])
        self.assertEqual(self.p.ctl("policyd", op="firewall")["state"], "changed by another")
        self.assertEqual(self.reload(), "")
        self.assertTrue(self.passes(SHUT, "inet6"))

    def test_other_sizes(self):
        """A load that makes the tables larger changes nothing in force, and the copy is of the new ones."""
        self.p.sections["loader"] = self.p.sections["loader"].replace("firewall_memory: 1MiB", "firewall_memory: 2MiB")
        self.p.write_config()
        self.p.stage["loader"].send(signal.SIGHUP)
        pipeline.wait_for(lambda: [m for m in self.report()["maps"] if m["name"] == "fw_lines" and m["value_bytes"] == 1 << 20], "the load")
        self.in_force()
        pipeline.wait_for(lambda: f"firewall {self.ask('firewall')['generation']} " in
                          self.loader_does("restore", "--list").stdout.splitlines()[0], "the copy")
        time.sleep(12)  # tables in force are compared every ten seconds
        self.assertEqual(self.report()["tables_changed"], "")
        self.p.stage["policyd"].stop(signal.SIGKILL, pipeline.PATIENCE)
        self.scribble()
        self.loader_does("restore")
        self.assertFalse(self.passes(SHUT, "inet6"))
        self.assertTrue(self.passes(OPEN, "inet6"))

    def test_what_is_restored_was_not_changed(self):
        """In either half: what signatures have in one of them alone is no change."""
        self.assertTrue(struct.unpack_from("Q", self.mapped("guard"), guard.SIG_GENERATION)[0], "no signatures")
        for _ in range(2):
            self.loader_does("restore")
            time.sleep(12)  # tables in force are compared every ten seconds
            self.assertEqual(self.report()["tables_changed"], "")

    def test_who_may(self):
        out = subprocess.run(["setpriv", "--reuid", str(lib.STRANGER), "--regid", str(lib.COMMON_GROUP), "--clear-groups",
                              os.path.join(lib.BINDIR, "penstock-loader"), "restore", "--run-dir", self.p.run_dir],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(out.returncode, lib.EXIT_USAGE)
        self.assertIn("only root", out.stderr)
        self.p.stage["loader"].stop(signal.SIGKILL, pipeline.PATIENCE)
        out = self.loader_does("restore", check=False)
        self.assertNotEqual(out.returncode, 0)
        self.assertIn("no loader serves", out.stderr)


class DropsByInterface(FirewallTest):
    """What cannot be read, by interface: by name or glob, the first that matches; else as for all."""
    policyd = "drop: {truncated: yes, malformed: yes, interfaces: {pstn0: {truncated: no}, 'pst*': {malformed: no, no_ip: yes}}}\n"
    loader = LOADER.replace("[pstn0]", "[pstn0, pstd0]")

    def setUp(self):
        super().setUp()
        self.add_other()

    def add_other(self):
        self.p.run("ip", "link", "add", "pstd0", "type", "veth", "peer", "name", "pstf9", "netns", str(self.peer.holder.pid))
        for run, name in ((self.p.run, "pstd0"), (self.peer.run, "pstf9")):
            run("ip", "link", "set", name, "up")
        pipeline.wait_for(lambda: self.p.ctl("policyd", op="status")["extra"]["guard_attached"] == 2, "both interfaces")

    def seen(self, name, frame):
        """Does a frame that is sent into @name's peer get past the guard?"""
        def open_raw(interface):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.bind((interface, 3))
            return s
        peer = {"pstn0": "pstf0", "pstd0": "pstf9"}[name]
        near = net.within(self.p.holder.pid, lambda: open_raw(name))
        far = net.within(self.peer.holder.pid, lambda: open_raw(peer))
        try:
            far.send(frame)
            while self.there(near, 0.3):
                if near.recv(2048)[:len(frame)] == frame:
                    return True
            return False
        finally:
            near.close()
            far.close()

    def test_by_name_and_glob(self):
        ether = b"\xff" * 6 + b"\x02\0\0\0\0\x07"
        frames = {"truncated": ether + b"\x08\0" + b"\x45\0\0\x28" + b"\0" * 4,
                  "malformed": ether + b"\x08\0" + b"\x41" + b"\0" * 45,
                  "no_ip": ether + b"\x88\xb5" + b"\0" * 46}
        passed = {name: {kind for kind, frame in frames.items() if self.seen(name, frame)} for name in ("pstn0", "pstd0")}
        self.assertEqual(passed, {"pstn0": {"truncated", "no_ip"}, "pstd0": {"malformed"}})
        reasons = self.reasons()
        self.assertTrue(all(reasons[k] >= 2 for k in frames), reasons)
        # one that is made anew
        self.p.run("ip", "link", "del", "pstd0")
        pipeline.wait_for(lambda: self.p.ctl("policyd", op="status")["extra"]["guard_attached"] == 1, "its end")
        self.add_other()
        pipeline.wait_for(lambda: not self.seen("pstd0", frames["truncated"]) and self.seen("pstd0", frames["malformed"]), "its entry")


class NotEnforced(FirewallTest):
    """Rules that no program looks at are not called in force."""

    def wait_state(self, state, attached):
        pipeline.wait_for(lambda: self.p.ctl("policyd", op="firewall")["state"] == state and
                          self.p.ctl("policyd", op="status")["extra"]["guard_attached"] == attached, state)

    def test_the_interface_goes_and_comes(self):
        self.wait_state("in force", 1)
        self.p.run("ip", "link", "del", "pstn0")
        self.wait_state("not enforced", 0)
        pipeline.wait_for(lambda: "written, not enforced" in self.p.stage["policyd"].text(), "the line in the log")
        self.p.run("ip", "link", "add", "pstn0", "type", "veth", "peer", "name", "pstf7")
        self.wait_state("in force", 1)
        # all is taken down, and nobody tells policyd to ask
        self.assertEqual(self.p.stage["loader"].stop(), 0)
        self.wait_state("not enforced", 0)

    def test_the_guard_does_not_load(self):
        self.p.down()
        p = self.p.begin("loader", env=loader.refuse("prog:guard"))
        self.p.begin("policyd")
        self.assertEqual(next(s["state"] for s in self.p.report()["sensors"] if s["name"] == "guard"), "unavailable", p.text())
        state = self.p.ctl("policyd", op="firewall")["state"]
        self.assertIn(state, ("not guarded", "not enforced"))


class Command(FirewallTest):
    """`penstock fw` and `penstock ddos`, as people use them."""

    def penstock(self, *args, code=0):
        p = subprocess.run([os.path.join(lib.BINDIR, "penstock"), *args[:2], "--run-dir", self.p.run_dir, *args[2:]],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=pipeline.PATIENCE)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        return p.stdout if not code or not p.stderr else p.stderr

    def test_rules(self):
        self.penstock("fw", "add", "{name: first, proto: udp, dport: 4001, action: drop}")
        self.penstock("fw", "add", "{name: before it, proto: tcp, dport: 7, action: drop}", "--before", "first")
        self.in_force()
        self.assertFalse(self.passes(OPEN))
        lines = self.penstock("fw", "list").splitlines()
        self.assertRegex(lines[0], r"^firewall: in force, generation \d+, policy accept, rules 4, /")
        self.assertEqual([re.split(" {2,}", line.strip())[3] for line in lines[2:]], ["before it", "first", "shut", "counted"])
        self.assertRegex(lines[3], r"drop +3 +\d+  first +proto udp dport 4001$")
        reply = json.loads(self.penstock("fw", "list", "--json"))
        self.assertEqual([(r["name"], r["action"], r["packets"]) for r in reply["rules"]][1], ("first", "drop", 3))
        self.assertRegex(self.penstock("fw", "stats"), r"(?m)^fw_drop +3 ")
        self.assertRegex(self.penstock("fw", "stats", "--all"), r"(?m)^shut +0 ")
        ask = ("fw", "test", "--src", net.V4[1], "--proto", "udp")
        self.assertRegex(self.penstock(*ask, "--dport", str(OPEN), code=1), r"^drop: rule \d+, first: proto udp dport 4001\n$")
        self.assertRegex(self.penstock(*ask, "--dport", "9"), "^accept: no rule takes it")
        self.assertEqual(json.loads(self.penstock(*ask, "--dport", "9", "--json"))["verdict"], "accept")
        self.penstock("fw", "delete", "first")
        self.in_force()
        self.assertTrue(self.passes(OPEN))
        for args, text in ((("add", "{name: x}"), "action"), (("delete", "nobody"), "nobody"), (("test", "--src", "1.2.3"), "src")):
            self.assertIn(text, self.penstock("fw", *args, code=lib.EXIT_SYSTEM))

    def test_lists(self):
        self.penstock("ddos", "block", net.V4[1], "2001:db8:bad::/48", "--for", "1h", "--reason", "too many")
        self.in_force()
        self.assertFalse(self.passes(OPEN))
        self.assertRegex(self.penstock("ddos", "stats"), r"(?m)^blocked +drop +[1-9]")
        text = self.penstock("ddos", "list")
        self.assertRegex(text, rf"(?m)^  {re.escape(net.V4[1])} +3[56]\d\d s more +too many$")
        self.assertIn("and 2 by command", text)
        self.assertRegex(self.penstock("fw", "test", "--src", net.V4[1], code=1),
                         rf"^drop: {re.escape(net.V4[1])}(/32)? is on the block list: too many \(for 3[56]\d\d s more\)\n$")
        self.penstock("ddos", "unblock", net.V4[1])
        self.assertTrue(self.passes(OPEN))
        self.assertEqual(len(json.loads(self.penstock("ddos", "list", "--json"))["block"]["runtime"]), 1)
        self.assertIn("expected address", self.penstock("ddos", "block", "nowhere", code=lib.EXIT_SYSTEM))

    def test_nobody_there(self):
        self.p.kill("policyd")
        self.assertIn("policyd: not running", self.penstock("fw", "list", code=lib.EXIT_SYSTEM))


class Interfaces(Command):
    """What is counted by interface, beside what was sent and what the kernel says of the device."""
    loader = LOADER.replace("{process: no, ", "{")
    test_rules = test_lists = test_nobody_there = None

    def cells(self, interface="pstn0"):
        return {tuple(r[1:4]): (r[4], r[5]) for r in self.ask("firewall")["interfaces"] if r[0] == interface}

    def kernel(self):
        """Packets and bytes of the device, out and in."""
        stats = json.loads(self.p.run("ip", "-s", "-j", "link", "show", "pstn0").stdout)[0]["stats64"]
        return [(stats[d]["packets"], stats[d]["bytes"]) for d in ("tx", "rx")]

    @staticmethod
    def sums(cells):
        """Likewise of the guard."""
        return [tuple(sum(v[i] for k, v in cells.items() if k[0] == d) for i in (0, 1)) for d in ("out", "in")]

    def ping(self, address, n):
        self.assertEqual(self.peer.run("ping", "-q", "-c", str(n), "-i", "0.02", "-s", "100", address, check=False).returncode, 0)

    def traffic(self):
        self.ping(net.V4[0], 5)
        self.ping(net.V6[0], 7)
        self.assertFalse(self.passes(SHUT))
        self.assertFalse(self.passes(SHUT, "inet6"))
        self.assertTrue(self.passes(OPEN))

    def test_as_they_were_sent(self):
        self.traffic()
        cells = self.cells()
        self.assertEqual(cells["in", "icmp", "pass"], (5, 5 * (14 + 20 + 8 + 100)))
        self.assertEqual(cells["out", "icmp", "pass"], cells["in", "icmp", "pass"])
        self.assertEqual(cells["in", "udp", "drop"], (6, 3 * (14 + 20 + 8 + 1) + 3 * (14 + 40 + 8 + 1)))
        self.assertEqual(cells["in", "udp", "pass"], (3, 3 * (14 + 20 + 8 + 1)))
        self.assertGreaterEqual(cells["in", "icmpv6", "pass"][0], 7)  # and what IPv6 says by itself
        self.assertGreaterEqual(cells["out", "icmpv6", "pass"][0], 7)
        self.assertFalse(self.cells("other"))

    def test_as_the_kernel_counts(self):
        def moved(now, before):
            return [tuple(a - b for a, b in zip(x, y)) for x, y in zip(now, before)]
        kernel, guard = self.kernel(), self.sums(self.cells())
        self.traffic()
        self.assertTrue(self.connects(OPEN))

        def same():
            (sent, got), told = moved(self.kernel(), kernel), moved(self.sums(self.cells()), guard)
            bare = (got[0], got[1] + 14 * got[0])  # a veth with XDP receives without link headers
            return min(sent[0], got[0]) >= 12 and told in ([sent, got], [sent, bare])
        pipeline.wait_for(same, "both count the same")

    def test_shown(self):
        """By command, and as metrics; an interface that is taken away is one of those that are gone."""
        self.p.up("collector", "enricher", "exporter")
        self.traffic()
        self.assertRegex(self.penstock("fw", "stats"), r"(?m)^pstn0 +in +udp +drop +6 +318$")
        told = {(r["interface"], r["direction"], r["protocol"], r["verdict"]): r["packets"]
                for r in json.loads(self.penstock("fw", "stats", "--json"))["interfaces"]}
        self.assertEqual(told["pstn0", "in", "icmp", "pass"], 5)
        name = 'penstock_guard_interface_%s_total{stage="policyd",direction="in",protocol="udp",verdict="drop",interface="%s"}'
        pipeline.wait_for(lambda: self.p.metrics().get(name % ("packets", "pstn0")) == "6", "the metric")
        self.assertEqual(self.p.metrics()[name % ("bytes", "pstn0")], "318")
        self.p.run("ip", "link", "del", "pstn0")
        pipeline.wait_for(lambda: self.cells("gone").get(("in", "udp", "drop")) == (6, 318), "it is gone")
        self.assertFalse(self.cells())


class Top(Command):
    """`penstock top` beside the events of the enricher."""
    loader = LOADER.replace("{process: no, ", "{")
    test_rules = test_lists = test_nobody_there = None

    def test_top(self):
        """What the guard did in an interval, by verdict and rule; without traffic there is no such table."""
        self.p.up("collector", "enricher")
        table = r"(?m)^ *bytes/s +packets/s +guard$"
        self.assertNotRegex(self.penstock("top", "--once", "--interval", "100ms"), table)
        lines = self.under_traffic("top", "--once", "--interval", "500ms")
        self.assertRegex(lines, table)
        self.assertRegex(lines, r"(?m)^ *in bytes/s +packets/s +dropped/s +out bytes/s +packets/s +guarded interface\n( +[1-9]\S*){3}.* pstn0$")
        told = self.under_traffic("top", "--once", "--interval", "2s", "--json")
        rows = {(r["what"], r["name"], r["action"]): r["packets_per_second"] for r in json.loads(told)["guard"]}
        self.assertAlmostEqual(rows["rule", "shut", "drop"], rows["verdict", "fw_drop", ""], delta=10)  # read one after the other
        self.assertGreater(rows["rule", "shut", "drop"], 1)
        self.assertNotIn(("rule", "counted", "continue"), rows)
        cells = {(r["interface"], r["direction"], r["protocol"], r["verdict"]): r["packets_per_second"]
                 for r in json.loads(told)["interfaces"]}
        self.assertAlmostEqual(cells["pstn0", "in", "udp", "drop"], rows["rule", "shut", "drop"], delta=10)

    def under_traffic(self, *args):
        far, near = self.socket("far"), self.socket("near", port=SHUT)
        told = []
        top = threading.Thread(target=lambda: told.append(self.penstock(*args)))
        top.start()
        while top.is_alive():
            far.sendto(b"?", near.getsockname())
            time.sleep(0.01)
        near.close()
        return told[0]


STATEFUL = """
firewall:
  policy: drop
  rules:
    - {name: answers, state: [established, related], action: accept}
    - {name: broken, state: invalid, action: drop}
    - {name: nd, family: 6, icmp: [neighbor-solicitation, neighbor-advertisement], action: accept}
    - {name: web, proto: tcp, dport: 4001, state: new, action: accept}
"""


class Connections(FirewallTest):
    """Drop all but what is asked for, and answers: with real connections."""
    rules = STATEFUL

    def outward(self, family, port):
        """A connection that the guarded side makes."""
        server = self.socket("far", family, socket.SOCK_STREAM, port)
        server.listen()
        client = self.socket("near", family, socket.SOCK_STREAM)
        client.settimeout(5)
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        self.addCleanup(accepted.close)
        return client, accepted

    def exchange(self, a, b):
        """Both ways, @a first."""
        for one, other in ((a, b), (b, a)):
            one.settimeout(20)
            other.settimeout(20)
            one.sendall(b"x" * 100_000)
            n = 0
            while n < 100_000:
                part = other.recv(65536)
                self.assertTrue(part)
                n += len(part)

    def test_tcp(self):
        for family in FAMILIES:
            self.assertTrue(self.connects(OPEN, family))
            self.assertFalse(self.connects(SHUT, family))
            client, server = self.outward(family, 5001)
            self.exchange(client, server)
            client.close()
            self.assertEqual(server.recv(10), b"")
        self.assertGreater(self.counted("answers")[0], 10)
        self.assertGreaterEqual(self.p.stats("policyd")["guard_events", "ct_confirmed"], 4)
        self.assertGreaterEqual(self.counted("web")[0], 2)

    def test_udp(self):
        """Only what answers comes in."""
        for family in FAMILIES:
            near, far = self.socket("near", family, port=6001), self.socket("far", family, port=6002)
            far.sendto(b"unasked", near.getsockname())
            self.assertFalse(self.there(near, 0.3))
            near.sendto(b"asked", far.getsockname())
            self.assertTrue(self.there(far, 5))
            far.sendto(b"answer", near.getsockname())
            self.assertTrue(self.there(near, 5))
            near.close()
            far.close()

    def test_related(self):
        """The error that says that nobody listens comes through; a ping is answered, and not let in."""
        for family in FAMILIES:
            near = self.socket("near", family)
            near.connect((FAMILIES[family][1][1], 9))
            near.send(b"anybody?")
            near.settimeout(5)
            self.assertRaises(ConnectionRefusedError, near.recv, 10)
            near.close()
            ping = ["ping", "-6" if family == "inet6" else "-4", "-c1", "-W2"]
            self.assertEqual(self.p.run(*ping, FAMILIES[family][1][1], check=False).returncode, 0)
            self.assertNotEqual(self.peer.run(*ping, FAMILIES[family][1][0], check=False).returncode, 0)

    def test_arp_is_not_ours(self):
        """A policy that drops does not cut the host off its neighbours."""
        for run, name, address in ((self.p.run, self.peer.near, net.V4[1]), (self.peer.run, self.peer.far, net.V4[0])):
            run("ip", "neigh", "del", address, "dev", name)
        self.assertTrue(self.connects(OPEN))
        self.assertGreaterEqual(self.reasons()["no_ip"], 1)

    def test_what_was_open_goes_on(self):
        """Connections outlive policyd, the loader, and rules that change; those from before tracking are picked up."""
        client, server = self.outward("inet", 5002)
        for stages in (("policyd",), ("loader",)):
            self.p.kill(*stages)
            self.exchange(client, server)
            self.p.begin(*stages)
            self.in_force()
            self.exchange(client, server)
        self.put(self.firewall, RULES)
        self.assertEqual(self.reload(), "")
        older, other = self.outward("inet", 5003)
        self.put(self.firewall, STATEFUL)
        self.assertEqual(self.reload(), "")
        self.exchange(older, other)
        self.exchange(client, server)


class Limits(FirewallTest):
    def limit(self, text):
        self.p.sections["policyd"] += f"\nlimits: {{{text}}}"
        self.p.write_config()
        self.p.stage["policyd"].stop(signal.SIGTERM, pipeline.PATIENCE)
        self.p.begin("policyd")
        self.in_force()

    def test_packets(self):
        """One source that sends too much; another one goes on."""
        self.limit("packets: 50, burst: 1s")
        self.peer.run("ip", "addr", "add", "10.99.7.9/24", "dev", self.peer.far)
        near, loud = self.socket("near", port=OPEN), self.socket("far")
        for _ in range(2000):
            loud.sendto(b"loud", near.getsockname())
        quiet = net.within(self.peer.holder.pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.addCleanup(quiet.close)
        quiet.bind(("10.99.7.9", 0))
        mac = net.Peer.mac(self.peer.run, self.peer.far)
        self.p.run("ip", "neigh", "replace", "10.99.7.9", "lladdr", mac, "dev", self.peer.near, "nud", "permanent")
        for _ in range(20):
            quiet.sendto(b"quiet", near.getsockname())
        got = {b"loud": 0, b"quiet": 0}
        while self.there(near, 0.5):
            got[near.recv(64)] += 1
        self.assertEqual(got[b"quiet"], 20)
        self.assertTrue(40 <= got[b"loud"] <= 400, got)  # the burst, and what the time of sending allows
        self.assertGreaterEqual(self.reasons()["rate"], 1500)

    def test_the_allow_list_has_none(self):
        self.put(self.allow, net.V4[1] + "\n")
        self.limit("packets: 10, burst: 100ms")
        near, loud = self.socket("near", port=OPEN), self.socket("far")
        for _ in range(300):
            loud.sendto(b"loud", near.getsockname())
        got = 0
        while self.there(near, 0.5):
            near.recv(64)
            got += 1
        self.assertEqual(got, 300)


class Floods(FirewallTest):
    """What is done about floods (docs/ddos.md), with real packets."""

    def configure(self, text):
        self.signatures = os.path.join(self.p.dir, "signatures.yaml")
        self.p.sections["policyd"] += f"\nddos: {{signatures: {self.signatures}, {text}}}"
        self.put(self.signatures, "signatures: []\n")
        self.p.write_config()
        self.p.stage["policyd"].stop(signal.SIGTERM, pipeline.PATIENCE)
        self.p.begin("policyd")
        self.in_force()
        pipeline.wait_for(lambda: self.ask("ddos")["state"] != "pending", "signatures")

    def steps(self):
        return {s[0]: s[1:] for s in self.ask_any("ddos")["steps"]}

    def matched(self, name):
        return {s[0]: s[2] for s in self.ask_any("ddos")["signatures"]}[name]

    def arrives(self, far, near, payload):
        """Behind what may be dropped goes what is not, so nothing is waited for that does not come."""
        far.sendto(payload, near.getsockname())
        other = self.socket("far", "inet6" if near.family == socket.AF_INET6 else "inet")
        other.sendto(b"end", near.getsockname())
        got = []
        while b"end" not in got:
            self.assertTrue(self.there(near, 10))
            got.append(near.recv(2000))
        return payload in got

    def test_what_the_host_asked_for(self):
        """A long answer from port 53: it arrives when the host asked, and not when nobody did."""
        self.configure("amplification: drop")
        answer = b"ab\x80" + bytes(700)
        for family in FAMILIES:
            with self.subTest(family):
                dns = self.socket("far", family, port=53)
                client = self.socket("near", family)
                self.assertFalse(self.arrives(dns, client, answer))
                self.assertTrue(self.arrives(dns, client, answer[:400]))
                client.sendto(b"question", dns.getsockname())
                self.assertTrue(self.there(dns, 10))
                self.assertTrue(self.arrives(dns, client, answer))
                self.assertFalse(self.arrives(dns, self.socket("near", family), answer))
        self.assertEqual(self.matched("amp-dns"), 4)
        self.assertEqual(self.steps()["signature"][:2], ["drop", 4])

    def test_a_restart_with_a_bad_file(self):
        """What is in force stays, and with it the connections that it asks for what the host wanted."""
        self.configure("amplification: drop")
        answer = b"ab\x80" + bytes(700)
        self.put(self.signatures, "signatures: 5\n")
        self.p.kill("policyd")
        self.p.begin("policyd")
        pipeline.wait_for(lambda: self.ask_any("ddos")["error"], "an error")
        self.assertEqual(self.ask_any("ddos")["state"], "in force")
        pipeline.wait_for(lambda: self.p.ctl("policyd", op="firewall")["state"] in ("in force", "off"), "the firewall")
        dns, client = self.socket("far", port=53), self.socket("near")
        for _ in range(2):
            client.sendto(b"question", dns.getsockname())
            self.assertTrue(self.there(dns, 10))
            dns.recv(100)
            self.assertTrue(self.arrives(dns, client, answer))
        self.assertFalse(self.arrives(dns, self.socket("near"), answer))

    def test_own_signatures(self):
        """From the file at once when it changes; one that is bad leaves what is in force."""
        self.configure("flags: count")
        line = "  - {name: magic, protocol: udp, port: 4001, payload: {text: MAGIC, offset: 3}, action: %s}\n"
        far, near = self.socket("far"), self.socket("near", port=OPEN)

        def put(text, state):
            self.put(self.signatures, text)
            pipeline.wait_for(lambda: (r := self.ask_any("ddos"))["state"] == "in force" and state(r), text)
        self.assertTrue(self.arrives(far, near, b"...MAGIC"))
        put("signatures:\n" + line % "count", lambda r: r["signatures"])
        self.assertTrue(self.arrives(far, near, b"...MAGIC"))
        self.assertEqual(self.steps()["signature"], ["count", 0, 0, 1, 50])
        put("signatures:\n" + line % "drop", lambda r: r["signatures"][0][1] == "drop")
        self.assertFalse(self.arrives(far, near, b"...MAGIC"))
        self.assertTrue(self.arrives(far, near, b"...MAGIK"))
        self.assertTrue(self.arrives(far, near, b"...MAGI"))
        put("signatures:\n  - {name: x, port: 1}\n", lambda r: r["error"])
        self.assertIn("signatures.yaml:2:5: expected name and protocol", self.ask_any("ddos")["error"])
        self.assertFalse(self.arrives(far, near, b"...MAGIC"))
        self.assertEqual(self.matched("magic"), 3)

    def ask_any(self, op):
        return self.p.ctl("policyd", op=op)

    def test_events(self):
        """A flood is one event when it begins and one when it has ended, as alerts."""
        self.configure("flags: count, detect: {packets: 20, quiet: 2s}")
        raw = self.raw_tcp()
        observer = pipeline.Observer(self.p, "policyd")
        self.addCleanup(observer.close)

        def flooded():
            for _ in range(300):
                raw.sendto(self.segment(0), (net.V4[0], 0))
            return observer.select("ddos_detected")
        began = observer.wait(flooded, "a flood's beginning")
        ended = observer.wait(lambda: observer.select("ddos_ended"), "its end")
        self.assertEqual((len(observer.select("ddos_detected")), len(ended)), (1, 1))
        for event in (*began, *ended):
            self.assertEqual((event.topic, event.get("vector"), event.get("dropped"), event.get("rule")), ("alert", b"bad_flags", 0, b"ddos"))
        self.assertGreaterEqual(began[0].get("rate_packets"), 20)
        self.assertGreaterEqual(ended[0].get("rate_packets"), began[0].get("rate_packets"))
        self.assertGreaterEqual(ended[0].get("packets"), began[0].get("packets"))
        self.assertEqual(ended[0].get("bytes"), ended[0].get("packets") * 54)
        self.assertEqual(ended[0].get("first_ns"), began[0].get("first_ns"))
        self.assertEqual(self.p.stats("policyd")["floods_detected", None], 1)

    def raw_tcp(self):
        raw = net.within(self.peer.holder.pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
        self.addCleanup(raw.close)
        return raw

    @staticmethod
    def segment(flags):
        return struct.pack(">HHIIBBHHH", 5000, OPEN, 1, 0, 0x50, flags, 1000, 0, 0)

    def test_flags(self):
        """Null, FIN and Xmas scans do not reach the stack; a connection does."""
        self.configure("flags: drop")
        self.assertTrue(self.connects(OPEN))
        raw = self.raw_tcp()
        for flags in (0, 1, 0x29, 3, 6):
            raw.sendto(self.segment(flags), (net.V4[0], 0))
        pipeline.wait_for(lambda: self.steps()["bad_flags"][1] == 5, "five packets with bad flags")


class Lists(FirewallTest):
    def test_files(self):
        """Addresses and prefixes of both families, with what is allowed first."""
        for family, (_, (_, far)) in FAMILIES.items():
            prefix = "10.99.7.0/24" if family == "inet" else "fd99:7::/64"
            for text in (far, prefix):
                self.assertTrue(self.passes(OPEN, family))
                self.put(self.block, text + " reason=test\n")
                self.assertEqual(self.reload(), "")
                self.assertFalse(self.passes(OPEN, family), text)
                reply = self.ask("firewall_test", packet={"src": far, "proto": "udp", "dport": OPEN})
                self.assertEqual((reply["verdict"], reply["by"], reply["reason"]), ("drop", "block_list", "test"))
                self.put(self.allow, far + "\n")
                self.assertEqual(self.reload(), "")
                self.assertTrue(self.passes(OPEN, family), text)
                self.put(self.allow, "")
                self.put(self.block, "")
                self.assertEqual(self.reload(), "")
        self.assertGreaterEqual(self.reasons()["blocked"], 4 * 3)

    def test_a_bad_line(self):
        """Told with its place; the list that was in force stays."""
        self.put(self.block, net.V4[1] + "\n")
        self.assertEqual(self.reload(), "")
        self.put(self.block, "192.0.2.1\n10.0.0.1/8\n")
        self.assertIn("block.list:2", self.reload())
        self.assertFalse(self.passes(OPEN))

    def test_by_command(self):
        """In place, with an end and without; kept when policyd is gone."""
        self.ask("block", address=net.V4[1], reason="too many")
        self.assertFalse(self.passes(OPEN))
        self.assertEqual(self.ask("lists")["block"]["runtime"], [[net.V4[1], 0, "too many"]])
        self.p.kill("policyd")
        self.assertFalse(self.passes(OPEN))
        self.p.begin("policyd")
        self.in_force()
        self.assertFalse(self.passes(OPEN))
        self.ask("unblock", address=net.V4[1])
        self.assertTrue(self.passes(OPEN))
        self.ask("block", address="10.99.7.0/24")
        self.in_force()
        self.assertFalse(self.passes(OPEN))
        self.ask("unblock", address="10.99.7.0/24")
        self.in_force()
        self.assertTrue(self.passes(OPEN))
        self.assertTrue(self.refused("unblock", address="10.99.7.0/24"))
        self.assertIn("expected", self.refused("block", address="10.99.7.1/24"))

    def test_expiry(self):
        self.ask("block", address=net.V6[1], expires_s=3)
        self.assertFalse(self.passes(OPEN, "inet6"))
        pipeline.wait_for(lambda: self.passes(OPEN, "inet6"), "the end of the entry")
        pipeline.wait_for(lambda: self.ask("lists")["block"]["runtime"] == [], "its end in the list")


class UnderTraffic(FirewallTest):
    """Datagrams to two ports, one shut: whatever happens, none comes in there, and all come in at the other."""

    def setUp(self):
        super().setUp()
        self.open, self.shut = (self.socket("near", port=p) for p in (OPEN, SHUT))
        self.flood = subprocess.Popen(self.peer.inside("/usr/bin/python3", "-c", FLOOD, net.V4[0], str(OPEN), str(SHUT)))
        self.addCleanup(self.flood.wait)
        self.addCleanup(self.flood.kill)
        self.next = 0
        self.advance()

    def take(self):
        """Each number, in order: none was lost on the way."""
        while self.there(self.open, 0):
            n = int.from_bytes(self.open.recv(64), "little")
            self.assertEqual(n, self.next)
            self.next += 1
        self.assertFalse(self.there(self.shut, 0), "a datagram came in where none may")

    def wait_taking(self, check, what):
        """What comes in meanwhile has to be taken, or there is no room for it."""
        pipeline.wait_for(lambda: self.take() or check(), what)

    def advance(self, n=100):
        until, end = self.next + n, time.monotonic() + pipeline.PATIENCE
        while self.next < until:
            self.take()
            self.assertLess(time.monotonic(), end, "the flood stands")
            time.sleep(0.01)

    def test_switches(self):
        """1,000 times another table, both of which say the same of this traffic, while loader and collector come and go."""
        times = 50 if VM else 1000
        self.p.up("collector")
        for i in range(times):
            if i % (times // 5) == times // 10:
                stage = ("loader", "collector")[i * 5 // times % 2]
                self.p.kill(stage)
                self.p.begin(stage)
            self.ask("firewall_add" if i % 2 == 0 else "firewall_delete",
                     **({"rule": "{name: more, proto: tcp, dport: 1, action: drop}"} if i % 2 == 0 else {"name": "more"}))
            while self.ask("firewall", limit=1)["state"] != "in force":
                self.take()
                time.sleep(0.005)
            self.take()
        self.advance()

    def test_other_sizes(self):
        """Tables that grow: what is in force goes over, and policyd finds the new ones by itself."""
        lines = {m["name"]: m["value_bytes"] for m in self.p.report()["maps"]}["fw_lines"]
        self.p.sections["loader"] = self.p.sections["loader"].replace("firewall_memory: 1MiB", "firewall_memory: 2MiB")
        self.p.write_config()
        self.p.stage["loader"].send(signal.SIGHUP)
        self.wait_taking(lambda: {m["name"]: m["value_bytes"] for m in self.p.report()["maps"]}["fw_lines"] == 2 * lines, "the load")
        self.advance()
        rule = "{name: both, proto: udp, dport: 4001, action: drop}"

        def reaches_programs():
            """What policyd writes now is what the programs read."""
            self.p.ctl("policyd", op="firewall_add", rule=rule)
            time.sleep(0.5)
            counted = self.counted("both")[0]
            self.p.ctl("policyd", op="firewall_delete", name="both")
            self.in_force()
            return counted
        pipeline.wait_for(reaches_programs, "policyd in the new tables")
        while self.there(self.open, 0):
            self.next = int.from_bytes(self.open.recv(64), "little") + 1  # what the rule dropped is not lost
        time.sleep(0.5)
        self.next = int.from_bytes(self.open.recv(64), "little") + 1
        self.advance()

    def test_killed(self):
        """policyd, loader and collector, killed and started again, in any order."""
        self.p.up("collector")
        for stages in (("policyd",), ("loader",), ("collector",), ("policyd", "loader"), ("policyd", "collector", "loader")):
            self.p.kill(*stages)
            self.advance()
            for s in reversed(stages):
                self.p.begin(s)
            self.in_force()
            self.advance()

    def test_killed_while_it_writes(self):
        """The table in force is not the one that is written."""
        big = RULES.replace("  rules:\n", "  rules:\n" + "".join(
            f"    - {{name: r{i}, src: 172.16.{i % 250}.0/24, dport: {i + 5000}, action: drop}}\n" for i in range(1000)))
        for i, delay in enumerate((0.0, 0.01, 0.03, 0.06, 0.1)):
            self.put(self.firewall, big if i % 2 == 0 else RULES)
            self.p.stage["policyd"].send(signal.SIGHUP)
            time.sleep(delay)
            self.p.kill("policyd")
            self.advance()
            self.p.begin("policyd")
            self.in_force()
            self.advance()


if __name__ == "__main__":
    unittest.main()
