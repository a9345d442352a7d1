#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile bytes in every file that is read, and in the environment: an error that names the place, no crash, no hang, nothing changed."""
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fuzz"))
import lib  # noqa: E402
import pipeline  # noqa: E402
import seeds  # noqa: E402
from pipeline import unique  # noqa: E402

FEW = 10 if pipeline.VM else 1
DEEP = 100000

# (name, text, where, what the message says); where: line:column, or None: the file as a whole
YAML = [
    ("flow_without_end", b"common: {run_dir: [", r"\d+:\d+", ""),
    ("quote_without_end", b"common:\n  run_dir: \"abc\n", r"\d+:\d+", "quoted text never ends|unexpected end"),
    ("colon", b"common:\n  run_dir: a: b\n", "2:13", "unexpected \":\""),
    ("tab", b"common:\n\trun_dir: a\n", r"2:\d+", "tab"),
    ("indentation", b"common:\n    run_dir: a\n  bpffs: b\n", r"[34]:\d+", ""),
    ("reserved", b"common: @x\n", "1:9", "quote"),
    ("scalar", b"hello\n", "1:1", "mapping"),
    ("list", b"- common\n- loader\n", "1:1", "mapping"),
    ("section_is_a_number", b"common: 5\n", r"1:\d+", "mapping"),
    ("section_is_a_list", b"common: [a, b]\n", r"1:\d+", "mapping"),
    ("list_for_a_text", b"common:\n  run_dir: [a]\n", "2:12", ""),
    ("mapping_for_a_text", b"common:\n  run_dir: {a: b}\n", "2:12", ""),
    ("empty_text", b"common:\n  run_dir: ''\n", "2:12", ""),
    ("long_text", b"common:\n  run_dir: " + b"x" * 5000 + b"\n", "2:12", ""),
    ("no_such_word", b"common:\n  log: {level: loud}\n", "2:16", "error, warn, info"),
    ("unknown_section", b"comon:\n  run_dir: a\n", "1:1", "did you mean \"common\""),
    ("unknown_key", b"common:\n  run_dri: a\n", "2:3", "did you mean \"run_dir\""),
    ("unknown_inner_key", b"common:\n  log:\n    levle: info\n", "3:5", "did you mean \"level\""),
    ("forged_line", b"common:\n  \"a\\nerror: b\\x1b[2J\": a\n", "2:3", "unknown"),
    ("key_twice", b"common:\n  run_dir: a\n  bpffs: b\n  run_dir: c\n", "4:3", "second time; the first is in line 2"),
    ("section_twice", b"common: {}\nloader: {}\ncommon: {}\n", "3:1", "second time"),
    ("anchor", b"common: &a {run_dir: x}\n", "1:9", "anchors"),
    ("alias", b"common: *a\n", r"1:\d+", ""),
    ("alias_bomb", b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1) if i else b"x"] * 10)) for i in range(12)), "1:5",
     "anchors"),
    ("merge", b"a: &a {run_dir: x}\ncommon:\n  <<: *a\n", "1:4", "anchors"),
    ("tag", b"common: !!python/object:os.system {}\n", "1:9", "tags"),
    ("key_is_a_list", b"? [a, b]\n: c\n", "1:3", "key must be a plain word"),
    ("two_documents", b"common: {}\n---\ncommon: {}\n", r"[23]:1", "second document"),
    ("directive", b"%YAML 9.9\n---\ncommon: {}\n", r"1:\d+", ""),
    ("nul", b"common:\n  run_dir: a\0b\n", "2:13", "control characters"),
    ("escaped_nul", b"common:\n  run_dir: \"a\\0b\"\n", "2:12", "NUL"),
    ("not_utf8", b"common:\n  run_dir: a\xff\xfe\n", "2:13", "UTF-8"),
    ("overlong_utf8", b"common:\n  run_dir: \xc0\xaf\n", r"2:\d+", "UTF-8"),
    ("binary", bytes(range(256)) * 50, r"\d+:\d+", "UTF-8"),
    ("elf", None, r"1:\d+", ""),
    ("utf16", "common: {}\n".encode("utf-16"), r"1:\d+", "UTF-8"),
    ("deep_flow", b"common: " + b"[" * DEEP, "1:24", "nested more than"),
    ("deep_mapping", b"common: " + b"{a: " * DEEP, r"1:\d+", "nested more than"),
    ("deep_block", b"\n".join(b" " * i + b"a:" for i in range(1000)), r"\d+:\d+", "nested more than"),
    ("many_values", b"common: {run_dir: [" + b"x," * 200000 + b"]}\n", r"1:\d+", "more than 100000 values"),
    ("many_errors", b"common:\n" + b"".join(b"  k%d: 1\n" % i for i in range(20000)), "2:3", "unknown"),
    ("huge", b"#" * (1 << 20) + b"x\n", None, "larger than 1024 KiB"),
    ("huge_line", b"common: {run_dir: " + b"x" * 900000 + b"}\n", "1:19", ""),
]
SIZES = ("1", "-1", "1023", "99999999999999999999", "99999TiB", "16EiB", "1e9", "0x100", "1.5MiB", "1 MiB extra", "MiB", "~", "true", "''")
TIMES = ("1", "-1s", "99999999999999999999s", "999999999d", "1.5s", "5", "s", "5 parsecs", "''", "~")
NUMBERS = ("-1", "0x", "1e3", "18446744073709551616", "4294967297", "one", "''", "~", "1.0")
RANGES = [  # section, key as nested words, values that are not good
    ("loader", ("rings", "process"), SIZES), ("loader", ("sensors", "tcp"), ("2", "maybe", "[]", "''")),
    ("collector", ("retention",), SIZES), ("collector", ("tick",), TIMES), ("collector", ("flow_idle",), TIMES),
    ("enricher", ("retention",), SIZES), ("enricher", ("processes",), (*NUMBERS, "1", "99999999")), ("enricher", ("linger",), TIMES[1:]),
    ("policyd", ("retention",), SIZES), ("policyd", ("rules",), ("{}", "[[a]]", "[" + "a, " * 65 + "]")),
    ("exporter", ("listen",), ("['nonsense']", "['1.2.3.4:99999']", "['unix:']", "['[::1]']", "[" + "'127.0.0.1:1', " * 70 + "]")),
    ("exporter", ("max_connections",), (*NUMBERS, "0", "99999")), ("exporter", ("store", "bytes"), SIZES), ("exporter", ("timeout",),
                                                                                                            TIMES),
    ("exporter", ("output", "kinds"), ("[nothing_such]", "{}", "[[]]")), ("exporter", ("bounds", "max_series"), (*NUMBERS, "0")),
]


def outcome(p, program, *args, env=None, notify=True, pass_fds=()):
    """(code, log) of a program that has to end by itself."""
    proc = lib.Process(p.args(program, *args), env, name=program, notify=notify, pass_fds=pass_fds)
    p.processes = p.processes[-10:] + [proc]
    try:
        return proc.wait(pipeline.PATIENCE), proc.text()
    finally:
        proc.close()


def alert_of(test, p, mark):
    """An event goes all the way."""
    spawner = pipeline.Spawner(mark, 1)
    test.addCleanup(spawner.close)
    spawner.result()
    pipeline.wait_for(lambda: any(e["argv"][:1] == [mark] for e in p.events("last=100000&rule=marked")), f"the alert of {mark}")


class Files(unittest.TestCase):
    """What a program says of a configuration file, without starting anything."""

    @classmethod
    def setUpClass(cls):
        cls.i = lib.Instance()
        cls.addClassCleanup(cls.i.close)
        cls.file = os.path.join(cls.i.dir, "hostile.yaml")

    def run_it(self, *args, env=None, seconds=pipeline.PATIENCE):
        return subprocess.run(self.i.inside(os.path.join(lib.BINDIR, args[0]), *args[1:]), stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=seconds, env={**os.environ, **(env or {})})

    def refused(self, out, where, what, path=None, many=False):
        """Exit code, and a first line that names the place."""
        err = out.stderr.decode("utf-8", "backslashreplace")
        self.assertEqual(out.returncode, lib.EXIT_USAGE, err[:2000])
        place = re.escape(path or self.file) + ":" + (where + ":" if where else "") + " "
        lines = err.splitlines()
        self.assertTrue(lines, "not a word")
        self.assertTrue(many or len(lines) <= 30, f"{len(lines)} lines")
        self.assertTrue(any(re.match(place, line) and re.search(what, line) for line in lines),
                        f"want {place!r} and {what!r}:\n{err[:2000]}")
        for line in lines:
            self.assertLess(len(line), 1200 + len(path or ""))
            self.assertNotRegex(line, r"[\x00-\x08\x0b-\x1f\x7f]")

    def programs(self):
        for name in pipeline.ORDER:
            yield name, (f"penstock-{name}", *(("load",) if name == "loader" else ()), "--check", "--config", self.file)

    def write(self, data):
        with open(self.file, "wb") as f:
            f.write(data)


class Config(Files):
    def test_malformed(self):
        """Each kind of malformed text, to each of the five programs and to `penstock config check`."""
        for name, data, where, what in YAML:
            if data is None:
                data = lib.read(os.path.join(lib.BINDIR, "penstock-collector"))[:900000]
            self.write(data)
            for program, args in self.programs():
                with self.subTest(program=program, case=name):
                    self.refused(self.run_it(*args), where, what)
            with self.subTest(program="penstock config check", case=name):
                self.refused(self.run_it("penstock", "config", "check", self.file), where, what, many=True)

    def test_values_out_of_range(self):
        for section, keys, values in RANGES:
            program = dict(self.programs())[section]
            for value in values:
                text = f"{section}:\n"
                for depth, key in enumerate(keys):
                    text += "  " * (depth + 1) + key + ":" + ("\n" if depth + 1 < len(keys) else f" {value}\n")
                self.write(text.encode())
                with self.subTest(section=section, key=".".join(keys), value=value[:40]):
                    self.refused(self.run_it(*program), rf"{len(keys) + 1}:\d+", "")

    def test_what_is_no_file(self):
        """A folder, a FIFO that nobody writes, a device without an end, a loop of links, nothing at all, a file that one may not read."""
        def fifo():
            os.mkfifo(self.file)

        def unreadable():
            self.write(b"common: {}\n")
            os.chmod(self.file, 0)
        cases = [("folder", lambda: os.mkdir(self.file), "not a regular file"), ("fifo", fifo, "not a regular file"),
                 ("device", lambda: os.symlink("/dev/zero", self.file), "not a regular file"),
                 ("loop", lambda: os.symlink(self.file, self.file), "cannot open"), ("nothing", lambda: None, "cannot open"),
                 ("socket", lambda: lib.socket.socket(lib.socket.AF_UNIX).bind(self.file), "cannot open|not a regular file")]
        for name, make, what in cases:
            if os.path.lexists(self.file):
                (os.rmdir if os.path.isdir(self.file) else os.unlink)(self.file)
            make()
            for program, args in self.programs():
                with self.subTest(program=program, case=name):
                    self.refused(self.run_it(*args), None, what)
        os.unlink(self.file)
        unreadable()
        for program, args in self.programs():
            if program == "loader":
                continue
            with self.subTest(program=program, case="unreadable"):
                out = subprocess.run([os.path.join(lib.BINDIR, args[0]), *args[1:]], stdin=subprocess.DEVNULL, capture_output=True,
                                     user=lib.STRANGER, group=lib.STRANGER, extra_groups=[], timeout=pipeline.PATIENCE)
                self.refused(out, None, "cannot open: Permission denied")
        os.unlink(self.file)

    def test_random_mutations(self):
        """A good file with some bytes changed, a fixed seed: accepted, or refused with a place in it."""
        rng = random.Random(4)
        for _ in range(100 // FEW):
            data = bytearray(seeds.CONFIG)
            for _ in range(rng.randrange(1, 5)):
                data[rng.randrange(len(data))] = rng.choice(b":{}[]&*!|>'\"%@`#\n\t \0\xff-?,0a")
            self.write(bytes(data))
            program, args = rng.choice(list(self.programs()))
            with self.subTest(program=program, data=bytes(data)):
                out = self.run_it(*args)
                if out.returncode:
                    self.refused(out, r"\d+:\d+", "")

    def test_options_and_environment(self):
        """Words of the command line; variables that name files."""
        self.write(b"common: {}\n")
        words = ["--no-such", "-Z", "--config", "--config=", "--log-level=loud", "--log-format=xml", "--" + "x" * 100000, "--check=1",
                 "--\x1b[2J", "\xff" * 100, "surplus"]
        for program, args in self.programs():
            for word in words[:-2] if program == "loader" else words:  # it takes a word
                with self.subTest(program=program, word=word[:30]):
                    out = self.run_it(*args, word)
                    self.assertEqual(out.returncode, lib.EXIT_USAGE, out.stderr[:500])
                    self.assertTrue(out.stderr)
        for value in ("/nonexistent", "/", "/dev/zero", "x" * 5000):
            for program, args in self.programs():
                out = self.run_it(args[0], *(("load",) if program == "loader" else ()), "--check", env={"PENSTOCK_CONFIG": value})
                with self.subTest(program=program, PENSTOCK_CONFIG=value[:20]):
                    self.refused(out, None, "cannot open|regular", path=value)


GOOD_RULES = """
rules:
  - name: marked
    kinds: process_exec
    match: {argv: {prefix: "rules-"}}
    rate: none
"""
BAD_RULES = [  # text, where, what
    (b"rules: 5\n", r"1:\d+", ""), (b"rule: []\n", "1:1", "rules"), (b"rules:\n  - 5\n", r"2:\d+", ""), (b"rules:\n  - {}\n", r"2:\d+",
                                                                                                         "name"),
    (b"rules:\n  - name: a\n", r"2:\d+", ""), (b"rules:\n  - {kinds: process_exec}\n  - {name: a, kinds: process_exec}\n", r"2:\d+", "name"),
    (b"rules:\n  - {name: a, kinds: nothing}\n", r"2:\d+", "nothing"),
    (b"rules:\n  - {name: a, kinds: process_exec, match: {comn: x}}\n", r"2:\d+", "did you mean|comn"),
    (b"rules:\n  - {name: a, kinds: process_exec, match: {pid: {prefx: x}}}\n", r"2:\d+", ""),
    (b"rules:\n  - {name: a, kinds: process_exec, match: {pid: x}}\n", r"2:\d+", ""),
    (b"rules:\n  - {name: a, kinds: process_exec, severity: loud}\n", r"2:\d+", "loud"),
    (b"rules:\n  - {name: a, kinds: process_exec, rate: 5/0}\n", r"2:\d+", ""),
    (b"rules:\n  - {name: a, kinds: process_exec, rate: 99999999999999999999/1s}\n", r"2:\d+", ""),
    (b"rules:\n  - {name: a, kinds: process_exec, message: '{nothing}'}\n", r"2:\d+", "nothing"),
    (b"rules:\n  - {name: a, kinds: process_exec, message: '{comm'}\n", r"2:\d+", ""),
    (b"rules:\n  - {name: a, kinds: process_exec}\n  - {name: a, kinds: process_exec}\n", r"3:\d+", "a"),
    (b"rules:\n  - {name: a, kinds: process_exec, match: " + b"{not: " * 1000, r"2:\d+", "nested"),
    (b"rules:\n  - {name: a, kinds: process_exec, match: {all: [" + b"{pid: 1}, " * 50000 + b"]}}\n", r"2:\d+", ""),
    (b"rules:\n" + b"".join(b"  - {name: r%d, kinds: nothing_%d}\n" % (i, i) for i in range(3000)), r"2:\d+", "nothing_0"),
    (b"rules: [\n", r"\d+:\d+", ""), (b"\0\xff", r"1:\d+", ""), (b"rules: &a [*a]\n", r"1:\d+", ""), (b"#" * (2 << 20), None, "larger"),
]


class Rules(pipeline.PipelineTest):
    """policyd's rule files: all or nothing. What is not good changes nothing, whether it comes at the start or into the running stage."""

    def test_at_the_start(self):
        p = self.pipeline(GOOD_RULES)
        for data, where, what in BAD_RULES:
            with open(p.rules_path, "wb") as f:
                f.write(data)
            for more in ((), ("--check",)):
                with self.subTest(data=data[:60], more=more):
                    code, log = outcome(p, "penstock-policyd", "--rules", p.rules_path, *more)
                    self.assertEqual(code, lib.EXIT_USAGE, log[:2000])
                    self.assertRegex(log, re.escape(p.rules_path) + ":" + (where + ":" if where else "") + " .*" + what)

    def test_into_the_running_stage(self):
        p = self.pipeline(GOOD_RULES, loader=pipeline.ALL_BUT_PROCESS).up()
        pid, rules = p.pid("policyd"), p.ctl("policyd", op="rules")
        for i, (data, where, what) in enumerate(BAD_RULES):
            with self.subTest(data=data[:60]):
                with open(p.rules_path, "wb") as f:
                    f.write(data)
                errors, since = p.stats("policyd")["rule_reload_errors", None], len(p.stage["policyd"].log)
                if i % 2:
                    p.stage["policyd"].send(signal.SIGHUP)
                else:
                    self.assertIn("error", p.ctl("policyd", op="reload"))
                pipeline.wait_for(lambda: p.stats("policyd")["rule_reload_errors", None] > errors, "the counter")
                place = re.escape(p.rules_path) + ":" + (where + ":" if where else "") + " .*" + what
                pipeline.wait_for(lambda: any(re.search(place, line) for line in p.stage["policyd"].log[since:]), f"a line with {place}")
                now = p.ctl("policyd", op="rules")
                self.assertEqual((now["generation"], [r[0] for r in now["rules"]]), (rules["generation"], ["marked"]))
                self.assertIn(os.path.basename(p.rules_path), now["error"])
                pipeline.wait_for(lambda: self.exporter_sees(p), "the exporter to understand policyd's status")
        self.assertEqual(p.pid("policyd"), pid)
        alert_of(self, p, unique("rules-still"))  # by the old rules
        with open(p.rules_path, "w") as f:
            f.write(GOOD_RULES)
        pipeline.wait_for(lambda: not p.ctl("policyd", op="rules")["error"], "the good rules")

    def exporter_sees(self, p):
        code, text = p.get("/api/v1/status")
        policyd = json.loads(text)["stages"]["policyd"] if code == 200 else {}
        return policyd.get("up") and policyd["status"]["extra"]["rules_error"]

    def test_configuration_into_the_running_loader(self):
        """SIGHUP with a configuration that is not good: said with its place, and everything goes on as it was."""
        p = self.pipeline(GOOD_RULES, loader=pipeline.ALL_BUT_PROCESS).up("loader")
        with open(p.config_path, "rb") as f:
            good = f.read()
        links = p.pins("links")
        for name, data, where, what in YAML:
            if data is None or name in ("huge", "many_errors"):
                continue
            with open(p.config_path + ".next", "wb") as f:
                f.write(data)
            os.replace(p.config_path + ".next", p.config_path)
            since = len(p.stage["loader"].log)
            p.stage["loader"].send(signal.SIGHUP)
            place = re.escape(p.config_path) + ":" + where + ": .*(" + what + ")"
            with self.subTest(case=name):
                pipeline.wait_for(lambda: any(re.search(place, line) for line in p.stage["loader"].log[since:]), f"a line with {place}")
            self.assertTrue(any("the old one stays" in line for line in p.stage["loader"].log[since:]))
        self.assertEqual(p.pins("links"), links)
        with open(p.config_path, "wb") as f:
            f.write(good)
        since = len(p.stage["loader"].log)
        p.stage["loader"].send(signal.SIGHUP)
        pipeline.wait_for(lambda: any("configuration loaded anew" in line for line in p.stage["loader"].log[since:]), "the good one")


class Recordings(pipeline.PipelineTest):
    """penstock-collector --replay of files that are none, with a running enricher that takes what there is."""

    @classmethod
    def setUpClass(cls):
        cls.p = pipeline.Pipeline(GOOD_RULES)
        cls.addClassCleanup(cls.p.close)
        cls.file = os.path.join(cls.p.dir, "x.rec")
        cls.p.up("loader", "enricher")
        cls.records = list(seeds.records())
        cls.head = seeds.head(seeds.abi())
        cls.good = cls.head + b"".join(cls.records)
        cls.starts = [len(cls.head)]
        for r in cls.records:
            cls.starts.append(cls.starts[-1] + len(r))

    def setUp(self):
        self.instances = [self.p]
        self.pid = self.p.pid("enricher")

    def play(self, data=None):
        """(code, log)"""
        if data is not None:
            with open(self.file, "wb") as f:
                f.write(data)
        return outcome(self.p, "penstock-collector", "--replay", self.file, "--exit")

    def refused(self, data, offset):
        code, log = self.play(data)
        self.assertEqual(code, lib.EXIT_USAGE, log)
        self.assertRegex(log, rf"path={re.escape(self.file)} offset={offset}\b")

    def tearDown(self):
        self.assertTrue(self.p.stage["enricher"].alive())
        self.assertEqual(self.p.status("enricher")["pid"], self.pid)

    def test_good(self):
        """Else the others show nothing."""
        code, log = self.play(self.good)
        self.assertEqual(code, 0, log)
        self.assertIn(f"replay finished records={len(self.records)}", log)
        self.assertNotIn("malformed", log)

    def test_cut_short(self):
        """At each offset of the first bytes, around each record's begin, and in its middle: the error names where the half begins."""
        for n in (*range(0, 24), 100, 239):
            with self.subTest(bytes=n):
                self.refused(self.good[:n], 0)
        code, log = self.play(self.good[:240])
        self.assertEqual((code, "records=0" in log), (0, True), log)
        for begin, record in zip(self.starts, self.records):
            for n in {1, 7, 8, 15, 16, len(record) // 2, len(record) - 8, len(record) - 1}:
                if pipeline.VM and n != 15:
                    continue
                with self.subTest(begin=begin, bytes=n):
                    self.refused(self.good[:begin + n], begin)

    def test_heads(self):
        """Wrong magic number, byte order, version; texts without an end."""
        def patched(at, data):
            return self.good[:at] + data + self.good[at + len(data):]
        for data, offset in ((patched(0, b"X"), 0), (patched(7, b"\0"), 0), (patched(8, b"\4\3\2\1"), 8), (patched(8, b"\1\2\3\4"), 8),
                             (patched(12, struct.pack("=I", 0)), 12), (patched(12, b"\xff" * 4), 12), (patched(24, b"x" * 40), 24),
                             (patched(64, b"x" * 72), 24), (patched(136, b"\xff" * 72), 24)):
            if data == self.good:  # this host's own byte order
                continue
            self.refused(data, offset)

    def test_lengths(self):
        """The length in a record's head: nothing, too little, odd, huge, beyond the end."""
        at = self.starts[3]
        for size in (0, 1, 8, 15, 17, 12296, 1 << 20, 1 << 31, 2**32 - 8, 2**32 - 1):
            with self.subTest(size=size):
                self.refused(self.good[:at + 4] + struct.pack("=I", size) + self.good[at + 8:], at)

    def test_tails(self):
        """A record that promises more text than it has is counted and left out, and those after it are played."""
        execs = self.records[1]
        lengths = execs.index(struct.pack("=4H", 8, 12, 5, 8))
        bad = [execs[:lengths + 2 * i] + struct.pack("=H", n) + execs[lengths + 2 * i + 2:] for i in range(4) for n in (200, 65535)]
        failed = self.records[2]
        at = failed.index(struct.pack("=HH", 4, 8))
        bad += [failed[:at] + struct.pack("=HH", *n) + failed[at + 4:] for n in ((65535, 0), (0, 65535), (65535, 65535), (12, 8))]
        kinds = [struct.pack("=HHIQ", k, 0, 16, 1) for k in (0, 1, 2, 5, 16, 22, 23, 32, 33, 99, 65535)]
        data = self.head + b"".join(x for r in (*bad, *kinds) for x in (r, self.records[0]))
        code, log = self.play(data)
        self.assertEqual(code, 0, log)
        self.assertIn("malformed record", log)
        self.assertIn(f"replay finished records={2 * len(bad + kinds)}", log)

    def test_random_mutations(self):
        """200 of them, a fixed seed: played, or refused with the offset of a record."""
        rng = random.Random(8)
        for i in range(200 // FEW):
            data = bytearray(self.good)
            for _ in range(rng.randrange(1, 8)):
                at = rng.randrange(len(data))
                what = rng.randrange(4)
                if what == 0:
                    data[at] = rng.randrange(256)
                elif what == 1:
                    data[at:at + 8] = struct.pack("=Q", rng.choice((0, 1, 2**63, 2**64 - 1, 2**32)))
                elif what == 2:
                    del data[at:at + rng.randrange(1, 64)]
                else:
                    at = rng.choice(self.starts[:-1])
                    data[at:at + 2] = struct.pack("=H", rng.choice((1, 2, 3, 5, 16, 22, 23, 24, 32, 33, rng.randrange(40))))
            with self.subTest(number=i):
                code, log = self.play(bytes(data))
                self.assertIn(code, (0, lib.EXIT_USAGE), log)
                if code:
                    self.assertRegex(log, rf"path={re.escape(self.file)} offset=\d+")

    def test_what_is_no_file(self):
        for name, make in (("folder", os.mkdir), ("fifo", os.mkfifo), ("device", lambda at: os.symlink("/dev/zero", at)),
                           ("nothing", lambda at: None)):
            if os.path.lexists(self.file):
                os.unlink(self.file)
            make(self.file)
            with self.subTest(case=name):
                code, log = self.play()
                self.assertIn(code, (lib.EXIT_USAGE, lib.EXIT_SYSTEM), log)
                self.assertIn(f"path={self.file}", log)
            if name == "folder":
                os.rmdir(self.file)

    def test_cut_short_while_it_is_played(self):
        """Whoever may write to the file can shorten it at any moment: an error then, and not the end by a signal."""
        size = 4 << 20
        with open(self.file, "wb") as f:
            f.write(self.head + self.records[0] * 100)
            # the next ones are of some seconds later: they are waited for
            later = self.records[0][:8] + struct.pack("=Q", 10**12 + 3 * 10**9) + self.records[0][16:]
            f.write(later * (size // len(later)))
        proc = lib.Process(self.p.args("penstock-collector", "--replay", self.file, "--exit", "--speed", "real"), name="replay")
        self.p.processes.append(proc)
        proc.wait_ready(pipeline.PATIENCE)
        pipeline.wait_for(lambda: self.p.ctl("collector", op="status")["stats"], "its status")
        os.truncate(self.file, 1000)
        code, log = proc.wait(pipeline.PATIENCE), proc.text()
        proc.close()
        self.assertEqual(code, lib.EXIT_USAGE, log)
        self.assertRegex(log, rf"path={re.escape(self.file)} offset=\d+")


class Environment(pipeline.PipelineTest):
    """What a stage finds in its environment."""

    def test_descriptors(self):
        """Text that is nonsense: said, and the loader is asked."""
        p = self.pipeline(GOOD_RULES, loader=pipeline.ALL_BUT_PROCESS).up("loader")
        values = ["x", "3", "3:", ":", "3:ring_process:", "999:ring_process:65536", "-1:ring_process", "3:ring_process:1:2",
                  "1:ring_process",
                  "3:ring_process:99999999999999999999", ",", "3:../x:5", "%s%n:" * 1000, ",".join(f"{i}:m{i}:1" for i in range(3, 200)),
                  "99999999999999999999:a:1", "3:" + "n" * 5000, "\x1b[2J", "\u00e9"]
        for value in values:
            with self.subTest(PENSTOCK_FDS=value[:40]):
                c = p.begin("collector", env={"PENSTOCK_FDS": value})
                self.assertEqual(c.stop(), 0)
                pipeline.wait_for(lambda: "unusable descriptors in the environment" in c.text(), "a line of the log")
        for count, names in (("x", "a"), ("-1", "a"), ("99", "a"), ("2", "a"), ("1", "../x"), ("1", ""), ("99999999999999999999", "a")):
            with self.subTest(LISTEN_FDS=count, LISTEN_FDNAMES=names):
                # not of this process (LISTEN_PID): not even looked at
                c = p.begin("collector", env={"LISTEN_PID": "1", "LISTEN_FDS": count, "LISTEN_FDNAMES": names})
                self.assertEqual(c.stop(), 0)

    def test_descriptors_of_other_things(self):
        """Well-formed, but what is behind is no ring: an error that names it."""
        p = self.pipeline(GOOD_RULES, loader=pipeline.ALL_BUT_PROCESS).up("loader")
        fds, error = lib.request_fds(os.path.join(p.run_dir, "loader.fds"))
        self.assertEqual(error, 0)
        self.addCleanup(lambda: [os.close(fd) for fd, _ in fds.values()])
        empty = os.memfd_create("empty")
        large = os.memfd_create("large")
        os.truncate(large, 1 << 20)
        null, (rd, wr) = os.open("/dev/null", os.O_RDWR), os.pipe()
        self.addCleanup(lambda: [os.close(fd) for fd in (empty, large, null, rd, wr)])
        ring, size = fds["ring_process"]
        stats = fds["class_stats"][0]
        cases = [(f"{fd}:ring_process:{n}", "ring_process") for fd in (empty, large, null, rd, stats) for n in (65536, 4096, size)]
        cases += [(f"{ring}:ring_process:{n}", "ring_process") for n in (1, 4095, 4097, size * 2, size // 2, 1 << 40, 2**64 - 1)]
        cases += [(f"{ring}:ring_process:{size},{fd}:class_stats:1", "class_stats") for fd in (empty, large, null)]
        cases += [(f"{ring}:ring_process:{size},{large}:ring_ctl:1", "ring_ctl"), (f"{stats}:class_stats:1", "ring"),
                  (f"{ring}:ring_process:{size},{large}:flows:64", "flows"), (f"{ring}:ring_process:{size},{stats}:udp_peers:{2**40}",
                                                                              "udp_peers")]
        for value, name in cases:
            with self.subTest(PENSTOCK_FDS=value):
                code, log = outcome(p, "penstock-collector", env={"PENSTOCK_FDS": value}, pass_fds=(empty, large, null, rd, ring, stats))
                self.assertEqual(code, lib.EXIT_SYSTEM, log)
                self.assertRegex(log, f"error .*{name}")

    def test_readiness(self):
        """Where to tell that one is ready: not a number, no descriptor, no socket. Refused before anything else is done."""
        p = self.pipeline(GOOD_RULES, loader=pipeline.ALL_BUT_PROCESS)
        cases = [("PENSTOCK_NOTIFY_FD", v) for v in ("x", "-1", "0", "2", "99999", "3 ", "99999999999999999999", "%n")]
        cases += [("NOTIFY_SOCKET", v) for v in ("x", "/", "/nonexistent", "@", "/" + "x" * 200, "%n")]
        for program in pipeline.ORDER:
            args = {"loader": ["serve"], "policyd": ["--rules", p.rules_path], "exporter": ["--listen",
                                                                                            "unix:" + p.http_path]}.get(program, [])
            for name, value in cases:
                with self.subTest(program=program, variable=name, value=value[:20]):
                    code, log = outcome(p, f"penstock-{program}", *args, env={name: value}, notify=False)
                    self.assertIn(code, (lib.EXIT_USAGE, lib.EXIT_SYSTEM), log)
                    self.assertIn(f"{name}=", log)
        self.assertFalse(os.path.isdir(p.bpffs) and p.pins("links"), "the loader attached something before it looked")


class RunFolder(pipeline.PipelineTest):
    """The folder of sockets and state can be written by all stages: what another one put there in the place of a file of ours."""

    OWN = {stage: [f"{stage}.{end}" for end in (*(("ret", "pub") if stage != "exporter" else ()), "ckpt", "lock",
                                                "ctl")] for stage in lib.STAGES}

    def test_files_in_our_place(self):
        """Refused with its name, as the folder does not let us remove it; never mapped, waited for or written through."""
        p = self.pipeline(GOOD_RULES, loader=pipeline.ALL_BUT_PROCESS).up("loader")
        victim = os.path.join(p.dir, "victim")
        makes = {"file": lambda at: open(at, "wb").write(b"x" * 8192), "fifo": os.mkfifo, "link": lambda at: os.symlink(victim, at),
                 "folder": os.mkdir}
        for stage, names in self.OWN.items():
            for name in names:
                for what, make in makes.items():
                    with open(victim, "wb") as f:
                        f.write(b"victim")
                    os.chmod(victim, 0o666)
                    path = os.path.join(p.run_dir, name)
                    self.assertFalse(os.path.lexists(path), path)
                    make(path)
                    os.chown(path, lib.STRANGER, lib.COMMON_GROUP, follow_symlinks=False)
                    if what != "link":
                        os.chmod(path, 0o777)
                    with self.subTest(stage=stage, name=name, what=what):
                        args = {"policyd": ["--rules", p.rules_path], "exporter": ["--listen", "unix:" + p.http_path]}.get(stage, [])
                        code, log = outcome(p, f"penstock-{stage}", *args)
                        self.assertEqual(code, lib.EXIT_SYSTEM, log)
                        self.assertIn(path, log)
                    self.assertEqual(lib.read(victim), b"victim")
                    (os.rmdir if what == "folder" else os.unlink)(path)
                    for own in names:  # what it made before it gave up
                        if os.path.lexists(os.path.join(p.run_dir, own)):
                            os.unlink(os.path.join(p.run_dir, own))

    def test_state_that_makes_no_sense(self):
        """Our own files, full of anything (a fixed seed): a new beginning, said in the log, and events arrive."""
        p = self.pipeline(GOOD_RULES, loader=pipeline.ALL_BUT_PROCESS).up()
        rng = random.Random(3)
        for i in range(2 if pipeline.VM else 8):
            p.down()
            changed = []
            for names in self.OWN.values():
                for name in names:
                    path = os.path.join(p.run_dir, name)
                    if not name.endswith((".ret", ".ckpt")) or not os.path.exists(path) or rng.randrange(3) == 0:
                        continue
                    size = os.stat(path).st_size
                    with open(path, "r+b") as f:
                        what = rng.randrange(4)
                        if what == 0:
                            f.truncate(rng.randrange(size))
                        elif what == 1:
                            f.write(rng.randbytes(4096))
                        else:
                            for _ in range(rng.randrange(1, 200)):
                                f.seek(rng.randrange(min(size, 8192)))
                                f.write(bytes([rng.randrange(256)]))
                    changed.append(name)
            with self.subTest(round=i, changed=changed):
                p.up()
                alert_of(self, p, unique(f"rules-state-{i}"))

    def test_positions_that_nobody_has_reached(self):
        """Checkpoints of subscribers, whole but far ahead of their publishers: noticed, else all that comes would be taken for known."""
        p = self.pipeline(GOOD_RULES, loader=pipeline.ALL_BUT_PROCESS).up()
        alert_of(self, p, unique("rules-before"))
        with open(os.path.join(lib.ROOT, "proto", "base", "ckpt.h"), encoding="utf-8") as f:
            header = f.read()
        entries, topics = (int(re.search(rf"PST_CKPT_{name}\s+(\d+)", header)[1]) for name in ("ENTRIES", "TOPICS"))
        for stage in ("enricher", "policyd", "exporter"):
            p.stage[stage].stop(seconds=pipeline.PATIENCE)
            path = os.path.join(p.run_dir, stage + ".ckpt")
            data, words = bytearray(lib.read(path)), 6 + topics
            self.assertEqual(len(data), 64 + entries * (40 + 16 * words))
            for entry in range(entries):
                for copy in range(2):
                    at = 64 + entry * (40 + 16 * words) + 40 + copy * 8 * words
                    for i in range(3, 3 + topics):
                        value, = struct.unpack_from("=Q", data, at + 8 * i)
                        if value < 1 << 62:
                            struct.pack_into("=Q", data, at + 8 * i, value + 10**6)
            with open(path, "wb") as f:
                f.write(data)
            p.begin(stage)
            with self.subTest(stage=stage):
                alert_of(self, p, unique(f"rules-{stage}"))
                pipeline.wait_for(lambda s=stage: "checkpoint is ahead of the publisher" in p.stage[s].text(), f"{stage} to say so")
                self.assertGreater(p.stats(stage)["unknown_gaps", None], 0)

    def test_report_that_is_none(self):
        """loader.json of somebody who was there before the loader; the collector and the exporter read it, the CLI too."""
        p = self.pipeline(GOOD_RULES, loader=pipeline.ALL_BUT_PROCESS).up()
        path = os.path.join(p.run_dir, "loader.json")
        good = lib.read(path)
        texts = [b"", b"\0" * 100, b"[" * 100000, b"{\"a\":" * 50000, b"5", b"[]", b"{}",
                 b"{\"interfaces\":5,\"sensors\":{},\"drop_reasons\":{}}", good[:-10],
                 json.dumps({"written_boot_ns": -5, "sensors": [5, {}, {"name": 5}], "drop_reasons": [5, {}, [], "y" * 10000],
                             "interfaces": [{"name": 5, "ifindex": "x"}, {"name": "x" * 5000, "ifindex": 10**14}]}).encode(),
                 b"x" * (5 << 20), None]
        pids = {name: p.pid(name) for name in pipeline.ORDER}
        for text in texts:
            os.unlink(path)
            if text is None:
                os.mkfifo(path)
            else:
                with open(path, "wb") as f:
                    f.write(text)
            os.chmod(path, 0o666)
            with self.subTest(text=(text or b"FIFO")[:30]):
                for _ in range(2):
                    self.assertEqual(p.get("/api/v1/status")[0], 200)
                    self.assertTrue(p.metrics())
                uptime = p.status("collector")["uptime_ns"]
                # it looks each second
                pipeline.wait_for(lambda: p.status("collector")["uptime_ns"] > uptime + 2 * 10**9, "the collector's next look")
                for command in (("status",), ("status", "--json")):
                    out = subprocess.run(p.inside(os.path.join(lib.BINDIR, "penstock"), *command, "--run-dir", p.run_dir),
                                         stdin=subprocess.DEVNULL,
                                         capture_output=True, timeout=pipeline.PATIENCE)
                    self.assertGreaterEqual(out.returncode, 0, out.stderr[:500])
        self.assertEqual({name: p.pid(name) for name in pipeline.ORDER}, pids)
        self.assertTrue(all(p.stage[name].alive() for name in pipeline.ORDER))


if __name__ == "__main__":
    unittest.main()
