# SPDX-License-Identifier: Apache-2.0
cli_USES := wire
cli_LDLIBS := -ljansson
