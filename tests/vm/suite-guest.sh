#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs inside the VM, started by suite.sh with its arguments. Each program of the tests is run by itself: one that hangs
# takes no other with it.
set -u
cd / || exit 1
mkdir -p /tmp/suite
bad=0
mode=all
# What this is, for tests and tests/vm/chosen: the series of the kernel, -nolsm behind it when it was started without bpf among its
# security modules.
PENSTOCK_VM=$(uname -r | cut -d. -f1,2)
[[ "$1" != *-nolsm ]] || PENSTOCK_VM+=-nolsm
export PENSTOCK_VM
shift

# Done by a guest before this one, which did not live to the end?
is_done() {
	grep -qxF "$1" /tests/vm/done 2>/dev/null
}

# try NAME SECONDS COMMAND...
try() {
	local name=$1 limit=$2 rc=0 since=$SECONDS
	shift 2
	echo "# $name"
	timeout -k 10 "$limit" "$@" || rc=$?
	((rc == 0)) || bad=1
	if ((rc == 124 || rc == 137)); then
		echo "not ok - $name: not done after $limit s"
	elif ((rc > 100)); then
		echo "not ok - $name: ended with $rc"
	fi
	echo "# $name: $((SECONDS - since)) s"
}

# A kernel that was started otherwise than its name says would pass tests that it has not had.
is_as_named() {
	local has=no wanted=yes
	[[ ",$(</sys/kernel/security/lsm)," != *,bpf,* ]] || has=yes
	[[ "$PENSTOCK_VM" != *-nolsm ]] || wanted=no
	[[ "$has" != "$wanted" ]] || return 0
	echo "not ok - the guest is $PENSTOCK_VM: its security modules are $(</sys/kernel/security/lsm)"
	exit 1
}

# chosen NAME: does tests/vm/chosen have it, or a part of it, for this configuration?
chosen() {
	local name configs missing=1
	[[ "$1" == bpf/* && "$PENSTOCK_VM" != *-nolsm ]] && missing=0
	while read -r name configs _; do
		[[ "$name" == "$1" || "$name" == "$1".* ]] || continue
		[[ ",$configs," == *",$PENSTOCK_VM,"* ]] && return 0
		[[ ",$configs," == *,all,* && "$PENSTOCK_VM" != *-nolsm ]] && return 0
		missing=1
	done </tests/vm/chosen
	return "$missing"
}

# bpf WORD...: all when there is none
bpf() {
	local t name word
	for t in build/tests/bpf/test_*; do
		name=bpf/${t##*/}
		[[ -f "$t" && -x "$t" ]] || continue
		for word in "$@"; do
			[[ "$name" == *"$word"* ]] && break
		done
		(($# == 0)) || [[ "$name" == *"$word"* ]] || continue
		if [[ "$mode" == chosen ]] && ! chosen "$name"; then
			echo "# $name is left out here"
			continue
		fi
		! is_done "$name" || continue
		try "$name" 300 "$t"
	done
}

# e2e ARG...: all files, two at a time (they wait more than they work), the longest first
e2e() {
	local t name
	local -a names=() files
	mapfile -t files < <(ls -S tests/e2e/test_*.py)
	for t in "${files[@]}"; do
		name=e2e/$(basename "$t" .py)
		if [[ "$mode" == chosen ]] && ! chosen "$name"; then
			echo "# $name is left out here"
			continue
		fi
		! is_done "$name" || continue
		while (($(jobs -rp | wc -l) >= 2)); do
			wait -n
		done
		names+=("$name")
		{
			bad=0
			try "$name" 2400 /usr/bin/python3 /tests/e2e/run.py --again "$@" "/$t"
			echo "$bad" >"/tmp/suite/${name##*/}.bad"
		} >"/tmp/suite/${name##*/}" &
		print_ended
	done
	wait
	print_ended
	for name in "${names[@]}"; do
		[[ -e "/tmp/suite/${name##*/}.printed" ]] || { echo "not ok - $name: no result" && bad=1; }
	done
}

# What has ended and was not printed yet. The lines of two at once would not tell whose they are.
print_ended() {
	local name
	for name in "${names[@]}"; do
		name=/tmp/suite/${name##*/}
		[[ -s "$name.bad" && ! -e "$name.printed" ]] || continue
		cat "$name"
		[[ "$(<"$name.bad")" == 0 ]] || bad=1
		: >"$name.printed"
	done
}

# What the kernel itself complained of. That it was slow is not its fault.
kernel_log() {
	local text
	text=$(dmesg | grep -E 'WARNING: |BUG: |Oops|general protection' | grep -v 'soft lockup')
	if [[ -n "$text" ]]; then
		echo "not ok - the kernel's log has no complaint"
		dmesg | tail -n 100 | sed 's/^/#   /'
		bad=1
	else
		echo "ok - the kernel's log has no complaint"
	fi
}

is_as_named
case "${1-}" in
"")
	mode=chosen
	bpf
	e2e --only /tests/vm/chosen
	kernel_log
	;;
--all)
	bpf
	e2e
	kernel_log
	;;
--bpf)
	shift
	bpf "$@"
	kernel_log
	;;
--e2e)
	shift
	try e2e 3000 /usr/bin/python3 /tests/e2e/run.py --again "$@"
	kernel_log
	;;
esac
exit "$bad"
