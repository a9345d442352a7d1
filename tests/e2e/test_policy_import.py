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
        self.check_case(armor("selector: {matchExpressions: [{key: namespace, operator: In, values: [x]}]}\nprocess: {matchPaths: [{path: /a}]}",
                              "KubeArmorClusterPolicy"), [("selector:", "note", "--cgroup says")], [(runs("/a"), "deny")], ())

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

    def test_what_is_always_different_is_a_comment(self):
        for section, want in (("file: {matchPaths: [{path: /a}]}", "# file: mknod has no operation"), ("network: {matchProtocols: [{protocol: tcp}]}", "# network: Unix"),
                              ("process: {matchPaths: [{path: /a}]}", "apiVersion"), ("file: {}\nprocess: {matchPaths: [{path: /a}]}", "apiVersion")):
            p = run("import", *HERE, self.write("in.yaml", armor(SELECTOR + section)))
            self.assertTrue(p.stdout.startswith(want), p.stdout)

    def test_many_documents_and_lists(self):
        one = armor(SELECTOR + "process: {matchPaths: [{path: /a}]}")
        items = yaml.safe_load(one)
        text = one + "---\n" + one + "---\n# empty\n---\nkind: ConfigMap\nmetadata: {name: x}\n---\n" + json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": [items, {**items, "kind": "Secret"}, {**items, "apiVersion": "v1"}]})
        policies, _, said = self.convert(text, *HERE)
        self.assertEqual([p["metadata"]["name"] for p in policies], ["k", "k-2", "k-3"])
        self.assertEqual([m.split(":")[0] for _, _, _, m in said], ["ConfigMap", "Secret", "KubeArmorPolicy"])


def tracing(spec, kind="TracingPolicy", name="t"):
    return (f"apiVersion: cilium.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n"
            + textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ") + "\n")


def hook(call, selectors="", more=""):
    """A kprobe of a function, with its selectors on lines of their own."""
    text = f"kprobes:\n- call: {call}\n" + textwrap.indent(more, "  ")
    return tracing(text + ("  selectors:\n" + textwrap.indent(textwrap.dedent(selectors).strip("\n"), "  ") if selectors else ""))


def arg(index, operator, *values):
    return f"- matchArgs: [{{index: {index}, operator: {operator}, values: {json.dumps(values)}}}]"


CONNECT = {"operation": "net.connect", "protocol": "tcp", "family": "inet", "address": "192.0.2.1", "port": 443}
BIND = {**CONNECT, "operation": "net.bind"}

# Function, selectors, what is told, acts.
TRACING = {
    "no selector": ("security_bprm_check", "", [], [(runs("/a"), "audit"), (opens("/a"), None)]),
    "paths": ("security_file_open", """
        - matchArgs: [{index: 0, operator: Equal, values: [/etc/x, /etc/y]}]
        - matchArgs: [{index: 0, operator: Prefix, values: [/var/]}]
        - matchArgs: [{index: 0, operator: Postfix, values: [.key]}]
        """, [], [(opens("/etc/x"), "audit"), (opens("/etc/xy"), None), (opens("/var/a/b"), "audit"), (opens("/variable"), None), (opens("/a/b.key"), "audit")]),
    "not paths": ("security_file_open", arg(0, "NotPrefix", "/usr/", "/lib/"), [], [(opens("/usr/x"), None), (opens("/lib/x"), None), (opens("/etc/x"), "audit")]),
    "strings of C": ("sys_truncate", '- matchArgs: [{index: 0, operator: Equal, values: ["/etc/x\\0"]}]', [("{index", "note", "not what the caller wrote")],
                     [({"operation": "file.truncate", "path": "/etc/x"}, "audit")]),
    "what happens": ("security_bprm_check", """
        - matchArgs: [{index: 0, operator: Equal, values: [/kill]}]
          matchActions: [{action: Sigkill}]
        - matchArgs: [{index: 0, operator: Equal, values: [/deny]}]
          matchActions: [{action: Override, argError: -13}]
        - matchArgs: [{index: 0, operator: Equal, values: [/both]}]
          matchActions: [{action: Override, argError: -1}, {action: Sigkill}, {action: Post}]
        - matchArgs: [{index: 0, operator: Equal, values: [/signal]}]
          matchActions: [{action: Signal, argSig: 9}]
        - matchArgs: [{index: 0, operator: Equal, values: [/enforcer]}]
          matchActions: [{action: NotifyEnforcer, argError: -1}]
        - matchArgs: [{index: 0, operator: Equal, values: [/silent]}]
          matchActions: [{action: NoPost}]
        - matchActions: [{action: Post}]
        """, [], [(runs("/kill"), "kill"), (runs("/deny"), "deny"), (runs("/both"), "kill"), (runs("/signal"), "kill"), (runs("/enforcer"), "deny"),
                  (runs("/silent"), "allow"), (runs("/x"), "audit")]),
    "what happens beside": ("security_bprm_check", "- matchActions: [{action: Post, rateLimit: 5}, {action: GetUrl, argUrl: x}]",
                            [("{action: Post", "note", "each act is told"), ("{action: GetUrl", "note", "does not happen")], [(runs("/x"), "audit")]),
    "what cannot happen": ("security_bprm_check", """
        - matchActions: [{action: FollowFD, argFd: 0}]
        - matchActions: [{action: Signal, argSig: 15}]
        - matchActions: [{action: Override, argError: 1}]
        - matchActions: [{action: Override, argError: -4000}]
        - matchActions: [{action: Override, argError: -99999999999999999999}]
        - matchActions: [{action: Wonder}]
        - matchActions: [{}]
        - wonder
        """, [("{action: FollowFD", "left out", "FollowFD"), ("{action: Signal", "left out", "SIGKILL"), ("{action: Override", "left out", "errno"),
              ("{action: Override", "left out", "errno"), ("{action: Override", "left out", "errno"), ("{action: Wonder", "left out", "Wonder"), ("{}", "left out", "expected an action"),
              ("wonder", "left out", "expected filters")], []),
    "behind what is left out nothing is stronger": ("security_bprm_check", """
        - matchPIDs: [{operator: In, values: [1]}]
          matchActions: [{action: NoPost}]
        - matchActions: [{action: Sigkill}]
        - matchActions: [{action: Post}]
        """, [("matchPIDs", "left out", "it cannot"), ("matchActions", "left out", "selector before it"), ("matchActions", "left out", "selector before it")], []),
    "behind a stronger one that is left out": ("security_bprm_check", """
        - matchPIDs: [{operator: In, values: [1]}]
          matchActions: [{action: Sigkill}]
        - matchArgs: [{index: 0, operator: Equal, values: [/a]}]
          matchActions: [{action: Override, argError: -1}]
        """, [("matchPIDs", "left out", "it cannot")], [(runs("/a"), "deny"), (runs("/x"), None)]),
    "programs": ("security_bprm_check", """
        - matchBinaries: [{operator: In, values: [/usr/bin/a, /usr/bin/b]}]
        - matchBinaries: [{operator: Prefix, values: [/opt/]}]
        - matchBinaries: [{operator: Postfix, values: [sh]}]
        """, [], [(runs("/x", executable="/usr/bin/b"), "audit"), (runs("/x", executable="/opt/q"), "audit"), (runs("/x", executable="/bin/bash"), "audit"),
                  (runs("/x"), None), (runs("/usr/bin/a"), None)]),
    "not programs": ("security_bprm_check", "- matchBinaries: [{operator: NotIn, values: [/usr/bin/a]}]", [],
                     [(runs("/x", executable="/usr/bin/a"), None), (runs("/x"), "audit")]),
    "programs and their children": ("security_bprm_check", "- matchBinaries: [{operator: In, values: [/usr/sbin/sshd], followChildren: true}]", [],
                                    [(runs("/x", executable="/usr/sbin/sshd", ancestors=[]), "audit"), (runs("/x", ancestors=["/usr/sbin/sshd"]), "audit"),
                                     (runs("/x", ancestors=["/sbin/init"]), None)]),
    "neither programs nor their children": ("security_bprm_check", "- matchBinaries: [{operator: NotIn, values: [/usr/sbin/sshd], followChildren: true}]", [],
                                            [(runs("/x", executable="/usr/sbin/sshd", ancestors=[]), None), (runs("/x", ancestors=["/usr/sbin/sshd"]), None),
                                             (runs("/x", ancestors=["/sbin/init"]), "audit")]),
    "parents": ("security_bprm_check", "- matchParentBinaries: [{operator: In, values: [/bin/bash]}]", [],
                [(runs("/x", parent="/bin/bash"), "audit"), (runs("/x", parent="/bin/zsh"), None)]),
    "namespaces": ("security_bprm_check", "- matchNamespaces: [{namespace: Pid, operator: NotIn, values: [host_ns]}, {namespace: Net, operator: In, values: [host_ns]}]",
                   [], [(runs("/x", namespaces={"pid": "other"}), "audit"), (runs("/x"), None), (runs("/x", namespaces={"pid": "other", "net": "other"}), None)]),
    "capabilities": ("security_bprm_check", """
        - matchCapabilities: [{type: Effective, operator: In, values: [CAP_SYS_ADMIN, CAP_BPF]}]
        - matchCapabilities: [{operator: NotIn, values: [CAP_NET_RAW]}]
          matchArgs: [{index: 0, operator: Equal, values: [/a]}]
        """, [], [(runs("/x", holds=["CAP_BPF"]), "audit"), (runs("/x"), None), (runs("/a"), "audit"), (runs("/a", holds=["CAP_NET_RAW"]), None)]),
    "capability changes": ("security_bprm_check", "- matchCapabilityChanges: [{type: Effective, operator: In, values: [CAP_SETUID]}]",
                           [("{type", "note", "not those that were lost")], [(runs("/x", gained=["CAP_SETUID"]), "audit"), (runs("/x", holds=["CAP_SETUID"]), None)]),
    "who it is, as it cannot be asked": ("security_bprm_check", """
        - matchBinaries: [{operator: Prefix, values: [/a], followChildren: true}]
        - matchBinaries: [{operator: In, values: [/a]}, {operator: NotIn, values: [/b]}]
        - matchNamespaces: [{namespace: Pid, operator: In, values: ["4026531836"]}]
        - matchNamespaces: [{namespace: PidForChildren, operator: In, values: [host_ns]}]
        - matchCapabilities: [{type: Permitted, operator: In, values: [CAP_BPF]}]
        - matchCapabilities: [{operator: In, values: [CAP_BPF], isNamespaceCapability: true}]
        - matchCapabilities: [{operator: In, values: [CAP_WONDER]}]
        - matchBinaries: [{operator: In, values: []}]
        - matchBinaries: [{operator: In, values: [relative]}]
        - matchReturnArgs: [{index: 0, operator: Equal, values: ["0"]}]
        - matchNamespaceChanges: [{operator: In, values: [Mnt]}]
        """, [("{operator", "left out", "with children only In"), ("{operator: NotIn", "left out", "two conditions"), ("{namespace", "left out", "host_ns"),
              ("{namespace", "left out", "host_ns"), ("{type", "left out", "effective"), ("{operator", "left out", "effective"),
              ("matchCapabilities", "left out", "is no capability"), ("{operator", "left out", "expected an operator"),
              ("matchBinaries", "left out", "absolute path"), ("matchReturnArgs", "left out", "it cannot"), ("matchNamespaceChanges", "left out", "it cannot")], []),
    "reading and writing": ("security_file_permission", """
        - matchArgs: [{index: 0, operator: Prefix, values: [/etc/]}, {index: 1, operator: Equal, values: ["2"]}]
        - matchArgs: [{index: 1, operator: Mask, values: [4]}, {index: 0, operator: Equal, values: [/a]}]
        """, [("matchArgs", "note", "judged when it is opened"), ("matchArgs", "note", "judged when it is opened")],
        [(writes("/etc/x"), "audit"), (opens("/etc/x", access=["append"]), "audit"), (opens("/etc/x"), None), (opens("/a"), "audit"), (writes("/a"), None)]),
    "descriptors": ("fd_install", arg(1, "Equal", "/etc/x"), [("matchArgs", "note", "when its descriptor is passed on")], [(opens("/etc/x"), "audit")]),
    "protections": ("security_file_mprotect", "- matchArgs: [{index: 2, operator: Mask, values: [0x4]}]", [],
                    [({"operation": "process.mprotect", "access": ["read", "execute"]}, "audit"), ({"operation": "process.mprotect", "access": ["read"]}, None)]),
    "connections": ("security_socket_connect", """
        - matchArgs:
          - {index: 0, operator: Protocol, values: [IPPROTO_TCP]}
          - {index: 1, operator: Family, values: [AF_INET, 10]}
          - {index: 1, operator: SAddr, values: [192.0.2.1/24, "2001:db8::1"]}
          - {index: 1, operator: SPort, values: ["443", "8000:8010"]}
        - matchArgs: [{index: 1, operator: NotSPortPriv}, {index: 1, operator: NotSAddr, values: [127.0.0.0/8]}]
          matchActions: [{action: Override, argError: -111}]
        """, [], [(CONNECT, "audit"), ({**CONNECT, "port": 8005}, "audit"), ({**CONNECT, "port": 80}, None), ({**CONNECT, "port": 9000}, "deny"),
                  ({**CONNECT, "address": "127.0.0.1", "port": 9000}, None), ({**CONNECT, "protocol": "udp"}, None),
                  ({**CONNECT, "address": "2001:db8::1", "family": "inet6"}, "audit"), ({"operation": "net.connect", "family": "unix"}, None)]),
    "connections of TCP": ("tcp_connect", arg(0, "DAddr", "192.0.2.1"), [], [(CONNECT, "audit"), ({**CONNECT, "protocol": "udp"}, None), ({**CONNECT, "address": "192.0.2.2"}, None)]),
    "listening": ("inet_csk_listen_start", arg(0, "SPort", "443"), [], [({**CONNECT, "operation": "net.listen"}, "audit"), ({**CONNECT, "operation": "net.listen", "port": 80}, None)]),
    "binding": ("security_socket_bind", arg(1, "SPort", "443"), [], [(BIND, "audit"), ({**BIND, "port": 80}, None)]),
    "sockets": ("security_socket_create", arg(0, "Equal", "17"), [], [({"operation": "net.socket", "family": "packet"}, "audit"), ({"operation": "net.socket", "family": "inet"}, None)]),
    "signals": ("security_task_kill", arg(2, "Equal", "9", "15"), [], [({"operation": "process.signal", "signal": "SIGTERM"}, "audit"), ({"operation": "process.signal", "signal": "SIGHUP"}, None)]),
    "capability that is used": ("cap_capable", arg(2, "Equal", "21", "CAP_BPF"), [("matchArgs", "note", "that the process has")],
                                [({"operation": "cap.use", "capabilities": ["CAP_SYS_ADMIN"]}, "audit"), ({"operation": "cap.use", "capabilities": ["CAP_BPF"]}, "audit"),
                                 ({"operation": "cap.use", "capabilities": ["CAP_CHOWN"]}, None)]),
    "modules": ("do_init_module", arg(0, "NotEqual", "ext4", "nf_tables"), [], [({"operation": "process.module", "module": "x"}, "audit"), ({"operation": "process.module", "module": "ext4"}, None)]),
    "one of several system calls": ("__x64_sys_unlinkat", "- matchActions: [{action: Post}]\n- matchActions: [{action: Sigkill}]", [
        ("matchActions", "note", "the operation takes them, too"), ("matchActions", "left out", "hold up more")],
        [({"operation": "file.unlink", "path": "/x"}, "audit")]),
    "arguments, as they cannot be asked": ("security_socket_connect", """
        - matchArgs: [{index: 1, operator: DAddr, values: [192.0.2.1]}]
        - matchArgs: [{index: 2, operator: Equal, values: ["1"]}]
        - matchArgs: [{index: 0, operator: State, values: [TCP_CLOSE]}]
        - matchArgs: [{index: 1, operator: SAddr, values: [wonder]}]
        - matchArgs: [{index: 1, operator: SPort, values: ["80:"]}]
        - matchArgs: [{index: 1, operator: SPort, values: ["90:80"]}]
        - matchArgs: [{index: 1, operator: Family, values: [AF_WONDER]}]
        - matchArgs: [{index: 1, operator: SPort}]
        - matchArgs: [{operator: SPort, values: ["80"]}]
        - matchArgs: [{index: 1, operator: SPort, values: ["80"]}, {index: 1, operator: SPort, values: ["81"]}]
        - matchArgs: [{index: 1, operator: InMap, values: ["list:x"]}]
        """, [("{index", "left out", "cannot be asked of this"), ("{index", "left out", "no condition here"), ("{index", "left out", "cannot be asked of this"),
              ("wonder", "left out", "cannot be expressed"), ('"80:"', "left out", "cannot be expressed"), ("matchArgs", "left out", "is empty"),
              ("matchArgs", "left out", "is no address family"), ("{index", "left out", "expected an operator"), ("{operator", "left out", "expected index"),
              ("{index: 1, operator: SPort, values: [\"81", "left out", "two conditions"), ("{index", "left out", "cannot be asked of this")], []),
    "no operation": ("sys_clock_settime", "", [("call", "left out", "no operation is like sys_clock_settime")], []),
}


class Tetragon(Files):
    def test_clauses(self):
        for name, (call, selectors, said, acts) in TRACING.items():
            with self.subTest(case=name):
                self.check_case(hook(call, selectors), said, acts, ())

    def test_arguments_by_their_place(self):
        args = "args:\n- {index: 1, type: sockaddr}\n- {index: 0, type: socket}\n- {index: 2, type: int, resolve: x.y}\n"
        self.check_case(hook("security_socket_connect", '- matchArgs: [{args: [0], operator: SPort, values: ["443"]}, {args: [1], operator: Protocol, values: ["6"]}]', args), [],
                        [(CONNECT, "audit"), ({**CONNECT, "protocol": "udp"}, None), ({**CONNECT, "port": 80}, None)], ())
        self.check_case(hook("security_socket_connect", '- matchArgs: [{args: [2], operator: SPort, values: ["443"]}]\n- matchArgs: [{args: [7], operator: SPort, values: ["443"]}]', args),
                        [("{args: [2]", "left out", "part of an argument"), ("{args: [7]", "left out", "expected index")], [], ())

    def test_hooks_act_beside_each_other(self):
        text = tracing("""
            kprobes:
            - call: security_file_open
              message: first
              selectors:
              - matchArgs: [{index: 0, operator: Equal, values: [/a]}]
                matchActions: [{action: NoPost}]
            lsmhooks:
            - hook: file_open
              tags: [x]
              selectors:
              - matchActions: [{action: Override, argError: -1}]
            - hook: bprm_check_security
            tracepoints:
            - {subsystem: syscalls, event: sys_enter_memfd_create}
            - subsystem: syscalls
              event: sys_enter_truncate
              selectors: [{matchArgs: [{index: 5, operator: Equal, values: [/a]}]}]
            - {subsystem: raw_syscalls, event: sys_enter}
            - {subsystem: sched, event: sched_process_exec}
            fentries:
            - {call: security_bpf}
            - {call: security_bpf, wonder: 1}
            uprobes: [{path: /bin/bash, symbols: [readline]}]
            lists: [{name: a}]
            loader: true
            """)
        policies = self.check_case(text, [
            ("{index: 5", "left out", "tracepoint"), ("{subsystem: raw", "left out", "no operation is like"), ("{subsystem: sched", "note", "programs are those"),
            ("wonder", "left out", "not known"), ("uprobes", "left out", "cannot"), ("lists", "left out", "cannot"), ("loader", "left out", "cannot")],
            [(opens("/a"), "deny"), (runs("/a"), "audit"), ({"operation": "process.memfd"}, "audit"), ({"operation": "process.bpf"}, "audit")], ())
        self.assertEqual([p["metadata"]["name"] for p in policies], ["t", "t-2", "t-3", "t-4", "t-5", "t-6"])
        self.assertEqual(policies[0]["spec"]["rules"][0]["description"], "first")

    def test_whom_it_is_for(self):
        """All there is; or what cannot be said, in mode audit, unless control groups are named."""
        body = "kprobes: [{call: sys_bpf, selectors: [{matchActions: [{action: Sigkill}]}]}]\n"
        act = {"operation": "process.bpf"}
        policies = self.check_case(tracing(body), [], [({**act, "container": False}, "kill")], ())
        self.assertEqual((policies[0]["spec"]["mode"], policies[0]["spec"].get("scope")), ("enforce", None))
        self.check_case(tracing(body), [], [({**act, "cgroup": "/x"}, "kill")])
        for kind, selector, where in (("TracingPolicyNamespaced", "", "spec"), ("TracingPolicy", "podSelector: {matchLabels: {a: b}}\n", "podSelector"),
                                      ("TracingPolicy", "containerSelector: {matchExpressions: []}\n", "containerSelector")):
            with self.subTest(selector=selector):
                policies = self.check_case(tracing(selector + body, kind), [(where, "note", "whose pods are selected")],
                                           [(act, "kill"), ({**act, "container": False}, None)], ())
                self.assertEqual((policies[0]["spec"]["mode"], policies[0]["spec"]["scope"]), ("audit", {"containers": True}))
                policies = self.check_case(tracing(selector + body, kind), [], [(act, "kill"), ({**act, "cgroup": "/x"}, None)])
                self.assertEqual(policies[0]["spec"]["mode"], "enforce")
        self.check_case(tracing("podSelector: {}\ncontainerSelector: {}\n" + body), [("podSelector", "note", "whose pods"), ("containerSelector", "note", "which of their")], [], ())
        policies = self.check_case(tracing("hostSelector: {}\n" + body), [("hostSelector", "note", "all there is is judged")], [(act, "kill")], ())
        self.assertEqual(policies[0]["spec"]["mode"], "audit")

    def test_modes(self):
        body = "kprobes: [{call: sys_bpf}]\noptions:\n- {name: disable-kprobe-multi, value: '1'}\n- {name: policy-mode, value: %s}\n"
        for word, mode, said in (("monitor", "audit", []), ("enforce", "enforce", []), ("wonder", "enforce", [("{name", "note", "policy-mode")])):
            policies = self.check_case(tracing(body % word), said, [], ())
            self.assertEqual(policies[0]["spec"]["mode"], mode)


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
        odd = "/a\u0085\u2028\u2029\ufeff\u00e4\u009b\x01\x7f\"\\\\b"
        policies, out, _ = self.convert(armor(SELECTOR + f"process: {{matchPaths: [{{path: {json.dumps(odd)}}}]}}"), *HERE)
        self.assertEqual(policies[0]["spec"]["rules"][0]["paths"], [odd])
        self.judge(out, runs(odd), "deny")
        self.judge(out, runs(odd.replace("\u2028", " ")), None)
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
