// SPDX-License-Identifier: Apache-2.0
/* Any bytes as policies of others: what is written is what the reader of policies takes, and what is not
 * written is told. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/foreign/foreign.h"

static void check(const struct foreign *f)
{
	struct pst_conf_errors errors = {0};
	struct policy_set set = {0};

	if (f->policies && policy_parse(&set, "import.yaml", f->yaml.v, f->yaml.n, &errors, NULL)) {
		fprintf(stderr, "%s\n%s", f->yaml.v, errors.text);
		abort();
	}
	if (set.n != f->policies || set.n_rules != f->rules || (!f->policies && f->yaml.n))
		abort();
	if ((f->left_out || f->notes) != (f->said.n > 0))
		abort();
	for (size_t i = 0; i < f->said.n; i++)
		if ((unsigned char)f->said.v[i] < 0x20 && f->said.v[i] != '\n')
			abort();
	policy_set_done(&set);
	pst_conf_errors_done(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct foreign f = {0};
	struct pst_conf_errors errors = {0};
	int e;

	if (!size)
		return 0;
	f.options = (struct foreign_options){data[0] & 1 ? "/kubepods.slice/**" : NULL, data[0] & 2};
	e = foreign_read(&f, "fuzz", data + 1, size - 1, &errors);
	if (!e != !errors.count)
		abort();
	if (!e)
		check(&f);
	foreign_done(&f);
	pst_conf_errors_done(&errors);
	return 0;
}
