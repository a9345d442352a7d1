/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies in force on real sockets: what comes of each act, what is told of it, and that both are what
 * policy_judge() says of the same act. Who acts is a child with an id of its own, which alone the policies
 *are for, in a network namespace and a control group that the test has made. A file for each rung, as an
 * emulated kernel takes its time for the programs; it says
 *
 *	#define HOOKS WITH_...
 *	#define OPS   operations whose programs are attached; all others happen unseen
 */
#ifndef PST_TESTS_BPF_POLICYNET_H
#define PST_TESTS_BPF_POLICYNET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>

#include "bpf/enforcenet.skel.h"
#include "policyd/policy/tables.h"
#include "proto/base/cleanup.h"
#include "tests/bpf/procs.h"
#include "tests/unit/policyd/policy_random.h"

#define HALF_BYTES ((size_t)PST_POL_LINES * sizeof(union pst_line))
#define WHO        54321 /* the id of who acts */
#define DENIED     EXDEV /* what no socket says by itself */
#define SETS       5
#define ACTS       40

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { WITH_LSM = 1, WITH_FENTRY = 2, WITH_GROUPS = 4, WITH_EXIT = 8 };
#define ALL_OPS UINT64_MAX

static struct enforcenet_bpf *skel;
static union pst_line *halves, *paths;
static struct pst_policy *page;
static struct reclog log_;
static bool sets_errno, kills; /* what programs of control groups can do */
static char self[256], group[320];

/* ---- acts ---- */

enum how {
	PLAIN,
	OLD_FAMILY, /* an IPv4 address to an IPv6 socket */
	NO_FAMILY,  /* AF_UNSPEC */
	SHORT,      /* an address that is cut */
	FASTOPEN,
	CONNECTED,  /* no address, as there is a connection */
	BY_32_BITS, /* as 32-bit callers listen, */
	BY_SOCKETCALL,
};

struct deed {
	enum pst_pol_op op;
	int family, type, protocol;
	const char *address; /* as the call has it */
	int port;
	enum how how;
	const char *goes_to; /* what is meant by it; NULL: the same */
	int seen;            /* at which hook; 0: at none */
};

/* The address of the call. Returns its length. */
static socklen_t address_of(const struct deed *d, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (void *)ret;
	struct sockaddr_in6 *in6 = (void *)ret;
	struct sockaddr_un *un = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (d->family == AF_UNIX) {
		un->sun_family = AF_UNIX;
		strcpy(un->sun_path, d->address);
		return sizeof(*un);
	}
	if (inet_pton(AF_INET, d->address, &in->sin_addr) == 1) {
		in->sin_family = d->how == NO_FAMILY ? AF_UNSPEC : AF_INET;
		in->sin_port = htons((uint16_t)d->port);
		return d->how == SHORT ? sizeof(*in) - 1 : sizeof(*in);
	}
	assert_int_equal(inet_pton(AF_INET6, d->address, &in6->sin6_addr), 1);
	in6->sin6_family = d->how == NO_FAMILY ? AF_UNSPEC : AF_INET6;
	in6->sin6_port = htons((uint16_t)d->port);
	return d->how == SHORT ? 23 : sizeof(*in6);
}

static void join(void)
{
	char path[352];
	int fd;

	if (!group[0])
		return;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(201);
	close(fd);
}

/* Somebody connects to it. */
static int visit(int family, const struct sockaddr *at, socklen_t bytes)
{
	return connect(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), at, bytes);
}

/* What has to be there before the act. Returns the socket. */
static int prepared(const struct deed *d)
{
	struct sockaddr_storage at;
	socklen_t bytes = address_of(d, &at);
	int fd = socket(d->family, d->type | SOCK_NONBLOCK | SOCK_CLOEXEC, d->protocol), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		_exit(202);
	if ((d->op == PST_OP_NET_LISTEN || d->op == PST_OP_NET_ACCEPT) && bind(fd, (void *)&at, bytes))
		_exit(203);
	if (d->how == CONNECTED && connect(fd, (void *)&at, bytes))
		_exit(206);
	if (d->op == PST_OP_NET_ACCEPT && (listen(fd, 1) || visit(d->family, (void *)&at, bytes)))
		_exit(204);
	return fd;
}

/* What the CPU puts into the registers of 32-bit callers is not preserved. */
static long call32(long nr, long a, long b)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b)
			 : "memory", "r8", "r9", "r10", "r11");
	errno = ret < 0 ? (int)-ret : 0;
	return ret;
}

static int listened(const struct deed *d, int fd)
{
	uint32_t *low;

	if (d->how == BY_32_BITS)
		return (int)call32(363, fd, 1);
	if (d->how != BY_SOCKETCALL)
		return listen(fd, 1);
	low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED)
		return -1;
	low[0] = (uint32_t)fd;
	low[1] = 1;
	return (int)call32(102, 4, (long)low);
}

static int acted(const struct deed *d, int fd)
{
	struct sockaddr_storage at;
	socklen_t bytes = address_of(d, &at);

	switch (d->op) {
	case PST_OP_NET_SOCKET:
		return socket(d->family, d->type, d->protocol);
	case PST_OP_NET_CONNECT:
		if (d->how == FASTOPEN)
			return (int)sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&at, bytes);
		return connect(fd, (void *)&at, bytes);
	case PST_OP_NET_SENDMSG:
		if (d->how == CONNECTED)
			return (int)send(fd, "x", 1, MSG_NOSIGNAL);
		return (int)sendto(fd, "x", 1, MSG_NOSIGNAL, (void *)&at, bytes);
	case PST_OP_NET_BIND:
		return bind(fd, (void *)&at, bytes);
	case PST_OP_NET_LISTEN:
		return listened(d, fd);
	default:
		return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	}
}

static void act(void *arg)
{
	const struct deed *d = arg;
	int fd = -1;

	alarm(60);
	join();
	if (d->op != PST_OP_NET_SOCKET)
		fd = prepared(d);
	if (setresgid(WHO, WHO, WHO) || setresuid(WHO, WHO, WHO))
		_exit(205);
	_exit(acted(d, fd) < 0 ? errno : 0);
}

/* ---- the programs ---- */

static unsigned kind_of(const struct bpf_program *p)
{
	const char *section = bpf_program__section_name(p);

	if (!strncmp(section, "lsm/", 4))
		return WITH_LSM;
	if (!strncmp(section, "fentry/", 7))
		return WITH_FENTRY;
	return strncmp(section, "cgroup/", 7) ? WITH_EXIT : WITH_GROUPS;
}

static bool is_wanted(const struct bpf_program *p)
{
	static const struct {
		const char *name;
		enum pst_pol_op op;
	} ops[] = {{"socket", PST_OP_NET_SOCKET}, {"connect", PST_OP_NET_CONNECT},
		{"sendmsg", PST_OP_NET_SENDMSG}, {"bind", PST_OP_NET_BIND}, {"listen", PST_OP_NET_LISTEN},
		{"accept", PST_OP_NET_ACCEPT}};

	if (!(HOOKS & kind_of(p)) || kind_of(p) == WITH_EXIT)
		return HOOKS & kind_of(p);
	for (size_t i = 0; i < PST_ARRAY_SIZE(ops); i++)
		if (strstr(bpf_program__name(p), ops[i].name))
			return OPS & PST_OP_BIT(ops[i].op);
	return false;
}

static struct bpf_link *links[16];
static size_t n_links;

static int attach(const struct bpf_program *p, int cgroup)
{
	struct bpf_link *l =
		kind_of(p) == WITH_GROUPS ? bpf_program__attach_cgroup(p, cgroup) : bpf_program__attach(p);

	if (!l)
		return -1;
	assert_true(n_links < PST_ARRAY_SIZE(links));
	links[n_links++] = l;
	return 0;
}

static int attach_all(void)
{
	struct bpf_program *p;
	int cgroup = HOOKS & WITH_GROUPS ? open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, e = 0;

	bpf_object__for_each_program(p, skel->obj) if (is_wanted(p)) e = e || attach(p, cgroup);
	if (cgroup >= 0)
		close(cgroup);
	return e;
}

static void *mapped(const struct bpf_map *map, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static int load(void)
{
	struct bpf_program *p;
	int e;

	skel = enforcenet_bpf__open();
	assert_non_null(skel);
	skel->rodata->cfg_groups_deny = HOOKS & WITH_GROUPS;
	bpf_object__for_each_program(p, skel->obj) bpf_program__set_autoload(p, is_wanted(p));
	e = -enforcenet_bpf__load(skel);
	if (!e && attach_all())
		e = errno;
	if (e)
		return e;
	halves = mapped(skel->maps.policy_lines, 2 * HALF_BYTES);
	paths = mapped(skel->maps.path_lines, 2 * HALF_BYTES);
	page = mapped(skel->maps.policy, sizeof(*page));
	reclog_open(&log_, bpf_map__fd(skel->maps.ring_process));
	return 0;
}

static void unload(void)
{
	while (n_links)
		bpf_link__destroy(links[--n_links]);
	if (page) {
		reclog_close(&log_);
		munmap(halves, 2 * HALF_BYTES);
		munmap(paths, 2 * HALF_BYTES);
		munmap(page, sizeof(*page));
	}
	page = NULL;
	enforcenet_bpf__destroy(skel);
	skel = NULL;
}

/* ---- policies ---- */

struct force {
	struct policy_set set;
	struct policy_tables *tables;
};

static void force_done(struct force *f)
{
	if (page)
		*(volatile uint64_t *)&page->generation = 0;
	policy_tables_free(f->tables);
	policy_set_done(&f->set);
}

static void enforce(struct force *f)
{
	static uint32_t generation;
	uint32_t half = ++generation & 1;
	const struct policy_room room = {halves + half * PST_POL_LINES, paths + half * PST_PATHS_LINES,
		PST_POL_LINES, PST_PATHS_LINES};
	const volatile uint64_t *key = (const void *)skel->rodata->cfg_path_key;
	struct pst_conf_errors errors = {0};

	if (policy_compile(&f->set, &room, generation, (uint64_t[]){key[0], key[1]}, &errors, &f->tables))
		fail_msg("%s", errors.text ? errors.text : "refused");
	*(volatile uint64_t *)&page->generation = generation;
}

static void policies(struct force *f, const char *text)
{
	struct pst_conf_errors errors = {0};

	memset(f, 0, sizeof(*f));
	if (policy_parse(&f->set, "p.yaml", text, strlen(text), &errors, NULL))
		fail_msg("%s", errors.text ? errors.text : "refused");
	enforce(f);
}

/* ---- what is to be ---- */

static bool is_ip(const struct deed *d)
{
	return d->family == AF_INET || d->family == AF_INET6;
}

static bool has_ports(int protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/* Do programs of control groups see such acts? */
static bool in_groups(const struct deed *d)
{
	if (!is_ip(d) || d->op == PST_OP_NET_LISTEN || d->op == PST_OP_NET_ACCEPT || d->how == SHORT)
		return false;
	return d->type != SOCK_RAW || d->op == PST_OP_NET_SOCKET;
}

/* At which hook the act is judged; 0: at none. Programs at functions leave to those of control groups what
 * these see, also what the kernel will not have. */
static int hook_of(const struct deed *d)
{
	bool left = HOOKS & WITH_GROUPS && d->how == SHORT;

	if (!(OPS & PST_OP_BIT(d->op)) || d->how == CONNECTED ||
		(d->how == NO_FAMILY && d->op == PST_OP_NET_CONNECT))
		return 0;
	if (HOOKS & WITH_LSM)
		return PST_HOOK_LSM;
	if (HOOKS & WITH_GROUPS && in_groups(d))
		return PST_HOOK_CGROUP;
	if (HOOKS & WITH_FENTRY && !left)
		return PST_HOOK_FENTRY;
	if (left || d->op == PST_OP_NET_SENDMSG || d->how == FASTOPEN)
		return 0;
	return HOOKS & WITH_EXIT ? PST_HOOK_TRACEPOINT : 0;
}

static int protocol_of(const struct deed *d)
{
	if (d->protocol == IPPROTO_MPTCP)
		return IPPROTO_TCP;
	if (d->protocol || d->type == SOCK_RAW)
		return d->protocol;
	return d->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
}

static void endpoint_of(const struct deed *d, struct policy_act *a)
{
	const char *text = d->goes_to ? d->goes_to : d->address;
	struct in_addr ip4;

	if (inet_pton(AF_INET, text, &ip4) == 1) {
		memcpy(a->address, (const uint8_t[12]){[10] = 0xff, [11] = 0xff}, 12);
		memcpy(a->address + 12, &ip4, 4);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, a->address), 1);
	}
	a->has_address = true;
	a->family = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)a->address) ? AF_INET : AF_INET6;
	if (has_ports(a->protocol) && d->type != SOCK_RAW)
		a->port = d->port;
}

static struct policy_act act_of(const struct deed *d)
{
	struct policy_act a = POLICY_ACT_INIT;

	a.op = d->op;
	a.uid = a.gid = WHO;
	a.executable = self;
	a.unknown = POLICY_UNKNOWN_CONTAINER | POLICY_UNKNOWN_GAINED;
	a.ns_host = 0xff & ~(1u << PST_NS_NET);
	a.family = d->family;
	if (is_ip(d))
		a.protocol = protocol_of(d);
	if (is_ip(d) && d->op != PST_OP_NET_SOCKET && d->how != SHORT)
		endpoint_of(d, &a);
	return a;
}

static const struct pst_rec_policy *told(pid_t pid)
{
	return reclog_nth(&log_, PST_REC_POLICY, (unsigned)pid, 0);
}

/* By the program itself: sys_exit kills for those of control groups where they cannot. */
static bool can_kill(int hook)
{
	return hook != PST_HOOK_CGROUP || kills;
}

static bool can_deny(int hook)
{
	return hook == PST_HOOK_LSM || hook == PST_HOOK_CGROUP;
}

static void check_record(const struct force *f, const struct policy_act *a, const struct policy_verdict *want,
	const struct pst_rec_policy *r)
{
	const struct policy_found found = {.rule = r->rule};
	struct policy_verdict got = policy_tables_verdict(f->tables, &found);
	int hook = r->hook;

	assert_string_equal(got.rule ? got.rule->name : "-", want->rule->name);
	assert_ptr_equal(got.policy, want->policy);
	assert_int_equal(r->op, a->op);
	assert_int_equal(r->action, want->action);
	assert_int_equal(r->would, want->would);
	assert_int_equal(r->told, PST_TOLD_ALL);
	assert_int_equal(r->task.uid, WHO);
	assert_int_equal(r->family, a->family);
	assert_int_equal(r->protocol, a->protocol < 0 ? 0 : a->protocol);
	assert_int_equal(r->port, a->port < 0 ? 0 : a->port);
	assert_memory_equal(r->addr, a->address, 16);
	if (want->action == PST_ACT_KILL)
		assert_int_equal(r->done, can_kill(hook) ? PST_DONE_KILLED : PST_DONE_DENIED);
	else if (want->action == PST_ACT_DENY)
		assert_int_equal(r->done, can_deny(hook) ? PST_DONE_DENIED : PST_DONE_TOLD);
	else
		assert_int_equal(r->done, PST_DONE_TOLD);
}

/* Errno of a denial. */
static int error_of(const struct policy_verdict *v, int hook)
{
	int error = v->action == PST_ACT_KILL || !v->rule->error ? EPERM : (int)v->rule->error;

	return hook == PST_HOOK_CGROUP && !sets_errno ? EPERM : error;
}

static void check_outcome(const struct policy_verdict *want, int hook, int status, const char *what)
{
	if (want->action == PST_ACT_KILL && (can_kill(hook) || HOOKS & WITH_EXIT)) {
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			fail_msg("%s: not killed: %#x", what, (unsigned)status);
		return;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 200)
		fail_msg("%s: status %#x", what, (unsigned)status);
	if (want->action >= PST_ACT_DENY && can_deny(hook)) {
		if (WEXITSTATUS(status) != error_of(want, hook))
			fail_msg("%s: %s, and not denied", what, strerror(WEXITSTATUS(status)));
	} else if (WEXITSTATUS(status) == DENIED || WEXITSTATUS(status) == EPERM) {
		fail_msg("%s: denied", what);
	}
}

static bool has_worked(int status)
{
	return WIFEXITED(status) && (!WEXITSTATUS(status) || WEXITSTATUS(status) == EINPROGRESS);
}

/* Does it, and holds what comes of it against what is to be. Returns the rule that took it, or "". */
static const char *done(const struct force *f, struct deed *d)
{
	struct policy_act a = act_of(d);
	struct policy_verdict want = {0};
	const struct pst_rec_policy *r;
	int status, hook = hook_of(d);
	char what[192];
	pid_t pid;

	reclog_clear(&log_);
	pid = run(act, d);
	status = reap(pid);
	if (hook == PST_HOOK_TRACEPOINT && !has_worked(status) && !WIFSIGNALED(status))
		hook = 0; /* it has not happened */
	if (hook)
		want = policy_judge(&f->set, &a);
	snprintf(what, sizeof(what), "op %d of family %d type %d protocol %d, %s port %d how %d: rule %s",
		d->op, d->family, d->type, d->protocol, d->address, d->port, d->how,
		want.rule ? want.rule->name : "-");
	check_outcome(&want, hook, status, what);
	r = told(pid);
	if (!r != (want.action <= PST_ACT_ALLOW))
		fail_msg("%s: %s", what, r ? "told" : "not told");
	if (reclog_nth(&log_, PST_REC_POLICY, (unsigned)pid, 1))
		fail_msg("%s: told twice", what);
	if (r) {
		check_record(f, &a, &want, r);
		assert_int_equal(r->hook, hook);
	}
	d->seen = hook;
	return want.rule ? want.rule->name : "";
}

/* ---- what is said ---- */

#define POLICY(name, spec)                                                                                   \
	"---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: " name "}\nspec:\n"                \
	"  scope: {uids: 54321}\n" spec

struct row {
	struct deed deed;
	const char *rule;
};

static void do_getpid32(void *arg)
{
	(void)arg;
	_exit(call32(20, 0, 0) != getpid());
}

/* Kernels without MPTCP have no such sockets, and some take no int 0x80. */
static bool is_there(const struct deed *d)
{
	int fd = socket(d->family, d->type | SOCK_CLOEXEC, d->protocol);

	close(fd);
	if (d->how == BY_32_BITS || d->how == BY_SOCKETCALL)
		return !reap(run(do_getpid32, NULL));
	return fd >= 0 || d->protocol != IPPROTO_MPTCP;
}

static void check_rows(const struct force *f, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct deed d = rows[i].deed;
		const char *by;

		if (!is_there(&d))
			continue;
		by = done(f, &d);
		if (strcmp(by, d.seen ? rows[i].rule : "") != 0)
			fail_msg("row %zu: '%s', and not '%s'", i, by, rows[i].rule);
	}
}

#define TCP4   AF_INET, SOCK_STREAM, 0
#define TCP6   AF_INET6, SOCK_STREAM, 0
#define UDP4   AF_INET, SOCK_DGRAM, 0
#define UDP6   AF_INET6, SOCK_DGRAM, 0
#define RAW4   AF_INET, SOCK_RAW, IPPROTO_TCP
#define MPTCP4 AF_INET, SOCK_STREAM, IPPROTO_MPTCP
#define UNIX   AF_UNIX, SOCK_STREAM, 0

static void check_connect(void)
{
	static const struct row rows[] = {
		{{PST_OP_NET_CONNECT, TCP4, "10.1.2.3", 2000, PLAIN, NULL, 0}, "tens"},
		{{PST_OP_NET_CONNECT, TCP4, "11.1.2.3", 2000, PLAIN, NULL, 0}, "ports"},
		{{PST_OP_NET_CONNECT, TCP4, "11.1.2.3", 2999, PLAIN, NULL, 0}, "ports"},
		{{PST_OP_NET_CONNECT, TCP4, "11.1.2.3", 3000, PLAIN, NULL, 0}, ""},
		{{PST_OP_NET_CONNECT, TCP4, "10.9.9.9", 2000, PLAIN, NULL, 0}, "exception"},
		{{PST_OP_NET_CONNECT, UDP4, "11.1.2.3", 2500, PLAIN, NULL, 0}, "udp"},
		{{PST_OP_NET_CONNECT, UDP4, "11.1.2.3", 3500, PLAIN, NULL, 0}, "udp"},
		{{PST_OP_NET_CONNECT, TCP6, "2001:db8::7", 3000, PLAIN, NULL, 0}, "docs"},
		{{PST_OP_NET_CONNECT, TCP6, "2001:db9::7", 3000, PLAIN, NULL, 0}, "six"},
		/* IPv4 in whatever form */
		{{PST_OP_NET_CONNECT, TCP6, "::ffff:10.1.2.3", 3000, PLAIN, NULL, 0}, "tens"},
		{{PST_OP_NET_CONNECT, UDP6, "::ffff:10.1.2.3", 3000, PLAIN, NULL, 0}, "tens"},
		{{PST_OP_NET_CONNECT, UDP6, "10.1.2.3", 3000, OLD_FAMILY, NULL, 0}, "tens"},
		/* no address is this machine */
		{{PST_OP_NET_CONNECT, TCP4, "0.0.0.0", 3000, PLAIN, "127.0.0.1", 0}, "here"},
		{{PST_OP_NET_CONNECT, TCP6, "::", 3000, PLAIN, "::1", 0}, "here"},
		{{PST_OP_NET_CONNECT, TCP6, "::ffff:0.0.0.0", 3000, PLAIN, "127.0.0.1", 0}, "here"},
		/* the end of a connection; what the kernel will not have */
		{{PST_OP_NET_CONNECT, UDP4, "10.1.2.3", 2000, NO_FAMILY, NULL, 0}, ""},
		{{PST_OP_NET_CONNECT, TCP4, "10.1.2.3", 2000, SHORT, NULL, 0}, ""},
		{{PST_OP_NET_CONNECT, TCP6, "2001:db8::7", 2000, SHORT, NULL, 0}, "six"},
		{{PST_OP_NET_CONNECT, TCP4, "10.1.2.3", 2000, FASTOPEN, NULL, 0}, "tens"},
		{{PST_OP_NET_CONNECT, TCP4, "11.1.2.3", 3000, FASTOPEN, NULL, 0}, ""},
		{{PST_OP_NET_CONNECT, MPTCP4, "10.1.2.3", 3000, PLAIN, NULL, 0}, "tens"},
		{{PST_OP_NET_CONNECT, UNIX, "/nowhere", 0, PLAIN, NULL, 0}, "unix"},
		/* raw sockets have no ports */
		{{PST_OP_NET_CONNECT, RAW4, "11.1.2.3", 2000, PLAIN, NULL, 0}, ""},
		/* not asked for */
		{{PST_OP_NET_SENDMSG, UDP4, "10.1.2.3", 2000, PLAIN, NULL, 0}, ""},
		{{PST_OP_NET_BIND, TCP4, "10.1.2.3", 2000, PLAIN, NULL, 0}, ""},
	};
	PST_CLEANUP(force_done) struct force f;

	policies(&f,
		POLICY("p",
			"  rules:\n"
			"    - {name: exception, operations: net.connect, addresses: 10.9.9.9, action: "
			"allow}\n"
			"    - {name: tens, operations: net.connect, addresses: 10.0.0.0/8, action: deny, "
			"errno: "
			"EXDEV}\n"
			"    - {name: here, operations: net.connect, addresses: [127.0.0.1, \"::1\"], "
			"action: "
			"kill}\n"
			"    - {name: docs, operations: net.connect, addresses: \"2001:db8::/32\", action: "
			"deny}\n"
			"    - {name: ports, operations: net.connect, ports: 2000-2999, protocols: {not: "
			"udp}, "
			"action: deny, errno: EXDEV}\n"
			"    - {name: udp, operations: net.connect, protocols: udp, families: inet, action: "
			"alert}\n"
			"    - {name: raw, operations: net.connect, protocols: tcp, addresses: 11.1.2.3, "
			"ports: 2000-2001, action: "
			"kill}\n"
			"    - {name: six, operations: net.connect, families: inet6, action: kill}\n"
			"    - {name: unix, operations: net.connect, families: unix, action: deny, errno: "
			"EXDEV}\n"));
	check_rows(&f, rows, PST_ARRAY_SIZE(rows));
}

static void check_sendmsg(void)
{
	static const struct row rows[] = {
		{{PST_OP_NET_SENDMSG, UDP4, "10.1.2.3", 53, PLAIN, NULL, 0}, "dns"},
		{{PST_OP_NET_SENDMSG, UDP4, "10.1.2.3", 54, PLAIN, NULL, 0}, "tens"},
		{{PST_OP_NET_SENDMSG, UDP4, "11.1.2.3", 54, PLAIN, NULL, 0}, ""},
		{{PST_OP_NET_SENDMSG, UDP6, "::ffff:10.1.2.3", 54, PLAIN, NULL, 0}, "tens"},
		{{PST_OP_NET_SENDMSG, UDP6, "10.1.2.3", 54, OLD_FAMILY, NULL, 0}, "tens"},
		{{PST_OP_NET_SENDMSG, UDP6, "2001:db8::1", 54, PLAIN, NULL, 0}, "docs"},
		{{PST_OP_NET_SENDMSG, UDP4, "0.0.0.0", 54, PLAIN, "127.0.0.1", 0}, "here"},
		{{PST_OP_NET_SENDMSG, UDP6, "::", 54, PLAIN, "::1", 0}, "here"},
		{{PST_OP_NET_SENDMSG, UDP4, "10.1.2.3", 54, NO_FAMILY, NULL, 0}, "tens"},
		{{PST_OP_NET_SENDMSG, UDP4, "10.1.2.3", 54, CONNECTED, NULL, 0}, ""},
		{{PST_OP_NET_SENDMSG, RAW4, "10.1.2.3", 0, PLAIN, NULL, 0}, "tens"},
		{{PST_OP_NET_CONNECT, UDP4, "10.1.2.3", 53, PLAIN, NULL, 0}, ""},
	};
	PST_CLEANUP(force_done) struct force f;

	policies(&f,
		POLICY("p",
			"  rules:\n"
			"    - {name: dns, operations: net.sendmsg, ports: 53, action: kill}\n"
			"    - {name: tens, operations: net.sendmsg, addresses: 10.0.0.0/8, action: deny, "
			"errno: EXDEV}\n"
			"    - {name: docs, operations: net.sendmsg, addresses: \"2001:db8::1\", action: "
			"deny, errno: EXDEV}\n"
			"    - {name: here, operations: net.sendmsg, addresses: [127.0.0.0/8, \"::1\"], "
			"action: audit}\n"));
	check_rows(&f, rows, PST_ARRAY_SIZE(rows));
}

static void check_own(void)
{
	static const struct row rows[] = {
		{{PST_OP_NET_BIND, TCP4, "127.0.0.5", 2000, PLAIN, NULL, 0}, "bind"},
		{{PST_OP_NET_BIND, TCP4, "127.0.0.5", 2001, PLAIN, NULL, 0}, ""},
		{{PST_OP_NET_BIND, TCP4, "0.0.0.0", 2000, PLAIN, NULL, 0}, "any"},
		{{PST_OP_NET_BIND, TCP6, "::", 2001, PLAIN, NULL, 0}, "any"},
		{{PST_OP_NET_BIND, UDP6, "::1", 2000, PLAIN, NULL, 0}, "bind"},
		{{PST_OP_NET_BIND, UDP6, "::ffff:127.0.0.5", 2000, PLAIN, NULL, 0}, "bind"},
		{{PST_OP_NET_BIND, TCP4, "0.0.0.0", 2000, NO_FAMILY, NULL, 0}, "any"},
		{{PST_OP_NET_BIND, UNIX, "/nowhere/x", 0, PLAIN, NULL, 0}, ""},
		{{PST_OP_NET_LISTEN, TCP4, "127.0.0.5", 2000, PLAIN, NULL, 0}, "listen"},
		{{PST_OP_NET_LISTEN, TCP4, "127.0.0.5", 2000, BY_32_BITS, NULL, 0}, "listen"},
		{{PST_OP_NET_LISTEN, TCP4, "127.0.0.5", 2000, BY_SOCKETCALL, NULL, 0}, "listen"},
		{{PST_OP_NET_LISTEN, TCP6, "::1", 2000, BY_SOCKETCALL, NULL, 0}, "listen six"},
		{{PST_OP_NET_LISTEN, TCP4, "127.0.0.6", 2000, PLAIN, NULL, 0}, ""},
		{{PST_OP_NET_LISTEN, TCP6, "::1", 2000, PLAIN, NULL, 0}, "listen six"},
		{{PST_OP_NET_LISTEN, TCP6, "::ffff:127.0.0.5", 2000, PLAIN, NULL, 0}, "listen"},
		{{PST_OP_NET_ACCEPT, TCP4, "127.0.0.5", 2000, PLAIN, NULL, 0}, "accept"},
		{{PST_OP_NET_ACCEPT, TCP4, "127.0.0.5", 2001, PLAIN, NULL, 0}, ""},
		{{PST_OP_NET_ACCEPT, TCP6, "::1", 2000, PLAIN, NULL, 0}, "accept"},
	};
	PST_CLEANUP(force_done) struct force f;

	policies(&f,
		POLICY("p",
			"  rules:\n"
			"    - {name: any, operations: net.bind, addresses: [0.0.0.0, \"::\"], action: deny, "
			"errno: EXDEV}\n"
			"    - {name: bind, operations: net.bind, ports: 2000, action: kill}\n"
			"    - {name: listen, operations: net.listen, addresses: 127.0.0.5, action: deny, "
			"errno: "
			"EXDEV}\n"
			"    - {name: listen six, operations: net.listen, families: inet6, action: kill}\n"
			"    - {name: accept, operations: net.accept, ports: 2000, protocols: tcp, action: "
			"deny, "
			"errno: EXDEV}\n"));
	check_rows(&f, rows, PST_ARRAY_SIZE(rows));
}

static void check_socket(void)
{
	static const struct row rows[] = {
		{{PST_OP_NET_SOCKET, TCP4, "0.0.0.0", 0, PLAIN, NULL, 0}, "tcp"},
		{{PST_OP_NET_SOCKET, UDP4, "0.0.0.0", 0, PLAIN, NULL, 0}, "udp"},
		{{PST_OP_NET_SOCKET, UDP6, "::", 0, PLAIN, NULL, 0}, "udp"},
		{{PST_OP_NET_SOCKET, TCP6, "::", 0, PLAIN, NULL, 0}, "six"},
		{{PST_OP_NET_SOCKET, UNIX, "/", 0, PLAIN, NULL, 0}, "unix"},
		/* NETLINK_XFRM is no TCP */
		{{PST_OP_NET_SOCKET, AF_NETLINK, SOCK_RAW, 6, "0.0.0.0", 0, PLAIN, NULL, 0}, "netlink"},
	};
	PST_CLEANUP(force_done) struct force f;

	policies(&f,
		POLICY("p",
			"  rules:\n"
			"    - {name: udp, operations: net.socket, protocols: udp, action: deny, errno: "
			"EXDEV}\n"
			"    - {name: six, operations: net.socket, protocols: tcp, families: inet6, action: "
			"kill}\n"
			"    - {name: tcp, operations: net.socket, protocols: tcp, action: allow}\n"
			"    - {name: unix, operations: net.socket, families: unix, action: audit}\n"
			"    - {name: netlink, operations: net.socket, families: 16, action: deny, errno: "
			"EXDEV}\n"));
	check_rows(&f, rows, PST_ARRAY_SIZE(rows));
}

/* Whatever a rule asks of the process is known here, too. */
static void check_subject(void)
{
	static const struct {
		const char *cond, *rule;
	} rows[] = {
		{"executables: %1$s", "r"},
		{"executables: {not: %1$s}", ""},
		{"executables: {prefix: /tmp/none}", ""},
		{"uids: 54321, gids: 54321", "r"},
		{"uids: {not: 54321}", ""},
		{"namespaces: {net: other}", "r"},
		{"namespaces: {net: host}", ""},
		{"holds: CAP_NET_RAW", ""},
	};

	for (size_t i = 0; i < PST_ARRAY_SIZE(rows); i++) {
		struct deed d = {PST_OP_NET_CONNECT, TCP4, "10.1.2.3", 2000, PLAIN, NULL, 0};
		PST_CLEANUP(force_done) struct force f;
		PST_CLEANUP(pst_freep) char *all = NULL;
		char cond[320];

		snprintf(cond, sizeof(cond), rows[i].cond, self);
		assert_true(asprintf(&all,
				    POLICY("p", "  rules: [{name: r, operations: net.connect, addresses: "
						"10.0.0.0/8, action: deny, errno: EXDEV, %s}]\n"),
				    cond) > 0);
		policies(&f, all);
		if (strcmp(done(&f, &d), rows[i].rule) != 0)
			fail_msg("%s: not '%s'", cond, rows[i].rule);
		assert_true(d.seen);
	}
}

/* ---- by chance ---- */

static const char *const addresses[] = {"10.1.2.3", "10.1.9.9", "127.0.0.1", "127.0.0.9", "192.168.7.7",
	"::1", "2001:db8::1", "2001:db8:5::1"};

static void random_element(FILE *f, enum policy_key key)
{
	static const char *const prefixes[] = {"10.0.0.0/8", "10.1.2.0/24", "127.0.0.1", "0.0.0.0/0",
		"\"::1\"", "\"2001:db8::/32\"", "\"2001:db8::1\"", "\"::/0\""};
	static const char *const protocols[] = {"tcp", "udp", "icmp", "17"};
	static const char *const families[] = {"inet", "inet6", "unix"};
	uint32_t n = policy_draw(4);

	switch (key) {
	case POLICY_ADDRESSES:
		fputs(prefixes[policy_draw(8)], f);
		return;
	case POLICY_PORTS:
		fprintf(f, "%u-%u", 2000 + n * 100, 2000 + n * 150);
		return;
	case POLICY_PROTOCOLS:
		fputs(protocols[n], f);
		return;
	case POLICY_FAMILIES:
		fputs(families[policy_draw(3)], f);
		return;
	case POLICY_EXECUTABLES:
		fputs(n < 3 ? self : "/bin/none", f);
		return;
	default:
		fprintf(f, "%u-%u", n * 20000, n * 20000 + 30000);
	}
}

static void random_rule(FILE *f, unsigned i)
{
	static const char *const actions[] = {"allow", "audit", "alert", "deny, errno: EXDEV", "kill"};
	static const char *const ops[] = {"net.connect", "net.bind", "net.sendmsg", "net.listen",
		"net.accept", "net.connect, net.sendmsg"};
	static const enum policy_key keys[] = {POLICY_ADDRESSES, POLICY_PORTS, POLICY_PROTOCOLS,
		POLICY_FAMILIES, POLICY_UIDS, POLICY_EXECUTABLES};

	fprintf(f, "    - {name: r%u, operations: [%s], action: %s", i, ops[policy_draw(6)],
		actions[policy_draw(5)]);
	for (size_t k = 0; k < PST_ARRAY_SIZE(keys); k++) {
		bool other = !policy_draw(3);

		if (policy_draw(3))
			continue;
		fprintf(f, ", %s: %s[", policy_rows[keys[k]].key, other ? "{not: " : "");
		random_element(f, keys[k]);
		fprintf(f, "]%s", other ? "}" : "");
	}
	fputs("}\n", f);
}

/* Those that are good by themselves. */
static void random_policies(struct policy_set *set, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		PST_CLEANUP(policy_set_done) struct policy_set tried = {0};
		PST_CLEANUP(pst_freep) char *yaml = NULL;
		struct pst_conf_errors errors = {0};
		size_t len = 0;
		FILE *f = open_memstream(&yaml, &len);

		fprintf(f,
			"---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p%u}\nspec:\n"
			"  scope: {uids: 54321}\n  mode: %s\n  rules:\n",
			i, policy_draw(4) ? "enforce" : "audit");
		for (unsigned r = 0, rules = 1 + policy_draw(5); r < rules; r++)
			random_rule(f, r);
		fclose(f);
		if (!policy_parse(&tried, "random.yaml", yaml, len, &errors, NULL))
			assert_int_equal(policy_parse(set, "random.yaml", yaml, len, &errors, NULL), 0);
		pst_conf_errors_done(&errors);
	}
}

static struct deed random_deed(void)
{
	static const enum pst_pol_op stream[] = {
		PST_OP_NET_CONNECT, PST_OP_NET_BIND, PST_OP_NET_LISTEN, PST_OP_NET_ACCEPT};
	static const enum pst_pol_op datagram[] = {PST_OP_NET_CONNECT, PST_OP_NET_BIND, PST_OP_NET_SENDMSG};
	bool tcp = policy_draw(2);
	struct deed d = {.op = tcp ? stream[policy_draw(4)] : datagram[policy_draw(3)],
		.type = tcp ? SOCK_STREAM : SOCK_DGRAM,
		.address = addresses[policy_draw(8)],
		.port = 2000 + (int)policy_draw(600)};
	bool here = d.op == PST_OP_NET_LISTEN || d.op == PST_OP_NET_ACCEPT;

	if (here)
		d.address = addresses[2 + 3 * policy_draw(2)];
	d.family = strchr(d.address, ':') ? AF_INET6 : AF_INET;
	return d;
}

static void check_random(void)
{
	unsigned taken = 0, none = 0;

	for (unsigned n = 0; n < SETS; n++) {
		PST_CLEANUP(force_done) struct force f = {0};

		random_policies(&f.set, n % 2 ? 40 : 3);
		enforce(&f);
		for (unsigned i = 0; i < ACTS; i++) {
			struct deed d = random_deed();

			if (*done(&f, &d))
				taken++;
			else
				none++;
		}
	}
	print_message("# %u acts taken, %u not\n", taken, none);
	assert_true(taken > 20 && none > 5);
}

/* ---- the rung ---- */

/* Are programs of this rung called at all? Kernels without the BPF LSM attach them and call none. */
static bool works(void)
{
	struct deed d = {PST_OP_NET_CONNECT, TCP4, "10.1.2.3", 2000, PLAIN, NULL, 0};
	PST_CLEANUP(force_done) struct force f;
	pid_t pid;

	policies(&f, POLICY("p", "  rules: [{name: r, operations: net.connect, action: audit}]\n"));
	reclog_clear(&log_);
	pid = run(act, &d);
	reap(pid);
	return told(pid);
}

/* Who may not load such programs, or attach them, is told so by the kernel; all else is the programs' fault.
 */
static bool is_refused(int error)
{
	return HOOKS & (WITH_LSM | WITH_FENTRY) && (error == EPERM || error == ENOTSUP || error == 524);
}

static void on_rung(void **state)
{
	int error;

	(void)state;
	if (HOOKS & WITH_GROUPS && !group[0])
		skip_because("no control group can be made");
	error = load();
	if (is_refused(error))
		skip_because("such programs cannot be attached");
	assert_int_equal(error, 0);
	if (!works() && HOOKS & WITH_LSM)
		skip_because("programs at LSM hooks are not called");
	check_connect();
	check_sendmsg();
	check_own();
	check_socket();
	check_subject();
	check_random();
}

/* ---- around them ---- */

/* What is sent anywhere comes back, and is not for anybody here: so it is on its way. */
static int network(void)
{
	return system("ip link set lo up && ip route add default dev lo && ip -6 route add default dev lo");
}

static int setup(void **state)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *mounted = cgroup2();
	struct utsname kernel;
	unsigned major, minor;

	(void)state;
	if (n < 0 || unshare(CLONE_NEWNET) || network() || uname(&kernel) ||
		sscanf(kernel.release, "%u.%u", &major, &minor) != 2)
		return -1;
	sets_errno = major > 6 || (major == 6 && minor >= 1);
	kills = major > 6 || (major == 6 && minor >= 16);
	if (mounted)
		snprintf(group, sizeof(group), "%s/pst-net-%d", mounted, getpid());
	if (mounted && mkdir(group, 0755))
		group[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unload();
	return group[0] ? rmdir(group) : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(on_rung)};

	return cmocka_run_group_tests(tests, setup, teardown);
}

#endif
