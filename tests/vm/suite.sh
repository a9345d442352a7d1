#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The same tests as on the host, in a VM with another kernel, in one boot. Prints TAP.
#   tests/vm/suite.sh CONFIG                 what `make test` runs: the tests of the kernel programs, and what tests/vm/chosen names
#   tests/vm/suite.sh CONFIG --all           all of them
#   tests/vm/suite.sh CONFIG --bpf [NAME]... the tests of the kernel programs, or those whose name has a NAME in it
#   tests/vm/suite.sh CONFIG --e2e [ARG]...  the end-to-end suite; ARGs go to tests/e2e/run.py
# CONFIG is a kernel (5.10, 6.1, ...), or KERNEL-nolsm: started without bpf among its security modules.
# Exit 77: the VM cannot be had here.
set -u
cd "$(dirname "$0")/../.." || exit 1
usage="usage: tests/vm/suite.sh KERNEL[-nolsm] [--all | --bpf [NAME]... | --e2e [ARG]...]"
config=${1:?$usage}
kernel=${config%-nolsm}
lsm=landlock,lockdown,yama
[[ "$config" == *-nolsm ]] || lsm+=,bpf
shift
case "${1-}" in
"" | --all | --bpf | --e2e) ;;
*)
	echo "$usage" >&2
	exit 100
	;;
esac

# What the tests read beside the programs that every guest has.
data=(--add proto/wire/schema.json --add proto/base/ckpt.h --add docs --add tests/fuzz/seeds.py --add compose/rules --add compose/local
	--add tests/vm/suite-guest.sh --add tests/vm/chosen)

out=$(mktemp)
done_list=$(mktemp)
printed=$(mktemp) # what attempts that failed said of what was done by then
child=""
# shellcheck disable=SC2317  # called by the trap
ended() {
	[[ -z "$child" ]] || kill "$child" 2>/dev/null
	wait
	cat "$printed" "$out"
	rm -f "$out" "$done_list" "$printed"
	exit 124
}
trap ended TERM INT

# A kernel that locks up ends, and says where; after two minutes, as a busy host holds an emulated CPU up for some seconds. What RCU says of
# a CPU that is stuck keeps the other watchdog quiet, so it ends the guest, too.
words="softlockup_panic=1 watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120 sysctl.kernel.panic_on_rcu_stall=1"
attempt() {
	tests/vm/run.sh --lsm "$lsm" --append "$words" --timeout "${PENSTOCK_VM_TIMEOUT:-3600}" --memory 2048 "${data[@]}" --add "$done_list:tests/vm/done" "$kernel" \
		-- /bin/bash /tests/vm/suite-guest.sh "$config" "$@" >"$out" 2>&1 &
	child=$!
	rc=0
	wait "$child" || rc=$?
	child=""
}

attempt "$@"
# What an emulated processor does, and no other, once in many runs. A CPU runs into the breakpoint by which the kernel changes its own
# code after it has been taken back ("int3", and the code at RIP is whole again); or both hang in the kernel. It tells nothing of the
# tests, so another try of what was not done by then, and the evidence stays in the log.
emulator_failed() {
	((rc == 125)) && grep -qE "Kernel panic - not syncing: (softlockup|RCU Stall)|int3: 0000 \[#1\]|vm: silent" "$out"
}
# What was done is kept, as it is; the rest of the output becomes comments.
keep_done() {
	grep -oP '^# \K(bpf|e2e)/\S+(?=: \d+ s$)' "$out" >>"$done_list"
	awk '{ held = held $0 "\n"; comment = comment "# " $0 "\n" }
		/^# (bpf|e2e)\/[^ ]*: [0-9]+ s$/ { printf "%s", held; held = comment = "" }
		END { printf "# the emulated processor failed. What the guest said, before another try of what was left:\n%s", comment }' "$out" >>"$printed"
}
for _ in 1 2; do
	emulator_failed || break
	keep_done
	attempt "$@"
done
! grep -q '^not ok' "$printed" || ((rc != 0)) || rc=1
cat "$printed" "$out"
rm -f "$out" "$done_list" "$printed"
exit "$rc"
