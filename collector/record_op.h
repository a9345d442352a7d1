/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {op:"record", action:"start"|"renew"|"stop"|"remove", name:"record-1.rec"} -> {path, bytes, lost, full}:
 * raw records into a file of the run folder, for members of the group. Who asked says "renew" every few
 * seconds, copies the file after "stop" and has it removed; whoever is silent for 10 s gets it stopped and
 * removed.
 */
#ifndef COLLECTOR_RECORD_OP_H
#define COLLECTOR_RECORD_OP_H

#include "collector/source.h"

struct record_op;
/* Before the sandbox: the group is looked up here. @sink's recorder is ours while a recording runs. */
int record_op_open(struct pst_loop *loop, struct pst_bus *bus, const struct config *config, struct sink *sink,
	struct record_op **ret_op);
void record_op_free(struct record_op *op); /* NULL is fine; a recording that runs is removed */

#endif
