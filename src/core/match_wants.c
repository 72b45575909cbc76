/* What must be fetched before the match can go on: headers where size and date agree with something that
 * is missed, bodies where the header agrees too. A message that is new and like nothing costs no byte. */
#include "core/match_private.h"

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
			index_add(
				&lost,
				labels_key(world->lost[i].record.size, world->lost[i].record.date),
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
			key = labels_key(arrival->facts->size, arrival->facts->date);
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
		    (repair || index_first(&files, labels_key(arrival->facts->size,
							      arrival->facts->date)) != INDEX_END))
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

	match_index_headers(snapshot, &files);
	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		struct remote_message *arrival = &snapshot->arrivals[i];

		if (!arrival_is_free(arrival) || hash_is_none(&arrival->facts->header))
			continue;
		for (uint32_t e = index_first(&files, index_key_hash(&arrival->facts->header));
		     e != INDEX_END; e = index_next(&files, e)) {
			const struct local_message *file = &snapshot->files[index_value(&files, e)];

			if (file_is_free(file) &&
			    match_alike(arrival->facts, file->facts, LIKE_SIZE_AND_DATE))
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
