#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the end-to-end suite (test_*.py beside this file) and prints TAP.

    tests/e2e/run.py [--list] [--only LIST] [--again] [-k WORD]... [FILE...]

Runs as root on the host and in the virtual machines (tests/vm). PENSTOCK_BINDIR names the folder of the binaries.
"""
import argparse
import glob
import os
import platform
import re
import sys
import time
import traceback
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIGS = r"(all|none|\d+\.\d+(-nolsm)?)(,(all|\d+\.\d+(-nolsm)?))*"


class TapResult(unittest.TestResult):
    """One TAP line a test; the text of a failure as comment lines after it."""

    def __init__(self, again=False):
        super().__init__()
        self.n = 0
        self.bad = 0
        self.again = again
        self.unsure = {}
        self.started = 0.0
        self.sub_errors = {}

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def line(self, ok, test, note=""):
        self.n += 1
        seconds = time.monotonic() - self.started
        print(f"{'ok' if ok else 'not ok'} {self.n} - {test.id()}{note}  # {seconds:.1f}s" if not note
              else f"{'ok' if ok else 'not ok'} {self.n} - {test.id()}{note}", flush=True)

    def fail(self, test, err):
        if self.again:
            print(f"# failed once: {test.id()}", flush=True)
            self.unsure[self.name(test)] = True
        else:
            self.bad += 1
            self.line(False, test)
        for text in "".join(traceback.format_exception(*err)).splitlines():
            print("#   " + text, flush=True)

    @staticmethod
    def name(test):
        """What unittest can load by: a test, not its part; the class or module whose setup failed."""
        m = re.search(r"(?:Class|Module) \((.*)\)$", test.id())
        return m.group(1) if m else getattr(test, "test_case", test).id()

    def addSuccess(self, test):
        if test.id() not in self.sub_errors:
            self.line(True, test)

    def addFailure(self, test, err):
        self.fail(test, err)

    def addError(self, test, err):
        self.fail(test, err)

    def addSkip(self, test, reason):
        self.line(True, test, f" # SKIP {reason}")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.sub_errors[test.id()] = True
            self.fail(subtest, err)

    def addExpectedFailure(self, test, err):
        self.line(True, test)

    def addUnexpectedSuccess(self, test):
        self.bad += 1
        self.line(False, test)


def each(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from each(item)
        else:
            yield item


def chosen(path, tests):
    """The tests that a list (tests/vm/chosen) names for this kernel as it was started; a name that no test has is an error."""
    config = os.environ.get("PENSTOCK_VM") or ".".join(platform.release().split(".")[:2])
    with open(path) as f:
        lines = [line.split()[:2] for line in f if line.startswith("e2e/")]
    for name, configs in lines:
        if not re.fullmatch(CONFIGS, configs):
            raise SystemExit(f"{path}: {name}: not configurations: {configs}")
    here = {config} if "-" in config else {config, "all"}
    names = {name.removeprefix("e2e/"): not here.isdisjoint(configs.split(",")) for name, configs in lines}
    modules = {t.id().split(".")[0] for t in tests}

    def named(test, name):
        return test.id() == name or test.id().startswith(name + ".")
    for name in names:
        module = name.split(".")[0]
        if not os.path.exists(os.path.join(HERE, module + ".py")) or \
                module in modules and not any(named(t, name) for t in tests):
            raise SystemExit(f"{path}: there is no test {name}")
    return [t for t in tests if any(wanted and named(t, name) for name, wanted in names.items())]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tap", action="store_true", help="the only output form; accepted for clarity")
    parser.add_argument("--list", action="store_true", help="print the tests' names and exit")
    parser.add_argument("--only", metavar="LIST", help="the tests that this file names for the running kernel")
    parser.add_argument("--again", action="store_true",
                        help="run what failed once more; for an emulated machine, whose processor stops for seconds")
    parser.add_argument("-k", action="append", default=[], metavar="WORD", help="only tests whose name has WORD")
    parser.add_argument("files", nargs="*", help="test files (default: all)")
    args = parser.parse_args()

    sys.path.insert(0, HERE)
    files = args.files or sorted(glob.glob(os.path.join(HERE, "test_*.py")))
    suite = unittest.TestSuite()
    for path in files:
        name = os.path.splitext(os.path.basename(path))[0]
        suite.addTests(unittest.defaultTestLoader.loadTestsFromName(name))
    if args.only:
        suite = unittest.TestSuite(chosen(args.only, list(each(suite))))
    if args.k:
        suite = unittest.TestSuite(t for t in each(suite) if any(k in t.id() for k in args.k))
    if args.list:
        for test in each(suite):
            print(test.id())
        return 0
    wanted = [test.id() for test in each(suite)]
    result = TapResult(args.again)
    suite.run(result)
    if result.unsure:
        result.again, result.sub_errors = False, {}
        again = [unittest.defaultTestLoader.loadTestsFromName(name) for name in result.unsure]
        unittest.TestSuite(t for t in each(again) if t.id() in wanted).run(result)
    print(f"1..{result.n}", flush=True)
    if result.n == 0:
        print("# no test was found", flush=True)
        return 1
    return 1 if result.bad else 0


if __name__ == "__main__":
    sys.exit(main())
