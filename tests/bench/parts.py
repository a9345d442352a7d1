# SPDX-License-Identifier: Apache-2.0
"""Parts by themselves: the bus, the codec, classes of paths, tables of policies, facts of acts. Their programs print a figure a line: NAME VALUE UNIT."""
import os
import re

import bench

PROGRAMS = {"bus.": ["bench_bus"], "codec.": ["bench_codec"], "path.": ["bench_path"], "policy.": ["bench_policy", "bench_enforce"], "hook.": ["bench_enforce"],
            "facts.": ["bench_facts"]}
FIGURES = {prefix: bench.Spec() for prefix in PROGRAMS}
AIMS = {"policy.apply_ms_1000": 500}
LINE = re.compile(r"^([a-z0-9_.]+)\s+(-?[0-9.]+)\s+(\S+)")


def run(ctx):
    wanted = {program: None for prefix, programs in PROGRAMS.items() for program in programs
              if prefix.startswith(ctx.prefix) or ctx.prefix.startswith(prefix)}
    for program in wanted:
        samples, units = {}, {}
        for _ in range(max(1, ctx.runs // 2)):
            out = bench.subprocess.run([ctx.tool(program)], check=True, stdout=bench.subprocess.PIPE, text=True,
                                       env={**os.environ, "LC_ALL": "C"}).stdout
            for name, value, unit in filter(None, map(lambda line: (m := LINE.match(line)) and m.groups(), out.splitlines())):
                samples.setdefault(name, []).append(float(value))
                units[name] = unit
        for name, values in samples.items():
            ctx.specs[name] = bench.Spec(units[name], *(bench.at_most(AIMS.get(name, 0)) if name.endswith("_lost") or name in AIMS else ()))
            ctx.put(name, values)
