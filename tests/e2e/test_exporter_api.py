#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The exporter's events, streams and tables from outside: what fake stages publish and what its API makes of it."""
import http.client
import json
import os
import re
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_stage import request  # noqa: E402
from exporter import SLOW, SECOND, schema, until, Sse, Case  # noqa: E402


class Events(Case):
    def feed(self):
        self.enricher.publish("proc", schema.event(
            "process_exec", ts_ns=10 * SECOND, pid=100, uid=0, comm="bash", exe="/bin/bash", argv=[b"bash", b"-c", b"x\xff"],
            enricher={"user": "root", "container_id": "abcdef0123", "container_runtime": "docker"}))
        self.enricher.publish("net", schema.event(
            "tcp_connect", ts_ns=20 * SECOND, pid=200, uid=1000, comm="curl", protocol=6, family=2,
            laddr=socket.inet_aton("10.0.0.1"), lport=40000, raddr=socket.inet_aton("192.0.2.7"), rport=443, error=111,
            enricher={"exe": "/usr/bin/curl", "user": "user"}))
        self.wait_stored(2)  # two topics: which is stored first is nobody's promise
        self.enricher.publish("proc", schema.event("process_exit", ts_ns=30 * SECOND, pid=100, comm="bash", exit_code=1))
        self.wait_stored(3)
        self.policyd.publish("alert", schema.event(
            "process_exec", ts_ns=40 * SECOND, pid=300, comm="nc", exe="/bin/nc",
            enricher={"user": "root"}, policyd={"rule": "netcat", "severity": 4, "message": "nc \xff started"}))
        self.wait_stored(4)

    def kinds(self, query):
        return [(e["kind"], e["pid"]) for e in self.x.lines("/api/v1/events?" + query)]

    def test_filters(self):
        self.feed()
        exec_, connect, exit_, alert = (("process_exec", 100), ("tcp_connect", 200), ("process_exit", 100),
                                        ("process_exec", 300))
        everything = [exec_, connect, exit_, alert]
        for query, expected in (
                ("", everything), ("kind=process_*", [exec_, exit_, alert]), ("kind=tcp_connect&kind=process_exit", [connect, exit_]),
                ("pid=200", [connect]), ("comm=ba*", [exec_, exit_]), ("exe=/usr/bin/*", [connect]),
                ("container=abcdef", [exec_]), ("address=192.0.2.0/24", [connect]), ("address=10.0.0.1", [connect]),
                ("port=443", [connect]), ("user=root", [exec_, alert]), ("uid=1000", [connect]), ("alert=true", [alert]),
                ("severity=warning", [alert]), ("severity=critical", []), ("rule=netcat", [alert]),
                ("pid=100&kind=process_exit", [exit_]), ("last=2", [exit_, alert]), ("last=1&pid=100", [exit_]),
                ("last=0", []), ("kind=process_exit&last=10&format=jsonl", [exit_])):
            with self.subTest(query=query):
                self.assertEqual(sorted(self.kinds(query)), sorted(expected))

    def test_json(self):
        self.feed()
        event = next(e for e in self.x.lines("/api/v1/events?pid=100&kind=process_exec"))
        self.assertEqual(event["exe"], "/bin/bash")
        self.assertEqual(event["argv"][:2], ["bash", "-c"])
        self.assertEqual(event["container_id"], "abcdef0123")
        self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
        status, headers, body = self.x.get("/api/v1/events", {"Accept": "application/json"})
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        self.assertEqual(len(json.loads(body)), 4)
        self.assertEqual(len(json.loads(self.x.get("/api/v1/events?format=json&last=2")[2])), 2)
        self.assertEqual(self.x.get("/api/v1/events?pid=1&format=json")[2], b"[]\n")
        alert = self.x.lines("/api/v1/events?alert=true")[0]
        self.assertEqual((alert["rule"], alert["severity"]), ("netcat", "error"))

    def test_times(self):
        self.enricher.publish("meta", schema.event("node_info", wall_offset_ns=1_700_000_000 * SECOND))
        self.feed()
        self.assertEqual(self.kinds("since=1700000015&until=1700000025"), [("tcp_connect", 200)])
        self.assertEqual(self.kinds("since=2023-11-14T22:13:45Z&until=1700000035"), [("process_exit", 100)])
        self.assertEqual(self.x.lines("/api/v1/events?pid=200")[0]["time"], "2023-11-14T22:13:40.000000000Z")

    def test_errors(self):
        for path, expected, text in (
                ("?nonsense=1", 400, "nonsense: no such parameter"), ("?knd=x", 400, "did you mean kind?"),
                ("?pid=abc", 400, "pid: "), ("?last=-1", 400, "last: expected a number"), ("?last=x", 400, "last:"),
                ("?address=300.1.1.1", 400, "address: "), ("?address=10.0.0.0/99", 400, "address: "),
                ("?since=yesterday", 400, "since: "), ("?severity=loud", 400, "severity: "), ("?kind=no_such", 400, "kind: "),
                ("?kind=%zz", 400, "escape"), ("?kind=%00", 400, "zero byte"), ("?format=xml", 400, "format: "),
                ("?follow=maybe", 400, "follow: "), ("?follow=1&format=json", 400, "follow: "),
                ("?" + "&".join(["pid=1"] * 65), 400, ""), ("?" + "&".join(["pid=1"] * 200), 400, "more than")):
            with self.subTest(path=path[:60]):
                status, headers, body = self.x.get("/api/v1/events" + path)
                self.assertEqual(status, expected, body)
                self.assertEqual(headers["Content-Type"], "application/json")
                self.assertIn(text, json.loads(body)["error"])
        self.assertEqual(self.x.get("/api/v1/events", {"Accept": "image/png"})[0], 406)
        self.assertEqual(self.x.get("/api/v1/events", {"Accept": "text/event-stream", "Last-Event-ID": "x"})[0], 400)
        for path in ("/metrics?x=1", "/readyz?x", "/api/v1/status?a=b", "/api/v1/flows?limit=0", "/api/v1/flows?sort=up",
                     "/api/v1/flows?pid=1", "/api/v1/processes?after=-1", "/api/v1/processes?rule=1", "/?x=1"):
            self.assertEqual(self.x.get(path)[0], 400, path)
        self.assertEqual(self.x.get("/api/v2")[0], 404)
        self.assertEqual(self.x.get("/metrics/")[0], 404)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            status, headers, _ = self.x.get("/metrics", method=method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), method)
        self.assertEqual(self.x.get("/metrics", method="GET", body=b"x" * 100)[0], 400)

    def test_head(self):
        self.feed()
        for path in ("/", "/metrics", "/healthz", "/api/v1/events", "/api/v1/events?follow=1", "/api/v1/flows",
                     "/api/v1/status"):
            status, headers, body = self.x.get(path, method="HEAD")
            self.assertEqual((status, body), (200, b""), path)
            self.assertIn("Content-Type", headers)

    def test_security_headers(self):
        for path in ("/", "/metrics", "/api/v1/events", "/nowhere"):
            _, headers, _ = self.x.get(path)
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(headers["Cache-Control"], "no-store")
            self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
            self.assertNotIn("Access-Control-Allow-Origin", headers)

    def test_large_answer(self):
        self.feed_exits(1, 20000)
        self.wait_stored(20000)
        pids = [e["pid"] for e in self.x.lines("/api/v1/events?last=20000")]
        self.assertEqual(pids, list(range(1, 20001)))
        self.assertEqual([e["pid"] for e in self.x.lines("/api/v1/events?last=3&pid=5&pid=17777&pid=19999")],
                         [5, 17777, 19999])

    def test_control_request(self):
        self.feed()
        ctl = self.path("run/exporter.ctl")
        reply = request(ctl, {"op": "events", "last": 2})
        self.assertEqual((len(reply["events"]), reply["more"], reply["skipped"]), (2, False, 0))
        reply = request(ctl, {"op": "events", "filter": {"kind": ["process_*"], "pid": "100"}})
        self.assertEqual(len(reply["events"]), 2)
        for bad in ({"filter": []}, {"filter": {"x": ["1"]}}, {"filter": {"pid": [7]}}, {"filter": {"pid": ["x"]}},
                    {"filter": {7: "x"}}, {"filter": {"kind": ["a\0b"]}}, {"filter": {"kind": "x" * 300}}):
            self.assertIn("error", request(ctl, {"op": "events", **bad}), bad)
        # in pages
        self.feed_exits(1000, 10000, utime_ns=1 << 60)
        self.wait_stored(10004)
        got, reply, pages = [], request(ctl, {"op": "events", "filter": {"kind": ["process_exit"]}}), 1
        while True:
            self.assertLessEqual(sum(map(len, reply["events"])), 512 * 1024)
            got += reply["events"]
            if not reply["more"]:
                break
            pages += 1
            reply = request(ctl, {"op": "events", "filter": {"kind": ["process_exit"]}, "epoch": reply["epoch"],
                                  "after": reply["next"]})
        self.assertEqual(len(got), 10001)
        self.assertEqual(len(set(got)), 10001)
        reply = request(ctl, {"op": "events", "epoch": reply["epoch"], "after": reply["next"]})
        self.assertEqual(reply["events"], [])


class Streams(Case):
    config = "  stream: {clients: 3, heartbeat: 300ms, queue: 16KiB}\n  store: {events: 2000}\n"

    def test_live(self):
        stream = Sse(self.x)
        self.assertEqual(stream.response.getheader("Content-Type"), "text/event-stream")
        latencies = []
        for pid in range(1, 101):
            start = time.perf_counter()
            self.feed_exits(pid, 1)
            event = stream.next()
            latencies.append(time.perf_counter() - start)
            self.assertEqual(event["event"], "process_exit")
            self.assertEqual(json.loads(event["data"])["pid"], pid)
        self.assertIn(": penstock events", stream.comments)
        latencies.sort()
        print(f"# bus to SSE line: p50 {latencies[50] * 1000:.2f} ms, p99 {latencies[98] * 1000:.2f} ms", flush=True)
        self.assertLess(latencies[50], 0.02 * SLOW)
        until(lambda: stream.response.readline() == b": heartbeat\n", 5, "heartbeat")
        stream.close()

    def test_resume(self):
        stream = Sse(self.x)
        self.feed_exits(1, 50)
        ids = [stream.next()["id"] for _ in range(50)]
        self.assertEqual(len(set(ids)), 50)
        stream.close()
        self.feed_exits(51, 50)
        stream = Sse(self.x, headers={"Last-Event-ID": ids[19]})
        self.assertEqual([json.loads(stream.next()["data"])["pid"] for _ in range(80)], list(range(21, 101)))
        self.feed_exits(101, 1)
        self.assertEqual(json.loads(stream.next()["data"])["pid"], 101)
        stream.close()

    def test_filter_and_formats(self):
        stream = Sse(self.x, "/api/v1/events?kind=process_exit&pid=7&pid=9")
        lines = self.x.connection()
        lines.request("GET", "/api/v1/events?follow=1&pid=8")
        response = lines.getresponse()
        self.assertEqual(response.getheader("Content-Type"), "application/x-ndjson")
        self.feed_exits(1, 10)
        self.assertEqual([json.loads(stream.next()["data"])["pid"] for _ in range(2)], [7, 9])
        self.assertEqual(json.loads(response.readline())["pid"], 8)
        self.policyd.publish("alert", schema.event("process_exit", pid=9, policyd={"rule": "r"}))
        self.assertEqual(stream.next()["event"], "alert")
        response.close()
        lines.close()
        stream.close()
        # one that ends
        stream = Sse(self.x, "/api/v1/events?follow=0&last=2")
        self.assertEqual(json.loads(stream.next()["data"])["pid"], 10)
        stream.next()
        self.assertRaises(EOFError, stream.next)
        stream.close()

    def test_too_many(self):
        streams = [Sse(self.x) for _ in range(3)]
        self.assertEqual([s.response.status for s in streams], [200] * 3)
        status, headers, body = self.x.get("/api/v1/events", {"Accept": "text/event-stream"})
        self.assertEqual((status, headers["Retry-After"]), (503, "30"), body)
        self.assertEqual(self.x.get("/api/v1/events")[0], 200)
        streams[0].close()
        # its place is free as soon as it has gone, not at the next write
        until(lambda: Sse(self.x).response.status == 200, 5, "a free place")
        for stream in streams[1:]:
            stream.close()

    def test_slow_client(self):
        """A client that does not read holds up nobody; what it misses it is told."""
        slow = self.x.connection()
        slow.sock = socket.socket()
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        slow.sock.connect(("127.0.0.1", self.x.port))
        slow.request("GET", "/api/v1/events?follow=1")
        time.sleep(0.2)
        fast = Sse(self.x)
        total = 30000
        reader = threading.Thread(target=lambda: [fast.next() for _ in range(100)])
        reader.start()
        for first in range(1, total, 1000):
            self.feed_exits(first, 1000)
        self.wait_stored(1999)
        until(lambda: self.x.lines("/api/v1/events?last=1")[0]["pid"] == total, what="all arrived")
        reader.join(20 * SLOW)
        self.assertFalse(reader.is_alive())
        response = slow.getresponse()
        data = b""
        while f'"pid":{total},'.encode() not in data[-100000:]:
            data += response.read1(65536)
        got = len(re.findall(rb'"kind":"process_exit"', data))
        lost = sum(map(int, re.findall(rb'"kind":"stream_lost","count":(\d+)', data)))
        self.assertGreater(lost, 0)
        self.assertEqual(got + lost, total)
        response.close()
        slow.close()
        fast.close()

    def test_stop_ends_streams(self):
        stream = Sse(self.x)
        self.feed_exits(1, 1)
        stream.next()
        self.assertEqual(self.x.stop(), 0)
        self.assertRaises((EOFError, http.client.IncompleteRead), stream.next)
        stream.close()


class Tables(Case):
    def rows(self):
        rows = {}
        for pid in range(1, 601):
            rows[pid] = [pid, pid * SECOND, pid - 1, pid % 3, b"comm%d" % pid, b"/bin/p%d" % pid, b"p\0\0arg \xff", 4711,
                         b"/docker/x", b"c0ffee", b"docker", b"user%d" % (pid % 3)]
        return rows

    def serve(self, rows, page=250):
        def processes(req):
            pids = sorted(p for p in rows if p > req["after"])[:min(req["limit"], page)]
            more = any(p > pids[-1] for p in rows) if pids else False
            return {"processes": [rows[p] for p in pids], "next": pids[-1] if more else 0}
        self.enricher.handlers["processes"] = processes

    def test_processes(self):
        self.serve(self.rows())
        answer = self.x.json("/api/v1/processes")
        self.assertEqual([p["pid"] for p in answer["processes"]], list(range(1, 601)))
        self.assertEqual(answer["next"], 0)
        self.assertEqual(answer["processes"][1]["argv"], ["p", "", "arg \ufffd"])
        self.assertEqual(answer["processes"][1]["container_runtime"], "docker")
        pages, after = [], 0
        while True:
            answer = self.x.json(f"/api/v1/processes?limit=100&after={after}")
            pages.append(len(answer["processes"]))
            after = answer["next"]
            if not after:
                break
        self.assertEqual(sum(pages), 600)
        for query, count in (("pid=7", 1), ("comm=comm1*", 111), ("exe=/bin/p9", 1), ("user=user1", 200), ("uid=2", 200),
                             ("container=c0f", 600), ("container=dead", 0), ("user=user1&limit=5", 5)):
            self.assertEqual(len(self.x.json("/api/v1/processes?" + query)["processes"]), count, query)

    def test_processes_of_a_bad_enricher(self):
        for reply in ({"processes": 7}, {"processes": [[1], "x", None, [b"x"] * 12]}, [], b"\xc1", {"error": "no"},
                      {"processes": [], "next": 1 << 40}):
            self.enricher.handlers["processes"] = lambda _r, reply=reply: reply
            self.assertIn(self.x.get("/api/v1/processes")[0], (200, 503), reply)
        # always "more": it ends all the same
        self.enricher.handlers["processes"] = lambda r: {"processes": [], "next": r["after"] + 1}
        self.assertEqual(self.x.json("/api/v1/processes")["processes"], [])
        self.enricher.hang = True
        started = time.monotonic()
        status, headers, body = self.x.get("/api/v1/processes")
        self.assertEqual((status, headers["Retry-After"]), (503, "5"), body)
        self.assertLess(time.monotonic() - started, 10)
        self.enricher.hang = False

    def test_gone_while_waiting(self):
        self.enricher.hang = True
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", self.x.port)) as sock:
                sock.sendall(b"GET /api/v1/processes HTTP/1.1\r\nHost: localhost\r\n\r\n")
                time.sleep(0.05)
        self.assertEqual(self.x.get("/healthz")[0], 200)
        self.assertEqual(self.x.stop(), 0)
        self.enricher.hang = False

    def test_flows(self):
        def flow(sport, octets, delta, **more):
            return schema.event("flow", protocol=6, family=2, saddr=socket.inet_aton("10.0.0.1"), sport=sport,
                                daddr=socket.inet_aton("192.0.2.9"), dport=443, dir=2, ifindex=2, interface="eth0",
                                packets=octets // 100, bytes=octets, delta_packets=delta // 100, delta_bytes=delta,
                                first_ns=SECOND, last_ns=octets * SECOND, **more)
        self.enricher.publish("flow", flow(1000, 500, 500), flow(1001, 9000, 9000, enricher={"service": "https"}),
                              flow(1000, 700, 200, end="fin"), flow(1002, 100, 100))
        until(lambda: self.x.json("/api/v1/flows")["total"] == 3, what="three flows")
        answer = self.x.json("/api/v1/flows")
        self.assertEqual([f["bytes"] for f in answer["flows"]], [9000, 700, 100])
        self.assertEqual(answer["flows"][0]["service"], "https")
        self.assertEqual(answer["flows"][0]["daddr"], "192.0.2.9")
        self.assertEqual([f["bytes"] for f in self.x.json("/api/v1/flows?limit=1")["flows"]], [9000])
        self.assertEqual([f["bytes"] for f in self.x.json("/api/v1/flows?active=1&sort=last")["flows"]], [9000, 100])
        self.assertEqual(len(self.x.json("/api/v1/flows?address=10.0.0.0/8&port=1001")["flows"]), 1)
        self.assertEqual(len(self.x.json("/api/v1/flows?address=2001:db8::1")["flows"]), 0)
        self.assertEqual(self.x.value('penstock_flow_bytes_total{protocol="tcp",direction="out"}'), 9800)


if __name__ == "__main__":
    unittest.main()
