# SPDX-License-Identifier: Apache-2.0
"""A web server's guarded host, its client and an attacker, each in a namespace, at the ports of a bridge in a fourth one.

The server is an ordinary host whose line to the world is narrow: LINE for all that it sends. `python3 web.py client ADDRESS SECONDS`
fetches from it, `python3 web.py answer ADDRESS PORT` is its service that answers datagrams.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

SERVER, CLIENT, ATTACKER = "10.99.8.1", "10.99.8.2", "10.99.8.3"
CLIENTS = "10.99.8.0/24"
FORGED, SOURCES = "198.18.0.0", 100_000  # RFC 2544: nobody's
HTTP, QUERY = 80, 53
LINE = "50mbit"
WINDOW = 32768  # of the client: less than the line's queue holds, so the long file alone loses no packets, and throughput is steady
SLICE = 0.25
ASKERS, EACH_S = 4, 0.02  # the client asks for so many small files at a time, each after the other, not more than one each 20 ms
LIGHTTPD = """
server.document-root = "{dir}/www"
server.bind = "{address}"
server.port = {port}
server.errorlog = "{dir}/lighttpd.log"
server.listen-backlog = 128
server.max-connections = 512
"""
# A host whose queue of half-open connections is as large as its backlog, and that has no cookies of its own.
SYSCTLS = {"net/ipv4/tcp_syncookies": 0, "net/ipv4/tcp_max_syn_backlog": 256, "net/core/somaxconn": 128,
           "net/ipv4/tcp_synack_retries": 1, "net/ipv4/conf/all/rp_filter": 0}


class Namespace:
    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"up\n":
            raise AssertionError("no network namespace")

    def inside(self, *args):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *args]

    def run(self, *args):
        return subprocess.run(self.inside(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True).stdout

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


def mac_of(run, device):
    words = run("ip", "-o", "link", "show", "dev", device).split()
    return words[words.index("link/ether") + 1]


class Web:
    """near: the server's interface, in the instance's namespace."""

    def __init__(self, instance, near="pstn0"):
        self.instance, self.near, self.children = instance, near, []
        self.bridge, self.client, self.attacker = self.spaces = [Namespace() for _ in range(3)]
        self.bridge.run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        self.bridge.run("ip", "link", "set", "br0", "up")
        server = lambda *args: instance.run(*args).stdout  # noqa: E731
        self.ends = ((server, near, SERVER, instance.holder.pid), (self.client.run, "cl0", CLIENT, self.client.holder.pid),
                     (self.attacker.run, "at0", ATTACKER, self.attacker.holder.pid))
        for i, (run, device, address, pid) in enumerate(self.ends):
            self.bridge.run("ip", "link", "add", f"port{i}", "type", "veth", "peer", "name", device, "netns", str(pid))
            self.bridge.run("ip", "link", "set", f"port{i}", "master", "br0", "up")
            run("sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
            run("ip", "addr", "add", address + "/24", "dev", device)
            run("ip", "link", "set", device, "up")
        self.mac = mac_of(server, near)
        self.server(server)

    def server(self, run):
        """Answers to forged addresses go to the attacker, where nobody wants them."""
        run("ip", "neigh", "replace", ATTACKER, "lladdr", mac_of(self.attacker.run, "at0"), "dev", self.near, "nud", "permanent")
        run("ip", "route", "add", "198.18.0.0/15", "via", ATTACKER)
        run("tc", "qdisc", "add", "dev", self.near, "root", "tbf", "rate", LINE, "burst", "32kb", "latency", "20ms")
        for name, value in SYSCTLS.items():
            run("sh", "-c", f"echo {value} >/proc/sys/{name}")

    def serve(self):
        """The web server, and the service that answers datagrams."""
        folder = self.instance.dir
        os.mkdir(os.path.join(folder, "www"), 0o755)
        for name, size in (("small", 500), ("long", 1 << 32)):
            with open(os.path.join(folder, "www", name), "wb") as f:
                f.truncate(size)
        path = os.path.join(folder, "lighttpd.conf")
        with open(path, "w") as f:
            f.write(LIGHTTPD.format(dir=folder, address=SERVER, port=HTTP))
        program = shutil.which("lighttpd") or "/usr/sbin/lighttpd"
        for args in ((program, "-D", "-f", path), ("/usr/bin/python3", os.path.abspath(__file__), "answer", SERVER, str(QUERY))):
            self.children.append(subprocess.Popen(self.instance.inside(*args), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))

    def half_open(self):
        return len(self.instance.run("ss", "-Htn", "state", "syn-recv").stdout.splitlines())

    def fetch(self, seconds):
        """[(small files, bytes of the long one) in each slice]"""
        return json.loads(self.client.run("/usr/bin/python3", os.path.abspath(__file__), "client", SERVER, str(seconds)))

    def flood(self, program, kind, rate, payload, *end):
        p = subprocess.Popen(self.attacker.inside(program, "--interface", "at0", "--mac", self.mac, "--kind", kind, "--source", FORGED,
                                                  "--sources", str(SOURCES), "--destination", SERVER, "--port",
                                                  str(HTTP if kind == "syn" else QUERY), "--payload", str(payload), "--rate", str(rate), *end),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.children.append(p)
        return p

    def close(self):
        for p in self.children:
            p.kill()
            p.wait()
            if p.stdout:
                p.stdout.close()
        for space in self.spaces:
            space.close()


# ---- what runs in the namespaces ----

class Client:
    """Many small files, each over a connection of its own, and a long one."""

    def __init__(self, address, seconds):
        self.address, self.start = address, time.monotonic()
        self.end = self.start + seconds
        self.small, self.bytes = ([0] * int(seconds / SLICE) for _ in range(2))

    def add(self, slices, amount):
        at = int((time.monotonic() - self.start) / SLICE)
        if at < len(slices):
            slices[at] += amount

    def fetch(self, path, take):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
            s.settimeout(2)
            s.connect((self.address, HTTP))
            s.sendall(f"GET /{path} HTTP/1.0\r\nHost: web\r\n\r\n".encode())
            while time.monotonic() < self.end:
                part = s.recv(1 << 16)
                if not part:
                    return
                take(len(part))

    def again(self, path, take, done):
        while (now := time.monotonic()) < self.end:
            try:
                self.fetch(path, take)
                done()
            except OSError:
                pass
            time.sleep(max(0, EACH_S - (time.monotonic() - now)))

    def run(self):
        threads = [threading.Thread(target=self.again, args=("small", lambda n: None, lambda: self.add(self.small, 1)), daemon=True)
                   for _ in range(ASKERS)]
        threads.append(threading.Thread(target=self.again, args=("long", lambda n: self.add(self.bytes, n), lambda: None), daemon=True))
        for t in threads:
            t.start()
        time.sleep(max(0, self.end - time.monotonic()))
        print(json.dumps(list(zip(self.small, self.bytes))), flush=True)
        os._exit(0)  # whoever still waits for an answer


def answer(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, port))
        while True:
            data, who = s.recvfrom(2048)
            try:
                s.sendto(data, who)
            except OSError:
                pass  # the line is full


if __name__ == "__main__":
    if sys.argv[1] == "client":
        Client(sys.argv[2], float(sys.argv[3])).run()
    else:
        answer(sys.argv[2], int(sys.argv[3]))
