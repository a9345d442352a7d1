#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The table of attacks that runtime policies are tested with: a way around a rule each, and what comes of it on each rung.

A row's operation is forbidden for its file, address or process; tests/helpers/attack.c does the deed, by a door (how the system call is
made), on a way (to the file) and as somebody (who makes it). What is not named in `passes` is stopped: denied where the level is `deny`,
killed where it is `kill`. docs/policies.md lists what passes, and test_attacks.py compares it with this.
"""
import dataclasses
import json
import os
import re
import stat

# Why something passes, as the documentation says it.
OVERLAY = "a file of an overlay is another file than that of the layer below, which is seen to be opened on LSM and fentry, and not to be started"
FAR = "of a path of more than 4,095 bytes nothing is known"
COPY = "a copy is another file: forbid that the file is read"
READ = "an interpreter or `ld.so` that is given the file reads it and starts nothing: forbid that it is read"
SCRIPT = "of a script the interpreter is judged alone"
URING = "`io_uring` makes no system call that is seen"
WORKER = "before Linux 5.12 what `io_uring` does elsewhere is done by threads of the kernel, in no scope"
SHARED = "the descriptor stays in a table that another process shares with the one that was killed"
LEAVES = "root who may write to `cgroup.procs` leaves the scope: forbid that it is opened for writing"
RAW = "raw and packet sockets make datagrams of their own: forbid these sockets"
CONNECTED = "what is sent on a connected socket is judged when it is connected"
GATHERED = "who started a new program is not known any more: a rule with `executables` does not take it"
PEEKS = "another thread may read from a descriptor for some microseconds, until the process is gone"

WRITABLE = "memory that is shared, or a file's, is mapped executable and elsewhere writable"
IMPLIED = "with the personality `READ_IMPLIES_EXEC` memory is executable though nobody asked"

RUNGS = ("lsm", "fentry", "tracepoint", "cgroup")
ON_FILES = ("file.unlink", "file.rename", "file.link", "file.symlink", "file.mkdir", "file.chmod", "file.chown", "file.truncate", "file.mount",
            "file.umount", "file.pivot_root")
# Operations that kernel programs judge, and on which rungs.
JUDGED = {**dict.fromkeys(("process.exec", "file.open"), RUNGS[:3]), **dict.fromkeys(ON_FILES, RUNGS[:2]),
          **dict.fromkeys(("process.ptrace", "process.signal", "process.setid", "process.capset", "process.namespace", "process.bpf",
                           "process.perf", "process.memfd", "process.mprotect"), RUNGS[2:3])}
TRACEPOINT, KILLED = ("tracepoint",), ("fentry", "tracepoint")
NET = {"bad": 7001, "good": 7002, "own": 7003, "local": 7004}  # served: the first two


@dataclasses.dataclass
class Row:
    name: str
    op: str
    deed: str
    door: str = "syscall"
    way: str = "path"
    who: str = "self"
    kind: str = "text"        # what lies there: text, program, dynamic (one that ld.so loads), script, folder, nothing
    file: str = "secret"
    more: tuple = ()          # further words of the attack
    rules: str = "{deny, paths: PATH}"  # {allow/deny, conditions}: PATH, FOLDER, ATTACK, TRUSTED, VICTIM are filled in
    control: tuple = ()       # (deed, further words); default: the same deed on the neighbour
    passes: dict = dataclasses.field(default_factory=dict)  # rung: why
    before: dict = dataclasses.field(default_factory=dict)  # (5, 12): why, on every rung of older kernels
    late: tuple = ()          # rungs that do not prevent it, though they deny or kill
    at_times: bool = False    # what passes, passes by chance
    guest: bool = False       # only in a virtual machine

    def why(self, rung, kernel):
        """Why it passes on this rung, or None."""
        return next((text for until, text in self.before.items() if kernel < until), None) or self.passes.get(rung)

    @property
    def race(self):
        return self.way.startswith("race") or self.deed.endswith("race")

    @property
    def by_chance(self):
        return self.race or self.at_times

    def stops_late(self, rung):
        """Is the deed done although it is denied, or its process killed?"""
        return rung in self.late or rung in KILLED and self.op not in ("file.open", "process.exec")


def always(text):
    return dict.fromkeys(RUNGS, text)


def on(rungs, text):
    return dict.fromkeys(rungs, text)


# What each way is to a rule that names the path.
WAYS = {
    "path": {}, "symlink": {}, "symlink-parent": {}, "relative": {}, "dotdot": {}, "slashes": {}, "proc-fd": {}, "proc-fd-folder": {},
    "proc-root": {}, "proc-cwd": {}, "dirfd": {}, "passed-dirfd": {}, "chroot": {}, "mount-ns": {}, "user-ns": {}, "covered": {},
    "race-text": {}, "race-symlink": {},
    "hardlink": {}, "renamed": {}, "parent-renamed": {}, "bind-file": {}, "bind-folder": {}, "user-ns-bind": {}, "other-root": {}, "race-names": {},
    "tree": {}, "lazy": {}, "overlay": on(TRACEPOINT, OVERLAY),
}
TABLE = []


def row(name, op, deed, **more):
    TABLE.append(Row(name, op, deed, **more))


def by_ways(prefix, op, deed, ways, **more):
    for way in ways:
        row(f"{prefix}, {way}", op, deed, way=way, passes={**WAYS[way], **more.get("passes", {})},
            **{k: v for k, v in more.items() if k != "passes"})


NESTED = "/".join(["n"] * 70)          # more folders than a walk climbs
LONG = "/".join(["l" * 200] * 15)      # a path of some 3,000 bytes
FARTHER = "/".join(["f" * 250] * 20)   # and one of 5,000
BELOW = "{deny, paths: {directory: FOLDER, recursive: true}}"

# ---- file.open, for reading ----
by_ways("read", "file.open", "read", WAYS)
row("read, empty and handle", "file.open", "read-handle")
for deed in ("read-open", "read-openat2", "read-cached", "read-rdwr", "read-creat"):
    row(deed, "file.open", deed)
for deed in ("read-beneath", "read-in-root"):
    row(deed, "file.open", deed, way="dirfd")
for door in ("int80", "x32"):
    row(f"read, {door}", "file.open", "read", door=door)
row("read-open, int80", "file.open", "read-open", door="int80")
row("read-open, x32", "file.open", "read-open", door="x32")
row("read-openat2, int80", "file.open", "read-openat2", door="int80")
row("read-handle, int80", "file.open", "read-handle", door="int80")
row("read, uring", "file.open", "read", door="uring", passes=on(TRACEPOINT, URING))
row("read, uring, race-text", "file.open", "read", door="uring", way="race-text", passes=on(TRACEPOINT, URING))
row("read, uring-async", "file.open", "read", door="uring-async", passes=on(TRACEPOINT, URING), before={(5, 12): WORKER})
row("read, uring-sqpoll", "file.open", "read", door="uring-sqpoll", passes=on(TRACEPOINT, URING), before={(5, 12): WORKER})
row("read-openat2, uring", "file.open", "read-openat2", door="uring", passes=on(TRACEPOINT, URING))
row("read, int80, race-text", "file.open", "read", door="int80", way="race-text")
row("read, thread", "file.open", "read", who="thread")
row("read, child", "file.open", "read", who="child")
row("read, vfork", "file.open", "read", who="vfork")
row("read, clone-files", "file.open", "read", who="clone-files", passes=on(KILLED, SHARED))
row("read, another thread peeks", "file.open", "read", who="peeks", passes=on(KILLED, PEEKS), at_times=True)
row("read, renamed process", "file.open", "read", who="renamed", rules="{deny, paths: PATH, executables: ATTACK}")
row("read, who pretends to be trusted", "file.open", "read", who="exe-swapped", more=("TRUSTED",),
    rules="{allow, paths: PATH, executables: TRUSTED} {deny, paths: PATH}")
row("read, who pretends to be another", "file.open", "read", who="exe-swapped", more=("TRUSTED",),
    rules="{deny, paths: PATH, executables: ATTACK}")
row("read, in a group of its own below", "file.open", "read", who="leaves", more=("INSIDE",))
row("read, leaves its group", "file.open", "read", who="leaves", more=("OUTSIDE",), passes=always(LEAVES))
row("read, long", "file.open", "read", file=f"{LONG}/secret")
row("read, deep", "file.open", "read", file=f"{NESTED}/secret")
row("read, far", "file.open", "read", file=f"{FARTHER}/secret", way="descend", rules=BELOW, passes=always(FAR))
row("read, below a folder", "file.open", "read", file="a/b/c/secret", rules=BELOW)
row("read, by a suffix", "file.open", "read", way="symlink-parent", rules="{deny, paths: {suffix: NAME/in/secret}}")
row("read, by a glob", "file.open", "read", way="dotdot", rules='{deny, paths: {glob: "BASE/NAME/*/s?cret"}}')

# ---- file.open, for writing ----
WRITING = "{deny, paths: PATH, access: [write, append]}"
by_ways("write", "file.open", "write", ("path", "symlink", "symlink-parent", "proc-fd", "proc-root", "dirfd", "chroot", "user-ns", "hardlink",
                                        "bind-folder", "tree"), rules=WRITING)
for deed in ("append", "write-again"):
    row(deed, "file.open", deed, rules=WRITING)
row("write, int80", "file.open", "write", door="int80", rules=WRITING)
row("write, uring", "file.open", "write", door="uring", rules=WRITING, passes=on(TRACEPOINT, URING))
# A file is made before it is opened, and cut after that.
for deed, kind, late in (("create", "nothing", RUNGS), ("creat", "text", KILLED), ("open-truncating", "text", KILLED)):
    row(deed, "file.open", deed, kind=kind, rules=WRITING, late=late)
    row(f"{deed}, symlink-parent", "file.open", deed, kind=kind, rules=WRITING, way="symlink-parent", late=late)
row("creat, int80", "file.open", "creat", door="int80", rules=WRITING, late=KILLED)
row("create, uring", "file.open", "create", kind="nothing", door="uring", rules=WRITING, late=RUNGS, passes=on(TRACEPOINT, URING))

# ---- process.exec ----
EXEC = {"kind": "program"}
by_ways("exec", "process.exec", "exec", [w for w in WAYS if not w.startswith("race") and w not in (
    "dirfd", "passed-dirfd", "tree", "lazy", "covered", "overlay")], **EXEC)
row("exec, overlay", "process.exec", "exec", way="overlay", passes=always(OVERLAY), **EXEC)
by_ways("execat", "process.exec", "execat", ("dirfd", "passed-dirfd", "tree", "lazy", "covered"), **EXEC)
by_ways("exec-child", "process.exec", "exec-child", ("race-text", "race-symlink", "race-names"), **EXEC)
row("execat, empty", "process.exec", "execat", way="empty", **EXEC)
row("execat, handle", "process.exec", "execat", way="handle", **EXEC)
for door in ("int80", "x32"):
    row(f"exec, {door}", "process.exec", "exec", door=door, **EXEC)
    row(f"execat, empty, {door}", "process.exec", "execat", door=door, way="empty", **EXEC)
for who in ("thread", "vfork", "child"):
    row(f"exec, {who}", "process.exec", "exec", who=who, **EXEC)
row("exec-memfd", "process.exec", "exec-memfd", rules="{deny, flags: memfd}", control=("exec",), **EXEC)
row("exec-unlinked", "process.exec", "exec-unlinked", rules="{deny, flags: unlinked, paths: {directory: FOLDER}}", control=("exec",), **EXEC)
row("exec-shebang", "process.exec", "exec-shebang", **EXEC)
row("exec of a script", "process.exec", "exec", kind="script", passes=on(TRACEPOINT, SCRIPT))
row("exec-shell", "process.exec", "exec-shell", kind="script", passes=always(READ))
row("exec-ldso", "process.exec", "exec-ldso", kind="dynamic", passes=always(READ))
row("exec-copy", "process.exec", "exec-copy", passes=always(COPY), **EXEC)
row("exec, long", "process.exec", "exec", file=f"{LONG}/secret", **EXEC)
row("exec, deep", "process.exec", "exec", file=f"{NESTED}/secret", **EXEC)
row("exec, by its parent's program", "process.exec", "exec", rules="{deny, paths: PATH, executables: ATTACK}", passes=on(TRACEPOINT, GATHERED), **EXEC)
row("exec, below a folder", "process.exec", "exec", file="a/b/c/secret", rules=BELOW, **EXEC)

# ---- names of files ----
SOME = ("path", "symlink-parent", "dotdot", "proc-root", "user-ns", "chroot")
by_ways("unlink", "file.unlink", "unlink", (*SOME, "bind-folder"))
by_ways("unlinkat", "file.unlink", "unlinkat", ("dirfd", "passed-dirfd", "proc-cwd"))
for door in ("int80", "uring"):
    row(f"unlinkat, {door}", "file.unlink", "unlinkat", door=door, passes=on(TRACEPOINT, URING) if door == "uring" else {})
row("rmdir", "file.unlink", "rmdir", kind="folder")
row("unlinkat-dir", "file.unlink", "unlinkat-dir", kind="folder")
by_ways("rename", "file.rename", "rename", (*SOME, "bind-folder"))
for deed in ("renameat2", "rename-over", "rename-exchange"):
    row(deed, "file.rename", deed, way="dirfd")
row("rename-parent", "file.rename", "rename-parent", rules=BELOW)
for door in ("int80", "uring"):
    row(f"rename-over, {door}", "file.rename", "rename-over", door=door, passes=on(TRACEPOINT, URING) if door == "uring" else {})
by_ways("link", "file.link", "link", ("path", "symlink-parent", "proc-root"))
by_ways("linkat", "file.link", "linkat", ("dirfd", "proc-fd"))
row("linkat, empty", "file.link", "linkat", way="empty")
row("link-over", "file.link", "link-over", kind="nothing")
for door in ("int80", "uring"):
    row(f"linkat, {door}", "file.link", "linkat", door=door, passes=on(TRACEPOINT, URING) if door == "uring" else {})
for op, deed in (("file.symlink", "symlink"), ("file.mkdir", "mkdir")):
    by_ways(deed, op, deed, ("path", "symlink-parent", "dotdot"), kind="nothing")
    row(f"{deed}at, dirfd", op, deed + "at", kind="nothing", way="dirfd")
    for door in ("int80", "uring"):
        row(f"{deed}at, {door}", op, deed + "at", kind="nothing", door=door, passes=on(TRACEPOINT, URING) if door == "uring" else {})

# ---- attributes ----
for op, calls in (("file.chmod", ("chmod", "fchmod", "fchmodat", "fchmodat2")), ("file.chown", ("chown", "lchown", "fchown", "fchownat"))):
    for deed in calls:
        row(deed, op, deed)
    by_ways(calls[0], op, calls[0], ("symlink", "symlink-parent", "proc-fd"))
    row(f"{calls[0]}, int80", op, calls[0], door="int80")
row("fchownat, empty", "file.chown", "fchownat", way="empty")
by_ways("truncate", "file.truncate", "truncate", ("path", "symlink", "proc-fd", "hardlink"))
row("truncate, int80", "file.truncate", "truncate", door="int80")

# ---- mounts ----
for deed in ("mount-bind", "mount-tmpfs", "mount-new", "mount-tree", "mount-move"):
    row(deed, "file.mount", deed, kind="folder")
row("mount-tmpfs, symlink", "file.mount", "mount-tmpfs", kind="folder", way="symlink")
row("mount-tmpfs, user-ns", "file.mount", "mount-tmpfs", kind="folder", way="user-ns")
row("mount-tmpfs, int80", "file.mount", "mount-tmpfs", kind="folder", door="int80")
for deed in ("umount", "umount-lazy"):
    row(deed, "file.umount", deed, kind="folder")
row("umount, int80", "file.umount", "umount", kind="folder", door="int80")
row("pivot-root", "file.pivot_root", "pivot-root", kind="folder")
row("pivot-root, int80", "file.pivot_root", "pivot-root", kind="folder", door="int80")

# ---- the network ----


def to_port(deed, name="", address="127.0.0.1", op="net.connect", bad="bad", good="good", **more):
    row(f"{deed}{name}", op, deed, more=(address, str(NET[bad]), str(NET["good"])), rules=f"{{deny, ports: {NET[bad]}}}",
        control=(deed, address, str(NET[good]), str(NET["good"])), **more)


for address, name in (("127.0.0.1", ""), ("::1", ", IPv6"), ("::ffff:127.0.0.1", ", mapped"), ("0.0.0.0", ", to 0.0.0.0")):
    to_port("connect", name, address)
for deed in ("connect-udp", "connect-mptcp", "connect-unspec-first", "connect-dup", "connect-nonblocking", "connect-race", "fastopen-sendto",
             "fastopen-sendmsg", "fastopen-option", "socketcall-connect"):
    to_port(deed)
for door in ("int80", "uring", "uring-async", "uring-sqpoll"):
    to_port("connect", f", {door}", door=door, before={(5, 12): WORKER} if door in ("uring-async", "uring-sqpoll") else {})
for who in ("thread", "vfork", "child"):
    to_port("connect", f", {who}", who=who)
row("connect, mapped, by address", "net.connect", "connect", more=("::ffff:127.0.0.2", str(NET["bad"])), rules="{deny, addresses: 127.0.0.2}",
    control=("connect", "127.0.0.1", str(NET["good"])))
for deed in ("bind", "bind-udp", "socketcall-bind"):
    to_port(deed, op="net.bind", bad="own", good="local")
for address, name in (("::1", ", IPv6"), ("::ffff:127.0.0.1", ", mapped"), ("0.0.0.0", ", everywhere")):
    to_port("bind", name, address, op="net.bind", bad="own", good="local")
for door in ("int80", "uring"):
    to_port("bind", f", {door}", op="net.bind", bad="own", good="local", door=door)
for deed in ("sendto", "sendmsg", "sendmmsg", "send-unspec", "socketcall-sendto"):
    to_port(deed, op="net.sendmsg")
to_port("sendto", ", mapped", "::ffff:127.0.0.1", op="net.sendmsg")
to_port("sendto", ", IPv6", "::1", op="net.sendmsg")
to_port("sendto", ", int80", op="net.sendmsg", door="int80")
to_port("sendmsg", ", uring", op="net.sendmsg", door="uring")
to_port("send-connected", op="net.sendmsg", passes=always(CONNECTED))
to_port("send-raw", op="net.sendmsg", passes=always(RAW))
to_port("send-packet", op="net.sendmsg", passes=always(RAW))
for op, deeds in (("net.listen", ("listen", "socketcall-listen")), ("net.accept", ("accept", "accept-old", "socketcall-accept"))):
    for deed in deeds:
        to_port(deed, op=op, bad="own", good="local")
    for door in ("int80", "uring"):
        to_port(deeds[0], f", {door}", op=op, bad="own", good="local", door=door, passes=on(TRACEPOINT, URING) if door == "uring" else {})
row("listen-unbound", "net.listen", "listen-unbound", rules="{deny, addresses: 0.0.0.0}", control=("read",))
INET, PACKET, NETLINK, DGRAM, RAWTYPE = "2", "17", "16", "2", "3"
for name, words, rule in (("raw", (INET, RAWTYPE, "17"), "protocols: udp"), ("udp", (INET, DGRAM, "17"), "protocols: udp"),
                          ("packet", (PACKET, DGRAM, "0"), "families: packet"), ("netlink", (NETLINK, RAWTYPE, "0"), "families: netlink")):
    row(f"socket, {name}", "net.socket", "socket", more=words, rules=f"{{deny, {rule}}}", control=("socket", INET, "1", "6"))
for door in ("int80", "uring"):
    row(f"socket, packet, {door}", "net.socket", "socket", door=door, more=(PACKET, DGRAM, "0"), rules="{deny, families: packet}",
        control=("socket", INET, "1", "6"), passes=on((*TRACEPOINT, "cgroup"), URING) if door == "uring" else {})
row("socketcall-socket", "net.socket", "socketcall-socket", more=(PACKET, DGRAM, "0"), rules="{deny, families: packet}",
    control=("socket", INET, "1", "6"))
row("socketpair", "net.socket", "socketpair", more=("1", "1", "0"), rules="{deny, families: unix}", control=("socket", INET, "1", "6"))

# ---- other processes ----


def to_victim(op, deed, **more):
    words = more.pop("words", ())
    row(f"{deed}" + (f", {more['door']}" if "door" in more else ""), op, deed, more=("VICTIM", *words), rules="{deny, targets: VICTIM}",
        control=(deed, "NEIGHBOUR", *words), **more)


for deed in ("ptrace-attach", "ptrace-seize", "proc-mem", "pidfd-getfd"):
    to_victim("process.ptrace", deed)
to_victim("process.ptrace", "vm-read", words=("MAPPED",))
to_victim("process.ptrace", "ptrace-seize", door="int80")
for deed in ("kill", "tkill", "tgkill", "kill-group", "sigqueue", "pidfd-signal"):
    to_victim("process.signal", deed)
to_victim("process.signal", "kill", door="int80")

# ---- itself: its operation is forbidden, and all else works ----
for op, deeds in (
    ("process.setid", ("setuid", "setresuid", "setreuid", "setgid", "setfsuid")),
    ("process.capset", ("capset",)),
    ("process.namespace", ("unshare", "clone", "clone3", "setns")),
    ("process.memfd", ("memfd", "memfd-secret")),
    ("process.bpf", ("bpf-map", "bpf-program")),
    ("process.perf", ("perf",)),
):
    for deed in deeds:
        row(deed, op, deed, rules="{deny}", control=("read",))
    row(f"{deeds[0]}, int80", op, deeds[0], door="int80", rules="{deny}", control=("read",))
for deed, why in (("mprotect", ""), ("pkey-mprotect", ""), ("mmap-rwx", ""), ("mmap-twice", WRITABLE), ("shmat", WRITABLE), ("read-implies-exec", IMPLIED)):
    row(deed, "process.mprotect", deed, rules="{deny, access: execute}", control=("read",), passes=always(why) if why else {})
row("mprotect, int80", "process.mprotect", "mprotect", door="int80", rules="{deny, access: execute}", control=("read",))
for door in ("syscall", "int80"):
    row(f"module, {door}", "process.module", "module", door=door, more=("MODULE",), rules="{deny, modules: udp_diag}", control=("read",), guest=True)
for deed, capability in (("cap-chroot", "CAP_SYS_CHROOT"), ("cap-mknod", "CAP_MKNOD"), ("cap-raw", "CAP_NET_RAW"), ("cap-nice", "CAP_SYS_NICE")):
    row(deed, "cap.use", deed, rules=f"{{deny, capabilities: {capability}}}",
        control=("cap-chroot" if deed != "cap-chroot" else "cap-mknod",))

# ---- the policies ----

ERRNO = "EUCLEAN"  # which no attack gets for another reason


def policy_name(op):
    return op.replace(".", "-").replace("_", "-")


def rules(row, action, names):
    """The row's rules; names: what its words stand for."""
    made = []
    for says, conditions in re.findall(r"\{(allow|deny)(?:, )?(.*?)\}(?= \{|$)", row.rules):
        for word, value in names.items():
            conditions = re.sub(rf"\b{word}\b(?!-)", lambda _, v=value: v, conditions)
        name = row.name + (f" {len(made) + 1}" if made else "")
        does = "allow" if says == "allow" else f"deny, errno: {ERRNO}" if action == "deny" else action
        made.append(f"    - {{name: {json.dumps(name)}, operations: {row.op}, {conditions + ', ' if conditions else ''}action: {does}}}\n")
    return made


def policy(op, group, made):
    """The policy of an operation, for who is in the control group."""
    return (f"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {{name: {policy_name(op)}}}\nspec:\n  scope: {{cgroups: {group}}}\n"
            f"  rules:\n{''.join(dict.fromkeys(made))}")


# ---- what came of it, where the attack itself cannot tell ----


class Scene:
    """The folder of an attack, and what its file was."""

    TEXT = {"secret": b"!ecret", "public": b".ublic"}

    def __init__(self, folder, row, marker, dynamic, name=None):
        self.folder, self.row, self.dynamic = folder, row, dynamic
        self.name = name or row.file
        for sub in ("in", "mnt", "upper", "work"):
            os.makedirs(os.path.join(folder, sub))
        self.path = os.path.join(folder, "in", self.name)
        parent = self._climb()
        self.fd = -1
        for base in {os.path.basename(self.name), "public"}:
            self._put(parent, base, self.TEXT["secret" if base == "secret" else "public"], marker)
        os.close(parent)

    def _climb(self):
        """Descriptor of the file's folder, which may lie deeper than a path can say."""
        at = os.open(os.path.join(self.folder, "in"), os.O_RDONLY)
        for part in self.name.split("/")[:-1]:
            os.mkdir(part, dir_fd=at)
            below = os.open(part, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        return at

    def _put(self, parent, base, text, marker):
        if self.row.kind == "nothing":
            return
        if self.row.kind == "folder":
            os.mkdir(base, dir_fd=parent)
            return
        if self.row.kind == "program":
            text = marker.replace(b"PST-MARK:!", b"PST-MARK:" + text[:1])
        elif self.row.kind == "dynamic":
            text = self.dynamic
        elif self.row.kind == "script":
            text = b"#!/bin/sh\nprintf '" + text[:1] + b"' >&9\n"
        fd = os.open(base, os.O_CREAT | os.O_RDWR, 0o755, dir_fd=parent)
        os.write(fd, text)
        if base == os.path.basename(self.name) and self.fd < 0 and self.row.kind == "text":
            self.fd = fd
        else:
            os.close(fd)

    def done(self, seen):
        """Was the deed done? None: only its own word tells."""
        d = self.row.deed
        if d.startswith(("read", "exec")):
            return "!" in seen
        if d in ("write", "append", "write-again"):
            return b"changed" in os.pread(self.fd, 100, 0)
        if d == "create":
            return os.path.exists(self.path)
        if d in ("creat", "open-truncating", "truncate"):
            return not os.pread(self.fd, 100, 0).startswith(b"!")
        if d in ("unlink", "unlinkat", "rmdir", "unlinkat-dir", "rename", "renameat2", "rename-parent"):
            return not os.path.exists(self.path)
        if d in ("rename-over", "rename-exchange", "link-over"):
            return os.path.exists(self.path) and os.stat(self.path).st_size == 4
        if d in ("link", "linkat"):
            return os.path.exists(os.path.join(self.folder, "away"))
        if d.startswith(("symlink", "mkdir")):
            return os.path.lexists(self.path)
        if "chmod" in d:
            return stat.S_IMODE(os.fstat(self.fd).st_mode) == 0o604
        if "chown" in d:
            return os.fstat(self.fd).st_uid == 61042
        return None

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


# ---- docs/policies.md ----


def count(rows, rung):
    """What comes of these attacks on a rung, in words."""
    stopped = [r for r in rows if not r.passes.get(rung)]
    late = sum(r.stops_late(rung) for r in stopped)
    return f"{len(stopped)} {'killed' if rung in KILLED else 'denied'}" + (f", {late} of them when it was done" if late else "")


def page():
    """What the page says of the table."""
    judged = [r for r in TABLE if r.op in JUDGED]
    lines = ["| operation | attacks | LSM | fentry | tracepoints |", "|---|---|---|---|---|"]
    for op, rungs in JUDGED.items():
        rows = [r for r in judged if r.op == op]
        lines.append(f"| `{op}` | {len(rows)} | {' | '.join(count(rows, rung) if rung in rungs else 'not judged' for rung in RUNGS[:3])} |")
    lines += ["", "| what passes | where | attacks |", "|---|---|---|"]
    why = {}
    for r in judged:
        for rung, text in r.passes.items():
            if rung in RUNGS[:3] and rung not in JUDGED[r.op]:
                continue
            why.setdefault(text, {}).setdefault(r.name, []).append(rung)
        for until, text in r.before.items():
            why.setdefault(text, {}).setdefault(r.name, []).append(f"before Linux {until[0]}.{until[1]}")
    for text, rows in why.items():
        rungs = {rung for of in rows.values() for rung in of}
        where = "everywhere" if rungs >= set(RUNGS) else ", ".join(r for r in (*RUNGS, *sorted(rungs - set(RUNGS))) if r in rungs)
        lines.append(f"| {text} | {where} | {'; '.join(rows)} |")
    left = [r for r in TABLE if r.op not in JUDGED]
    names = ", ".join(f"`{op}` ({sum(r.op == op for r in left)})" for op in dict.fromkeys(r.op for r in left))
    return "\n".join(lines) + f"\n\nNot judged yet, and in the table: {names}.\n"


if __name__ == "__main__":
    print(page(), end="")
