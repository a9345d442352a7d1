# SPDX-License-Identifier: Apache-2.0
"""Real packets over veth, generator and dropper on one CPU: how many a second our lists and rules drop, as a part of what a bare XDP_DROP does.

Each way to drop has a veth pair of its own between two namespaces, and all take turns within each round. Packets a second are of
the CPU's time that generator and dropper used, so what else runs on the machine is left out, and they are those that the dropper
itself counted. Two generators: `xdp`, whose packets cost next to nothing, and `socket`, whose packets come through a packet socket and the stack.
"""
import ipaddress
import json
import os
import re
import statistics
import subprocess
import tempfile

import bench

FIRST = int(ipaddress.ip_address("10.0.0.0"))  # of the listed sources
STRANGER = "172.16.0.0"  # on no list
PORT = 9
MILLION = 1_000_000
RULES = 1000
SLICE_MS = 200
CPU = max(os.sched_getaffinity(0))
ROUNDS = 7

FIGURES = {
    "blocklist.rate_ratio_1k": bench.Spec("x", *bench.at_least(0.85)),
    "blocklist.rate_ratio_1m": bench.Spec("x", *bench.at_least(0.70)),
    "blocklist.packet_ns_1k": bench.Spec("ns"),
    "blocklist.packet_ns_1m": bench.Spec("ns"),
    "blocklist.socket_rate_ratio_1k": bench.Spec("x", *bench.at_least(0.85)),
    "blocklist.socket_rate_ratio_1m": bench.Spec("x", *bench.at_least(0.70)),
    "blocklist.socket_packet_ns_1k": bench.Spec("ns"),
    "blocklist.socket_packet_ns_1m": bench.Spec("ns"),
    "fw.rate_ratio_1000": bench.Spec("x"),
    "fw.packet_ns_1000": bench.Spec("ns"),
}
OURS = """loader:
  sensors: {{process: false, exec_failed: false, cred: false, tcp: true, accept: false, udp: false, drops: false, flows: false,
            syscalls: false, module: false, bpf: false, ptrace: false, signal: false, namespace: false, memfd: false, exec_memory: false,
            perf: false, proc_mem: false, capability: false, socket: false, bind: false, file_mknod: false, file_xattr: false,
            file_mount: false, file_umount: false, file_pivot_root: false,
            policy_exec: false, policy_open: false, policy_file: false, policy_chown: false, policy_net: false, policy_proc: false,
            policy_made: false, policy_module: false}}
  guard: {{interfaces: [{device}], list_memory: 32MiB}}
policyd:
  block: [{block}]
  firewall: {firewall}
"""


def sources(n):
    return (str(ipaddress.ip_address(FIRST + i)) for i in range(n))


def rules(pattern, last):
    """RULES rules of which only the last one is met."""
    return [*(pattern.format(i=i, a=i % 250, b=i // 250, port=1000 + i) for i in range(RULES - 1)), last]


class Sink:
    """A way to drop what comes in over its veth pair. count() is of all packets so far."""

    def __init__(self, ctx, pair, name):
        self.ctx, self.pair, self.name = ctx, pair, name
        self.device = f"sk-{name}"

    def run(self, *args, **kw):
        p = subprocess.run([*self.pair.enter_sink, *args], stdin=kw.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, **kw)
        if p.returncode:
            raise bench.Unusable(f"{args[0]}: {(p.stderr or p.stdout).strip().splitlines()[-1:]}")
        return p.stdout

    def file(self, text):
        with tempfile.NamedTemporaryFile("w", dir=self.ctx.dir, delete=False) as f:
            f.write(text)
        os.chmod(f.name, 0o644)
        return f.name

    def held(self, *args):
        """A program that says a line when it is ready and keeps what it made until its standard input ends."""
        child = bench.Child([*self.pair.enter_sink, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if not child.p.stdout.readline():
            raise bench.Unusable(f"{self.name}: {child.p.stderr.read().decode().strip().splitlines()[-1:]}")

    def count(self):
        """What the receiving end of the pair took in and did not hand on to IP."""
        came = json.loads(self.run("ip", "-j", "-s", "link", "show", "dev", self.device))[0]["stats64"]["rx"]["packets"]
        return came - int(self.run("cat", "/proc/net/snmp").splitlines()[1].split()[3])


class Bare(Sink):
    def start(self):
        self.held(self.ctx.tool("bench_empty"), "drop", self.device)


class Ours(Sink):
    """The whole pipeline, with 1,000,000 listed addresses and 1,000 rules in force."""
    reason = "blocked"

    def start(self):
        firewall = "firewall:\n  policy: accept\n  rules:\n" + "".join(f"    - {r}\n" for r in rules(
            "{{name: r{i}, proto: udp, src: 10.{a}.{b}.0/24, dport: {port}, action: accept}}",
            f"{{name: last, proto: udp, dport: {PORT}, action: drop}}"))
        config = OURS.format(device=self.device, block=self.file("\n".join(sources(MILLION)) + "\n"), firewall=self.file(firewall))
        self.penstock = bench.Penstock(self.ctx, config, netns=self.pair.sink).wait_up()
        bench.wait_for(lambda: self.state("fw", "list") == self.state("ddos", "list") == "in force", 30, "tables in force")

    def ask(self, *args):
        return json.loads(bench.text_of([self.ctx.bin("penstock"), *args, "--json", "--run-dir", self.penstock.run_dir]))

    def state(self, *args):
        return self.ask(*args)["state"]

    def count(self):
        return next(r["packets"] for r in self.ask("fw", "stats")["reasons"] if r["reason"] == self.reason)


class OursByRule(Ours):
    reason = "fw_drop"

    def __init__(self, ours):
        super().__init__(ours.ctx, ours.pair, ours.name)
        self.penstock = ours.penstock


class Nft(Sink):
    """At the hook `ingress`, the earliest that nftables has. Without counters: to show one, nft reads the whole set."""

    def load(self, chain, sets=""):
        self.pair.gro(self.device)
        self.run("nft", "-f", self.file(f"table netdev {self.name} {{\n{sets}\nchain c {{ type filter hook ingress device {self.device} "
                                        f"priority 0;\n{chain}\n}}\n}}\n"))


class NftSet(Nft):
    def __init__(self, *args, elements):
        super().__init__(*args)
        self.elements = elements

    def start(self):
        self.load("ip saddr @s drop",
                  f"set s {{ type ipv4_addr; size {2 * self.elements}; elements = {{ {', '.join(sources(self.elements))} }}\n}}")


class NftLinear(Nft):
    def start(self):
        self.load("\n".join(rules("ip saddr 10.{a}.{b}.0/24 udp dport {port} accept", f"udp dport {PORT} drop")))


class Ipset(Sink):
    """A set of a million in iptables' earliest table."""

    def start(self):
        self.pair.gro(self.device)
        text = f"create s hash:ip hashsize 524288 maxelem {2 * MILLION}\n" + "".join(f"add s {a}\n" for a in sources(MILLION))
        self.run("ipset", "restore", "-file", self.file(text))
        self.run("iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-i", self.device, "-m", "set", "--match-set", "s", "src", "-j", "DROP")

    def count(self):
        text = self.run("iptables-legacy", "-t", "raw", "-vnxL", "PREROUTING")
        return int(re.search(rf"(?m)^ *(\d+) .*DROP.* {self.device} ", text).group(1))


class XdpFilter(Sink):
    """With 1,000 addresses; its maps are filled by bpftool, as its own command takes one address a call. In a bpffs of its own."""

    def start(self):
        keys = "".join("map update pinned /sys/fs/bpf/xdp-filter/filter_ipv4 key " +
                       " ".join(map(str, ipaddress.ip_address(a).packed)) + " value VALUE\n" for a in sources(1000))
        script = (f"mount -t bpf bpf /sys/fs/bpf && xdp-filter load -m native -f ipv4 {self.device} >&2 && xdp-filter ip -m src 10.0.0.0 >&2 && "
                  "value=$(bpftool -j map lookup pinned /sys/fs/bpf/xdp-filter/filter_ipv4 key 10 0 0 0 | python3 -c '"
                  'import json,sys; print(*json.load(sys.stdin)["values"][0]["value"])\') && '
                  f"sed \"s/VALUE/$value/\" {self.file(keys)} >{self.ctx.dir}/keys && bpftool batch file {self.ctx.dir}/keys >&2 && "
                  f"echo up && cat >/dev/null; xdp-filter unload {self.device} >&2")
        self.held("unshare", "--mount", "--propagation", "private", "sh", "-c", script)


class Pair:
    """Namespaces of the generator and of what drops, joined by a veth pair for each way."""

    def __init__(self):
        self.source, self.sink = (f"pst-bench-{side}{os.getpid()}" for side in ("gen", "sink"))
        self.enter_source, self.enter_sink = (["nsenter", f"--net=/run/netns/{ns}"] for ns in (self.source, self.sink))
        self.macs = {}

    def __enter__(self):
        self.undo = bench.on_exit(self.remove)
        for ns in (self.source, self.sink):
            subprocess.run(["ip", "netns", "add", ns], check=True)
            subprocess.run(["ip", "-n", ns, "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, *exc):
        bench.forget(self.undo)
        self.remove()

    def remove(self):
        for ns in (self.source, self.sink):
            subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL)

    def add(self, name):
        far = ["sysctl", "-qw", *(f"net.ipv6.conf.{d}.disable_ipv6=1" for d in ("all", "default"))]
        mac = self.macs[name] = f"02:00:00:78:00:{len(self.macs):02x}"
        for enter in (self.enter_source, self.enter_sink):
            subprocess.run([*enter, *far], check=True)
        subprocess.run(["ip", "-n", self.source, "link", "add", f"gen-{name}", "type", "veth", "peer", "name", f"sk-{name}", "netns",
                        self.sink], check=True)
        subprocess.run(["ip", "-n", self.sink, "link", "set", f"sk-{name}", "address", mac, "up"], check=True)
        subprocess.run(["ip", "-n", self.source, "link", "set", f"gen-{name}", "up"], check=True)


    def gro(self, device):
        """A veth that has no XDP program takes packets in batches, as a NIC does, if GRO is on (ETHTOOL_SGRO by SIOCETHTOOL)."""
        script = ("import array,fcntl,socket,struct,sys; v=array.array('I',(0x2c,1)); "
                  "fcntl.ioctl(socket.socket(), 0x8946, struct.pack('16sP16x', sys.argv[1].encode(), v.buffer_info()[0]))")
        subprocess.run([*self.enter_sink, "/usr/bin/python3", "-c", script, device], check=True)


def ksoftirqd_ns():
    """What of the CPU's time the dropper took outside of the generator's own."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                if f.read() != f"ksoftirqd/{CPU}\n":
                    continue
            with open(f"/proc/{pid}/schedstat") as f:
                return int(f.read().split()[0])
        except OSError:
            continue
    return 0


def packet_ns(ctx, generator, sink, first, n):
    """Time of the CPU a packet, from the generator to its end."""
    before, other = sink.count(), ksoftirqd_ns()
    out = json.loads(bench.text_of([*sink.pair.enter_source, ctx.tool("bench_frames"), generator, f"gen-{sink.name}", sink.pair.macs[sink.name], first,
                                    str(n), str(PORT), str(SLICE_MS), str(CPU)]))
    dropped, other = sink.count() - before, ksoftirqd_ns() - other
    if not 0.99 * out["sent"] <= dropped <= out["sent"]:
        raise RuntimeError(f"{sink.name} counted {dropped} of {out['sent']} packets")
    return out["cpu_ns"] / out["timed"] + other / dropped


def start(sink):
    begun = bench.time.monotonic()
    sink.pair.add(sink.name)
    sink.start()
    bench.say(f"packets: {sink.name} stands after {bench.time.monotonic() - begun:.1f} s")
    return sink


def peer(sink, ctx):
    """The same sink, or None if it cannot be had here."""
    try:
        return start(sink)
    except (bench.Unusable, FileNotFoundError) as e:
        ctx.note(f"peer {sink.name}: {e}")
        return None


def measure(ctx, bare, ours, peers, first, n, generator="xdp"):
    """({name: [ns of each round]}), in turn."""
    sinks = {"bare": bare, "ours": ours, **{k: s for k, s in peers.items() if s}}
    ns = {name: [] for name in sinks}
    for turn in range(3 if ctx.quick else ROUNDS):
        for name in list(sinks)[::1 if turn % 2 else -1]:
            ns[name].append(packet_ns(ctx, generator, sinks[name], first, n))
    bench.say(f"packets: {generator}, {n} sources: " + ", ".join(f"{name} {statistics.median(v):.0f} ns" for name, v in ns.items()))
    return ns


def put(ctx, ratio, absolute, ns):
    bare, ours = ns.pop("bare"), ns.pop("ours")
    peers = {name: statistics.median(v) for name, v in ns.items()}
    floor = statistics.median(bare)
    ctx.put(ratio, [b / o for b, o in zip(bare, ours)], floor=1, peers={name: floor / v for name, v in peers.items()})
    ctx.put(absolute, ours, floor=floor, peers=peers)


def run(ctx):
    with Pair() as pair:
        bare = start(Bare(ctx, pair, "bare"))
        ours = start(Ours(ctx, pair, "ours"))
        nft, nft_1m = (peer(NftSet(ctx, pair, name, elements=n), ctx) for name, n in (("nft", 100_000), ("nft-1m", MILLION)))
        linear, ipset, xdp = (peer(kind(ctx, pair, name), ctx) for kind, name in ((NftLinear, "linear"), (Ipset, "ipset"), (XdpFilter, "xdpf")))
        try:
            listed = str(ipaddress.ip_address(FIRST))
            for generator, area in (("xdp", "blocklist."), ("socket", "blocklist.socket_")):
                put(ctx, area + "rate_ratio_1k", area + "packet_ns_1k", measure(
                    ctx, bare, ours, {"nft set of 100,000": nft, "ipset": ipset, "xdp-filter of 1,000": xdp}, listed, 1000, generator))
                put(ctx, area + "rate_ratio_1m", area + "packet_ns_1m", measure(
                    ctx, bare, ours, {"nft set of 1,000,000": nft_1m, "ipset": ipset}, listed, MILLION, generator))
            put(ctx, "fw.rate_ratio_1000", "fw.packet_ns_1000",
                measure(ctx, bare, OursByRule(ours), {"nft, linear": linear}, STRANGER, 1000))
        finally:
            ours.penstock.stop()
