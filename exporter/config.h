/* SPDX-License-Identifier: Apache-2.0 */
/* The `exporter` section of the configuration. */
#ifndef EXPORTER_CONFIG_H
#define EXPORTER_CONFIG_H

#include <netinet/in.h>
#include <sys/un.h>

#include "proto/base/stage.h"

#define EXPORTER_LISTEN_MAX     8
#define EXPORTER_LISTEN_DEFAULT "127.0.0.1:9435"

enum output_fsync { OUTPUT_FSYNC_NONE, OUTPUT_FSYNC_ROTATE, OUTPUT_FSYNC_INTERVAL };

struct exporter_config {
	struct pst_strs listen;
	bool insecure_listen;
	struct pst_strs allowed_hosts;
	uint64_t max_connections;
	uint64_t timeout_ns;
	char *tls_cert, *tls_key;
	char *bearer_token_file;
	char *basic_user, *basic_password_file;
	uint64_t store_events, store_bytes;
	uint64_t stream_clients, stream_queue_bytes, stream_heartbeat_ns;
	char *output_path;
	uint64_t output_max_bytes, output_keep, output_sync_ns;
	struct pst_strs output_kinds;
	int output_fsync; /* enum output_fsync */
	uint64_t iterators_ns, status_ns;
	uint64_t max_series, max_label_bytes, max_flows, syscall_cgroups;
};

extern const struct pst_stage_desc exporter_desc;

void exporter_config_defaults(struct exporter_config *config);
void exporter_config_done(struct exporter_config *config);
bool exporter_config_has_auth(const struct exporter_config *config);

extern struct pst_arg_strs exporter_listen_args; /* --listen: instead of the configured ones */

/* An address to listen on. */
struct listen_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t len;
	bool local; /* loopback or a Unix socket: no one outside this host can connect */
};

/* "127.0.0.1:9435", "[::1]:9435", "localhost:9435", "unix:/path". 0; -EINVAL with what was expected in
 * @error. */
int listen_parse(const char *text, struct listen_addr *ret_addr, char *error, size_t size);

#endif
