#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command in a VM with another kernel, without KVM.
#
#   tests/vm/run.sh [--lsm LIST] [--timeout S] [--memory MIB] [--append WORDS] [--add PATH[:TO]]... KERNEL -- COMMAND...
#
#   KERNEL      5.10, 6.1, 6.12, ... (tests/vm/fetch.sh is asked for it when it is not there yet)
#   --lsm       security modules to start (default landlock,lockdown,yama,bpf); the list must hold bpf for LSM programs
#   --timeout   seconds for boot and command together (default 300)
#   --memory    of the guest, in MiB (default 1024)
#   --append    more words for the kernel's command line
#   --add       a file or folder to have in the guest too, as /TO; one of the repository needs no TO and keeps its place
#
# The guest always has the binaries of build/bin (another build folder: BUILD=), the tests' programs and tests/e2e.
# The command's standard output is passed through; its standard error arrives, together with the kernel's messages, on
# standard error. Exit: the command's exit code; 77 when the VM cannot be had here (the reason is printed), 100 usage,
# 124 timeout, 125 when the guest died without telling an exit code.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

readonly boot_timeout=90     # an idle machine takes 5 s, one shared with two more VMs 25 s
readonly silence_timeout=300 # init says that it is alive every 10 s
readonly off_timeout=60      # for powering off
lsm=landlock,lockdown,yama,bpf timeout=300 memory=1024 append="" add=() version=""

number() {
	[[ "$2" =~ ^[1-9][0-9]{0,6}$ ]] || die "$EXIT_USAGE" "$1 needs a number above zero, not '$2'"
}

while (($# > 0)); do
	case "$1" in
	--lsm | --timeout | --memory | --append | --add)
		(($# > 1)) || die "$EXIT_USAGE" "$1 needs a value"
		case "$1" in
		--lsm) lsm=$2 ;;
		--timeout) number "$1" "$2" && timeout=$2 ;;
		--memory) number "$1" "$2" && memory=$2 ;;
		--append) append=$2 ;;
		--add) add+=(--add "$2") ;;
		esac
		shift 2
		;;
	-h | --help)
		sed -n '4,19s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	--)
		shift
		break
		;;
	-*) die "$EXIT_USAGE" "unknown option '$1'" ;;
	*)
		[[ -z "$version" ]] || die "$EXIT_USAGE" "one kernel only, not also '$1' (the command comes after --)"
		version=$1
		shift
		;;
	esac
done
[[ -n "$version" && $# -gt 0 ]] || die "$EXIT_USAGE" "usage: tests/vm/run.sh [OPTION]... KERNEL -- COMMAND..."
check_version "$version"
need qemu-system-x86_64 mkfifo timeout setpriv

here=$(dirname -- "$0")
"$here/fetch.sh" "$version"

work=$(mktemp -d "$vmdir/.run.XXXXXX")
qemu=""
# shellcheck disable=SC2317  # called by the trap
finish() {
	[[ -z "$qemu" ]] || kill "$qemu" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The command cannot know the word that its exit code is reported with, so it cannot report one itself.
nonce=@vm-$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
VM_NONCE=$nonce "$here/initramfs.sh" "${add[@]}" "$version" "$work/initramfs" -- "$@"

watch_console() {
	local line
	while IFS= read -r line || [[ -n "$line" ]]; do
		line=${line%$'\r'}
		case "$line" in
		"$nonce up") : >"$work/up" ;;
		*"$nonce alive") # behind a line that the command left open
			touch "$work/up"
			[[ "$line" == "$nonce alive" ]] || printf '%s\n' "${line%"$nonce alive"}" >&2
			;;
		"$nonce exit "*) printf '%s\n' "${line##* }" >"$work/code" ;;
		*"reboot: Power down") ;;
		*) printf '%s\n' "$line" >&2 ;;
		esac
	done
}

# age FILE: seconds since it was written
age() { echo $(($(date +%s) - $(stat -c %Y "$1"))); }

# Ends a guest that does not come up, of which nothing is heard any more, or that does not power off.
watch_guest() {
	local waited
	for ((waited = 0; waited < boot_timeout; waited++)); do
		[[ ! -e "$work/up" ]] || break
		sleep 1
	done
	while [[ -e "$work/up" ]]; do
		if [[ -e "$work/code" ]]; then
			(($(age "$work/code") < off_timeout)) || break
		elif (($(age "$work/up") >= silence_timeout)); then
			: >"$work/silent"
			break
		fi
		sleep 1
	done
	[[ -e "$work/up" ]] || : >"$work/stuck"
	kill "$1" 2>/dev/null || true
}

# boot: one attempt; sets rc to qemu's exit code
boot() {
	local watcher guest_watcher
	# Held open here until qemu has ended: whichever side comes first finds the other, and the reader sees the end.
	rm -f "$work"/{console,up,stuck,silent,code}
	mkfifo "$work/console"
	exec {console}<>"$work/console"
	watch_console <"$work/console" {console}>&- &
	watcher=$!
	# One thread for all of its CPUs: with a thread for each, a CPU now and then runs into code that the kernel has changed since.
	# Emulated, "rep movsb" goes byte by byte, so the kernel is not told that it is fast (erms): a third less time for the verifier.
	# The output has a serial port of its own, so that no kernel message lands inside one of its lines. Left out
	# are the timer check, which fails on a busy host, and the self-tests of ciphers, one of which never ended once.
	setpriv --pdeathsig TERM timeout -k 5 "$timeout" qemu-system-x86_64 \
		-accel tcg,thread=single -cpu max,-erms -smp 2 -m "$memory" \
		-nodefaults -no-user-config -no-reboot -display none \
		-chardev "file,id=console,path=$work/console" -serial chardev:console \
		-chardev stdio,id=output,signal=off -serial chardev:output \
		-kernel "$vmdir/$version/vmlinuz" -initrd "$work/initramfs" \
		-append "console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests lsm=$lsm${append:+ $append}" </dev/null {console}>&- &
	qemu=$!
	watch_guest "$qemu" {console}>&- >/dev/null 2>&1 &
	guest_watcher=$!
	rc=0
	wait "$qemu" || rc=$?
	qemu=""
	exec {console}>&-
	kill "$guest_watcher" 2>/dev/null || true
	wait "$watcher" "$guest_watcher" 2>/dev/null || true
}

boot
# A guest that never came up has told nothing about the command, so it gets a second try; a command never does.
if [[ -e "$work/stuck" && ! -e "$work/up" ]]; then
	say "kernel $version: not up after $boot_timeout s, trying once more"
	boot
fi

if [[ -s "$work/code" ]]; then
	((rc == 0)) || say "the command ended, but the guest did not power off ($rc)"
	exit "$(<"$work/code")"
fi
if [[ -e "$work/stuck" && ! -e "$work/up" ]]; then
	die "$EXIT_LOST" "kernel $version: not up after $boot_timeout s, twice"
fi
if [[ -e "$work/silent" ]]; then
	die "$EXIT_LOST" "vm: silent: kernel $version: nothing heard of the guest for $silence_timeout s"
fi
if ((rc == 124 || rc == 137)); then
	die "$EXIT_TIMEOUT" "kernel $version: no result within $timeout s"
fi
die "$EXIT_LOST" "kernel $version: the guest ended without an exit code (qemu: $rc)"
