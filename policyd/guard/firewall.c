// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/firewall_internal.h"

#include <errno.h>
#include <string.h>

#include "policyd/fw/parse.h"
#include "policyd/guard/counts.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/own.h"

#define RUNTIME_FILE "policyd.firewall.yaml"
#define SETS_FILE    "policyd.sets"
#define PLACES_FILE  "policyd.places"
/* Packets that a new table is compared with its rules on. The plain evaluation takes some nanoseconds a rule
 * and element of a list: more of them, fewer packets, but never few, and never for seconds. */
#define VERIFY_WORK       8000000u
#define VERIFY_LEAST      2000u
#define VERIFY_MOST       20000u
#define VERIFY_LEAST_WORK 60000000u /* what the least may cost */
#define VERIFY_BOTTOM     64u

static void rules_done(struct firewall_rules *r)
{
	fw_ruleset_free(r->set);
	free(r->fresh);
	*r = (struct firewall_rules){0};
}

/* ---- compiling ---- */

const char *firewall_name(const struct firewall *fw)
{
	return fw->path && fw->text ? fw->path : fw->runtime_path;
}

/* How much would do, found out in memory of our own. */
static void say_too_large(
	const char *name, const struct fw_ruleset *set, uint32_t n_lines, struct pst_conf_errors *errors)
{
	PST_CLEANUP(guard_staged_done) struct guard_staged scratch = {0};
	struct fw_compiled compiled = {.lines = 2 * n_lines};

	if (!guard_stage(FIREWALL_CHECK_LINES, 1, &scratch))
		fw_compile(set, scratch.lines, scratch.n, 1, &compiled);
	pst_conf_error(errors, name, 0, 0,
		"the rules do not fit into the table, which has %s: raise loader.guard.firewall_memory to %s",
		guard_memory_for(n_lines).text, guard_memory_for(compiled.lines).text);
}

static int compile(const char *name, const struct fw_ruleset *set, struct guard_staged *staged,
	struct pst_conf_errors *errors)
{
	struct fw_compiled compiled;
	int e = fw_compile(set, staged->lines, staged->n, (uint32_t)staged->generation, &compiled);

	if (e == -ENOSPC)
		say_too_large(name, set, staged->n, errors);
	else if (e == -E2BIG)
		pst_conf_error(errors, name, 0, 0,
			"more than %d rules, or than %d that continue, or than %d with addresses and ports "
			"in one list",
			PST_FW_RULES_MAX, PST_FW_NEXT_MAX, PST_FW_PAIRED_MAX);
	else if (e)
		pst_conf_error(errors, name, 0, 0, "%s", strerror(-e));
	if (!e)
		staged->used = compiled.lines;
	return e;
}

/* Steps of the plain evaluation of one packet. */
static size_t steps(const struct fw_ruleset *set)
{
	size_t n = 1;

	for (size_t i = 0; i < set->n; i++) {
		const struct fw_rule *r = &set->rules[i];

		n += 1 + r->src.n + r->dst.n + r->ends[0].n + r->ends[1].n + r->sport.n + r->dport.n +
		     r->icmp.n + r->vlan.n + r->n_ifaces;
	}
	return n;
}

static size_t samples_for(const struct fw_ruleset *set)
{
	size_t work = steps(set), n = VERIFY_WORK / (set->n + 1);

	n = PST_MIN(PST_MAX(n, (size_t)VERIFY_LEAST), (size_t)VERIFY_MOST);
	return PST_MIN(n, PST_MAX(VERIFY_LEAST_WORK / work, (size_t)VERIFY_BOTTOM));
}

/* The table says what the rules say, or it does not come into force. */
static int verify(struct firewall *fw, const struct fw_ruleset *set, const struct guard_staged *staged,
	struct pst_conf_errors *errors)
{
	struct pst_fw_packet packet;

	if (fw_verify(set, staged->lines, staged->n, samples_for(set), staged->generation, &packet))
		return 0;
	fw->mismatches->value++;
	pst_conf_error(errors, firewall_name(fw), 0, 0,
		"the compiled table differs from its rules: this is a bug of penstock-policyd, please report "
		"the "
		"rules");
	return -EILSEQ;
}

/* Where the rules of @r count, and the table. @r and @staged are the caller's also after an error. */
static int prepare(struct firewall *fw, const struct guard_table *table, struct firewall_rules *r,
	struct guard_staged *staged, struct pst_conf_errors *errors)
{
	const struct fw_ruleset *old = fw->current.set ? fw->current.set : fw->hint;
	int e;

	r->fresh = calloc(r->set->n + 1, sizeof(*r->fresh));
	e = r->fresh ? fw_counters_assign(old, r->set, PST_FW_COUNTERS, r->fresh) : -ENOMEM;
	e = e ? e : guard_stage(table->n, guard_next_generation(table), staged);
	if (e) {
		pst_conf_error(errors, firewall_name(fw), 0, 0, "%s",
			e == -ENOSPC ? "more rules than counters" : strerror(-e));
		return e;
	}
	e = compile(firewall_name(fw), r->set, staged, errors);
	return e ? e : verify(fw, r->set, staged, errors);
}

/* What is prepared takes the place of what waited. */
static void replace_next(struct firewall *fw, struct firewall_rules *r, struct guard_staged *staged)
{
	rules_done(&fw->next);
	guard_staged_done(&fw->staged);
	fw->next = *r;
	fw->staged = *staged;
	fw->pending = true;
	*r = (struct firewall_rules){0};
	*staged = (struct guard_staged){0};
}

int firewall_build(struct firewall *fw, const struct guard_tables *tables,
	const struct runtime_rules *runtime, const char *text, size_t len, struct pst_conf_errors *errors)
{
	PST_CLEANUP(rules_done) struct firewall_rules r = {0};
	PST_CLEANUP(guard_staged_done) struct guard_staged staged = {0};
	struct ifname_list before = fw->ifnames.noted;
	int e;

	fw->ifnames.noted = (struct ifname_list){0};
	fw->ifnames.known = text == fw->text ? &before : NULL; /* what was good once stays so */
	e = firewall_read_rules(fw, runtime, text, len, errors, &r);
	fw->ifnames.known = NULL;
	if (!e && r.set && guard_tables_mapped(tables))
		e = prepare(fw, &tables->firewall, &r, &staged, errors);
	if (e) {
		ifname_list_done(&fw->ifnames.noted);
		fw->ifnames.noted = before;
		return e;
	}
	ifname_list_done(&before);
	replace_next(fw, &r, &staged);
	return 0;
}

/* At first there is nothing that could stay in force: the file's rules alone are better than none. */
static bool build_without(
	struct firewall *fw, const struct guard_tables *tables, const char *text, size_t len)
{
	static const struct runtime_rules none;
	struct pst_conf_errors errors = {0};
	bool first = !fw->pending && !guard_generation(&tables->firewall);
	bool done = first && fw->runtime.n && text && !firewall_build(fw, tables, &none, text, len, &errors);

	if (done)
		pst_error("the rules that were added by command are left out path=%s", fw->runtime_path);
	pst_conf_errors_done(&errors);
	return done;
}

int firewall_load(struct firewall *fw, const struct guard_tables *tables, struct pst_conf_errors *errors)
{
	PST_FREE char *text = NULL;
	size_t len = 0;
	int e = firewall_read_text(fw->path, fw->named, &text, &len, errors);

	if (e)
		return e;
	e = firewall_build(fw, tables, &fw->runtime, text, len, errors);
	if (e && !build_without(fw, tables, text, len))
		return e;
	free(fw->text);
	fw->text = PST_TAKE_PTR(text);
	fw->text_len = len;
	fw->loaded = true;
	return e;
}

/* The rules as they were understood when they came into force: an interface that they name may be gone. */
static bool build_current(struct firewall *fw, const struct guard_tables *tables)
{
	PST_CLEANUP(guard_staged_done) struct guard_staged staged = {0};
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	struct firewall_rules r = {.set = fw->current.set, .n_runtime = fw->current.n_runtime};

	if (!r.set || !guard_tables_mapped(tables) || guard_generation(&tables->firewall))
		return false;
	if (prepare(fw, &tables->firewall, &r, &staged, &errors)) {
		free(r.fresh);
		return false;
	}
	free(fw->current.fresh);
	fw->current = (struct firewall_rules){0};
	replace_next(fw, &r, &staged);
	return true;
}

int firewall_renew(struct firewall *fw, const struct guard_tables *tables, struct pst_conf_errors *errors)
{
	int e = firewall_build(fw, tables, &fw->runtime, fw->text, fw->text_len, errors);

	if (e && !build_current(fw, tables))
		build_without(fw, tables, fw->text, fw->text_len);
	return e;
}

/* ---- coming into force ---- */

static void publish(
	struct firewall *fw, struct guard_table *table, uint64_t now_ns, const struct guard_tables *tables)
{
	uint64_t generation = guard_next_generation(table);

	for (size_t i = 0; i < fw->next.set->n; i++)
		if (fw->next.fresh[i])
			guard_count_clear(tables, fw->next.set->rules[i].counter);
	memcpy(guard_half(table, generation), fw->staged.lines, fw->staged.used * sizeof(union pst_line));
	/* Before the switch: without it the counters would begin anew if we ended between the two. */
	saving_note(
		&fw->saved_places, runtime_places_save(fw->places_path, fw->group, fw->next.set, generation));
	guard_switch(table, generation, now_ns);
	fw->published = generation;
	pst_info("firewall in force rules=%zu generation=%llu", fw->next.set->n,
		(unsigned long long)generation);
}

static void show_stats(struct firewall *fw, const struct guard_table *table)
{
	fw->rules->value = fw->current.set ? fw->current.set->n : 0;
	fw->generation->value = guard_generation(table);
}

uint64_t firewall_commit(struct firewall *fw, struct guard_tables *tables, uint64_t now_ns)
{
	struct guard_table *table = &tables->firewall;
	uint64_t left = guard_grace_left(table, now_ns);

	if (!fw->pending || !guard_tables_mapped(tables))
		return 0;
	if (fw->next.set && left)
		return left;
	if (fw->next.set)
		publish(fw, table, now_ns, tables);
	else if (guard_generation(table))
		guard_switch_off(table, now_ns);
	rules_done(&fw->current);
	fw->current = fw->next;
	fw->next = (struct firewall_rules){0};
	fw_ruleset_free(fw->hint); /* its places are others' from now on */
	fw->hint = NULL;
	guard_staged_done(&fw->staged);
	fw->pending = false;
	show_stats(fw, table);
	return 0;
}

void firewall_tick(struct firewall *fw, const struct guard_tables *tables)
{
	uint64_t generation = guard_generation(&tables->firewall);

	if (saving_due(&fw->saved_rules))
		saving_note(&fw->saved_rules, runtime_rules_save(fw->runtime_path, &fw->runtime));
	if (saving_due(&fw->saved_sets))
		saving_note(&fw->saved_sets, runtime_sets_save(fw->sets_path, &fw->sets));
	if (generation && fw->current.set && saving_due(&fw->saved_places))
		saving_note(&fw->saved_places,
			runtime_places_save(fw->places_path, fw->group, fw->current.set, generation));
}

void firewall_tables_changed(struct firewall *fw, const struct guard_tables *tables)
{
	uint64_t generation = guard_generation(&tables->firewall);
	int e;

	/* what waited was for the other tables */
	rules_done(&fw->next);
	guard_staged_done(&fw->staged);
	fw->pending = false;
	fw_ruleset_free(fw->hint);
	fw->hint = NULL;
	if (!generation || fw->current.set)
		return;
	e = runtime_places_load(fw->places_path, generation, &fw->hint);
	if (e)
		pst_info("counters of the rules in force begin anew: it is not known where they count "
			 "error=\"%s\"",
			strerror(-e));
}

/* ---- the whole ---- */

int firewall_open(struct firewall *fw, const char *path, bool named, const char *run_dir)
{
	int e;

	*fw = (struct firewall){.path = path, .named = named, .group = pst_own_group()};
	fw->rules = pst_gauge("firewall_rules", "firewall rules in force");
	fw->generation = pst_gauge("firewall_generation", "number of the firewall's table in force, 0: none");
	fw->mismatches = pst_counter("firewall_verify_mismatches",
		"compiled tables that differed from their rules and were not used");
	if (asprintf(&fw->runtime_path, "%s/" RUNTIME_FILE, run_dir) < 0)
		fw->runtime_path = NULL;
	if (asprintf(&fw->sets_path, "%s/" SETS_FILE, run_dir) < 0)
		fw->sets_path = NULL;
	if (asprintf(&fw->places_path, "%s/" PLACES_FILE, run_dir) < 0)
		fw->places_path = NULL;
	e = ifnames_open(&fw->ifnames);
	if (e || !fw->runtime_path || !fw->sets_path || !fw->places_path)
		return e ? e : -ENOMEM;
	saving_open(&fw->saved_rules, fw->runtime_path, "firewall");
	saving_open(&fw->saved_sets, fw->sets_path, "sets");
	saving_open(&fw->saved_places, fw->places_path, "places");
	e = runtime_rules_load(fw->runtime_path, &fw->runtime);
	if (e)
		pst_error("rules that were added by command are lost path=%s error=\"%s\"", fw->runtime_path,
			strerror(-e));
	e = runtime_sets_load(fw->sets_path, &fw->sets);
	if (e)
		pst_error("elements of sets that were added or deleted by command are lost path=%s "
			  "error=\"%s\"",
			fw->sets_path, strerror(-e));
	return 0;
}

void firewall_close(struct firewall *fw)
{
	ifnames_close(&fw->ifnames);
	runtime_rules_done(&fw->runtime);
	runtime_sets_done(&fw->sets);
	fw_ruleset_free(fw->hint);
	rules_done(&fw->current);
	rules_done(&fw->next);
	guard_staged_done(&fw->staged);
	free(fw->text);
	free(fw->runtime_path);
	free(fw->sets_path);
	free(fw->places_path);
}

int firewall_check(const char *path, bool named, struct pst_conf_errors *errors)
{
	PST_CLEANUP(fw_ruleset_freep) struct fw_ruleset *set = NULL;
	PST_CLEANUP(guard_staged_done) struct guard_staged scratch = {0};
	PST_CLEANUP(ifnames_close) struct ifnames ifnames = {.sock = -1};
	PST_FREE char *text = NULL;
	size_t len;
	int e = ifnames_open(&ifnames);

	e = e ? e : firewall_read_text(path, named, &text, &len, errors);
	if (e || !text)
		return e;
	e = firewall_parse(&ifnames, path, text, len, NULL, errors, &set);
	e = e ? e : guard_stage(FIREWALL_CHECK_LINES, 1, &scratch);
	return e ? e : compile(path, set, &scratch, errors);
}

const struct firewall_rules *firewall_shown(const struct firewall *fw)
{
	if (fw->pending)
		return fw->next.set ? &fw->next : NULL;
	return fw->current.set ? &fw->current : NULL;
}

const char *firewall_state(const struct firewall *fw, const struct guard_tables *tables)
{
	if (!fw->pending && fw->current.set && guard_tables_mapped(tables) && !guard_tables_moved(tables) &&
		guard_generation(&tables->firewall) != fw->published)
		return "changed by another";
	return guard_state(tables, &tables->firewall, fw->pending);
}
