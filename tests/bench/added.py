# SPDX-License-Identifier: Apache-2.0
"""What all sensors together add to exec + exit, to a pair of connect and accept, and to a system call that nobody asked for.

In each round every variant has its turn. Ours is switched on and off every 100 ms while the workload runs, which a shared machine
disturbs least; a peer is compared with the floor of the same round: without anything, before and after. The workload keeps to one
processor, the last; the agent runs where the scheduler puts it.
"""
import os
import shutil
import signal
import statistics
import subprocess

import bench

# workload: seconds of a turn
SECONDS = {"exec": 2.0, "connect": 1.5, "syscall": 0.5}
TOGGLED = 4  # times as long
PIN = ["taskset", "-c", str(os.cpu_count() - 1)]
OWN = ("ours", "empty", "programs")  # everything else is a peer
NO_READER = "loader: {rings: {process: 64MiB}}\n"
FIGURES = {
    "exec.added_us": bench.Spec("us", *bench.at_most(4)),
    "exec.added_cpu_us": bench.Spec("us"),
    "exec.added_percent": bench.Spec("%"),
    "exec.added_programs_us": bench.Spec("us"),  # the kernel programs alone: nobody drains the ring, which is large enough
    "connect.added_us": bench.Spec("us", *bench.at_most(4)),
    "connect.added_cpu_us": bench.Spec("us"),
    "connect.added_percent": bench.Spec("%"),
    "syscall.added_us": bench.Spec("us", *bench.over_floor(0.1)),
}
EXEC_TRACE = ('tracepoint:sched:sched_process_exec { printf("%d %s %s\\n", pid, comm, str(args->filename)); } '
              'tracepoint:sched:sched_process_exit { printf("%d %s\\n", pid, comm); }')
SOCK_TRACE = ('tracepoint:sock:inet_sock_set_state { printf("%d %s %d %d %d\\n", pid, comm, args->sport, args->dport, args->newstate); }')
WARM_UP = 2.5  # a tracer compiles and attaches


def command(ctx, workload, times=1):
    args = {"exec": ["exec", ctx.helper("brief")], "connect": ["connect"], "syscall": ["getppid"]}[workload]
    args.insert(1, str(SECONDS[workload] * times * (0.5 if ctx.quick else 1)))
    return args


def turn(ctx, workload):
    return bench.work(ctx, *command(ctx, workload), enter=PIN)


# ---- variants: context managers; Unusable when they do not work here ----

class Tracer:
    """A program of another project that prints what it sees; proves itself by its output."""

    def __init__(self, ctx, args, log):
        self.args, self.path = args, os.path.join(ctx.dir, log)

    def __enter__(self):
        if not shutil.which(self.args[0]):
            raise bench.Unusable(f"{self.args[0]} is not installed")
        self.out = open(self.path, "w+b")
        self.child = bench.Child(self.args, number=2, stdout=self.out, stderr=subprocess.STDOUT)
        bench.time.sleep(WARM_UP)
        if self.child.p.poll() is not None:
            self.leave()
            raise bench.Unusable(f"{self.args[0]} ended: {self.tail()}")
        return self

    def tail(self):
        with open(self.path, errors="replace") as f:
            lines = f.read().strip().splitlines()
        return lines[-1][:120] if lines else "without a word"

    def leave(self):
        self.child.stop()
        self.out.close()

    def __exit__(self, *exc):
        self.leave()
        if exc[0] is None and os.path.getsize(self.path) < 10000:
            raise bench.Unusable(f"{self.args[0]} saw nothing: {self.tail()}")


AUDITD_CONF = """log_file = {dir}/audit.log
log_format = RAW
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 64
num_logs = 2
max_log_file_action = ROTATE
space_left = 10
space_left_action = IGNORE
admin_space_left = 5
admin_space_left_action = IGNORE
disk_full_action = SUSPEND
disk_error_action = SUSPEND
priority_boost = 0
"""
AUDIT_RULES = (["-a", "always,exit", "-F", "arch=b64", "-S", "execve", "-S", "exit_group", "-k", "pst-bench"],)


class Auditd:
    """The audit daemon with a rule for execve and exit_group; not where somebody uses audit already."""

    def __init__(self, ctx):
        self.ctx = ctx

    def ctl(self, *args):
        return subprocess.run(["auditctl", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def restore(self):
        self.ctl("-D", "-k", "pst-bench")
        self.ctl("-e", "0")

    def __enter__(self):
        if not shutil.which("auditd") or not shutil.which("auditctl"):
            raise bench.Unusable("auditd is not installed")
        state = self.ctl("-s").stdout
        if "enabled 0" not in state or "pid 0" not in state:
            raise bench.Unusable("audit is in use on this host")
        folder = os.path.join(self.ctx.dir, "auditd")
        os.makedirs(folder, 0o700, exist_ok=True)
        with open(os.path.join(folder, "auditd.conf"), "w") as f:
            f.write(AUDITD_CONF.format(dir=folder))
        self.log = os.path.join(folder, "audit.log")
        self.undo = bench.on_exit(self.restore)
        self.child = bench.Child(["auditd", "-n", "-c", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        bench.time.sleep(1)
        failed = [r.stdout.strip() for r in map(lambda rule: self.ctl(*rule), AUDIT_RULES) if r.returncode]
        self.ctl("-e", "1")
        if failed or self.child.p.poll() is not None:
            self.leave()
            raise bench.Unusable(f"auditd: {' '.join(failed) or 'ended'}")
        return self

    def leave(self):
        bench.forget(self.undo)
        self.restore()
        self.child.stop()

    def __exit__(self, *exc):
        self.leave()
        size = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        if os.path.exists(self.log):
            os.unlink(self.log)
        if exc[0] is None and size < 10000:
            raise bench.Unusable("auditd saw nothing")


class Empty:
    """An empty program on raw_tp/sys_enter."""

    def __init__(self, ctx):
        self.tool = ctx.tool("bench_empty")

    def __enter__(self):
        self.child = bench.Child([self.tool, "syscall"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.child.p.stdout.readline() != b"attached\n":
            self.child.stop()
            raise bench.Unusable("an empty program cannot be attached to raw_tp/sys_enter")

    def __exit__(self, *exc):
        self.child.stop()


def ours(ctx, workload, config="", stopped=()):
    """What it adds (elapsed, processor time), and the floor: medians over pairs of turns with and without our programs."""
    with bench.Penstock(ctx, config) as p:
        bench.time.sleep(0.5)
        for stage in stopped:
            os.kill(p.pids[stage], signal.SIGSTOP)
        rows = bench.lines_of([*PIN, ctx.tool("bench_work"), *command(ctx, workload, TOGGLED)], env={**os.environ, "TOGGLE": p.bpffs})
        for stage in stopped:
            os.kill(p.pids[stage], signal.SIGCONT)
    return ([statistics.median(row[i] - row[i + 1] for row in rows) for i in (0, 2)],
            [statistics.median(row[i + 1] for row in rows) for i in (0, 2)])


def variants(ctx):
    """name: (workloads, how to make it)."""
    return {
        "empty": (("syscall",), lambda: Empty(ctx)),
        "bpftrace": (("exec",), lambda: Tracer(ctx, ["bpftrace", "-e", EXEC_TRACE], "bpftrace-exec")),
        "bpftrace_sock": (("connect",), lambda: Tracer(ctx, ["bpftrace", "-e", SOCK_TRACE], "bpftrace-sock")),
        "execsnoop": (("exec",), lambda: Tracer(ctx, ["/usr/sbin/execsnoop"], "execsnoop")),
        "auditd": (("exec",), lambda: Auditd(ctx)),
        "tcplife": (("connect",), lambda: Tracer(ctx, ["/usr/sbin/tcplife"], "tcplife")),
    }


def measure(ctx, workloads):
    return {w: turn(ctx, w) for w in workloads}


def run(ctx):
    chosen = [w for w in SECONDS if any((w + ".added_us").startswith(p) or p.startswith(w + ".") for p in [ctx.prefix])]
    floors = {w: [] for w in chosen}
    added = {}  # (workload, variant): [ns]
    todo = {name: ([w for w in loads if w in chosen], make) for name, (loads, make) in variants(ctx).items()}
    for number in range(ctx.runs):
        for w in chosen:
            more, floor = ours(ctx, w)
            added.setdefault((w, "ours"), []).append(more)
            bench.say("added: round %d %s ours: floor %.0f ns, with it %+.0f, of processor time %+.0f" % (number + 1, w, floor[0], *more))
        if "exec" in chosen:
            more, floor = ours(ctx, "exec", NO_READER, ["collector"])
            added.setdefault(("exec", "programs"), []).append(more)
        before = measure(ctx, chosen)
        for name, (loads, make) in list(todo.items()):
            if not loads:
                continue
            try:
                with make():
                    got = measure(ctx, loads)
            except bench.Unusable as e:
                ctx.note(f"peer {name}: {e}")
                del todo[name]
                continue
            after = measure(ctx, loads)
            for w in loads:
                floors[w] += [before[w], after[w]]
                more = [got[w][i] - (before[w][i] + after[w][i]) / 2 for i in range(2)]
                added.setdefault((w, name), []).append(more)
                bench.say("added: round %d %s %s: floor %.0f and %.0f ns, with it %+.0f, of processor time %+.0f" %
                          (number + 1, w, name, before[w][0], after[w][0], *more))
            before.update(after)
    report(ctx, chosen, floors, added)


def report(ctx, chosen, floors, added):
    def us(w, name, i=0):
        return [pair[i] / 1e3 for pair in added[w, name]]

    for w in chosen:
        peers = {v.removesuffix("_sock"): statistics.median(us(load, v)) for load, v in added if load == w and v not in OWN}
        floor = [statistics.median(pair[i] for pair in floors[w]) / 1e3 for i in range(2)]
        if w == "syscall":
            ctx.put("syscall.added_us", us(w, "ours"), floor=statistics.median(us(w, "empty")) if (w, "empty") in added else None,
                    peers={"none_total": floor[0]})
            continue
        ctx.put(f"{w}.added_us", us(w, "ours"), floor=floor[0], peers=peers)
        ctx.put(f"{w}.added_cpu_us", us(w, "ours", 1), floor=floor[1],
                peers={v.removesuffix("_sock"): statistics.median(us(load, v, 1)) for load, v in added
                       if load == w and v not in OWN})
        if (w, "programs") in added:
            ctx.put("exec.added_programs_us", us(w, "programs"), floor=floor[0])
        ctx.put(f"{w}.added_percent", [100 * v / floor[0] for v in us(w, "ours")])
