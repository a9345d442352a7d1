#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds and runs every test, and closes with `N passed, N failed, N skipped`.

    tests/run.py [PREFIX...]     only suites whose name starts so: check, unit, bpf, e2e, vm, ...

A suite is a program that prints TAP. Two run at a time, what looks at the kernel one by one; the virtual machines have what these
leave of the processors meanwhile, as tests wait more than they work. The whole output of each goes to build/test-logs/. A suite
that failed is run once more, alone, and both results are shown: machines that others use too stop for seconds. What fails twice
has failed, and if more than a few fail it is not the machine.
"""
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(ROOT, "build", "test-logs")
LOCK = threading.Lock()
JOBS = 2
GUESTS = 3 if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 10 << 30 else 2  # each has one thread and up to 2 GiB
MOST_AGAIN = 6
TAP = re.compile(r"^(not ok|ok)\b\s*(\d+)?\s*-?\s*(.*)$")


def end(p):
    """The group, which first may say what it was at."""
    os.killpg(p.pid, signal.SIGTERM)
    try:
        p.wait(20)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    p.wait()


class Suite:
    def __init__(self, name, command, timeout=300, env=None, needs_root=False):
        self.name, self.command, self.timeout = name, command, timeout
        self.env = env or {}
        self.needs_root = needs_root
        self.passed = self.failed = self.skipped = 0
        self.notes = []

    def read(self, text):
        why = ""
        for line in text.splitlines():
            m = TAP.match(line.strip())
            if line.startswith("# failed once: "):
                self.notes.append(line[2:])
            if not m:
                why = line[len("# skipped: "):] if line.startswith("# skipped: ") else why
                continue
            if re.search(r"#\s*SKIP", line, re.I):
                self.skipped += 1
                self.notes.append("skipped " + m.group(3) + (f": {why}" if why else ""))
            elif m.group(1) == "ok":
                self.passed += 1
            else:
                self.failed += 1
                self.notes.append("FAILED  " + m.group(3))
            why = ""

    def run(self):
        started = time.monotonic()
        log = os.path.join(LOGS, self.name.replace("/", "_") + ".log")
        if self.needs_root and os.geteuid() != 0:
            self.skipped += 1
            self.notes.append(f"skipped {self.name}: needs root")
            return self.report(started, log)
        with open(log, "wb") as out:
            p = subprocess.Popen(self.command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                 env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", **self.env}, start_new_session=True)
            try:
                code = p.wait(self.timeout)
            except subprocess.TimeoutExpired:
                end(p)
                code = None
        with open(log, errors="replace") as f:
            self.read(f.read())
        if code == 77:
            self.skipped += 1
            with open(log, errors="replace") as f:
                lines = f.read().strip().splitlines()
            self.notes.append(f"skipped {self.name}: {lines[-1] if lines else 'no reason given'}")
        elif code is None:
            self.failed += 1
            self.notes.append(f"FAILED  {self.name}: not done after {self.timeout} s")
        elif code != 0 and not self.failed:
            self.failed += 1
            self.notes.append(f"FAILED  {self.name}: ended with {code}")
        elif code == 0 and not self.passed + self.failed + self.skipped:
            self.failed += 1
            self.notes.append(f"FAILED  {self.name}: ran no test")
        return self.report(started, log)

    def once_more(self):
        """The first log stays beside the second; the last lines of the run name what passed only now."""
        log = os.path.join(LOGS, self.name.replace("/", "_") + ".log")
        if os.path.exists(log):
            os.replace(log, log.removesuffix(".log") + ".first.log")
        first = [n.removeprefix("FAILED  ") for n in self.notes if n.startswith("FAILED")]
        self.passed = self.failed = self.skipped = 0
        self.notes = []
        self.run()
        return [] if self.failed else [f"{self.name}: {what}" for what in first]

    def report(self, started, log):
        with LOCK:
            print(f"{'ok  ' if not self.failed else 'FAIL'} {self.name:<34} {self.passed:4d} passed"
                  f"{f', {self.failed} failed' if self.failed else ''}{f', {self.skipped} skipped' if self.skipped else ''}"
                  f"  {time.monotonic() - started:.1f} s", flush=True)
            for note in self.notes:
                print("       " + note, flush=True)
            if (self.failed or any(n.startswith("failed once") for n in self.notes)) and os.path.exists(log):
                print(f"       --- from {os.path.relpath(log, ROOT)}:", flush=True)
                with open(log, errors="replace") as f:
                    for line in evidence(f.read().splitlines()):
                        print("       | " + line, flush=True)


KERNEL_TROUBLE = re.compile(r"(\] |^)(watchdog: )?(BUG: |WARNING: |Oops|general protection|Kernel panic|rcu: INFO: )")


def evidence(lines, most=60, end=10):
    """What a log says of each test that failed, of each trouble of a guest's kernel, and its end."""
    shown = []
    for n, line in enumerate(lines):
        if KERNEL_TROUBLE.search(line) and len(shown) < 20 * most:
            shown += [*lines[n:n + most], "[...]"]
        if line.startswith(("not ok", "# failed once: ")) and "# SKIP" not in line:
            after = next((i for i in range(n + 1, len(lines)) if lines[i].startswith(("ok ", "not ok"))), len(lines))
            shown += lines[n:after][:most] + (["[...]"] if after - n > most else [])
    return shown + ["--- its end:"] + lines[-end:] if shown else lines[-4 * end:]


def build(*targets, san=False):
    command = ["make", "-j", str(JOBS), *(["SAN=1"] if san else []), *targets]
    started = time.monotonic()
    p = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print(f"{'ok  ' if p.returncode == 0 else 'FAIL'} {' '.join(command)}  {time.monotonic() - started:.1f} s", flush=True)
    if p.returncode:
        print(p.stdout[-8000:], flush=True)
    return p.returncode == 0


def programs(pattern):
    for source in sorted(glob.glob(os.path.join(ROOT, pattern))):
        yield os.path.splitext(os.path.relpath(source, ROOT))[0]


def suites():
    san = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    yield Suite("check", ["tests/check/check.sh", "build", "--tap"], 600)
    for name in [*programs("tests/unit/test_*.c"), *programs("tests/unit/*/test_*.c")]:
        yield Suite(name.removeprefix("tests/"), [f"build/san/{name}"], 300, san)
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/vectors/test_*.py"))):
        yield Suite("vectors/" + os.path.basename(path)[5:-3], ["/usr/bin/python3", path])


# What looks at namespaces and folders of its own only, and makes no storm: two of these at a time.
APART = re.compile(r"e2e/(cli|cli_told|firewall|fw_import|guard|hostile_files|policyd_guard|syn|why)$|bpf/test_(guard.*|parse|slots)$")

# What measures how much a server still does: nothing beside it, no guest either.
CALM = re.compile(r"e2e/flood$")


def in_kernel():
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/e2e/test_*.py")), key=os.path.getsize, reverse=True):  # the longest first
        yield Suite("e2e/" + os.path.basename(path)[5:-3], ["/usr/bin/python3", "tests/e2e/run.py", path], 900,
                    {"PENSTOCK_BINDIR": os.path.join(ROOT, "build", "bin")}, needs_root=True)
    for name in programs("tests/bpf/test_*.c"):
        yield Suite(name.removeprefix("tests/"), [f"build/{name}"], 300, needs_root=True)


def apart():
    return [s for s in in_kernel() if APART.match(s.name)]


def one_by_one():
    """The kernel programs see every process and packet of the host: another suite's storm would fill their rings and limits."""
    return [s for s in in_kernel() if not APART.match(s.name) and not CALM.match(s.name)]


def calm():
    return [s for s in in_kernel() if CALM.match(s.name)]


def machines():
    if os.environ.get("PENSTOCK_NO_VM"):
        return
    for config in ("5.10", "6.12", "6.1", "5.10-nolsm", "6.12-nolsm"):  # the slowest first
        yield Suite(f"vm/{config}", ["nice", "-n", "10", "tests/vm/suite.sh", config], 3600)


def rungs(ran):
    """What no kernel by itself can tell."""
    names = [s.name for s in ran if s.name == "e2e/rungs" or s.name.startswith("vm/") and "-" not in s.name]
    if "e2e/rungs" not in names or len(names) < 2:
        return []
    return [Suite("rungs", ["tests/vm/rungs.py", *(os.path.join("build/test-logs", n.replace("/", "_") + ".log") for n in names)])]


def once_more(failed):
    """What failed the first time and passed the second. A guest has done that by itself (run.py --again)."""
    failed = [s for s in failed if s.name.startswith(("unit/", "bpf/", "e2e/"))]
    if len(failed) > MOST_AGAIN:
        return []
    return [what for s in failed for what in s.once_more()]


def named(prefixes, all_):
    return [s for s in all_ if not prefixes or s.name.startswith(tuple(prefixes))]


def run(some, at_a_time):
    with concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        list(pool.map(Suite.run, some))


def main():
    wanted = sys.argv[1:]
    os.makedirs(LOGS, exist_ok=True)
    plain, beside, alone, guests, last = (named(wanted, s) for s in (suites(), apart(), one_by_one(), machines(), calm()))
    if not build("tests-build") or not build("units", san=True):
        print("0 passed, 1 failed, 0 skipped")
        return 1
    run(plain, JOBS)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ended = pool.submit(run, guests, GUESTS)
        run(beside, JOBS)
        run(alone, 1)
        ended.result()
    run(last, 1)
    ran = [*plain, *beside, *alone, *guests, *last]
    unsure = once_more([s for s in ran if s.failed])
    for suite in rungs(ran):
        suite.run()
        ran.append(suite)
    failed = sum(s.failed for s in ran)
    if not ran:
        print(f"no suite is called {' '.join(wanted)}")
        failed = 1
    for what in unsure:
        print(f"failed once, passed when it was run again: {what}")
    print(f"{sum(s.passed for s in ran)} passed, {failed} failed, {sum(s.skipped for s in ran)} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
