// SPDX-License-Identifier: Apache-2.0
/* `penstock why`: what the guard would do to a packet, and by what. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/report.h"
#include "cli/why.h"
#include "proto/base/cleanup.h"

#define TIMEOUT_MS 5000

static struct {
	const char *run_dir, *dev;
	struct why_words words;
	uint64_t most;
	bool json;
} opt = {.most = UINT64_MAX};

const struct pst_arg why_options[] = {
	{"dev", 'i', PST_ARG_STR, &opt.dev, "IF", "guarded interface by which it comes in"},
	{"flags", 'f', PST_ARG_STR, &opt.words.flags, "FLAGS", "tcp: as syn,ack or none; default: syn"},
	{"seq", 0, PST_ARG_STR, &opt.words.seq, "N", "tcp: sequence number"},
	{"ack", 0, PST_ARG_STR, &opt.words.ack, "N", "tcp: what it acknowledges"},
	{"icmp", 0, PST_ARG_STR, &opt.words.icmp, "TYPE", "type or type/code; default: echo request"},
	{"vlan", 0, PST_ARG_STR, &opt.words.vlan, "ID", "tag"},
	{"dscp", 0, PST_ARG_STR, &opt.words.dscp, "N", "traffic class, 0 to 63"},
	{"len", 0, PST_ARG_STR, &opt.words.len, "N", "bytes of the frame; default: headers only"},
	{"count", 'n', PST_ARG_U64, &opt.most, "N", "no more packets of a capture than this"},
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "a JSON object a packet, each on its line"},
	{"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR", "folder of the sockets"},
	{0},
};

static const char *explain(int error)
{
	switch (-error) {
	case ENODEV:
		return "no such interface";
	case ENOTCONN:
		return "the guard is not on it; penstock status says why";
	case ENOENT:
	case ECONNREFUSED:
		return "no loader serves: this needs penstock-loader serve";
	case EPERM:
	case EACCES:
		return "only root may ask";
	case EPROTO:
		return "the loader is of another version";
	case EAGAIN:
		return "real packets came in between each time, try again";
	case EINVAL:
		return "the kernel runs no program on such a frame";
	case ETIMEDOUT:
		return "the loader does not answer";
	default:
		return strerror(-error);
	}
}

/* Asks and shows; @n: of a capture, else 0. 0 or -errno after a message. */
static int ask(const struct why_frame *frame, unsigned n)
{
	const char *run_dir = cli_run_dir(opt.run_dir);
	PST_FREE char *path = NULL;
	struct pst_why_reply reply;
	json_t *answer;
	int r;

	if (asprintf(&path, "%s/loader.fds", run_dir) < 0)
		return -ENOMEM;
	r = pst_why_ask(path, TIMEOUT_MS, opt.dev, frame->bytes, frame->len, &reply);
	if (r) {
		if (n)
			fprintf(stderr, "penstock why: packet %u: %s: %s\n", n, cli_safe(opt.dev),
				explain(r));
		else
			fprintf(stderr, "penstock why: %s: %s\n", cli_safe(opt.dev), explain(r));
		return r;
	}
	answer = why_json(run_dir, opt.dev, frame, &reply);
	if (n)
		json_object_set_new(answer, "packet", json_integer(n));
	if (opt.json) {
		json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		putchar('\n');
	} else {
		if (n > 1)
			putchar('\n');
		why_print(answer, cli_colour(stdout));
	}
	json_decref(answer);
	return 0;
}

static int ask_words(char **words)
{
	char error[WHY_ERROR_MAX];
	struct why_frame frame;

	opt.words.proto = words[0];
	opt.words.src = words[1];
	opt.words.dst = words[2];
	if (why_frame(&opt.words, &frame, error)) {
		fprintf(stderr, "penstock why: %s\n", cli_message(error));
		return PST_EXIT_USAGE;
	}
	return ask(&frame, 0) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}

/* A frame that cannot be asked about is told, and the rest is asked. */
static int ask_file(FILE *file, const char *name)
{
	char error[WHY_ERROR_MAX];
	struct why_frame frame;
	struct why_pcap pcap;
	int result = PST_EXIT_OK, r = why_pcap_open(file, &pcap, error);

	while (!r && pcap.n < opt.most) {
		r = why_pcap_next(&pcap, &frame, error);
		if (!r)
			return result;
		if (r == 1) {
			r = ask(&frame, pcap.n);
			if (r && r != -EINVAL && r != -EAGAIN)
				return PST_EXIT_SYSTEM;
			result = r ? PST_EXIT_SYSTEM : result;
			r = 0;
		} else if (r == -EMSGSIZE) {
			fprintf(stderr, "penstock why: %s: %s\n", cli_safe(name), error);
			result = PST_EXIT_SYSTEM;
			r = 0;
		}
	}
	if (r)
		fprintf(stderr, "penstock why: %s: %s\n", cli_safe(name), error);
	return r ? PST_EXIT_SYSTEM : result;
}

static int ask_capture(const char *name)
{
	FILE *file = fopen(name, "re");
	int r;

	if (!file) {
		fprintf(stderr, "penstock why: %s: %s\n", cli_safe(name), strerror(errno));
		return PST_EXIT_SYSTEM;
	}
	r = ask_file(file, name);
	fclose(file);
	return r;
}

static bool for_words_only(void)
{
	const struct why_words *w = &opt.words;

	return w->flags || w->seq || w->ack || w->icmp || w->vlan || w->dscp || w->len;
}

static int usage(const struct pst_args *args, const char *what)
{
	fprintf(stderr, "%s: %s\nTry '%s --help'.\n", args->program, what, args->program);
	return PST_EXIT_USAGE;
}

int why_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock why",
		.summary = "What the guard would do to a packet, step by step, by a trial run of the program "
			   "that is attached: nothing is counted or changed. Only for root.",
		.positional = "{PROTO SRC[:PORT] DST[:PORT] | PCAP}",
		.options = why_options,
		.examples = "  penstock why tcp 192.0.2.7:4000 198.51.100.2:443 --dev eth0\n"
			    "  penstock why udp [2001:db8::7]:53 [2001:db8::1]:4000 --len 1400 --dev eth0\n"
			    "  penstock why icmp 192.0.2.7 198.51.100.2 --icmp 3/1 --dev eth0 --json\n"
			    "  penstock why file.pcap --dev eth0 --count 10\n"};
	int n = pst_args_parse(&args, argc, argv), r;

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (n != 1 && n != 3)
		return usage(&args, "expected PROTO SRC DST or the name of a capture");
	if (!opt.dev)
		return usage(&args, "expected --dev, the interface by which the packet comes in");
	if (n == 1 && for_words_only())
		return usage(
			&args, "a capture's packets are taken as they are: --dev, --count and --json only");
	r = n == 3 ? ask_words(argv + 1) : ask_capture(argv[1]);
	return r || !fflush(stdout) ? r : PST_EXIT_SYSTEM;
}
