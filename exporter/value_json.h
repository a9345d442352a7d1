/* SPDX-License-Identifier: Apache-2.0 */
/* A value of a control message as JSON. */
#ifndef EXPORTER_VALUE_JSON_H
#define EXPORTER_VALUE_JSON_H

#include <msgpack.h>

#include "proto/wire/mp.h"

/* Bytes are text. Keys that are not text are left out; what is nested deeper than 8, and what JSON does not
 * have, becomes null. */
void value_json(struct pst_buf *out, const msgpack_object *value);

#endif
