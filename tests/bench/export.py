# SPDX-License-Identifier: Apache-2.0
"""What it costs to export all counters each second while the flow table holds 1,000,000 entries: windows with a scrape a second and without, in turn."""
import json
import os
import time

import bench
import packets

FLOWS = 1_000_000
WINDOW = 6
CONFIG = """loader:
  sensors: {{process: false, exec_failed: false, cred: false, tcp: true, accept: false, udp: false, drops: false, flows: true,
            syscalls: false}}
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

    def flows(self):
        """Entries of the kernel's table, by the loader's map, each of 128 bytes."""
        return self.penstock.status().counter("collector", "flow_entries")


def fill(ctx, sink):
    bench.text_of([*sink.pair.enter_source, ctx.tool("bench_frames"), f"gen-{sink.name}", sink.pair.macs[sink.name], "10.0.0.0", str(FLOWS),
                   str(packets.PORT), "4000", str(packets.CPU)])


def window(sink, scrapes):
    """Processor time of the five, in percent of a core."""
    before, start = sink.penstock.cpu_ns(), time.monotonic()
    for second in range(WINDOW):
        if scrapes:
            bench.scrape_within(sink.pair.enter_sink, sink.penstock.port)
        time.sleep(max(0, start + second + 1 - time.monotonic()))
    used = sum(now - before[stage] for stage, now in sink.penstock.cpu_ns().items())
    return used / 1e7 / (time.monotonic() - start)


def run(ctx):
    with packets.Pair() as pair:
        sink = packets.start(Guarded(ctx, pair, "guarded"))
        try:
            fill(ctx, sink)
            bench.say(f"export: {sink.flows()} flows in the table")
            used = {True: [], False: []}
            for turn in range(2 if ctx.quick else 5):
                for scrapes in (True, False) if turn % 2 else (False, True):
                    used[scrapes].append(window(sink, scrapes))
                    bench.say(f"export: {used[scrapes][-1]:.2f} % with{'' if scrapes else 'out'} a scrape a second")
            ctx.put("counters.export_cpu", [a - b for a, b in zip(used[True], used[False])])
            ctx.put("counters.kept_cpu", used[False])
        finally:
            sink.penstock.stop()
