# SPDX-License-Identifier: Apache-2.0
"""The exporter with a folder of its own, fed by fake stages, and readers of its streams."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from fake_stage import ROOT, FakeStage, Schema

BINDIR = os.environ.get("PENSTOCK_BINDIR", os.path.join(ROOT, "build", "bin"))
EXPORTER = os.path.join(BINDIR, "penstock-exporter")
NOBODY = 65534
SLOW = 5 if os.environ.get("PENSTOCK_VM") else 1
TOPICS = ("proc", "file", "net", "flow", "l7", "meta")
SECOND = 1_000_000_000
schema = Schema()


def tool(name):
    path = shutil.which(name)
    if not path:
        raise unittest.SkipTest(f"{name} is not installed here")
    return path


def until(check, timeout=20, what="condition"):
    deadline = time.monotonic() + timeout * SLOW
    while time.monotonic() < deadline:
        result = check()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout} s: {what}")


class Exporter:
    """One exporter with a folder of its own, under an ordinary user when we are root."""

    def __init__(self, folder, config="", args=(), env=None):
        self.folder, self.run = folder, os.path.join(folder, "run")
        self.config = os.path.join(folder, "penstock.yaml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(config)
        self.args, self.env = list(args), env or {}
        self.process = None

    def start(self, wait=True):
        read, write = os.pipe()
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(
                [EXPORTER, "--config", self.config, "--run-dir", self.run, "--bpffs", os.path.join(self.folder, "bpffs"),
                 "--log-level", "debug", *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[write],
                env={**os.environ, "PENSTOCK_NOTIFY_FD": str(write), **self.env}, **user)
        os.close(write)
        if wait:
            ready = os.read(read, 1)
            os.close(read)
            if ready != b"\n":
                raise AssertionError("not ready: " + self.log())
            self.urls = re.findall(r"listening url=(\S+)", self.log()[before:])
            self.port = next((int(u.rsplit(":", 1)[1]) for u in self.urls if u.startswith("http")), None)
        else:
            os.close(read)
        return self

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(20 * SLOW) if self.process else None

    def connection(self, timeout=20, context=None):
        if context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout * SLOW, context=context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW)

    def get(self, path, headers=None, method="GET", context=None, body=None):
        connection = self.connection(context=context)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def json(self, path, expected=200):
        status, _, body = self.get(path)
        assert status == expected, (status, body)
        return json.loads(body)

    def lines(self, path):
        status, _, body = self.get(path)
        assert status == 200, (status, body)
        return [json.loads(line) for line in body.splitlines()]

    def metrics(self, headers=None):
        status, _, body = self.get("/metrics", headers)
        assert status == 200, status
        return body.decode("utf-8", "strict")

    def value(self, series):
        """Value of one series as written in the exposition, or None."""
        for line in self.metrics().splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        return None


class Sse:
    """Reads a stream of server-sent events."""

    def __init__(self, exporter, path="/api/v1/events", headers=None):
        self.connection = exporter.connection()
        self.connection.request("GET", path, headers={"Accept": "text/event-stream", **(headers or {})})
        self.response = self.connection.getresponse()
        self.comments = []

    def next(self):
        event = {}
        while True:
            line = self.response.readline().decode()
            if not line:
                raise EOFError
            line = line.rstrip("\n")
            if line.startswith(":"):
                self.comments.append(line)
            elif line:
                key, value = line.split(": ", 1)
                event[key] = value
            elif event:
                return event

    def close(self):
        # the response holds the socket, too
        self.response.close()
        self.connection.close()


class Case(unittest.TestCase):
    config = ""
    autostart = True

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pst-exporter-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        for name in ("run", "out", "bpffs", "bpffs/iters"):
            os.mkdir(os.path.join(self.folder, name))
        os.chmod(self.folder, 0o755)
        if os.geteuid() == 0:
            for name in ("run", "out"):
                os.chown(os.path.join(self.folder, name), NOBODY, NOBODY)
        self.enricher = FakeStage(self.path("run"), "enricher", TOPICS)
        self.addCleanup(self.enricher.close)
        self.policyd = FakeStage(self.path("run"), "policyd", ("alert",))
        self.addCleanup(self.policyd.close)
        self.x = None
        if self.autostart:
            self.start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data, mode=0o644):
        with open(self.path(name), "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        os.chmod(self.path(name), mode)
        return self.path(name)

    def start(self, config=None, args=(), env=None):
        text = "exporter:\n  listen: [\"127.0.0.1:0\"]\n  scrape: {iterators: 200ms, status: 200ms}\n"
        self.x = Exporter(self.folder, text + (self.config if config is None else config), args, env)
        self.addCleanup(self.stop_clean)
        self.x.start()
        self.enricher.wait_subscriber()
        self.policyd.wait_subscriber()
        until(lambda: self.checks()["input:enricher"] and self.checks()["input:policyd"], what="inputs connected")

    def stop_clean(self):
        """Every test ends with an orderly exit, and a sanitizer that has nothing to say."""
        if self.x and self.x.process.returncode is None:
            self.assertEqual(self.x.stop(), 0, self.x.log()[-4000:])
        if self.x:
            self.assertNotIn("runtime error", self.x.log())
            self.assertNotIn("Sanitizer", self.x.log())

    def checks(self):
        _, _, body = self.x.get("/readyz")
        return {c["name"]: c["ok"] for c in json.loads(body)["checks"]}

    def feed_exits(self, first, count, **fields):
        self.enricher.publish("proc", *(schema.event("process_exit", pid=pid, comm="worker", exit_code=pid % 2, **fields)
                                        for pid in range(first, first + count)))

    def wait_stored(self, count):
        until(lambda: len(self.x.lines(f"/api/v1/events?last={count + 1}")) >= count, what=f"{count} events stored")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def make_cert(case, openssl):
    cert, key = case.path("cert.pem"), case.path("key.pem")
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=penstock test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    if os.geteuid() == 0:
        os.chown(key, NOBODY, NOBODY)
    return cert, key
