# SPDX-License-Identifier: Apache-2.0
"""What the five processes use while the host does little. A host is never quite idle: windows with few events are taken, and how many
events there were is a figure of its own."""
import statistics

import bench

WINDOW = 5.0
QUIET = 30  # events a second that still pass as idle
FIGURES = {
    "idle.cpu_percent": bench.Spec("% core", *bench.at_most(0.5)),
    **{f"idle.cpu_percent_{stage}": bench.Spec("% core") for stage in bench.STAGES},
    "idle.events_per_s": bench.Spec("events/s"),
    "rss.idle_mib": bench.Spec("MiB", *bench.at_most(60)),
    "rss.idle_pss_mib": bench.Spec("MiB"),
    **{f"rss.idle_mib_{stage}": bench.Spec("MiB") for stage in bench.STAGES},
}


def window(penstock):
    """Seconds, events and processor time, apart from what a scrape costs: the reading is done outside."""
    events = bench.events_total(bench.scrape(penstock.port))
    bench.time.sleep(0.2)
    cpu, start = penstock.cpu_ns(), bench.time.monotonic()
    bench.time.sleep(WINDOW)
    seconds, now = bench.time.monotonic() - start, penstock.cpu_ns()
    events = bench.events_total(bench.scrape(penstock.port)) - events
    return {"events": events / seconds, **{stage: 100 * (now[stage] - cpu[stage]) / 1e9 / seconds for stage in now}}


def run(ctx):
    want = 2 if ctx.quick else 5
    with bench.Penstock(ctx) as penstock:
        bench.time.sleep(5)
        windows = []
        while len([w for w in windows if w["events"] <= QUIET]) < want and len(windows) < 4 * want:
            windows.append(window(penstock))
            bench.say("idle: %.2f %% at %.1f events/s" % (sum(windows[-1][s] for s in bench.STAGES), windows[-1]["events"]))
        memory = [penstock.memory_mib() for _ in range(3)]
        each = {stage: bench.rss_kib(pid)["rss"] / 1024 for stage, pid in penstock.pids.items()}
    quiet = [w for w in windows if w["events"] <= QUIET]
    if len(quiet) < want:
        ctx.note(f"idle: the host was not idle: {statistics.median(w['events'] for w in windows):.0f} events/s")
        quiet = windows
    ctx.put("idle.cpu_percent", [sum(w[s] for s in bench.STAGES) for w in quiet])
    for stage in bench.STAGES:
        ctx.put(f"idle.cpu_percent_{stage}", [w[stage] for w in quiet])
    ctx.put("idle.events_per_s", [w["events"] for w in quiet])
    ctx.put("rss.idle_mib", [m[0] for m in memory])
    ctx.put("rss.idle_pss_mib", [m[1] for m in memory])
    for stage in bench.STAGES:
        ctx.put(f"rss.idle_mib_{stage}", [each[stage]])
