#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The table of attacks (attacks.py): each works where nothing forbids it, and on each rung that the kernel has comes of it under a policy
what the table says. Policies are scoped to control groups that the test makes, a group for each operation."""
import contextlib
import ctypes
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import attacks  # noqa: E402
import deeds  # noqa: E402
import lib  # noqa: E402
import pipeline  # noqa: E402

LEAST = 120  # attacks that any kernel of ours has to be able to make
KERNEL = tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2])
CLONE_NEWNET = 0x40000000
SERVED = ("127.0.0.1", "127.0.0.2", "::1")


class Victim:
    """Somebody whom others attack, with a program of its own."""

    def __init__(self, program, path):
        self.path = path
        shutil.copy(program, path)
        self.p = subprocess.Popen([path, "sleep"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        if self.p.stdout.read(1) != b"\n":
            raise AssertionError("the victim did not begin")

    def close(self):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()


class Runner:
    """One program for all attacks of an operation, in the control group that the operation's policy is for."""

    def __init__(self, field, op):
        self.group = os.path.join(field.group.path, op)
        self.below = os.path.join(self.group, "below")  # which nobody tells of
        os.makedirs(self.below)
        self.p = subprocess.Popen(field.instance.inside(field.attack), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  text=True)
        with open(os.path.join(self.group, "cgroup.procs"), "w") as f:
            f.write(str(self.p.pid))

    def ask(self, *words):
        """(what came of it, what was got hold of)"""
        self.p.stdin.write("\t".join(words) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            raise AssertionError(f"the runner is gone: {words}")
        came, seen = line.rstrip("\n").split("\t")
        return came, seen

    def close(self):
        self.p.stdin.close()
        self.p.wait(60)
        self.p.stdout.close()
        for path in (self.below, self.group):
            with contextlib.suppress(OSError):
                os.rmdir(path)


class Field:
    """Where attacks take place: namespaces, a control group for each operation, files, victims, servers."""

    def __init__(self, instance):
        self.instance = instance
        self.stack = contextlib.ExitStack()
        self.dir = tempfile.mkdtemp(prefix="pst-attacks-", dir="/tmp")
        self.stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        os.chmod(self.dir, 0o755)
        self.attack = self.path("attack")
        shutil.copy(pipeline.helper("attack"), self.attack)
        self.marker, self.dynamic = (lib.read(pipeline.helper(name)) for name in ("marker", "attack"))
        self.trusted = self.path("trusted")
        shutil.copy(pipeline.helper("marker"), self.trusted)
        self.group = deeds.Group()
        self.stack.callback(self.group.close)
        self.outside = os.path.join(self.group.path, "outside")
        os.mkdir(self.outside)
        self.stack.callback(os.rmdir, self.outside)
        self.victim, self.neighbour = (Victim(pipeline.helper("attack"), self.path(name)) for name in ("victim", "neighbour"))
        self.stack.callback(self.victim.close)
        self.stack.callback(self.neighbour.close)
        self.module = deeds.module_to_spare()
        self.runners = {}
        self.count = 0
        self.serve()

    def path(self, name):
        return os.path.join(self.dir, name)

    def serve(self):
        """Listeners in the instance's network namespace; the kernel answers for them."""
        made, trouble = [], []

        def make():
            try:
                fd = os.open(f"/proc/{self.instance.holder.pid}/ns/net", os.O_RDONLY)
                deeds.check(ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET), "setns")
                os.close(fd)
                for address in SERVED:
                    family = socket.AF_INET6 if ":" in address else socket.AF_INET
                    for port in (attacks.NET["bad"], attacks.NET["good"]):
                        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                            s = socket.socket(family, kind)
                            made.append(s)
                            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                            s.bind((address, port))
                            if kind == socket.SOCK_STREAM:
                                s.listen(128)
            except OSError as e:
                trouble.append(e)
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        self.servers = made
        for s in made:
            self.stack.callback(s.close)
        if trouble:
            raise trouble[0]

    def runner(self, op):
        if op not in self.runners:
            self.runners[op] = Runner(self, op)
            self.stack.callback(self.runners[op].close)
        return self.runners[op]

    def path_of_group(self, op):
        """As policies know it, from the hierarchy's root."""
        with open(f"/proc/{self.runner(op).p.pid}/cgroup") as f:
            return next(line[3:].rstrip("\n") for line in f if line.startswith("0::"))

    def named(self, scene):
        """What the words of a row's rules stand for."""
        return {"PATH": scene.path, "FOLDER": os.path.join(scene.folder, "in"), "NAME": os.path.basename(scene.folder), "BASE": self.dir,
                "ATTACK": self.attack, "TRUSTED": self.trusted, "VICTIM": self.victim.path}

    def mapped(self):
        """An address in the victim."""
        with open(f"/proc/{self.victim.p.pid}/maps") as f:
            return f.readline().split("-")[0]

    def words(self, row):
        names = {"TRUSTED": self.trusted, "OUTSIDE": os.path.join(self.outside, "cgroup.procs"),
                 "INSIDE": os.path.join(self.runner(row.op).below, "cgroup.procs"), "VICTIM": str(self.victim.p.pid),
                 "NEIGHBOUR": str(self.neighbour.p.pid), "MODULE": self.module or "", "MAPPED": self.mapped()}
        return lambda words: [names.get(w, w) for w in words]

    def scene(self, row, name=None):
        self.count += 1
        return attacks.Scene(self.path(f"{self.count}"), row, self.marker, self.dynamic, name)

    def control(self, row):
        """What must stay allowed beside what is forbidden: its neighbour, or something else."""
        deed, *more = row.control or (row.deed, *row.more)
        alone = bool(row.control)
        scene = self.scene(row if not alone or row.kind != "text" else attacks.Row("", "", deed), "public")
        try:
            door, way, who = ("syscall", "path", "self") if alone and deed != row.deed else (row.door, "path", "self")
            if deed in ("read-beneath", "read-in-root"):
                way = "dirfd"
            return self.runner(row.op).ask(deed, door, way, who, scene.folder, "public", *self.words(row)(more))
        finally:
            scene.close()

    def do(self, row, scene):
        """(what came of it, what was seen, was it done)"""
        if row.op == "process.module":
            deeds.libc.syscall(deeds.NR_DELETE_MODULE, b"udp_diag", os.O_NONBLOCK)
        came, seen = self.runner(row.op).ask(row.deed, row.door, row.way, row.who, scene.folder, scene.name, *self.words(row)(row.more))
        return came, seen, scene.done(seen)

    def close(self):
        self.stack.close()


def worked(row, came, seen, done):
    """Did the attack get what it wanted?"""
    if row.race:
        return "!" in seen
    return came == "ok" and done is not False


class WithoutPolicy(unittest.TestCase):
    """An attack that does not work anyway shows nothing of a policy."""

    def test_names_are_unique(self):
        names = [(r.op, r.name) for r in attacks.TABLE]
        self.assertEqual(sorted(names), sorted(set(names)))
        self.assertGreaterEqual(len(names), 2 * LEAST)

    def test_the_page_says_what_the_table_does(self):
        with open(os.path.join(lib.ROOT, "docs", "policies.md"), encoding="utf-8") as f:
            told = re.search(r"<!-- generated: attacks -->\n(.*?)<!-- end -->", f.read(), re.S)
        self.assertEqual(told and told.group(1), attacks.page(), "tests/e2e/attacks.py prints what belongs there")

    def test_each_works(self):
        instance = lib.Instance()
        self.addCleanup(instance.close)
        field = Field(instance)
        self.addCleanup(field.close)
        cannot, wrong, n = {}, [], 0
        for row in attacks.TABLE:
            if row.guest and not field.module:
                cannot.setdefault("no module to spare", []).append(row.name)
                continue
            control = field.control(row)
            scene = field.scene(row)
            came, seen, done = field.do(row, scene)
            scene.close()
            if came.startswith("cannot: "):
                cannot.setdefault(came[8:], []).append(row.name)
                continue
            n += 1
            if not worked(row, came, seen, done):
                wrong.append(f"{row.op}: {row.name}: {came} {seen} {done}")
            if control[0].split("=")[0] != "ok" or "!" in control[1] and row.op.startswith(("file.open", "process.exec")):
                wrong.append(f"{row.op}: {row.name}: its control: {control}")
        for why, names in cannot.items():
            print(f"# cannot here, {why}: {len(names)}: {'; '.join(names)}", flush=True)
        print(f"# {n} attacks work without a policy", flush=True)
        self.assertFalse(wrong, "\n".join(wrong))
        self.assertGreaterEqual(n, LEAST)


def by_row(told):
    """A row's further rules have a number behind its name."""
    return {(name, re.sub(r" \d$", "", rule)) for name, rule in told}


def unnamed(texts, row):
    """A row's rules but for their names."""
    return tuple(text.replace(json.dumps(row.name)[:-1], "") for text in texts)


class Engine:
    """The kernel programs alone, on one rung."""

    def __init__(self, rung):
        self.rung, self.instance, self.p = rung, lib.Instance(), None

    def apply(self, field, path, policies):
        """Why not, or nothing."""
        self.records = set()
        groups = [f"{field.runner(op).group}={field.path_of_group(op)}" for op in policies]
        self.p = subprocess.Popen([pipeline.helper("enforcer"), self.rung, path, *groups], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self.p.stdout.readline()
        if not said.startswith(("in force ", "cannot: ")):
            raise AssertionError(f"no policies in force: {said}")
        self.generation = said.split()[-1]
        return said.partition("cannot: ")[2].strip()

    def told(self, _wanted):
        """(policy, rule) of acts that were denied or killed."""
        if not self.p.stdout.closed:
            out = self.p.communicate(timeout=pipeline.PATIENCE)[0]
            for line in out.splitlines():
                pid, _op, _action, done, generation, name, rule = line.split("\t")
                if int(pid) and done in ("1", "2") and generation == self.generation:
                    self.records.add((name, rule))
        return self.records

    def close(self):
        if self.p:
            self.told(())
        self.instance.close()



class Daemons:
    """All of Penstock: the loader's programs on one rung, tables by policyd, and what was done as events."""

    SENSORS = {"policy_exec": "process.exec", "policy_open": "file.open", "policy_file": "file.unlink", "policy_chown": "file.chown",
               "policy_proc": "process.ptrace", "policy_made": "process.namespace"}
    OTHERWISE = {("policy_exec", "tracepoint"): "tp_btf", ("policy_open", "tracepoint"): "sys_exit",
                 ("policy_proc", "tracepoint"): "tp_btf", ("policy_made", "tracepoint"): "tp_btf"}

    def __init__(self, case, rung, level):
        self.level = level
        self.rungs = {s: self.OTHERWISE.get((s, rung), rung) for s, op in self.SENSORS.items() if rung in attacks.JUDGED[op]}
        on = pipeline.ALL_BUT_PROCESS
        for sensor in self.rungs:
            on = on.replace(f"{sensor}: no", f"{sensor}: yes")
        self.instance = case.pipeline(loader=f"{on}\nrungs: {{{', '.join(f'{s}: {r}' for s, r in self.rungs.items())}}}\ncgroup_rate: 1000000")

    def apply(self, field, path, policies):
        """Why not, or nothing."""
        p = self.instance
        p.up("loader", "collector", "enricher", "policyd")
        report = {s["name"]: s for s in p.report()["sensors"]}
        for sensor, rung in self.rungs.items():
            if report[sensor].get("rung") != rung:
                return f"{sensor}/{rung}: {report[sensor].get('why_not')}"
            best = next((can for can in ("deny", "kill", "observe") if can in report[sensor]["can"]), "none")
            if best != self.level:
                raise AssertionError(f"{sensor}/{rung} can {best}, and not {self.level}")
        self.seen = pipeline.Observer(p, "collector")
        out = subprocess.run([os.path.join(lib.BINDIR, "penstock"), "policy", "apply", "--run-dir", p.run_dir, path], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, timeout=pipeline.PATIENCE)
        if out.returncode:
            raise AssertionError(f"apply ended with {out.returncode}: {out.stderr}\n{p.logs()}")
        self.generation = int(re.search(r"generation (\d+)", out.stdout).group(1))
        return ""

    def told(self, wanted):
        """(policy, rule) of acts that were denied or killed."""
        def now():
            events = self.seen.select("policy", lambda e: e.get("done") in (b"denied", b"killed") and e.get("policy_generation") == self.generation)
            return {(e.get("policy").decode(), e.get("policy_rule").decode()) for e in events}
        with contextlib.suppress(AssertionError):  # who asks says which are missing
            pipeline.wait_for(lambda: wanted <= by_row(now()), "events of all that was stopped")
        return now()

    def close(self):
        if hasattr(self, "seen"):
            self.seen.close()


class Outcome:
    """One row against a policy."""

    def __init__(self, row, rung, level, came, seen, done):
        self.row, self.rung, self.level, self.why = row, rung, level, row.why(rung, KERNEL)
        self.came, self.seen, self.done = came, seen, done

    @property
    def passed(self):
        if self.row.race or self.done is not None:
            return self.done if not self.row.race else "!" in self.seen
        return self.came == "ok"

    def wrong(self):
        """What is not as the table says, or None."""
        if self.why and self.row.by_chance and re.search(rf"killed|EOWNERDEAD|{attacks.ERRNO}", self.came):
            return None  # it is chance which attempt is one that is stopped
        if self.why:
            return None if self.passed else "was stopped, and is to pass"
        if self.row.race:
            bad = re.findall(rf"(?:^| )(?!ok=|{attacks.ERRNO}=|EOWNERDEAD=|ENOENT=)(?!killed)(\S+)", self.came)
            return "passed" if self.passed else f"ended otherwise: {bad}" if bad else None
        if self.passed and not self.row.stops_late(self.rung):
            return "passed"
        want = attacks.ERRNO if self.level == "deny" else "killed"
        return None if self.came == want else f"was not {want}"

    @property
    def stopped(self):
        return not self.why


class UnderPolicies(pipeline.PipelineTest):
    """What the table says of a rung is what comes of it."""

    def try_rung(self, rung, level, engine):
        self.addCleanup(engine.close)
        field = Field(engine.instance)
        self.addCleanup(field.close)
        rows = [r for r in attacks.TABLE if rung in attacks.JUDGED.get(r.op, ()) and not r.guest]
        scenes = [field.scene(r) for r in rows]
        made, firsts = {}, {}
        for row, scene in zip(rows, scenes):
            texts = attacks.rules(row, level, field.named(scene))
            made.setdefault(row.op, []).extend(texts)
            # of rules that say the same the first one takes what all of them are about
            firsts[row.op, row.name] = firsts.setdefault(unnamed(texts, row), row.name)
        policies = {op: attacks.policy(op, field.path_of_group(op), texts) for op, texts in made.items()}
        path = field.path("policies.yaml")
        with open(path, "w") as f:
            f.write("---\n".join(policies.values()))
        why_not = engine.apply(field, path, policies)
        if why_not:
            self.skipTest(why_not)
        outcomes, wrong, cannot = [], [], []
        for row, scene in zip(rows, scenes):
            came, seen, done = field.do(row, scene)
            scene.close()
            if came.startswith("cannot: "):
                cannot.append(row.name)
                continue
            outcomes.append(Outcome(row, rung, level, came, seen, done))
            control = field.control(row)
            if control[0].split("=")[0] != "ok" or "!" in control[1]:
                wrong.append(f"{row.op}: {row.name}: its control: {control}")
        taker = {(o.row.op, o.row.name): (attacks.policy_name(o.row.op), firsts[o.row.op, o.row.name]) for o in outcomes}
        want = {taker[o.row.op, o.row.name] for o in outcomes if o.stopped}
        told = by_row(engine.told(want))
        for o in outcomes:
            bad = o.wrong() or ("nothing told of it" if o.stopped and taker[o.row.op, o.row.name] not in told else None)
            if bad:
                wrong.append(f"{o.row.op}: {o.row.name}: {bad} ({o.came}, {o.seen}, {o.done})")
        self.report(rung, outcomes, cannot)
        self.assertFalse(wrong, "\n".join(wrong))

    def report(self, rung, outcomes, cannot):
        left = sorted({r.op for r in attacks.TABLE if rung not in attacks.JUDGED.get(r.op, ())})
        rows = [r for r in attacks.TABLE if r.op in left]
        stopped = sum(o.stopped for o in outcomes)
        print(f"# {rung}: {stopped} attacks stopped, {len(outcomes) - stopped} pass as the table says, {len(cannot)} cannot be made here", flush=True)
        print(f"# not judged: {len(rows)} attacks of {', '.join(left)}", flush=True)

    def test_lsm(self):
        self.try_rung("lsm", "deny", Engine("lsm"))

    def test_fentry(self):
        self.try_rung("fentry", "kill", Engine("fentry"))

    def test_tracepoints(self):
        self.try_rung("tracepoint", "kill", Engine("tracepoint"))

    def test_loader_and_policyd_lsm(self):
        self.try_rung("lsm", "deny", Daemons(self, "lsm", "deny"))

    def test_loader_and_policyd_fentry(self):
        self.try_rung("fentry", "kill", Daemons(self, "fentry", "kill"))

    def test_loader_and_policyd_tracepoints(self):
        self.try_rung("tracepoint", "kill", Daemons(self, "tracepoint", "kill"))


if __name__ == "__main__":
    unittest.main()
