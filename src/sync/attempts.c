/* The attempts that the run found in the base: which file is in the middle of what. They are asked for once
 * a file, so there is an index of their names. */
#include "sync/account.h"

#include <string.h>
#include <time.h>

#define DOUBT_SECONDS 60

int attempts_read(struct account *account, struct error *err)
{
	if (state_get_attempts(account->state, account->arena, &account->attempts,
			       &account->n_attempts, err) != 0)
		return -1;
	for (size_t i = 0; i < account->n_attempts; i++)
		index_add(&account->attempt_names, index_key_string(account->attempts[i].base),
			  (uint32_t)i);
	index_build(&account->attempt_names);
	return 0;
}

struct attempt *attempt_of(const struct account *account, const struct sync_folder *folder,
			   const char *base)
{
	const struct index *names = &account->attempt_names;

	for (uint32_t e = index_first(names, index_key_string(base)); e != INDEX_END;
	     e = index_next(names, e)) {
		struct attempt *attempt = &account->attempts[index_value(names, e)];

		if (attempt->state != ATTEMPT_SETTLED && attempt->folder == folder->record.id &&
		    strcmp(attempt->base, base) == 0)
			return attempt;
	}
	return NULL;
}

bool attempt_is_old(const struct attempt *attempt)
{
	int64_t now = (int64_t)time(NULL);

	return now >= attempt->time + DOUBT_SECONDS || now < attempt->time;
}

void attempt_forget(struct account *account, struct attempt *attempt)
{
	attempt->state = ATTEMPT_SETTLED;
	state_delete_attempt(account->workers[0].batch, attempt->folder, attempt->base);
}
