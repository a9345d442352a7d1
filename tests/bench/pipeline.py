# SPDX-License-Identifier: Apache-2.0
"""A recording played at full speed through collector, enricher, policyd (20 rules) and exporter, without a kernel."""
import os
import resource
import shutil
import subprocess
import tempfile

import bench

RECORDS = 2_000_000
FOUR = ("collector", "enricher", "policyd", "exporter")
FIGURES = {
    "pipeline.replay_events_per_s": bench.Spec("events/s", *bench.at_least(500_000)),
    "pipeline.replay_lost": bench.Spec("events", *bench.at_most(0)),
    "pipeline.cpu_us_per_event": bench.Spec("us", *bench.at_most(3)),
    **{f"pipeline.cpu_us_per_event_{stage}": bench.Spec("us") for stage in FOUR},
}
KINDS = ("process_fork", "process_exec", "process_exit", "tcp_connect", "tcp_close")


def empty_config(ctx):
    """Not the one of this host."""
    path = os.path.join(ctx.dir, "empty.yaml")
    with open(path, "w"):
        pass
    os.chmod(path, 0o644)
    return path


def start_stage(ctx, stage, run_dir, extra):
    args = [ctx.bin(f"penstock-{stage}"), "--config", empty_config(ctx), "--run-dir", run_dir, "--bpffs", "/nonexistent",
            "--log-level", "warn", *extra]
    rd, wr = os.pipe()
    child = bench.Child(args, env={**os.environ, "PENSTOCK_NOTIFY_FD": str(wr)}, pass_fds=(wr,), stdout=subprocess.DEVNULL)
    os.close(wr)
    with os.fdopen(rd, "rb") as ready:
        if ready.read(1) != b"\n":
            raise RuntimeError(f"{stage} did not become ready")
    return child


def run_once(ctx, recording):
    folder = tempfile.mkdtemp(prefix="replay-", dir=ctx.dir)
    run_dir = os.path.join(folder, "run")
    os.chmod(folder, 0o755)
    os.mkdir(run_dir)
    shutil.chown(run_dir, "root", "penstock")
    os.chmod(run_dir, 0o1770)
    port = bench.free_port()
    children = {}
    try:
        children["exporter"] = start_stage(ctx, "exporter", run_dir, ["--listen", f"127.0.0.1:{port}"])
        children["policyd"] = start_stage(ctx, "policyd", run_dir, ["--rules", bench.write_rules(folder)])
        children["enricher"] = start_stage(ctx, "enricher", run_dir, [])
        before = {stage: bench.cpu_ns(c.p.pid) for stage, c in children.items()}
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = bench.time.monotonic()
        subprocess.run([ctx.bin("penstock-collector"), "--config", empty_config(ctx), "--run-dir", run_dir, "--replay", recording,
                        "--exit", "--log-level", "warn"], check=True)
        took = bench.time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # The collector's clock ends with it; here its start counts too.
        collector_us = ((after.ru_utime - usage.ru_utime) + (after.ru_stime - usage.ru_stime)) * 1e6
        lost, finished = count(port)
        took += finished
        cpu_us = {stage: (bench.cpu_ns(c.p.pid) - before[stage]) / 1e3 for stage, c in children.items()}
        cpu_us["collector"] = collector_us
        return {"rate": RECORDS / took, "lost": lost, "cpu": {stage: us / RECORDS for stage, us in cpu_us.items()}}
    finally:
        for child in children.values():
            child.stop()
        shutil.rmtree(folder, ignore_errors=True)


def count(port):
    """Events that did not reach the end, and the seconds until the last one that did was there."""
    start = bench.time.monotonic()
    seen, changed = -1, 0.0
    while True:
        series = bench.scrape(port)
        total = sum(series.get(f'penstock_events_total{{kind="{kind}"}}', 0) for kind in KINDS)
        now = bench.time.monotonic() - start
        if total != seen:
            seen, changed = total, now
        if total >= RECORDS or now - changed > 3:
            counted = sum(v for k, v in series.items() if k.startswith("penstock_events_lost_total"))
            return max(RECORDS - int(total), int(counted)), changed
        bench.time.sleep(0.005)


def run(ctx):
    recording = os.path.join(ctx.dir, "bench.rec")
    subprocess.run([ctx.helper("mkrec"), str(RECORDS), recording], check=True)
    os.chmod(recording, 0o644)
    runs = [run_once(ctx, recording) for _ in range(ctx.runs)]
    os.unlink(recording)
    ctx.put("pipeline.replay_events_per_s", [r["rate"] for r in runs])
    ctx.put("pipeline.replay_lost", [r["lost"] for r in runs], value=max(r["lost"] for r in runs))
    ctx.put("pipeline.cpu_us_per_event", [sum(r["cpu"].values()) for r in runs])
    for stage in FOUR:
        ctx.put(f"pipeline.cpu_us_per_event_{stage}", [r["cpu"][stage] for r in runs])
