/* What a killed run sent (docs/sync-rules.md, M1). Its answer was never seen, so the arrivals are searched
 * for it: above the UIDNEXT noted before it was sent, with the same contents; and if something was stored
 * there that is not there any more, in the whole account, because another device may have moved it on. */
#include "core/match_private.h"

#include <string.h>

#define DAY 86400

/* The date as it was sent; or about the time it was sent, for servers that lose the date. */
static bool attempt_date_fits(const struct attempt *attempt, int64_t date)
{
	return date == attempt->date || (date > attempt->time - DAY && date < attempt->time + DAY);
}

static uint32_t folder_index(const struct world *world, uint32_t id)
{
	for (uint32_t f = 0; f < world->n; f++) {
		if (world->folders[f].id == id && id != 0)
			return f;
	}
	return NOWHERE;
}

/* UIDs of another life of the mailbox say nothing about this one. */
static bool uids_compare(const struct world_folder *folder, const struct attempt *attempt)
{
	return folder->on_server &&
	       (folder->uidvalidity == 0 || folder->uidvalidity == attempt->uidvalidity);
}

/* Messages stored in the folder since the attempt that are not there any more. */
static bool something_left(const struct world *world, uint32_t f, uint32_t from)
{
	const struct snapshot *snapshot = world->folders[f].snapshot;
	uint32_t stored, seen = 0;

	if (world->folders[f].uidnext <= from)
		return false;
	stored = world->folders[f].uidnext - from;
	for (size_t i = 0; i < snapshot->n_arrivals; i++)
		seen += snapshot->arrivals[i].uid >= from;
	for (size_t i = 0; i < snapshot->n; i++)
		seen += snapshot->messages[i].uid >= from &&
			snapshot->messages[i].remote_presence == PRESENCE_HERE;
	return stored > seen;
}

/* Calls for every arrival that may be the attempt: its folder first, then, if something has left it,
 * the whole account. fn returns true to end the walk. */
typedef bool candidate_fn(void *ctx, struct world *world, struct place place);

static bool candidates_in(struct world *world, const struct attempt *attempt, uint32_t f,
			  uint32_t from, candidate_fn *fn, void *ctx)
{
	struct snapshot *snapshot = world->folders[f].snapshot;

	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		struct remote_message *arrival = &snapshot->arrivals[i];

		if (arrival_is_free(arrival) && arrival->uid >= from &&
		    attempt_date_fits(attempt, arrival->facts->date) &&
		    fn(ctx, world, (struct place){.folder = f, .at = i}))
			return true;
	}
	return false;
}

static void each_candidate(struct world *world, const struct attempt *attempt, candidate_fn *fn,
			   void *ctx)
{
	uint32_t home = folder_index(world, attempt->folder);

	if (attempt->state != ATTEMPT_OPEN || home == NOWHERE ||
	    !uids_compare(&world->folders[home], attempt))
		return;
	if (candidates_in(world, attempt, home, attempt->uidnext, fn, ctx))
		return;
	if (attempt->kind == ATTEMPT_MOVE || !something_left(world, home, attempt->uidnext))
		return;
	for (uint32_t f = 0; f < world->n; f++) {
		if (f != home && candidates_in(world, attempt, f, 0, fn, ctx))
			return;
	}
}

static bool want_candidate(void *ctx, struct world *world, struct place place)
{
	struct remote_message *arrival = arrival_at(world, place);

	*(bool *)ctx |= mark(&arrival->wants_body, !hash_is_none(&arrival->facts->content));
	return false;
}

bool match_wants_attempts(struct world *world, const struct attempt *attempts, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++)
		each_candidate(world, &attempts[i], want_candidate, &any);
	return any;
}

struct attempt_search {
	const struct attempt *attempt;
	struct attempt_result *result;
};

static bool is_attempt(void *ctx, struct world *world, struct place place)
{
	struct attempt_search *search = ctx;
	struct remote_message *arrival = arrival_at(world, place);

	if (!hash_equal(&arrival->facts->content, &search->attempt->content))
		return false;
	search->result->remote = place;
	arrival->taken = true;
	return true;
}

void match_attempts(struct world *world, const struct attempt *attempts, size_t n,
		    struct attempt_result *results)
{
	for (size_t i = 0; i < n; i++) {
		struct attempt_search search = {&attempts[i], &results[i]};
		uint32_t home = folder_index(world, attempts[i].folder);

		results[i] = (struct attempt_result){.remote.folder = NOWHERE};
		each_candidate(world, &attempts[i], is_attempt, &search);
		results[i].elsewhere =
			results[i].remote.folder != NOWHERE && results[i].remote.folder != home;
		results[i].did_not_happen = home != NOWHERE &&
					    uids_compare(&world->folders[home], &attempts[i]) &&
					    world->folders[home].uidnext == attempts[i].uidnext;
	}
}

void world_pair_elsewhere(struct world *world, struct place remote, const char *base,
			  const struct hash *content)
{
	for (uint32_t f = 0; f < world->n; f++) {
		const struct snapshot *snapshot = world->folders[f].snapshot;

		for (size_t i = 0; i < snapshot->n_files; i++) {
			const struct local_message *file = &snapshot->files[i];

			if (file_is_free(file) && strcmp(file->base, base) == 0 &&
			    hash_equal(&file->facts->content, content)) {
				match_pair(world, remote, (struct place){.folder = f, .at = i});
				return;
			}
		}
	}
}
