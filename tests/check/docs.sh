#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Links between the pages lead to files and headings; mandoc has nothing to warn about in the man pages.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0
git ls-files -z --cached --others --exclude-standard -- '*.md' | xargs -0 /usr/bin/python3 tests/check/links.py || bad=1
# A page's neighbours are not installed where it is checked.
mandoc -T lint -W warning docs/man/*.[18] | grep -v 'referenced manual not found' && bad=1
exit $bad
