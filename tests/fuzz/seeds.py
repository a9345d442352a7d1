#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of each fuzz target into FOLDER/<target>/: tests/fuzz/seeds.py FOLDER

What is well-formed lets the fuzzer begin behind the first check. The messages are the test vectors of the wire contract.
"""
import glob
import hashlib
import json
import os
import re
import struct
import sys

import msgpack

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ID = "0123456789abcdef" * 4
UID = "01234567-89ab-cdef-0123-456789abcdef"
PATHS = ["/init.scope", "/system.slice/ssh.service", f"/docker/{ID}", f"/docker/{ID}/init", f"/system.slice/docker-{ID}.scope",
         f"/machine.slice/libpod-{ID}.scope/container", f"/kubepods/burstable/pod{UID}/{ID}",
         f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
         f"/system.slice/containerd.service/kubepods-pod{UID.replace('-', '_')}.slice:cri-containerd:{ID}",
         "/lxc.payload.web-1/system.slice/nginx.service", f"/actions_job/{ID}", f"/docker/{ID}/docker/{ID[::-1]}"]
CONFIG = b"""common: {run_dir: /run/x, log: {format: json, level: debug}}
loader:
  sensors: {process: yes, tcp: no, flows: true}
  rungs: {process: auto, tcp: tracepoint}
  rings: {process: 8MiB, net: 64KiB, flow: 1MiB}
  flows: {slots: 65536, interfaces: [eth*, "!lo"]}
  udp: {slots: 1024}
  xdp: [eth0]
exporter:
  listen: ["127.0.0.1:9435", "unix:/run/x/http.sock", "[::1]:1"]
  auth: {bearer_token_file: /a, basic_file: /b}
  tls: {certificate: /c, key: /d}
  output: {path: /tmp/o, kinds: [process_exec, alert], max_size: 1GiB, keep: 3, fsync: no}
"""


def hexfile(path):
    with open(path) as f:
        return bytes.fromhex("".join(f.read().split()))


def vectors():
    """Messages: topic, header, events."""
    return [hexfile(p) for p in sorted(glob.glob(os.path.join(ROOT, "proto", "wire", "vectors", "*.hex")))]


def events_of(message):
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
    unpacker.feed(message[8:])
    unpacker.skip()
    return message[8 + unpacker.tell():]


def policy_events():
    """As the enricher sends them: who, what, the rule, what was done, the object."""
    def pack(*fields, exe=b"/usr/bin/cat"):
        return msgpack.packb([50, 10**12, [13, 1, 13, 0, 0, 1, b"cat", *fields], [exe]], use_bin_type=True)
    addr = bytes([10, 0, 0, 1])
    yield pack(b"file.open", b"secrets", b"nobody", b"deny", b"", b"denied", 13, b"lsm", 7, 1, 2, 0, b"/etc/shadow")
    yield pack(b"file.rename", b"", b"", b"kill", b"", b"told", 0, b"fentry", 7, 1, 2, 1, b"/a" * 2000, 127, b"/b" * 2000, exe=b"/" * 4000)
    yield pack(b"net.bind", b"p" * 63, b"r" * 63, b"throttle", b"", b"denied", 1, b"cgroup", 8, 1, 2, 0, b"", 0, b"", 0, 0, 0, 0, addr, 80, bytes(16), 443, 6, 2)
    yield pack(b"process.signal", b"p", b"r", b"alert", b"", b"told", 0, b"tracepoint", 2**64 - 1, 1, 2**64 - 1, 0, b"", 0, b"", 0, 0, 0, 0, b"", 0, b"", 0, 0, 0, 9, 77, 5, 2**64 - 1)


def malformed():
    with open(os.path.join(ROOT, "proto", "wire", "vectors", "malformed.txt")) as f:
        for line in f:
            digits = line.split("#")[0].strip()
            if digits:
                yield bytes.fromhex(digits)


# ---- records: proto/abi/records.h ----

def record(kind, body, tail=b"", flags=0, ts=10**12):
    body += tail
    body += b"\0" * (-len(body) % 8)
    return struct.pack("=HHIQ", kind, flags, 16 + len(body), ts) + body


def records():
    task = struct.pack("=QQIIII16s", 5, 6, 7, 8, 9, 10, b"comm")
    ends = struct.pack("=16s16sHHHBB", b"\0" * 10 + b"\xff\xff\x7f\0\0\1", b"\0" * 10 + b"\xff\xff\x0a\0\0\1", 80, 4242, 2, 6, 0)
    names = (b"/bin/cat", b"/usr/bin/cat", b"/root", b"cat\0-n\0x")
    flow_key = struct.pack("=16s16sHHIBBBBI", ends[:16], ends[16:32], 80, 4242, 2, 2, 6, 1, 0, 7)
    flow = struct.pack("=Q", 2) + flow_key + struct.pack("=QQQQII32x", 3, 300, 5, 6, 0x12, 7)
    udp = (struct.pack("=Q", 2) + struct.pack("=Q16sHHI", 77, ends[16:32], 53, 4242, 2) + ends[:16]
           + struct.pack("=QQQQQQIIQQ", 1, 2, 3, 4, 5, 6, 7, 8, 9, 0))
    yield record(1, task + struct.pack("=QIIQ", 11, 12, 13, 14))
    yield record(2, task + struct.pack("=8I", *range(8)) + struct.pack("=QQQIIIII", 1, 2, 3, 4, 5, 6, 7, 8)
                 + struct.pack("=4HI", *map(len, names), 3), b"".join(names), flags=0xff)
    yield record(3, task + struct.pack("=iHH", 2, 4, 8), b"/bincat\0-n\0x")
    yield record(4, task + struct.pack("=QQQIIII", 1, 2, 3, 0, 9, 1, 6))
    yield record(5, task + 2 * struct.pack("=8IQQ", *range(10)))
    yield record(6, task + struct.pack("=56sQ", b"module", 0x1000))
    yield record(7, task + struct.pack("=iIII16s", 1, 6, 37, 99, b"prog"))
    yield record(8, task + task + struct.pack("=iIII", 1, 2, 4242, 0))
    yield record(9, task + task + struct.pack("=IiII", 9, -6, 1, 1))
    yield record(10, task + struct.pack("=8I", *range(8)) + struct.pack("=iIII", 0, 2, 0x04000000, 0))
    yield record(11, task + struct.pack("=iI64s", 0, 3, b"memfd"))
    yield record(12, task + struct.pack("=QQIIII", 1 << 46, 4096, 2, 5, 3, 1))
    yield record(13, task + struct.pack("=QQIiii", 77, 8, 9, 13, -1, -1))
    yield record(14, task + task + struct.pack("=II", 1, 0))
    yield record(27, task + struct.pack("=iIIIII", 1, 17, 3, 0x300, 7, 0))
    yield record(15, task + struct.pack("=QIIII", 3, 21, 3, 0xeffffffd, 0))
    yield record(26, task + struct.pack("=16sIiIIHHHH128s", b"\x20\x01", 80, 98, 7, 0, 10, 1, 6, 5, b"\0name"))
    for kind in range(35, 48):
        parts = (b"/srv", b"a/b", b"/", b"../c")
        yield record(kind, task + struct.pack("=QIIQQIIIIIIIIi4HI", 77, 0x800001, 0o100644, 5, 4096, 0x100003, 2, 0o600, 1, 2, 3, 4, 1, 13, *map(len, parts), 0), b"".join(parts), flags=15)
    for op, path, to, file in ((1, b"/bin/sh", b"", 0x84), (14, b"/a", b"/etc/b", 0), (25, b"", b"", 0), (3, b"", b"", 0), (99, b"/" + b"x" * 4095, b"/y", 255)):
        act = task + struct.pack("=QQIIIHH8B16sHBBB3xIIQHHI", 99, 1 << 21, 0x800001, 7, 4, 2, 13, op, 5, 6, 1, 1, file, 3, 1, ends[:16], 443, 2, 6, 9, 55, 0, 66,
                                  len(path), len(to), 0)
        yield record(48, act, path + to)
        yield record(48, act, path + to + bytes(-len(path + to) % 8) + struct.pack("64s64s", b"policy", b"rule"), flags=1)
    for kind in range(16, 22):
        yield record(kind, task + ends + struct.pack("=QQQQIIiIIHBBII", 1, 2, 3, 4, 5, 6, 0, 8, 9, 1, 1, 0, 3, 0))
    yield record(22, ends + struct.pack("=QIIIIB7x", 1, 2, 3, 4, 5, 6))
    for kind in (32, 33):
        yield record(kind, struct.pack("=Q", 3) + flow)
    for kind in (23, 24):
        yield record(kind, struct.pack("=Q", 3) + udp)


def head(abi=1):
    return struct.pack("=8sIIq40s72s72s32x", b"PSTREC\r\n", 0x01020304, abi, 10**18, UID.encode(), b"host", b"6.1.0")


def abi():
    with open(os.path.join(ROOT, "proto", "abi", "maps.h")) as f:
        for line in f:
            words = line.split()
            if words[:2] == ["#define", "PST_ABI_VERSION"]:
                return int(words[2].rstrip("u"), 0)
    raise ValueError("no PST_ABI_VERSION")


# ---- netlink: linux/netlink.h, linux/rtnetlink.h ----

def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def netlink(kind, body):
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body


def frames():
    """Frames of each family and transport, alone and in each kind of tunnel."""
    def ip(protocol, payload, six):
        if six:
            return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + payload
        return struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, 0x0a000001, 0x0a000002) + payload

    def ether(payload, six, tag=b""):
        return bytes(12) + tag + (b"\x86\xdd" if six else b"\x08\0") + payload
    tcp = struct.pack("!HHIIBBHHH", 4000, 80, 1, 2, 0x50, 2, 100, 0, 0)
    udp = struct.pack("!HHHH", 4000, 53, 20, 0) + bytes(12)
    options = struct.pack("!BB6x", 17, 0) + udp
    piece = struct.pack("!BBHI", 17, 0, 1, 7) + udp
    plain = [(ip(6, tcp, six), six) for six in (0, 1)] + [(ip(17, udp, 0), 0), (ip(60, options, 1), 1), (ip(44, piece, 1), 1), (ip(1, b"\10\0" + bytes(6), 0), 0)]
    for packet, six in plain:
        yield ether(packet, six)
        frame = ether(packet, six, b"\x81\0\0\7")
        kind = b"\x86\xdd" if six else b"\x08\0"
        for around in (0, 1):
            yield ether(ip(41 if six else 4, packet, around), around)
            yield ether(ip(47, b"\0\0" + kind + packet, around), around)
            yield ether(ip(47, b"\xb0\0" + kind + bytes(12) + packet, around), around)
            yield ether(ip(47, b"\x20\0\x65\x58" + bytes(4) + frame, around), around)
            yield ether(ip(47, b"\0\0\x88\x3e" + bytes(4) + packet, around), around)
            yield ether(ip(17, struct.pack("!HHHHII", 1, 4789, 16 + len(frame), 0, 8 << 24, 42 << 8) + frame, around), around)


def netlinks():
    link = struct.pack("=BxHiII", 0, 1, 7, 1, 0) + attribute(10, b"\1\2") + attribute(3, b"eth7\0")
    yield netlink(16, link) + netlink(17, link) + netlink(3, b"\0" * 4)
    yield netlink(2, struct.pack("=i", -19) + b"\0" * 16)
    yield netlink(44, b"\0" * 20)


# ---- requests and replies ----

def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def requests():
    yield {"op": "status"}
    yield {"op": "cursor"}
    yield {"op": "replay", "topic": "proc", "epoch": 1, "from": 19000, "to": 20000}
    yield {"op": "replay", "topic": b"net", "epoch": 2, "from": 0, "to": 1 << 63}
    yield {"op": "nothing", "x": [1, -1, None, True, 1.5, {"a": b"b"}]}


def replies():
    stats = [["received_events", "topic", "proc", 0, 5, "Events."], ["a_packets", "direction,interface", "in,eth0", 0, 5, "Packets."], ["cpu_ns", None, None, 1, 7, "Time."],
             ["lost_events", "cause", b"ring\xff\"\n", 0, 2**64 - 1, ""]]
    yield b"\0" + pack({"stage": "enricher", "version": "1", "user": "x", "sandbox": "s", "uptime_ns": 1, "cpu_ns": 2,
                        "rss_bytes": 3, "stats": stats,
                        "inputs": {"collector": {"connected": True, "lag_ns": 5, "proc": 6}}})
    row = [7, 8, 1, 0, b"a\xff", b"/bin/a", b"a\0-b\0", 9, b"/x", b"c" * 64, b"docker", b"root"]
    yield b"\1" + pack([row, row[:5], 3, row])
    yield b"\2" + pack([row] * 3)


REPORT = (b'{"serving":true,"written_boot_ns":5,"net_ns":7,"pid":3,"kernel":"6.1","drop_reasons":[null,"A","B"],"reset_reasons":["X"],'
          b'"interfaces":[{"name":"eth0","ifindex":2,"error":""}],"sensors":[{"name":"process","rung":"tp","observe":true,'
          b'"rejected":[{"rung":"lsm","why":"no"}],"ladder":[]}],"privilege":{"capabilities":["BPF"],"seccomp":true}}')


def conversation(protocol):
    message = b"\x80\0\0\1" + pack({"op": "status"})
    return b"\0SP\0" + struct.pack(">HH", protocol, 0) + (b"\1" + struct.pack(">Q", len(message)) + message) * 2


def firewalls():
    """The examples of the manual, and one that has a bit of everything."""
    with open(os.path.join(ROOT, "docs", "firewall.md"), "rb") as f:
        for block in f.read().split(b"```yaml\n")[1:]:
            yield block.split(b"```")[0].replace(b"interface: lo", b"interface: eth2")
    yield b"""firewall:
  policy: drop
  sets: {a: ["::1", 2001:db8::/32, 10.0.0.0/8], b: [$a, 192.0.2.1], p: [1, 5-9]}
  rules:
    - {name: "\\"x\\"", family: 6, interface: [eth0, eth1], vlan: {not: 1-5}, proto: 17, src: $b, dst: {not: $a}, sport: $p, action: drop}
    - {name: y, icmp: [8, 3/4, 3-5, 3/1-4/7], state: {not: new}, dscp: [ef, 3], action: continue, log: yes, mark: 0x10}
    - {name: z, proto: {not: udp}, tcp_flags: 0x12/0x3f, dport: {not: 0-80}, action: reject}
    - {name: hidden, action: accept}
    - {name: icmp, proto: icmpv6, icmp: {not: [destination-unreachable/no-route, 2/0]}, action: accept}
"""


def rules():
    for path in glob.glob(os.path.join(ROOT, "compose", "rules", "*.yaml")):
        with open(path, "rb") as f:
            yield f.read()
    yield b"""rules:
  - name: a
    kinds: [process_exec, tcp_*]
    match: {any: [{comm: curl}, {argv: {prefix: "-"}}, {not: {uid: 0}}, {exe: {glob: "/usr/*"}}, {raddr: [10.0.0.0/8]}]}
    severity: notice
    message: "{argv} {exe} {{}}"
    rate: 5/1m
"""


IPTABLES = b"""# Generated by iptables-save v1
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -s 10.0.0.1/32 -j ACCEPT
-A PREROUTING -p udp -m udp ! --dport 5:9 -j DROP
COMMIT
*filter
:INPUT DROP [0:0]
:web - [0:0]
[1:2] -A INPUT -i lo -m comment --comment "a \\"b\\"" -j ACCEPT
-A INPUT ! -s 10.0.0.0/8 -p tcp -m multiport --dports 22,80:90 -g web
-A INPUT -p icmp -m icmp --icmp-type 3/4 -m conntrack ! --ctstate NEW,INVALID -j LOG --log-prefix x
-A INPUT -m iprange --src-range 1.2.3.4-5.6.7.8 -m dscp --dscp 0x2e -j MARK --set-xmark 0x10/0xffffffff
-A web -p tcp -m tcp ! --tcp-flags SYN,RST,ACK SYN -j RETURN
-A web -m limit --limit 5/min -j REJECT --reject-with tcp-reset
COMMIT
# Generated by ip6tables-save v1
*filter
:INPUT ACCEPT [0:0]
-A INPUT -s fe80::/10 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT
COMMIT
"""


def nft_rulesets():
    """The forms of nft -j list ruleset: chains, sets, a rule of each kind."""
    at = {"family": "inet", "table": "filter"}

    def match(left, right, op="=="):
        return {"match": {"op": op, "left": left, "right": right}}

    def field(protocol, name):
        return {"payload": {"protocol": protocol, "field": name}}
    flags = field("tcp", "flags")
    rules = [
        [match({"ct": {"key": "state"}}, ["established", "related"], "in"), {"accept": None}],
        [match({"meta": {"key": "iifname"}}, {"set": ["lo", "eth0"]}), {"counter": {"packets": 1}}, {"log": None}, {"accept": None}],
        [match(field("ip", "saddr"), "@office", "!="), match(field("tcp", "dport"), {"set": [22, {"range": [80, 90]}]}),
         {"jump": {"target": "web"}}],
        [match({"&": [flags, ["syn", "ack"]]}, "syn"), {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 16}}],
        [match(flags, ["fin", "syn"], "in"), {"drop": None}],
        [match(field("icmpv6", "type"), {"set": ["nd-router-advert", 3]}), match(field("icmpv6", "code"), 4), {"reject": None}],
        [{"vmap": {"key": field("udp", "dport"), "data": {"set": [[5, {"accept": None}], [{"range": [6, 9]}, {"goto": {"target": "web"}}]]}}}],
        [{"vmap": {"key": field("tcp", "dport"), "data": "@m"}}],
        [match(field("ip6", "daddr"), {"prefix": {"addr": "2001:db8::", "len": 32}}), match(field("vlan", "id"), 5), {"return": None}],
        [match({"meta": {"key": "l4proto"}}, {"set": ["tcp", "udp"]}), match(field("th", "sport"), 1024, ">="), {"limit": {"rate": 5}}]]
    head = [{"metainfo": {}}, {"chain": {**at, "name": "web"}},
            {"chain": {**at, "name": "input", "hook": "input", "prio": 0, "type": "filter", "policy": "drop"}},
            {"chain": {"family": "netdev", "table": "t", "name": "in", "hook": "ingress", "dev": ["eth0"], "policy": "drop"}},
            {"set": {**at, "name": "office", "elem": [{"prefix": {"addr": "10.0.0.0", "len": 8}}, {"range": ["192.0.2.1", "192.0.2.9"]},
                                                      {"elem": {"val": "1.2.3.4", "comment": "x"}}]}},
            {"map": {**at, "name": "m", "elem": [[22, {"accept": None}]]}}]
    made = [{"rule": {**at, "chain": "input" if i % 3 else "web", "handle": i, "comment": "a b", "expr": r}} for i, r in enumerate(rules)]
    for some in (made, *([m] for m in made)):
        yield json.dumps({"nftables": head + some}, separators=(",", ":")).encode()


def guard():
    """A packet after an even byte; after 3, 1, 5 the files of added rules, places of counters, blocked addresses."""
    for packet in ({"src": "192.0.2.1", "dst": "198.51.100.1", "proto": "tcp", "sport": 1, "dport": "80", "tcp_flags": "syn,ack"},
                   {"src": "2001:db8::1", "icmp": "128/0", "vlan": 30, "dscp": "ef", "state": "established"},
                   {"proto": "icmp", "icmp": "echo-request", "interface": "eth0"}, {}):
        yield b"\0" + msgpack.packb(packet)
    yield b"\3firewall:\n  rules:\n    - {name: a, src: 192.0.2.1, action: drop}\n    - {name: b, action: accept}\n"
    yield b"\1penstock-places 7\n0 web\n16319 a long name\n"
    yield b"\x05192.0.2.1 expires=2031-01-31T12:00:00Z reason=\"a b\"\n2001:db8::/32\n2001:db8::1 reason=x\n"


def policies():
    """Those of the pages and the ready ones, each with an act behind a NUL."""
    acts = (b"{operation: file.open, path: /etc/ssh/x, executable: /bin/cat, cgroup: /system.slice, access: [read], flags: [upper]}",
            b"{operation: process.exec, path: /x, arguments: [a, --b], ancestors: [/usr/sbin/sshd], container: true, cgroup: /docker/1, uid: 1000}",
            b"{operation: net.connect, address: 10.0.3.1, port: 5432, protocol: tcp, cgroup: /system.slice/nginx.service}",
            b"{operation: process.signal, signal: SIGKILL, target: /x, holds: [CAP_BPF], gained: [CAP_KILL], namespaces: {pid: other}}")
    for page in ("policies.md", "design/policy.md"):
        with open(os.path.join(ROOT, "docs", page), "rb") as f:
            for text in re.findall(rb"^```yaml\n(apiVersion:.*?)^```", f.read(), re.M | re.S):
                yield from (text + b"\0" + act for act in acts)
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "policies", "*.yaml"))):
        with open(path, "rb") as f:
            yield f.read() + b"\0" + acts[0]


def foreign():
    """Policies of others, with the clauses that are read."""
    head = b"\0apiVersion: security.kubearmor.com/v1\nkind: %s\nmetadata: {name: k}\nspec:\n  selector: {}\n"
    for kind in (b"KubeArmorPolicy", b"KubeArmorHostPolicy"):
        yield head % kind + (b"  process:\n    matchPaths: [{path: /a, fromSource: [{path: /b}], action: Allow}]\n    matchDirectories: [{dir: /t/, recursive: true}]\n"
                             b"    matchPatterns: [{pattern: /h/*/x}]\n  action: Block\n")
        yield head % kind + (b"  file: {matchDirectories: [{dir: /e/, readOnly: true, message: m}]}\n  network: {matchProtocols: [{protocol: tcp}]}\n"
                             b"  capabilities: {matchCapabilities: [{capability: net_raw, action: Audit}]}\n  severity: 5\n  tags: [a]\n")


    head = b"\0apiVersion: cilium.io/v1alpha1\nkind: %s\nmetadata: {name: t}\nspec:\n"
    for kind, call, selector in (
        (b"TracingPolicy", b"security_socket_connect", b"matchArgs: [{index: 1, operator: NotSAddr, values: [127.0.0.0/8]}, {index: 1, operator: SPort, values: ['80:90']}]"),
        (b"TracingPolicyNamespaced", b"security_file_permission", b"matchArgs: [{index: 0, operator: Prefix, values: [/e/]}, {index: 1, operator: Mask, values: [6]}]"),
        (b"TracingPolicy", b"cap_capable", b"matchBinaries: [{operator: In, values: [/s], followChildren: true}], matchArgs: [{index: 2, operator: Equal, values: ['21']}]"),
        (b"TracingPolicy", b"sys_bpf", b"matchNamespaces: [{namespace: Pid, operator: In, values: [host_ns]}], matchCapabilities: [{operator: NotIn, values: [CAP_BPF]}]")):
        yield head % kind + b"  kprobes:\n  - call: " + call + b"\n    args: [{index: 0, type: auto}]\n    selectors:\n    - {" + selector + (
            b"}\n    - {matchActions: [{action: Override, argError: -1}, {action: Sigkill}]}\n  lsmhooks: [{hook: file_open}]\n  options: [{name: policy-mode, value: monitor}]\n")


def policy_states():
    """Files of several policies, and the saved state that holds one."""
    texts = [text.split(b"\0")[0] for text in policies()]
    for text in texts:
        yield b"\1" + text
        yield b"\1--- # a\n" + text + b"\n...\n---\n" + texts[0]
        head = b"policy - 3 %d f.yaml\n" % len(text)
        yield b"\0penstock-policies 1\n" + head + text + b"\nmode audit other\nbefore 5 60\n" + head.replace(b"-", b"off", 1) + text + b"\n"


def all_seeds():
    messages = vectors()
    events = [events_of(m) for m in messages]
    bad = list(malformed())
    recording = list(records())
    yield "fuzz_batch", messages
    yield "fuzz_event", messages + events + bad
    yield "fuzz_alerts", [b"".join(policy_events())] + list(policy_events())
    yield "fuzz_enrich", events + [b"".join(events)]
    yield "fuzz_ctl", [b"\0" + pack(r) for r in requests()] + [b"\1" + conversation(0x30), b"\2" + conversation(0x31)]
    yield "fuzz_repair", [bytes(range(i, i + 64)) for i in range(0, 192, 8)] + [b"\2\0\0\20\0\0\20\0\0\0\0\3\2\2\0\1\0\0\4\2"]
    yield "fuzz_conf", [CONFIG, b"flag: yes\nnumber: 10\nsize: 1MiB\ntime: 5s\ntext: 'x'\nword: low\nlist: [a, b]\n"
                                b"inner: {flag: no, text: y}\nrules: [{a: 1}]\n"]
    sections = CONFIG.split(b"loader:\n")[1].split(b"exporter:\n")
    yield "fuzz_loader_config", [line + b"\n" for line in sections[0].split(b"\n") if line] + [sections[0]]
    yield "fuzz_exporter_config", [line + b"\n" for line in sections[1].split(b"\n") if line] + [sections[1]]
    yield "fuzz_policyd_config", [b"drop: {truncated: yes, no_ip: no, interfaces: {eth0: {truncated: no}, 'veth*': {malformed: no, no_ip: yes}}}\n",
                                  b"limits: {packets: 1000, burst: 2s}\nsyn: {rate: 100, ports: [80, 8000-8080]}\nddos: {flags: count}\n",
                                  b"inner: {ipip: yes, gre: no, vxlan: on, vxlan_port: 8472}\n"]
    yield "fuzz_filter", [b"kind\0process_*\0pid\0" + b"7\0\0" + events[0], b"address\0" + b"10.0.0.0/8\0since\0" + b"5m\0\0"]
    yield "fuzz_record", [head(abi()) + b"".join(recording)] + [head(abi()) + r for r in recording] + [head(abi())[:100], head(99)]
    yield "fuzz_names", [REPORT]
    yield "fuzz_report", [REPORT]
    yield "fuzz_cgroup", [p.encode() for p in PATHS]
    yield "fuzz_proc", [bytes([i]) + "".join(f"0::{p}\n4:memory:{p}\n" for p in PATHS).encode() for i in (0, 1)] + [
        b"\2" + b"36 35 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n", b"\3root:x:0:0:root:/root:/bin/sh\na:x:7:7::/:/\n",
        b"\4ssh 22/tcp\ndomain 53/udp # x\nhttp\t80/tcp www\n"]
    yield "fuzz_http_params", [b"kind=process_*&pid=7&last=5&since=5m\n*/*;q=0.5\nlocalhost\nBearer token\n5-7\n",
                               b"address=10.0.0.0%2f8&alert=true\napplication/json\n[::1]:1\nBasic YTpi\n"]
    yield "fuzz_reply", list(replies())
    yield "fuzz_rules", list(rules())
    yield "fuzz_fw", list(firewalls())
    yield "fuzz_policy", list(policies())
    yield "fuzz_foreign", list(foreign())
    yield "fuzz_force_state", list(policy_states())
    yield "fuzz_policy_tables", sorted({b"\0" + text.split(b"\0")[0] for text in policies()}) + [
        bytes([8 * n + 1]) + b"".join(hashlib.sha256(b"%d %d" % (n, i)).digest() for i in range(40)) for n in (0, 1, 3, 9)]
    yield "fuzz_import", [b"\0" + text for text in (IPTABLES, *nft_rulesets())] + [b"\x80" + IPTABLES, b"\3" + IPTABLES]
    yield "fuzz_why", [b"\0".join(words) + b"\0" for words in (
        (b"tcp", b"192.0.2.1:4000", b"198.51.100.2:443", b"syn,ack", b"", b"7", b"46", b"100", b"1", b"2"),
        (b"udp", b"[2001:db8::1]:53", b"[2001:db8::2]:4000"), (b"icmp", b"192.0.2.1", b"192.0.2.2", b"", b"3/1"), (b"47", b"::1", b"::2"))]
    yield "fuzz_pcap", [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1) + b"".join(
        struct.pack(order + "IIII", 1, 2, n, n + cut) + bytes(n) for n, cut in ((60, 0), (20, 40), (8, 0), (3000, 0)))
        for order in "<>" for magic in (0xa1b2c3d4, 0xa1b23c4d)] + [struct.pack("<I", 0x0a0d0d0a) + bytes(60)]
    yield "fuzz_block", [b"192.0.2.1\n10.0.0.0/8 expires=1h30m reason=scan # x\n2001:db8::/32 reason=\"two words\"\n",
                         b"::ffff:192.0.2.5 expires=2030-01-31T12:00:00Z\r\n1:2:3:4:5:6:7:8\n::/0\n0.0.0.0/0\n255.255.255.255\n",
                         b"10.0.0.1/8\n1.2.3.400\n1.2.3.4 reason=a reason=b\n1.2.3.4 expires=soon\n"]
    yield "fuzz_path", [b"\0/etc/shadow\0\1/usr/bin/py\0\2/etc\0\3/var/log\0\4.so\0\5/home/*/.ssh/**\0/etc/shadow",
                        b"\5/**/*.so\0\5/**/x[!a-c]?/**/b*c\0\5/a\\*[]z]*\0\5/**/**/k\0\4/sh\0/a/b/xdd/bbc", b"\3/\0\2/\0\1/\0\0/\0/",
                        b"\5/a[\0\5/**a\0\0/a/../b\0\4/\0\5/a\\\0/a"]
    yield "fuzz_guard", list(guard())
    yield "fuzz_netlink", list(netlinks())
    yield "fuzz_parse", list(frames())
    yield "fuzz_ret", [bytes(PAD) + patch for PAD in (9, 10) for patch in (b"\0\4\x08\xff\xff\xff\xff\xff", b"\1\3\x08\1\0\0\0\0\0",
                                                                         b"\2\0\1\2\3\4")]


def main():
    for target, inputs in all_seeds():
        folder = os.path.join(sys.argv[1], target)
        os.makedirs(folder, exist_ok=True)
        for i, data in enumerate(inputs):
            with open(os.path.join(folder, f"{i:03}"), "wb") as f:
                f.write(data)


if __name__ == "__main__":
    main()
