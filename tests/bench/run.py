#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""All benchmarks, or those whose figures begin with a prefix: a table on standard output and BUILD/bench.json.

    tests/bench/run.py BUILD [PREFIX] [--runs N] [--quick] [--wait SECONDS] [--realtime] [--list]

Every figure is a median of several runs; what is compared is run in turn within one run. Needs root. Progress goes to standard error.
"""
import argparse
import importlib
import json
import os
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import bench  # noqa: E402

MODULES = ("pipeline", "live", "latency", "idle", "added", "mapscan", "flow", "guard", "apply", "packets", "export", "start", "parts")


def wanted(name, prefix):
    return name.startswith(prefix) or prefix.startswith(name)


def wait_quiet(seconds, below=1.5):
    end = time.monotonic() + seconds
    said = False
    while os.getloadavg()[0] >= below and time.monotonic() < end:
        if not said:
            bench.say(f"waiting up to {seconds} s for a load average below {below}, now {os.getloadavg()[0]:.1f}")
            said = True
        time.sleep(5)


def number(v):
    if v is None:
        return "-"
    if v == int(v) and abs(v) >= 1000:
        return f"{int(v):,}"
    return f"{v:,.0f}" if abs(v) >= 1000 else f"{v:.3g}" if abs(v) < 100 else f"{v:.1f}"


def verdict(spec, result):
    if not spec.check:
        return ""
    floor = result["floor"] if isinstance(result["floor"], (int, float)) else 0
    return "ok" if spec.check(result["value"], floor) else "MISSED"


def table(ctx):
    rows = [("figure", "value", "unit", "min..max", "runs", "floor", "peers", "target", "")]
    for name, r in ctx.results.items():
        spec = ctx.specs[name]
        rows.append((name, number(r["value"]), r["unit"], f"{number(r['min'])}..{number(r['max'])}", str(r["runs"]), number(r["floor"]),
                     ", ".join(f"{k} {number(v)}" for k, v in r["peers"].items()) or "-", spec.target, verdict(spec, r)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for i, row in enumerate(rows):
        print("  ".join(c.rjust(w) if k in (1, 4, 5) else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths))).rstrip())
        if i == 0:
            print("  ".join("-" * w for w in widths))
    missed = [name for name, r in ctx.results.items() if verdict(ctx.specs[name], r) == "MISSED"]
    for note in ctx.notes:
        print(f"note: {note}")
    print(f"{len(ctx.results)} figures, {len(missed)} of them miss their target" + (": " + " ".join(missed) if missed else ""))


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("prefix", nargs="?", default="")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--quick", action="store_true", help="shorter runs, for trying things")
    p.add_argument("--wait", type=float, default=60, help="seconds to wait for a quiet machine (60)")
    p.add_argument("--realtime", action="store_true", help="real-time scheduling for all that is measured: for a busy machine")
    p.add_argument("--list", action="store_true", help="only print the names of the figures")
    return p.parse_args()


def prepare():
    if os.geteuid():
        sys.exit("make bench needs root, to load kernel programs")
    if not os.path.ismount(bench.BPFFS):
        subprocess.run(["mount", "-t", "bpf", "bpf", bench.BPFFS], check=True)
    subprocess.run([os.path.join(bench.ROOT, "compose/local/users.sh")], check=True)


def main():
    args = parse()
    modules = [importlib.import_module(m) for m in MODULES]
    chosen = [m for m in modules if any(wanted(name, args.prefix) for name in m.FIGURES)]
    if args.list:
        print("\n".join(name for m in chosen for name in m.FIGURES))
        return 0
    if not chosen:
        sys.exit(f"no figure is called {args.prefix}*")
    prepare()
    # Everything that is measured runs ahead of what else this machine does, and keeps its weight against itself.
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    if args.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    ctx = bench.Context(args.build, 2 if args.quick else args.runs, args.quick)
    ctx.prefix = args.prefix
    failed, load = [], []
    for m in chosen:
        ctx.specs.update(m.FIGURES)
        wait_quiet(args.wait)
        bench.say(f"{m.__name__} (load average {os.getloadavg()[0]:.1f})")
        try:
            before = os.getloadavg()[0]
            m.run(ctx)
            load.append(f"{m.__name__} {before:.1f}..{os.getloadavg()[0]:.1f}")
        except Exception:
            traceback.print_exc()
            failed.append(m.__name__)
    print(f"Penstock benchmarks, Linux {os.uname().release}, {os.cpu_count()} CPUs; load average before..after (with our own part): {', '.join(load)}"
          + (", real-time scheduling" if args.realtime else ""))
    table(ctx)
    with open(os.path.join(ctx.build, "bench.json"), "w") as f:
        json.dump(ctx.results, f, indent=1)
        f.write("\n")
    if failed:
        print(f"FAILED: {' '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
