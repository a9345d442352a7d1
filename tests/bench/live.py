# SPDX-License-Identifier: Apache-2.0
"""300,000 small records a second into the real ring of 8 MiB, drained by the real pipeline; and its memory meanwhile."""
import subprocess

import bench

RATE = 300_000
CONFIG = "loader:\n  rings:\n    net: 8MiB\n"
FIGURES = {
    "live.events_per_s": bench.Spec("events/s", *bench.at_least(RATE * 0.99)),
    "live.lost": bench.Spec("events", *bench.at_most(0)),
    "live.emit_ns": bench.Spec("ns"),
    "live.cpu_us_per_event": bench.Spec("us"),
    "rss.load_mib": bench.Spec("MiB", *bench.at_most(60)),
    "rss.load_pss_mib": bench.Spec("MiB"),
}


def emit(ctx, penstock, kind, rate, seconds):
    """The generator, loaded and waiting; a line on its standard input starts it."""
    return subprocess.Popen([ctx.tool("bench_emit"), penstock.bpffs, kind, str(rate), str(seconds)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def drops(penstock):
    return bench.scrape(penstock.port).get('penstock_events_total{kind="packet_drop"}', 0)


def settled(penstock):
    """Everything that the kernel put into the net ring was taken out, published, and has reached the end."""
    s = penstock.status()
    return (s.counter("collector", "drained_records", "net") >= s.counter("collector", "kernel_emitted_records", "net")
            and s.counter("enricher", "received_events") >= s.counter("collector", "published_events")
            and s.counter("exporter", "received_events") >= s.counter("enricher", "published_events") and s)


def run_once(ctx):
    with bench.Penstock(ctx, CONFIG) as penstock:
        bench.time.sleep(0.5)
        before = penstock.status()
        first = drops(penstock)
        generator = emit(ctx, penstock, "small", RATE, ctx.seconds(8))
        undo = bench.on_exit(bench.stop, generator)
        generator.stdout.readline()
        cpu = sum(penstock.cpu_ns().values())
        generator.stdin.write("\n")
        generator.stdin.flush()
        memory = []
        while generator.poll() is None:
            memory.append(penstock.memory_mib())
            bench.time.sleep(0.2)
        bench.forget(undo)
        sent, refused, seconds, emit_ns = map(float, generator.stdout.read().split())
        start = bench.time.monotonic()
        bench.time.sleep(0.05)
        arrived = bench.wait_for(lambda: drops(penstock) - first >= sent - refused and drops(penstock) - first, 20, "the events' arrival")
        behind = bench.time.monotonic() - start
        cpu = sum(penstock.cpu_ns().values()) - cpu
        bench.time.sleep(1.2)  # the counters of the kernel side are looked at each second
        after = bench.wait_for(lambda: settled(penstock), 20, "the pipeline's coming to rest")
        memory.append(penstock.memory_mib())
        lost = {k: v - before.losses().get(k, 0) for k, v in after.losses().items()}
        lost = {k: v for k, v in lost.items() if v}
        if lost or refused:
            ctx.note(f"live: lost: {lost}, refused by the ring: {int(refused)}")
        bench.say(f"live: sent {int(sent)} refused {int(refused)} arrived {int(arrived)} of them, the last {behind:.2f} s later")
        return {"rate": (sent - refused) / seconds, "lost": max(refused, sum(lost.values())), "emit": emit_ns, "cpu": cpu / 1e3 / sent,
                "rss": max(m[0] for m in memory), "pss": max(m[1] for m in memory)}


def run(ctx):
    runs = [run_once(ctx) for _ in range(ctx.runs)]
    ctx.put("live.events_per_s", [r["rate"] for r in runs])
    ctx.put("live.lost", [r["lost"] for r in runs], value=max(r["lost"] for r in runs))
    ctx.put("live.emit_ns", [r["emit"] for r in runs])
    ctx.put("live.cpu_us_per_event", [r["cpu"] for r in runs])
    ctx.put("rss.load_mib", [r["rss"] for r in runs])
    ctx.put("rss.load_pss_mib", [r["pss"] for r in runs])
