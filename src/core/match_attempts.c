/* What a killed run sent (docs/sync-rules.md, M1). Its answer was never seen, so the arrivals are searched
 * for it: above the UIDNEXT noted before it was sent, with the same contents; and if something was stored
 * there that is not there any more, in the whole account, because another device may have moved it on.
 * First all by their contents; only what is then left on both sides by Message-ID and date, for servers that
 * rewrite what they store. */
#include "core/match_private.h"

#include <string.h>

#define DAY 86400

/* The date as it was sent; or about the time it was sent, for servers that lose the date. */
static bool attempt_date_fits(const struct world *world, const struct attempt *attempt,
			      int64_t date)
{
	return world->dates != DATES_KEPT || date == attempt->date ||
	       (date > attempt->time - DAY && date < attempt->time + DAY);
}

static bool same_date(const struct world *world, int64_t a, int64_t b)
{
	return world->dates == DATES_FRESH || a == b;
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
	return folder->on_server && !folder->snapshot->void_uids &&
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
 * the whole account. Of a mailbox whose UIDs began anew all is new. fn returns true to end the walk. */
typedef bool candidate_fn(void *ctx, struct world *world, struct place place);

static bool candidates_in(struct world *world, const struct attempt *attempt, uint32_t f,
			  uint32_t from, candidate_fn *fn, void *ctx)
{
	struct snapshot *snapshot = world->folders[f].snapshot;

	for (uint32_t i = 0; i < snapshot->n_arrivals; i++) {
		struct remote_message *arrival = &snapshot->arrivals[i];

		if (arrival_is_free(arrival) && arrival->uid >= from &&
		    attempt_date_fits(world, attempt, arrival->facts->date) &&
		    fn(ctx, world, (struct place){.folder = f, .at = i}))
			return true;
	}
	return false;
}

static void each_candidate(struct world *world, const struct attempt *attempt, candidate_fn *fn,
			   void *ctx)
{
	uint32_t home = folder_index(world, attempt->folder);
	bool same_life;

	if (attempt->state != ATTEMPT_OPEN || home == NOWHERE || !world->folders[home].on_server)
		return;
	same_life = uids_compare(&world->folders[home], attempt);
	if (candidates_in(world, attempt, home, same_life ? attempt->uidnext : 0, fn, ctx))
		return;
	if (attempt->kind == ATTEMPT_MOVE || !same_life ||
	    !something_left(world, home, attempt->uidnext))
		return;
	for (uint32_t f = 0; f < world->n; f++) {
		if (f != home && candidates_in(world, attempt, f, 0, fn, ctx))
			return;
	}
}

/* ---- what has to be fetched ---- */

struct wanting {
	const struct attempt *attempt;
	bool any;
};

static bool want_header(void *ctx, struct world *world, struct place place)
{
	struct wanting *wanting = ctx;
	struct remote_message *arrival = arrival_at(world, place);

	wanting->any |= mark(&arrival->wants_header, !hash_is_none(&arrival->facts->header));
	return false;
}

static bool want_body(void *ctx, struct world *world, struct place place)
{
	struct wanting *wanting = ctx;
	struct remote_message *arrival = arrival_at(world, place);

	if (hash_is_none(&wanting->attempt->header) ||
	    hash_equal(&arrival->facts->header, &wanting->attempt->header))
		wanting->any |= mark(&arrival->wants_body, !hash_is_none(&arrival->facts->content));
	return false;
}

static bool wants(struct world *world, const struct attempt *attempts, size_t n, candidate_fn *fn)
{
	struct wanting wanting = {0};

	for (size_t i = 0; i < n; i++) {
		wanting.attempt = &attempts[i];
		each_candidate(world, &attempts[i], fn, &wanting);
	}
	return wanting.any;
}

bool match_wants_attempt_headers(struct world *world, const struct attempt *attempts, size_t n)
{
	return wants(world, attempts, n, want_header);
}

bool match_wants_attempt_bodies(struct world *world, const struct attempt *attempts, size_t n)
{
	return wants(world, attempts, n, want_body);
}

/* ---- the search ---- */

struct attempt_search {
	const struct attempt *attempt;
	struct place found;
	size_t n; /* how many there are */
};

static bool is_attempt(void *ctx, struct world *world, struct place place)
{
	struct attempt_search *search = ctx;

	if (!hash_equal(&arrival_at(world, place)->facts->content, &search->attempt->content))
		return false;
	search->found = place;
	search->n = 1;
	return true;
}

static struct place find_by_content(struct world *world, const struct attempt *attempt)
{
	struct attempt_search search = {.attempt = attempt, .found.folder = NOWHERE};

	each_candidate(world, attempt, is_attempt, &search);
	return search.found;
}

/* The same Message-ID and the date that was sent, and no other that could be meant, on either side: the
 * server wrote the message anew. */
static bool has_its_id(void *ctx, struct world *world, struct place place)
{
	struct attempt_search *search = ctx;
	const struct remote_facts *facts = arrival_at(world, place)->facts;

	if (facts->message_id == search->attempt->message_id &&
	    same_date(world, facts->date, search->attempt->date)) {
		search->found = place;
		search->n++;
	}
	return false;
}

static bool is_single(const struct world *world, const struct attempt *attempts,
		      const struct attempt_result *results, size_t n, size_t at)
{
	size_t same = 0;

	for (size_t i = 0; i < n; i++) {
		same += attempts[i].state == ATTEMPT_OPEN && results[i].remote.folder == NOWHERE &&
			attempts[i].message_id == attempts[at].message_id &&
			same_date(world, attempts[i].date, attempts[at].date);
	}
	return same == 1;
}

static struct place find_by_id(struct world *world, const struct attempt *attempt)
{
	struct attempt_search search = {.attempt = attempt, .found.folder = NOWHERE};

	each_candidate(world, attempt, has_its_id, &search);
	if (search.n != 1)
		search.found.folder = NOWHERE;
	return search.found;
}

static void take(struct world *world, struct place place, struct attempt_result *result)
{
	result->remote = place;
	if (place.folder == NOWHERE)
		return;
	arrival_at(world, place)->taken = true;
	world->found[STEP_ATTEMPT]++;
}

static bool did_not_happen(const struct world *world, const struct attempt *attempt)
{
	uint32_t home = folder_index(world, attempt->folder);

	return home != NOWHERE && uids_compare(&world->folders[home], attempt) &&
	       world->folders[home].uidnext == attempt->uidnext;
}

void match_attempts(struct world *world, const struct attempt *attempts, size_t n,
		    struct attempt_result *results)
{
	for (size_t i = 0; i < n; i++) {
		results[i] = (struct attempt_result){.did_not_happen =
							     did_not_happen(world, &attempts[i])};
		take(world, find_by_content(world, &attempts[i]), &results[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (results[i].remote.folder == NOWHERE && attempts[i].message_id != 0 &&
		    is_single(world, attempts, results, n, i))
			take(world, find_by_id(world, &attempts[i]), &results[i]);
		results[i].elsewhere =
			results[i].remote.folder != NOWHERE &&
			results[i].remote.folder != folder_index(world, attempts[i].folder);
	}
}

static bool pair_in(struct world *world, uint32_t f, struct place remote,
		    const struct attempt *attempt)
{
	const struct snapshot *snapshot = world->folders[f].snapshot;

	for (uint32_t i = 0; i < snapshot->n_files; i++) {
		const struct local_message *file = &snapshot->files[i];

		if (file_is_free(file) && strcmp(file->base, attempt->base) == 0 &&
		    hash_equal(&file->facts->content, &attempt->content)) {
			match_pair(world, remote, (struct place){.folder = f, .at = i});
			return true;
		}
	}
	return false;
}

void world_pair_sent(struct world *world, struct place remote, const struct attempt *attempt)
{
	uint32_t home = folder_index(world, attempt->folder);

	if (home != NOWHERE && pair_in(world, home, remote, attempt))
		return;
	for (uint32_t f = 0; f < world->n; f++) {
		if (f != home && pair_in(world, f, remote, attempt))
			return;
	}
}
