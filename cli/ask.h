/* SPDX-License-Identifier: Apache-2.0 */
/* Asking stages: one control request, and msgpack replies as JSON. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include <jansson.h>
#include <stdio.h>

#include "proto/wire/ctl.h"

#define ASK_TIMEOUT_MS    2000
#define CHANGE_TIMEOUT_MS 30000 /* tables of millions of entries are made meanwhile */

extern const char *const ask_stages[]; /* those with a control socket, NULL-terminated */

/* {op: @op}: the reply as JSON (owned), NULL with *ret_error -errno. Bytes that are no UTF-8 are escaped. */
json_t *ask_json(const char *run_dir, const char *stage, const char *op, int *ret_error);
/* The same for a request with more in it. */
json_t *ask_call(const char *run_dir, const char *stage, const struct pst_buf *request, int *ret_error);
/* Of policyd; a reply without the key @has is an error. NULL after a message of @program on stderr. */
json_t *ask_policyd(const char *program, const char *run_dir, const struct pst_buf *request, const char *has);
/* The rows of all calls of policyd's @op in one reply, under the key @rows. NULL after a message. */
json_t *ask_pages(const char *program, const char *run_dir, const char *op, const char *rows);
/*
 * A change, which policyd is given more time for; on a terminal it is said that it takes some. The exit code,
 * after messages of @program on stderr: EXIT_NOT_KEPT, in force but not saved.
 */
#define EXIT_NOT_KEPT 1
int ask_change(const char *program, const char *run_dir, const struct pst_buf *request);
/* The same in two steps: the reply (owned), NULL after a message; and the exit code. */
json_t *ask_changed(const char *program, const char *run_dir, const struct pst_buf *request);
int ask_say_not_kept(const char *program, const json_t *reply);
/* Of a reply about the guard: is what is written looked at by no program? Then it says so. */
void ask_say_idle(FILE *f, const json_t *reply);
json_t *ask_to_json(const msgpack_object *o);
/* Of a reply's row: "" and 0 where there is none. What is printed goes through cli_safe. */
const char *ask_text_at(const json_t *row, size_t i);
long long ask_number_at(const json_t *row, size_t i);
/* Rows as objects with these keys, for machines. */
json_t *ask_named(const json_t *rows, const char *const *names, size_t n);
/* Prints and drops it. The exit code. */
int ask_print_json(json_t *root);
const char *ask_error(int error); /* what it means for a person */

#endif
