# SPDX-License-Identifier: Apache-2.0
"""The maps of policies (proto/abi/policy.h), and tables without a rule: acts are judged by them, and nothing is forbidden."""
import mmap
import os
import struct

import lib

MAPS = ("policy", "policy_lines", "path_lines", "policy_names")
OPS = ((1, "policy_exec"), (12, "policy_open"))  # number of the operation, and the sensor that judges it
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


def no_rules(instance, sensor=None):
    """Tables by which what the sensor (or any) asks about is judged, without a rule (struct pst_pol_head), put in force. Their generation."""
    ops = sum(1 << number for number, name in OPS if name == (sensor or name))
    with Page(instance) as page:
        generation = page.words()[1] + 7
        write_half(instance, "policy_lines", generation, 0, struct.pack("QQQIIIIIIIIII", ops, 0, 0, generation, *([0] * 9)))
        page.put_in_force(generation)
    return generation


def judged(instance):
    """Acts that were judged, on all CPUs."""
    dump = lib.bpftool("map", "dump", "pinned", instance.pin("maps", "judge_counts"))
    entry = next(e for e in dump if int.from_bytes(bytes(int(b, 16) for b in e["key"]), "little") == TOLD_ALL)
    return sum(int.from_bytes(bytes(int(b, 16) for b in v["value"]), "little") for v in entry["values"])
