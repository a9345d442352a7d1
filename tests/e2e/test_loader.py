#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The loader: the same good state whatever came before, nothing left behind, and the strongest hooks that load."""
import json
import mmap
import os
import stat
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from loader import LEAN, FLOWS, STATE, link_ids, map_id, programs_alive, LoaderTest  # noqa: E402


class Load(LoaderTest):
    def test_pins_owners_and_modes(self):
        self.i.load()
        self.assert_good_state()
        collector, enricher, exporter = (self.i.uid(s) for s in ("collector", "enricher", "exporter"))
        for folder, name, mode, group in (
                ("maps", "ring_process", 0o660, collector), ("maps", "ring_ctl", 0o660, collector),
                ("maps", "class_stats", 0o660, collector), ("maps", "own_ids", 0o600, 0), ("maps", "gate", 0o600, 0),
                ("iters", "tasks", 0o440, enricher), ("iters", "programs", 0o440, exporter),
                ("iters", "maps", 0o440, exporter), ("links", "process_exec", 0o600, 0)):
            with self.subTest(pin=f"{folder}/{name}"):
                st = os.stat(self.i.pin(folder, name))
                self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (mode, 0, group))
        st = os.stat(self.i.run_dir)
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (0o1770, 0, lib.COMMON_GROUP))

    def test_iterators_by_group(self):
        self.i.load()
        script = "import sys; sys.exit(0 if open(sys.argv[1],'rb').read(1) else 1)"
        for uid, name, ok in ((self.i.uid("enricher"), "tasks", True), (self.i.uid("exporter"), "tasks", False),
                              (self.i.uid("exporter"), "programs", True), (self.i.uid("collector"), "programs", False),
                              (lib.STRANGER, "tasks", False)):
            with self.subTest(uid=uid, iterator=name):
                p = subprocess.run(["/usr/bin/python3", "-c", script, self.i.pin("iters", name)], user=uid, group=uid,
                                   extra_groups=[], stderr=subprocess.PIPE)
                self.assertEqual(p.returncode == 0, ok, p.stderr.decode())
                if not ok:
                    self.assertIn(b"PermissionError", p.stderr)

    def test_frozen_tables_cannot_be_written(self):
        self.i.configure(FLOWS)
        self.i.load()
        s = self.i.start("penstock-loader", "serve")
        self.addCleanup(s.close)
        fds, error = lib.request_fds(os.path.join(self.i.run_dir, "loader.fds"))
        self.assertEqual(error, 0)
        for name in ("flows", "class_stats"):
            with self.subTest(map=name):
                fd = fds[name][0]
                mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ).close()
                with self.assertRaises(PermissionError):
                    mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        for fd, _ in fds.values():
            os.close(fd)

    def test_twice_changes_nothing(self):
        self.i.load()
        before = link_ids(self.i), map_id(self.i, "ring_process"), self.i.report()["generation"]
        log = self.i.load()
        self.assertIn("nothing changed", log)
        self.assertEqual((link_ids(self.i), map_id(self.i, "ring_process"), self.i.report()["generation"]), before)
        self.assert_good_state()

    def test_a_missing_pin_is_noticed(self):
        self.i.load()
        os.unlink(self.i.pin("links", "process_exec"))
        log = self.i.load()
        self.assertNotIn("nothing changed", log)
        self.assert_good_state()
        os.unlink(self.i.pin("maps", "ring_process"))
        self.i.load()
        self.assert_good_state()

    def test_forced_load_exchanges_programs_and_keeps_maps(self):
        self.i.load()
        old, ring = self.i.own_programs(), map_id(self.i, "ring_process")
        generation = self.i.report()["generation"]
        self.assertTrue(programs_alive(old))
        self.i.load("--force")
        new = self.i.own_programs()
        self.assertFalse(old & new)
        self.assertEqual(map_id(self.i, "ring_process"), ring)
        self.assertEqual(self.i.report()["generation"], generation + 1)
        self.assert_good_state()
        lib.wait_for(lambda: not programs_alive(old), 10, "old programs gone")

    def test_changed_configuration(self):
        self.i.load()
        ring, ctl = map_id(self.i, "ring_process"), map_id(self.i, "ring_ctl")
        # another size: that ring is new, the rest stays
        self.i.configure(LEAN.replace("process: 1MiB", "process: 2MiB"))
        log = self.i.load()
        self.assertIn("definition changed", log)
        self.assertNotEqual(map_id(self.i, "ring_process"), ring)
        self.assertEqual(map_id(self.i, "ring_ctl"), ctl)
        self.assert_good_state()
        # a sensor more, then less
        self.i.configure(LEAN.replace("udp: no", "udp: yes"))
        self.i.load()
        self.assertIn("udp_ingress", self.i.pins("links"))
        self.assertEqual(self.sensor("udp")["state"], "active")
        old = self.i.own_programs()
        self.i.configure(LEAN)
        self.i.load()
        self.assertNotIn("udp_ingress", self.i.pins("links"))
        self.assertEqual(self.i.pins("progs"), [])
        self.assertNotIn("udp_peers", self.i.pins("maps"))
        self.assertEqual(self.sensor("udp")["state"], "off")
        self.assert_good_state()
        lib.wait_for(lambda: not programs_alive(old), 10, "programs of the sensor gone")

    def poke(self, offset, raw):
        """Writes into the loader's own state, as a crash or another version may have left it."""
        fd = lib.obj_get(os.path.join(self.i.bpffs, "version"))
        with mmap.mmap(fd, STATE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as m:
            m[offset:offset + len(raw)] = raw
        os.close(fd)

    def test_pins_of_another_version(self):
        self.i.load()
        old, ring = self.i.own_programs(), map_id(self.i, "ring_process")
        self.i.load("--force")
        self.poke(0, struct.pack("I", 4711))
        log = self.i.load()
        self.assertIn("another version", log)
        self.assertNotEqual(map_id(self.i, "ring_process"), ring)
        self.assertEqual(self.i.report()["generation"], 1)
        self.assert_good_state()
        lib.wait_for(lambda: not programs_alive(old), 10, "old programs gone")

    def test_state_that_makes_no_sense(self):
        self.i.load()
        # the step was begun, but there is nothing to finish
        self.poke(4, struct.pack("III", 1, 7, 12))
        self.assertIn("finishing", self.i.load())
        self.assert_good_state()
        # what became of the rungs: any bytes
        self.poke(128, b"\xff" * (STATE - 128))
        self.i.load()
        self.assert_good_state()
        self.assertEqual(self.sensor("process")["state"], "active")

    def test_cgroup_programs_are_exchanged_in_place(self):
        self.i.configure(LEAN.replace("udp: no", "udp: yes"))
        self.i.load()
        link = lib.bpftool("link", "show", "pinned", self.i.pin("links", "udp_egress"))
        self.i.load("--force")
        after = lib.bpftool("link", "show", "pinned", self.i.pin("links", "udp_egress"))
        self.assertEqual(after["id"], link["id"])
        self.assertNotEqual(after["prog_id"], link["prog_id"])

    def test_unload_leaves_nothing(self):
        self.i.configure(FLOWS.replace("udp: no", "udp: yes").replace("process: no", "process: yes"))
        self.i.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        self.i.load()
        ids = self.i.own_programs()
        self.assertTrue(programs_alive(ids))
        maps = {map_id(self.i, n) for n in self.i.pins("maps")}
        code, log = self.i.loader("unload")
        self.assertEqual(code, 0, log)
        self.assertFalse(os.path.exists(self.i.bpffs))
        self.assertFalse(os.path.exists(self.i.run_dir))
        lib.wait_for(lambda: not programs_alive(ids), 10, "programs gone")
        lib.wait_for(lambda: not maps & {m["id"] for m in lib.bpftool("map", "show")}, 10, "maps gone")
        self.assertNotIn("clsact", self.i.run("tc", "qdisc", "show").stdout)
        # and once more, with nothing there
        code, log = self.i.loader("unload")
        self.assertEqual(code, 0, log)

    def test_unload_touches_only_a_bpffs(self):
        victim = os.path.join(self.i.dir, "maps")
        os.mkdir(victim)
        with open(os.path.join(victim, "precious"), "w"):
            pass
        p = subprocess.run([os.path.join(lib.BINDIR, "penstock-loader"), "unload", "--bpffs", self.i.dir, "--run-dir",
                            self.i.run_dir], stderr=subprocess.PIPE, text=True)
        self.assertEqual(p.returncode, lib.EXIT_USAGE)
        self.assertIn("bpffs", p.stderr)
        self.assertEqual(os.listdir(victim), ["precious"])

    def test_usage(self):
        for args, code, says in ((["lod"], lib.EXIT_USAGE, 'did you mean "load"'), ([], lib.EXIT_USAGE, "expected one of"),
                                 (["load", "serve"], lib.EXIT_USAGE, "expected one of"),
                                 (["--frce", "load"], lib.EXIT_USAGE, "force"),
                                 (["restore"], lib.EXIT_SYSTEM, "restore: no loader serves here")):
            with self.subTest(args=args):
                got, log = self.i.loader(*args)
                self.assertEqual(got, code)
                self.assertIn(says, log)
        self.i.configure("loader:\n  flows: {slots: 1000}\n")
        code, log = self.i.loader("load")
        self.assertEqual(code, lib.EXIT_USAGE)
        self.assertIn("penstock.yaml:4:18: expected a power of two", log)
        self.assertFalse(os.path.exists(self.i.bpffs))

    def test_not_root(self):
        self.i.configure(LEAN)
        p = subprocess.run(self.i.args("penstock-loader", "load")[3:], user=lib.STRANGER, group=lib.STRANGER,
                           extra_groups=[], stderr=subprocess.PIPE, text=True)
        self.assertEqual(p.returncode, lib.EXIT_USAGE, p.stderr)
        self.assertIn("must run as root", p.stderr)

    def test_folder_that_is_no_bpffs(self):
        p = subprocess.run(self.i.args("penstock-loader", "load", "--bpffs", "/tmp/penstock-nowhere"), stderr=subprocess.PIPE,
                           text=True)
        self.assertEqual(p.returncode, lib.EXIT_USAGE, p.stderr)
        self.assertIn("bpffs", p.stderr)

    def test_report(self):
        self.i.load()
        r = self.i.report()
        st = os.stat(os.path.join(self.i.run_dir, "loader.json"))
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_gid), (0o640, lib.COMMON_GROUP))
        self.assertEqual(r["report"], 1)
        self.assertEqual(r["kernel"]["release"], os.uname().release)
        self.assertEqual(r["kernel"]["boot_id"], lib.read("/proc/sys/kernel/random/boot_id").decode().strip())
        self.assertIn(r["kernel"]["lockdown"], ("none", "integrity", "confidentiality", "unknown"))
        self.assertEqual(self.sensor("process")["state"], "active")
        self.assertEqual(self.sensor("process")["can"], ["observe"])
        self.assertEqual(self.sensor("cred")["state"], "off")
        sizes = {m["name"]: m["entries"] for m in r["maps"]}
        self.assertEqual(sizes["ring_process"], 1 << 20)
        self.assertEqual(r["privilege"]["capabilities"][:1], ["net_admin"])
        self.assertFalse({"dac_override", "setuid", "sys_module", "sys_ptrace", "chown"}
                         & set(r["privilege"]["capabilities"]))
        self.assertFalse(r["bpf_stats"]["on"])
        # names that this kernel's types have, by number
        dump = subprocess.run(["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "-j"], stdout=subprocess.PIPE)
        types = json.loads(dump.stdout)["types"] if dump.returncode == 0 else []
        for key, enum, prefix in (("drop_reasons", "skb_drop_reason", "SKB_DROP_REASON_"),
                                  ("reset_reasons", "sk_rst_reason", "SK_RST_REASON_")):
            values = next((t["values"] for t in types if t["kind"] == "ENUM" and t["name"] == enum), [])
            with self.subTest(enum=enum):
                self.assertEqual(bool(values), bool(r[key]))
                for v in values:
                    if v["name"].endswith(("_MAX", "MASK")) or v["val"] >= 1024:
                        continue
                    self.assertEqual(r[key][v["val"]], v["name"].removeprefix(prefix))


class Ladder(LoaderTest):
    known = None

    def probe(self):
        """Asked once: it tries every program of every rung."""
        if not Ladder.known:
            Ladder.known = json.loads(self.i.run(*self.i.args("penstock-loader", "probe", "--json")[3:]).stdout)
        return Ladder.known

    def test_forced_rung(self):
        self.i.configure(LEAN.replace("accept: no", "accept: yes").replace("  rings:", "  rungs: {accept: sys_exit}\n  rings:"))
        self.i.load()
        s = self.sensor("accept")
        self.assertEqual((s["rung"], s["state"]), ("sys_exit", "weaker"))
        self.assertIn("sysexit", self.i.pins("links"))

    def test_what_works_here_is_found_and_the_rest_explained(self):
        """Against an independent look: does a fentry program load on this kernel?"""
        features = {f["name"]: f for f in self.probe()["features"]}
        self.i.configure(LEAN.replace("accept: no", "accept: yes"))
        self.i.load()
        s = self.sensor("accept")
        if features["fentry"]["available"]:
            self.assertEqual((s["rung"], s["state"], s["why_not"]), ("fentry", "active", []))
            self.assertIn("accept_graft", self.i.pins("links"))
        else:
            self.assertEqual((s["rung"], s["state"]), ("sys_exit", "weaker"))
            self.assertEqual(s["why_not"][0]["rung"], "fentry")
            self.assertTrue(s["why_not"][0]["reason"])

    def test_probe(self):
        before = {p["id"] for p in lib.bpftool("prog", "show")}
        probe = self.probe()
        self.assertEqual(probe["kernel"]["release"], os.uname().release)
        features = {f["name"]: f for f in probe["features"]}
        for name in ("btf", "ringbuf", "raw_tp", "tp_btf", "array_mmap", "map_freeze", "iter", "tc", "cgroup_skb"):
            self.assertTrue(features[name]["available"], features[name])
        for f in features.values():
            self.assertTrue(f["available"] or f["why"], f)
        lsm = probe["kernel"]["lsm"].split(",")
        if features["lsm"]["available"]:
            self.assertIn("bpf", lsm)
            self.assertIn("deny", features["lsm"]["can"])
        elif features["fentry"]["available"]:  # then these are taken too, and never called
            self.assertNotIn("bpf", lsm)
            self.assertIn("bpf is not among the LSMs", features["lsm"]["why"])
        rungs = {s["name"]: s["rungs"] for s in probe["sensors"]}
        self.assertTrue(rungs["process"][0]["available"], rungs["process"])
        for name, list_ in rungs.items():
            possible = name not in ("module", "policy_module") or os.path.exists("/proc/modules")  # a kernel may have none
            if name in ("policy_file", "policy_chown"):  # nothing else tells what is done before it is
                possible = features["lsm"]["available"] or features["fentry"]["available"]
            self.assertEqual(any(r["available"] for r in list_), possible, f"{name}: {list_}")
        self.assertFalse(os.path.exists(self.i.bpffs))
        lib.wait_for(lambda: not {p["id"] for p in lib.bpftool("prog", "show") if p.get("name", "").startswith("pst_try")}
                     - before, 10, "trial programs gone")


    def test_probe_for_people(self):
        text = self.i.run(*self.i.args("penstock-loader", "probe")[3:]).stdout
        for name in ("tp_btf", "tcx", "exec_failed", "iter"):
            self.assertIn(name, text)
        self.assertNotIn("\033", text)


if __name__ == "__main__":
    unittest.main()
