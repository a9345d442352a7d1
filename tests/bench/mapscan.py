# SPDX-License-Identifier: Apache-2.0
"""The collector's pass over a flow table of a million slots, and the kernel's batched lookup in a hash map as large."""
import os
import statistics
import tempfile

import bench

SLOTS = 1_000_000
CHANGED = 1  # percent
INTERVAL = 15  # seconds
FIGURES = {
    "mapscan.ms": bench.Spec("ms cpu", *bench.at_most(150)),
    "mapscan.core_percent": bench.Spec("% core", *bench.at_most(1)),
}


def run(ctx):
    with tempfile.TemporaryDirectory(dir=ctx.dir) as folder:
        rows = bench.lines_of([ctx.tool("bench_mapscan"), folder, str(SLOTS), str(CHANGED), str(2 * ctx.runs)],
                              env={**os.environ, "LC_ALL": "C"})
    if any(abs(row[1] - SLOTS * CHANGED / 100) > SLOTS / 1e4 for row in rows):
        raise RuntimeError(f"mapscan: unexpected numbers of events: {[row[1] for row in rows]}")
    ctx.put("mapscan.ms", [row[0] for row in rows], peers={"lookup_batch": statistics.median(row[2] for row in rows)})
    ctx.put("mapscan.core_percent", [row[0] / 1e3 / INTERVAL * 100 for row in rows])
