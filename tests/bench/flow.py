# SPDX-License-Identifier: Apache-2.0
"""What flow accounting at tc adds to a packet's sender: UDP over veth from one network namespace into another that drops it.

There are two such paths, and only one of them is accounted; batches go over both in turn, and are compared pair by pair.
"""
import contextlib
import os
import shutil
import statistics
import subprocess

import bench

FLOWS = 64
SECONDS = 1.5
CONFIG = """loader:
  sensors: {process: false, exec_failed: false, cred: false, tcp: true, accept: false, udp: false, drops: false, flows: true,
            syscalls: false, module: false, bpf: false, ptrace: false, signal: false, namespace: false, memfd: false, exec_memory: false,
            perf: false, proc_mem: false, capability: false, socket: false, bind: false, file_mknod: false, file_xattr: false,
            file_mount: false, file_umount: false, file_pivot_root: false,
            policy_exec: false, policy_open: false, policy_file: false, policy_chown: false, policy_net: false, policy_proc: false,
            policy_made: false, policy_module: false}
  interfaces: [veth-bench]
"""
FIGURES = {
    "flow.added_ns": bench.Spec("ns", *bench.at_most(250)),
    "flow.added_empty_ns": bench.Spec("ns"),
}


def ip(*args):
    subprocess.run(["ip", *args], check=True)


class Namespaces:
    """Sender and sink; addresses of the second network belong to nobody, so the sink's kernel drops what comes for them."""

    def __init__(self):
        self.a, self.b = f"pst-bench-a{os.getpid()}", f"pst-bench-b{os.getpid()}"

    def enter(self):
        return ["nsenter", f"--net=/run/netns/{self.a}"]

    def remove(self):
        for ns in (self.a, self.b):
            subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL)

    def __enter__(self):
        self.undo = bench.on_exit(self.remove)
        ip("netns", "add", self.a)
        ip("netns", "add", self.b)
        ip("-n", self.a, "link", "set", "lo", "up")
        for i, name in enumerate(("veth-bench", "veth-plain")):
            mac = f"02:00:00:77:{i:02}:02"
            ip("-n", self.a, "link", "add", name, "type", "veth", "peer", "name", f"veth-sink{i}", "netns", self.b)
            ip("-n", self.a, "addr", "add", f"10.77.{i}.1/24", "dev", name)
            ip("-n", self.a, "link", "set", name, "up")
            ip("-n", self.b, "link", "set", f"veth-sink{i}", "address", mac, "up")
            ip("-n", self.a, "neigh", "replace", f"10.77.{i}.2", "lladdr", mac, "dev", name, "nud", "permanent")
        return self

    def __exit__(self, *exc):
        bench.forget(self.undo)
        self.remove()


class Ours(bench.Penstock):
    def __enter__(self):
        self.wait_up()
        bench.time.sleep(0.3)
        return self

    def __exit__(self, *exc):
        """Proves that the packets were accounted."""
        try:
            if exc[0] is None:
                self.check()
        finally:
            self.stop()

    def check(self):
        name = 'penstock_flow_packets_total{protocol="udp",direction="out"}'
        bench.wait_for(lambda: bench.scrape_within(self.enter, self.port).get(name, 0) > 10000, 10, "the flows of veth-bench")


class EmptyTc:
    def __init__(self, ctx, ns):
        self.args = [*ns.enter(), ctx.tool("bench_empty"), "tc", "veth-bench"]

    def __enter__(self):
        self.child = bench.Child(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.child.p.stdout.readline() != b"attached\n":
            self.child.stop()
            raise bench.Unusable("an empty program cannot be attached at tc")

    def __exit__(self, *exc):
        self.child.stop()


class Softflowd:
    def __init__(self, ctx, ns):
        self.ns, self.ctl = ns, os.path.join(ctx.dir, "softflowd.ctl")
        self.pid = os.path.join(ctx.dir, "softflowd.pid")

    def __enter__(self):
        if not shutil.which("softflowd"):
            raise bench.Unusable("softflowd is not installed")
        self.child = bench.Child([*self.ns.enter(), "softflowd", "-d", "-i", "veth-bench", "-c", self.ctl, "-p", self.pid],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        bench.time.sleep(1)
        if self.child.p.poll() is not None:
            raise bench.Unusable("softflowd does not start")

    def __exit__(self, *exc):
        out = subprocess.run(["softflowctl", "-c", self.ctl, "statistics"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        self.child.stop()
        seen = [line for line in out.splitlines() if "packets processed" in line.lower()]
        if exc[0] is None and (not seen or int(seen[0].split()[-1]) < 1000):
            raise bench.Unusable(f"softflowd saw nothing: {' '.join(seen)}")


def turn(ctx, ns):
    """(ns a packet on the plain path, ns that the other one adds): medians over pairs."""
    rows = bench.lines_of([*ns.enter(), ctx.tool("bench_work"), "udp", str(SECONDS * (0.5 if ctx.quick else 1)), "10.77.0.2", "10.77.1.2",
                           str(FLOWS)])
    return statistics.median(row[1] for row in rows), statistics.median(row[0] - row[1] for row in rows)


def run(ctx):
    variants = {"none": contextlib.nullcontext, "ours": lambda ns: Ours(ctx, CONFIG, netns=ns.a), "empty": lambda ns: EmptyTc(ctx, ns),
                "softflowd": lambda ns: Softflowd(ctx, ns)}
    added = {name: [] for name in variants}
    plain = []
    with Namespaces() as ns:
        for number in range(ctx.runs):
            for name in list(variants):
                try:
                    with variants[name](ns):
                        floor, more = turn(ctx, ns)
                except bench.Unusable as e:
                    ctx.note(f"peer {name}: {e}")
                    del variants[name]
                    continue
                plain.append(floor)
                added[name].append(more)
                bench.say(f"flow: round {number + 1} {name}: {floor:.0f} ns a packet, {more:+.0f}")
    # Two paths are never quite alike: what differs with nothing attached is taken off.
    bias = statistics.median(added["none"])
    median = {name: statistics.median(ns) - bias for name, ns in added.items() if ns}
    ctx.put("flow.added_ns", [v - bias for v in added["ours"]], floor=median.get("empty"),
            peers={**{k: median[k] for k in ("softflowd",) if k in median}, "none_total": statistics.median(plain)})
    if added["empty"]:
        ctx.put("flow.added_empty_ns", [v - bias for v in added["empty"]])
