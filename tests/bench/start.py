# SPDX-License-Identifier: Apache-2.0
"""From exec of `penstock up` to the first event on its standard output, with the parts as the processes log them."""
import datetime
import re
import statistics
import subprocess

import bench

PARTS = {
    "start.loader_ms": r" loader loaded ",
    "start.collector_ms": r" collector ready ",
    "start.enricher_ms": r" enricher ready ",
    "start.policyd_ms": r" policyd ready ",
    "start.exporter_ms": r" exporter ready",
}
FIGURES = {
    "start.ms": bench.Spec("ms", *bench.at_most(500)),
    **{name: bench.Spec("ms") for name in PARTS},
    "start.stop_ms": bench.Spec("ms"),
}
EVENT = re.compile(rb"^\d\d:\d\d:\d\d\.\d")


def stamp(line):
    return datetime.datetime.fromisoformat(line.split(" ", 1)[0].replace("Z", "+00:00")).timestamp()


def run_once(ctx):
    wall = bench.time.time()
    penstock = bench.Penstock(ctx, quiet=False)
    try:
        for line in penstock.p.stdout:
            if EVENT.match(line):
                break
        took = bench.time.monotonic() - penstock.started
        penstock.p.stdout.close()  # nobody reads on: it must not fill
        log = penstock.log()
        parts, last = {}, wall
        for name, pattern in PARTS.items():
            at = next((stamp(line) for line in log.splitlines() if re.search(pattern, line)), None)
            if at is None:
                raise RuntimeError(f"no line {pattern!r} in\n{log}")
            parts[name], last = (at - last) * 1e3, at
        start = bench.time.monotonic()
    finally:
        penstock.stop()
    return {"start.ms": took * 1e3, **parts, "start.stop_ms": (bench.time.monotonic() - start) * 1e3}


def run(ctx):
    with bench.Child([ctx.tool("bench_work"), "forks", "600", "200"], stdout=subprocess.DEVNULL):
        runs = [run_once(ctx) for _ in range(max(ctx.runs, 3))]
    for name in FIGURES:
        ctx.put(name, [r[name] for r in runs])
    bench.say("start: median %.0f ms" % statistics.median(r["start.ms"] for r in runs))
