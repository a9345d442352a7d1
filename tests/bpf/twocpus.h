/* SPDX-License-Identifier: Apache-2.0 */
/* The same work on two CPUs at a time. */
#ifndef TESTS_BPF_TWOCPUS_H
#define TESTS_BPF_TWOCPUS_H

#include <pthread.h>
#include <sched.h>

struct two_cpus_side {
	pthread_t thread;
	int cpu;
	void (*work)(int cpu);
};

static void *two_cpus_run(void *arg)
{
	const struct two_cpus_side *side = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)side->cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		fprintf(stderr, "# only one CPU\n");
	side->work(side->cpu);
	return NULL;
}

/* @work gets 0 and 1. */
static inline void two_cpus(void (*work)(int cpu))
{
	struct two_cpus_side sides[2] = {{.cpu = 0, .work = work}, {.cpu = 1, .work = work}};

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&sides[i].thread, NULL, two_cpus_run, &sides[i]), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(sides[i].thread, NULL), 0);
}

#endif
