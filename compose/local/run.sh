#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make run` does: users, then all five processes in the foreground. compose/local/run.sh BINDIR [OPTION of penstock up]...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bindir=$(cd "$1" && pwd)
shift
if ((EUID != 0)); then
	echo "make run needs root, to load kernel programs: sudo make run" >&2
	exit 100
fi
"$here/users.sh"
exec "$bindir/penstock" up --bindir "$bindir" --rules "$here/../rules" "$@"
