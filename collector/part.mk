# SPDX-License-Identifier: Apache-2.0
# Reads rings and tables from descriptors; the loader's report with jansson.
collector_USES   := wire
collector_LDLIBS := -ljansson
