#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The sensors of the network, end to end: what the API shows of sockets, packets and flows is what the sockets themselves, the
interfaces and the two ends say."""
import collections
import os
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import json  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
import sensors  # noqa: E402
from sensors import KERNEL, boot_ns, net_ns  # noqa: E402

SO_COOKIE, SO_LINGER = 57, 13
UP, DOWN = 100_000, 23_456
FAMILIES = {"inet": (socket.AF_INET, net.V4), "inet6": (socket.AF_INET6, net.V6)}
ETH = 14
INTERVAL = 300_000_000  # udp_interval of sensors.SECTIONS
TcpInfo = collections.namedtuple("TcpInfo", "rtt_us retransmits segs_out segs_in")


def tcp_info(s):
    raw = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    words = struct.unpack_from("24I", raw, 8)
    return TcpInfo(words[15], words[23], *struct.unpack_from("2I", raw, 136))


def cookie(s):
    return struct.unpack("Q", s.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0] if KERNEL >= (5, 12) else None


def exactly(s, n):
    while n:
        part = s.recv(min(n, 65536))
        if not part:
            raise EOFError
        n -= len(part)


def bound(family, kind, address, port=0):
    s = socket.socket(FAMILIES[family][0], kind)
    s.bind((address, port))
    return s


class NetTest(sensors.SensorTest):
    """The clients live in the pipeline's namespace, the servers across a veth in the peer's."""

    @classmethod
    def prepare(cls):
        cls.peer = net.Peer(cls.p)
        cls.addClassCleanup(cls.peer.close)
        cls.near_ns, cls.far_ns = net_ns(cls.p.holder.pid), net_ns(cls.peer.holder.pid)
        cls.ifindex = json.loads(cls.p.run("ip", "-j", "link", "show", cls.peer.near).stdout)[0]["ifindex"]

    def near(self, work, name="pst-client"):
        return self.child(work, net=self.p.holder.pid, name=name)

    def far(self, work, name="pst-server"):
        return self.child(work, net=self.peer.holder.pid, name=name)

    def assert_ends(self, e, family, protocol, laddr, lport, raddr, rport, ns):
        self.assertEqual((e["family"], e["protocol"], e["laddr"], e["lport"], e.get("raddr"), e.get("rport", 0), e["net_ns"]),
                         (family, protocol, laddr, lport, raddr, rport, ns))

    def of_ports(self, kind, lport, rport, count=1):
        """The events of one end of a connection. (Other suites on this host have the same addresses.)"""
        found = self.want(f"kind={kind}&port={lport}", lambda e: (e["lport"], e.get("rport", 0)) == (lport, rport) and
                          e["net_ns"] in (self.near_ns, self.far_ns), count)
        self.assertEqual(len(found), count, found)
        return found[0] if count == 1 else found

    def flow(self, query, check):
        """The flow of /api/v1/flows, once it is as it should be."""
        def look():
            return next((f for f in self.api(f"flows?limit=10000&{query}")["flows"] if check(f)), None)
        return self.until(look, f"flow {query}")


def server_life(c, family):
    """Takes UP bytes up to the end, gives DOWN, and is the second to close."""
    server = bound(family, socket.SOCK_STREAM, FAMILIES[family][1][1])
    server.listen(7)
    c.ask(server.getsockname()[1])
    s, _ = server.accept()
    c.say(cookie(s))
    exactly(s, UP)
    assert not s.recv(1)
    s.sendall(b"d" * DOWN)
    s.close()
    c.say()
    c.hear()


def client_life(c, family):
    """The other end; tells the times and what the socket knows when all is over."""
    port = c.hear()
    s = socket.socket(FAMILIES[family][0])
    times = [boot_ns()]
    s.connect((FAMILIES[family][1][1], port))
    times.append(boot_ns())
    c.say((s.getsockname()[1], cookie(s)))
    s.sendall(b"u" * UP)
    times.append(boot_ns())
    s.shutdown(socket.SHUT_WR)
    exactly(s, DOWN)
    assert not s.recv(1)
    times.append(boot_ns())
    c.ask((times, tcp_info(s)))


class Tcp(NetTest):
    def life(self, family):
        """Plays it; (client, server, port, client's port, cookies, times, TCP_INFO)"""
        server = self.far(lambda c: server_life(c, family))
        port = server.hear()
        client = self.near(lambda c: client_life(c, family))
        server.say()
        client.say(port)
        cport, ccookie = client.hear()
        scookie = server.hear()
        server.hear()
        times, info = client.hear()
        return client, server, port, cport, (ccookie, scookie), times, TcpInfo(*info)

    def assert_life(self, family):
        (here, there) = FAMILIES[family][1]
        client, server, port, cport, cookies, times, info = self.life(family)
        before, connected, sent, ended = times
        mine = (family, "tcp", here, cport, there, port, self.near_ns)
        yours = (family, "tcp", there, port, here, cport, self.far_ns)

        e = self.of_ports("tcp_connect", cport, port)
        self.assert_ends(e, *mine)
        self.assert_who(e, client.pid)
        self.assertNotIn("error", e)
        self.assertTrue(0 < e["duration_ns"] <= connected - before, (e, times))
        made = e["cookie"]
        self.assertIn(cookies[0], (None, made))

        e = self.of_ports("tcp_listen", port, 0)
        self.assert_ends(e, family, "tcp", there, port, e.get("raddr"), 0, self.far_ns)
        self.assert_who(e, server.pid)
        self.assertEqual(e["backlog"], 7)

        e = self.of_ports("tcp_close", cport, port)
        self.assert_ends(e, *mine)
        self.assert_who(e, client.pid)
        self.assertEqual((e["bytes_sent"], e["bytes_received"], e["cookie"]), (UP, DOWN, made))
        self.assertTrue(sent - connected <= e["duration_ns"] <= ended - before, (e, times))
        self.assertEqual((e["srtt_us"], e.get("retransmits", 0)), (info.rtt_us, info.retransmits))

        e = self.of_ports("tcp_close", port, cport)
        self.assert_ends(e, *yours)
        self.assert_who(e, server.pid)
        self.assertEqual((e["bytes_sent"], e["bytes_received"]), (DOWN, UP))
        self.assertIn(cookies[1], (None, e["cookie"]))
        self.assertNotEqual(e["cookie"], made)
        self.assertGreater(e["srtt_us"], 0)
        return client, server, mine, yours, info, e["cookie"]

    def test_life_of_a_connection(self):
        """connect, listen, close at both ends: who, addresses, cookie, bytes, times, smoothed RTT, segments sent again."""
        self.needs("tcp")
        before = self.p.metrics()
        for family in FAMILIES:
            with self.subTest(family=family):
                self.assert_life(family)

        def grown(name, by):
            return int(self.p.metrics()[name]) >= int(before[name]) + by
        self.until(lambda: grown('penstock_tcp_connects_total{result="ok"}', 2) and grown("penstock_tcp_closes_total", 4) and
                   grown("penstock_tcp_listens_total", 2) and
                   grown('penstock_tcp_bytes_total{direction="in"}', 2 * (UP + DOWN)) and
                   grown('penstock_tcp_bytes_total{direction="out"}', 2 * (UP + DOWN)) and
                   grown("penstock_tcp_connect_duration_seconds_count", 2), "counters")

    def test_accept(self):
        """The accepting process becomes the connection's owner."""
        self.needs("accept")
        self.needs("tcp")
        for family in FAMILIES:
            with self.subTest(family=family):
                client, server, _, yours, _, socket_cookie = self.assert_life(family)
                e = self.of_ports("tcp_accept", yours[3], yours[5])
                self.assert_ends(e, *yours)
                self.assert_who(e, server.pid)
                self.assertEqual(e["cookie"], socket_cookie)

    def test_flow_of_a_connection(self):
        """Both directions as flows: packets as the socket counted its segments, flags, first and last, and why it ended."""
        self.needs("flows")
        self.needs("tcp")
        for family in FAMILIES:
            with self.subTest(family=family):
                begin = boot_ns()
                _, _, mine, _, info, _ = self.assert_life(family)
                _, _, here, cport, there, port, ns = mine
                header = 40 if family == "inet" else 60
                for direction, ends, packets, payload in (("out", (here, cport, there, port), info.segs_out, UP),
                                                          ("in", (there, port, here, cport), info.segs_in, DOWN)):
                    f = self.flow(f"port={cport}", lambda f, d=direction, e=ends: f["dir"] == d and f.get("end") == "fin" and (
                        f["saddr"], f["sport"], f["daddr"], f["dport"]) == e)
                    self.assertEqual((f["protocol"], f["family"], f["interface"], f["ifindex"], f["net_ns"]),
                                     ("tcp", family, self.peer.near, self.ifindex, ns))
                    self.assertEqual(f["packets"], packets, (f, info))
                    self.assertTrue(payload + header * packets < f["bytes"] <= payload + (header + 40) * packets, f)
                    self.assertEqual(set(f["tcp_flags"]), {"SYN", "ACK", "PSH", "FIN"})
                    self.assertTrue(begin < f["first_ns"] < f["last_ns"] < boot_ns(), f)
                # each packet is in one event's delta
                told = self.events(f"kind=flow&port={cport}")
                self.assertEqual(sum(e["delta_packets"] for e in told if "delta_packets" in e), info.segs_out + info.segs_in)

    def test_refused(self):
        """connect(2) that fails says why, and that a reset came."""
        self.needs("tcp")

        def work(c, family, address, port):
            s = socket.socket(FAMILIES[family][0])
            s.bind((FAMILIES[family][1][0], 0))
            error = s.connect_ex((address, port))
            c.ask((error, s.getsockname()[1]))
        for family, (_, (here, there)) in FAMILIES.items():
            with self.subTest(family=family):
                c = self.near(lambda c, f=family, t=there: work(c, f, t, 9))
                error, cport = c.hear()
                self.assertEqual(os.strerror(error), "Connection refused")
                e = self.of_ports("tcp_connect", cport, 9)
                self.assert_ends(e, family, "tcp", here, cport, there, 9, self.near_ns)
                self.assert_who(e, c.pid)
                self.assertEqual((e["error"], e["service"]), ("ECONNREFUSED", socket.getservbyport(9, "tcp")))
                r = self.of_ports("tcp_reset", cport, 9)
                self.assertEqual((r["dir"], r["state"], r["cookie"], r["pid"]), ("in", "SYN_SENT", e["cookie"], c.pid))
                self.assertEqual(self.events(f"kind=tcp_close&port={cport}"), [])
                c.say()
        self.assertGreaterEqual(int(self.p.metrics()['penstock_tcp_connects_total{result="ECONNREFUSED"}']), 2)

    def test_reset(self):
        """A connection that is thrown away: the reset, sent and received, and the socket's own figures at the end."""
        self.needs("tcp")

        def serve(c):
            server = bound("inet", socket.SOCK_STREAM, net.V4[1])
            server.listen(1)
            c.say(server.getsockname()[1])
            s, _ = server.accept()
            s.sendall(b"x" * 10)
            try:
                s.recv(1)
                c.say("end")
            except ConnectionResetError:
                c.say("reset")
            c.hear()

        def throw(c):
            s = socket.create_connection((net.V4[1], c.hear()))
            exactly(s, 10)
            s.setsockopt(socket.SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            told = s.getsockname()[1], tcp_info(s)
            s.close()
            c.ask(told)
        server, client = self.far(serve), self.near(throw)
        port = server.hear()
        client.say(port)
        cport, info = client.hear()
        self.assertEqual(server.hear(), "reset")
        info = TcpInfo(*info)
        e = self.of_ports("tcp_close", cport, port)
        self.assert_who(e, client.pid)
        self.assertEqual((e.get("bytes_sent", 0), e["bytes_received"], e["srtt_us"], e.get("retransmits", 0)),
                         (0, 10, info.rtt_us, info.retransmits))
        sent, got = self.of_ports("tcp_reset", cport, port), self.of_ports("tcp_reset", port, cport)
        self.assert_ends(sent, "inet", "tcp", net.V4[0], cport, net.V4[1], port, self.near_ns)
        self.assert_ends(got, "inet", "tcp", net.V4[1], port, net.V4[0], cport, self.far_ns)
        self.assertEqual((sent["dir"], got["dir"], got["state"], sent["pid"]), ("out", "in", "ESTABLISHED", client.pid))
        names = [n for n in self.api("status")["loader"]["reset_reasons"] if n]
        self.assertEqual("reason" in sent, bool(names), (sent, names))
        self.assertIn(sent.get("reason"), [*names, None])
        metrics = self.p.metrics()
        self.assertTrue(all(int(metrics[f'penstock_tcp_resets_total{{direction="{d}"}}']) > 0 for d in ("in", "out")))

    def test_retransmit(self):
        """Frames that go to a wrong address for a while: each segment sent again is an event, as many as the socket counts."""
        self.needs("tcp")

        def serve(c):
            server = bound("inet", socket.SOCK_STREAM, net.V4[1])
            server.listen(1)
            c.say(server.getsockname()[1])
            s, _ = server.accept()
            exactly(s, 5)
            c.say()
            s.recv(1)

        def lose(c):
            s = socket.create_connection((net.V4[1], c.hear()))
            c.ask(s.getsockname()[1])
            s.sendall(b"again")
            c.ask()
            told = tcp_info(s)
            s.close()
            c.ask(told)
        server, client = self.far(serve), self.near(lose)
        client.say(server.hear())
        cport = client.hear()
        mac = self.peer.mac(self.peer.run, self.peer.far)
        neighbour = ("ip", "neigh", "replace", net.V4[1], "dev", self.peer.near, "nud", "permanent", "lladdr")
        self.p.run(*neighbour, "02:00:00:00:00:99")
        try:
            client.say()
            client.hear()
            self.want(f"kind=tcp_retransmit&port={cport}", count=2)
        finally:
            self.p.run(*neighbour, mac)
        server.hear()
        client.say()
        info = TcpInfo(*client.hear())
        again = self.want(f"kind=tcp_retransmit&port={cport}", count=info.retransmits)
        self.assertEqual(len(again), info.retransmits)
        self.assertEqual([e["retransmits"] for e in again], list(range(1, info.retransmits + 1)))
        self.assertEqual({(e["state"], e["net_ns"], e["pid"]) for e in again}, {("ESTABLISHED", self.near_ns, client.pid)})
        e = self.of_ports("tcp_close", cport, again[0]["rport"])
        self.assertEqual((e["retransmits"], e["bytes_sent"]), (info.retransmits, 5))
        self.assertGreaterEqual(int(self.p.metrics()["penstock_tcp_retransmits_total"]), info.retransmits)


class Udp(NetTest):
    def receiver(self, family):
        def work(c):
            s = bound(family, socket.SOCK_DGRAM, FAMILIES[family][1][1])
            c.say((s.getsockname()[1], cookie(s)))
            while True:
                count, answer = c.hear()
                for _ in range(count):
                    _, sender = s.recvfrom(4096)
                if answer:
                    s.sendto(b"a" * answer, sender)
                c.say()
        r = self.far(work, name="pst-udp-in")
        return r, *r.hear()

    def sender(self, family, ports):
        def work(c):
            s = bound(family, socket.SOCK_DGRAM, FAMILIES[family][1][0])
            c.say((s.getsockname()[1], cookie(s)))
            while True:
                for port, count, size in c.hear():
                    for _ in range(count):
                        s.sendto(b"u" * size, (FAMILIES[family][1][1], port))
                c.say()
        s = self.near(work, name="pst-udp-out")
        return s, *s.hear()

    def totals(self, lport, rport):
        """(packets sent, bytes sent, packets received, bytes received) of all events of one end, and these"""
        found = self.events(f"kind=udp_traffic&port={lport}", lambda e: (e["lport"], e["rport"]) == (lport, rport) and
                            e["net_ns"] in (self.near_ns, self.far_ns))
        return tuple(sum(e.get(f, 0) for e in found)
                     for f in ("packets_sent", "bytes_sent", "packets_received", "bytes_received")), found

    def wait_totals(self, lport, rport, expected):
        self.until(lambda: self.totals(lport, rport)[0] >= expected, f"UDP {lport} {rport} {expected}")
        got, found = self.totals(lport, rport)
        self.assertEqual(got, expected)
        return found

    def test_by_peer(self):
        """One socket, two peers, both directions: each datagram and byte in the interval in which it went."""
        self.needs("udp")
        for family, (_, (here, there)) in FAMILIES.items():
            with self.subTest(family=family):
                (r1, p1, cookie1), (r2, p2, _) = self.receiver(family), self.receiver(family)
                s, port, own = self.sender(family, (p1, p2))
                s.ask([(p1, 10, 100), (p2, 3, 1)])
                r1.ask((10, 77))
                r2.ask((3, 0))
                self.wait_totals(port, p2, (3, 3, 0, 0))
                first = self.wait_totals(port, p1, (10, 1000, 1, 77))
                s.ask([(p1, 5, 200)])
                r1.ask((5, 33))
                every = self.wait_totals(port, p1, (15, 2000, 2, 110))
                self.assertGreater(len(every), len(first))
                self.assertEqual(sum(e.get("packets_sent", 0) for e in every[len(first):]), 5)
                for e in every:
                    self.assert_ends(e, family, "udp", here, port, there, p1, self.near_ns)
                    self.assertEqual((e["pid"], e["exe"], e["user"]), (s.pid, os.readlink(f"/proc/{s.pid}/exe"), "root"))
                    self.assertGreater(e["interval_ns"], 0)
                    self.assertIn(own, (None, e["cookie"]))
                far = self.wait_totals(p1, port, (2, 110, 15, 2000))
                self.assert_ends(far[0], family, "udp", there, p1, here, port, self.far_ns)
                self.assertEqual({e["pid"] for e in far}, {r1.pid})
                self.assertIn(cookie1, (None, far[0]["cookie"]))

    def test_once_in_an_interval(self):
        """However much goes, a pair makes one event an interval."""
        self.needs("udp")
        r, rport, _ = self.receiver("inet")
        s, port, _ = self.sender("inet", (rport,))
        sent, begin = 0, boot_ns()
        while len(self.totals(port, rport)[1]) < 4:
            s.ask([(rport, 20, 10)])
            r.ask((20, 0))
            sent += 20
        every = self.wait_totals(port, rport, (sent, 10 * sent, 0, 0))
        self.assertLessEqual(len(every), (boot_ns() - begin) // INTERVAL + 2)
        for a, b in zip(every, every[1:]):
            self.assertEqual(b["interval_ns"], b["ts_ns"] - a["ts_ns"])
        metrics = self.p.metrics()
        self.assertGreaterEqual(int(metrics['penstock_udp_packets_total{direction="out"}']), sent)
        self.assertGreaterEqual(int(metrics['penstock_udp_bytes_total{direction="in"}']), 10 * sent)


class Drops(NetTest):
    COUNT = 5

    def reason(self, name):
        """None where this kernel gives no reasons, or has another one."""
        return name if name in self.api("status")["loader"]["drop_reasons"] else None

    def no_ports(self, pid):
        """The namespace's own count of UDP datagrams for closed ports."""
        rows = [line.split()[1:] for line in open(f"/proc/{pid}/net/snmp") if line.startswith("Udp:")]
        return int(dict(zip(*rows))["NoPorts"])

    def shoot(self, start, source, target, port):
        def work(c):
            for n in range(self.COUNT):
                s = bound("inet", socket.SOCK_DGRAM, source)
                s.sendto(b"x" * 100, (target, port))
                c.say(s.getsockname()[1])
            c.hear()
        c = start(work)
        return [c.hear() for _ in range(self.COUNT)]

    def assert_closed_port(self, start, source, target, port, ns, holder, interface):
        before, reason = self.no_ports(holder), self.reason("NO_SOCKET")
        ports = self.shoot(start, source, target, port)
        found = self.want(f"kind=packet_drop&port={port}", lambda e: e["net_ns"] == ns and e.get("dport") == port, self.COUNT)
        self.assertEqual(sorted(e["sport"] for e in found), sorted(ports))
        self.assertGreaterEqual(self.no_ports(holder) - before, self.COUNT)
        for e in found:
            self.assertEqual((e["saddr"], e["daddr"], e["protocol"], e["family"]), (source, target, "udp", "inet"))
            self.assertEqual(e.get("interface"), interface)
            self.assertTrue(int(e["location"], 16))
            self.assertGreaterEqual(e["bytes"], 100)
            self.assertEqual(e.get("reason"), reason)

    def test_no_socket(self):
        """A datagram for a closed port, here and in another namespace, whose interfaces are not ours."""
        self.needs("drops")
        self.assert_closed_port(self.near, *net.V4, 40001, self.far_ns, self.peer.holder.pid, None)
        self.assert_closed_port(self.far, *reversed(net.V4), 40002, self.near_ns, self.p.holder.pid, self.peer.near)
        label = self.reason("NO_SOCKET") or "unknown"
        self.assertGreaterEqual(int(self.p.metrics()[f'penstock_packet_drops_total{{reason="{label}"}}']), 2 * self.COUNT)

    def test_frame_for_somebody_else(self):
        """A frame with another address is dropped with that reason, where the kernel says it."""
        self.needs("drops")
        reason = self.reason("OTHERHOST")
        if not reason:
            self.skipTest("this kernel has no drop reason OTHERHOST")
        mac = self.peer.mac(self.peer.run, self.peer.far)
        neighbour = ("ip", "neigh", "replace", net.V4[1], "dev", self.peer.near, "nud", "permanent", "lladdr")
        self.p.run(*neighbour, "02:00:00:00:00:99")
        try:
            self.shoot(self.near, *net.V4, 40003)
        finally:
            self.p.run(*neighbour, mac)
        found = self.want("kind=packet_drop&port=40003", lambda e: e["net_ns"] == self.far_ns, self.COUNT)
        self.assertEqual({(e["reason"], e["daddr"]) for e in found}, {("OTHERHOST", net.V4[1])})


class Flows(NetTest):
    def setUp(self):
        self.needs("flows")

    def datagrams(self, family):
        """A socket that sends so many datagrams of a size when it is told to; (child, its port, the port sent to)"""
        sink = self.far(lambda c: self.hold(c, family), name="pst-sink")
        rport = sink.hear()

        def work(c):
            s = bound(family, socket.SOCK_DGRAM, FAMILIES[family][1][0])
            c.say(s.getsockname()[1])
            while True:
                count, size = c.hear()
                for _ in range(count):
                    s.sendto(b"f" * size, (FAMILIES[family][1][1], rport))
                c.say()
        c = self.near(work)
        return c, c.hear(), rport

    @staticmethod
    def hold(c, family):
        s = bound(family, socket.SOCK_DGRAM, FAMILIES[family][1][1])
        c.ask(s.getsockname()[1])

    def test_totals_and_idle_timeout(self):
        """Packets and bytes of layer 3 to the byte; a silent flow ends as idle."""
        for family, (_, (here, there)) in FAMILIES.items():
            with self.subTest(family=family):
                c, port, rport = self.datagrams(family)
                begin = boot_ns()
                c.ask((20, 100))

                def ours(f, port=port, rport=rport):
                    return (f["sport"], f["dport"]) == (port, rport)
                f = self.flow(f"port={port}", lambda f: ours(f) and f["packets"] == 20)
                # Not when the last was sent: datagrams may have waited for the neighbour's address.
                seen = boot_ns()
                self.assertEqual((f["saddr"], f["sport"], f["daddr"], f["dport"], f["protocol"], f["family"], f["dir"]),
                                 (here, port, there, rport, "udp", family, "out"))
                self.assertEqual((f["bytes"], f["interface"], f["ifindex"], f["net_ns"]),
                                 (20 * (100 + (28 if family == "inet" else 48)), self.peer.near, self.ifindex, self.near_ns))
                self.assertTrue(begin < f["first_ns"] <= f["last_ns"] < seen, f)
                self.assertNotIn("tcp_flags", f)
                f = self.flow(f"port={port}", lambda f: ours(f) and f.get("end"))
                self.assertEqual((f["end"], f["packets"]), ("idle", 20))
                self.assertEqual([f for f in self.api(f"flows?active=1&port={port}")["flows"] if ours(f)], [])
                told = self.events(f"kind=flow&port={port}", ours)
                self.assertEqual([e.get("end") for e in told][-1], "idle")
                self.assertGreaterEqual(told[-1]["ts_ns"] - told[-1]["last_ns"], 2_000_000_000)
                self.assertEqual(sum(e.get("delta_packets", 0) for e in told), 20)
        self.assertGreaterEqual(int(self.p.metrics()['penstock_flow_ends_total{reason="idle"}']), 2)

    def test_active_timeout(self):
        """A flow that goes on is told of again and again, each time with what came since."""
        c, port, _ = self.datagrams("inet")
        sent = 0

        def going():
            return self.events(f"kind=flow&port={port}", lambda e: "end" not in e)
        while len(going()) < 3:
            c.ask((3, 50))
            sent += 3
        told = self.want(f"kind=flow&port={port}", lambda e: e["packets"] == sent)
        told = self.events(f"kind=flow&port={port}")
        self.assertEqual(sum(e.get("delta_packets", 0) for e in told), sent)
        self.assertEqual(sum(e.get("delta_bytes", 0) for e in told), 78 * sent)
        self.assertEqual(len({(e["flow_id"], e["first_ns"]) for e in told}), 1)
        steps = [b["ts_ns"] - a["ts_ns"] for a, b in zip(told, told[1:]) if "end" not in b]
        self.assertTrue(all(s >= 1_000_000_000 for s in steps), steps)

    def link(self):
        """The interface's own (packets, bytes) in and out."""
        stats = json.loads(self.p.run("ip", "-s", "-j", "link", "show", self.peer.near).stdout)[0]["stats64"]
        return [(stats[d]["packets"], stats[d]["bytes"]) for d in ("rx", "tx")]

    def counted(self, direction, metrics=None):
        metrics, out = metrics or self.p.metrics(), [0, 0]
        for key, value in metrics.items():
            for i, name in enumerate(("packets", "bytes")):
                if key.startswith(f'penstock_interface_{name}_total{{interface="{self.peer.near}",direction="{direction}"'):
                    out[i] += int(value)
        return out

    def test_interface_counters(self):
        """By protocol what was sent; all together what the interface itself counted (which adds the link header)."""
        def key(name, family, direction="out"):
            labels = f'interface="{self.peer.near}",direction="{direction}",family="{family}",protocol="udp"'
            return f"penstock_interface_{name}_total{{{labels}}}"
        before, link = self.baseline()
        for family, size in (("inet", 100), ("inet6", 60)):
            c, _, _ = self.datagrams(family)
            c.ask((25, size))
        for family, layer3 in (("ipv4", 128), ("ipv6", 108)):
            for name, expected in (("packets", 25), ("bytes", 25 * layer3)):
                k = key(name, family)
                self.until(lambda k=k, n=expected: int(self.p.metrics().get(k, 0)) - int(before.get(k, 0)) >= n, k)
                self.assertEqual(int(self.p.metrics()[k]) - int(before.get(k, 0)), expected)
        # whatever else went by went by both
        for i, direction in enumerate(("in", "out")):
            def same(i=i, direction=direction):
                was, now = self.counted(direction, before), self.counted(direction)
                packets, bytes_ = now[0] - was[0], now[1] - was[1]
                return [packets, bytes_ + ETH * packets] == [b - a for a, b in zip(link[i], self.link()[i])]
            self.until(same, f"the interface's own counters, {direction}")

    def baseline(self):
        """Metrics and the interface's counters of one moment: no packet went by between a read of the latter and a pass after it."""
        while True:
            link, since = self.link(), boot_ns()
            key = 'penstock_iterator_age_seconds{iterator="interfaces"}'
            metrics = self.until(lambda: next((m for m in [self.p.metrics()] if boot_ns() - float(m[key]) * 1e9 > since), None), "a pass")
            if self.link() == link:
                return metrics, link


if __name__ == "__main__":
    unittest.main()
