# SPDX-License-Identifier: Apache-2.0
"""What the loader's tests share: small configurations, looks at pins and kernel objects, the state that is good."""
import mmap
import os
import time
import unittest

import lib
import pipeline

# Few and small: the verifier is what takes time.
LEAN = """
loader:
  sensors: {exec_failed: no, cred: no, tcp: no, accept: no, udp: no, drops: no, flows: no, syscalls: no, """ + lib.NO_RARE + """}
  rings: {process: 1MiB, net: 64KiB, flow: 64KiB}
"""
FLOWS = """
loader:
  sensors: {process: no, exec_failed: no, cred: no, tcp: no, accept: no, udp: no, drops: no, syscalls: no, """ + lib.NO_RARE + """}
  rings: {process: 64KiB, net: 64KiB, flow: 64KiB}
  flows: {slots: 1024}
"""
EXEC = 2  # PST_REC_EXEC
UPGRADES = int(os.environ.get("PENSTOCK_UPGRADES", "3" if os.environ.get("PENSTOCK_VM") else "8"))


def refuse(what):
    """Environment of a loader that the kernel refuses something (tests/helpers/preload/refuse.c)."""
    return {"LD_PRELOAD": pipeline.helper("refuse.so"), "PST_REFUSE": what}


def link_ids(instance):
    """Which link is behind each pin: changes when a program was exchanged."""
    return {name: os.stat(instance.pin("links", name)).st_ino for name in instance.pins("links")}


def map_id(instance, name):
    return lib.bpftool("map", "show", "pinned", instance.pin("maps", name))["id"]


def programs_alive(ids):
    return {p["id"] for p in lib.bpftool("prog", "show")} & set(ids)


def gate_words(instance):
    dump = lib.bpftool("map", "dump", "pinned", instance.pin("maps", "gate"))
    words = set()
    for e in dump:
        raw = e["value"]
        words.add(raw if isinstance(raw, int) else int.from_bytes(bytes(int(b, 16) for b in raw), "little"))
    return words


STATE = 32768  # bytes of the map `version`


def resize_state(instance, size):
    """The loader's own state as a build with more or less to tell of its rungs made it."""
    path = os.path.join(instance.bpffs, "version")
    old, new = lib.obj_get(path), lib.create_array("version", size, 1)
    with mmap.mmap(old, STATE) as a, mmap.mmap(new, size) as b:
        n = min(size, STATE)
        b[:n] = a[:n]
    os.unlink(path)
    lib.obj_pin(path, new)
    os.close(old)
    os.close(new)


class LoaderTest(unittest.TestCase):
    config = LEAN

    def setUp(self):
        self.i = lib.Instance(self.config)
        self.addCleanup(self.i.close)

    def sensor(self, name):
        return next(s for s in self.i.report()["sensors"] if s["name"] == name)

    def assert_good_state(self, links=("process_exec", "process_exit", "process_fork")):
        """What every way of loading has to end in."""
        self.assertEqual(self.i.pins("staging"), [])
        self.assertEqual([n for n in self.i.pins("links") if not n.startswith("tcx")], sorted(links))
        generation = self.i.report()["generation"]
        self.assertEqual(gate_words(self.i), {generation})
        for name in ("ring_process", "ring_ctl", "class_stats", "gate", "own_ids"):
            self.assertIn(name, self.i.pins("maps"))
        self.assertEqual(self.i.pins("iters"), ["maps", "programs", "tasks"])
