#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The exporter's metrics and health from outside: fake stages feed it, promtool and a real Prometheus read it."""
import http.client
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_stage import ROOT, FakeStage  # noqa: E402
from exporter import EXPORTER, NOBODY, SLOW, schema, tool, until, Exporter, Case, free_port, make_cert  # noqa: E402


class Metrics(Case):
    def feed(self):
        net, proc, meta = [], [], []
        proc.append(schema.event("process_exec", pid=7, comm="sh", exe="/bin/sh", cgroup_id=4711,
                                 enricher={"cgroup": "/docker/ab\"c\n\xff", "container_id": "abc"}))
        proc.append(schema.event("process_exit", pid=7, signal=9))
        proc.append(schema.event("process_exec_failed", error=2))
        net.append(schema.event("tcp_connect", error=0, duration_ns=1_200_000))
        net.append(schema.event("tcp_connect", error=111, duration_ns=50_000))
        net.append(schema.event("tcp_close", bytes_sent=10, bytes_received=2000))
        net.append(schema.event("packet_drop", reason=b"NO_SOCKET"))
        net.append(schema.event("packet_drop", reason=b"bad\"\\\n\xff\xfe\x00reason"))
        net += [schema.event("packet_drop", reason=b"r%d" % i) for i in range(50)]
        meta.append(schema.event("node_info", hostname="test\"host", kernel="6.1", boot_id="b", wall_offset_ns=1))
        meta.append(schema.event("events_lost", stage="collector", where="process", cause="ring_full", count=5))
        self.enricher.publish("proc", *proc)
        self.enricher.publish("net", *net)
        self.enricher.publish("meta", *meta)
        self.policyd.publish("alert", schema.event("process_exec", policyd={"rule": b"shell \xff", "severity": 4}))
        until(lambda: self.x.value('penstock_events_lost_total{stage="collector",where="process",cause="ring_full"}') == 5,
              what="all events counted")
        until(lambda: "penstock_alerts_total" in self.x.metrics(), what="alert counted")

    config = "  bounds: {max_series: 10}\n"

    def iterators(self):
        syscalls = [(4711, 0, 100), (4711, 1, 7), (4712, 0, 5), (4712, 0x10000 | 11, 3), (0, 0xffffffff, 66)]
        self.write("bpffs/iters/syscalls", b"".join(struct.pack("=QIIQ", c, nr, 0, n) for c, nr, n in syscalls))
        self.write("bpffs/iters/interfaces", struct.pack("=IIHBBIQQ", 2, 1, 0x0800, 6, 1, 0, 10, 1500) +
                   struct.pack("=IIHBBIQQ", 77, 1, 0x0806, 0, 2, 0, 1, 42))
        self.write("bpffs/iters/programs", struct.pack("=II16sQQQII", 1, 17, b"exec_tp", 50, 2_500_000_000, 1, 1, 300) +
                   struct.pack("=II16sQQQII", 2, 17, b"exec_tp", 50, 500_000_000, 0, 1, 300))
        self.write("bpffs/iters/maps", struct.pack("=II16sIIQQ", 1, 27, b"ring_process", 65536, 0, 4096, 65536) +
                   struct.pack("=II16sIIQQ", 2, 1, b"syscalls", 1000, 8, 17, 1000) +
                   struct.pack("=II16sIIQQ", 3, 1, b"tcp_sockets", 2000, 8, 2 ** 64 - 1, 2000))
        self.write("run/loader.json", json.dumps({
            "report": 1, "serving": True, "written_boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            "interfaces": [{"name": "eth0", "ifindex": 2, "dir": "in"}, {"name": "eth0", "ifindex": 2, "dir": "out"}],
            "waiting": [{"list": "guard.interfaces", "entry": "eth7"}, {"list": "xdp", "entry": "eth7"}, {"list": "xdp", "entry": "eth7"}, {}, 7],
            "policies": {"operations": [{"name": "file.open", "level": "kill", "sensor": "policy_open", "why_not": "lsm: no"}, 7, {},
                                        {"name": "file.open", "level": "deny"}, {"name": "cap.use", "level": "none", "sensor": None}],
                         "acts": {"all": 7, "lost": -1}, "ancestors": {"full": 2, "climbed": 3}},
            "reattached": 3, "guard": [{"name": "eth0", "ifindex": 2, "mode": "xdp", "why": "", "out": "none", "out_why": "busy"}, {"name": "eth0", "mode": "tcx"}, 7, {},
                      {"name": "eth1", "ifindex": 3, "mode": "none", "why": "tcx: \"no\""}],
            "sensors": [{"name": "exec", "state": "active", "rung": "tp_btf", "can": ["observe"], "why_not": []},
                        {"name": "connect", "state": "weaker", "rung": "tp_btf", "can": ["observe"],
                         "why_not": [{"rung": "lsm", "reason": "\"bpf\" is not in the list of LSMs"}]},
                        {"name": "exec", "state": "off"}, {"name": "xdp", "state": "unavailable"}]}))

    def test_values(self):
        self.feed()
        value = self.x.value
        self.assertEqual(value('penstock_events_total{kind="process_exec"}'), 1)
        self.assertEqual(value('penstock_alerts_total{rule="shell \ufffd",severity="error"}'), 1)
        self.assertEqual(value('penstock_process_exits_total{result="signal",signal="SIGKILL"}'), 1)
        self.assertEqual(value('penstock_process_exec_failures_total{error="ENOENT"}'), 1)
        self.assertEqual(value('penstock_tcp_connects_total{result="ok"}'), 1)
        self.assertEqual(value('penstock_tcp_connects_total{result="ECONNREFUSED"}'), 1)
        self.assertEqual(value('penstock_tcp_bytes_total{direction="in"}'), 2000)
        self.assertEqual(value('penstock_packet_drops_total{reason="NO_SOCKET"}'), 1)
        self.assertEqual(value('penstock_packet_drops_total{reason="bad\\"\\\\\\n\ufffd\ufffd\ufffdreason"}'), 1)
        self.assertEqual(value('penstock_packet_drops_total{reason="other"}'), 42)  # ten series, the rest together
        self.assertEqual(value('penstock_node_info{node="test\\"host",kernel="6.1",boot_id="b"}'), 1)

    def test_iterators(self):
        self.assertEqual(until(lambda: self.x.value('penstock_iterator_up{iterator="syscalls"}') == 0), True)
        self.iterators()
        self.enricher.publish("proc", schema.event("process_exec", cgroup_id=4711,
                                                   enricher={"cgroup": "/docker/abc", "container_id": "abc"}))
        self.enricher.handlers["processes"] = lambda _r: {
            "processes": [[9, 1, 1, 0, b"c", b"/c", b"", 4712, b"/system.slice/x.service", b"", b"", b"root"]], "next": 0}
        read = 'penstock_syscalls_total{syscall="read",abi="native",cgroup="%s",container_id="%s"}'
        machine = os.uname().machine
        if machine == "x86_64":
            until(lambda: self.x.value(read % ("/docker/abc", "abc")) == 100, what="system calls by cgroup")
            # a name that no event told: the enricher was asked
            until(lambda: self.x.value(read % ("/system.slice/x.service", "")) == 5, what="cgroup's name was asked for")
            self.assertEqual(self.x.value('penstock_syscalls_total{syscall="execve",abi="compat",'
                                          'cgroup="/system.slice/x.service",container_id=""}'), 3)
        iface = 'penstock_interface_bytes_total{interface="%s",direction="%s",family="%s",protocol="%s"}'
        until(lambda: self.x.value(iface % ("eth0", "in", "ipv4", "tcp")) == 1500, what="interface with its name")
        self.assertEqual(self.x.value(iface % ("if77", "out", "arp", "none")), 42)
        self.assertEqual(self.x.value('penstock_bpf_program_runs_total{program="exec_tp"}'), 100)
        self.assertEqual(self.x.value('penstock_bpf_program_run_seconds_total{program="exec_tp"}'), 3)
        self.assertEqual(self.x.value('penstock_bpf_statistics_enabled'), 1)
        self.assertEqual(self.x.value('penstock_bpf_ring_used_bytes{ring="ring_process"}'), 4096)
        self.assertEqual(self.x.value('penstock_bpf_map_entries{map="syscalls"}'), 17)
        # a kernel that does not count them: no number rather than a wrong one
        self.assertIsNone(self.x.value('penstock_bpf_map_entries{map="tcp_sockets"}'))
        self.assertEqual(self.x.value('penstock_bpf_map_capacity_entries{map="tcp_sockets"}'), 2000)
        # what found no room in the kernel's table is in no cgroup
        self.assertEqual(self.x.value('penstock_syscalls_lost_total'), 66)
        self.assertFalse([m for m in self.x.metrics().splitlines() if m.startswith("penstock_syscalls_total{syscall=\"unknown")])
        self.assertEqual(self.x.value('penstock_iterator_up{iterator="syscalls"}'), 1)
        # a broken one: its metrics go, the rest stays, and it is said once
        self.write("bpffs/iters/maps", b"x" * 17)
        until(lambda: self.x.value('penstock_iterator_up{iterator="maps"}') == 0, what="broken iterator noticed")
        self.assertIsNone(self.x.value('penstock_bpf_map_entries{map="syscalls"}'))
        self.assertEqual(self.x.value('penstock_bpf_program_runs_total{program="exec_tp"}'), 100)
        time.sleep(0.5)
        self.assertEqual(len(re.findall("iterator cannot be read path=.*maps error=Bad message", self.x.log())), 1)

    def test_loader_report(self):
        self.iterators()
        until(lambda: self.x.value("penstock_loader_report_up") == 1, what="report read")
        self.assertEqual(self.x.value('penstock_sensor_active{sensor="exec"}'), 1)
        self.assertEqual(self.x.value('penstock_sensor_active{sensor="xdp"}'), 0)
        self.assertEqual(self.x.value('penstock_sensor_info{sensor="connect",state="weaker",rung="tp_btf",can="observe",'
                                      'reason="lsm: \\"bpf\\" is not in the list of LSMs"}'), 1)
        self.assertEqual(self.x.value('penstock_interface_guarded{interface="eth0",mode="xdp",reason=""}'), 1)
        self.assertEqual(self.x.value('penstock_interface_guarded_out{interface="eth0",mode="none",reason="busy"}'), 0)
        self.assertEqual(self.x.value('penstock_interface_waiting{list="guard.interfaces",entry="eth7"}'), 1)
        self.assertEqual(sum(k.startswith("penstock_interface_waiting{") for k in self.x.metrics().splitlines()), 2)
        self.assertEqual(self.x.value('penstock_interface_reattached_total'), 3)
        self.assertEqual(self.x.value('penstock_policy_operation_info{operation="file.open",level="kill",sensor="policy_open",reason="lsm: no"}'), 1)
        self.assertEqual(sum(k.startswith("penstock_policy_operation_info{") for k in self.x.metrics().splitlines()), 2)
        self.assertEqual([self.x.value(f'penstock_policy_judged_total{{judged="{j}"}}') for j in ("all", "some", "lost")], [7, 0, 0])
        self.assertEqual([self.x.value(f'penstock_policy_ancestors_total{{event="{e}"}}') for e in ("full", "climbed")], [2, 3])
        self.assertEqual(self.x.value('penstock_interface_guarded{interface="eth1",mode="none",reason="tcx: \\"no\\""}'), 0)
        self.assertEqual(sum(k.startswith("penstock_interface_guarded{") for k in self.x.metrics().splitlines()), 2)
        self.assertLess(self.x.value("penstock_loader_report_age_seconds"), 60 * SLOW)
        for bad in ("{", "[]", "{\"sensors\": 7, \"interfaces\": {\"a\": 1}}", "\xff" * 100, "[" * 100000):
            self.write("run/next", bad)
            os.rename(self.path("run/next"), self.path("run/loader.json"))
            until(lambda: self.x.value('penstock_sensor_active{sensor="exec"}') is None, what=f"report gone: {bad[:20]!r}")
        os.unlink(self.path("run/loader.json"))
        until(lambda: "No such file" in json.dumps(self.x.json("/readyz", 503)), what="report is missing")
        self.assertEqual(self.x.value("penstock_loader_report_up"), 0)

    def test_stages(self):
        self.enricher.stats = [["received_events", "topic", "proc", "counter", 42, "Events received."],
                               ["busy_ns", None, None, "counter", 1_500_000_000, "Time."],
                               ["na me\xff", "la bel", "v\"\n", "gauge", 1, "h\nx"], [1, 2], "junk",
                               ["events", None, None, "counter", 1, "Collides."]]
        self.enricher.inputs = {"collector": {"connected": True, "lag_ns": 2_000_000, "proc": 7}}
        until(lambda: self.x.value('penstock_received_events_total{stage="enricher",topic="proc"}') == 42, what="stats")
        self.assertEqual(self.x.value('penstock_busy_seconds_total{stage="enricher"}'), 1.5)
        self.assertEqual(self.x.value('penstock_stage_up{stage="enricher"}'), 1)
        self.assertEqual(self.x.value('penstock_stage_up{stage="exporter"}'), 1)
        self.assertEqual(self.x.value('penstock_stage_up{stage="collector"}'), 0)
        self.assertEqual(self.x.value('penstock_stage_input_lag_seconds{stage="enricher",publisher="collector"}'), 0.002)
        self.assertEqual(self.x.value('penstock_stage_resident_memory_bytes{stage="enricher"}'), 4096000)
        self.assertEqual(self.x.value('penstock_stage_info{stage="enricher",version="0.0.1-test",'
                                      'user="penstock-enricher",sandbox="uid=1 caps=none nnp seccomp landlock=3"}'), 1)
        status = self.x.json("/api/v1/status")
        self.assertTrue(status["stages"]["enricher"]["up"])
        self.assertEqual(status["stages"]["enricher"]["status"]["rss_bytes"], 4096000)
        self.assertFalse(status["stages"]["collector"]["up"])
        for reply in (b"\xc1", b"\x93", {"error": "no"}, [], {"stats": {"a": 1}, "inputs": [1], "version": 7}):
            self.enricher.handlers["status"] = lambda _r, reply=reply: reply
            time.sleep(0.3 * SLOW)
            self.assertIsNotNone(self.x.value('penstock_stage_up{stage="enricher"}'))
        self.enricher.hang = True
        until(lambda: self.x.value('penstock_stage_up{stage="enricher"}') == 0, what="a hanging stage is down")
        self.enricher.hang = False

    def test_promtool(self):
        promtool = tool("promtool")
        self.enricher.stats = [["a_packets", "direction,protocol,interface", f"in,{p},e,t'h", "counter", 1, "Packets."] for p in ("tcp", "udp")]
        self.feed()
        self.iterators()
        until(lambda: "penstock_syscalls_total" in self.x.metrics(), what="iterators read")
        until(lambda: 'penstock_stage_info{stage="exporter"' in self.x.metrics(), what="own status")
        shown = 'penstock_a_packets_total{stage="enricher",direction="in",protocol="%s",interface="e,t\'h"}'
        until(lambda: self.x.value(shown % "tcp") == self.x.value(shown % "udp") == 1, what="stats")
        result = subprocess.run([promtool, "check", "metrics"], input=self.x.metrics().encode(), capture_output=True,
                                check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))

    def test_openmetrics(self):
        try:
            from prometheus_client.openmetrics.parser import text_string_to_metric_families
            from prometheus_client.parser import text_string_to_metric_families as text_families
        except ImportError:
            self.skipTest("python3-prometheus-client is not installed here")
        self.feed()
        self.iterators()
        until(lambda: "penstock_syscalls_total" in self.x.metrics(), what="iterators read")
        until(lambda: 'penstock_stage_info{stage="exporter"' in self.x.metrics(), what="own status")
        until(lambda: "penstock_sensor_info" in self.x.metrics(), what="the loader's report read")
        text = self.x.metrics({"Accept": "application/openmetrics-text; version=1.0.0"})
        self.assertTrue(text.endswith("# EOF\n"))
        # the parser refuses duplicate series, wrong suffixes, units that are not the name's end, bad escapes
        families = {f.name: f for f in text_string_to_metric_families(text)}
        self.assertEqual(families["penstock_tcp_bytes"].unit, "bytes")
        self.assertEqual(families["penstock_stage"].type, "info")
        self.assertEqual(families["penstock_tcp_connect_duration_seconds"].type, "histogram")
        plain = {f.name for f in text_families(self.x.metrics())}
        self.assertIn("penstock_tcp_connects", plain)
        both = {s.name for f in families.values() for s in f.samples}
        self.assertEqual(both, {s.name for f in text_families(self.x.metrics()) for s in f.samples})

    def test_negotiation(self):
        for accept, expected in ((None, "text/plain; version=0.0.4; charset=utf-8"),
                                 ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
                                 ("application/json", "text/plain; version=0.0.4; charset=utf-8"),
                                 ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
                                  "application/openmetrics-text; version=1.0.0; charset=utf-8")):
            _, headers, _ = self.x.get("/metrics", {"Accept": accept} if accept else {})
            self.assertEqual(headers["Content-Type"], expected)

    def test_documented(self):
        """docs/metrics.md has the table as the binary prints it."""
        path = os.path.join(ROOT, "docs", "metrics.md")
        if not os.path.exists(path):
            self.skipTest("no docs here")
        table = subprocess.run([EXPORTER, "--list-metrics"], capture_output=True, check=True, text=True).stdout
        with open(path, encoding="utf-8") as f:
            self.assertIn(table, f.read())


class Prometheus(Case):
    autostart = False

    def test_scrape(self):
        """A real Prometheus scrapes two exporters' worth of security: plain, and TLS with a token."""
        prometheus, openssl = tool("prometheus"), tool("openssl")
        cert, key = make_cert(self, openssl)
        token = self.write("token", "s3cret\n")
        self.start(f"  tls: {{cert: {cert}, key: {key}}}\n  auth: {{bearer_token_file: {token}}}\n", wait_inputs=False)
        self.feed_exits(1, 10)
        secure = self.x.port
        second = self.path("second")
        os.makedirs(os.path.join(second, "run"))
        os.makedirs(os.path.join(second, "bpffs"))
        if os.geteuid() == 0:
            os.chown(os.path.join(second, "run"), NOBODY, NOBODY)
        plain = Exporter(second, "exporter:\n  listen: [\"127.0.0.1:0\"]\n").start()
        self.addCleanup(plain.stop)
        port = free_port()
        config = self.write("prometheus.yml", f"""
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: secure
  scheme: https
  tls_config: {{ca_file: {cert}}}
  authorization: {{credentials_file: {token}}}
  static_configs: [{{targets: ["127.0.0.1:{secure}"]}}]
- job_name: stranger
  scheme: https
  tls_config: {{ca_file: {cert}}}
  static_configs: [{{targets: ["127.0.0.1:{secure}"]}}]
- job_name: plain
  static_configs: [{{targets: ["127.0.0.1:{plain.port}"]}}]
""")
        with open(self.path("prometheus.log"), "wb") as log:
            server = subprocess.Popen([prometheus, f"--config.file={config}", f"--storage.tsdb.path={self.path('tsdb')}",
                                       f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        self.addCleanup(lambda: (server.terminate(), server.wait(20)))

        def query(text):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("GET", "/api/v1/query?query=" + text)
                result = json.loads(connection.getresponse().read())["data"]["result"]
                return {r["metric"].get("job"): float(r["value"][1]) for r in result}
            except (OSError, ValueError, http.client.HTTPException):
                return {}
            finally:
                connection.close()

        until(lambda: query("up").get("secure") == 1 and query("up").get("plain") == 1, 60, "targets are up")
        until(lambda: query("up").get("stranger") == 0, 30, "a client without the token is refused")
        until(lambda: query('penstock_events_total{kind="process_exit"}').get("secure") == 10, 30, "the value is there")
        self.assertEqual(query('penstock_events_total{kind="process_exit"}').get("plain"), 0)
        self.assertGreater(query("scrape_samples_scraped").get("secure"), 50)

    def start(self, config=None, args=(), env=None, wait_inputs=True):
        text = "exporter:\n  listen: [\"127.0.0.1:0\"]\n"
        self.x = Exporter(self.folder, text + (config or ""), args, env)
        self.addCleanup(self.stop_clean)
        self.x.start()
        self.enricher.wait_subscriber()


class Health(Case):
    def test_readiness(self):
        collector = FakeStage(self.path("run"), "collector")
        self.addCleanup(collector.close)
        self.assertEqual(self.x.get("/healthz")[2], b"ok\n")
        self.assertEqual(self.x.get("/readyz")[0], 503)
        self.write("run/loader.json", json.dumps({"serving": True, "sensors": [],
                                                  "written_boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}))
        until(lambda: self.x.get("/readyz")[0] == 200, what="ready: " + str(self.x.get("/readyz")[2]))
        self.enricher.close()
        until(lambda: self.x.get("/readyz")[0] == 503, what="not ready without the enricher")
        answer = self.x.json("/readyz", 503)
        self.assertIn({"name": "input:enricher", "ok": False, "reason": "not connected"}, answer["checks"])
        # a report that the loader does not renew
        self.write("run/next", json.dumps({"serving": True, "written_boot_ns": 1, "sensors": []}))
        os.rename(self.path("run/next"), self.path("run/loader.json"))
        until(lambda: not self.checks()["loader_report"], what="stale report")

    def test_sandbox(self):
        """Seen from outside: no capability, no new privileges, filters on."""
        with open(f"/proc/{self.x.process.pid}/status", encoding="utf-8") as f:
            status = dict(line.split(":\t", 1) for line in f.read().splitlines())
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Seccomp"], "2")

    def test_restart_loses_nothing(self):
        self.feed_exits(1, 1000)
        until(lambda: self.x.value('penstock_events_total{kind="process_exit"}') == 1000, what="first thousand")
        self.x.stop(signal.SIGKILL)
        self.feed_exits(1001, 500)
        self.x.start()
        until(lambda: self.x.value('penstock_events_total{kind="process_exit"}') == 500, what="what came meanwhile")
        self.assertEqual([e["pid"] for e in self.x.lines("/api/v1/events?last=1000")], list(range(1001, 1501)))

    def test_publisher_comes_and_goes(self):
        self.feed_exits(1, 10)
        self.wait_stored(10)
        self.enricher.drop_clients()
        self.feed_exits(11, 10)
        until(lambda: self.x.value('penstock_events_total{kind="process_exit"}') == 20, what="repaired")

    def test_rogue_publisher(self):
        """Any bytes from the bus: counted, never a crash."""
        good = schema.event("process_exit", pid=1)
        import random
        rng = random.Random(7)
        for i in range(300):
            event = bytearray(good * 3)
            for _ in range(rng.randrange(1, 6)):
                event[rng.randrange(len(event))] = rng.randrange(256)
            message = bytearray(self.enricher.message("proc", 1 + 3 * i, [bytes(event)]))
            if i % 3 == 0:
                message[rng.randrange(len(message))] = rng.randrange(256)
            if i % 50 == 0:
                message = message[:rng.randrange(len(message))]
            self.enricher.send(bytes(message))
        self.policyd.send(self.policyd.message("alert", 1, [schema.event("process_exit", pid=1)]))  # an alert without a rule
        time.sleep(0.3)
        self.assertEqual(self.x.get("/healthz")[0], 200)
        self.assertIn("penstock_build_info", self.x.metrics())


if __name__ == "__main__":
    unittest.main()
