/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's verdict of a frame, by a trial run of the program that is attached (proto/base/why.h). */
#ifndef PST_LOADER_WHY_H
#define PST_LOADER_WHY_H

#include "loader/loader.h"
#include "proto/base/why.h"

/*
 * Answers on the socket; only root gets a verdict: others could ask the tables for all that is in them. 0, or
 * -errno when the answer could not be sent.
 */
int why_answer(const struct loader *l, int sock, uid_t uid, const struct pst_why_request *request,
	uint32_t frame_bytes);

#endif
