/* From the snapshots to the match: which recorded messages are not where the base has them, what the rules
 * in core say became of them, and what has to be fetched for that, step by step. */
#include "sync/account.h"

#include <string.h>

static bool is_lost(const struct message *message)
{
	return (message->local_presence != PRESENCE_HERE ||
		message->remote_presence != PRESENCE_HERE) &&
	       message->state != RECORD_SKIPPED && message->state != RECORD_UNFETCHED;
}

/* Its record; the name only if it is not known yet. */
static int read_record(struct account *account, struct sync_folder *folder,
		       const struct message *message, struct record *record, struct error *err)
{
	struct arena *arena = message->base == NULL ? folder->snapshot.arena : NULL;

	return state_get_record(account->state, arena, folder->record.id, message->uid, record,
				err);
}

int message_get_base(struct account *account, struct sync_folder *folder, struct message *message,
		     struct error *err)
{
	struct record record;
	int found;

	if (message->base != NULL)
		return 0;
	found = read_record(account, folder, message, &record, err);
	if (found < 0)
		return -1;
	if (found == 0)
		return error_set(err, ERROR_CORRUPT,
				 "the base has no record of UID %u in %s any more", message->uid,
				 folder->plan.name);
	message->base = record.base;
	return 0;
}

static int lose(struct account *account, uint32_t number, uint32_t at, struct error *err)
{
	struct sync_folder *folder = folder_at(account, number);
	struct message *message = &folder->snapshot.messages[at];
	struct record record;
	int found = read_record(account, folder, message, &record, err);

	if (found < 0)
		return -1;
	if (found == 0) /* made up in a dry run, and so it has its name */
		record = (struct record){.uid = message->uid, .state = RECORD_PAIRED};
	if (message->base == NULL)
		message->base = record.base;
	record.base = message->base;
	record.inode = message->inode;
	world_lose(&account->world, number, at, &record);
	return 0;
}

static int find_lost(struct account *account, struct error *err)
{
	for (uint32_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = folder_at(account, i);

		for (uint32_t j = 0; folder->loaded && j < folder->snapshot.n; j++) {
			if (is_lost(&folder->snapshot.messages[j]) && lose(account, i, j, err) != 0)
				return -1;
		}
	}
	return 0;
}

static void translate_letters(struct account *account, const struct lost *lost)
{
	struct sync_folder *from = folder_at(account, lost->folder);
	struct message *message = &from->snapshot.messages[lost->message];
	uint32_t stray;

	if (lost->file.folder != NOWHERE)
		message->local = letters_of_moved(
			account, from, folder_at(account, lost->file.folder), message,
			&folder_at(account, lost->file.folder)->snapshot.files[lost->file.at],
			&stray);
}

int match_all(struct account *account, struct error *err)
{
	struct world *world = &account->world;

	if (find_lost(account, err) != 0)
		return -1;
	match_renamed(world);
	if (match_wants_headers(world) && headers_of_arrivals(account, err) != 0)
		return -1;
	match_remote(world);
	match_local_certain(world);
	if (match_wants_bodies(world) && bodies_of_arrivals(account, err) != 0)
		return -1;
	match_new(world);
	match_local_content(world);
	for (size_t i = 0; i < world->n_lost; i++)
		translate_letters(account, &world->lost[i]);
	return 0;
}
