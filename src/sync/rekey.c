/* Records that change before anything else does: names and inodes that the match found, and UIDs.
 *
 * A folder whose UIDs are void (UIDVALIDITY changed, or a server that renumbers) loses all its records and
 * gets those of the messages that the match found again, in one transaction: old and new UIDs are the same
 * numbers for different messages, so no order of single changes would do. What was not found again has no
 * record afterwards: its file is new here, and uploads and downloads treat it so. */
#include "sync/account.h"

#include <string.h>

static void rekey(struct account *account, struct sync_folder *folder)
{
	struct state_batch *batch = account->workers[0].batch;

	for (size_t i = 0; i < folder->snapshot.n; i++)
		state_delete_record(batch, folder->record.id, folder->snapshot.messages[i].uid);
	for (size_t i = 0; i < folder->n_actions; i++) {
		struct action *action = &folder->actions[i];
		const struct lost *lost;
		struct record record;
		bool moved;

		if (action->lost == NO_LOST || action->folder != folder_number(account, folder))
			continue;
		lost = &account->world.lost[action->lost];
		if (folder_at(account, lost->folder) != folder)
			continue;
		moved = action->verb == VERB_MOVE_REMOTE && action->base != NULL;
		if (!moved && (action->verb != VERB_MOVE_LOCAL || lost->file.folder != NOWHERE))
			continue;
		record = lost->record;
		record.uid = action->uid;
		record.state = RECORD_PAIRED;
		record.base = lost->record.base;
		if (action->facts != NULL) {
			record.size = action->facts->size;
			record.date = action->facts->date;
			record.id = action->facts->id;
		}
		state_put_record(batch, folder->record.id, &record);
		if (!moved)
			action->verb = VERB_FLAGS;
		action->lost = NO_LOST;
	}
	folder->record.uidvalidity = folder->status.uidvalidity;
	folder->record.uidnext = 0;
	folder->record.highestmodseq = 0;
	folder->record.last_sync = 0;
	state_put_folder(batch, &folder->record);
	account->committed = true;
}

/* Base names, inodes and states as they were found: every executor reads them from the record. */
static int settle(struct account *account, struct sync_folder *folder, struct error *err)
{
	for (size_t i = 0; i < folder->snapshot.n; i++) {
		const struct message *message = &folder->snapshot.messages[i];
		struct record record;
		int found;

		if (!message->touched)
			continue;
		found = state_get_record(account->state, folder->snapshot.arena, folder->record.id,
					 message->uid, &record, err);
		if (found < 0)
			return -1;
		if (found == 0)
			continue;
		if (message->base != NULL)
			record.base = message->base;
		record.inode = message->inode;
		record.trace = message->trace;
		record.state = (enum record_state)message->state;
		state_put_record(account->workers[0].batch, folder->record.id, &record);
		account->committed = true;
	}
	return 0;
}

static int drop_second_names(struct account *account, struct sync_folder *folder, struct error *err)
{
	if (folder->n_second_names == 0)
		return 0;
	if (folder_open_dir(account, folder, err) != 0)
		return -1;
	for (size_t i = 0; i < folder->n_second_names; i++) {
		if (maildir_drop_second(folder->dir, folder->second_names[i], err) != 0)
			return -1;
	}
	if (maildir_folder_sync(folder->dir, err) != 0)
		return -1;
	folder_close_dir(folder);
	return 0;
}

int rekey_all(struct account *account, struct error *err)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		if (!folder->loaded || folder->record.id == 0)
			continue;
		if (drop_second_names(account, folder, err) != 0)
			return -1;
		if (folder->void_uids && !folder->failed && folder->named)
			rekey(account, folder);
		else if (settle(account, folder, err) != 0)
			return -1;
	}
	return state_commit(account->workers[0].batch, account->keywords, err);
}
