/* The match, its certain part: renamed in its folder (docs/sync-rules.md, M2), moved on the server (M3),
 * moved here (M4, M6). A look-up each by name, inode or hash, over the whole account: n messages that moved
 * must not cost n times n. */
#include "core/match_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void world_release(struct world *world)
{
	free(world->folders);
	free(world->lost);
	free(world->pairings);
	memset(world, 0, sizeof(*world));
}

void world_lose(struct world *world, uint32_t folder, uint32_t message, const struct record *record)
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

/* All new files, or arrivals, of the account under one kind of key. */
struct places {
	struct index index;
	struct place *list;
	size_t n;
	size_t room;
};

static void places_add(struct places *places, uint64_t key, uint32_t folder, uint32_t at)
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

		for (uint32_t i = 0; i < snapshot->n_files; i++) {
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

	message_set_base(message, file->base);
	message->inode = file->inode;
	message->trace = file_trace(file->facts->mtime, file->facts->size);
	message->local = file->flags;
	message->local_presence = PRESENCE_HERE;
	message->touched = true;
	lost->record.base = file->base;
	lost->record.inode = file->inode;
	file->taken = true;
	world->found[STEP_RENAMED]++;
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

static void take_file(struct world *world, struct lost *lost, struct place place,
		      enum match_step step)
{
	struct message *message = lost_message(world, lost);

	lost->file = place;
	file_at(world, place)->taken = true;
	message->local_presence = PRESENCE_MOVED;
	message->local = file_at(world, place)->flags;
	world->found[step]++;
}

static void match_local(struct world *world, enum file_key kind)
{
	enum match_step step = kind == FILE_BY_CONTENT ? STEP_CONTENT : STEP_MOVED_HERE;
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
			const struct local_message *file = file_at(world, place);

			if (place.folder != lost->folder && file_is_new(file) &&
			    same_by(lost, file, kind)) {
				take_file(world, lost, place, step);
				break;
			}
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

static void take_remote(struct world *world, struct lost *lost, struct place place,
			enum match_step step)
{
	struct message *message = lost_message(world, lost);

	lost->remote = place;
	arrival_at(world, place)->taken = true;
	message->remote_presence = PRESENCE_MOVED;
	message->remote = arrival_at(world, place)->flags;
	world->found[step]++;
}

enum remote_key { REMOTE_BY_ID, REMOTE_BY_LABELS, REMOTE_BY_HEADER };

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

		for (uint32_t i = 0; i < snapshot->n_arrivals; i++) {
			const struct remote_message *arrival = &snapshot->arrivals[i];

			if (arrival_is_free(arrival) && has_key(arrival->facts, kind))
				places_add(places, remote_key(arrival->facts, kind), f, i);
		}
	}
	index_build(&places->index);
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
				take_remote(world, lost, place, STEP_MOVED_THERE);
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
			take_remote(r->world, lost, place, STEP_REPAIR);
			return;
		}
		n++;
		found = place;
	}
	if (n == 1 && count_lost(r, lost) == 1)
		take_remote(r->world, lost, found, STEP_REPAIR);
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
