/* The end of a run: what a folder looked like in this run's snapshot becomes what it is compared with in
 * the next, if every planned action on it was done or has become a state of a record. */
#include "sync/account.h"

#include <string.h>
#include <time.h>

/* What is in the base now: as it was read, and what was committed since. */
static void recount(struct account *account, struct sync_folder *folder,
		    const struct attempt *attempts, size_t n)
{
	struct tally tally = folder->tally, change = state_tally(account->state, folder->record.id);

	tally_add(&tally, &change, 1);
	folder->record.messages = tally.messages;
	folder->record.unread = tally.unread;
	folder->record.held = tally.held;
	folder->record.skipped = tally.skipped;
	folder->record.parked = tally.unfetched + folder->parked_names;
	folder->record.pending = tally.arriving + tally.unfetched + tally.held + tally.doubted +
				 (account->config->expunge ? tally.marked : 0);
	for (size_t i = 0; i < n; i++)
		folder->record.parked += attempts[i].folder == folder->record.id &&
					 attempts[i].state != ATTEMPT_OPEN;
}

static void keep_look(struct sync_folder *folder)
{
	struct folder_record *record = &folder->record;

	if (folder->remote_looked) {
		record->uidvalidity = folder->status.uidvalidity;
		record->uidnext = folder->status.uidnext;
		record->exists = folder->status.exists;
		record->highestmodseq = folder->status.highestmodseq;
	}
	if (folder->local_looked)
		memcpy(record->stamps, folder->stamps, sizeof(record->stamps));
	record->permanent = folder->permanent;
	record->permanent_keywords = folder->permanent_keywords;
	record->read_only = folder->read_only;
	record->remaking = record->restoring = false;
	record->last_sync = (int64_t)time(NULL);
}

/* Whatever was planned and is neither done nor a state of a record is looked for again. */
static bool is_left(const struct action *action)
{
	switch (action->verb) {
	case VERB_PAIR:
	case VERB_DOWNLOAD:
	case VERB_UPLOAD:
	case VERB_REPLACE:
	case VERB_MOVE_LOCAL:
	case VERB_MOVE_REMOTE:
	case VERB_MOVE_BACK:
	case VERB_FLAGS:
	case VERB_DELETE_LOCAL:
	case VERB_DELETE_REMOTE:
	case VERB_EXPUNGE: return action->skipped || (!action->done && !action->held);
	case VERB_NOTHING:
	case VERB_SPLIT:
	case VERB_KEEP:
	case VERB_FORGET:
	case VERB_REPORT: break;
	}
	return false;
}

static void leave_open(struct account *account)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		for (size_t j = 0; j < folder->n_actions; j++) {
			if (!is_left(&folder->actions[j]))
				continue;
			folder->incomplete = true;
			action_is_left(account, &folder->actions[j]);
		}
	}
}

/* A folder that was just made has a directory whose identity proves a later rename. */
static int note_new_directory(struct account *account, struct sync_folder *folder,
			      struct error *err)
{
	struct stamp stamps[STAMP_COUNT];

	if (folder->local_looked)
		return 0;
	if (maildir_stamps(account->maildir, folder->plan.path, stamps, err) != 0)
		return -1;
	folder->record.stamps[STAMP_DIR] = stamps[STAMP_DIR];
	return 0;
}

static bool is_of_interest(const struct sync_folder *folder)
{
	return folder->record.id != 0 && folder->named && folder->plan.verb != FOLDER_IGNORE &&
	       folder->plan.verb != FOLDER_FORGET;
}

/* Then one word for all of them will do, and what is unchanged is not written. */
static bool all_in_order(const struct account *account)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		const struct sync_folder *folder = &account->folders[i];

		if (folder->incomplete || folder->failed || folder->plan.verb == FOLDER_BAD ||
		    (folder->record.id != 0 && !is_of_interest(folder)))
			return false;
	}
	return true;
}

static int finish(struct account *account, struct sync_folder *folder,
		  const struct attempt *attempts, size_t n, bool in_order, struct error *err)
{
	struct state_batch *batch = account->workers[0].batch;
	bool complete = !folder->incomplete && !folder->failed && folder->plan.verb != FOLDER_BAD;

	if (folder->loaded)
		recount(account, folder, attempts, n);
	if (!folder->loaded && folder->plan.verb != FOLDER_BAD) {
		if (!in_order || folder->record.last_sync == 0)
			folder->record.last_sync = (int64_t)time(NULL);
	} else if (complete) {
		keep_look(folder);
		if (note_new_directory(account, folder, err) != 0)
			return -1;
	}
	state_put_folder(batch, &folder->record);
	return 0;
}

int finish_all(struct account *account, struct error *err)
{
	struct attempt *attempts;
	bool in_order;
	size_t n;

	leave_open(account);
	in_order = all_in_order(account);
	if (state_get_attempts(account->state, account->arena, &attempts, &n, err) != 0)
		return -1;
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		if (folder->failed && folder->plan.verb != FOLDER_BAD && !folder->loaded)
			continue;
		if (is_of_interest(folder) && !(folder->failed && !folder->incomplete) &&
		    finish(account, folder, attempts, n, in_order, err) != 0)
			return -1;
		account->summary->folders += is_of_interest(folder);
		account->summary->messages += is_of_interest(folder) ? folder->record.messages : 0;
	}
	if (state_commit(account->workers[0].batch, account->keywords, err) != 0)
		return -1;
	if (in_order)
		state_note_in_order(account->state, (int64_t)time(NULL));
	return 0;
}
