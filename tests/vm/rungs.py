#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Has every rung of every ladder run somewhere? From the logs of the suites on all kernels (tests/e2e/test_rungs.py).

    tests/vm/rungs.py [--table] LOG...     TAP, or the table of docs/kernels.md
"""
import re
import sys

LINE = re.compile(r"^# rung (\S+) (ran|not) on (\S+?)(?:: (.*))?$")


def read(paths):
    """{rung: {kernel: reason why not, or None}}, the kernels, the logs that tell nothing"""
    rungs, kernels, silent = {}, {}, []
    for path in paths:
        told = False
        try:
            with open(path, errors="replace") as f:
                lines = f.read().splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            m = LINE.match(line.strip())
            if m:
                name, ran, kernel, why = m.groups()
                kernels[kernel] = told = True
                rungs.setdefault(name, {})[kernel] = None if ran == "ran" else why
        if not told:
            silent.append(path)
    return rungs, list(kernels), silent


def tap(rungs, silent):
    failed = 0
    for n, (name, where) in enumerate(rungs.items(), 1):
        ran = [kernel for kernel, why in where.items() if why is None]
        if ran:
            print(f"ok {n} - {name} ran on {', '.join(ran)}")
        elif silent:
            print(f"ok {n} - {name} # SKIP has run nowhere, and there is no result in {', '.join(silent)}")
        else:
            print(f"not ok {n} - {name} has run nowhere: {where}")
            failed = 1
    if not rungs:
        print("not ok 1 - no rung has run anywhere")
        failed = 1
    print(f"1..{len(rungs) or 1}")
    return failed


def table(rungs, kernels):
    def order(release):
        return [int(x) for x in re.findall(r"\d+", release)[:3]]
    kernels = sorted(kernels, key=order)
    print("| sensor/rung | " + " | ".join(kernels) + " |\n|---|" + "---|" * len(kernels))
    for name, where in rungs.items():
        cells = ["?" if k not in where else "yes" if where[k] is None else f"no: {where[k]}" for k in kernels]
        print(f"| {name} | " + " | ".join(cells) + " |")
    return 0


def main():
    args = sys.argv[1:]
    if not args or args == ["--table"]:
        print(__doc__.strip().splitlines()[2].strip(), file=sys.stderr)
        return 100
    if args[0] == "--table":
        rungs, kernels, _ = read(args[1:])
        return table(rungs, kernels)
    rungs, _, silent = read(args)
    return tap(rungs, silent)


if __name__ == "__main__":
    sys.exit(main())
