#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Unpacks Debian cloud kernels into build/vm/<version>/ for the VM tests.
#
#   tests/vm/fetch.sh [--refresh] [VERSION...]     default: 5.10 6.1 6.12
#
# The machine's own apt configuration is only read. A private one (state, cache and sources of its own) is made from it
# by changing the suite's name, so the packages come from wherever this machine gets its Debian packages, and apt checks
# their signatures with Debian's keyring as always.
#
# Exit: 0 all there, 77 one could not be had (the reason is printed; a test reports it as skipped), 100 usage.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
readonly list_age_min=720 # package lists older than this are fetched again

refresh=0
versions=()
while (($# > 0)); do
	case "$1" in
	--refresh) refresh=1 ;;
	-h | --help)
		sed -n '4,12s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	-*) die "$EXIT_USAGE" "unknown option '$1'" ;;
	*)
		check_version "$1"
		versions+=("$1")
		;;
	esac
	shift
done
((${#versions[@]} > 0)) || versions=(5.10 6.1 6.12)

# Suites that carry a kernel series, best first. The security suites come first since they are the newest and their
# package lists the smallest.
suites_of() {
	case "$1" in
	5.10*) echo bullseye-security bullseye ;;
	6.1 | 6.1.*) echo bookworm-security bookworm ;;
	6.12*) echo bookworm-security bookworm-backports trixie-security trixie ;;
	*) echo trixie-backports sid ;;
	esac
}

# list_archives FILTER...: "URI|suite" of the machine's own sources
list_archives() {
	# shellcheck disable=SC2016  # apt's variables, not the shell's
	apt-get indextargets --format '$(REPO_URI)|$(RELEASE)' 'Created-By: Packages' 'Component: main' "$@" 2>/dev/null
}

# archive_uri SUITE: where this machine gets that kind of suite. Security suites live in an archive of their own.
archive_uri() {
	local uri release kind=plain
	[[ "$1" == *-security ]] && kind=security
	while IFS='|' read -r uri release; do
		case "$kind/$release" in
		security/*-security) ;;
		security/* | plain/*-security) continue ;;
		esac
		printf '%s\n' "$uri"
		return 0
	done < <(
		list_archives 'Origin: Debian'
		list_archives # without fetched lists apt does not know any origin; the keyring catches a wrong guess
	)
	return 1
}

# Sets apt_opts to a configuration that shares nothing writable with the machine's own.
apt_private() {
	local dir=$vmdir/apt/$1
	mkdir -p "$dir"/{lists/partial,archives/partial,empty,log}
	: >"$dir/status"
	apt_opts=(
		-o "Dir::State=$dir" -o "Dir::State::lists=$dir/lists" -o "Dir::State::status=$dir/status"
		-o "Dir::Cache=$dir" -o "Dir::Cache::archives=$dir/archives" -o "Dir::Log=$dir/log"
		-o "Dir::Etc::sourcelist=$dir/private.sources" -o "Dir::Etc::sourceparts=$dir/empty"
		-o "Dir::Etc::preferences=/dev/null" -o "Dir::Etc::preferencesparts=$dir/empty"
		-o "APT::Architecture=amd64" -o "APT::Architectures=amd64" -o "APT::Sandbox::User="
		-o "Acquire::Languages=none" -o "Acquire::Retries=2"
		-o "Acquire::Check-Valid-Until=false" # a suite past its support is not signed anew
	)
}

# suite_open SUITE: package lists at hand, or a reason in $reason
suite_open() {
	local suite=$1 dir=$vmdir/apt/$1 uri
	apt_private "$suite"
	if ! uri=$(archive_uri "$suite"); then
		reason="this machine's apt sources name no Debian archive for it"
		return 1
	fi
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$uri" "$suite" >"$dir/private.sources"
	[[ -e "$keyring" ]] && printf 'Signed-By: %s\n' "$keyring" >>"$dir/private.sources"
	((refresh == 0)) && [[ -n "$(find "$dir/updated" -mmin "-$list_age_min" 2>/dev/null)" ]] && return 0
	if ! apt-get "${apt_opts[@]}" -q update >"$dir/log/update" 2>&1; then
		reason=$(grep -m1 '^E:' "$dir/log/update" || echo "apt-get update failed, see $dir/log/update")
		return 1
	fi
	touch "$dir/updated"
}

# newest_image VERSION: the newest real cloud image of that series in the opened suite
newest_image() {
	local v=${1//./\\.}
	apt-cache "${apt_opts[@]}" search --names-only "^linux-image-${v}[.+][^ ]*-cloud-amd64\$" |
		cut -d' ' -f1 | sort -V | tail -n1
}

# packages_of IMAGE: from 7.x on the image and the modules are in packages of their own
packages_of() {
	local p part=${1#linux-image-}
	for p in "$1" "linux-binary-$part" "linux-modules-$part"; do
		[[ -n "$(apt-cache "${apt_opts[@]}" search --names-only "^${p//[.+]/.}\$")" ]] && printf '%s\n' "$p"
	done
	return 0
}

# unpack IMAGE DIR: download and unpack into DIR
unpack() {
	local image=$1 dir=$2 deb release modules image_file
	local -a packages
	mapfile -t packages < <(packages_of "$image")
	mkdir -p "$dir/debs" "$dir/tree"
	if ! (cd "$dir/debs" && apt-get "${apt_opts[@]}" -q download "${packages[@]}") >"$dir/log" 2>&1; then
		reason=$(grep -m1 '^E:' "$dir/log" || echo "apt-get download ${packages[*]} failed")
		return 1
	fi
	for deb in "$dir"/debs/*.deb; do
		if ! dpkg -x "$deb" "$dir/tree" 2>>"$dir/log"; then
			reason="${deb##*/} cannot be unpacked: $(tail -n1 "$dir/log")"
			return 1
		fi
	done
	release=${image#linux-image-}
	for modules in "$dir/tree"/{usr/lib,lib}/modules/"$release"; do
		[[ -d "$modules" ]] && break
	done
	for image_file in "$dir/tree/boot/vmlinuz-$release" "$modules/vmlinuz"; do
		[[ -s "$image_file" ]] && break
	done
	if [[ ! -s "$image_file" || ! -d "$modules" ]]; then
		reason="$image holds no image or no modules"
		return 1
	fi
	# Only these two are kept; modprobe and depmod look under <base>/lib/modules.
	reason="$image cannot be put into place"
	mkdir -p "$dir/out/lib/modules" &&
		mv "$image_file" "$dir/out/vmlinuz" &&
		mv "$modules" "$dir/out/lib/modules/" &&
		depmod -b "$dir/out" "$release" &&
		printf '%s\n' "$release" >"$dir/out/release"
}

# fetch VERSION
fetch() {
	local version=$1 suite image reasons=""
	if ((refresh == 0)) && [[ -s "$vmdir/$version/release" ]]; then
		return 0
	fi
	for suite in $(suites_of "$version"); do
		reason=""
		if suite_open "$suite"; then
			image=$(newest_image "$version")
			if [[ -n "$image" ]]; then
				tmp=$(mktemp -d "$vmdir/.fetch.XXXXXX")
				say "$version: $image from $suite"
				if unpack "$image" "$tmp"; then
					rm -rf "${vmdir:?}/$version"
					mv "$tmp/out" "$vmdir/$version"
					rm -rf "${tmp:?}"
					return 0
				fi
				rm -rf "${tmp:?}"
			else
				reason="no linux-image-$version*-cloud-amd64 in it"
			fi
		fi
		reasons+="${reasons:+; }$suite: $reason"
	done
	say "skip: kernel $version cannot be had ($reasons)"
	return "$EXIT_SKIP"
}

need apt-get apt-cache dpkg depmod flock
mkdir -p "$vmdir"
tmp=""
trap '[[ -z "$tmp" ]] || rm -rf "$tmp"' EXIT
exec {lock}>"$vmdir/.fetch.lock"
flock "$lock"

rc=0
for version in "${versions[@]}"; do
	fetch "$version" || rc=$?
done
exit "$rc"
