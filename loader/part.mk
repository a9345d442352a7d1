# SPDX-License-Identifier: Apache-2.0
# The privileged one: no bus, no msgpack.
loader_LDLIBS := -lbpf -lelf -lz -ljansson
