#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `make install` does: compose/local/install.sh DESTDIR PREFIX BUILD
set -euo pipefail
cd "$(dirname "$0")/../.."
dest=$1 prefix=$2 build=$3
root=$dest$prefix

install -d "$root/bin" "$root/share/penstock/rules" "$root/share/penstock/policies" "$root/share/man/man1" "$root/share/man/man8" \
	"$root/share/bash-completion/completions" "$root/share/zsh/site-functions" "$root/share/fish/vendor_completions.d" \
	"$root/share/doc/penstock/docs" "$root/lib/systemd/system" "$root/lib/sysusers.d" "$dest/etc/penstock/rules.d"
install -m 0755 "$build"/bin/penstock "$build"/bin/penstock-{loader,collector,enricher,policyd,exporter} "$root/bin/"
install -m 0644 compose/rules/*.yaml "$root/share/penstock/rules/"
install -m 0644 docs/policies/*.yaml "$root/share/penstock/policies/"
install -m 0644 proto/wire/schema.json docs/policy.schema.json "$root/share/penstock/"
install -m 0644 docs/man/*.1 "$root/share/man/man1/"
install -m 0644 docs/man/*.8 "$root/share/man/man8/"
# as in the tree, so that the links between the pages hold
install -m 0644 README.md CHANGES.md "$root/share/doc/penstock/"
cp -r docs/*.md docs/examples docs/design docs/man docs/policies "$root/share/doc/penstock/docs/"
for unit in compose/systemd/*.service compose/systemd/*.target; do
	sed "s|@PREFIX@|$prefix|" "$unit" >"$root/lib/systemd/system/$(basename "$unit")"
done
install -m 0644 compose/systemd/penstock.sysusers "$root/lib/sysusers.d/penstock.conf"
"$build/bin/penstock" completion bash >"$root/share/bash-completion/completions/penstock"
"$build/bin/penstock" completion zsh >"$root/share/zsh/site-functions/_penstock"
"$build/bin/penstock" completion fish >"$root/share/fish/vendor_completions.d/penstock.fish"
echo "installed into $root; make the users with compose/local/users.sh or systemd-sysusers"
