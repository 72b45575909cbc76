/* Changes, kept in memory until they are committed, so that they can be made again when the map
 * had to grow (state.h). */
#include "state/batch.h"

#include <stdlib.h>
#include <string.h>

struct state_batch *state_batch_new(struct state *state)
{
	struct state_batch *batch = xcalloc(1, sizeof(*batch));

	batch->state = state;
	batch->arena = arena_new();
	return batch;
}

void state_batch_free(struct state_batch **batch)
{
	if (*batch == NULL)
		return;
	arena_free(&(*batch)->arena);
	free((*batch)->changes);
	free(*batch);
	*batch = NULL;
}

size_t state_batch_size(const struct state_batch *batch)
{
	return batch->n;
}

bool state_batch_empty(const struct state_batch *batch)
{
	return batch->n == 0;
}

void batch_clear(struct state_batch *batch)
{
	batch->n = 0;
	arena_free(&batch->arena);
	batch->arena = arena_new();
}

static struct change *add(struct state_batch *batch, enum change_kind kind, uint32_t folder)
{
	struct change *change;

	batch->changes = grow(batch->changes, batch->n, &batch->room, sizeof(*change));
	change = &batch->changes[batch->n++];
	memset(change, 0, sizeof(*change));
	change->kind = kind;
	change->folder = folder;
	return change;
}

static void *copy(struct state_batch *batch, const void *object, size_t size)
{
	return memcpy(arena_alloc(batch->arena, size), object, size);
}

void state_put_record(struct state_batch *batch, uint32_t folder, const struct record *record)
{
	struct record *ours = copy(batch, record, sizeof(*record));
	struct change *change = add(batch, PUT_RECORD, folder);

	ours->base = arena_strdup(batch->arena, record->base);
	ours->reason = record->reason != NULL ? arena_strdup(batch->arena, record->reason) : "";
	change->uid = record->uid;
	change->object = ours;
}

void state_delete_record(struct state_batch *batch, uint32_t folder, uint32_t uid)
{
	add(batch, DELETE_RECORD, folder)->uid = uid;
}

void state_put_attempt(struct state_batch *batch, const struct attempt *attempt)
{
	struct attempt *ours = copy(batch, attempt, sizeof(*attempt));

	ours->base = arena_strdup(batch->arena, attempt->base);
	add(batch, PUT_ATTEMPT, attempt->folder)->object = ours;
}

void state_delete_attempt(struct state_batch *batch, uint32_t folder, const char *base)
{
	add(batch, DELETE_ATTEMPT, folder)->object = arena_strdup(batch->arena, base);
}

void state_put_folder(struct state_batch *batch, const struct folder_record *folder)
{
	struct folder_record *ours = copy(batch, folder, sizeof(*folder));

	ours->name = arena_strdup(batch->arena, folder->name);
	ours->wire = arena_strdup(batch->arena, folder->wire);
	ours->path = arena_strdup(batch->arena, folder->path);
	ours->mailbox_id = arena_strdup(batch->arena, folder->mailbox_id);
	add(batch, PUT_FOLDER, folder->id)->object = ours;
}

void state_delete_folder(struct state_batch *batch, uint32_t folder)
{
	add(batch, DELETE_FOLDER, folder);
}

void state_put_meta(struct state_batch *batch, const struct state_meta *meta)
{
	add(batch, PUT_META, 0)->object = copy(batch, meta, sizeof(*meta));
}
