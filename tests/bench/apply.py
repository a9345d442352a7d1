# SPDX-License-Identifier: Apache-2.0
"""From files to tables in force, as policyd does it: read, compile, check, copy, switch."""
import tempfile

import bench

FIGURES = {
    "fw.apply_ms_10000": bench.Spec("ms", *bench.at_most(500)),
    "fw.reapply_ms_10000": bench.Spec("ms"),
    "blocklist.load_s_1m": bench.Spec("s", *bench.at_most(0.5)),
}


def run(ctx):
    with tempfile.TemporaryDirectory(dir=ctx.dir) as folder:
        rows = bench.lines_of([ctx.tool("bench_apply"), folder, str(2 * ctx.runs)])
    ctx.put("fw.apply_ms_10000", [row[0] for row in rows])
    ctx.put("fw.reapply_ms_10000", [row[1] for row in rows])
    ctx.put("blocklist.load_s_1m", [row[2] / 1e3 for row in rows])
