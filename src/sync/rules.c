/* Which rows of docs/sync-rules.md gave the answers of a run, and how often: told at -v, where the
 * end-to-end tests see that every row is reached. */
#include "sync/account.h"

#include "base/log.h"
#include "base/text.h"

void note_rule(struct account *account, enum rule_table table, int number)
{
	pthread_mutex_lock(&account->mutex);
	account->rules[table][number]++;
	pthread_mutex_unlock(&account->mutex);
}

static void put_count(struct text *line, const char *table, size_t number, uint32_t count)
{
	if (count != 0)
		text_printf(line, " %s%zu=%u", table, number, count);
}

static void count_folder_rules(struct account *account)
{
	for (size_t i = 0; i < account->n_folders; i++)
		account->rules[RULES_FOLDERS][account->folders[i].plan.rule]++;
}

void tell_rules(struct account *account)
{
	static const char *const tables[RULE_TABLES] = {
		[RULES_REPAIR] = "R",  [RULES_MATCH] = "M", [RULES_DECIDE] = "",
		[RULES_FOLDERS] = "F", [RULES_GUARD] = "G", [RULES_ATTEMPTS] = "A",
	};
	struct text line = {0};

	if (log_get_level() < LOG_VERBOSE)
		return;
	count_folder_rules(account);
	for (size_t step = 0; step < STEP_COUNT; step++)
		account->rules[RULES_MATCH][step] = account->world.found[step];
	for (size_t table = 0; table < RULE_TABLES; table++) {
		for (size_t i = table == RULES_DECIDE ? 0 : 1; i < RULE_COUNT; i++)
			put_count(&line, tables[table], i, account->rules[table][i]);
	}
	if (line.len != 0)
		log_verbose("rules of docs/sync-rules.md, and how often:%s", text_get(&line));
	text_release(&line);
}
