# SPDX-License-Identifier: Apache-2.0
"""The maps of policies (proto/abi/policy.h), and tables without a rule, or with one for a control group of the test."""
import mmap
import os
import struct

import lib

MAPS = ("policy", "policy_lines", "path_lines", "policy_names")
FILES = [n for n in range(13, 24) if n != 19]  # from file.unlink to file.pivot_root, but for file.chown
# Number of the operation, and the sensor that judges it.
OPS = ((1, "policy_exec"), (12, "policy_open"), *((n, "policy_file") for n in FILES), (19, "policy_chown"),
       *((n, "policy_net") for n in range(24, 30)),
       *((n, "policy_proc") for n in (2, 3, 4, 5, 8, 9, 11)), *((n, "policy_made") for n in (6, 10)), (7, "policy_module"))
LEVELS = ("none", "observe", "kill", "deny")
PAGE, KEY, LEVEL = 264, slice(16, 32), 40  # struct pst_policy
MOVED = 1
TOLD_ALL = 1


class Page:
    """struct pst_policy of the map that is pinned now."""

    def __init__(self, instance):
        fd = lib.obj_get(instance.pin("maps", "policy"))
        self.m = mmap.mmap(fd, PAGE)
        os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.m.close()

    def words(self):
        """(generation, last)"""
        return struct.unpack_from("QQ", self.m)

    def key(self):
        return bytes(self.m[KEY])

    def flags(self):
        return struct.unpack_from("Q", self.m, 32)[0]

    def levels(self):
        return {op: LEVELS[n] for op, n in enumerate(self.m[LEVEL:LEVEL + 64]) if n}

    def put_in_force(self, generation):
        struct.pack_into("Q", self.m, 8, generation)
        struct.pack_into("Q", self.m, 0, generation)

    def off(self):
        struct.pack_into("Q", self.m, 0, 0)


def half_bytes(instance, name):
    return lib.bpftool("map", "show", "pinned", instance.pin("maps", name))["bytes_value"]


def write_half(instance, name, generation, offset, raw):
    size, fd = half_bytes(instance, name), lib.obj_get(instance.pin("maps", name))
    with mmap.mmap(fd, 2 * size) as m:
        at = (generation & 1) * size + offset
        m[at:at + len(raw)] = raw
    os.close(fd)


def read_half(instance, name, generation, offset, n):
    size, fd = half_bytes(instance, name), lib.obj_get(instance.pin("maps", name))
    with mmap.mmap(fd, 2 * size, mmap.MAP_SHARED, mmap.PROT_READ) as m:
        at = (generation & 1) * size + offset
        raw = bytes(m[at:at + n])
    os.close(fd)
    return raw


# Lines of tables with at most one rule, of one control group: by operation the class of all rules or of none, by control group likewise.
BY_OP, CGROUPS, ALL, NONE, BITS, RANKS, RULES = 100, 110, 120, 121, 122, 123, 124
ALLOW = 1  # enum pst_pol_action
OP, CGROUP = 0, 5  # enum pst_pol_dim
ERRNO = 13


def tables(ops, generation, group=0, action=0):
    """Bytes of a half (struct pst_pol_head and so on): a rule that does this to what is in the control group, or none."""
    raw = bytearray((RULES + 1) * 64)
    struct.pack_into("QQQIIIIIIIIII", raw, 0, sum(1 << op for op in ops), 0, 0, generation, bool(group), 1 << OP | 1 << CGROUP, 0,
                     RULES, RANKS, 0, 0, CGROUPS, 0)
    for dim, root in ((OP, BY_OP), (CGROUP, 0)):
        struct.pack_into("IIII", raw, (2 + dim // 4) * 64 + dim % 4 * 16, root, 0, NONE, NONE)
    struct.pack_into("64I", raw, BY_OP * 64, *(ALL if op in ops and group else NONE for op in range(64)))
    if group:
        struct.pack_into("QII", raw, CGROUPS * 64, group, ALL, 0)
        struct.pack_into("II", raw, ALL * 64, 1, 1 << 24 | BITS)
        struct.pack_into("Q", raw, BITS * 64, 1)
        struct.pack_into("I", raw, RANKS * 64, 0xffffffff)
        struct.pack_into("IHHBB", raw, RULES * 64, 1, 0, ERRNO, action, action)
    return bytes(raw)


def put(instance, ops, group=0, action=0):
    """Into the idle half, and in force. Their generation."""
    with Page(instance) as page:
        generation = page.words()[1] + 7
        write_half(instance, "policy_lines", generation, 0, tables(ops, generation, group, action))
        page.put_in_force(generation)
    return generation


def no_rules(instance):
    """Tables that say nothing. Their generation."""
    return put(instance, [number for number, _ in OPS])


def own_group():
    """The id of the control group that we are in."""
    with open("/proc/self/mountinfo") as f:
        mount, root = next((line.split()[4], line.split()[3]) for line in f if " - cgroup2 " in line)
    with open("/proc/self/cgroup") as f:
        path = next(line[3:].rstrip("\n") for line in f if line.startswith("0::"))
    return os.stat(mount + "/" + os.path.relpath(path, root)).st_ino


def allow(instance, sensor):
    """By which what the sensor asks about is judged when it is done in our control group, and allowed. Their generation."""
    return put(instance, [number for number, name in OPS if name == sensor], own_group(), ALLOW)


def judged(instance):
    """Acts that were judged, on all CPUs."""
    dump = lib.bpftool("map", "dump", "pinned", instance.pin("maps", "judge_counts"))
    entry = next(e for e in dump if int.from_bytes(bytes(int(b, 16) for b in e["key"]), "little") == TOLD_ALL)
    return sum(int.from_bytes(bytes(int(b, 16) for b in v["value"]), "little") for v in entry["values"])
