// SPDX-License-Identifier: Apache-2.0
/* Making a subscription: where it resumes, what it is tied to; and its end. */
#include "proto/wire/bus_internal.h"

#include "proto/base/cleanup.h"

static void resume_at(struct sub_topic *t, const struct pst_ckpt_words *words, int topic)
{
	if (!words->in_epoch || words->in_next[topic] > BUS_SEQ_MAX)
		return;
	t->have = t->unproven = true;
	t->epoch = words->in_epoch;
	t->next = t->target = words->in_next[topic];
}

/* Positions of another publisher mean nothing here; our own numbers in the entry go on. */
static void adopt(struct pst_sub *sub, struct bus_topic *out)
{
	struct pst_ckpt_entry *e = out->entry;

	if (!strncmp(e->in_publisher, sub->publisher, sizeof(e->in_publisher)))
		return;
	out->words.in_epoch = 0;
	for (int i = 0; i < PST_TOPICS; i++)
		out->words.in_next[i] = BUS_UNKNOWN;
	pst_ckpt_store(sub->bus->ckpt, e, &out->words);
	snprintf(e->in_publisher, sizeof(e->in_publisher), "%s", sub->publisher);
}

static int tie(struct pst_sub *sub, int topic, struct bus_topic *out)
{
	struct pst_bus *bus = sub->bus;

	if (!bus_publishes(bus, out->id) || (out->input && out->input != sub))
		return -EINVAL;
	adopt(sub, out);
	resume_at(&sub->topic[topic], &out->words, topic);
	out->input = sub;
	out->positioned = true;
	sub->topic[topic].out = out;
	return 0;
}

static int restore(struct pst_sub *sub)
{
	struct pst_bus *bus = sub->bus;
	struct pst_ckpt_words words;
	char name[sizeof(sub->entry->name)];
	int r = 0;

	for (int i = 0; i < PST_TOPICS && r == 0; i++) {
		if (!sub->topic[i].wanted)
			continue;
		if (sub->config.resume == PST_RESUME_OUT_SAME)
			r = tie(sub, i, &bus->topic[i]);
		else if (sub->config.resume == PST_RESUME_OUT_ALERT)
			r = tie(sub, i, &bus->topic[PST_TOPIC_ALERT]);
	}
	if (r < 0 || sub->config.resume != PST_RESUME_OWN)
		return r;
	if ((size_t)snprintf(name, sizeof(name), "in:%s", sub->publisher) >= sizeof(name))
		return -ENAMETOOLONG;
	sub->entry = pst_ckpt_entry(bus->ckpt, name, sub->publisher, true);
	if (!sub->entry)
		return -ENOSPC;
	for (int i = 0; i < PST_TOPICS && pst_ckpt_load(sub->entry, &words); i++)
		if (sub->topic[i].wanted)
			resume_at(&sub->topic[i], &words, i);
	return 0;
}

static int open_sources(struct pst_sub *sub)
{
	struct pst_loop *loop = sub->bus->loop;
	char path[BUS_PATH_MAX];
	int r = pst_loop_timer(loop, bus_repair_retry, sub, &sub->retry);

	r = r < 0 ? r : pst_loop_timer(loop, bus_sub_dial, sub, &sub->dial);
	r = r < 0 ? r : bus_path(sub->path, sub->bus->run_dir, sub->publisher, ".pub");
	r = r < 0 ? r : bus_path(path, sub->bus->run_dir, sub->publisher, ".ctl");
	return r < 0 ? r : ctl_client_new(loop, path, &sub->peer, &sub->client);
}

static void sub_freep(struct pst_sub **sub)
{
	if (*sub)
		bus_sub_free(*sub);
}

int pst_bus_subscribe(struct pst_bus *bus, const struct pst_sub_config *config, struct pst_sub **ret_sub)
{
	PST_CLEANUP(sub_freep) struct pst_sub *sub = calloc(1, sizeof(*sub));

	if (!sub)
		return -ENOMEM;
	sub->bus = bus;
	sub->fd = -1;
	sub->config = *config;
	if (!*config->publisher || strlen(config->publisher) > BUS_NAME_MAX || bus->started)
		return -EINVAL;
	memcpy(sub->publisher, config->publisher, strlen(config->publisher) + 1);
	sub->config.publisher = sub->publisher;
	for (int i = 0; i < PST_TOPICS; i++)
		sub->topic[i].wanted = config->topics & 1u << i;
	bus_peer_user(bus, sub->publisher, &sub->peer);
	int r = open_sources(sub);
	r = r < 0 ? r : restore(sub);
	if (r < 0)
		return r;
	sub->next = bus->subs;
	bus->subs = sub;
	*ret_sub = PST_TAKE_PTR(sub);
	return 0;
}

int bus_sub_start(struct pst_sub *sub)
{
	pst_timer_arm(sub->dial, 0, 0);
	return 0;
}

void bus_sub_free(struct pst_sub *sub)
{
	ctl_client_free(sub->client);
	pst_source_free(sub->io);
	pst_source_free(sub->dial);
	pst_source_free(sub->retry);
	pst_closep(&sub->fd);
	pst_buf_done(&sub->rx);
	for (int i = 0; i < PST_TOPICS; i++) {
		while (sub->topic[i].pending)
			bus_sub_drop_pending(sub, &sub->topic[i].pending);
		if (sub->topic[i].out)
			sub->topic[i].out->input = NULL;
	}
	free(sub);
}

void pst_sub_state(const struct pst_sub *sub, struct pst_sub_state *ret_state)
{
	*ret_state = (struct pst_sub_state){
		.connected = sub->greeted, .last_rx_ns = sub->last_rx_ns, .lag_ns = sub->lag_ns};
	for (int i = 0; i < PST_TOPICS; i++) {
		ret_state->next_seq[i] = sub->topic[i].next;
		if (sub->topic[i].have)
			ret_state->epoch = sub->topic[i].epoch;
	}
}
