/* New on both sides and the same (docs/sync-rules.md, M5), and the pairing of folders without a base that
 * can be trusted (M7). In the ordinary case size, date and contents must agree; in re-pairing the header
 * must, and everything beside it only makes the choice better, in passes that need less and less. */
#include "core/match_private.h"

void match_pair(struct world *world, struct place remote, struct place file)
{
	struct local_message *local = file_at(world, file);

	arrival_at(world, remote)->taken = true;
	local->taken = true;
	if (local->replaces != NO_MESSAGE) { /* the old version has no file any more */
		struct message *old =
			&world->folders[file.folder].snapshot->messages[local->replaces];

		message_set_base(old, "");
		old->local_presence = PRESENCE_ABSENT;
		old->touched = true;
		local->replaces = NO_MESSAGE;
	}
	world->pairings = grow(world->pairings, world->n_pairings, &world->room_pairings,
			       sizeof(*world->pairings));
	world->pairings[world->n_pairings++] = (struct pairing){.remote = remote, .file = file};
}

bool match_alike(const struct remote_facts *facts, const struct local_facts *file,
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

void match_index_headers(const struct snapshot *snapshot, struct index *index)
{
	for (uint32_t i = 0; i < snapshot->n_files; i++) {
		if (file_is_free(&snapshot->files[i]))
			index_add(index, index_key_hash(&snapshot->files[i].facts->header),
				  (uint32_t)i);
	}
	index_build(index);
}

static void index_arrival_headers(const struct snapshot *snapshot, struct index *index)
{
	for (uint32_t i = 0; i < snapshot->n_arrivals; i++) {
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

	for (uint32_t i = 0; i < snapshot->n_arrivals; i++) {
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
			    match_alike(arrival->facts, file_at(world, file)->facts, likeness)) {
				match_pair(world, (struct place){.folder = f, .at = i}, file);
				world->found[STEP_REPAIR]++;
				break;
			}
		}
	}
}

static void repair_folder(struct world *world, uint32_t f)
{
	const struct snapshot *snapshot = world->folders[f].snapshot;
	struct index files = {0}, arrivals = {0};

	match_index_headers(snapshot, &files);
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

	match_index_headers(snapshot, &files);
	for (uint32_t i = 0; i < snapshot->n_arrivals; i++) {
		struct remote_message *arrival = &snapshot->arrivals[i];

		if (!arrival_is_free(arrival) || hash_is_none(&arrival->facts->content))
			continue;
		for (uint32_t e = index_first(&files, index_key_hash(&arrival->facts->header));
		     e != INDEX_END; e = index_next(&files, e)) {
			struct place place = {.folder = f, .at = index_value(&files, e)};
			struct local_message *file = file_at(world, place);

			if (file_is_free(file) &&
			    match_alike(arrival->facts, file->facts, LIKE_SIZE_AND_DATE) &&
			    hash_equal(&arrival->facts->content, &file->facts->content)) {
				match_pair(world, (struct place){.folder = f, .at = i}, place);
				world->found[STEP_NEW]++;
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
