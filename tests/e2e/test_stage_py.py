#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The stages of docs/write-a-stage.md, in Python: one joins the bus and sees the same events as everyone else, one takes the enricher's
place; and the page's code is theirs."""
import collections
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import pipeline  # noqa: E402
from pipeline import unique  # noqa: E402

EXAMPLES = os.path.join(lib.ROOT, "docs", "examples")
PAGE = os.path.join(lib.ROOT, "docs", "write-a-stage.md")
SCHEMA = os.path.join(lib.ROOT, "proto", "wire", "schema.json")
COUNT = 40 if pipeline.VM else 400
BEGIN, FIRST, GAP, SECOND, END = (unique(f"stage-{w}") for w in ("begin", "first", "gap", "second", "end"))
RULES = """
rules:
  - name: by-user
    kinds: process_exec
    match: {user: root, argv: {prefix: "stage-"}}
    severity: notice
    message: "{argv}"
    rate: none
"""


class PyStage:
    """A script as its documentation says, in the instance's namespaces; every line that it prints."""

    def __init__(self, p, name, *args, uid=lib.STRANGER, gid=lib.STRANGER, groups=(lib.COMMON_GROUP,)):
        folder = os.path.join(p.dir, "examples")
        if not os.path.isdir(folder):  # a stage's user need not be able to read the sources
            shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(SCHEMA, folder)
            os.chmod(folder, 0o755)
        drop = ["setpriv", "--reuid", str(uid), "--regid", str(gid),
                *(["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"])]
        self.p = subprocess.Popen(p.inside(*drop, "/usr/bin/python3", "-B", os.path.join(folder, name), *args),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.events, self.errors = [], []
        self.readers = [threading.Thread(target=self.read, args=(self.p.stdout, lambda line: self.events.append(json.loads(line)))),
                        threading.Thread(target=self.read, args=(self.p.stderr, lambda line: self.errors.append(line.decode())))]
        for t in self.readers:
            t.start()

    @staticmethod
    def read(stream, take):
        for line in stream:
            take(line)

    def wait(self, check, what):
        def look():
            if self.p.poll() is not None:
                raise AssertionError(f"the stage ended with {self.p.returncode}:\n{''.join(self.errors)}")
            return check()
        return pipeline.wait_for(look, what)

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        for t in self.readers:
            t.join()
        self.p.stdout.close()
        self.p.stderr.close()


class StageTest(pipeline.PipelineTest):
    def stage(self, p, name, *args, **kw):
        s = PyStage(p, name, *args, **kw)
        self.addCleanup(s.close)
        return s

    def spawn(self, mark, count=1, rate=0):
        s = pipeline.Spawner(mark, count, rate)
        self.addCleanup(s.close)
        return s.result()

    def observer(self, p, publisher):
        o = pipeline.Observer(p, publisher)
        self.addCleanup(o.close)
        return o


def identity(e):
    """What names an event, in the API's JSON and in the script's."""
    return (e["kind"], e["ts_ns"], e.get("pid", 0), e.get("start_ns", 0), e.get("child_pid", 0), e.get("exe", ""), tuple(e.get("argv", [])),
            e.get("user", ""), tuple(a["pid"] if isinstance(a, dict) else a[0] for a in e.get("ancestors", [])))


def between(events, begin, end):
    """Those of processes from the exec of one mark up to that of another, how often each."""
    execs = [e for e in events if e["kind"] == "process_exec" and e.get("argv")]
    first = next(e["ts_ns"] for e in execs if e["argv"][0] == begin)
    last = next(e["ts_ns"] for e in execs if e["argv"][0] == end)
    return collections.Counter(identity(e) for e in events if e["kind"].startswith("process_") and first <= e["ts_ns"] <= last)


def has_exit(events, mark, count=1):
    who = {(e["pid"], e["start_ns"]) for e in list(events) if e["kind"] == "process_exec" and e.get("argv", [""])[0] == mark}
    return len({(e["pid"], e["start_ns"]) for e in list(events) if e["kind"] == "process_exit"} & who) >= count


class Joins(StageTest):
    def setUp(self):
        self.p = self.pipeline(loader=pipeline.ALL_BUT_PROCESS, exporter="store: {events: 400000, bytes: 64MiB}").up()

    def same_everywhere(self, stage, observer, publisher="enricher"):
        """Script, observer and API have the same events between the marks, each once."""
        stage.wait(lambda: has_exit(stage.events, END), f"{END} at the stage")
        observer.wait_marks(END, 1)
        pipeline.wait_for(lambda: has_exit(self.p.events("last=1000000&kind=process_*"), END), f"{END} in the API")
        mine, api = between(stage.events, BEGIN, END), between(self.p.events("last=1000000&kind=process_*"), BEGIN, END)
        self.assertEqual(mine - api, collections.Counter())
        self.assertEqual(api - mine, collections.Counter())
        self.assertEqual([k for k, n in mine.items() if n != 1], [])
        seen = {(e.name, e.ts, e.get("pid"), e.get("start_ns")) for name in ("process_fork", "process_exec", "process_exit")
                for e in observer.select(name)}
        self.assertLessEqual({k[:4] for k in mine}, seen)
        self.assertGreater(len(mine), 2 * COUNT)
        self.assertEqual([e for e in stage.events if e["kind"] == "lost"], [])
        self.assertEqual((observer.faults, dict(observer.lost)), ([], {}))

    def test_sees_what_everyone_sees(self):
        stage = self.stage(self.p, "stage.py", self.p.run_dir, "enricher", schema_in(self.p))
        observer = self.observer(self.p, "enricher")
        stage.wait(lambda: any(e["kind"] == "node_info" for e in stage.events), "the first event")
        for mark, count in ((BEGIN, 1), (FIRST, COUNT), (END, 1)):
            self.spawn(mark, count)
        self.same_everywhere(stage, observer)
        e = next(e for e in stage.events if e["kind"] == "process_exec" and e["argv"][0] == BEGIN)
        self.assertEqual((e["user"], e["parent_exe"]), ("root", os.path.realpath(pipeline.helper("spawner"))))

    def test_raw_events_and_strangers(self):
        """The collector's events have no enricher's array yet; who is not in the group gets nothing."""
        stage = self.stage(self.p, "stage.py", self.p.run_dir, "collector", schema_in(self.p))
        stranger = self.stage(self.p, "stage.py", self.p.run_dir, "enricher", schema_in(self.p), groups=())
        self.spawn(BEGIN)
        stage.wait(lambda: has_exit(stage.events, BEGIN), BEGIN)
        self.assertFalse([e for e in stage.events if "user" in e or "ancestors" in e])
        self.assertEqual((stranger.events, stranger.p.poll()), ([], None))

    def test_outlives_its_publisher(self):
        """The enricher is killed and comes back: the stage goes on, without a gap."""
        stage = self.stage(self.p, "stage.py", self.p.run_dir, "enricher", schema_in(self.p))
        observer = self.observer(self.p, "enricher")
        self.spawn(BEGIN)
        stage.wait(lambda: has_exit(stage.events, BEGIN), BEGIN)
        load = pipeline.Spawner(FIRST, COUNT, 30 if pipeline.VM else 300)
        self.addCleanup(load.close)
        stage.wait(lambda: has_exit(stage.events, FIRST), "the load")
        self.p.kill("enricher")
        self.spawn(GAP, 10)
        self.p.begin("enricher")
        load.result()
        self.p.stage["enricher"].send(signal.SIGTERM)
        self.assertEqual(self.p.stage["enricher"].wait(), 0)
        self.p.stage["enricher"].close()
        self.p.begin("enricher")
        self.spawn(END)
        stage.wait(lambda: has_exit(stage.events, GAP, 10) and has_exit(stage.events, FIRST, COUNT), "all of the load")
        self.same_everywhere(stage, observer)

    def test_a_new_epoch(self):
        """The publisher's files are gone: its numbers begin anew, and the stage follows."""
        stage = self.stage(self.p, "stage.py", self.p.run_dir, "enricher", schema_in(self.p))
        self.spawn(BEGIN)
        stage.wait(lambda: has_exit(stage.events, BEGIN), BEGIN)
        self.p.kill("enricher")
        for name in os.listdir(self.p.run_dir):
            if name.startswith("enricher."):
                os.unlink(os.path.join(self.p.run_dir, name))
        self.p.begin("enricher")
        self.spawn(END)
        stage.wait(lambda: has_exit(stage.events, END), END)


def schema_in(p):
    return os.path.join(p.dir, "examples", "schema.json")


class Replaces(StageTest):
    def test_enricher(self):
        """A Python enricher in the real one's place, and the real one again: policyd, exporter and status go on."""
        p = self.pipeline(RULES, loader=pipeline.ALL_BUT_PROCESS, exporter="scrape: {status: 300ms}").up()
        self.spawn(BEGIN)
        pipeline.wait_for(lambda: has_exit(p.events("last=1000000&kind=process_*"), BEGIN), f"{BEGIN} in the API")
        p.stage["enricher"].send(signal.SIGTERM)
        self.assertEqual(p.stage["enricher"].wait(), 0)
        p.stage["enricher"].close()
        other = self.stage(p, "enricher.py", p.run_dir, schema_in(p), uid=p.uid("enricher"), gid=lib.COMMON_GROUP, groups=())
        info = f'penstock_stage_info{{stage="enricher",version="example",user="{p.prefix}enricher",sandbox="none"}}'
        other.wait(lambda: p.metrics().get(info) == "1", "the exporter to know it")
        children = self.spawn(FIRST, 20)

        def mine(kind, mark=FIRST):
            return [e for e in p.events(f"last=1000000&kind={kind}") if e.get("argv", [""])[0] == mark]
        other.wait(lambda: has_exit(p.events("last=1000000&kind=process_*"), FIRST, 20), f"{FIRST} in the API")
        execs = [e for e in mine("process_exec") if "rule" not in e]
        self.assertEqual(sorted(e["pid"] for e in execs), sorted(c.pid for c in children))
        self.assertEqual({(e["user"], "ancestors" in e) for e in execs}, {("root", False)})
        alerts = other.wait(lambda: (lambda found: found if len(found) >= 20 else None)(
            [e for e in p.events("last=1000000&alert=true") if e["argv"][0] == FIRST]), "alerts")
        self.assertEqual({(e["rule"], e["user"]) for e in alerts}, {("by-user", "root")})
        status = json.loads(p.get("/api/v1/status")[1])["stages"]["enricher"]
        self.assertEqual((status["up"], status["status"]["version"], status["status"]["pid"]), (True, "example", other.p.pid))
        self.assertEqual(other.errors, [])
        other.close()
        p.begin("enricher")
        self.spawn(SECOND)
        e = pipeline.wait_for(lambda: next((e for e in mine("process_exec", SECOND) if "rule" not in e), None), "the real one")
        self.assertTrue(e["ancestors"])
        p.down()


class Page(unittest.TestCase):
    """docs/write-a-stage.md says what the examples do."""

    def setUp(self):
        if not os.path.exists(PAGE):
            self.skipTest("the page is not here (a test VM)")
        with open(PAGE, encoding="utf-8") as f:
            self.text = f.read()

    def test_code_is_the_examples(self):
        code = "\n".join(lib.read(os.path.join(EXAMPLES, name)).decode() for name in ("stage.py", "enricher.py"))
        blocks = re.findall(r"^( *)```python\n(.*?)^ *```$", self.text, re.M | re.S)
        self.assertGreater(len(blocks), 5)
        for indent, block in blocks:
            lines = "".join(line[len(indent):] if line.strip() else "\n" for line in block.splitlines(True))
            self.assertIn(lines, code)

    def test_commands_run(self):
        """Each command names a script and its arguments as they are."""
        commands = [shlex.split(line) for line in self.text.splitlines() if line.startswith("    ") and "docs/examples/" in line]
        self.assertEqual(len(commands), 2)
        for words in commands:
            at = next(i for i, w in enumerate(words) if w.startswith("docs/examples/"))
            self.assertTrue(os.access(os.path.join(lib.ROOT, words[at]), os.X_OK), words)
            self.assertTrue(os.path.exists(os.path.join(lib.ROOT, words[-1])), words)
            usage = re.search(rf"^    {os.path.basename(words[at])} (\[.*\])", lib.read(os.path.join(lib.ROOT, words[at])).decode(), re.M)
            self.assertEqual(len(words) - at - 1, len(re.findall("[A-Z_]{3,}", usage.group(1))))

    def test_size(self):
        """Some 60 lines of code, as the page says."""
        import ast
        source = lib.read(os.path.join(EXAMPLES, "stage.py")).decode()
        docs = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.Module)) and ast.get_docstring(node):
                docs |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
        code = [n for n, line in enumerate(source.splitlines(), 1) if line.strip() and not line.strip().startswith("#") and n not in docs]
        self.assertLessEqual(len(code), 65)


if __name__ == "__main__":
    unittest.main()
