# SPDX-License-Identifier: Apache-2.0
"""What it costs to export all counters each second while the flow table holds 1,000,000 entries: windows with a scrape a second and without, in turn."""
import json
import statistics
import subprocess
import time

import bench
import packets

FLOWS = 1_000_000
SOURCES = 1_050_000  # a few find their places in the table taken
WINDOW = 15  # seconds: one pass over the table in each
CONFIG = """loader:
  sensors: {{process: false, exec_failed: false, cred: false, tcp: true, accept: false, udp: false, drops: false, flows: true,
            syscalls: false, module: false, bpf: false, ptrace: false, signal: false, namespace: false, memfd: false, exec_memory: false,
            perf: false, proc_mem: false, capability: false, socket: false, bind: false, file_mknod: false, file_xattr: false,
            file_mount: false, file_umount: false, file_pivot_root: false,
            policy_exec: false, policy_open: false, policy_file: false, policy_chown: false, policy_net: false, policy_proc: false,
            policy_made: false, policy_module: false}}
  interfaces: [{device}]
  guard: {{interfaces: [{device}]}}
  flows: {{slots: 2097152}}
collector: {{flow_interval: 15s, flow_active: 1h, flow_idle: 1h}}
policyd:
  firewall: {firewall}
"""
FIGURES = {
    "counters.export_cpu": bench.Spec("% core", *bench.at_most(1)),
    "counters.kept_cpu": bench.Spec("% core"),
}


class Guarded(packets.Ours):
    """Flows and rules with counters, which let all pass; IP of the sink drops it."""

    def start(self):
        rules = "".join(f"    - {r}\n" for r in packets.rules(
            "{{name: r{i}, proto: udp, src: 172.16.{b}.0/24, dport: {port}, action: accept}}", "{name: last, proto: udp, action: accept}"))
        path = self.file(f"firewall:\n  policy: accept\n  rules:\n{rules}")
        self.penstock = bench.Penstock(self.ctx, CONFIG.format(device=self.device, firewall=path), netns=self.pair.sink).wait_up()
        bench.wait_for(lambda: self.state("fw", "list") == "in force", 30, "the firewall")

    def scrape(self):
        return bench.scrape_within(self.pair.enter_sink, self.penstock.port)

    def flows(self):
        """Flows that the collector told of: each once as it is new, and then not for an hour."""
        # exit status 1: a stage that is busy may answer late, and is asked again
        out = subprocess.run([self.ctx.bin("penstock"), "status", "--json", "--run-dir", self.penstock.run_dir], stdout=subprocess.PIPE).stdout
        collector = bench.Status(json.loads(out)).stages.get("collector") or {"stats": []}
        return sum(row[4] for row in collector["stats"] if row[0] == "published_events" and row[2] == "flow")


def fill(ctx, sink):
    """Sends from all sources until there are a million flows, as a slow machine sends little and loses some of it."""
    for ms in (8000, 16000, 32000, 64000):
        bench.text_of([*sink.pair.enter_source, ctx.tool("bench_frames"), "xdp", f"gen-{sink.name}", sink.pair.macs[sink.name], "10.0.0.0",
                       str(SOURCES), str(packets.PORT), str(ms), str(packets.CPU)])
        end = time.monotonic() + 40  # two passes over the table
        while time.monotonic() < end:
            if sink.flows() >= FLOWS:
                return
            time.sleep(1)
    raise RuntimeError(f"export: {sink.flows():.0f} flows")


def window(sink, scrapes):
    """Processor time of each of the five, in percent of a core."""
    before, start = sink.penstock.cpu_ns(), time.monotonic()
    for second in range(WINDOW):
        if scrapes:
            sink.scrape()
        time.sleep(max(0, start + second + 1 - time.monotonic()))
    after, took = sink.penstock.cpu_ns(), time.monotonic() - start
    return {stage: (after[stage] - before[stage]) / 1e7 / took for stage in after}


def run(ctx):
    with packets.Pair() as pair:
        sink = packets.start(Guarded(ctx, pair, "guarded"))
        try:
            fill(ctx, sink)
            bench.say(f"export: {sink.flows():.0f} flows in the table")
            window(sink, False)  # what telling of them left behind
            used = {True: [], False: []}
            for turn in range(1 if ctx.quick else 3):
                for scrapes in (True, False) if turn % 2 else (False, True):
                    used[scrapes].append(window(sink, scrapes))
                    bench.say(f"export: {sum(used[scrapes][-1].values()):.2f} % with{'' if scrapes else 'out'} a scrape a second")
            stages = {stage: statistics.median(a[stage] - b[stage] for a, b in zip(used[True], used[False])) for stage in bench.STAGES}
            ctx.put("counters.export_cpu", [sum(a.values()) - sum(b.values()) for a, b in zip(used[True], used[False])], peers=stages)
            ctx.put("counters.kept_cpu", [sum(each.values()) for each in used[False]])
        finally:
            sink.penstock.stop()
