# SPDX-License-Identifier: Apache-2.0
"""What the guard adds to a packet, by BPF_PROG_TEST_RUN: above the bare parser, for one flow and for 100,000 in turn."""
import json

import bench

FIGURES = {
    "fw.ns_1000": bench.Spec("ns", *bench.at_most(60)),
    "fw.ns_1000_rotating": bench.Spec("ns", *bench.at_most(200)),
    "fw.ns_1000_search": bench.Spec("ns"),
    "fw.ratio_10000_100": bench.Spec("x", *bench.at_most(1.3)),
    "fw.compile_ms_10000": bench.Spec("ms"),
    "guard.disabled_ns": bench.Spec("ns"),
    "guard.lists_ns": bench.Spec("ns"),
    "guard.limits_ns": bench.Spec("ns"),
    "guard.chain_ns": bench.Spec("ns", *bench.at_most(160)),
    "guard.chain_ns_rotating": bench.Spec("ns"),
    "guard.blocked_ns": bench.Spec("ns"),
    "ct.new_ns": bench.Spec("ns"),
    "ddos.flags_ns": bench.Spec("ns"),
    "ddos.signatures_ns": bench.Spec("ns"),
    "ddos.signatures_ns_64": bench.Spec("ns"),
}


def run(ctx):
    rows = [json.loads(line) for line in bench.text_of([ctx.tool("bench_guard"), str(min(15, 2 * ctx.runs + 1))]).splitlines()]
    chain = {r["open"]: r for r in rows if "open" in r}
    tables = {r["connections"]: r for r in rows if "connections" in r}
    by = {(r["rules"], r["flows"]): r for r in rows if "flows" in r}
    made = {r["rules"]: r for r in rows if "compile_ms" in r}
    one, many = by[1000, 1], by[1000, 100000]
    ctx.put("fw.ns_1000", [one["cached"] - one["parse"]], floor=one["parse"])
    ctx.put("fw.ns_1000_rotating", [many["cached"] - many["parse"]], floor=many["parse"])
    ctx.put("fw.ns_1000_search", [many["search"] - many["parse"]], floor=many["parse"])
    ctx.put("fw.ratio_10000_100", [by[10000, 100000]["cached"] / by[100, 100000]["cached"]],
            peers={"search": by[10000, 100000]["search"] / by[100, 100000]["search"]})
    ctx.put("fw.compile_ms_10000", [made[10000]["compile_ms"] + made[10000]["verify_ms"]])
    ctx.put("guard.disabled_ns", [one["off"] - one["parse"]], floor=one["parse"])
    # lists, limits, tracking and 1,000 rules, of connections that are open
    for name, n in (("guard.chain_ns", 1), ("guard.chain_ns_rotating", 100000)):
        ctx.put(name, [chain[n]["chain"] - chain[n]["parse"]], floor=chain[n]["parse"])
    for step in ("lists", "limits"):  # alone, all others off
        ctx.put(f"guard.{step}_ns", [chain[1][step] - chain[1]["parse"]], floor=chain[1]["parse"])
    # likewise the TCP flags, which are next to nothing: what reading a packet and asking for all steps takes
    floods = next(r for r in rows if "signatures" in r)
    ctx.put("ddos.flags_ns", [floods["flags"] - floods["parse"]], floor=floods["parse"])
    # above that: 64 signatures of which none may match by its ports, and of which all may
    for name, key in (("ddos.signatures_ns", "none_fits"), ("ddos.signatures_ns_64", "all_fit")):
        ctx.put(name, [floods[key] - floods["flags"]], floor=floods["flags"])
    blocked = next(r for r in rows if r.get("listed") == 1)  # above a drop alone
    ctx.put("guard.blocked_ns", [blocked["blocked"] - blocked["drop"]], floor=blocked["drop"])
    strangers = tables[max(tables)]
    ctx.put("ct.new_ns", [strangers["own"] - strangers["parse"]], floor=strangers["parse"],
            peers={"LRU hash map": strangers["lru"] - strangers["parse"]})
