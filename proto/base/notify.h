/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness: one newline on the descriptor named by $PENSTOCK_NOTIFY_FD (as s6), and READY=1 to
 * $NOTIFY_SOCKET (systemd). */
#ifndef PST_BASE_NOTIFY_H
#define PST_BASE_NOTIFY_H

/* Open what has a path (NOTIFY_SOCKET) before the sandbox; unsets the variables so that children do not
 * inherit them. 0 or -errno. */
int pst_notify_open(void);
/* Tell readiness once; later calls do nothing. */
void pst_notify_ready(void);
/* "STATUS=..." to systemd; nothing elsewhere. */
void pst_notify_status(const char *text);
/* READY=1 RELOADING=1 and the like are not used; STOPPING=1 at the end. */
void pst_notify_stopping(void);

#endif
