#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sockets that are made and bound, and capabilities that are checked, end to end: what the API shows is what the kernel's own lists and
the call's result say."""
import errno
import os
import select
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import deeds  # noqa: E402
import lib  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
import sensors  # noqa: E402

MANY = 40
CAP_SYS_CHROOT, CLONE_NEWUSER, USER_NS_INIT = 18, 0x10000000, 0xeffffffd
ETH_P_ALL, ETH_P_ARP = 3, 0x806


def listed(name, s):
    """The line of a socket in /proc/net: the one with its inode."""
    inode = str(os.fstat(s.fileno()).st_ino)
    with open(f"/proc/thread-self/net/{name}") as f:
        return next(line.split() for line in f if inode in line.split())


class SocketTest(sensors.SensorTest):
    """What is done is done in a network namespace of its own."""

    @classmethod
    def prepare(cls):
        cls.peer = net.Peer(cls.p)
        cls.addClassCleanup(cls.peer.close)
        cls.ns = cls.peer.holder.pid

    def doer(self, deed):
        """A child that has done it, and what it says of it; it goes on to live until the end of the test."""
        def work(c):
            c.say(deed())
            c.hear()
        c = self.child(work, net=self.ns)
        return c.pid, c.hear()

    def event(self, kind, pid):
        e = self.one(f"kind={kind}&pid={pid}")
        self.assert_who(e, pid)
        self.assertEqual(e["net_ns"], sensors.net_ns(self.ns))
        return e

    def lines(self, pid):
        """What `penstock observe` prints of a process."""
        return self.p.run(os.path.join(lib.BINDIR, "penstock"), "observe", "--run-dir", self.p.run_dir, "--last", "1000000",
                          "--pid", str(pid)).stdout


class Made(SocketTest):
    def test_packet(self):
        self.needs("socket")

        def deed():
            try:
                self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            except OSError as e:
                return e.errno
            row = listed("packet", self.s)
            return {"type": int(row[2]), "protocol": "0x" + row[3]}
        pid, told = self.doer(deed)
        e = self.event("socket_create", pid)
        self.assertEqual((e["family"], e["socket_type"]), ("packet", "raw"))
        if isinstance(told, int):
            self.skipTest("no packet sockets in this kernel")
        self.assertEqual((socket.SOCK_RAW, e["socket_protocol"]), (told["type"], told["protocol"]))
        self.assertNotIn("error", e)
        self.assertRegex(self.lines(pid), r"socket .*packet raw 0x0003\n")

    def test_raw(self):
        self.needs("socket")

        def deed():
            self.s = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
            return int(listed("raw", self.s)[1].split(":")[1], 16)  # the protocol is where others have a port
        pid, protocol = self.doer(deed)
        self.assertEqual(protocol, socket.IPPROTO_ICMP)
        e = self.event("socket_create", pid)
        self.assertEqual((e["family"], e["socket_type"], e["socket_protocol"]), ("inet", "raw", "icmp"))
        self.assertNotIn("error", e)

    def test_netlink(self):
        self.needs("socket")

        def deed():
            self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 16)
            self.s.bind((0, 0))  # the others are not listed
            return int(listed("netlink", self.s)[1])
        pid, protocol = self.doer(deed)
        self.assertEqual(protocol, 16)
        e = self.event("socket_create", pid)
        self.assertEqual((e["family"], e["socket_type"], e["socket_protocol"]), ("netlink", "dgram", "generic"))

    def test_refused(self):
        """One who may not, and a family that there is not."""
        self.needs("socket")

        def deed():
            os.setgroups([])
            os.setgid(lib.STRANGER)
            os.setuid(lib.STRANGER)
            errors = []
            for family, protocol in ((socket.AF_INET6, socket.IPPROTO_ICMPV6), (4242, 0)):
                try:
                    socket.socket(family, socket.SOCK_RAW, protocol).close()
                except OSError as e:
                    errors.append(e.errno)
            return errors, sensors.status_of(os.getpid())["CapEff"]
        pid, (errors, caps) = self.doer(deed)
        self.assertEqual((len(errors), int(caps[0], 16)), (2, 0))
        found = sorted(self.want(f"kind=socket_create&pid={pid}", count=2), key=lambda e: e["ts_ns"])
        self.assertEqual([e["error"] for e in found], [errno.errorcode[n] for n in errors])
        self.assertEqual([(e["family"], e["socket_protocol"]) for e in found], [("inet6", "icmpv6"), ("4242", "0")])
        self.assertEqual([e["uid"] for e in found], [lib.STRANGER] * 2)
        self.assertIn(" EPERM\n", self.lines(pid))

    def test_ordinary(self):
        """Neither TCP nor UDP nor Unix nor routes, but what comes after them."""
        self.needs("socket")

        def deed():
            for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_DGRAM),
                                 (socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_NETLINK, socket.SOCK_RAW)):
                socket.socket(family, kind).close()
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).close()
        pid, _ = self.doer(deed)
        e = self.event("socket_create", pid)
        self.assertEqual((e["socket_type"], e["socket_protocol"]), ("raw", "udp"))


def address(text):
    """(address, port) of /proc/net/tcp and the like: words of the host's order, in hex."""
    words, port = text.split(":")
    raw = b"".join(int(words[i:i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(words), 8))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16)


class Assigned(SocketTest):
    """Against what /proc/net says of the socket in that namespace."""

    def told(self, pid, **fields):
        e = self.event("socket_bind", pid)
        self.assertEqual({k: e.get(k) for k in fields}, fields)
        return e

    def test_ipv4_and_a_port_of_the_kernel(self):
        self.needs("bind")

        def deed():
            self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.s.bind((net.V4[1], 0))
            return listed("udp", self.s)[1]
        pid, told = self.doer(deed)
        addr, port = address(told)
        self.assertEqual(addr, net.V4[1])
        self.assertTrue(port)
        e = self.told(pid, family="inet", socket_type="dgram", socket_protocol="udp", laddr=net.V4[1], lport=port)
        self.assertNotIn("error", e)
        self.assertRegex(self.lines(pid), rf"bind .*inet dgram {net.V4[1]}:{port}\n")

    def test_ipv6(self):
        self.needs("bind")

        def deed():
            self.s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            self.s.bind((net.V6[1], 4000))
            self.s.listen()
            return listed("tcp6", self.s)[1]
        pid, told = self.doer(deed)
        self.assertEqual(address(told), (net.V6[1], 4000))
        self.told(pid, family="inet6", socket_type="stream", socket_protocol="tcp", laddr=net.V6[1], lport=4000)

    def test_refused(self):
        self.needs("bind")

        def deed():
            with self.assertRaises(OSError) as caught, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
                s.bind(("203.0.113.7", 53))
            return errno.errorcode[caught.exception.errno]
        pid, error = self.doer(deed)
        self.told(pid, family="inet", laddr="203.0.113.7", lport=53, error=error)
        self.assertEqual(error, "EADDRNOTAVAIL")

    def unix(self, address):
        def deed():
            self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.s.bind(address)
            return listed("unix", self.s)[7]
        return self.doer(deed)

    def test_unix_path(self):
        self.needs("bind")
        path = os.path.join(self.p.run_dir, pipeline.unique("bound"))
        pid, told = self.unix(path)
        self.assertEqual(told, path)
        e = self.told(pid, family="unix", socket_type="stream", path=path)
        self.assertFalse({"abstract", "laddr", "lport"} & set(e))

    def test_unix_abstract(self):
        self.needs("bind")
        name = pipeline.unique("bound")
        pid, told = self.unix("\0" + name)
        self.assertEqual(told, "@" + name)
        self.told(pid, family="unix", path="@" + name, abstract=True)
        self.assertIn(f"unix stream @{name}\n", self.lines(pid))

    def test_packet(self):
        self.needs("bind")

        def deed():
            try:
                self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            except OSError:
                return None
            self.s.bind((self.peer.far, ETH_P_ARP))
            return listed("packet", self.s)[3:5]
        pid, told = self.doer(deed)
        if not told:
            self.skipTest("no packet sockets in this kernel")
        self.told(pid, family="packet", socket_type="raw", socket_protocol="0x" + told[0], ifindex=int(told[1]))


class Capabilities(sensors.SensorTest):
    """Against the sets in /proc/PID/status, and what the call returned that needs one of them."""
    sections = {**sensors.SECTIONS, "loader": "sensors: {capability: yes}\ncapability_interval: 1s"}

    def asks(self, before):
        """A child that has chroot(2) checked again and again; its event, and what it says of itself."""
        def work(c):
            before()
            c.say({"caps": sensors.status_of(os.getpid())["CapEff"][0], "user_ns": sensors.inode("/proc/self/ns/user")})
            error, n = None, 0
            while not select.select([c.link], [], [], 0.05)[0]:
                error, n = deeds.chroot(), n + 1
            c.hear()
            c.say([errno.errorcode.get(error), n])
            c.hear()
        c = self.child(work)
        said = c.hear()

        def found():
            return self.events(f"kind=capability_use&pid={c.pid}", lambda e: e["capability"] == "CAP_SYS_CHROOT")
        first = self.until(found, "the check")[0]
        self.assert_who(first, c.pid)
        more = self.until(lambda: (lambda all_: all_ if len(all_) > 1 else None)(found()), "the next one, an interval later")
        said["error"], said["calls"] = c.ask()
        told = sorted(e["checks"] for e in more)
        self.assertEqual(len(told), len(set(told)), more)
        self.assertLess(told[-1] - told[0], said["calls"])
        self.assertEqual(first["capability_number"], CAP_SYS_CHROOT)
        self.assertEqual(first["user_ns"], said["user_ns"])
        self.assertEqual(bool(int(said["caps"], 16) >> CAP_SYS_CHROOT & 1), first["result"] == "granted")
        self.assertEqual(first["audited"], "yes" if self.rung == "fexit" else "unknown")
        return c.pid, first, said

    def setUp(self):
        self.rung = self.needs("capability")

    def test_granted(self):
        pid, e, said = self.asks(lambda: None)
        self.assertEqual((e["result"], said["error"]), ("granted", None))
        self.assertEqual(e.get("init_user_ns", False), said["user_ns"] == USER_NS_INIT)
        lines = self.p.run(os.path.join(lib.BINDIR, "penstock"), "observe", "--run-dir", self.p.run_dir, "--last", "1000000",
                           "--pid", str(pid)).stdout
        self.assertRegex(lines, r"capability CAP_SYS_CHROOT granted ×\d+\n")

    def test_refused(self):
        def become_nobody():
            os.setgroups([])
            os.setgid(lib.STRANGER)
            os.setuid(lib.STRANGER)
        _, e, said = self.asks(become_nobody)
        self.assertEqual((e["result"], said["error"], e["uid"]), ("refused", "EPERM", lib.STRANGER))

    def test_granted_in_a_namespace_of_its_own(self):
        _, e, said = self.asks(lambda: deeds.check(deeds.libc.unshare(CLONE_NEWUSER), "unshare"))
        self.assertEqual((e["result"], said["error"]), ("granted", None))
        self.assertNotIn("init_user_ns", e)
        self.assertNotEqual(e["user_ns"], sensors.inode("/proc/self/ns/user"))

    def test_folded_ones_are_told(self):
        """What is in the number of the next record is in the count of what was held back too."""
        self.asks(lambda: None)
        self.until(lambda: any((e["cause"], e["where"]) == ("suppressed", "process") for e in self.events("kind=events_lost")),
                   "the folded ones")


class OffByDefault(pipeline.PipelineTest):
    def test_off(self):
        p = self.pipeline(loader="interfaces: []")
        p.up("loader")
        self.assertEqual({s["name"]: s["state"] for s in p.report()["sensors"]}["capability"], "off")
        self.assertFalse([n for n in p.pins("links") if n.startswith("capability")])
        p.down()


class Bound(pipeline.PipelineTest):
    def test_ledger(self):
        """Each socket is an event, or it was held back, counted and told."""
        p = self.pipeline(loader=pipeline.ALL_BUT_PROCESS.replace("socket: no", "socket: yes") + "\ncgroup_rate: 1")
        p.up()
        pid = deeds.child(lambda: [deeds.raw_socket() for _ in range(MANY)])
        last = deeds.child(lambda: None)

        def told():
            return sum(e["count"] for e in p.events("last=1000000&kind=events_lost")
                       if (e["cause"], e["where"]) == ("suppressed", "net"))
        pipeline.wait_for(lambda: p.events(f"last=1000000&kind=process_exit&pid={last}"), "what came after it")
        pipeline.wait_for(lambda: p.events(f"last=1000000&kind=socket_create&pid={pid}"), "the first of them")
        pipeline.wait_for(lambda: len(p.events(f"last=1000000&kind=socket_create&pid={pid}")) + told() >= MANY,
                          "what was held back to be told")
        self.assertLess(len(p.events(f"last=1000000&kind=socket_create&pid={pid}")), MANY)
        p.down()


if __name__ == "__main__":
    unittest.main()
