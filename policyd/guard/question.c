// SPDX-License-Identifier: Apache-2.0
/*
 * A packet that somebody asks about, in the words of the rule language: it is read as a rule that takes this
 * packet, so that the two can never differ in what a word means.
 */
#include <errno.h>
#include <string.h>

#include "policyd/fw/parse.h"
#include "policyd/guard/internal.h"
#include "proto/base/cleanup.h"

#define VALUE_MAX 64
#define TCP       6
#define ICMP      1
#define ICMP6     58

static const char *const keys[] = {
	"src", "dst", "proto", "sport", "dport", "interface", "tcp_flags", "icmp", "vlan", "dscp", "state"};

static int refuse(struct pst_conf_errors *errors, const char *key, const char *what)
{
	pst_conf_error(errors, "packet", 0, 0, "%s: %s", key, what);
	return -EINVAL;
}

/* Nothing that could end the quotes it is put into. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f || *text == '"' || *text == '\\')
			return false;
	return true;
}

static int add_field(const msgpack_object *packet, const char *key, FILE *out, struct pst_conf_errors *errors)
{
	char text[VALUE_MAX];
	uint64_t number;

	if (!pst_ctl_get(packet, key))
		return 0;
	if (pst_ctl_u64(packet, key, &number))
		snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	else if (!pst_ctl_text(packet, key, text, sizeof(text)) || !is_plain(text))
		return refuse(errors, key, "expected a number or a short text");
	fprintf(out, ", %s: \"%s\"", key, text);
	return 0;
}

static bool is_key(const msgpack_object *key)
{
	for (size_t i = 0; key->type == MSGPACK_OBJECT_STR && i < PST_ARRAY_SIZE(keys); i++)
		if (key->via.str.size == strlen(keys[i]) &&
			!memcmp(key->via.str.ptr, keys[i], key->via.str.size))
			return true;
	return false;
}

static int write_fields(const msgpack_object *packet, FILE *out, struct pst_conf_errors *errors)
{
	int e = 0;

	if (packet->type != MSGPACK_OBJECT_MAP)
		return refuse(errors, "packet", "expected a map of fields");
	for (uint32_t i = 0; i < packet->via.map.size; i++)
		if (!is_key(&packet->via.map.ptr[i].key))
			return refuse(errors, "packet",
				"expected src, dst, proto, sport, dport, interface, tcp_flags, icmp, vlan, "
				"dscp, "
				"state");
	fputs("firewall: {rules: [{name: packet, action: accept", out);
	for (size_t i = 0; !e && i < PST_ARRAY_SIZE(keys); i++)
		e = add_field(packet, keys[i], out, errors);
	fputs("}]}\n", out);
	return e;
}

static int read_rule(const msgpack_object *packet, const struct fw_context *context,
	struct pst_conf_errors *errors, struct fw_ruleset **ret_set)
{
	PST_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int e;

	if (!out)
		return -ENOMEM;
	e = write_fields(packet, out, errors);
	if (fclose(out) && !e)
		e = -ENOMEM;
	return e ? e : fw_parse("packet", text, len, context, errors, NULL, ret_set);
}

/* ---- the rule's fields as a packet's ---- */

static int one_address(
	const struct fw_prefixes *list, const char *key, uint8_t addr[16], struct pst_conf_errors *errors)
{
	if (!list->n)
		return 0;
	if (list->n > 1 || list->v[0].len != 128)
		return refuse(errors, key, "expected one address");
	memcpy(addr, list->v[0].addr, 16);
	return 0;
}

static int one_number(
	const struct fw_ranges *list, const char *key, uint16_t *ret, struct pst_conf_errors *errors)
{
	if (!list->n)
		return 0;
	if (list->n > 1 || list->v[0].lo != list->v[0].hi)
		return refuse(errors, key, "expected one number");
	*ret = list->v[0].lo;
	return 0;
}

/* The lowest bit. */
static uint16_t one_bit(const uint64_t *words, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (words[i / 64] >> i % 64 & 1)
			return (uint16_t)i;
	return 0;
}

static bool is_ip6(const struct fw_rule *r, unsigned proto)
{
	const struct fw_prefixes *lists[] = {&r->src, &r->dst};

	for (size_t i = 0; i < PST_ARRAY_SIZE(lists); i++)
		if (lists[i]->n)
			return !fw_prefix_is_ip4(&lists[i]->v[0]);
	return proto == ICMP6;
}

static unsigned protocol_of(const struct fw_rule *r)
{
	bool ip6 = is_ip6(r, 0);

	if (r->has & FW_HAS_PROTO)
		return one_bit(r->protocols, 256);
	if (r->has & FW_HAS_ICMP)
		return ip6 ? ICMP6 : ICMP;
	return TCP;
}

static bool has_ports(unsigned proto)
{
	return proto == TCP || proto == 17 || proto == 136 || proto == 132 || proto == 33;
}

static void set_families(const struct fw_rule *r, struct pst_fw_packet *p)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	unsigned proto = protocol_of(r);
	bool ip6 = is_ip6(r, proto);

	for (unsigned side = 0; side < 2 && !ip6; side++)
		memcpy(p->addr[side], mapped, sizeof(mapped));
	p->root[PST_FW_SADDR] = p->root[PST_FW_DADDR] = ip6;
	p->key[PST_FW_PROTO] = (uint16_t)(ip6 ? proto | PST_FW_PROTO_6 : proto);
	p->root[PST_FW_SPORT] = p->root[PST_FW_DPORT] = !has_ports(proto);
	p->root[PST_FW_L4] = proto == TCP ? 0 : proto == ICMP || proto == ICMP6 ? 1 : 2;
	p->root[PST_FW_VLAN] = !r->vlan.n;
}

static void set_words(const struct fw_rule *r, struct pst_fw_packet *p)
{
	uint64_t state = r->state;

	if (r->has & FW_HAS_STATE)
		p->key[PST_FW_STATE] = one_bit(&state, PST_CT_STATES);
	if (r->has & FW_HAS_DSCP)
		p->key[PST_FW_DSCP] = one_bit(&r->dscp, 64);
	if (r->has & FW_HAS_TCP_FLAGS)
		p->key[PST_FW_L4] = r->tcp_value;
	if (r->icmp.n)
		p->key[PST_FW_L4] = r->icmp.v[0].lo;
	if (r->n_ifaces)
		p->ifindex = r->ifaces[0];
}

static uint64_t word_of(const uint8_t *bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | bytes[i];
	return v;
}

static void set_source(const struct fw_rule *r, struct guard_question *q)
{
	const uint8_t *addr = q->packet.addr[0];

	q->has_src = r->src.n;
	q->src = (struct block_entry){.hi = word_of(addr), .lo = word_of(addr + 8), .len = 128, .ip6 = true};
	if (!q->packet.root[PST_FW_SADDR])
		q->src = (struct block_entry){.lo = (uint32_t)q->src.lo, .len = 32};
}

int guard_question_parse(const msgpack_object *object, const struct fw_context *context,
	struct pst_conf_errors *errors, struct guard_question *ret_question)
{
	PST_CLEANUP(fw_ruleset_freep) struct fw_ruleset *set = NULL;
	struct guard_question q = {0};
	int e = read_rule(object, context, errors, &set);
	const struct fw_rule *r;

	if (e)
		return e;
	r = &set->rules[0];
	set_families(r, &q.packet);
	if (r->ends[0].n || r->ends[1].n)
		return refuse(errors, r->ends[0].n ? "src" : "dst",
			"expected an address without its port, which goes into sport or dport");
	e = one_address(&r->src, "src", q.packet.addr[0], errors);
	e = e ? e : one_address(&r->dst, "dst", q.packet.addr[1], errors);
	e = e ? e : one_number(&r->sport, "sport", &q.packet.key[PST_FW_SPORT], errors);
	e = e ? e : one_number(&r->dport, "dport", &q.packet.key[PST_FW_DPORT], errors);
	e = e ? e : one_number(&r->vlan, "vlan", &q.packet.key[PST_FW_VLAN], errors);
	if (e)
		return e;
	set_words(r, &q.packet);
	set_source(r, &q);
	*ret_question = q;
	return 0;
}
