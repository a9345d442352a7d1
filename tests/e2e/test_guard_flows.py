#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Flows and what the guard made of them: verdict, reason and rule, from the packet programs to people."""
import json
import os
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
import test_firewall  # noqa: E402

ANSWERED, REFUSED, COUNTED, ELSE = 4001, 4002, 4003, 4004
RULES = """
firewall:
  policy: accept
  rules:
    - {name: on the way, dport: 4003, action: continue}
    - {name: web, dport: [4001, 4003], action: accept}
    - {name: not here, dport: 4002, action: drop}
"""
FAMILIES = test_firewall.FAMILIES
JUDGED = ("verdict", "reason", "fw_rule", "last_reason", "last_fw_rule")


class FlowsTest(test_firewall.FirewallTest):
    rules = RULES
    at = "xdp"
    sensor = ""
    policyd = "flows: yes"

    def setUp(self):
        self.loader = test_firewall.LOADER.replace("flows: no, ", self.sensor) + f"\ninterfaces: [pstn0]\nrungs: {{guard: {self.at}}}"
        super().setUp()
        self.p.sections["collector"] = "flow_interval: 100ms"
        self.p.write_config()
        self.p.up("collector")
        self.seen = pipeline.Observer(self.p, "collector")
        self.addCleanup(self.seen.close)

    def send(self, port, family="inet", packets=3, source=0):
        """Datagrams of one flow; its source port."""
        far = self.socket("far", family, port=source)
        for _ in range(packets):
            far.sendto(b"?" * 20, (FAMILIES[family][1][0], port))
        sport = far.getsockname()[1]
        far.close()
        return sport

    def flows(self, sport, dport):
        return self.seen.select("flow", lambda e: (e.get("sport"), e.get("dport"), e.get("dir")) == (sport, dport, 1))

    @staticmethod
    def told(event):
        return tuple(event.get(f, b"").decode() for f in JUDGED)

    def expect(self, sport, dport, packets, told):
        """The flow's packets are told, and so is this of them."""
        found = pipeline.wait_for(lambda: [e for e in self.flows(sport, dport) if e.get("packets") == packets], f"a flow to {dport}")
        self.assertEqual(self.told(found[0]), told)
        return found[0]


class AtXdp(FlowsTest):
    def test_by_rule(self):
        """One is accepted by a rule, one dropped by another, one no rule takes, over both families; who is blocked is told with all its ports."""
        for family in FAMILIES:
            with self.subTest(family=family):
                generation = self.ask("firewall")["generation"]
                e = self.expect(self.send(ANSWERED, family), ANSWERED, 3, ("pass", "fw_accept", "web", "fw_accept", "web"))
                self.assertEqual(e.get("fw_generation"), generation)
                self.expect(self.send(COUNTED, family), COUNTED, 3, ("pass", "fw_accept", "web", "fw_accept", "web"))
                sport = self.send(REFUSED, family, 5)
                e = self.expect(sport, REFUSED, 5, ("drop", "fw_drop", "not here", "fw_drop", "not here"))
                self.assertEqual((e.get("fw_generation"), e.get("interface")), (generation, b"pstn0"))
                self.assertEqual(e.get("bytes"), 5 * (28 + 20 if family == "inet" else 48 + 20))
                self.assertEqual(e.get("net_ns"), os.stat(f"/proc/{self.p.holder.pid}/ns/net").st_ino)
                self.expect(self.send(ELSE, family), ELSE, 3, ("pass", "fw_policy", "", "fw_policy", ""))
                pipeline.wait_for(lambda sport=sport: any(e.get("end") == b"idle" for e in self.flows(sport, REFUSED)), "its end")
                self.assertEqual(sum(e.get("delta_packets") for e in self.flows(sport, REFUSED)), 5)
        self.put(self.block, f"{net.V4[1]}\n{net.V6[1]}\n")
        self.reload()
        for family in FAMILIES:
            self.expect(self.send(ANSWERED, family), ANSWERED, 3, ("drop", "blocked", "", "blocked", ""))
        self.assertEqual(self.seen.faults, [])

    def test_a_connection(self):
        """Its first packet is one rule's, those behind it another's: both are told. What the host sends, no guard judges."""
        self.put(self.firewall, RULES.replace("rules:", "rules:\n    - {name: known, state: established, action: accept}"))
        self.reload()
        server = self.socket("near", "inet", socket.SOCK_STREAM, ANSWERED)
        server.listen()

        def connect():
            """Its source port once it is judged by both: connections are tracked a moment after the rules are in force."""
            client = self.socket("far", "inet", socket.SOCK_STREAM)
            client.connect(server.getsockname())
            for _ in range(20):
                client.sendall(b"?" * 100)
            sport = client.getsockname()[1]
            client.close()
            pipeline.wait_for(lambda: any(e.get("end") == b"fin" for e in self.flows(sport, ANSWERED)), "its end")
            return [e for e in self.flows(sport, ANSWERED) if e.get("last_fw_rule") == b"known"] and sport
        sport = pipeline.wait_for(connect, "a connection that is judged by both rules")
        self.assertEqual({e.get("fw_rule") for e in self.flows(sport, ANSWERED)}, {b"web"})
        out = self.seen.select("flow", lambda e: (e.get("sport"), e.get("dport"), e.get("dir")) == (ANSWERED, sport, 2))
        self.assertEqual({self.told(e) for e in out}, {("", "", "", "", "")})

    def test_names_are_never_others(self):
        """The rule's name changes while its packets come: each flow has the name of the generation that judged it, or none."""
        names = {}
        for n in range(12):
            self.put(self.firewall, RULES.replace("web", f"web {n}").replace("not here", f"no {n}"))
            self.assertEqual(self.reload(), "")
            names[self.ask("firewall")["generation"]] = (f"web {n}".encode(), f"no {n}".encode())
            sports = [(self.send(port, source=0), port) for port in (ANSWERED, REFUSED) for _ in range(5)]
        for sport, port in sports:
            pipeline.wait_for(lambda at=(sport, port): self.flows(*at), "a flow")
        events = self.seen.select("flow", lambda e: e.get("dport") in (ANSWERED, REFUSED) and e.get("fw_generation"))
        for e in events:
            self.assertIn(e.get("fw_rule", b""), (b"", names[e.get("fw_generation")][e.get("dport") == REFUSED]))
        for sport, port in sports:
            told = {ANSWERED: ("pass", "fw_accept", "web 11", "fw_accept", "web 11"), REFUSED: ("drop", "fw_drop", "no 11", "fw_drop", "no 11")}[port]
            pipeline.wait_for(lambda at=(sport, port), told=told: told in map(self.told, self.flows(*at)), "the names of the last generation")

    def test_after_the_collector(self):
        """What is told goes on where a collector that was killed ended; one that is new knows the names."""
        sport = self.send(REFUSED, source=5001)
        self.expect(sport, REFUSED, 3, ("drop", "fw_drop", "not here", "fw_drop", "not here"))
        self.p.kill("collector")
        self.p.up("collector")
        self.assertEqual(self.send(REFUSED, source=5001), 5001)
        self.expect(sport, REFUSED, 3 if self.flows(sport, REFUSED)[-1].get("end") else 6,
                    ("drop", "fw_drop", "not here", "fw_drop", "not here"))
        pipeline.wait_for(lambda: sum(e.get("delta_packets") for e in self.flows(sport, REFUSED)) == 6, "all packets, each once")

    def test_people(self):
        """`penstock observe`, `penstock top` and the API say it; counters of flows are of what came through."""
        self.p.up("enricher", "exporter")
        seen, refused = self.send(ANSWERED), self.send(REFUSED)
        of = lambda sport: [f for f in json.loads(self.p.get(f"/api/v1/flows?port={sport}")[1])["flows"] if f["dir"] == "in"]  # noqa: E731
        for sport, told in ((seen, ("pass", "fw_accept", "web")), (refused, ("drop", "fw_drop", "not here"))):
            pipeline.wait_for(lambda sport=sport: of(sport), "the API")
            self.assertEqual([(f.get("verdict"), f.get("reason"), f.get("fw_rule")) for f in of(sport)], [told])
        self.assertEqual(self.p.metrics()['penstock_flow_packets_total{protocol="udp",direction="in"}'], "3")
        p = subprocess.run([os.path.join(lib.BINDIR, "penstock"), "observe", "--run-dir", self.p.run_dir, "--kind", "flow", "--last", "1000"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=pipeline.PATIENCE)
        self.assertRegex(p.stdout, rf"(?m):{seen} → .*:{ANSWERED} .* pass \(fw_accept\) by web$")
        self.assertRegex(p.stdout, rf"(?m):{refused} → .*:{REFUSED} .* drop \(fw_drop\) by not here$")


    def test_recorded(self):
        """A recording says all of it but the names, which were policyd's on that host."""
        path = os.path.join(self.p.dir, "flows.rec")
        self.p.kill("collector")
        self.p.begin("collector", "--record", path)
        passed, dropped = self.send(ANSWERED), self.send(REFUSED)
        for sport, port in ((passed, ANSWERED), (dropped, REFUSED)):
            pipeline.wait_for(lambda at=(sport, port): self.flows(*at), "a flow")
        self.assertEqual(self.p.stage["collector"].stop(signal.SIGTERM, pipeline.PATIENCE), 0)
        p = subprocess.run([os.path.join(lib.BINDIR, "penstock"), "replay", "--bindir", lib.BINDIR, "--output", "jsonl", path],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=pipeline.PATIENCE, check=True)
        flows = {e["sport"]: e for e in map(json.loads, p.stdout.splitlines()) if e["kind"] == "flow" and e["dir"] == "in"}
        for sport, told in ((passed, ("pass", "fw_accept", None)), (dropped, ("drop", "fw_drop", None))):
            self.assertEqual(tuple(flows[sport].get(f) for f in ("verdict", "reason", "fw_rule")), told)


class AtTc(AtXdp):
    at = "tc"


class WithoutTheSensor(FlowsTest):
    sensor = "flows: no, "

    def test_what_is_dropped(self):
        """The guard's own table needs no sensor; of what passes there are no flows."""
        sport = self.send(ANSWERED)
        self.expect(self.send(REFUSED), REFUSED, 3, ("drop", "fw_drop", "not here", "fw_drop", "not here"))
        self.assertEqual(self.flows(sport, ANSWERED), [])


class ALaterGuard(pipeline.PipelineTest):
    def test_it_is_said(self):
        """Flows that a guard drops which came after the collector are not told; the collector says so."""
        loader = test_firewall.LOADER.replace("flows: no, ", "")
        p = self.pipeline(loader=loader.replace("guard: {", "guard: {interfaces: [], ").replace("interfaces: [pstn0], ", ""))
        peer = net.Peer(p)
        self.addCleanup(peer.close)
        p.up("loader", "collector")
        p.sections["loader"] = loader
        p.write_config()
        p.stage["loader"].send(signal.SIGHUP)
        pipeline.wait_for(lambda: "the guard is newer" in p.stage["collector"].text(), "a warning")
        p.kill("collector")
        p.up("collector")
        pipeline.wait_for(lambda: p.status("collector")["uptime_ns"] > 2 * 10**9, "two looks at the report")
        self.assertNotIn("the guard is newer", p.stage["collector"].text())


class Off(FlowsTest):
    policyd = ""

    def test_nothing_is_told(self):
        """Without `policyd.flows` what is dropped is no flow, and what passes has no verdict."""
        sport, refused = self.send(ANSWERED), self.send(REFUSED)
        self.expect(sport, ANSWERED, 3, ("", "", "", "", ""))
        self.assertEqual(self.counted("not here")[0], 3)
        self.expect(self.send(ELSE), ELSE, 3, ("", "", "", "", ""))
        self.assertEqual(self.flows(refused, REFUSED), [])


if __name__ == "__main__":
    unittest.main()
