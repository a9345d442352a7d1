#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`penstock policy import`: clause by clause what becomes of it, and acts that the original would take or not against what was written."""
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from pipeline import PATIENCE  # noqa: E402

PENSTOCK = os.path.join(lib.BINDIR, "penstock")
EXIT_BAD, EXIT_LEFT_OUT = 2, 3
# The pods that are meant are all that the test's acts are by.
HERE = ("--cgroup", "/pods")
BASE = {"cgroup": "/pods/a", "container": True, "executable": "/usr/bin/other"}


def run(*args, stdin=None):
    return subprocess.run([PENSTOCK, "policy", *args], input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)


class Files(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def write(self, name, text):
        path = os.path.join(self.dir.name, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def convert(self, text, *options):
        """What is written, the file that holds it, and what is told, as [(line, column, "note" or "left out", message)]."""
        p = run("import", *options, self.write("in.yaml", text))
        said = re.findall(r"^.*/in\.yaml:(\d+):(\d+): (note|left out): (.*)$", p.stderr, re.M)
        said = [(int(line), int(column), kind, message) for line, column, kind, message in said]
        self.assertEqual(p.returncode, EXIT_LEFT_OUT if any(s[2] == "left out" for s in said) else 0, p.stderr)
        self.assertRegex(p.stderr, r"(?m)^\d+ polic(y|ies) with \d+ rules? written, %d left out$" % sum(s[2] == "left out" for s in said))
        out = self.write("out.yaml", p.stdout)
        if p.stdout:
            c = run("check", out)
            self.assertEqual(c.returncode, 0, c.stderr + p.stdout)
        return list(yaml.safe_load_all(p.stdout)), out, said

    def judge(self, out, act, want):
        p = run("test", "--json", "--act", json.dumps({**BASE, **act}), out)
        told = json.loads(p.stdout)
        says = told.get("would", told["action"])
        self.assertEqual(None if says == "none" else says, want, (act, told))

    def check_case(self, text, said, acts, options=HERE):
        """@said: (what the line in the text begins with, kind, words of the message), in order."""
        policies, out, told = self.convert(text, *options)
        lines = text.splitlines()
        self.assertEqual(len(told), len(said), told)
        for (line, column, kind, message), (where, want, words) in zip(told, said):
            self.assertEqual(kind, want, message)
            self.assertIn(words, message)
            self.assertTrue(lines[line - 1][column - 1:].startswith(where), (message, lines[line - 1][column - 1:]))
        for act, want in acts:
            self.judge(out, act, want)
        return policies


def opens(path, **more):
    return {"operation": "file.open", "path": path, "access": ["read"], **more}


def writes(path, **more):
    return {**opens(path, **more), "access": ["write"]}


def runs(path, **more):
    return {"operation": "process.exec", "path": path, **more}


def armor(spec, kind="KubeArmorPolicy", name="k"):
    return (f"apiVersion: security.kubearmor.com/v1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n"
            + textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ") + "\n")


SELECTOR = "selector: {matchLabels: {app: web}}\n"

# Text of the spec behind the selector; what is told; acts with what is said of them.
ARMOR = {
    "a path": ("process: {matchPaths: [{path: /bin/sleep}]}", [],
               [(runs("/bin/sleep"), "deny"), (runs("/bin/sleeper"), None), (opens("/bin/sleep"), None),
                ({**runs("/bin/sleep"), "cgroup": "/other"}, None)]),
    "a directory with what is in it and itself": (
        "file: {matchDirectories: [{dir: /etc/}]}", [],
        [(opens("/etc/x"), "deny"), (writes("/etc/x"), "deny"), (opens("/etc"), "deny"), (opens("/etc/a/b"), None), (opens("/etcetera"), None),
         ({"operation": "file.unlink", "path": "/etc/x"}, "deny"), ({"operation": "file.rename", "path": "/x", "to": "/etc/x"}, "deny")]),
    "a directory and all below": ("file: {matchDirectories: [{dir: /etc/, recursive: true}]}", [],
                                  [(opens("/etc/a/b"), "deny"), (opens("/etc"), "deny"), (opens("/etcetera/x"), None)]),
    "the root": ("process: {matchDirectories: [{dir: /, recursive: true}]}", [], [(runs("/a/b"), "deny"), (opens("/a/b"), None)]),
    "a pattern": ("file: {matchPatterns: [{pattern: /home/*/x?}, {pattern: /srv/**}]}", [],
                  [(opens("/home/a/xy"), "deny"), (opens("/home/a/b/xy"), None), (opens("/home/a/x"), None), (opens("/srv/a/b"), "deny"), (opens("/srv"), None)]),
    "patterns that mean something else": (
        'file:\n  matchPatterns:\n  - pattern: "/a/{b,c}"\n  - pattern: /a/**/b\n  - pattern: /a/**b\n  - pattern: "/a[^b]"\n', [
            ('"/a/{b,c}"', "left out", "alternatives"), ("/a/**/b", "left out", "** can only"), ("/a/**b", "left out", "** can only"),
            ('"/a[^b]"', "left out", "negations")], []),
    "read only": ("file: {matchPaths: [{path: /etc/x, readOnly: true}]}", [],
                  [(opens("/etc/x"), "allow"), (writes("/etc/x"), "deny"), (opens("/etc/x", access=["append"]), "deny"),
                   (opens("/etc/x", access=["read", "write"]), "deny"), ({"operation": "file.unlink", "path": "/etc/x"}, "deny"), (writes("/etc/y"), None)]),
    "read only within what is blocked": (
        "file:\n  matchDirectories:\n  - {dir: /etc/, recursive: true}\n  - {dir: /etc/ssl/, recursive: true, readOnly: true}", [],
        [(opens("/etc/ssl/x"), "allow"), (writes("/etc/ssl/x"), "deny"), (opens("/etc/x"), "deny")]),
    "a source": ("process: {matchPaths: [{path: /bin/sleep, fromSource: [{path: /bin/bash}, {path: /bin/dash}]}]}", [],
                 [(runs("/bin/sleep", executable="/bin/bash"), "deny"), (runs("/bin/sleep", executable="/bin/dash"), "deny"), (runs("/bin/sleep"), None)]),
    "the nearer rule counts": (
        """
        file:
          matchDirectories:
          - {dir: /, recursive: true, action: Allow}
          - {dir: /etc/, recursive: true}
          - {dir: /etc/nginx/, recursive: true, fromSource: [{path: /usr/sbin/nginx}], action: Allow}
          matchPaths:
          - {path: /etc/hosts, action: Allow}
        """, [("file:", "note", "do not name is told")],
        [(opens("/etc/nginx/x", executable="/usr/sbin/nginx"), "allow"), (opens("/etc/nginx/x"), "deny"), (opens("/etc/hosts"), "allow"),
         (opens("/etc/x"), "deny"), (opens("/srv/x"), "allow")]),
    "allow": ("process: {matchPaths: [{path: /app}]}\nfile: {matchPaths: [{path: /secret}]}\naction: Allow", [
        ("process:", "note", "do not name is told"), ("file:", "note", "do not name is told")],
        [(runs("/app"), "allow"), (runs("/bin/sh"), "alert"), (opens("/secret"), "allow"), (opens("/x"), "alert")]),
    "allow, of which a rule is missing": (
        "process:\n  matchPaths:\n  - {path: /app}\n  - {path: /b, ownerOnly: true}\n  - {path: /c, action: Block}\naction: Allow", [
            ("ownerOnly:", "left out", "whose file it is"), ("{path: /c", "note", "may take what the Allow"),
            ("process:", "note", "is not told, as one that is left out")],
        [(runs("/app"), "allow"), (runs("/c"), "deny"), (runs("/x"), None)]),
    "audit is apart": ("process:\n  matchPaths:\n  - {path: /a, action: Audit}\n  - {path: /b}\n  - {path: /c, action: Allow}", [("process:", "note", "is told")],
                       [(runs("/a"), "alert"), (runs("/b"), "deny"), (runs("/c"), "allow")]),
    "protocols": ("network:\n  matchProtocols:\n  - protocol: TCP\n  - {protocol: icmp, fromSource: [{path: /bin/ping}]}\n  - {protocol: sctp, action: Audit}", [],
                  [({"operation": "net.connect", "protocol": "tcp", "family": "inet"}, "deny"), ({"operation": "net.socket", "protocol": "tcp"}, "deny"),
                   ({"operation": "net.accept", "protocol": "tcp"}, "deny"), ({"operation": "net.connect", "protocol": "udp"}, None),
                   ({"operation": "net.socket", "protocol": "icmp", "executable": "/bin/ping"}, "deny"), ({"operation": "net.socket", "protocol": "icmp"}, None),
                   ({"operation": "net.socket", "protocol": 132}, "alert")]),
    "allowed protocols": ("network: {matchProtocols: [{protocol: udp}], action: Allow}", [("network:", "note", "do not name is told")],
                          [({"operation": "net.socket", "protocol": "udp", "family": "inet"}, "allow"), ({"operation": "net.socket", "protocol": "tcp", "family": "inet"}, "alert"),
                           ({"operation": "net.socket", "family": "unix"}, None)]),
    "types of sockets": ("network: {matchProtocols: [{protocol: raw}, {protocol: all, fromSource: [{path: /x}]}]}", [("raw", "left out", "types of sockets")],
                         [({"operation": "net.socket", "family": "unix", "executable": "/x"}, "deny")]),
    "capabilities": ("capabilities: {matchCapabilities: [{capability: net_raw}, {capability: sys_admin, fromSource: [{path: /x}]}]}", [],
                     [({"operation": "cap.use", "capabilities": ["CAP_NET_RAW"]}, "deny"), ({"operation": "cap.use", "capabilities": ["CAP_SYS_ADMIN"]}, None),
                      ({"operation": "cap.use", "capabilities": ["CAP_SYS_ADMIN"], "executable": "/x"}, "deny")]),
    "what is not known": (
        """
        process:
          matchPaths:
          - {path: /a, wonder: 1}
          - {path: ../b}
          - {execname: sleep}
          - {path: /c, fromSource: [{dir: /x/}]}
          - /d
          - {path: /e, action: Perhaps}
          matchDirectories: [{dir: /x}]
          wonders: []
        capabilities: {matchCapabilities: [{capability: wonder}]}
        syscalls: {matchSyscalls: [{syscall: [unlink]}]}
        presets: [{name: filelessExec}]
        apparmor: x
        wonder: 1
        """, [("syscalls", "left out", "system calls by name"), ("presets", "left out", "no rules"), ("apparmor", "left out", "AppArmor"),
              ("wonder: 1", "left out", "not known"), ("wonders", "left out", "not known"), ("wonder: 1", "left out", "wonder: it is not known"),
              ("execname", "left out", "execname: it is not known"), ("{dir: /x/}", "left out", "fromSource"), ("/d", "left out", "it is missing"),
              ("Perhaps", "left out", "expected Allow"), ("/x}", "left out", "ends with /"), ("{path: ../b}", "left out", "absolute path"),
              ("{capability", "left out", "is no capability")], []),
    "empty sections": ("process:\nfile: {}\nnetwork: {matchProtocols: }\ncapabilities: null", [], []),
}


class KubeArmor(Files):
    def test_clauses(self):
        for name, (spec, said, acts) in ARMOR.items():
            with self.subTest(case=name):
                self.check_case(armor(SELECTOR + textwrap.dedent(spec)), said, acts)

    def test_posture(self):
        text = armor(SELECTOR + "process: {matchPaths: [{path: /app}]}\naction: Allow")
        self.check_case(text, [("process:", "note", "is denied")], [(runs("/app"), "allow"), (runs("/x"), "deny")], (*HERE, "--posture", "block"))

    def test_pods_are_not_known(self):
        policies = self.check_case(armor(SELECTOR + "process: {matchPaths: [{path: /a}]}"), [("selector:", "note", "--cgroup says")],
                                   [(runs("/a"), "deny"), ({**runs("/a"), "container": False}, None)], ())
        self.assertEqual((policies[0]["spec"]["mode"], policies[0]["spec"]["scope"]), ("audit", {"containers": True}))
        policies = self.check_case(armor(SELECTOR + "process: {matchPaths: [{path: /a}]}"), [], [])
        self.assertEqual((policies[0]["spec"]["mode"], policies[0]["spec"]["scope"]), ("enforce", {"cgroups": "/pods"}))

    def test_hosts(self):
        spec = "nodeSelector: {matchLabels: {a: b}}\nprocess:\n  matchPaths:\n  - {path: /a}\n  - {path: /b, action: Allow, fromSource: [{path: /x}]}"
        policies = self.check_case(armor(spec, "KubeArmorHostPolicy"),
                                   [("nodeSelector", "note", "hosts that this file is put on"), ("{path: /b", "left out", "by hand"),
                                    ("{path: /a}", "note", "may take what the Allow")],
                                   [({**runs("/a"), "container": False}, "deny"), (runs("/a"), None), ({**runs("/c"), "container": False}, None)], ())
        self.assertEqual(policies[0]["spec"]["mode"], "enforce")

    def test_what_is_for_people(self):
        text = armor(SELECTOR + 'severity: 7\ntags: [A, "B: c"]\nmessage: "outer \\"x\\" # \\t"\nprocess:\n  message: inner\n  matchPaths:\n  - {path: /a}\n'
                     "  - {path: /b, message: own, severity: 3, tags: [x]}", name="My.Policy")
        policies = self.check_case(text, [], [])
        self.assertEqual(policies[0]["metadata"], {"name": "my-policy", "annotations": {
            "imported": "KubeArmorPolicy My.Policy", "severity": "7", "tags": "A, B: c", "message": 'outer "x" # \t'}})
        self.assertEqual([r["description"] for r in policies[0]["spec"]["rules"]], ["inner", "own"])

    def test_many_documents_and_lists(self):
        one = armor(SELECTOR + "process: {matchPaths: [{path: /a}]}")
        items = yaml.safe_load(one)
        text = one + "---\n" + one + "---\n# empty\n---\nkind: ConfigMap\nmetadata: {name: x}\n---\n" + json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": [items, {**items, "kind": "Secret"}, {**items, "apiVersion": "v1"}]})
        policies, _, said = self.convert(text, *HERE)
        self.assertEqual([p["metadata"]["name"] for p in policies], ["k", "k-2", "k-3"])
        self.assertEqual([m.split(":")[0] for _, _, _, m in said], ["ConfigMap", "Secret", "KubeArmorPolicy"])


class Command(Files):
    GOOD = armor(SELECTOR + "process: {matchPaths: [{path: /a}]}")

    def test_strict(self):
        for text, options, code in ((self.GOOD, HERE, 0), (self.GOOD, (), EXIT_LEFT_OUT),
                                    (self.GOOD + "syscalls: {}\n".replace("syscalls", "  syscalls"), HERE, EXIT_LEFT_OUT)):
            p = run("import", "--strict", *options, self.write("a.yaml", text))
            self.assertEqual(p.returncode, code, p.stderr)
            self.assertEqual(bool(p.stdout), code == 0)
            if code:
                self.assertRegex(p.stderr, r"(?m)^nothing written: \d left out, \d notes$")

    def test_files_folders_and_standard_input(self):
        self.write("a.yaml", self.GOOD)
        self.write("b.yml", self.GOOD.replace("name: k", "name: l"))
        p = run("import", *HERE, self.dir.name)
        self.assertEqual((p.returncode, p.stderr), (0, "2 policies with 2 rules written, 0 left out\n"))
        self.assertEqual([d["metadata"]["name"] for d in yaml.safe_load_all(p.stdout)], ["k", "l"])
        p = run("import", *HERE, "-", stdin=self.GOOD)
        self.assertEqual((p.returncode, p.stderr), (0, "1 policy with 1 rule written, 0 left out\n"))
        p = run("import", *HERE, "-", stdin="")
        self.assertEqual((p.returncode, p.stdout, p.stderr), (0, "", "0 policies with 0 rules written, 0 left out\n"))

    def test_what_cannot_be_read(self):
        for text, want in (("a: [", r"a\.yaml:\d+:\d+: "), ("a: &x 1\nb: *x\n", r"a\.yaml:1:4: anchors"), ("a: !x 1\n", "tags")):
            p = run("import", self.write("a.yaml", text), self.write("b.yaml", self.GOOD))
            self.assertEqual((p.returncode, p.stdout), (EXIT_BAD, ""))
            self.assertRegex(p.stderr, want)
        p = run("import", "/nowhere/at/all")
        self.assertEqual((p.returncode, p.stdout, p.stderr), (EXIT_BAD, "", "/nowhere/at/all: No such file or directory\n"))

    def test_mistakes_on_the_command_line(self):
        path = self.write("a.yaml", self.GOOD)
        for args, want in (((), "expected files"), (("--posture", "x", path), "expected audit or block"), (("--cgroup", "x", path), "expected a path or a glob")):
            p = run("import", *args)
            self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""))
            self.assertIn(want, p.stderr)

    def test_hostile(self):
        """Names that are none, texts for terminals, more than there may be: told, and nothing that `check` refuses comes out."""
        text = armor(SELECTOR + 'message: "a\\u001b[31m\\u2028"\nprocess: {matchPaths: [{path: "/a\\u001b[31m\\n"}, {path: "/x}, {y: ["}]}', name='"\\u001b--"')
        policies, _, said = self.convert(text, *HERE)
        self.assertEqual(policies[0]["metadata"]["name"], "imported")
        self.assertEqual([r["paths"] for r in policies[0]["spec"]["rules"]], [["/a\x1b[31m\n"], ["/x}, {y: ["]])
        long = armor(SELECTOR + "process: {matchPaths: [{path: /" + "x" * 5000 + "}]}", name="n" * 300)
        _, _, said = self.convert(long, *HERE)
        self.assertEqual([m for _, _, _, m in said], ['process matchPaths: paths: "/' + "x" * 63 + '": longer than 4095 bytes'])
        many = armor(SELECTOR + "process:\n  matchPaths:\n" + "".join(f"  - {{path: /{i}, x: \"\\e[31m\"}}\n" for i in range(3000)))
        p = run("import", self.write("in.yaml", many))
        self.assertEqual((p.returncode, p.stdout, len(p.stderr.splitlines())), (EXIT_LEFT_OUT, "", 2002))
        self.assertNotIn("\x1b", p.stderr)
        self.assertIn("... and 1001 more\n0 policies with 0 rules written, 3000 left out\n", p.stderr)
        many = armor(SELECTOR + "process: {matchPaths: [" + ", ".join(f"{{path: /{i}}}" for i in range(10001)) + "]}")
        p = run("import", *HERE, self.write("in.yaml", many))
        self.assertEqual((p.returncode, p.stdout), (EXIT_LEFT_OUT, ""))
        self.assertIn("have more than 10000 rules", p.stderr)


if __name__ == "__main__":
    unittest.main()
