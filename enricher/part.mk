# SPDX-License-Identifier: Apache-2.0
enricher_USES := wire
