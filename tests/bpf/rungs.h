/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test on both rungs of a sensor: @strong (fexit, fentry), which some kernels refuse, and sysexit. The file
 * has check_NAME(), a struct rung with a member @strong that is NULL where it is refused, the variables
 * @strong_rung and sysexit_rung, and `rung`, which is the one under test.
 */
#ifndef PST_TESTS_BPF_RUNGS_H
#define PST_TESTS_BPF_RUNGS_H

#include "tests/bpf/reclog.h"

#define ON_RUNGS(strong, name)                                                                               \
	static void test_##name##_##strong(void **state)                                                     \
	{                                                                                                    \
		rung = &strong##_rung;                                                                       \
		if (!rung->strong)                                                                           \
			skip_because("this kernel loads no " #strong " program");                            \
		check_##name(state);                                                                         \
	}                                                                                                    \
	static void test_##name##_sysexit(void **state)                                                      \
	{                                                                                                    \
		rung = &sysexit_rung;                                                                        \
		check_##name(state);                                                                         \
	}

#define RUNGS(strong, name) cmocka_unit_test(test_##name##_##strong), cmocka_unit_test(test_##name##_sysexit)

#endif
