# SPDX-License-Identifier: Apache-2.0
exporter_USES := wire
exporter_LDLIBS := -lmicrohttpd -ljansson
