#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Policies from the command line to the kernel and back: put in force by `penstock policy apply`, what they forbid does not happen, and
an event and an alert tell of it. Scoped to control groups that the test makes."""
import functools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import deeds  # noqa: E402
import lib  # noqa: E402
from pipeline import ALL_BUT_PROCESS, ORDER, PATIENCE, PipelineTest, VM, wait_for  # noqa: E402

SWITCHES = 1000 if VM else 10000
KILLS = 3 if VM else 12

SENSORS = functools.reduce(lambda text, name: text.replace(f"{name}: no", f"{name}: yes"), lib.POLICIES, ALL_BUT_PROCESS)
POLICY = """apiVersion: penstock.dev/v1
kind: Policy
metadata: {{name: {name}}}
spec:
  requires: kill
  scope: {{cgroups: {group}}}
  rules:
    - {{name: secret, operations: file.open, paths: {folder}/{file}, action: deny, errno: EACCES}}
    - {{name: no echo, operations: process.exec, paths: {folder}/echo, action: kill}}
"""


NET = """apiVersion: penstock.dev/v1
kind: Policy
metadata: {{name: egress}}
spec:
  requires: kill
  scope: {{cgroups: {group}}}
  rules:
    - {{name: own service, operations: net.connect, addresses: 127.0.0.0/8, ports: {good}, action: allow}}
    - {{name: nothing else, operations: net.connect, families: [inet, inet6], action: kill}}
"""
CONNECT = """
import socket, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as f:
    f.write("0")
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET)
s.connect((sys.argv[2], int(sys.argv[3])))
print("connected")
"""

# Until its input ends: forbidden and allowed acts, each by a child in the control group, and how many of them were done.
ACTOR = """
import os, select, sys
group, folder = sys.argv[1:]
def child(name):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    try:
        with open(group + "/cgroup.procs", "w") as f:
            f.write("0")
        os.open(folder + "/" + name, os.O_RDONLY)
    except PermissionError:
        os._exit(1)
    os._exit(0)
print("ready", flush=True)
forbidden = done = allowed = failed = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    forbidden, done = forbidden + 1, done + child("secret")
    allowed, failed = allowed + 1, failed + (not child("other"))
print(forbidden, done, allowed, failed)
"""


class Policies(PipelineTest):
    def setUp(self):
        self.group = deeds.Group()
        self.addCleanup(self.group.close)
        self.dir = tempfile.mkdtemp(prefix="pst-policies-", dir="/tmp")
        self.addCleanup(subprocess.run, ["rm", "-rf", self.dir])
        os.chmod(self.dir, 0o755)
        for name in ("secret", "other"):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(name)
        subprocess.run(["cp", "/bin/echo", self.dir], check=True)
        self.sh = os.path.join(self.dir, "sh")
        subprocess.run(["cp", "/bin/dash", self.sh], check=True)

    def begin(self, *stages):
        self.p = self.pipeline(loader=SENSORS)
        self.p.up(*stages)
        return self.p

    def policy(self, *more, code=0):
        r = subprocess.run(self.p.inside(os.path.join(lib.BINDIR, "penstock"), "policy", *more, "--run-dir", self.p.run_dir), check=False,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(r.returncode, code, r.stdout + r.stderr)
        return r.stdout + r.stderr

    def file(self, name="secrets", file="secret"):
        path = os.path.join(self.dir, name + ".yaml")
        with open(path, "w") as f:
            f.write(POLICY.format(name=name, group=self.path_of_group(), folder=self.dir, file=file))
        return path

    def act(self, script, group=True):
        """What a shell says that does it in the group, and how it ended."""
        enter = f"echo 0 > {self.group.path}/cgroup.procs && " if group else ""
        r = subprocess.run([self.sh, "-c", f"{enter}exec {self.sh} -c '{script}'"], check=False, capture_output=True, text=True, timeout=PATIENCE)
        return r.stdout, r.returncode

    def path_of_group(self):
        out, _ = self.act("while read l; do echo $l; done < /proc/self/cgroup")
        return next(line[3:] for line in out.splitlines() if line.startswith("0::"))

    def read(self, name, **kw):
        return self.act(f"read x < {self.dir}/{name}; echo $x", **kw)[0].strip()

    def assert_forbidden(self):
        self.assertEqual(self.read("secret"), "")
        self.assertEqual(self.read("other"), "other")
        self.assertEqual(self.read("secret", group=False), "secret")
        self.assertEqual(self.act(f"{self.dir}/echo hello")[0], "")
        self.assertEqual(self.act(f"{self.dir}/echo hello", group=False)[0], "hello\n")

    def assert_allowed(self):
        self.assertEqual(self.read("secret"), "secret")
        self.assertEqual(self.act(f"{self.dir}/echo hello")[0], "hello\n")

    def test_from_the_command_to_the_kernel_and_back(self):
        p = self.begin()
        self.assert_allowed()
        self.assertIn("in force", self.policy("apply", self.file()))
        self.assert_forbidden()
        rows = json.loads(self.policy("list", "--json"))["policies"]
        self.assertEqual([(r["name"], r["mode"], r["rules"]) for r in rows], [("secrets", "enforce", 2)])
        self.assertIn(f"paths: {self.dir}/secret", self.policy("show", "--yaml", "secrets"))
        self.assertIn("no echo", self.policy("show", "secrets"))

        def told():
            found = [e for e in p.events() if e["kind"] == "policy"]
            alerts = {e["rule"] for e in found if "severity" in e}
            return alerts == {"secrets/secret", "secrets/no echo"} and [e for e in found if "severity" not in e]
        events = wait_for(told, "events and alerts of both rules")
        by_rule = {e["policy_rule"]: e for e in events}
        self.assertEqual(set(by_rule), {"secret", "no echo"})
        self.assertEqual(by_rule["secret"]["policy"], "secrets")
        self.assertEqual(by_rule["secret"]["path"], f"{self.dir}/secret")
        self.assertIn(by_rule["secret"]["done"], ("denied", "killed"))
        self.assertEqual(by_rule["no echo"]["done"], "killed")
        self.assertEqual(by_rule["no echo"]["operation"], "process.exec")

        self.policy("mode", "secrets", "audit")
        self.assert_allowed()
        self.policy("mode", "secrets", "enforce")
        self.assert_forbidden()
        self.policy("rollback")
        self.assert_allowed()
        self.policy("delete", "secrets")
        self.assert_allowed()
        self.assertEqual(json.loads(self.policy("list", "--json"))["policies"], [])

    def connects(self, address, port):
        r = subprocess.run(["/usr/bin/python3", "-c", CONNECT, self.group.path, address, str(port)], check=False, capture_output=True, text=True,
                           timeout=PATIENCE)
        return r.stdout.strip() == "connected"

    def test_egress_by_list(self):
        """Also by way of an address of IPv4 in one of IPv6."""
        self.begin("loader", "policyd")
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for s in listeners:
            self.addCleanup(s.close)
        good, bad = (s.getsockname()[1] for s in listeners)
        path = os.path.join(self.dir, "egress.yaml")
        with open(path, "w") as f:
            f.write(NET.format(group=self.path_of_group(), good=good))
        self.assertTrue(self.connects("127.0.0.1", bad))
        self.policy("apply", path)
        self.assertTrue(self.connects("127.0.0.1", good))
        self.assertTrue(self.connects("::ffff:127.0.0.1", good))
        self.assertFalse(self.connects("127.0.0.1", bad))
        self.assertFalse(self.connects("::ffff:127.0.0.1", bad))
        self.policy("mode", "egress", "off")
        self.assertTrue(self.connects("127.0.0.1", bad))

    def test_what_is_not_judged_is_refused(self):
        self.begin("loader", "policyd")
        path = self.file()
        with open(path) as f:
            text = f.read().replace(f"operations: process.exec, paths: {self.dir}/echo", "operations: cap.use, capabilities: CAP_SYS_ADMIN")
        with open(path, "w") as f:
            f.write(text)
        said = self.policy("apply", path, code=111)
        self.assertIn("cap.use", said)
        self.assertIn(path, said)
        self.assert_allowed()

    def test_ten_thousand_switches(self):
        """Two sets that forbid the same, and nothing else of it: whichever is in force, and however often that changes, no forbidden
        act is done and no allowed one is not."""
        p = self.begin("loader", "policyd")
        for extra in ("one", "two"):
            path = self.file()
            with open(path, "a") as f:
                f.write(f"    - {{name: {extra}, operations: file.open, paths: {self.dir}/{extra}, action: audit}}\n")
            self.policy("apply", path)
        actor = subprocess.Popen(["/usr/bin/python3", "-c", ACTOR, self.group.path, self.dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(actor.wait)
        self.addCleanup(actor.stdout.close)
        self.addCleanup(actor.stdin.close)
        self.assertEqual(actor.stdout.readline(), "ready\n")
        first = p.ctl("policyd", op="policy_list")["generation"]
        seen = set()
        for _ in range(SWITCHES):
            reply = p.ctl("policyd", op="policy_rollback")
            self.assertIn("generation", reply, reply)
            seen.add(reply["generation"])
        out, _ = actor.communicate(timeout=PATIENCE)
        forbidden, done, allowed, failed = map(int, out.split())
        print(f"# {SWITCHES} switches; {forbidden} forbidden acts, {done} of them done; {allowed} allowed ones, {failed} of them not done", flush=True)
        self.assertEqual(len(seen), 2)
        self.assertIn(first, seen)
        self.assertEqual((done, failed), (0, 0))
        self.assertGreater(min(forbidden, allowed), 20)

    def test_policyd_dies_in_the_middle_of_a_change(self):
        """Whatever the moment: what is in force is one of the sets, whole, and who comes back goes on from there."""
        p = self.begin("loader", "policyd")
        path = self.file()
        self.policy("apply", path)
        with open(path) as f:
            text = f.read()
        for i in range(KILLS):
            with open(path, "w") as f:
                f.write(text + "".join(f"    - {{name: r{n}, operations: file.open, paths: {self.dir}/{i}/{n}, action: audit}}\n" for n in range(300)))
            command = subprocess.Popen(p.inside(os.path.join(lib.BINDIR, "penstock"), "policy", "apply", path, "--run-dir", p.run_dir),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0, 0.2))
            p.kill("policyd")
            command.wait(PATIENCE)
            self.assert_forbidden()
            p.up("policyd")
            self.assert_forbidden()
        rows = wait_for(lambda: (r := json.loads(self.policy("list", "--json")))["state"] == "in force" and r, "policyd to have them")
        self.assertEqual([r["name"] for r in rows["policies"]], ["secrets"])
        self.assertFalse(rows["error"])

    def test_whole_host_needs_the_word(self):
        self.begin("loader", "policyd")
        path = self.file()
        with open(path) as f:
            text = f.read().replace(f"  scope: {{cgroups: {self.path_of_group()}}}\n", "")
        with open(path, "w") as f:
            f.write(text)
        said = self.policy("apply", path, code=111)
        self.assertIn("any process of the host", said)
        self.assertIn(path, said)
        self.assert_allowed()

    def test_for_a_time(self):
        self.begin("loader", "policyd")
        self.policy("apply", "--for", "3s", self.file())
        self.assert_forbidden()
        wait_for(lambda: self.read("secret") == "secret", "policies to be taken back")
        self.policy("apply", "--for", "3s", self.file())
        self.policy("confirm")
        time.sleep(4)
        self.assert_forbidden()

    def test_every_process_may_die(self):
        """The loader, too: what is in force stays, and who comes back finds it."""
        p = self.begin(*ORDER)
        self.policy("apply", self.file())
        before = json.loads(self.policy("list", "--json"))["generation"]
        p.kill(*ORDER)
        self.assert_forbidden()
        p.up("loader", "policyd")
        self.assert_forbidden()
        rows = wait_for(lambda: (r := json.loads(self.policy("list", "--json")))["state"] == "in force" and r, "policyd to have them")
        self.assertEqual([r["name"] for r in rows["policies"]], ["secrets"])
        self.assertGreaterEqual(rows["generation"], before)
        self.policy("delete", "secrets")
        self.assert_allowed()

    def test_a_new_group_is_judged_as_its_parent(self):
        self.begin("loader", "policyd")
        self.policy("apply", self.file())
        self.p.stage["policyd"].send(signal.SIGSTOP)  # nobody tells of it
        self.addCleanup(self.p.stage["policyd"].send, signal.SIGCONT)
        below = os.path.join(self.group.path, "below")
        os.mkdir(below)
        self.addCleanup(os.rmdir, below)
        out = subprocess.run([self.sh, "-c", f"echo 0 > {below}/cgroup.procs && exec {self.sh} -c 'read x < {self.dir}/secret; echo $x'"],
                             check=False, capture_output=True, text=True, timeout=PATIENCE).stdout
        self.assertEqual(out.strip(), "")


if __name__ == "__main__":
    unittest.main()
