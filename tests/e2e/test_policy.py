#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`penstock policy`: what is good and what is not, what policies say of acts, and the JSON Schema beside the parser."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import jsonschema
import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from pipeline import PATIENCE  # noqa: E402

PENSTOCK = os.path.join(lib.BINDIR, "penstock")
POLICYD = os.path.join(lib.BINDIR, "penstock-policyd")
HEAD = "apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p}\n"
RULE = "{name: r, operations: file.open, action: allow}"


def policy(*args):
    return subprocess.run([PENSTOCK, "policy", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=PATIENCE)


def rule(fields):
    return HEAD + "spec:\n  scope: {uids: {not: 5}}\n  rules:\n    - {name: r, " + fields + "}\n"


def examples():
    """What the pages show as policies."""
    out = []
    for page in ("policies.md", "design/policy.md"):
        with open(os.path.join(lib.ROOT, "docs", page), encoding="utf-8") as f:
            out += [(page, block) for block in re.findall(r"^```yaml\n(apiVersion:.*?)^```", f.read(), re.M | re.S)]
    return out


# Both the parser and the schema take these ...
GOOD = [
    HEAD + f"spec: {{rules: [{RULE}]}}\n",
    HEAD + f"spec: {{mode: \"off\", requires: observe, scope: {{host: true}}, rules: [{RULE}]}}\n",
    rule("operations: [file.open, process.exec], description: why, paths: [/, /etc/x, {prefix: /a}, {suffix: .b}, {glob: /**}], action: deny"),
    rule("operations: file.open, paths: {not: [{directory: /d, recursive: true}, {directory: /}]}, action: kill"),
    rule("operations: file.open, paths: /etc/..x/.y/...z, action: kill"),
    rule("operations: net.connect, ports: [1, 2-3], addresses: [10.0.0.0/8, \"::/0\"], protocols: [tcp, 17], families: [inet, 10], action: audit"),
    rule("operations: process.signal, signals: [SIGKILL, 64], targets: {prefix: /x}, action: throttle, rate: 10/1m, errno: EAGAIN"),
    rule("operations: [cap.use, process.capset], capabilities: {not: CAP_BPF}, holds: [CAP_KILL], gained: CAP_CHOWN, action: alert"),
    rule("operations: process.module, modules: [a, b_c-d], namespaces: {pid: host, net: other}, gids: {not: [0, 5-9]}, action: deny"),
    rule("operations: process.exec, arguments: [--x, \"*y\"], action: kill"),
    rule("operations: process.exec, parents: /a, ancestors: {not: [/b]}, flags: memfd, executables: {glob: \"/[ab]/?*\"}, action: deny"),
]

# ... both refuse these, for the reason given ...
BAD = [
    ("apiVersion: v2\nkind: Policy\nmetadata: {name: p}\nspec: {rules: [" + RULE + "]}\n", "apiVersion: expected"),
    (HEAD + "spec: {}\n", "rules is missing"),
    (HEAD + "spec: {rules: []}\n", "expected a list of rules"),
    (HEAD + f"spec: {{mode: on_, rules: [{RULE}]}}\n", "is no mode"),
    (HEAD + f"spec: {{scope: {{}}, rules: [{RULE}]}}\n", "it is empty"),
    (HEAD + f"spec: {{scope: {{containers: true, host: true}}, rules: [{RULE}]}}\n", "in containers and in none"),
    (HEAD + f"spec: {{scope: {{paths: /x}}, rules: [{RULE}]}}\n", "unknown key"),
    (HEAD.replace("p}", "Upper}") + f"spec: {{rules: [{RULE}]}}\n", "name: expected"),
    (HEAD + "spec: {rules: [{name: r, action: allow}]}\n", "has no operations"),
    (HEAD + "spec: {rules: [{operations: file.open, action: allow}]}\n", "has no name"),
    (rule("operations: [], action: deny"), "the list is empty"),
    (HEAD + 'spec: {rules: [{name: "a\\nb", operations: file.open, action: allow}]}\n', "control characters"),
    (rule("operations: file.opne, action: deny"), "did you mean"),
    (rule("operations: file.open, action: block"), "is no action"),
    (rule("operations: file.open, action: deny, pahts: /x"), "unknown key"),
    (rule("operations: file.open, action: deny, paths: []"), "the list is empty"),
    (rule("operations: file.open, action: deny, paths: x"), "expected an absolute path"),
    (rule("operations: file.open, action: deny, paths: /a/../b"), '".."'),
    (rule("operations: file.open, action: deny, paths: /a/"), "no slash at the end"),
    (rule("operations: file.open, action: deny, paths: {prefix: /a, suffix: b}"), "expected one of"),
    (rule("operations: file.open, action: deny, paths: {glob: /a, recursive: true}"), "for directory alone"),
    (rule("operations: file.open, action: deny, paths: {not: {not: /x}}"), "unknown key"),
    (rule("operations: file.open, action: kill, errno: EPERM"), "gets no error"),
    (rule("operations: file.open, action: deny, errno: 13"), "is no errno"),
    (rule("operations: file.open, action: throttle"), "needs a rate"),
    (rule("operations: file.open, action: deny, rate: 1/1s"), "expected action throttle"),
    (rule("operations: [file.open, file.unlink], action: deny, access: write"), "file.unlink has none"),
    (rule("operations: process.bpf, action: deny, paths: /x"), "process.bpf has none"),
    (rule("operations: process.exec, action: deny, arguments: x"), "too late to deny"),
    (rule("operations: net.bind, action: deny, ports: 65536"), "expected a port"),
    (rule("operations: net.bind, action: deny, addresses: localhost"), "expected an"),
    (rule("operations: file.open, action: deny, namespaces: {pid: mine}"), "expected host or other"),
    (rule("operations: file.open, action: deny, parents: {prefix: /x}"), "expected a value"),
]

# ... and these only the parser.
PARSER_ONLY = [
    (rule("operations: net.bind, action: deny, ports: 9-5"), "is empty"),
    (rule("operations: file.open, action: deny, paths: {glob: \"/[a\"}"), "expected a ] behind this bracket"),
    (rule("operations: net.bind, action: deny, addresses: 10.0.0.1/8"), "bits behind"),
    (HEAD + "spec: {scope: {uids: 5}, rules: [{name: r, operations: file.open, uids: 6, action: allow}]}\n", "the policy's scope has none of them"),
    (HEAD + f"spec: {{rules: [{RULE}, {RULE}]}}\n", "already"),
    (HEAD + "spec: {requires: deny, rules: [{name: r, operations: process.exec, arguments: x, action: kill}]}\n", "too late to deny"),
]


class Files(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def write(self, name, text):
        path = os.path.join(self.dir.name, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path


class Schema(Files):
    @classmethod
    def setUpClass(cls):
        p = policy("schema")
        assert p.returncode == 0, p.stderr
        cls.text = p.stdout
        cls.schema = json.loads(p.stdout)
        jsonschema.Draft202012Validator.check_schema(cls.schema)
        cls.validator = jsonschema.Draft202012Validator(cls.schema)

    def takes(self, text):
        return all(self.validator.is_valid(d) for d in yaml.safe_load_all(text))

    def test_is_the_one_in_the_tree(self):
        with open(os.path.join(lib.ROOT, "docs", "policy.schema.json"), encoding="utf-8") as f:
            self.assertEqual(f.read(), self.text)

    def test_what_the_parser_takes(self):
        shown = examples()
        self.assertGreater(len(shown), 4)
        for where, text in shown + [("GOOD", t) for t in GOOD]:
            with self.subTest(where=where, text=text):
                p = policy("check", self.write("p.yaml", text))
                self.assertEqual(p.returncode, 0, p.stderr)
                for doc in yaml.safe_load_all(text):
                    self.validator.validate(doc)

    def test_what_both_refuse(self):
        for text, why in BAD:
            with self.subTest(text=text):
                p = policy("check", self.write("p.yaml", text))
                self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""))
                self.assertIn(why, p.stderr)
                self.assertFalse(self.takes(text))

    def test_what_only_the_parser_refuses(self):
        for text, why in PARSER_ONLY:
            with self.subTest(text=text):
                p = policy("check", self.write("p.yaml", text))
                self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""))
                self.assertIn(why, p.stderr)
                self.assertTrue(self.takes(text))

    def test_every_word_of_the_parser_is_in_it(self):
        """Operations and capabilities as the schema lists them are good to the parser, one by one."""
        ops = self.schema["$defs"]["rule"]["properties"]["operations"]["anyOf"][0]["enum"]
        self.assertGreater(len(ops), 25)
        caps = self.schema["$defs"]["rule"]["properties"]["holds"]["anyOf"][0]["enum"]
        self.assertGreater(len(caps), 40)
        text = rule(f"operations: [{', '.join(ops)}], holds: [{', '.join(caps)}], action: deny")
        p = policy("check", self.write("p.yaml", text))
        self.assertEqual(p.returncode, 0, p.stderr)


class Check(Files):
    def test_good(self):
        self.write("a.yaml", rule("operations: file.open, action: deny"))
        p = policy("check", self.dir.name)
        self.assertEqual((p.returncode, p.stdout, p.stderr), (0, "1 policy, 1 rule: good\n", ""))

    def test_several_documents_and_files(self):
        one = self.write("one.yaml", GOOD[0] + "---\n" + GOOD[0].replace("name: p", "name: q"))
        two = self.write("two.yml", GOOD[0].replace("name: p", "name: other"))
        p = policy("check", one, two)
        self.assertEqual((p.returncode, p.stdout), (0, "3 policies, 3 rules: good\n"))
        p = policy("check", one, one)
        self.assertEqual(p.returncode, lib.EXIT_USAGE)
        self.assertIn(f'{one}:3:18: name: "p" is the name of the policy in {one}:1 already', p.stderr)

    def test_all_errors_with_their_places(self):
        a = self.write("a.yaml", rule("operations: file.opne, action: dney"))
        b = self.write("b.yaml", HEAD.replace("p}", "q}") + "spec:\n  rulez: []\n")
        p = policy("check", self.dir.name)
        self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""))
        self.assertEqual(p.stderr.splitlines(), [
            f'{a}:7:29: operations: "file.opne" is no operation, did you mean "file.open"?',
            f'{a}:7:48: action: "dney" is no action, did you mean "deny"?',
            f'{b}:5:3: unknown key "rulez" of a policy\'s spec, did you mean "rules"?',
            f"{b}:5:3: rules is missing, expected a list of rules"])

    def test_what_does_not_fit_into_the_tables(self):
        one = HEAD + "spec: {rules: [{name: r, operations: process.bpf, action: alert}]}\n"
        many = [one.replace("name: p}", f"name: p{i}}}") for i in range(1025)]
        p = policy("check", self.write("p.yaml", "---\n".join(many[:-1])))
        self.assertEqual(p.returncode, 0, p.stderr)
        path = self.write("p.yaml", "---\n".join(many))
        p = policy("check", path)
        self.assertEqual(p.returncode, 100, p.stderr)
        self.assertRegex(p.stderr, re.escape(path) + r":\d+:\d+: policy p1024: rule \"r\": one act of process.bpf could be held against 1025 rules")
        p = policy("check", "--json", path)
        self.assertEqual([(x["file"], "p1024" in x["message"]) for x in json.loads(p.stdout)["errors"]], [(path, True)])

    def test_json(self):
        path = self.write("a.yaml", rule("operations: file.open, action: dney"))
        p = policy("check", "--json", path)
        self.assertEqual((p.returncode, p.stderr), (lib.EXIT_USAGE, ""))
        self.assertEqual(json.loads(p.stdout), {"good": False, "policies": [], "warnings": [], "errors": [
            {"file": path, "line": 7, "column": 48, "message": 'action: "dney" is no action, did you mean "deny"?'}]})
        path = self.write("a.yaml", HEAD + "spec: {requires: kill, rules: [{name: r, operations: file.open, action: kill}]}\n")
        p = policy("check", "--json", path)
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        out = json.loads(p.stdout)
        self.assertEqual((out["good"], out["errors"], out["policies"]), (True, [], [
            {"name": "p", "file": path, "line": 1, "mode": "enforce", "requires": "kill", "rules": 1}]))
        self.assertEqual([(w["file"], w["line"]) for w in out["warnings"]], [(path, 4)])
        self.assertIn("can kill any process of the host", out["warnings"][0]["message"])
        p = policy("check", "--json", "/nowhere/at/all")
        self.assertEqual(p.returncode, lib.EXIT_USAGE)
        self.assertEqual(json.loads(p.stdout)["errors"], [{"message": "/nowhere/at/all: No such file or directory"}])

    def test_more_errors_than_are_shown(self):
        path = self.write("a.yaml", HEAD + "spec:\n  rules:\n" + "".join(f"    - {{name: r{i}, operations: x, action: deny}}\n" for i in range(50)))
        p = policy("check", path)
        self.assertEqual(len(p.stderr.splitlines()), 21)
        self.assertEqual(p.stderr.splitlines()[-1], "30 more of this file are not shown")

    def test_mistakes_on_the_command_line(self):
        for args, want in ((["check"], "expected files or folders"), (["test", "/x"], "expected --act"), (["test", "--act", "{}"], "expected files"),
                           (["enforce"], "unknown subcommand"), (["schema", "x"], "not expected")):
            with self.subTest(args=args):
                p = policy(*args)
                self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""))
                self.assertIn(want, p.stderr)
        p = subprocess.run([POLICYD, "policy", "apply"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""))

    def test_file_names_are_no_options(self):
        path = self.write("--json", GOOD[0])
        p = subprocess.run([PENSTOCK, "policy", "check", "--", "--json"], cwd=os.path.dirname(path), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        self.assertEqual((p.returncode, p.stdout), (0, "1 policy, 1 rule: good\n"), p.stderr)

    def test_many_files(self):
        paths = [self.write(f"{i}.yaml", GOOD[0].replace("name: p", f"name: p{i}")) for i in range(100)]
        p = policy("check", *paths)
        self.assertEqual((p.returncode, p.stdout), (0, "100 policies, 100 rules: good\n"))


class Test(Files):
    def setUp(self):
        super().setUp()
        self.path = self.write("p.yaml", examples()[0][1] + "---\n" + rule("operations: file.open, paths: /etc/shadow, action: deny"))

    def test_says_who_says_what(self):
        act = "{operation: file.open, path: /etc/shadow, cgroup: /system.slice/x.service}"
        p = policy("test", "--act", act, self.path)
        self.assertEqual((p.returncode, p.stderr), (1, ""))
        lines = p.stdout.splitlines()
        self.assertEqual(lines[0], "deny with EPERM, by the policy p")
        self.assertRegex(lines[1], r"^  ssh-keys +line \d+ +audit +nobody else does \(in audit: would deny\)$")
        self.assertRegex(lines[2], r"^  p +line \d+ +deny +r$")
        p = policy("test", "--json", "-a", act, self.path)
        self.assertEqual(p.returncode, 1)
        told = {"action": "deny", "errno": "EPERM", "policy": "p", "rule": "r"}
        self.assertEqual(json.loads(p.stdout), {**told, "policies": [
            {"action": "audit", "would": "deny", "policy": "ssh-keys", "rule": "nobody else does"}, told]})

    def test_what_is_allowed(self):
        for act, want in (({"operation": "cap.use"}, "allowed: no rule takes it\n"),
                          ({"operation": "file.open", "path": "/etc/ssh/k", "executable": "/usr/sbin/sshd", "access": ["read"],
                            "cgroup": "/system.slice/ssh"}, "allow, by the policy ssh-keys\n")):
            p = policy("test", "--act", json.dumps(act), self.path)
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            self.assertTrue(p.stdout.startswith(want), p.stdout)
        p = policy("test", "--json", "--act", "{operation: cap.use}", self.path)
        self.assertEqual((p.returncode, json.loads(p.stdout)), (0, {"action": "none", "policies": []}))

    def test_bad_acts_and_bad_files(self):
        p = policy("test", "--act", "{operation: file.opne}", self.path)
        self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""))
        self.assertIn('act:1:13: operation: "file.opne" is no operation', p.stderr)
        p = policy("test", "--act", "{operation: file.open, path: etc/shadow}", self.path)
        self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""), "no path is so, and would be allowed")
        self.assertIn('path: "etc/shadow": expected an absolute path', p.stderr)
        p = policy("test", "--act", "{operation: file.open}", self.write("bad.yaml", "x"))
        self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""))

    def test_the_page_shows_what_is_printed(self):
        with open(os.path.join(lib.ROOT, "docs", "policies.md"), encoding="utf-8") as f:
            page = f.read()
        checked = re.search(r"^\$ penstock policy check policies/\n(.*\n)", page, re.M).group(1)
        shown = re.search(r"^\$ penstock policy test --act '(.*?)' policies/\n(.*?)^```", page, re.M | re.S)
        for i, (_, text) in enumerate(e for e in examples() if e[0] == "policies.md"):
            self.write(f"{i}.yaml", text)
        os.unlink(self.path)
        self.assertEqual(policy("check", self.dir.name).stdout, checked)
        p = policy("test", "--act", shown.group(1), self.dir.name)
        self.assertEqual((p.returncode, p.stdout), (0, shown.group(2)), p.stderr)


if __name__ == "__main__":
    unittest.main()
