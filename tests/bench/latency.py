# SPDX-License-Identifier: Apache-2.0
"""From the kernel's time stamp in a record to the SSE line in a client."""
import subprocess

import bench
from live import emit

# rate: (seconds of a run, suffix of the figures)
RATES = {1: (25, "_1"), 1000: (6, ""), 10000: (5, "_10000")}
FIGURES = {
    "latency.p50_ms": bench.Spec("ms"),
    "latency.p99_ms": bench.Spec("ms", *bench.at_most(10)),
    "latency.p50_ms_1": bench.Spec("ms"),
    "latency.p99_ms_1": bench.Spec("ms", *bench.at_most(10)),
    "latency.p50_ms_10000": bench.Spec("ms"),
    "latency.p99_ms_10000": bench.Spec("ms", *bench.at_most(10)),
}


def run_once(ctx, penstock, rate, seconds):
    generator = emit(ctx, penstock, "connect", rate, seconds)
    undo = bench.on_exit(bench.stop, generator)
    pid = int(generator.stdout.readline())
    client = subprocess.Popen([ctx.tool("bench_sse"), str(penstock.port), f"kind=tcp_connect&pid={pid}", str(seconds + 3)],
                              stdout=subprocess.PIPE, text=True)
    undo_client = bench.on_exit(bench.stop, client)
    client.stdout.readline()
    generator.stdin.write("\n")
    generator.stdin.flush()
    sent, refused, *_ = map(float, generator.communicate()[0].split())
    n, p50, p99, most = map(float, client.communicate()[0].split())
    bench.forget(undo)
    bench.forget(undo_client)
    if n != sent - refused:
        raise RuntimeError(f"latency: {int(sent - refused)} events were sent at {rate}/s and {int(n)} arrived")
    bench.say(f"latency: {rate}/s: p50 {p50:.2f} p99 {p99:.2f} max {most:.2f} ms of {int(n)}")
    return p50, p99


def run(ctx):
    with bench.Penstock(ctx) as penstock:
        bench.time.sleep(1)
        for rate, (seconds, suffix) in RATES.items():
            rounds = ctx.runs if rate > 1 else max(2, ctx.runs // 2)
            runs = [run_once(ctx, penstock, rate, ctx.seconds(seconds)) for _ in range(rounds)]
            ctx.put("latency.p50_ms" + suffix, [r[0] for r in runs])
            ctx.put("latency.p99_ms" + suffix, [r[1] for r in runs])
