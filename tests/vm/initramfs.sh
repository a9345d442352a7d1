#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the initramfs of a test VM: Debian's Python, busybox, a few real tools, our binaries and the end-to-end suite.
#
#   tests/vm/initramfs.sh [--add PATH[:TO]]... KERNEL OUT [-- COMMAND [ARGUMENT...]]
#
# It is three archives one after the other, which the kernel unpacks in turn: the base (rebuilt when a Debian package
# changed), the modules of that kernel, and what changes with each run. Nothing is compressed: under TCG unpacking costs
# more than reading (README.md has the figures).
#
# Always there: build/bin as /usr/lib/penstock/bin, build/tests/bpf, build/tests/helpers and tests/e2e at their places
# under the guest's /. --add puts more there: PATH of the repository at its place, or any PATH as /TO.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

# Taken from the host, with their libraries; busybox fills the gaps. A test that looks at what was executed needs the
# same /usr/bin/true as on a host.
readonly programs=(
	/usr/bin/bash /usr/bin/dash /usr/bin/cat /usr/bin/cp /usr/bin/echo /usr/bin/env /usr/bin/false /usr/bin/getent /usr/bin/id
	/usr/bin/ls /usr/bin/mv /usr/bin/rm /usr/bin/sleep /usr/bin/stat /usr/bin/timeout /usr/bin/true
	/usr/bin/nsenter /usr/bin/setpriv /usr/bin/unshare
	/usr/sbin/ip /usr/sbin/tc /usr/sbin/bpftool
)
readonly modules=(veth 8021q bonding sch_ingress cls_bpf act_bpf overlay tun inet_diag tcp_diag udp_diag bridge nf_conntrack
	vxlan ipip ip_gre ip6_gre sit)
# Parts of Python's library that no test of a service needs.
readonly no_python=(config-* test idlelib tkinter turtledemo turtle.py lib2to3 pydoc_data distutils ensurepip venv
	lib-dynload/_tkinter* lib-dynload/_curses* lib-dynload/_test* lib-dynload/_dbm* lib-dynload/_gdbm*
	lib-dynload/_sqlite3* lib-dynload/readline* lib-dynload/_crypt* lib-dynload/_x*test* sqlite3 curses dbm)
readonly stages=(collector enricher policyd exporter)

# pack DIR OUT
pack() {
	(cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z | cpio -o -0 -H newc -R 0:0 --quiet) >"$2"
}

# canonical PATH: the path with symbolic links in its folder resolved, the name itself kept (a library's soname)
canonical() { printf '%s/%s\n' "$(readlink -f -- "${1%/*}")" "${1##*/}"; }

# put FILE TREE: copy under the same name, following a symbolic link
put() {
	local to
	to=$2$(canonical "$1")
	[[ -e "$to" ]] || { mkdir -p "${to%/*}" && cp -L --preserve=mode,timestamps -- "$1" "$to"; }
}

# put_libs TREE FILE...: the shared libraries that the files name
put_libs() {
	local tree=$1 lib found
	shift
	# A static program has none, and ldd says so with an exit code. A line without a tab before it names one of several files.
	found=$(ldd "$@" 2>/dev/null | grep $'^\t' || true)
	grep -F 'not found' <<<"$found" >&2 && die "$EXIT_SYSTEM" "one of $* needs a library that is not installed"
	while read -r lib; do
		put "$lib" "$tree"
	done < <(grep -o '/[^ ]*\.so[^ ]*' <<<"$found" | sort -u)
}

put_users() {
	local tree=$1 id=980 stage members=""
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' >"$tree/etc/passwd"
	printf 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n' >"$tree/etc/group"
	for stage in "${stages[@]}"; do
		id=$((id + 1))
		printf 'penstock-%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n' "$stage" "$id" "$id" >>"$tree/etc/passwd"
		printf 'penstock-%s:x:%d:\n' "$stage" "$id" >>"$tree/etc/group"
		members+="${members:+,}penstock-$stage"
	done
	printf 'penstock:x:980:%s\n' "$members" >>"$tree/etc/group"
	printf 'passwd: files\ngroup: files\nhosts: files\nservices: files\n' >"$tree/etc/nsswitch.conf"
	printf '127.0.0.1 localhost penstock-vm\n::1 localhost\n' >"$tree/etc/hosts"
	printf 'ID=penstock-vm\nPRETTY_NAME="Penstock test VM"\n' >"$tree/etc/os-release"
	[[ ! -e /etc/services ]] || cp -L /etc/services "$tree/etc/services"
	[[ ! -e /etc/protocols ]] || cp -L /etc/protocols "$tree/etc/protocols"
}

put_python() {
	local tree=$1 stdlib pyc plain dist=/usr/lib/python3/dist-packages
	stdlib=$(/usr/bin/python3 -I -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	[[ -d "$dist/msgpack" ]] || die "$EXIT_SKIP" "skip: python3-msgpack is not installed (tests/deps.sh installs it)"
	put "$(readlink -f /usr/bin/python3)" "$tree"
	ln -sf "$(basename -- "$(readlink -f /usr/bin/python3)")" "$tree/usr/bin/python3"
	mkdir -p "$tree$stdlib" "$tree$dist"
	tar -C "$stdlib" "${no_python[@]/#/--exclude=./}" -cf - . | tar -C "$tree$stdlib" -xf -
	cp -r "$dist/msgpack" "$tree$dist/"
	# Compiled modules alone halve the size; they then have to lie where the source would.
	while IFS= read -r -d '' pyc; do
		plain=${pyc%/__pycache__/*}/$(basename -- "${pyc%.cpython-*}")
		mv -- "$pyc" "$plain.pyc"
		rm -f -- "$plain.py"
	done < <(find "$tree$stdlib" "$tree$dist" -path '*/__pycache__/*.cpython-*.pyc' ! -name '*.opt-*' -print0)
	find "$tree$stdlib" "$tree$dist" -name __pycache__ -type d -exec rm -rf {} +
	mapfile -d '' -t extensions < <(find "$tree$stdlib" "$tree$dist" -name '*.so' -print0)
	put_libs "$tree" /usr/bin/python3 "${extensions[@]}"
	put "$(${CC:-gcc} -print-file-name=libgcc_s.so.1)" "$tree" # a thread that ends loads it
}

put_busybox() {
	local tree=$1 name
	put "$(command -v busybox)" "$tree"
	while read -r name; do
		[[ -e "$tree/usr/bin/$name" || -e "$tree/usr/sbin/$name" ]] || ln -s busybox "$tree/usr/bin/$name"
	done < <(busybox --list)
}

build_base() {
	local out=$1 tree=$work/base p
	mkdir -p "$tree"/{dev,proc,sys,tmp,run,root,etc,mnt,vm,var/lib,var/log,usr/bin,usr/sbin,usr/lib,usr/lib64,usr/local/bin}
	chmod 1777 "$tree/tmp"
	for p in bin sbin lib lib64; do
		ln -s "usr/$p" "$tree/$p"
	done
	ln -s /run "$tree/var/run"
	ln -s /proc/self/mounts "$tree/etc/mtab"
	put_users "$tree"
	for p in "${programs[@]}"; do
		[[ -x "$p" ]] || { say "note: no $p here, so none in the guest" && continue; }
		put "$p" "$tree"
		put_libs "$tree" "$p"
	done
	ln -s dash "$tree/usr/bin/sh"
	put_python "$tree"
	put_busybox "$tree"
	cp -- "$(dirname -- "$0")/init" "$tree/init"
	chmod 0755 "$tree/init"
	pack "$tree" "$out"
}

build_modules() {
	local version=$1 out=$2 tree=$work/modules release kind path module
	release=$(kernel_release "$version")
	mkdir -p "$tree/vm/ko"
	: >"$tree/vm/modules"
	for module in "${modules[@]}"; do
		# "builtin NAME" for what needs no module; a kernel without the thing at all leaves it to the tests to say so
		while read -r kind path _; do
			[[ "$kind" == insmod ]] || continue
			module=$(basename -- "$path")
			case "$path" in
			*.xz) module=${module%.xz} && xz -dc -- "$path" >"$tree/vm/ko/$module" ;;
			*.zst) module=${module%.zst} && zstd -qdc -- "$path" >"$tree/vm/ko/$module" ;;
			*) cp -- "$path" "$tree/vm/ko/$module" ;;
			esac
			grep -qxF "/vm/ko/$module" "$tree/vm/modules" || printf '/vm/ko/%s\n' "$module" >>"$tree/vm/modules"
		done < <(modprobe -d "$vmdir/$version" -S "$release" -C /dev/null --show-depends "$module" 2>/dev/null)
	done
	pack "$tree" "$out"
}

# quote WORD...: as one line of shell, in nothing but POSIX quoting
quote() {
	local w
	for w in "$@"; do
		printf " '%s'" "${w//\'/\'\\\'\'}"
	done
	printf '\n'
}

# put_folder PATH TREE TO: a file or folder, with the libraries of the programs in it
put_folder() {
	local from=$1 tree=$2 to=$3 f out magic elf=()
	while IFS= read -r -d '' f; do
		out=$tree/$to${f#"$from"}
		[[ -d "${out%/*}" ]] || mkdir -p "${out%/*}"
		read -r -N4 magic <"$f" || true
		if [[ "$magic" == $'\x7fELF' ]]; then
			elf+=("$f")
			# Without debug information, which is most of such a file and which nothing in the guest reads.
			strip -g -o "$out" -- "$f" 2>/dev/null || cp -L --preserve=mode -- "$f" "$out"
		else
			cp -L --preserve=mode,timestamps -- "$f" "$out"
		fi
	done < <(find -L "$from" -type f ! -name '*.pyc' ! -name '*.d' -print0)
	((${#elf[@]} == 0)) || put_libs "$tree" "${elf[@]}"
}

build_run() {
	local out=$1 tree=$work/run f
	shift
	mkdir -p "$tree/vm" "$tree/build"
	for f in tests/bpf tests/helpers; do
		[[ ! -d "$build/$f" ]] || put_folder "$build/$f" "$tree" "build/$f"
	done
	[[ ! -d "$build/bin" ]] || put_folder "$build/bin" "$tree" usr/lib/penstock/bin
	[[ ! -d "$root/tests/e2e" ]] || put_folder "$root/tests/e2e" "$tree" tests/e2e
	for f in "${added[@]}"; do
		put_folder "${f%%:*}" "$tree" "${f#*:}"
	done
	ln -s ../usr/lib/penstock/bin "$tree/build/bin"
	{
		printf 'export HOME=/root USER=root TERM=dumb LC_ALL=C.UTF-8 PENSTOCK_VM=1 PENSTOCK_BINDIR=/usr/lib/penstock/bin\n'
		printf 'export PATH=/usr/lib/penstock/bin:%s\n' /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		printf 'exec'
		quote "$@"
	} >"$tree/vm/command"
	printf '%s\n' "${VM_NONCE:-@vm}" >"$tree/vm/nonce"
	pack "$tree" "$out"
}

# add_path PATH[:TO]: remember it as "absolute path:place in the guest"
add_path() {
	local path=${1%%:*} to
	[[ "$path" == /* ]] || path=$root/$path
	[[ -e "$path" ]] || die "$EXIT_USAGE" "--add: there is no $path"
	if [[ "$1" == *:* ]]; then
		to=${1#*:}
	else
		[[ "$path" == "$root"/* ]] || die "$EXIT_USAGE" "--add $1: outside the repository, so it needs :TO"
		to=${path#"$root"/}
	fi
	to=${to#/}
	[[ -n "$to" && "/$to/" != */../* ]] || die "$EXIT_USAGE" "--add $1: not a place in the guest"
	added+=("$path:$to")
}

# stale ARCHIVE INPUT...: is it missing, or older than one of what it is made from?
stale() {
	local archive=$1 input
	shift
	[[ -s "$archive" ]] || return 0
	for input in "$@"; do
		[[ "$archive" -nt "$input" ]] || return 0
	done
	return 1
}

added=()
while (($# > 0)); do
	case "$1" in
	--add)
		(($# > 1)) || die "$EXIT_USAGE" "--add needs a path"
		add_path "$2"
		shift 2
		;;
	-*) die "$EXIT_USAGE" "unknown option '$1'" ;;
	*) break ;;
	esac
done
(($# >= 2)) || die "$EXIT_USAGE" "usage: tests/vm/initramfs.sh [--add PATH[:TO]]... KERNEL OUT [-- COMMAND...]"
version=$1 out=$2
shift 2
[[ "${1-}" == -- ]] && shift
(($# > 0)) || set -- /bin/true
check_version "$version"
[[ -s "$vmdir/$version/release" ]] || die "$EXIT_SKIP" "skip: no kernel $version (tests/vm/fetch.sh $version gets it)"
need busybox cpio modprobe flock xz tar find

work=$(mktemp -d "$vmdir/.initramfs.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Several may run at once: one builds the shared archives, the others wait for it.
here=$(dirname -- "$0")
exec {lock}>"$vmdir/.initramfs.lock"
flock "$lock"
if stale "$vmdir/base.cpio" "$0" "$here/init" /var/lib/dpkg/status; then
	build_base "$work/base.cpio"
	mv "$work/base.cpio" "$vmdir/base.cpio"
fi
if stale "$vmdir/$version/modules.cpio" "$0" "$vmdir/$version/release"; then
	build_modules "$version" "$work/modules.cpio"
	mv "$work/modules.cpio" "$vmdir/$version/modules.cpio"
fi
exec {lock}>&-

build_run "$work/run.cpio" "$@"
cat "$vmdir/base.cpio" "$vmdir/$version/modules.cpio" "$work/run.cpio" >"$out"
