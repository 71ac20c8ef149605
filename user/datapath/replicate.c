// SPDX-License-Identifier: GPL-2.0-only
/* What state replication (user/sync/states.h) needs of the data plane: the table, the log of what has changed in it, and names. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fairlead/sync.h"
#include "user/datapath/private.h"
#include "user/lib/log.h"
#include "user/sync/states_record.h"

#define TRANSLATION_TEXT 256

static size_t log_bytes(const struct datapath *dp)
{
	return (sizeof(struct fl_sync_log) * (dp->n_cpus + 1) + sysconf(_SC_PAGESIZE) - 1) / sysconf(_SC_PAGESIZE) *
	       sysconf(_SC_PAGESIZE);
}

int sync_log_open(struct datapath *dp)
{
	void *logs = mmap(NULL, log_bytes(dp), PROT_READ | PROT_WRITE, MAP_SHARED, dp->maps[DP_MAP_SYNC_LOG].fd, 0);

	if (logs == MAP_FAILED)
		return log_ret(errno, "cannot map fl_sync_log");
	dp->sync_logs = logs;
	return 0;
}

void sync_log_close(struct datapath *dp)
{
	if (dp->sync_logs)
		munmap(dp->sync_logs, log_bytes(dp));
	dp->sync_logs = NULL;
}

void datapath_replicated(struct datapath *dp, struct datapath_replicated *out)
{
	*out = (struct datapath_replicated){
		.table = &dp->states, .logs = dp->sync_logs, .n_logs = dp->n_cpus + 1, .epoch = dp->states_epoch
	};
}

void datapath_replicate(struct datapath *dp, bool on)
{
	uint8_t sync = on ? dp->control.sync | FL_SYNC_STATES : dp->control.sync & ~FL_SYNC_STATES;

	if (sync == dp->control.sync)
		return;
	dp->control.sync = sync;
	control_write(dp);
}

void datapath_on_end(struct datapath *dp, const struct datapath_end_ops *ops)
{
	dp->end = ops ? *ops : (struct datapath_end_ops){};
}

bool end_connection(struct datapath *dp, const struct states_entry *e, enum states_why why)
{
	bool ended = states_end(&dp->states, e->slot, e->tag);

	if (ended && dp->end.ended)
		dp->end.ended(dp->end.arg, e, why);
	return ended;
}

bool ask_for_resets(struct datapath *dp, const struct states_entry *e)
{
	return e->state.flags & FL_STATE_PEER && can_be_reset(&e->state) && dp->end.reset &&
	       dp->end.reset(dp->end.arg, e);
}

void datapath_reset(struct datapath *dp, const struct states_entry *entry)
{
	char *why = NULL;

	if (!dp->asked && resets_open(&dp->asked, dp, &why)) {
		log_warnx("%s", why ? why : "resets can't be sent");
		resets_close(dp->asked);
		dp->asked = NULL;
	}
	free(why);
	if (dp->asked)
		resets_send(dp->asked, entry);
}

void datapath_stand_by(struct datapath *dp, bool stands_by)
{
	dp->stands_by = stands_by;
}

bool is_another_nodes(const struct datapath *dp, const struct states_entry *e)
{
	return dp->stands_by && e->state.flags & FL_STATE_PEER;
}

/* ---- names ---- */

/* Numbers may be others on the other node, names and prefixes are not. */
static const char *translation_text(const struct datapath *dp, const struct fl_npt *npt, char text[TRANSLATION_TEXT])
{
	struct prefix internal = { addr_from_map(&npt->internal), npt->internal_len };
	struct prefix external = { addr_from_map(&npt->external), npt->external_len };
	char in[PREFIX_STRLEN], out[PREFIX_STRLEN];

	snprintf(text, TRANSLATION_TEXT, "%s %s %s", npt->port < FL_PORTS_MAX ? dp->ports[npt->port].name : "",
		 prefix_format(&internal, in), prefix_format(&external, out));
	return text;
}

static const struct tables *tables_now(const struct datapath *dp)
{
	return dp->sets[FL_GEN_SET(dp->control.gen)];
}

static json_t *rules_json(const struct datapath *dp)
{
	json_t *rows = json_array();

	for (uint32_t id = 1; id < FL_RULE_ID_DEFAULT_IN; id++) {
		const struct fl_rule_name *name = policy_ids_name(dp->rule_ids, id);

		if (name)
			json_array_append_new(rows, json_pack("[i,i,s%]", (int)id, (int)name->kind, name->name,
							      strnlen(name->name, sizeof(name->name))));
	}
	return rows;
}

static json_t *gateways_json(const struct datapath *dp)
{
	json_t *rows = json_array();

	for (int i = 1; i < FL_GATEWAYS_MAX; i++)
		if (dp->gateway_names[i][0])
			json_array_append_new(rows, json_pack("[i,s%]", i, dp->gateway_names[i],
							      strnlen(dp->gateway_names[i], FL_GATEWAY_NAME_MAX)));
	return rows;
}

static json_t *translations_json(const struct datapath *dp)
{
	const struct tables *tables = tables_now(dp);
	json_t *rows = json_array();
	char text[TRANSLATION_TEXT];

	for (size_t i = 0; tables && i < tables->n_npts; i++)
		json_array_append_new(rows, json_pack("[i,s]", (int)tables->npts[i].index,
						      translation_text(dp, &tables->npts[i].value, text)));
	return rows;
}

char *datapath_names(struct datapath *dp)
{
	json_t *names = json_pack("{s:o,s:o,s:o}", "rules", rules_json(dp), "gateways", gateways_json(dp),
				  "translations", translations_json(dp));
	char *text = names ? json_dumps(names, JSON_COMPACT) : NULL;

	json_decref(names);
	return text;
}

static int understand_rules(const struct datapath *dp, const json_t *rows, uint16_t rule[FL_RULE_IDS_MAX])
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *name;
		int id, kind;

		if (json_unpack(row, "[i,i,s]", &id, &kind, &name))
			return -EINVAL;
		if (id > 0 && id < FL_RULE_IDS_MAX)
			rule[id] = policy_ids_find(dp->rule_ids, (enum fl_rule_kind)kind, name);
	}
	return 0;
}

/* 0: none here is called so. */
typedef uint16_t here_fn(const struct datapath *dp, const char *text);

static uint16_t gateway_here(const struct datapath *dp, const char *name)
{
	return *name ? gateway_number(dp, name) : 0;
}

static uint16_t translation_here(const struct datapath *dp, const char *text)
{
	const struct tables *tables = tables_now(dp);
	char own[TRANSLATION_TEXT];

	for (size_t i = 0; tables && i < tables->n_npts; i++)
		if (!strcmp(translation_text(dp, &tables->npts[i].value, own), text))
			return tables->npts[i].index;
	return 0;
}

/* Those that a number and a text say all of. */
static int understand(const struct datapath *dp, const json_t *rows, here_fn *here, uint16_t *numbers, int max)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *text;
		int number;

		if (json_unpack(row, "[i,s]", &number, &text))
			return -EINVAL;
		if (number > 0 && number < max)
			numbers[number] = here(dp, text);
	}
	return 0;
}

static void understand_mappings(const struct datapath *dp, bool mapped[FL_RULE_IDS_MAX])
{
	const struct tables *tables = tables_now(dp);
	const struct policy *policy = tables ? tables->policy : NULL;

	for (uint32_t place = 0; policy && place < policy->places[FL_LIST_SNAT]; place++) {
		const struct fl_nat *nat = &policy->nats[FL_LIST_SNAT][place];

		if (nat->flags & FL_NAT_EIM && !(nat->flags & FL_NAT_STATIC_PORT))
			mapped[nat->id] = true;
	}
}

int datapath_understand(struct datapath *dp, const char *text, size_t len, struct states_numbers_of *numbers)
{
	json_t *names = json_loadb(text, len, 0, NULL);
	int err = json_is_object(names) ? 0 : -EINVAL;

	err = err ?: understand_rules(dp, json_object_get(names, "rules"), numbers->rule);
	err = err
		      ?: understand(dp, json_object_get(names, "gateways"), gateway_here, numbers->gateway,
				    FL_GATEWAYS_MAX);
	err = err ?: understand(dp, json_object_get(names, "translations"), translation_here, numbers->npt, FL_NPT_MAX);
	understand_mappings(dp, numbers->mapped);
	json_decref(names);
	return err;
}
