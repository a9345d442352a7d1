#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the group `penstock` and one system user a stage, members of it. Doing it twice changes nothing.
#   compose/local/users.sh            make what is missing
#   compose/local/users.sh --remove   take them away again
set -euo pipefail

stages=(collector enricher policyd exporter)

if [[ "${1-}" == --remove ]]; then
	for stage in "${stages[@]}"; do
		if getent passwd "penstock-$stage" >/dev/null; then userdel "penstock-$stage"; fi
	done
	if getent group penstock >/dev/null; then groupdel penstock; fi
	exit 0
fi
getent group penstock >/dev/null || groupadd --system penstock
for stage in "${stages[@]}"; do
	if ! getent passwd "penstock-$stage" >/dev/null; then
		useradd --system --user-group --groups penstock --no-create-home --home-dir /nonexistent \
			--shell /usr/sbin/nologin --comment "Penstock $stage" "penstock-$stage"
	fi
done
