/* Copies: a new file with the contents of a message that the server has becomes a UID COPY, not an upload.
 * There is no index of contents in the base; one pass over the account's records finds the originals of all
 * uploads at once. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

#include "core/index.h"

struct copy_search {
	struct account *account;
	struct index index; /* uploads by content */
	struct action **uploads;
	size_t n;
	size_t room;
};

static bool source_is_there(struct account *account, uint32_t id, uint32_t uid, uint32_t *number)
{
	for (uint32_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = folder_at(account, i);
		const struct message *message;

		if (folder->record.id != id)
			continue;
		*number = i;
		if (!folder->named || folder->plan.mailbox == NO_INDEX || folder->void_uids ||
		    folder->plan.verb == FOLDER_IGNORE || folder->plan.verb == FOLDER_BAD)
			return false;
		if (!folder->loaded)
			return true; /* unchanged on both sides */
		message = snapshot_find(&folder->snapshot, uid);
		return message != NULL && message->remote_presence == PRESENCE_HERE &&
		       message->local_presence == PRESENCE_HERE;
	}
	return false;
}

static int find_source(void *ctx, uint32_t id, const struct record *record)
{
	struct copy_search *search = ctx;
	uint64_t key = index_key_hash(&record->content);
	uint32_t number;

	if (record->state != RECORD_PAIRED || hash_is_none(&record->content))
		return 0;
	for (uint32_t e = index_first(&search->index, key); e != INDEX_END;
	     e = index_next(&search->index, e)) {
		struct action *action = search->uploads[index_value(&search->index, e)];

		if (action->verb != VERB_UPLOAD ||
		    !hash_equal(&action->file->content, &record->content) ||
		    !source_is_there(search->account, id, record->uid, &number))
			continue;
		search->account->world.found[STEP_COPY]++;
		action->verb = VERB_MOVE_REMOTE;
		action->copy = true;
		action->folder = number;
		action->uid = record->uid;
	}
	return 0;
}

int find_copies(struct account *account, struct error *err)
{
	struct copy_search search = {.account = account};
	int result = 0;

	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		for (size_t j = 0; j < folder->n_actions; j++) {
			struct action *action = &folder->actions[j];

			if (action->verb != VERB_UPLOAD || action->lost != NO_LOST ||
			    action->file == NULL ||
			    attempt_of(account, folder, action->base) != NULL)
				continue;
			search.uploads = grow(search.uploads, search.n, &search.room,
					      sizeof(struct action *));
			index_add(&search.index, index_key_hash(&action->file->content),
				  (uint32_t)search.n);
			search.uploads[search.n++] = action;
		}
	}
	index_build(&search.index);
	if (search.n != 0 && !account->fresh)
		result = state_each_record_anywhere(account->state, find_source, &search, err);
	index_release(&search.index);
	free(search.uploads);
	return result;
}
