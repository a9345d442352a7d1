#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The `penstock` command's own texts: help and man pages, completion in real shells, and the check of a configuration."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from pipeline import PATIENCE, wait_for  # noqa: E402
from terminal import Terminal  # noqa: E402

PENSTOCK = os.path.join(lib.BINDIR, "penstock")
COMMANDS = ("up", "status", "observe", "top", "probe", "record", "replay", "fw", "ddos", "policy", "why", "config", "completion")
GROUPS = {"fw": ("list", "stats", "test", "add", "delete", "sets", "add-element", "delete-element", "import"),
          "ddos": ("block", "unblock", "list", "stats"), "policy": ("apply", "check", "confirm", "delete", "import", "list", "mode", "rollback", "schema", "show", "test")}
LEAVES = [[c] for c in COMMANDS if c not in GROUPS] + [[g, s] for g, subs in GROUPS.items() for s in subs]
MAN = os.path.join(lib.ROOT, "docs", "man")
ENV = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_") and k != "NO_COLOR"}


def penstock(*args, env=(), timeout=PATIENCE, **kw):
    return subprocess.run([PENSTOCK, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="surrogateescape", env={**ENV, **dict(env)}, timeout=timeout, **kw)


def options_of(help_text):
    """{long name: letter or None}"""
    return {m.group(2): m.group(1) for m in re.finditer(r"^  (?:-(.), |    )--([a-z-]+)", help_text, re.M)}


class Documented(unittest.TestCase):
    """Help and man pages tell the same, and all of it."""

    def man(self, name):
        with open(os.path.join(MAN, name), encoding="utf-8") as f:
            return f.read()

    def man_options(self, text):
        """Of the lists: {long name: letter or None}"""
        out = {}
        for item in re.findall(r"^\.It (Fl .*)$", text, re.M):
            letters = re.findall(r"Fl (\w)\b", item)
            for name in re.findall(r"Fl -([a-z-]+)", item):
                out[name] = letters[0] if letters else None
        return out

    def help_of(self, *args):
        p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV,
                           timeout=PATIENCE)
        self.assertEqual((p.returncode, p.stderr), (0, ""), args)
        return p.stdout

    def test_commands(self):
        text = self.help_of(PENSTOCK, "--help")
        self.assertEqual(tuple(re.findall(r"^  ([a-z]+) {3,}\S", text.split("commands:")[1].split("examples:")[0], re.M)), COMMANDS)
        self.assertEqual(text, self.help_of(PENSTOCK, "-h"))
        self.assertEqual(text, self.help_of(PENSTOCK, "help"))
        self.assertRegex(self.help_of(PENSTOCK, "--version"), r"^penstock \d+\.\d+\.\d+\n$")
        bare = penstock()
        self.assertEqual((bare.returncode, bare.stdout, bare.stderr), (lib.EXIT_USAGE, "", text))

    def test_help_has_examples_that_parse(self):
        """Every example is a command line whose options exist."""
        programs = [[PENSTOCK, *words] for words in LEAVES] + [[os.path.join(lib.BINDIR, "penstock-" + s)] for s in ("loader", *lib.STAGES)]
        for program in programs:
            with self.subTest(program=program):
                text = self.help_of(*program, "--help")
                self.assertEqual(text, self.help_of(*program, "-h"))
                self.assertRegex(text, rf"^Usage: {' '.join([os.path.basename(program[0]), *program[1:]])} ")
                self.assertRegex(self.help_of(*program, "--version"), r"\d+\.\d+\.\d+\n$")
                examples = text.split("\nExamples:\n")[1].splitlines()
                self.assertTrue(examples)
                known = options_of(text)
                for line in examples:
                    self.assertLessEqual(len(line), 120, line)
                    for option in re.findall(r"(?<= --)[a-z-]+", line.split("|")[0]):
                        if os.path.basename(program[0]) == "penstock" and " ".join(["penstock", *program[1:]]) not in line:
                            continue
                        self.assertIn(option, known, line)

    def test_options_of_commands_are_in_the_man_page(self):
        man = self.man("penstock.1")
        common = self.man_options("\n".join(f".It Fl {m}" for m in ("h , Fl -help", "V , Fl -version")))
        for words in LEAVES:
            with self.subTest(words=words):
                command = " ".join(words)
                section = re.search(rf"^\.Ss penstock {command}\b.*?\n(.*?)(?=^\.S[sh] )", man, re.M | re.S)
                self.assertTrue(section, "no section in penstock(1)")
                self.assertEqual({**self.man_options(section.group(1)), **common},
                                 options_of(self.help_of(PENSTOCK, *words, "--help")))

    def test_groups(self):
        """A command with subcommands shows them, with examples of them, and is in the man page."""
        for group, subs in GROUPS.items():
            with self.subTest(group=group):
                text = self.help_of(PENSTOCK, group, "--help")
                self.assertEqual((text, text), (self.help_of(PENSTOCK, group, "-h"), self.help_of(PENSTOCK, group, "help")))
                self.assertRegex(text, rf"^Usage: penstock {group} SUBCOMMAND ")
                listed, examples = text.split("\nSubcommands:\n")[1].split("\nExamples:\n")
                self.assertEqual(tuple(re.findall(r"^  ([a-z-]+) {2,}\S", listed, re.M)), subs)
                for line in [e for e in examples.splitlines() if e.startswith("  ")]:
                    words = re.search(rf"penstock {group} ([a-z-]+)", line)
                    known = options_of(self.help_of(PENSTOCK, group, words.group(1), "--help"))
                    for option in re.findall(r"(?<= --)[a-z-]+", line):
                        self.assertIn(option, known, line)
                for words, want in (([], "expected a subcommand"), ([subs[0][:-1] + "x"], f'did you mean "{subs[0]}"'),
                                    ([subs[0][:-1] + "x", "--json"], f'did you mean "{subs[0]}"'), (["--bad"], "unknown option")):
                    p = penstock(group, *words)
                    self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""))
                    self.assertIn(want, p.stderr)

    def test_options_of_stages_are_in_their_man_pages(self):
        for stage in ("loader", *lib.STAGES):
            with self.subTest(stage=stage):
                self.assertEqual(self.man_options(self.man(f"penstock-{stage}.8")),
                                 options_of(self.help_of(os.path.join(lib.BINDIR, "penstock-" + stage), "--help")))

    def test_sensors_are_in_the_man_page_and_in_the_table_of_kernels(self):
        """The page says which are off by default, too."""
        text = self.help_of(os.path.join(lib.BINDIR, "penstock-loader"), "--print-config")
        text = text.split("\n  sensors:\n")[1].split("\n  rungs:\n")[0] + "\n"
        sensors = dict(re.findall(r"^    (\w+): (true|false)$", text, re.M))
        self.assertGreater(len(sensors), 30)
        man = self.man("penstock-loader.8").split(".Sh SENSORS\n")[1].split("\n.Sh ")[0]
        named = re.findall(r"\w+", " ".join(re.findall(r"^\.It Cm (.*)$", man, re.M)))
        self.assertEqual(sorted(named), sorted(sensors))
        off = man.split(".Pp\nOff unless")[1]
        self.assertEqual(set(re.findall(r"\w+", " ".join(re.findall(r"^\.It Cm (.*)$", off, re.M)))), {s for s in sensors if sensors[s] == "false"})
        with open(os.path.join(lib.ROOT, "docs", "kernels.md"), encoding="utf-8") as f:
            rows = " ".join(re.findall(r"^\| ([^|]*) \|", f.read().split("## What else")[0], re.M))
        self.assertEqual({s for s in sensors if not re.search(rf"\b{s}\b", rows)}, set())

    def test_keys_of_the_exporter_are_in_its_man_page(self):
        """Names of the configuration; the other stages print theirs with explanations."""
        man = self.man("penstock-exporter.8")
        out = self.help_of(os.path.join(lib.BINDIR, "penstock-exporter"), "--print-config")
        path, keys = [], set()
        for line in out.splitlines():
            m = re.match(r"^( *)([a-z_]+):", line)
            if not m:
                continue
            path = path[:len(m.group(1)) // 2] + [m.group(2)]
            keys.add(".".join(path))
        leaves = {k.removeprefix("exporter.") for k in keys if k.startswith("exporter.") and
                  not any(o.startswith(k + ".") for o in keys)}
        self.assertGreater(len(leaves), 15)
        documented = set()
        for item in re.findall(r"^\.It Cm (.*)$", man, re.M):
            first = item.split(" , ")[0]
            documented |= set(item.split(" , ")) | {first.rsplit(".", 1)[0] + "." + k for k in item.split(" , ")}
        # a section without a value is printed without its keys
        self.assertEqual({k for k in leaves - documented if not any(d.startswith(k + ".") for d in documented)}, set())

    def test_mistakes_are_met_with_help(self):
        for args, want in ((["stauts"], 'did you mean "status"'), (["observe", "--outptu", "json"], "did you mean --output"),
                           (["observe", "-Q"], "unknown option -Q"), (["observe", "here"], '"here" is not expected'),
                           (["observe", "--output", "xml"], "compact, json or jsonl"), (["replay", "-o", "xml", "/dev/null"], "jsonl"),
                           (["observe", "--address", "10.0.0.0/33"], "address: expected"),
                           (["observe", "--kind", "tcp_conect"], "kind: expected"), (["observe", "--since", "soon"], "since: expected"),
                           (["observe", "--pid", "x"], "pid: expected"),
                           (["observe", "--last"], "--last needs a value"), (["top", "--interval", "fast"], "fast"),
                           (["top", "--rows", "99999"], "rows"), (["record"], "expected one FILE"), (["replay"], "FILE"),
                           (["replay", "/nowhere/day.rec"], "/nowhere/day.rec"), (["completion", "tcsh"], "bash, zsh or fish"),
                           (["config", "chekc"], "check"), (["status", "--json=1"], "takes no value")):
            with self.subTest(args=args):
                p = penstock(*args)
                self.assertEqual((p.returncode, p.stdout), (lib.EXIT_USAGE, ""), p.stderr)
                self.assertIn(want, p.stderr)
                self.assertNotIn("\x1b", p.stderr)


class Completion(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pst-cli-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir)
        self.files = {}
        for shell in ("bash", "zsh", "fish"):
            p = penstock("completion", shell)
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            self.files[shell] = os.path.join(self.dir, shell)
            with open(self.files[shell], "w") as f:
                f.write(p.stdout)
        for name in ("day.rec", "night.rec"):
            open(os.path.join(self.dir, name), "w").close()

    CASES = (("penstock ob", {"observe"}), ("penstock re", {"record", "replay"}),
             ("penstock observe --kind process_exec", {"process_exec", "process_exec_failed"}),
             ("penstock observe --sev", {"--severity"}), ("penstock observe --output json", {"json", "jsonl"}),
             ("penstock config ", {"check", "print"}), ("penstock fw im", {"import"}), ("penstock completion f", {"fish"}),
             ("penstock replay ni", {"night.rec"}), ("penstock status --js", {"--json"}))

    def test_in_bash(self):
        """On a terminal: what Tab makes of the line."""
        env = {**ENV, "PS1": "ready> ", "PATH": lib.BINDIR + ":" + os.environ["PATH"], "HOME": self.dir, "TERM": "dumb"}
        t = Terminal(["bash", "--norc", "--noprofile", "-i"], env=env)
        self.addCleanup(t.close)
        t.see(r"ready> $")
        t.press(f"cd {self.dir}; source {self.files['bash']}; bind 'set bell-style none'\n")
        for line, want in self.CASES:
            with self.subTest(line=line):
                t.press("\x15echo begin\n")  # an empty line, whatever was there
                t.see(r"^begin\n.*ready> $")
                before = len(t.read())
                t.press(line + ("\t" if len(want) == 1 else "\t\t"))
                for word in want:
                    wait_for(lambda w=word: w in t.read()[before + len(line) - len(line.split(" ")[-1]):], f"{word} after {line}")
                t.press("\x15")

    def test_in_bash_nothing_else_is_offered(self):
        script = ('source "$1"; read -ra COMP_WORDS <<<"$2"; [[ $2 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
                  '_penstock; printf "%s\\n" "${COMPREPLY[@]}"')
        for line, want in self.CASES:
            with self.subTest(line=line):
                p = subprocess.run(["bash", "-c", script, "bash", self.files["bash"], line], cwd=self.dir, env=ENV, timeout=PATIENCE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                self.assertEqual((p.returncode, p.stderr), (0, ""))
                words = set(p.stdout.split())
                self.assertEqual(words - {"bash", "zsh", "fish", "day.rec", "night.rec"} if line.endswith(" ") else words, want)

    @unittest.skipUnless(shutil.which("fish"), "no fish here")
    def test_in_fish(self):
        env = {**ENV, "PATH": lib.BINDIR + ":" + os.environ["PATH"], "HOME": self.dir}
        for line, want in self.CASES:
            with self.subTest(line=line):
                p = subprocess.run(["fish", "--no-config", "-c", f"source {self.files['fish']}; complete -C '{line}'"], cwd=self.dir, env=env,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
                self.assertEqual((p.returncode, p.stderr), (0, ""))
                words = {w.split("\t")[0] for w in p.stdout.splitlines()}
                self.assertLessEqual(want, words)

    @unittest.skipUnless(shutil.which("zsh"), "no zsh here")
    def test_in_zsh(self):
        """On a terminal: what Tab makes of the line."""
        os.mkdir(os.path.join(self.dir, "site"))
        shutil.copy(self.files["zsh"], os.path.join(self.dir, "site", "_penstock"))
        env = {**ENV, "PATH": lib.BINDIR + ":" + os.environ["PATH"], "HOME": self.dir, "ZDOTDIR": self.dir, "TERM": "dumb"}
        t = Terminal(["zsh", "-f", "-i"], env=env)
        self.addCleanup(t.close)
        t.press(f"PS1='ready> '; unsetopt zle_bracketed_paste; cd {self.dir}; fpath=({self.dir}/site $fpath); autoload -U compinit; "
                "compinit -u -D; echo be''gin\n")
        t.see(r"^begin")
        for line, want in (c for c in self.CASES if len(c[1]) == 1):
            with self.subTest(line=line):
                before = len(t.read())
                t.press(line + "\t")
                word = next(iter(want))
                wait_for(lambda w=word: w in t.read()[before:], f"{word} after {line}")
                t.press("\x15")


class Configuration(unittest.TestCase):
    def check(self, text, *args):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(text)
            f.flush()
            os.chmod(f.name, 0o644)
            p = penstock("config", "check", *args, f.name)
            return p.returncode, p.stdout + p.stderr, f.name

    def test_good(self):
        code, text, _ = self.check("common: {log: {level: warn}}\nloader:\n  sensors: {udp: no}\nexporter: {listen: '127.0.0.1:9999'}\n")
        self.assertEqual(code, 0, text)

    def test_defaults_that_are_printed_are_good(self):
        p = penstock("config", "print")
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        for section in ("common", "loader", *lib.STAGES):
            self.assertEqual(len(re.findall(rf"^{section}:", p.stdout, re.M)), 1, f"{section} in\n{p.stdout}")
        code, text, _ = self.check(p.stdout)
        self.assertEqual(code, 0, text)

    def test_each_mistake_once_with_its_place(self):
        for text, wants in (
                ("loader:\n  sensors:\n    proces: no\n", [r'3:5: .*"proces".*did you mean "process"']),
                ("exporter:\n  listen: nowhere\n", [r"2:11: .*nowhere"]),
                ("colector: {}\n", [r'1:1: unknown section "colector", did you mean "collector"']),
                ("collector:\n  tick: soon\nenricher:\n  prcesses: 5\n", [r"2:9: .*soon", r'4:3: .*"prcesses"']),
                ("common:\n  log: {level: loud}\n", [r"2:16: .*loud"]),
                ("policyd:\n  syn: {except: ['80', http]}\n", [r'2:17: .*entry 2: .*"http"']),
                ("policyd:\n  syn: {ports: [80], except: [81]}\n", [r"2:30: .*not beside `ports`"]),
                ("common: [1, 2\n", [r"\d:\d+: "]), ("\tx: 1\n", [r"1:1: "]), ("loader: 5\n", [r"1:9: "])):
            with self.subTest(text=text):
                code, out, name = self.check(text)
                self.assertEqual(code, lib.EXIT_USAGE, out)
                for want in wants:
                    self.assertEqual(len(re.findall(rf"^{re.escape(name)}:{want}", out, re.M)), 1, out)
                self.assertEqual(len(re.findall(rf"^{re.escape(name)}:\d", out, re.M)), len(wants), out)

    def test_file_that_is_not_there(self):
        p = penstock("config", "check", "/nowhere/penstock.yaml")
        self.assertEqual(p.returncode, lib.EXIT_USAGE)
        self.assertEqual(p.stderr.count("/nowhere/penstock.yaml"), 1, p.stderr)


if __name__ == "__main__":
    unittest.main()
