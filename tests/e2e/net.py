# SPDX-License-Identifier: Apache-2.0
"""Network for the tests: a peer in a namespace of its own, joined to an instance's namespace by a veth pair."""
import contextlib
import ctypes
import os
import resource
import socket
import struct
import subprocess
import threading

import lib

V4 = ("10.99.7.1", "10.99.7.2")
V6 = ("fd99:7::1", "fd99:7::2")


class Peer:
    """near: the interface in the instance's namespace; far: the one here. Static neighbours, so that nothing else is sent."""

    def __init__(self, instance, near="pstn0", far="pstf0", v6=True):
        self.instance, self.near, self.far = instance, near, far
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"up\n":
            raise AssertionError("no network namespace for the peer")
        instance.run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", str(self.holder.pid))
        for run, name, i in ((instance.run, near, 0), (self.run, far, 1)):
            run("sh", "-c", f"echo {0 if v6 else 1} >/proc/sys/net/ipv6/conf/{name}/disable_ipv6;"
                            f"echo 0 >/proc/sys/net/ipv6/conf/{name}/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/{name}/router_solicitations;"
                            # multicast listener reports are repeated, within this many milliseconds: in the midst of what is counted
                            f"echo 2000000000 >/proc/sys/net/ipv6/conf/{name}/mldv2_unsolicited_report_interval",
                check=False)
            run("ip", "addr", "add", V4[i] + "/24", "dev", name)
            if v6:
                run("ip", "addr", "add", V6[i] + "/64", "dev", name, "nodad")
            run("ip", "link", "set", name, "up")
        mac = [self.mac(run, name) for run, name in ((instance.run, near), (self.run, far))]
        for run, name, i in ((instance.run, near, 1), (self.run, far, 0)):
            for address in (V4[i], *((V6[i],) if v6 else ())):
                run("ip", "neigh", "replace", address, "lladdr", mac[i], "dev", name, "nud", "permanent")

    @staticmethod
    def mac(run, name):
        words = run("ip", "-o", "link", "show", "dev", name).stdout.split()
        return words[words.index("link/ether") + 1]

    def inside(self, *args):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *args]

    def run(self, *args, check=True):
        return subprocess.run(self.inside(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=check)

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


def within(pid, fn):
    """fn() in the network namespace of a process: in a thread, as a namespace is a thread's own."""
    out = []

    def work():
        try:
            with open(f"/proc/{pid}/ns/net") as f:
                if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000):
                    raise OSError(ctypes.get_errno(), "setns")
            out.append((fn(), None))
        except BaseException as e:  # handed on to the caller
            out.append((None, e))
    t = threading.Thread(target=work)
    t.start()
    t.join()
    value, error = out[0]
    if error:
        raise error
    return value


def xdp_pass(pid, interface):
    """A program at XDP that lets all through, in the network namespace of a process: a veth takes what its peer's program
    sends back (XDP_TX) only if it has one itself. Descriptor of the link, which ends with it."""
    def work():
        with contextlib.suppress(ValueError):  # programs count as locked memory before 5.11; later it does not matter
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        code = ctypes.create_string_buffer(struct.pack("BBhiBBhi", 0xb7, 0, 0, 2, 0x95, 0, 0, 0))  # r0 = XDP_PASS; exit
        license_ = ctypes.create_string_buffer(b"GPL")
        prog = lib.bpf(5, struct.pack("IIQQ", 6, 2, ctypes.addressof(code), ctypes.addressof(license_)))
        try:
            return lib.bpf(28, struct.pack("IIII", prog, socket.if_nametoindex(interface), 37, 0))  # BPF_LINK_CREATE, BPF_XDP
        finally:
            os.close(prog)
    return within(pid, work)
