#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Links between the pages lead to a file that is there, and to a heading that it has. Usage: links.py PAGE..."""
import os
import re
import sys


def anchors(path):
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"^```.*?^```", "", f.read(), flags=re.S | re.M)
    seen = []
    for heading in re.findall(r"^#+ +(.*?) *$", text, re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        seen.append(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return {a if seen[:i].count(a) == 0 else f"{a}-{seen[:i].count(a)}" for i, a in enumerate(seen)}


def fault(page, link):
    path, _, anchor = link.partition("#")
    target = os.path.join(os.path.dirname(page), path) if path else page
    if not os.path.exists(target):
        return "is dead"
    return "leads to no heading" if anchor and target.endswith(".md") and anchor not in anchors(target) else None


bad = 0
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as page:
        for to in re.findall(r"\]\(([^)\s]+)\)", page.read()):
            what = None if re.match(r"https?:", to) else fault(name, to)
            if what:
                bad = 1
                print(f"{name}: link to {to} {what}")
sys.exit(bad)
