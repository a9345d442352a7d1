#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Takes away what install.sh put there; what you wrote in /etc/penstock stays. compose/local/uninstall.sh DESTDIR PREFIX
set -euo pipefail
root=$1$2
rm -f "$root"/bin/penstock "$root"/bin/penstock-{loader,collector,enricher,policyd,exporter} \
	"$root"/share/man/man1/penstock.1 "$root"/share/man/man8/penstock-*.8 \
	"$root"/lib/systemd/system/penstock*.{service,target} "$root"/lib/sysusers.d/penstock.conf \
	"$root"/share/bash-completion/completions/penstock "$root"/share/zsh/site-functions/_penstock \
	"$root"/share/fish/vendor_completions.d/penstock.fish
rm -rf "$root/share/penstock" "$root/share/doc/penstock"
for dir in "$1/etc/penstock/rules.d" "$1/etc/penstock"; do
	if [[ -d $dir ]]; then rmdir --ignore-fail-on-non-empty "$dir"; fi
done
