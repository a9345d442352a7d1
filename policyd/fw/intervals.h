/* SPDX-License-Identifier: Apache-2.0 */
/* What one rule takes of one dimension, as intervals of the dimension's keys. */
#ifndef PST_POLICYD_FW_INTERVALS_H
#define PST_POLICYD_FW_INTERVALS_H

#include "policyd/fw/fw.h"
#include "policyd/fw/tree.h"

struct fw_span {
	fw_key lo, hi;
};

struct fw_spans {
	struct fw_span *v;
	size_t n, size;
};

int fw_span_add(struct fw_spans *spans, fw_key lo, fw_key hi);
/* Sorts, and joins what overlaps or touches. */
void fw_spans_join(struct fw_spans *spans);
/* All keys up to @max but these, which were joined. 0 or -ENOMEM. */
int fw_spans_complement(struct fw_spans *spans, fw_key max);
/* The address's last @n bytes. */
fw_key fw_key_load(const uint8_t *addr, size_t n);

/* Strides of the keys behind this root; 0: there is no key, all packets are alike. */
unsigned fw_dim_strides(enum pst_fw_dim dim, unsigned root);
/* The highest key behind this root. */
fw_key fw_dim_max(enum pst_fw_dim dim, unsigned root);

enum fw_takes {
	FW_TAKES_NONE,
	FW_TAKES_SOME, /* those of the spans: sorted, apart from one another */
	FW_TAKES_ALL,
};

/* What @rule takes behind this root, or -ENOMEM. The spans are cleared first; their memory is the caller's.
 */
int fw_rule_takes(const struct fw_rule *rule, enum pst_fw_dim dim, unsigned root, struct fw_spans *spans);

#endif
