#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every struct that kernel programs and user space share has the same layout in both builds: both are compiled with debug
# information and the members' offsets and sizes compared.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

structs=$(grep -hoE '^struct pst_[a-z_]+ \{' proto/abi/*.h | sed -E 's/struct (.*) \{/\1/' | sort -u)
{
	echo '#include "proto/abi/maps.h"'
	echo '#include "proto/abi/guard.h"'
	echo '#include "proto/abi/ct.h"'
	echo '#include "proto/abi/policy.h"'
	echo '#include "proto/abi/facts.h"'
	for s in $structs; do echo "struct $s *use_$s;"; done
} >"$tmp/user.c"
{
	echo '#define __bpf__ 1'
	echo '#include "bpf/vmlinux.h"'
	echo '#include "proto/abi/maps.h"'
	echo '#include "proto/abi/guard.h"'
	echo '#include "proto/abi/ct.h"'
	echo '#include "proto/abi/policy.h"'
	echo '#include "proto/abi/facts.h"'
	for s in $structs; do echo "struct $s *use_$s;"; done
} >"$tmp/bpf.c"
gcc -std=gnu11 -g -I. -c "$tmp/user.c" -o "$tmp/user.o"
clang-14 -g -O2 -target bpf -I. -c "$tmp/bpf.c" -o "$tmp/bpf.o"
cat >"$tmp/layout.py" <<'PY'
import re, subprocess, sys
def layout(path, tool):
    out = subprocess.run([tool, "--debug-info", path], capture_output=True, text=True, check=True).stdout
    structs, name, member = {}, None, None
    for line in out.splitlines():
        m = re.search(r"DW_TAG_(\w+)", line)
        if m:
            kind = m.group(1)
            if kind == "structure_type":
                name, member = None, "head"
            elif kind == "member":
                member = {}
            else:
                member = None
            continue
        m = re.search(r"DW_AT_(name|byte_size|data_member_location)\s+\(\"?([^\")]+)\"?\)", line)
        if not m:
            continue
        key, value = m.groups()
        if member == "head":
            if key == "name":
                name = value
                structs[name] = {}
            elif key == "byte_size" and name:
                structs[name]["size"] = int(value, 0)
        elif isinstance(member, dict) and name:
            member[key] = value
            if "name" in member and "data_member_location" in member:
                structs[name][member["name"]] = int(member["data_member_location"], 0)
    return structs
a, b = layout(sys.argv[1], "llvm-dwarfdump-14"), layout(sys.argv[2], "llvm-dwarfdump-14")
bad = 0
for s in sys.argv[3].split():
    if s not in a or s not in b or a[s] != b[s] or len(a[s]) < 2:
        print(f"struct {s}: user space {a.get(s)} kernel {b.get(s)}")
        bad = 1
print(len(sys.argv[3].split()), "structs compared")
sys.exit(bad)
PY
/usr/bin/python3 "$tmp/layout.py" "$tmp/user.o" "$tmp/bpf.o" "$structs"
