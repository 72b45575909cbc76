#include "core/match.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/index.h"

void world_release(struct world *world)
{
	free(world->folders);
	free(world->lost);
	free(world->pairings);
	memset(world, 0, sizeof(*world));
}

void world_lose(struct world *world, uint32_t folder, size_t message, const struct record *record)
{
	world->lost = grow(world->lost, world->n_lost, &world->room_lost, sizeof(*world->lost));
	world->lost[world->n_lost++] = (struct lost){
		.folder = folder,
		.message = message,
		.record = *record,
		.file.folder = NOWHERE,
		.remote.folder = NOWHERE,
	};
}

static struct message *lost_message(const struct world *world, const struct lost *lost)
{
	return &world->folders[lost->folder].snapshot->messages[lost->message];
}

static bool is_lost_here(const struct world *world, const struct lost *lost)
{
	return lost_message(world, lost)->local_presence == PRESENCE_ABSENT &&
	       lost->file.folder == NOWHERE && lost->record.base[0] != '\0';
}

static bool is_lost_there(const struct world *world, const struct lost *lost)
{
	return lost_message(world, lost)->remote_presence == PRESENCE_ABSENT &&
	       lost->remote.folder == NOWHERE && state_is_remote(lost->record.state);
}

/* ---- walking the new ones ---- */

static bool file_is_free(const struct local_message *file)
{
	return !file->taken && !file->unreadable && file->facts != NULL;
}

/* A file of its own, not the edited version of a recorded one. */
static bool file_is_new(const struct local_message *file)
{
	return file_is_free(file) && file->replaces == NO_MESSAGE;
}

static bool arrival_is_free(const struct remote_message *arrival)
{
	return !arrival->taken && arrival->facts != NULL;
}

static struct local_message *file_at(const struct world *world, struct place place)
{
	return &world->folders[place.folder].snapshot->files[place.at];
}

static struct remote_message *arrival_at(const struct world *world, struct place place)
{
	return &world->folders[place.folder].snapshot->arrivals[place.at];
}

/* All new files, or arrivals, of the account under one kind of key. */
struct places {
	struct index index;
	struct place *list;
	size_t n;
	size_t room;
};

static void places_add(struct places *places, uint64_t key, uint32_t folder, size_t at)
{
	places->list = grow(places->list, places->n, &places->room, sizeof(*places->list));
	places->list[places->n] = (struct place){.folder = folder, .at = at};
	index_add(&places->index, key, (uint32_t)places->n++);
}

static void places_release(struct places *places)
{
	index_release(&places->index);
	free(places->list);
}

enum file_key { FILE_BY_BASE, FILE_BY_INODE, FILE_BY_CONTENT };

static uint64_t file_key(const struct local_message *file, enum file_key kind)
{
	switch (kind) {
	case FILE_BY_BASE: return index_key_string(file->base);
	case FILE_BY_INODE: return index_key_number(file->inode);
	case FILE_BY_CONTENT: break;
	}
	return index_key_hash(&file->facts->content);
}

static uint64_t lost_file_key(const struct lost *lost, enum file_key kind)
{
	switch (kind) {
	case FILE_BY_BASE: return index_key_string(lost->record.base);
	case FILE_BY_INODE: return index_key_number(lost->record.inode);
	case FILE_BY_CONTENT: break;
	}
	return index_key_hash(&lost->record.content);
}

static void collect_files(const struct world *world, enum file_key kind, struct places *places)
{
	for (uint32_t f = 0; f < world->n; f++) {
		const struct snapshot *snapshot = world->folders[f].snapshot;

		for (size_t i = 0; i < snapshot->n_files; i++) {
			if (file_is_new(&snapshot->files[i]))
				places_add(places, file_key(&snapshot->files[i], kind), f, i);
		}
	}
	index_build(&places->index);
}

static bool same_by(const struct lost *lost, const struct local_message *file, enum file_key kind)
{
	if (!hash_equal(&lost->record.content, &file->facts->content))
		return false;
	switch (kind) {
	case FILE_BY_BASE: return strcmp(lost->record.base, file->base) == 0;
	case FILE_BY_INODE: return lost->record.inode != 0 && lost->record.inode == file->inode;
	case FILE_BY_CONTENT: break;
	}
	return true;
}

/* ---- a mail reader renamed the file within its folder ---- */

static void adopt_name(struct world *world, struct lost *lost, struct local_message *file)
{
	struct message *message = lost_message(world, lost);

	message->base = file->base;
	message->inode = file->inode;
	message->trace = file_trace(file->facts->mtime, file->facts->size);
	message->local = file->flags;
	message->local_presence = PRESENCE_HERE;
	message->touched = true;
	lost->record.base = file->base;
	lost->record.inode = file->inode;
	file->taken = true;
}

void match_renamed(struct world *world)
{
	struct places places = {0};

	collect_files(world, FILE_BY_INODE, &places);
	for (size_t i = 0; i < world->n_lost; i++) {
		struct lost *lost = &world->lost[i];
		uint64_t key = lost_file_key(lost, FILE_BY_INODE);

		if (!is_lost_here(world, lost))
			continue;
		for (uint32_t e = index_first(&places.index, key); e != INDEX_END;
		     e = index_next(&places.index, e)) {
			struct place place = places.list[index_value(&places.index, e)];
			struct local_message *file = file_at(world, place);

			if (place.folder == lost->folder && file_is_new(file) &&
			    same_by(lost, file, FILE_BY_INODE)) {
				adopt_name(world, lost, file);
				break;
			}
		}
	}
	places_release(&places);
}

/* ---- moved here ---- */

static void match_local(struct world *world, enum file_key kind)
{
	struct places places = {0};

	collect_files(world, kind, &places);
	for (size_t i = 0; i < world->n_lost; i++) {
		struct lost *lost = &world->lost[i];
		uint64_t key = lost_file_key(lost, kind);

		/* Moved here and gone there is simply a new file. */
		if (!is_lost_here(world, lost) || is_lost_there(world, lost))
			continue;
		for (uint32_t e = index_first(&places.index, key); e != INDEX_END;
		     e = index_next(&places.index, e)) {
			struct place place = places.list[index_value(&places.index, e)];
			struct local_message *file = file_at(world, place);

			if (place.folder == lost->folder || !file_is_new(file) ||
			    !same_by(lost, file, kind))
				continue;
			lost->file = place;
			lost_message(world, lost)->local_presence = PRESENCE_MOVED;
			lost_message(world, lost)->local = file->flags;
			file->taken = true;
			break;
		}
	}
	places_release(&places);
}

void match_local_certain(struct world *world)
{
	match_local(world, FILE_BY_BASE);
	match_local(world, FILE_BY_INODE);
}

void match_local_content(struct world *world)
{
	match_local(world, FILE_BY_CONTENT);
}

/* ---- moved on the server ---- */

static void take_remote(struct world *world, struct lost *lost, struct place place)
{
	struct message *message = lost_message(world, lost);

	lost->remote = place;
	arrival_at(world, place)->taken = true;
	message->remote_presence = PRESENCE_MOVED;
	message->remote = arrival_at(world, place)->flags;
}

enum remote_key { REMOTE_BY_ID, REMOTE_BY_LABELS, REMOTE_BY_HEADER };

static uint64_t labels_key(uint32_t size, int64_t date)
{
	return index_key_number((uint64_t)date * 31 + size);
}

static uint64_t remote_key(const struct remote_facts *facts, enum remote_key kind)
{
	switch (kind) {
	case REMOTE_BY_ID: return index_key_hash(&facts->id);
	case REMOTE_BY_LABELS: return labels_key(facts->size, facts->date);
	case REMOTE_BY_HEADER: break;
	}
	return index_key_hash(&facts->header);
}

static uint64_t lost_remote_key(const struct record *record, enum remote_key kind)
{
	switch (kind) {
	case REMOTE_BY_ID: return index_key_hash(&record->id);
	case REMOTE_BY_LABELS: return labels_key(record->size, record->date);
	case REMOTE_BY_HEADER: break;
	}
	return index_key_hash(&record->header);
}

/* Without a hash there is nothing to find it by, and all of them would share one key. */
static bool has_key(const struct remote_facts *facts, enum remote_key kind)
{
	switch (kind) {
	case REMOTE_BY_ID: return !hash_is_none(&facts->id);
	case REMOTE_BY_HEADER: return !hash_is_none(&facts->header);
	case REMOTE_BY_LABELS: break;
	}
	return true;
}

static void collect_arrivals(const struct world *world, enum remote_key kind, struct places *places)
{
	for (uint32_t f = 0; f < world->n; f++) {
		const struct snapshot *snapshot = world->folders[f].snapshot;

		for (size_t i = 0; i < snapshot->n_arrivals; i++) {
			const struct remote_message *arrival = &snapshot->arrivals[i];

			if (arrival_is_free(arrival) && has_key(arrival->facts, kind))
				places_add(places, remote_key(arrival->facts, kind), f, i);
		}
	}
	index_build(&places->index);
}

static bool same_labels(const struct record *record, const struct remote_facts *facts)
{
	return record->size == facts->size && record->date == facts->date;
}

static bool same_remote(const struct record *record, const struct remote_facts *facts,
			enum remote_key kind)
{
	switch (kind) {
	case REMOTE_BY_ID: return hash_equal(&record->id, &facts->id);
	case REMOTE_BY_LABELS:
		/* A server with ids keeps them over a move: without the id it is another one. */
		if (!hash_is_none(&record->id) && !hash_is_none(&facts->id))
			return false;
		return same_labels(record, facts) && hash_equal(&record->header, &facts->header);
	case REMOTE_BY_HEADER: break;
	}
	return hash_equal(&record->header, &facts->header);
}

static void match_remote_by(struct world *world, enum remote_key kind)
{
	struct places places = {0};

	collect_arrivals(world, kind, &places);
	for (size_t i = 0; i < world->n_lost; i++) {
		struct lost *lost = &world->lost[i];
		uint64_t key = lost_remote_key(&lost->record, kind);

		if (!is_lost_there(world, lost))
			continue;
		for (uint32_t e = index_first(&places.index, key); e != INDEX_END;
		     e = index_next(&places.index, e)) {
			struct place place = places.list[index_value(&places.index, e)];
			struct remote_message *arrival = arrival_at(world, place);

			if (arrival_is_free(arrival) &&
			    same_remote(&lost->record, arrival->facts, kind)) {
				take_remote(world, lost, place);
				break;
			}
		}
	}
	places_release(&places);
}

/* Re-pairing of records whose UIDs are void: header hash alone where it is single on both sides. */
struct repairing {
	struct world *world;
	struct places arrivals; /* by header */
	struct index lost;      /* likewise, those that are lost there when the pass begins */
};

static size_t count_lost(const struct repairing *r, const struct lost *lost)
{
	uint32_t e = index_first(&r->lost, index_key_hash(&lost->record.header));
	size_t n = 0;

	for (; e != INDEX_END; e = index_next(&r->lost, e)) {
		const struct lost *other = &r->world->lost[index_value(&r->lost, e)];

		n += other->folder == lost->folder && is_lost_there(r->world, other) &&
		     hash_equal(&other->record.header, &lost->record.header);
	}
	return n;
}

static void repair_one(struct repairing *r, struct lost *lost)
{
	uint32_t e = index_first(&r->arrivals.index, index_key_hash(&lost->record.header));
	struct place found = {.folder = NOWHERE};
	size_t n = 0;

	for (; e != INDEX_END; e = index_next(&r->arrivals.index, e)) {
		struct place place = r->arrivals.list[index_value(&r->arrivals.index, e)];
		const struct remote_message *arrival = arrival_at(r->world, place);

		if (place.folder != lost->folder || !arrival_is_free(arrival) ||
		    !same_remote(&lost->record, arrival->facts, REMOTE_BY_HEADER))
			continue;
		if (arrival->facts->size == lost->record.size) {
			take_remote(r->world, lost, place);
			return;
		}
		n++;
		found = place;
	}
	if (n == 1 && count_lost(r, lost) == 1)
		take_remote(r->world, lost, found);
}

static void match_remote_repair(struct world *world)
{
	struct repairing r = {.world = world};

	collect_arrivals(world, REMOTE_BY_HEADER, &r.arrivals);
	for (size_t i = 0; i < world->n_lost; i++) {
		if (is_lost_there(world, &world->lost[i]))
			index_add(&r.lost, index_key_hash(&world->lost[i].record.header),
				  (uint32_t)i);
	}
	index_build(&r.lost);
	for (size_t i = 0; i < world->n_lost; i++) {
		struct lost *lost = &world->lost[i];

		if (world->folders[lost->folder].repair && is_lost_there(world, lost))
			repair_one(&r, lost);
	}
	places_release(&r.arrivals);
	index_release(&r.lost);
}

void match_remote(struct world *world)
{
	match_remote_by(world, REMOTE_BY_ID);
	match_remote_by(world, REMOTE_BY_LABELS);
	match_remote_repair(world);
}

/* ---- new on both sides ---- */

static void pair(struct world *world, struct place remote, struct place file)
{
	struct local_message *local = file_at(world, file);

	arrival_at(world, remote)->taken = true;
	local->taken = true;
	if (local->replaces != NO_MESSAGE) { /* the old version has no file any more */
		struct message *old =
			&world->folders[file.folder].snapshot->messages[local->replaces];

		old->base = "";
		old->local_presence = PRESENCE_ABSENT;
		old->touched = true;
		local->replaces = NO_MESSAGE;
	}
	world->pairings = grow(world->pairings, world->n_pairings, &world->room_pairings,
			       sizeof(*world->pairings));
	world->pairings[world->n_pairings++] = (struct pairing){.remote = remote, .file = file};
}

enum likeness { /* how much beside the header must agree; each pass needs less */
		LIKE_SIZE_AND_DATE,
		LIKE_SIZE,
		LIKE_HEADER_ALONE,
		LIKE_COUNT,
};

static bool alike(const struct remote_facts *facts, const struct local_facts *file,
		  enum likeness likeness)
{
	if (!hash_equal(&facts->header, &file->header))
		return false;
	switch (likeness) {
	case LIKE_SIZE_AND_DATE:
		return facts->size == file->wire_size && facts->date == file->mtime;
	case LIKE_SIZE: return facts->size == file->wire_size;
	case LIKE_HEADER_ALONE:
	case LIKE_COUNT: break;
	}
	return true;
}

/* The files of one folder by header hash. */
static void index_headers(const struct snapshot *snapshot, struct index *index)
{
	for (size_t i = 0; i < snapshot->n_files; i++) {
		if (file_is_free(&snapshot->files[i]))
			index_add(index, index_key_hash(&snapshot->files[i].facts->header),
				  (uint32_t)i);
	}
	index_build(index);
}

static void index_arrival_headers(const struct snapshot *snapshot, struct index *index)
{
	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		if (arrival_is_free(&snapshot->arrivals[i]))
			index_add(index, index_key_hash(&snapshot->arrivals[i].facts->header),
				  (uint32_t)i);
	}
	index_build(index);
}

static size_t free_files_with(const struct snapshot *snapshot, const struct index *index,
			      const struct hash *header)
{
	size_t n = 0;

	for (uint32_t e = index_first(index, index_key_hash(header)); e != INDEX_END;
	     e = index_next(index, e)) {
		const struct local_message *file = &snapshot->files[index_value(index, e)];

		n += file_is_free(file) && hash_equal(&file->facts->header, header);
	}
	return n;
}

static size_t free_arrivals_with(const struct snapshot *snapshot, const struct index *index,
				 const struct hash *header)
{
	size_t n = 0;

	for (uint32_t e = index_first(index, index_key_hash(header)); e != INDEX_END;
	     e = index_next(index, e)) {
		const struct remote_message *arrival = &snapshot->arrivals[index_value(index, e)];

		n += arrival_is_free(arrival) && hash_equal(&arrival->facts->header, header);
	}
	return n;
}

static void repair_pass(struct world *world, uint32_t f, struct index *files,
			struct index *arrivals, enum likeness likeness)
{
	struct snapshot *snapshot = world->folders[f].snapshot;

	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		struct remote_message *arrival = &snapshot->arrivals[i];

		if (!arrival_is_free(arrival) || hash_is_none(&arrival->facts->header))
			continue;
		if (likeness == LIKE_HEADER_ALONE &&
		    (free_files_with(snapshot, files, &arrival->facts->header) != 1 ||
		     free_arrivals_with(snapshot, arrivals, &arrival->facts->header) != 1))
			continue;
		for (uint32_t e = index_first(files, index_key_hash(&arrival->facts->header));
		     e != INDEX_END; e = index_next(files, e)) {
			struct place file = {.folder = f, .at = index_value(files, e)};

			if (file_is_free(file_at(world, file)) &&
			    alike(arrival->facts, file_at(world, file)->facts, likeness)) {
				pair(world, (struct place){.folder = f, .at = i}, file);
				break;
			}
		}
	}
}

static void repair_folder(struct world *world, uint32_t f)
{
	const struct snapshot *snapshot = world->folders[f].snapshot;
	struct index files = {0}, arrivals = {0};

	index_headers(snapshot, &files);
	index_arrival_headers(snapshot, &arrivals);
	for (int likeness = 0; likeness < LIKE_COUNT; likeness++)
		repair_pass(world, f, &files, &arrivals, (enum likeness)likeness);
	index_release(&files);
	index_release(&arrivals);
}

/* Rule 3: size, date and content all equal. */
static void pair_equal(struct world *world, uint32_t f)
{
	struct snapshot *snapshot = world->folders[f].snapshot;
	struct index files = {0};

	index_headers(snapshot, &files);
	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		struct remote_message *arrival = &snapshot->arrivals[i];

		if (!arrival_is_free(arrival) || hash_is_none(&arrival->facts->content))
			continue;
		for (uint32_t e = index_first(&files, index_key_hash(&arrival->facts->header));
		     e != INDEX_END; e = index_next(&files, e)) {
			struct place place = {.folder = f, .at = index_value(&files, e)};
			struct local_message *file = file_at(world, place);

			if (file_is_free(file) &&
			    alike(arrival->facts, file->facts, LIKE_SIZE_AND_DATE) &&
			    hash_equal(&arrival->facts->content, &file->facts->content)) {
				pair(world, (struct place){.folder = f, .at = i}, place);
				break;
			}
		}
	}
	index_release(&files);
}

void match_new(struct world *world)
{
	for (uint32_t f = 0; f < world->n; f++) {
		if (world->folders[f].repair)
			repair_folder(world, f);
		else
			pair_equal(world, f);
	}
}

/* ---- attempts ---- */

static bool mark(bool *flag, bool known)
{
	if (known || *flag)
		return false;
	return *flag = true;
}

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
				pair(world, remote, (struct place){.folder = f, .at = i});
				return;
			}
		}
	}
}

/* ---- what must be fetched ---- */

static bool mark_header(struct remote_message *arrival)
{
	return mark(&arrival->wants_header, !hash_is_none(&arrival->facts->header));
}

/* Arrivals with the labels of a message that left, where ids do not tell. */
static bool want_moved_headers(struct world *world)
{
	struct index lost = {0};
	bool any = false;

	for (size_t i = 0; i < world->n_lost; i++) {
		if (is_lost_there(world, &world->lost[i]))
			index_add(&lost, lost_remote_key(&world->lost[i].record, REMOTE_BY_LABELS),
				  (uint32_t)i);
	}
	index_build(&lost);
	for (size_t f = 0; f < world->n; f++) {
		struct snapshot *snapshot = world->folders[f].snapshot;

		for (size_t i = 0; i < snapshot->n_arrivals; i++) {
			struct remote_message *arrival = &snapshot->arrivals[i];
			uint64_t key;

			if (!arrival_is_free(arrival))
				continue;
			key = remote_key(arrival->facts, REMOTE_BY_LABELS);
			for (uint32_t e = index_first(&lost, key); e != INDEX_END;
			     e = index_next(&lost, e)) {
				const struct record *record =
					&world->lost[index_value(&lost, e)].record;

				if (same_labels(record, arrival->facts) &&
				    (hash_is_none(&record->id) ||
				     hash_is_none(&arrival->facts->id))) {
					any |= mark_header(arrival);
					break;
				}
			}
		}
	}
	index_release(&lost);
	return any;
}

static bool folder_has_candidates(const struct world *world, uint32_t f)
{
	const struct snapshot *snapshot = world->folders[f].snapshot;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		if (file_is_free(&snapshot->files[i]))
			return true;
	}
	for (size_t i = 0; i < world->n_lost; i++) {
		if (world->lost[i].folder == f)
			return true;
	}
	return false;
}

static bool want_new_headers(struct world *world, uint32_t f)
{
	struct snapshot *snapshot = world->folders[f].snapshot;
	bool repair = world->folders[f].repair, any = false;
	struct index files = {0};

	if (!folder_has_candidates(world, f))
		return false;
	for (size_t i = 0; i < snapshot->n_files; i++) {
		if (file_is_free(&snapshot->files[i]))
			index_add(&files,
				  labels_key((uint32_t)snapshot->files[i].facts->wire_size,
					     snapshot->files[i].facts->mtime),
				  (uint32_t)i);
	}
	index_build(&files);
	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		struct remote_message *arrival = &snapshot->arrivals[i];

		if (arrival_is_free(arrival) &&
		    (repair || index_first(&files, remote_key(arrival->facts, REMOTE_BY_LABELS)) !=
				       INDEX_END))
			any |= mark_header(arrival);
	}
	index_release(&files);
	return any;
}

bool match_wants_headers(struct world *world)
{
	bool any = want_moved_headers(world);

	for (uint32_t f = 0; f < world->n; f++)
		any |= want_new_headers(world, f);
	return any;
}

static bool want_new_bodies(struct world *world, uint32_t f)
{
	struct snapshot *snapshot = world->folders[f].snapshot;
	struct index files = {0};
	bool any = false;

	index_headers(snapshot, &files);
	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		struct remote_message *arrival = &snapshot->arrivals[i];

		if (!arrival_is_free(arrival) || hash_is_none(&arrival->facts->header))
			continue;
		for (uint32_t e = index_first(&files, index_key_hash(&arrival->facts->header));
		     e != INDEX_END; e = index_next(&files, e)) {
			const struct local_message *file = &snapshot->files[index_value(&files, e)];

			if (file_is_free(file) &&
			    alike(arrival->facts, file->facts, LIKE_SIZE_AND_DATE))
				any |= mark(&arrival->wants_body,
					    !hash_is_none(&arrival->facts->content));
		}
	}
	index_release(&files);
	return any;
}

bool match_wants_bodies(struct world *world)
{
	bool any = false;

	for (uint32_t f = 0; f < world->n; f++) {
		if (!world->folders[f].repair)
			any |= want_new_bodies(world, f);
	}
	return any;
}
