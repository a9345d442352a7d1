#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SYNs above the rate of all sources: real connections through cookies that the guard sent in the stack's place, to a real stack."""
import os
import shutil
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import net  # noqa: E402
import pipeline  # noqa: E402
import test_firewall  # noqa: E402
import web  # noqa: E402

PORT, OTHER, EATEN = 4001, 4003, 4004
BYTES = 300_000
KERNEL_HAS_COOKIES = tuple(int(n) for n in os.uname().release.split(".")[:2]) >= (6, 0)
RULES = """
firewall:
  policy: drop
  rules:
    - {name: known, state: [established, related], action: accept}
    - {name: strange, state: invalid, action: drop}
    - {name: new, proto: tcp, dport: [4001, 4003], state: new, action: accept}
    - {name: eaten, proto: tcp, dport: 4004, state: new, action: accept}
"""


class SynTest(test_firewall.FirewallTest):
    rules = RULES
    policyd = "syn: {rate: 1, burst: 20ms}"
    sysctl = 2
    cookies = True  # the test needs the kernel's helper

    def setUp(self):
        if self.cookies and not KERNEL_HAS_COOKIES:
            self.skipTest("this kernel has no helper for SYN cookies (6.0 has)")
        super().setUp()
        self.addCleanup(os.close, net.xdp_pass(self.peer.holder.pid, self.peer.far))

    def pipeline(self, **sections):
        p = super().pipeline(**sections)
        self.set_sysctl(p, self.sysctl)
        return p

    def use_up(self):
        """SYNs from elsewhere, to where nobody listens, take the whole rate: however slow the machine is, ours are above it."""
        p = subprocess.Popen(self.peer.inside(pipeline.helper("flood"), "--interface", self.peer.far, "--mac", self.peer.mac(self.p.run, self.peer.near),
                                              "--kind", "syn", "--source", "198.18.0.1", "--sources", "100", "--destination", net.V4[0],
                                              "--port", str(EATEN), "--rate", "200", "--for", "600s"),
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        pipeline.wait_for(lambda: self.reasons()["syn_limit"], "the rate used up")
        return p

    @staticmethod
    def set_sysctl(p, value):
        p.run("sh", "-c", f"echo {value} >/proc/sys/net/ipv4/tcp_syncookies")

    def said(self, text):
        return text in self.p.stage["policyd"].text()

    def serve(self, port, pid=None):
        """Sends back what comes, in threads that end with their connections."""
        server = self.listener(port, pid)

        def one(s):
            with s:
                while data := s.recv(65536):
                    s.sendall(data)

        def accept():
            while True:
                try:
                    s, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(s,), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()

    def listener(self, port, pid=None):
        s = net.within(pid or self.p.holder.pid, lambda: socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64))
        self.addCleanup(s.close)
        self.addCleanup(s.shutdown, socket.SHUT_RDWR)
        return s

    def talk(self, family, port=PORT, timeout=20, to=None):
        """One connection, through which as much comes back as was sent."""
        far = self.socket("far", family, socket.SOCK_STREAM)
        far.settimeout(timeout)
        far.connect((to or test_firewall.FAMILIES[family][1][0], port))
        data = os.urandom(BYTES)
        sender = threading.Thread(target=lambda: (far.sendall(data), far.shutdown(socket.SHUT_WR)))
        sender.start()
        got = b""
        while part := far.recv(65536):
            got += part
        sender.join()
        far.close()
        self.assertEqual(got, data)


class Cookies(SynTest):
    def test_connections(self):
        """Above the rate every connection begins with the guard's cookie, and goes on as any other: in both families, tracked as established."""
        self.serve(PORT)
        self.use_up()
        before = self.reasons()["syn_cookie"]
        for family in ("inet", "inet6") * 5:
            self.talk(family)
        self.assertGreaterEqual(self.reasons()["syn_cookie"] - before, 8)  # the rate may let one through
        self.assertEqual(self.counted("strange")[0], 0)
        self.assertLessEqual(self.counted("new")[0], 15)  # SYNs: what follows them is of known connections

    def test_where_nobody_listens(self):
        """Such a SYN is dropped above the rate: the stack answers no flood with resets."""
        self.use_up()
        far = self.socket("far", "inet", socket.SOCK_STREAM)
        far.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            far.connect((net.V4[0], OTHER))

    def test_listeners_of_their_own(self):
        """A stack takes a cookie for a listener that has sent some lately: also when the guard alone has seen SYNs for it."""
        self.serve(PORT)
        self.serve(OTHER)
        self.use_up()
        self.talk("inet")
        before = self.reasons()["syn_cookie"]
        for family in ("inet", "inet6"):
            self.talk(family, OTHER)
        self.assertGreater(self.reasons()["syn_cookie"], before)


class CookiesAtTc(Cookies):
    """The same at tc ingress, where the answer goes out as any packet of the host: it begins no connection."""
    loader = SynTest.loader + "\nrungs: {guard: tc}"


class Router(SynTest):
    """The guarded host forwards to a server, and listens on the same port itself."""
    server = "10.99.9.2"

    def setUp(self):
        super().setUp()
        self.space = web.Namespace()
        self.addCleanup(self.space.close)
        self.p.run("ip", "link", "add", "psts0", "type", "veth", "peer", "name", "srv0", "netns", str(self.space.holder.pid))
        for run, name, address in ((self.p.run, "psts0", "10.99.9.1"), (self.space.run, "srv0", self.server)):
            run("ip", "addr", "add", address + "/24", "dev", name)
            run("ip", "link", "set", name, "up")
        self.space.run("ip", "route", "add", "default", "via", "10.99.9.1")
        self.peer.run("ip", "route", "add", "10.99.9.0/24", "via", net.V4[0])
        self.p.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/forwarding")
        self.listener(PORT)  # here: accepts, and never answers
        self.serve(PORT, self.space.holder.pid)

    def comes_through(self, to):
        """A client repeats its SYN until one is below the rate: no answer is made up in the server's name, which would end it."""
        flood = self.use_up()
        before, done = self.reasons(), []

        def client():
            self.talk("inet", timeout=60, to=to)
            done.append(True)
        t = threading.Thread(target=client)
        t.start()
        pipeline.wait_for(lambda: self.reasons()["syn_limit"] - before["syn_limit"] > 300 or not t.is_alive(), "SYNs above the rate")
        flood.kill()
        t.join()
        self.assertEqual(done, [True])
        self.assertEqual(self.reasons()["syn_cookie"], before["syn_cookie"])

    def test_forwarded(self):
        self.comes_through(self.server)
        self.use_up()
        before = self.reasons()["syn_cookie"]
        for _ in range(2):  # the first may be below the rate
            far = self.socket("far", "inet", socket.SOCK_STREAM)
            far.settimeout(20)
            far.connect((net.V4[0], PORT))
        self.assertGreater(self.reasons()["syn_cookie"], before)


class RouterAtTc(Router):
    loader = SynTest.loader + "\nrungs: {guard: tc}"


class Translated(Router):
    """A port of this host that is a container's, and on which a process listens here too, as docker-proxy does."""
    policyd = f"syn: {{rate: 1, burst: 20ms, except: ['{PORT}']}}"

    def test_forwarded(self):
        if not shutil.which("nft"):
            self.skipTest("nft is not here")
        try:
            subprocess.run(["nsenter", "--net", "-t", str(self.p.holder.pid), "nft", "-f", "-"], text=True, check=True, stderr=subprocess.PIPE,
                           input=f"table ip t {{\nchain c {{\ntype nat hook prerouting priority -100\niifname pstn0 tcp dport {PORT} dnat to {self.server}\n}}\n}}\n")
        except subprocess.CalledProcessError as e:
            self.skipTest(f"no NAT here: {e.stderr.splitlines()[0]}")
        self.comes_through(net.V4[0])


class WithoutCookies(SynTest):
    """net.ipv4.tcp_syncookies is not 2, or the kernel has no helper: dropped, and said."""
    sysctl = 1
    cookies = False

    def test_by_rate(self):
        self.serve(PORT)
        self.talk("inet", timeout=60)  # the client repeats its SYN
        self.use_up()
        self.assertEqual(self.reasons()["syn_cookie"], 0)
        pipeline.wait_for(lambda: self.said("tcp_syncookies=2" if KERNEL_HAS_COOKIES else "no helpers for SYN cookies"), "a warning")


class SwitchedOn(SynTest):
    sysctl = 1

    def test_switched_on_while_it_runs(self):
        """The setting is looked at each second."""
        self.serve(PORT)
        self.set_sysctl(self.p, 2)
        pipeline.wait_for(lambda: self.said("answered with cookies"), "cookies")
        self.use_up()
        for _ in range(5):
            self.talk("inet")
        self.assertGreaterEqual(self.reasons()["syn_cookie"], 3)


class NamedPorts(SynTest):
    policyd = "syn: {rate: 1, burst: 20ms, ports: ['4001', 4002-4010]}"

    def test_answered_unheard(self):
        """Who stands behind is not asked."""
        self.serve(PORT)
        for _ in range(3):
            self.talk("inet")
        pipeline.wait_for(self.shaken, "a handshake without a server")

    def shaken(self):
        before = self.reasons()["syn_cookie"]
        for _ in range(2):  # the first may be below the rate
            far = self.socket("far", "inet", socket.SOCK_STREAM)
            far.settimeout(20)
            try:
                far.connect((net.V4[0], OTHER))
            except (ConnectionRefusedError, ConnectionResetError):  # also: right behind the handshake
                pass
        return self.reasons()["syn_cookie"] > before


if __name__ == "__main__":
    unittest.main()
