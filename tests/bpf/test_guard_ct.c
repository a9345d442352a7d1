// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's tracking of connections: sequences of segments from both sides, what each is to the rules; ICMP
 * errors; floods; tables that are full; two CPUs at once; and random packets beside a plain model. Time does
 * not pass, entries are made older.
 */
#include "tests/bpf/ctrun.h"
#include "tests/bpf/ct_model.h"
#include "tests/bpf/twocpus.h"

#include <time.h>

enum { IN, OUT, AGE, END };

#define SOME_BUCKETS 128

#define NEW PST_CT_NEW
#define EST PST_CT_ESTABLISHED
#define INV PST_CT_INVALID
#define REL PST_CT_RELATED

/* ---- sequences ---- */

struct step {
	int what; /* IN, OUT, AGE: @seq seconds */
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t bytes;
	int state; /* of IN */
};

struct sequence {
	const char *name;
	struct step steps[14];
};

/* clang-format off */
#define OPEN_IN {IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0}, {IN, ACK, 101, 501, 0, EST}
#define OPEN_OUT {OUT, SYN, 500, 0, 0, 0}, {IN, SYN | ACK, 100, 501, 0, EST}, {OUT, ACK, 501, 101, 0, 0}
#define IS_OPEN {AGE, 0, 7200, 0, 0, 0}, {IN, ACK, 101, 501, 10, EST}
#define IS_GONE {IN, ACK, 101, 501, 10, INV}

static const struct sequence tcp_sequences[] = {
	{"handshake from outside", {OPEN_IN, IS_OPEN, {AGE, 0, 86390, 0, 0, 0}, {IN, ACK | PSH, 111, 501, 10, EST},
		{AGE, 0, 86410, 0, 0, 0}, IS_GONE, {END, 0, 0, 0, 0, 0}}},
	{"handshake from inside", {OPEN_OUT, IS_OPEN, {OUT, ACK, 501, 111, 99, 0}, {IN, ACK, 111, 600, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"a SYN again, and again answered", {{IN, SYN, 100, 0, 0, NEW}, {IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0},
		{IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0}, {IN, ACK, 101, 501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"a SYN that crosses its answer", {{IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0}, {IN, SYN, 100, 0, 0, NEW},
		{IN, ACK, 101, 501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"another SYN begins anew", {{IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0}, {IN, SYN, 9000, 0, 0, NEW},
		{IN, ACK, 101, 501, 0, INV}, {OUT, SYN | ACK, 700, 9001, 0, 0}, {IN, ACK, 9001, 701, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"both open at once", {{OUT, SYN, 500, 0, 0, 0}, {IN, SYN, 100, 0, 0, EST}, {OUT, SYN | ACK, 500, 101, 0, 0},
		{IN, SYN | ACK, 100, 501, 0, EST}, {OUT, ACK, 501, 101, 0, 0}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"SYN with data", {{IN, SYN, 100, 0, 50, NEW}, {OUT, SYN | ACK, 500, 151, 0, 0}, {OUT, ACK, 501, 151, 1000, 0},
		{IN, ACK, 151, 1501, 0, EST}, {IN, ACK, 151, 1501, 20, EST}, {END, 0, 0, 0, 0, 0}}},
	{"an ACK that shows nothing", {{IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0}, {IN, ACK, 101, 777, 0, INV},
		{IN, ACK, 101, 500, 0, INV}, {IN, ACK, 101, 502, 0, INV}, {IN, ACK, 101, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"an ACK before any answer", {{IN, SYN, 100, 0, 0, NEW}, {IN, ACK, 101, 501, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"SYN and ACK to nothing", {{IN, SYN | ACK, 100, 501, 0, INV}, {IN, ACK, 101, 501, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"SYN and ACK to another SYN", {{OUT, SYN, 500, 0, 0, 0}, {IN, SYN | ACK, 100, 99501, 0, INV}, {IN, SYN | ACK, 100, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"SYN and ACK to nearly that SYN", {{OUT, SYN, 500, 0, 0, 0}, {IN, SYN | ACK, 100, 500, 0, INV}, {IN, SYN | ACK, 100, 502, 0, INV},
		{IN, RST | ACK, 0, 500, 0, INV}, {IN, SYN | ACK, 100, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"the peer takes the SYN's data", {{OUT, SYN, 500, 0, 50, 0}, {IN, SYN | ACK, 100, 520, 0, INV}, {IN, SYN | ACK, 100, 551, 0, EST},
		{OUT, ACK, 551, 101, 0, 0}, {IN, ACK, 101, 551, 9, EST}, {END, 0, 0, 0, 0, 0}}},
	{"the peer does not take it", {{OUT, SYN, 500, 0, 50, 0}, {IN, SYN | ACK, 100, 501, 0, EST}, {OUT, ACK, 501, 101, 50, 0}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"the host does not take it", {{IN, SYN, 100, 0, 50, NEW}, {IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0}, {IN, ACK, 101, 501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"the host answers once more", {{IN, SYN, 100, 0, 50, NEW}, {OUT, SYN | ACK, 500, 151, 0, 0}, {OUT, ACK, 501, 151, 1000, 0},
		{OUT, SYN | ACK, 500, 151, 0, 0}, {IN, ACK, 151, 1501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"both open at once, and somebody else", {{OUT, SYN, 500, 0, 0, 0}, {IN, SYN, 100, 0, 0, EST}, {IN, ACK, 101, 777, 0, INV}, {IN, SYN | ACK, 100, 101, 0, INV},
		{OUT, SYN | ACK, 500, 101, 0, 0}, {IN, ACK, 101, 777, 0, INV}, {IN, ACK, 101, 501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"SYN and ACK from who asked", {{IN, SYN, 100, 0, 0, NEW}, {IN, SYN | ACK, 100, 501, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"SYN and ACK once more, late", {OPEN_OUT, {IN, SYN | ACK, 100, 501, 0, EST}, {IN, SYN | ACK, 99000000, 501, 0, INV}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"a SYN to what is open", {OPEN_IN, {IN, SYN, 900000, 0, 0, NEW}, {OUT, ACK, 501, 101, 0, 0}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"half open from outside ends", {{IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0}, {AGE, 0, 64, 0, 0, 0}, {IN, ACK, 101, 501, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"half open lasts a while", {{IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0}, {AGE, 0, 55, 0, 0, 0}, {IN, ACK, 101, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"a SYN without an answer ends", {{OUT, SYN, 500, 0, 0, 0}, {AGE, 0, 34, 0, 0, 0}, {IN, SYN | ACK, 100, 501, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"a SYN is answered late", {{OUT, SYN, 500, 0, 0, 0}, {AGE, 0, 26, 0, 0, 0}, {IN, SYN | ACK, 100, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"closed from outside", {OPEN_IN, {IN, FIN | ACK, 101, 501, 0, EST}, {OUT, ACK, 501, 102, 0, 0}, {AGE, 0, 115, 0, 0, 0},
		{OUT, FIN | ACK, 501, 102, 0, 0}, {IN, ACK, 102, 502, 0, EST}, {AGE, 0, 55, 0, 0, 0}, {IN, ACK, 102, 502, 0, EST},
		{AGE, 0, 64, 0, 0, 0}, {IN, ACK, 102, 502, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"closed from inside", {OPEN_IN, {OUT, FIN | ACK, 501, 101, 0, 0}, {IN, ACK, 101, 502, 0, EST}, {IN, FIN | ACK, 101, 502, 0, EST},
		{OUT, ACK, 502, 102, 0, 0}, {AGE, 0, 64, 0, 0, 0}, {IN, ACK, 102, 502, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"a FIN that nobody acknowledges", {OPEN_IN, {IN, FIN | ACK, 2000, 501, 0, EST}, {OUT, ACK, 501, 101, 0, 0}, {AGE, 0, 86390, 0, 0, 0},
		{IN, ACK, 101, 501, 10, EST}, {END, 0, 0, 0, 0, 0}}},
	{"a FIN, and later data", {OPEN_IN, {IN, FIN | ACK, 101, 501, 50, EST}, {IN, ACK, 101, 501, 100, EST}, {OUT, ACK, 501, 152, 0, 0},
		{OUT, ACK, 501, 201, 0, 0}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"FINs on both sides, of which none counts", {OPEN_IN, {IN, FIN | ACK, 2000, 501, 0, EST}, {OUT, FIN | ACK, 501, 101, 0, 0}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"numbers that somebody made up", {OPEN_IN, {IN, ACK, 90000000, 777000000, 0, EST}, {IN, RST, 90000000, 0, 0, INV},
		{IN, RST | ACK, 90000000, 777000000, 0, INV}, {IN, FIN | ACK, 90000000, 777000000, 0, EST}, {OUT, ACK, 501, 90000001, 0, 0},
		{IN, RST, 101, 0, 0, EST}, {IN, ACK, 101, 501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"a long and wide path", {OPEN_IN, {IN, ACK, 900000000, 501, 1000, EST}, {IN, ACK, 101, 501, 1000, EST}, {OUT, ACK, 501, 900001000, 0, 0},
		{IN, ACK, 900001000, 501, 1000, EST}, {IN, RST | ACK, 800000000, 501, 0, EST}, {IN, RST, 900002000, 0, 0, EST},
		{AGE, 0, 14, 0, 0, 0}, IS_GONE, {END, 0, 0, 0, 0, 0}}},
	{"a reset that is far off does not count", {OPEN_IN, {IN, RST, 1000000, 0, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"a reset of what begins, by somebody else", {{IN, SYN, 100, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0}, {IN, RST, 5000, 0, 0, EST},
		{AGE, 0, 14, 0, 0, 0}, {IN, ACK, 101, 501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"half closed for long", {OPEN_IN, {IN, FIN | ACK, 101, 501, 0, EST}, {OUT, ACK, 501, 102, 0, 0}, {AGE, 0, 124, 0, 0, 0}, {IN, ACK, 102, 501, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"reset from outside", {OPEN_IN, {IN, RST, 101, 0, 0, EST}, {AGE, 0, 6, 0, 0, 0}, {IN, RST, 101, 0, 0, EST}, {AGE, 0, 14, 0, 0, 0}, IS_GONE, {END, 0, 0, 0, 0, 0}}},
	{"reset from inside", {OPEN_IN, {OUT, RST | ACK, 501, 101, 0, 0}, {AGE, 0, 14, 0, 0, 0}, IS_GONE, {END, 0, 0, 0, 0, 0}}},
	{"a reset from nowhere near", {OPEN_IN, {IN, RST, 90000000, 0, 0, INV}, {IN, RST | ACK, 90000000, 77000000, 0, INV},
		{IN, RST | ACK, 90000000, 501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"a reset that was somebody else's", {OPEN_IN, {IN, RST, 2000, 0, 0, EST}, {IN, ACK, 101, 501, 5, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"a FIN while much is on its way to it", {OPEN_IN, {OUT, ACK, 9000501, 101, 1000, 0}, {IN, FIN | ACK, 101, 501, 0, EST}, {OUT, ACK, 9001501, 102, 0, 0},
		{IN, ACK, 102, 501, 0, EST}, {AGE, 0, 124, 0, 0, 0}, {IN, ACK, 102, 9001501, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"a FIN that acknowledges what no window holds", {OPEN_IN, {IN, FIN | ACK, 101, 0x80000000, 0, EST}, {OUT, ACK, 501, 102, 0, 0}, {AGE, 0, 124, 0, 0, 0},
		{IN, ACK, 102, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"a FIN that acknowledges what was not sent", {OPEN_IN, {IN, FIN | ACK, 101, 90000501, 0, EST}, {OUT, ACK, 501, 102, 0, 0}, {AGE, 0, 124, 0, 0, 0},
		{IN, ACK, 102, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"a FIN from nowhere near", {OPEN_IN, {IN, FIN | ACK, 90000000, 501, 0, EST}, {AGE, 0, 7200, 0, 0, 0}, {IN, ACK, 101, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"refused by the host", {{IN, SYN, 100, 0, 0, NEW}, {OUT, RST | ACK, 0, 101, 0, 0}, {IN, ACK, 101, 1, 0, INV}, {AGE, 0, 14, 0, 0, 0},
		{IN, RST, 101, 0, 0, INV}, {IN, SYN, 100, 0, 0, NEW}, {END, 0, 0, 0, 0, 0}}},
	{"refused by the peer", {{OUT, SYN, 500, 0, 0, 0}, {IN, RST | ACK, 0, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"refused by somebody else", {{OUT, SYN, 500, 0, 0, 0}, {IN, RST | ACK, 0, 99999, 0, INV}, {IN, RST, 0, 501, 0, INV},
		{IN, SYN | ACK, 100, 501, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"who asked takes it back", {{IN, SYN, 100, 0, 0, NEW}, {IN, RST, 101, 0, 0, NEW}, {IN, SYN, 300, 0, 0, NEW}, {END, 0, 0, 0, 0, 0}}},
	{"the peer knows another connection", {{OUT, SYN, 500, 0, 0, 0}, {IN, ACK, 777, 888, 0, EST}, {OUT, RST, 888, 0, 0, 0}, {END, 0, 0, 0, 0, 0}}},
	{"the same ports again, at once", {OPEN_IN, {IN, FIN | ACK, 101, 501, 0, EST}, {OUT, FIN | ACK, 501, 102, 0, 0}, {IN, ACK, 102, 502, 0, EST},
		{IN, SYN, 70000000, 0, 0, NEW}, {OUT, SYN | ACK, 80000000, 70000001, 0, 0}, {IN, ACK, 70000001, 80000001, 0, EST}, {AGE, 0, 7200, 0, 0, 0},
		{IN, ACK, 70000001, 80000001, 9, EST}, {END, 0, 0, 0, 0, 0}}},
	{"picked up from the host", {{OUT, ACK, 501, 101, 9, 0}, {IN, ACK, 101, 510, 0, EST}, IS_OPEN, {IN, RST, 111, 0, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"a stray reset begins nothing", {{OUT, RST, 501, 0, 0, 0}, {IN, ACK, 101, 501, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"the SYN was forgotten", {{OUT, SYN | ACK, 500, 101, 0, 0}, {IN, ACK, 101, 777, 0, INV}, {IN, ACK, 101, 501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"a forged SYN before the answer", {{IN, SYN, 100, 0, 0, NEW}, {IN, SYN, 7000000, 0, 0, NEW}, {OUT, SYN | ACK, 500, 101, 0, 0},
		{IN, ACK, 101, 501, 0, EST}, IS_OPEN, {END, 0, 0, 0, 0, 0}}},
	{"out of nothing", {IS_GONE, {IN, FIN | ACK, 1, 1, 0, INV}, {IN, RST, 1, 1, 0, INV}, {IN, RST | ACK, 1, 1, 0, INV}, {END, 0, 0, 0, 0, 0}}},
	{"much data", {OPEN_IN, {IN, ACK, 3000000, 501, 1000, EST}, {IN, RST, 2900000, 0, 0, EST}, {IN, ACK, 4200000000, 501, 1000, EST},
		{IN, RST, 3000000, 0, 0, INV}, {IN, RST, 4200001000, 0, 0, EST}, {END, 0, 0, 0, 0, 0}}},
	{"sequence numbers wrap", {{IN, SYN, 0xffffffff, 0, 0, NEW}, {OUT, SYN | ACK, 0xffffffff, 0, 0, 0}, {IN, ACK, 0, 0, 0, EST}, {IN, RST, 5, 0, 0, EST}, {END, 0, 0, 0, 0, 0}}},
};

static const struct sequence other_sequences[] = {
	{"one way", {{IN, 0, 0, 0, 9, NEW}, {IN, 0, 0, 0, 9, NEW}, {END, 0, 0, 0, 0, 0}}},
	{"answered by the host", {{IN, 0, 0, 0, 9, NEW}, {OUT, 0, 0, 0, 9, 0}, {IN, 0, 0, 0, 9, EST}, {IN, 0, 0, 0, 9, EST}, {END, 0, 0, 0, 0, 0}}},
	{"answered by the peer", {{OUT, 0, 0, 0, 9, 0}, {IN, 0, 0, 0, 9, EST}, {OUT, 0, 0, 0, 9, 0}, {IN, 0, 0, 0, 9, EST}, {END, 0, 0, 0, 0, 0}}},
};

static const struct sequence udp_sequences[] = {
	{"no answer for long", {{OUT, 0, 0, 0, 9, 0}, {AGE, 0, 34, 0, 0, 0}, {IN, 0, 0, 0, 9, NEW}, {END, 0, 0, 0, 0, 0}}},
	{"an answer, late", {{OUT, 0, 0, 0, 9, 0}, {AGE, 0, 26, 0, 0, 0}, {IN, 0, 0, 0, 9, EST}, {END, 0, 0, 0, 0, 0}}},
	{"one answer lasts not long", {{OUT, 0, 0, 0, 9, 0}, {IN, 0, 0, 0, 9, EST}, {AGE, 0, 34, 0, 0, 0}, {IN, 0, 0, 0, 9, NEW}, {END, 0, 0, 0, 0, 0}}},
	{"a stream lasts longer", {{OUT, 0, 0, 0, 9, 0}, {IN, 0, 0, 0, 9, EST}, {OUT, 0, 0, 0, 9, 0}, {AGE, 0, 115, 0, 0, 0}, {IN, 0, 0, 0, 9, EST},
		{AGE, 0, 124, 0, 0, 0}, {IN, 0, 0, 0, 9, NEW}, {END, 0, 0, 0, 0, 0}}},
};

static const struct sequence echo_sequences[] = {
	{"asked from outside", {{IN, 8, 0, 0, 9, NEW}, {OUT, 0, 0, 0, 9, 0}, {IN, 8, 0, 0, 9, EST}, {END, 0, 0, 0, 0, 0}}},
	{"asked from inside", {{OUT, 8, 0, 0, 9, 0}, {IN, 0, 0, 0, 9, EST}, {OUT, 8, 0, 0, 9, 0}, {IN, 0, 0, 0, 9, EST}, {AGE, 0, 34, 0, 0, 0}, {IN, 0, 0, 0, 9, INV}, {END, 0, 0, 0, 0, 0}}},
	{"an answer to nothing", {{IN, 0, 0, 0, 9, INV}, {END, 0, 0, 0, 0, 0}}},
	{"an answer to oneself", {{IN, 8, 0, 0, 9, NEW}, {IN, 0, 0, 0, 9, INV}, {END, 0, 0, 0, 0, 0}}},
	{"both ask with one id", {{OUT, 8, 0, 0, 9, 0}, {IN, 8, 0, 0, 9, NEW}, {IN, 0, 0, 0, 9, EST}, {END, 0, 0, 0, 0, 0}}},
};
/* clang-format on */

/* @flags of echo: the type in IPv4 */
static void take(const struct flow *f, const struct step *s)
{
	struct segment seg = {s->what == OUT, s->flags, s->seq, s->ack, s->bytes, s->flags};

	if (s->what == AGE) {
		age(s->seq);
		return;
	}
	if (f->protocol == 58)
		seg.type = s->flags ? 128 : 129;
	if (s->what == OUT)
		go(f, &seg);
	else
		assert_int_equal(go(f, &seg), s->state);
}

static void take_all(const struct sequence *s, size_t n, struct flow f)
{
	for (size_t i = 0; i < n; i++)
		for (unsigned kind = 0; kind < 4; kind++) {
			f.ip6 = kind & 1;
			f.tagged = kind & 2;
			if (f.protocol == 1 || f.protocol == 58)
				f.protocol = f.ip6 ? 58 : 1;
			print_message("# %s: %s\n", s[i].name, f.ip6 ? "IPv6" : "IPv4");
			forget();
			for (const struct step *step = s[i].steps; step->what != END; step++)
				take(&f, step);
		}
}

static void sequences_of_tcp(void **state)
{
	struct flow f = {.protocol = 6, .peer = 200, .pport = 40000, .hport = 443};

	(void)state;
	take_all(tcp_sequences, PST_ARRAY_SIZE(tcp_sequences), f);
	f.peer = 256; /* on the other side of the host's in the order of addresses */
	take_all(tcp_sequences, PST_ARRAY_SIZE(tcp_sequences), f);
}

static void sequences_of_others(void **state)
{
	static const uint8_t protocols[] = {17, 136, 132, 33, 47, 50, 200};
	struct flow f = {.peer = 6, .pport = 40000, .hport = 53};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(protocols); i++) {
		f.protocol = protocols[i];
		take_all(other_sequences, PST_ARRAY_SIZE(other_sequences), f);
	}
	f.protocol = 17;
	take_all(udp_sequences, PST_ARRAY_SIZE(udp_sequences), f);
	f.protocol = 1;
	take_all(echo_sequences, PST_ARRAY_SIZE(echo_sequences), f);
}

/* Every combination of flags: on no connection, and on one that is open. */
static void every_flag(void **state)
{
	struct flow f = {.protocol = 6, .peer = 7, .pport = 1, .hport = 22};

	(void)state;
	for (unsigned flags = 0; flags < 256; flags++) {
		struct segment s = {false, (uint8_t)flags, 2000, 5001, 0, 0};
		unsigned looked = flags & (FIN | SYN | RST | ACK | URG);
		bool syn = (looked & ~(unsigned)URG) == SYN;
		bool sane = syn || looked == (SYN | ACK) || looked == RST || looked == (RST | ACK) ||
			    (looked & ~(unsigned)URG) == ACK || (looked & ~(unsigned)URG) == (FIN | ACK);

		f.ip6 = flags & 1;
		forget();
		assert_int_equal(go(&f, &s), syn ? NEW : INV);
		forget();
		open_tcp(&f);
		assert_int_equal(go(&f, &s), syn ? NEW : sane ? EST : INV);
	}
}

/* ---- ICMP errors ---- */

/* An error that comes in, about what the host sent on @quoted; @cut bytes short, @astray: to another address.
 */
static int error_state(const struct flow *quoted, bool out, unsigned type, size_t cut, bool astray)
{
	struct flow f = {.ip6 = quoted->ip6, .peer = astray ? 1 : 99};
	struct segment s = {.out = out, .flags = ACK, .type = quoted->ip6 ? 128 : 8};
	struct packet p;
	uint8_t *l3, *length;

	link_header(&p, f.ip6, quoted->tagged);
	l3 = p.bytes + p.len;
	f.ip6 ? ip6(&p, 58) : ip4(&p, 1, 0);
	put_addresses(l3, &f, astray);
	icmp(&p, (uint8_t)type, 0);
	(void)grow(&p, 4);
	length = p.length;
	ip_packet(&p, quoted, &s);
	p.len -= cut;
	put16(length, (unsigned)(p.bytes + p.len - l3) - (f.ip6 ? 40 : 0));
	return state_of(&p);
}

static void check_errors(const struct flow *f)
{
	static const unsigned errors[2][5] = {{3, 4, 5, 11, 12}, {1, 2, 3, 4, 1}};
	struct flow other = *f;

	for (int i = 0; i < 5; i++) {
		unsigned type = errors[f->ip6][i];

		assert_int_equal(error_state(f, true, type, 0, false), REL);
		/* what came in nobody here gets an error about, nor does it go to somebody else */
		assert_int_equal(error_state(f, false, type, 0, false), INV);
		assert_int_equal(error_state(f, true, type, 0, true), INV);
		other.hport ^= 0x100;
		if (f->protocol == 6 || f->protocol == 17)
			assert_int_equal(error_state(&other, true, type, 0, false), INV);
		other = *f;
		other.peer ^= 0x100;
		assert_int_equal(error_state(&other, true, type, 0, false), INV);
		other = *f;
	}
	/* eight bytes of the quoted header are enough, fewer are not */
	if (f->protocol == 6)
		assert_int_equal(error_state(f, true, errors[f->ip6][0], 12, false), REL);
	if (f->protocol == 6)
		for (size_t cut = 13; cut < 40; cut++)
			assert_int_equal(error_state(f, true, errors[f->ip6][0], cut, false), INV);
}

static void errors_are_related(void **state)
{
	static const uint8_t protocols[] = {6, 17, 47, 1};

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		struct flow f = {.ip6 = i & 1,
			.tagged = i & 2,
			.protocol = protocols[i >> 2],
			.peer = 8,
			.pport = 300,
			.hport = 4000};
		struct segment ask = {.out = true, .flags = SYN, .seq = 4999, .type = f.ip6 ? 128 : 8};
		struct segment reply = {.flags = SYN | ACK, .seq = 7, .ack = 5000, .type = f.ip6 ? 129 : 0};

		if (f.protocol == 1 && f.ip6)
			f.protocol = 58;
		forget();
		assert_int_equal(error_state(&f, true, f.ip6 ? 1 : 3, 0, false), INV);
		go(&f, &ask);
		check_errors(&f);
		assert_int_equal(go(&f, &reply), EST);
		ask.flags = ACK;
		ask.seq = 5000;
		ask.ack = 8;
		go(&f, &ask);
		/* both have sent now: an error about what came in is none that comes in */
		assert_int_equal(error_state(&f, true, f.ip6 ? 1 : 3, 0, false), REL);
		assert_int_equal(error_state(&f, false, f.ip6 ? 1 : 3, 0, false), INV);
	}
}

/* ICMP that asks nothing and answers nothing has no state: IPv6 would not work else. */
static void not_tracked(void **state)
{
	static const uint8_t types6[] = {130, 131, 132, 133, 134, 135, 136, 137, 143},
			     types4[] = {9, 10, 15, 42};
	struct flow f = {.ip6 = true, .protocol = 58, .peer = 9};
	struct packet p;

	(void)state;
	forget();
	for (size_t i = 0; i < sizeof(types6); i++)
		assert_int_equal(go(&f, &(struct segment){.type = types6[i]}), PST_CT_UNTRACKED);
	f.ip6 = false;
	f.protocol = 1;
	for (size_t i = 0; i < sizeof(types4); i++)
		assert_int_equal(go(&f, &(struct segment){.type = types4[i]}), PST_CT_UNTRACKED);
	make_later4(&p);
	assert_int_equal(state_of(&p), PST_CT_UNTRACKED);
	make_later6(&p);
	assert_int_equal(state_of(&p), PST_CT_UNTRACKED);
	make_arp(&p);
	assert_int_equal(run(p.bytes, p.len), PASS);
	assert_int_equal(entries(0) + entries(1), 0);
	control->flags = 0;
	make_tcp4(&p);
	assert_int_equal(state_of(&p), PST_CT_UNTRACKED);
	send_out(&p);
	assert_int_equal(entries(0) + entries(1), 0);
	control->flags = PST_GUARD_CT;
}

/* ---- what the rules drop ---- */

static void dropped_begins_nothing(void **state)
{
	struct flow f = {.protocol = 6, .peer = 10, .pport = 1, .hport = 2};
	struct segment syn = {.flags = SYN, .seq = 10},
		       synack = {.out = true, .flags = SYN | ACK, .seq = 20, .ack = 11},
		       ack = {.flags = ACK, .seq = 11, .ack = 21};

	(void)state;
	forget();
	force_states(1u << NEW);
	assert_int_equal(go(&f, &syn), NEW);
	assert_int_equal(entries(1), 0);
	assert_int_equal(go(&f, &ack), INV);
	f.protocol = 17;
	assert_int_equal(go(&f, &syn), NEW);
	assert_int_equal(entries(0) + entries(1), 0);
	f.protocol = 6;
	force_states(0);
	assert_int_equal(go(&f, &syn), NEW);
	go(&f, &synack);
	force_states(1u << EST);
	assert_int_equal(go(&f, &ack), EST);
	assert_int_equal(entries(0), 0); /* not confirmed */
	force_states(0);
	assert_int_equal(go(&f, &ack), EST);
	assert_int_equal(entries(0), 1);
	assert_int_equal(entries(1), 0);
}

/* Whatever comes in and whatever is there: what is dropped changes no byte of the tables. */
static void dropped_leaves_no_trace(void **state)
{
	static struct pst_ct_bucket was[2][SOME_BUCKETS];
	struct model_flow flows[MODEL_FLOWS];

	(void)state;
	assert_true(ct_buckets[0] == SOME_BUCKETS && ct_buckets[1] == SOME_BUCKETS);
	forget();
	model_begin(flows);
	for (unsigned i = 0; i < 1000; i++) {
		model_step(flows);
		if (i % 4)
			continue;
		age(1);
		for (int t = 0; t < 2; t++)
			memcpy(was[t], ct_maps[t], sizeof(was[t]));
		force_states(~0u);
		for (unsigned k = 0; k < MODEL_FLOWS; k++) {
			struct segment s = model_draw(&flows[k]);

			s.out = false;
			go(&flows[k].flow, &s);
		}
		force_states(0);
		for (int t = 0; t < 2; t++)
			assert_memory_equal(was[t], ct_maps[t], sizeof(was[t]));
		age((uint32_t)-1);
	}
}

/* What GRO made one begins one connection. */
static void entries_are_counted(void **state)
{
	struct flow f = {.protocol = 17, .peer = 12, .pport = 1, .hport = 2};
	struct segment data = {.bytes = 1000};
	struct __sk_buff skb = {.gso_segs = 5};
	struct packet p;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.bytes, .ctx_in = &skb, .ctx_size_in = sizeof(skb),
		.repeat = 1);
	uint64_t begun = reason((enum pst_guard_reason)PST_GUARD_CT_BEGUN).packets,
		 seen = counter(STATE_COUNTER + NEW).packets;

	(void)state;
	forget();
	flow_packet(&p, &f, &data);
	opts.data_size_in = (uint32_t)p.len;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.guard_tc), &opts), 0);
	assert_int_equal(counter(STATE_COUNTER + NEW).packets, seen + 5);
	assert_int_equal(reason((enum pst_guard_reason)PST_GUARD_CT_BEGUN).packets, begun + 1);
}

/* For the time after the start: connections that are older than the guard. */
static void loose(void **state)
{
	struct flow f = {.protocol = 6, .peer = 11, .pport = 1, .hport = 2};
	struct segment in = {.flags = ACK, .seq = 11, .ack = 21},
		       out = {.out = true, .flags = ACK, .seq = 21, .ack = 11};

	(void)state;
	forget();
	assert_int_equal(go(&f, &in), INV);
	control->flags = PST_GUARD_CT | PST_GUARD_CT_LOOSE;
	assert_int_equal(go(&f, &in), NEW);
	control->flags = PST_GUARD_CT;
	go(&f, &out);
	age(7200);
	assert_int_equal(go(&f, &in), EST);
}

/* ---- floods ---- */

#define OPEN  1000
#define FLOOD 100000

/* In an emulated machine that many take minutes, and a part of them is enough to fill the table. */
static bool flood_goes_on(unsigned sent, unsigned most)
{
	static time_t since;

	if (!sent)
		since = time(NULL);
	return sent < most && (sent % 100 || time(NULL) - since < 8);
}

static struct flow nth_flow(unsigned i)
{
	return (struct flow){
		.ip6 = i & 1, .protocol = 6, .peer = 1000 + i, .pport = (uint16_t)(1024 + i), .hport = 443};
}

static struct flow nth_stream(unsigned i)
{
	struct flow f = nth_flow(i);

	f.protocol = 17;
	return f;
}

static void open_stream(const struct flow *f)
{
	go(f, &(struct segment){.out = true});
	assert_int_equal(go(f, &(struct segment){0}), EST);
	go(f, &(struct segment){.out = true});
}

static void flood_of_syns(void **state)
{
	struct segment data = {.flags = ACK, .seq = 1001, .ack = 5001, .bytes = 10};
	uint64_t evicted;

	(void)state;
	forget();
	for (unsigned i = 0; i < OPEN; i++) {
		struct flow f = nth_flow(i);

		open_tcp(&f);
	}
	for (unsigned i = 0; i < OPEN / 10; i++) {
		struct flow f = nth_stream(i);

		open_stream(&f);
	}
	assert_int_equal(entries(0), OPEN + OPEN / 10);
	evicted = reason((enum pst_guard_reason)PST_GUARD_CT_EVICTED).packets;
	for (unsigned i = 0; flood_goes_on(i, FLOOD); i++) {
		struct flow f = {.protocol = 6,
			.peer = (uint32_t)rule_draw() & 0xffffff,
			.pport = (uint16_t)rule_draw(),
			.hport = 443};
		struct segment syn = {.flags = SYN, .seq = (uint32_t)rule_draw()};
		struct packet p;

		flow_packet(&p, &f, &syn);
		assert_int_equal(run(p.bytes, p.len), PASS);
	}
	assert_true(reason((enum pst_guard_reason)PST_GUARD_CT_EVICTED).packets > evicted);
	for (unsigned i = 0; i < OPEN; i++) {
		struct flow f = nth_flow(i);

		assert_int_equal(go(&f, &data), EST);
	}
	for (unsigned i = 0; i < OPEN / 10; i++) {
		struct flow f = nth_stream(i);

		assert_int_equal(go(&f, &(struct segment){0}), EST);
	}
	assert_int_equal(entries(0), OPEN + OPEN / 10);
}

/* Datagrams from nowhere, each sent twice and answered by the host. */
static void flood_of_answered_datagrams(void **state)
{
	struct segment data = {.flags = ACK, .seq = 1001, .ack = 5001, .bytes = 10};

	(void)state;
	for (unsigned i = 0; flood_goes_on(i, FLOOD / 5); i++) {
		struct flow f = {.protocol = 17,
			.peer = (uint32_t)rule_draw() & 0xffffff,
			.pport = (uint16_t)rule_draw(),
			.hport = 53};
		struct segment in = {.bytes = 20}, out = {.out = true, .bytes = 20};
		struct packet p, answer;

		flow_packet(&p, &f, &in);
		flow_packet(&answer, &f, &out);
		run(p.bytes, p.len);
		send_out(&answer);
		run(p.bytes, p.len);
	}
	for (unsigned i = 0; i < OPEN; i++) {
		struct flow f = nth_flow(i);

		assert_int_equal(go(&f, &data), EST);
	}
}

/* ---- a table of one bucket ---- */

static void who_gives_way(void **state)
{
	struct segment data = {.flags = ACK, .seq = 1001, .ack = 5001},
		       fin = {.flags = FIN | ACK, .seq = 1001, .ack = 5001};
	struct flow udp = {.protocol = 17, .peer = 900, .pport = 5, .hport = 6}, f[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		f[i] = nth_flow(i);
	forget();
	open_stream(&udp);
	for (int i = 0; i < 4; i++)
		open_tcp(&f[i]); /* the fourth in place of the stream */
	for (int i = 0; i < 4; i++)
		assert_int_equal(go(&f[i], &data), EST);
	open_stream(&udp); /* which does not get it back: it stays among those that began */
	assert_int_equal(entries(0), 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(go(&f[i], &data), EST);
	open_tcp(&f[4]); /* nor does another connection */
	assert_int_equal(go(&f[4], &data), EST);
	for (int i = 0; i < 4; i++)
		assert_int_equal(go(&f[i], &data), EST);
	assert_int_equal(
		go(&f[4], &(struct segment){.flags = SYN, .seq = 7}), NEW); /* as little as in `ct` */
	assert_int_equal(go(&f[4], &(struct segment){.flags = RST, .seq = 7000000}), INV);
	assert_int_equal(go(&f[4], &data), EST);
	assert_int_equal(go(&f[2], &fin), EST);
	assert_int_equal(go(&f[4], &data), EST); /* nor does a FIN lower a rank that anybody may have sent */
	assert_int_equal(go(&f[2], &data), EST);
	go(&f[2], &(struct segment){.out = true, .flags = ACK, .seq = 5001, .ack = 1002});
	assert_int_equal(go(&f[4], &data), EST); /* until one closes */
	assert_int_equal(go(&f[2], &data), INV);
	age(130);
	for (int i = 0; i < 2; i++)
		assert_int_equal(go(&f[i], &data), EST);
	assert_int_equal(go(&f[4], &data), EST);
	open_tcp(&f[5]); /* or is idle */
	assert_int_equal(go(&f[3], &data), INV);
	assert_int_equal(go(&f[5], &data), EST);
}

/* What the host began is not lost to what others begin. */
static void own_beginnings_stay(void **state)
{
	struct flow own = {.protocol = 6, .peer = 901, .pport = 5, .hport = 6};

	(void)state;
	forget();
	go(&own, &(struct segment){.out = true, .flags = SYN, .seq = 500});
	for (unsigned i = 0; i < 1000; i++) {
		struct flow f = nth_flow(i);

		assert_int_equal(go(&f, &(struct segment){.flags = SYN, .seq = i}), NEW);
	}
	assert_int_equal(go(&own, &(struct segment){.flags = SYN | ACK, .seq = 3, .ack = 501}), EST);
}

/* ---- two CPUs ---- */

static struct {
	unsigned rounds, flows, wrong;
	bool churn;
} load;

/* One CPU sends, the other receives, on @flow: the segments of its @i-th round. */
static void exchange(int cpu, struct flow flow, struct segment in, struct segment out, unsigned *wrong)
{
	struct packet p;
	int verdict;

	flow_packet(&p, &flow, cpu ? &in : &out);
	verdict = (int)run_prog(cpu ? skel->progs.guard_xdp : skel->progs.guard_tc_egress, p.bytes, p.len);
	*wrong += cpu && verdict != PASS;
}

/* Data on open connections; with churn also connections that come and go in the same buckets. */
static void exchange_many(int cpu)
{
	uint64_t draw = 77 + (uint64_t)cpu;
	unsigned any = 0;

	for (unsigned i = 0; i < load.rounds; i++) {
		exchange(cpu, nth_flow(i % load.flows),
			(struct segment){.flags = ACK, .seq = 1001 + i * 1000, .ack = 5001, .bytes = 1000},
			(struct segment){.out = true,
				.flags = ACK,
				.seq = 5001 + i * 1000,
				.ack = 1001,
				.bytes = 1000},
			&load.wrong);
		if (!load.churn)
			continue;
		draw = draw * 6364136223846793005ULL + 1442695040888963407ULL;
		exchange(cpu, nth_flow(100 + (draw >> 40) % 16),
			(struct segment){.flags = draw >> 60 & 1 ? SYN : ACK, .seq = 1000, .ack = 5001},
			(struct segment){.out = true, .flags = SYN | ACK, .seq = 5000, .ack = 1001}, &any);
	}
}

static void two_work(unsigned rounds, unsigned flows, bool churn)
{
	load.rounds = rounds;
	load.flows = flows;
	load.churn = churn;
	load.wrong = 0;
	two_cpus(exchange_many);
	assert_int_equal(load.wrong, 0);
}

static void two_cpus_on_one_flow(void **state)
{
	struct segment fin[] = {{false, FIN | ACK, 1001, 5001, 0, 0}, {true, FIN | ACK, 5001, 1002, 0, 0}};
	struct flow f = nth_flow(0);

	(void)state;
	forget();
	open_tcp(&f);
	force_states(1u << INV | 1u << NEW);
	two_work(10000, 1, false);
	force_states(0);
	fin[0].seq = fin[1].ack = 1001 + 10000u * 1000;
	fin[1].seq = fin[0].ack = 5001 + 10000u * 1000;
	fin[1].ack++; /* its FIN too */
	assert_int_equal(go(&f, &fin[0]), EST);
	go(&f, &fin[1]);
	fin[0].flags = ACK;
	fin[0].seq++;
	fin[0].ack++;
	assert_int_equal(go(&f, &fin[0]), EST);
	age(70);
	assert_int_equal(go(&f, &fin[0]), INV);
}

#define MOVES 300

static pthread_barrier_t move_start, move_end;

/*
 * The host's ACK moves the connection to the other table, while the peer's segments come in on another CPU:
 * there is always a table in which they find it. (A packet that looks into the one too early and into the
 * other too late is too rare to be made at will.)
 */
static void move_under_way(int cpu)
{
	const struct segment begin[] = {{true, SYN, 500, 0, 0, 0}, {false, SYN | ACK, 100, 501, 0, 0}},
			     ack = {true, ACK, 501, 101, 0, 0}, data = {false, ACK, 101, 501, 9, 0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .repeat = 5000);
	struct packet p;

	for (unsigned i = 0; i < MOVES; i++) {
		struct flow f = nth_flow(i);

		for (int k = 0; !cpu && k < 2; k++)
			go(&f, &begin[k]);
		flow_packet(&p, &f, cpu ? &data : &ack);
		opts.data_in = p.bytes;
		opts.data_size_in = (uint32_t)p.len;
		opts.data_size_out = 0; /* what the last run left there would be a limit */
		pthread_barrier_wait(&move_start);
		if (!cpu)
			send_out(&p);
		else if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.guard_xdp), &opts))
			load.wrong++;
		pthread_barrier_wait(&move_end);
	}
}

static void two_cpus_and_a_move(void **state)
{
	uint64_t before = counter(STATE_COUNTER + INV).packets;

	(void)state;
	forget();
	load.wrong = 0;
	assert_int_equal(
		pthread_barrier_init(&move_start, NULL, 2) | pthread_barrier_init(&move_end, NULL, 2), 0);
	two_cpus(move_under_way);
	pthread_barrier_destroy(&move_start);
	pthread_barrier_destroy(&move_end);
	assert_int_equal(load.wrong, 0);
	assert_int_equal(counter(STATE_COUNTER + INV).packets, before);
	assert_int_equal(entries(0), MOVES);
}

/* Two open connections among sixteen that come and go in one bucket of four: never is one lost. */
static void two_cpus_in_one_bucket(void **state)
{
	struct flow f[2] = {nth_flow(0), nth_flow(1)};

	(void)state;
	forget();
	open_tcp(&f[0]);
	open_tcp(&f[1]);
	force_states(1u << INV);
	two_work(10000, 2, true);
	force_states(0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(go(&f[i], &(struct segment){.flags = ACK, .seq = 1001, .ack = 5001}), EST);
}

/* ---- beside a model ---- */

static void beside_the_model(void **state)
{
	(void)state;
	for (unsigned round = 0; round < MODEL_ROUNDS; round++) {
		struct model_flow flows[MODEL_FLOWS];

		forget();
		model_begin(flows);
		for (unsigned i = 0; i < MODEL_STEPS; i++)
			model_step(flows);
	}
}

static void set_buckets(struct guard_bpf *s, uint32_t confirmed, uint32_t begun)
{
	s->rodata->cfg_ct_mask = confirmed - 1;
	s->rodata->cfg_ct_new_mask = begun - 1;
	bpf_map__set_max_entries(s->maps.ct, confirmed);
	bpf_map__set_max_entries(s->maps.ct_new, begun);
}

static void one_bucket(struct guard_bpf *s)
{
	set_buckets(s, 1, 1);
}

/* Enough for a few flows, and soon gone through. */
static void some_buckets(struct guard_bpf *s)
{
	set_buckets(s, SOME_BUCKETS, SOME_BUCKETS);
}

static void few_beginnings(struct guard_bpf *s)
{
	set_buckets(s, 16384, 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequences_of_tcp),
		cmocka_unit_test(sequences_of_others),
		cmocka_unit_test(every_flag),
		cmocka_unit_test(errors_are_related),
		cmocka_unit_test(not_tracked),
		cmocka_unit_test(dropped_begins_nothing),
		cmocka_unit_test(dropped_leaves_no_trace),
		cmocka_unit_test(entries_are_counted),
		cmocka_unit_test(loose),
		cmocka_unit_test(beside_the_model),
	};
	const struct CMUnitTest loads[] = {
		cmocka_unit_test(flood_of_syns),
		cmocka_unit_test(flood_of_answered_datagrams),
		cmocka_unit_test(two_cpus_on_one_flow),
		cmocka_unit_test(two_cpus_and_a_move),
	};
	const struct CMUnitTest small[] = {
		cmocka_unit_test(who_gives_way),
		cmocka_unit_test(own_beginnings_stay),
		cmocka_unit_test(two_cpus_in_one_bucket),
	};
	int failed;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	guard_prepare = some_buckets;
	failed = cmocka_run_group_tests_name("connections at XDP", tests, ct_setup, teardown);
	at_tc = true;
	guard_loads = LOAD_TC | LOAD_EGRESS;
	failed += cmocka_run_group_tests_name("connections at tc", tests, ct_setup, teardown);
	at_tc = false;
	guard_prepare = few_beginnings;
	guard_loads = LOAD_XDP | LOAD_EGRESS;
	failed += cmocka_run_group_tests_name("connections under load", loads, ct_setup, teardown);
	guard_prepare = one_bucket;
	guard_loads = LOAD_XDP | LOAD_EGRESS;
	return failed + cmocka_run_group_tests_name("connections in one bucket", small, ct_setup, teardown);
}
