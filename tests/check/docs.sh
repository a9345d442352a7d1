#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Links between the pages lead somewhere; mandoc has nothing to warn about in the man pages.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0
while IFS=: read -r page link; do
	target=$(dirname "$page")/${link%%#*}
	[[ $link == http* || $link == \#* || -e $target ]] || { echo "$page: link to $link is dead"; bad=1; }
done < <(git ls-files --cached --others --exclude-standard -- '*.md' | xargs grep -HoP '\]\(\K[^)]+(?=\))')
# A page's neighbours are not installed where it is checked.
mandoc -T lint -W warning docs/man/*.[18] | grep -v 'referenced manual not found' && bad=1
exit $bad
