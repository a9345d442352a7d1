# SPDX-License-Identifier: Apache-2.0
policyd_USES := wire
