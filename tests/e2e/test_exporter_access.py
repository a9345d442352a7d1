#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may ask the exporter, bytes that are meant to harm it, and the file that it writes."""
import base64
import concurrent.futures
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_stage import request  # noqa: E402
from exporter import EXPORTER, SLOW, schema, tool, until, Exporter, Case, make_cert  # noqa: E402


class Access(Case):
    autostart = False

    def test_refuses_to_be_seen(self):
        for config in ("  listen: 0.0.0.0:0\n", "  listen: \"[::]:0\"\n"):
            self.write("penstock.yaml", "exporter:\n" + config)
            result = subprocess.run([EXPORTER, "--config", self.path("penstock.yaml"), "--run-dir", self.path("run")],
                                    capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(result.returncode, 100, result.stderr)
            for word in ("penstock.yaml:2:", "exporter.tls", "exporter.auth", "exporter.insecure_listen"):
                self.assertIn(word, result.stderr)
        self.start_with("  insecure_listen: true\n", "0.0.0.0:0")
        self.assertEqual(self.x.get("/healthz")[0], 200)

    def start_with(self, config, listen="127.0.0.1:0"):
        self.x = Exporter(self.folder, f"exporter:\n  listen: [\"{listen}\"]\n" + config)
        self.addCleanup(self.stop_clean)
        self.x.start()

    def test_bearer_and_basic(self):
        token = self.write("token", "s3cret\n")
        password = self.write("password", "open sesame\n")
        self.start_with(f"  auth: {{bearer_token_file: {token}, basic: {{user: alice, password_file: {password}}}}}\n")
        basic = "Basic " + base64.b64encode(b"alice:open sesame").decode()
        for path in ("/metrics", "/readyz", "/api/v1/events", "/api/v1/status", "/nowhere", "/"):
            status, headers, _ = self.x.get(path)
            self.assertEqual(status, 401, path)
            self.assertIn("Bearer", headers["WWW-Authenticate"])
            self.assertIn("Basic", headers["WWW-Authenticate"])
        self.assertEqual(self.x.get("/healthz")[0], 200)
        for good in ("Bearer s3cret", basic):
            self.assertEqual(self.x.get("/metrics", {"Authorization": good})[0], 200, good)
        for bad in ("Bearer s3cre", "Bearer s3cret ", "Bearer", "Basic", "Basic " + base64.b64encode(b"alice:x").decode(),
                    "Digest username=alice", "s3cret", "Bearer " + "x" * 8000):
            self.assertNotEqual(self.x.get("/metrics", {"Authorization": bad})[0], 200, bad[:40])

    def test_tls(self):
        cert, key = make_cert(self, tool("openssl"))
        self.start_with(f"  tls: {{cert: {cert}, key: {key}}}\n")
        context = ssl.create_default_context(cafile=cert)
        status, _, body = self.x.get("/metrics", context=context)
        self.assertEqual(status, 200)
        self.assertIn(b"penstock_build_info", body)
        old = ssl.create_default_context(cafile=cert)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        self.assertRaises((ssl.SSLError, ConnectionError), self.x.get, "/metrics", context=old)
        self.assertRaises((http.client.HTTPException, OSError), self.x.get, "/metrics")  # no plain HTTP on it
        connection = self.x.connection(context=context)
        connection.request("GET", "/api/v1/events?follow=1", headers={"Accept": "text/event-stream"})
        response = connection.getresponse()
        self.enricher.wait_subscriber()
        self.feed_exits(1, 1)
        until(lambda: b'"pid":1' in response.readline(), what="live over TLS")
        response.close()
        connection.close()

    def test_bad_certificate(self):
        cert, key = make_cert(self, tool("openssl"))
        os.rename(key, self.path("first.pem"))
        os.rename(cert, self.path("cert1.pem"))
        cert, key = make_cert(self, tool("openssl"))
        x = Exporter(self.folder, f"exporter:\n  tls: {{cert: {self.path('cert1.pem')}, key: {key}}}\n  listen: 127.0.0.1:0\n")
        x.start(wait=False)
        self.assertEqual(x.process.wait(30), 111)
        self.assertIn("a pair", x.log())

    def test_rebinding(self):
        """A web page that makes its own name resolve to 127.0.0.1 reads nothing."""
        self.start_with("  allowed_hosts: [node.example]\n")
        for host, expected in (("127.0.0.1:9435", 200), ("localhost", 200), ("[::1]:1", 200), ("node.example:80", 200),
                               ("evil.example", 421), ("evil.example:9435", 421), ("127.0.0.1.evil.example", 421)):
            self.assertEqual(self.x.get("/metrics", {"Host": host})[0], expected, host)
            self.assertEqual(self.x.get("/healthz", {"Host": host})[0], expected, host)

    def test_unix_socket(self):
        path = self.path("run/http.sock")
        self.start_with("", f"unix:{path}")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)

        def get():
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n")
                return b"".join(iter(lambda: sock.recv(4096), b""))
        self.assertTrue(get().endswith(b"\r\n\r\nok\n"))
        # a killed one leaves its socket, the next takes its place
        self.x.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(path))
        self.x.start()
        self.assertTrue(get().endswith(b"\r\n\r\nok\n"))
        self.assertEqual(self.x.stop(), 0)
        self.assertFalse(os.path.exists(path))


class Hostile(Case):
    config = "  timeout: 1s\n  max_connections: 20\n"

    def raw(self, data, timeout=5):
        with socket.create_connection(("127.0.0.1", self.x.port), timeout=timeout * SLOW) as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: sock.recv(65536), b""))
            except OSError:
                return b""

    def test_bytes(self):
        import random
        rng = random.Random(1)
        cases = [b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 1000, b"GET /" + b"a" * 100000,
                 b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
                 b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: -1\r\n\r\n",
                 b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                 b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nGET /x",
                 b"GET http://evil/metrics HTTP/1.1\r\nHost: evil\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n",
                 b"GET //metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"GET /api/v1/events?kind=" + b"%ff" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)]
        cases += [bytes(rng.randrange(256) for _ in range(rng.randrange(1, 400))) for _ in range(50)]
        whole = b"GET /api/v1/events?last=5&kind=process_* HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream;q=0.5\r\n\r\n"
        for _ in range(50):
            case = bytearray(whole)
            for _ in range(rng.randrange(1, 8)):
                case[rng.randrange(len(case))] = rng.randrange(256)
            cases.append(bytes(case).replace(b"event-stream", b"plain"))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(self.raw, cases))
        for case, answer in zip(cases, answers):
            self.assertNotIn(b"root:", answer)
            self.assertFalse(answer.startswith(b"HTTP/1.1 200") and b"evil" in case, case)
        self.assertEqual(self.x.get("/healthz")[0], 200)
        self.assertIsNone(self.x.process.poll())

    def test_pipelining(self):
        one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = self.raw(one * 50)
        self.assertEqual(answer.count(b"\r\n\r\nok\n"), 50)

    def test_slow_request_is_cut(self):
        sock = socket.create_connection(("127.0.0.1", self.x.port))
        sock.settimeout(0.2)
        started = time.monotonic()
        cut = False
        for byte in b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200:
            try:
                sock.sendall(bytes([byte]))
                if sock.recv(1) == b"":
                    cut = True
                    break
            except socket.timeout:
                continue
            except OSError:
                cut = True
                break
        self.assertTrue(cut, "a request may trickle in for ever")
        self.assertLess(time.monotonic() - started, 10 * SLOW)
        sock.close()
        until(lambda: (self.x.value('penstock_http_connections_cut_total{stage="exporter"}') or 0) >= 1,
              what="the cut is counted")

    def test_many_connections(self):
        held = []
        for _ in range(40):
            try:
                held.append(socket.create_connection(("127.0.0.1", self.x.port), timeout=5))
            except OSError:
                break
        # idle ones go after the time-out; then there is room again
        until(lambda: self.alive(), 15, "served again")
        for sock in held:
            sock.close()

    def alive(self):
        try:
            return self.x.get("/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False


class Output(Case):
    config = "  output: {path: %s, max_size: 20KiB, keep: 2, kinds: [process_exit, alert]}\n"

    def setUp(self):
        self.autostart = False
        super().setUp()
        self.file = self.path("out/events.jsonl")
        self.config = Output.config % self.file

    def pids(self, name):
        with open(name, encoding="utf-8") as f:
            return [json.loads(line)["pid"] for line in f]

    def test_rotation(self):
        self.start()
        self.enricher.publish("net", schema.event("tcp_connect", pid=1))
        self.feed_exits(1, 500)
        self.policyd.publish("alert", schema.event("tcp_connect", pid=501, policyd={"rule": "r", "severity": 1}))
        until(lambda: self.pids(self.file)[-1:] == [501] or 501 in self.pids(self.file), what="all written")
        got = []
        for name in (self.file + ".2", self.file + ".1", self.file):
            self.assertLessEqual(os.path.getsize(name), 20 * 1024)
            got += [p for p in self.pids(name) if p != 501]
        self.assertEqual(got, list(range(got[0], 501)))
        self.assertFalse(os.path.exists(self.file + ".3"))
        until(lambda: self.x.value('penstock_output_events_total{stage="exporter"}') == 501, what="counted")

    def test_reopen(self):
        self.start()
        self.feed_exits(1, 1)
        until(lambda: self.pids(self.file) == [1])
        os.rename(self.file, self.file + ".moved")
        self.x.process.send_signal(signal.SIGHUP)
        until(lambda: os.path.exists(self.file), what="opened anew")
        self.feed_exits(2, 1)
        until(lambda: self.pids(self.file) == [2])
        os.rename(self.file, self.file + ".moved2")
        self.assertEqual(request(self.path("run/exporter.ctl"), {"op": "reload"}), {"ok": True})
        self.assertTrue(os.path.exists(self.file))

    def test_cannot_be_opened(self):
        os.chmod(self.path("out"), 0o000)
        if os.geteuid() == 0:
            os.chown(self.path("out"), 0, 0)
        x = Exporter(self.folder, "exporter:\n  listen: 127.0.0.1:0\n" + self.config)
        x.start(wait=False)
        self.assertEqual(x.process.wait(30), 111)
        self.assertIn("cannot open path=" + self.file, x.log())


if __name__ == "__main__":
    unittest.main()
