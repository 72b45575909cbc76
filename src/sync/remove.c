/* What is destroyed, last of all. Each message is proved once more to be the one that the record means,
 * then destroyed, then forgotten: killed in between, the next run finds it gone on both sides. */
#include "sync/account.h"

#include "base/log.h"

/* ---- forgotten, kept, held: only the record changes ---- */

static int change_state(struct account *account, struct sync_folder *folder, uint32_t uid,
			enum record_state state, struct error *err)
{
	struct state_batch *batch = account->workers[0].batch;
	struct arena *arena = arena_new(); /* of this record only: there may be many */
	struct record record;
	int found = state_get_record(account->state, arena, folder->record.id, uid, &record, err);

	if (found > 0 && record.state != state) {
		record.state = state;
		state_put_record(batch, folder->record.id, &record);
		account->committed = true;
	}
	arena_free(&arena);
	return found < 0 ? -1 : 0;
}

static int book(struct account *account, struct sync_folder *folder, struct action *action,
		struct error *err)
{
	switch (action->verb) {
	case VERB_FORGET:
		if (!folder->void_uids)
			state_delete_record(account->workers[0].batch, folder->record.id,
					    action->uid);
		account->committed = true;
		return 0;
	case VERB_KEEP:
		return folder->void_uids
			       ? 0
			       : change_state(account, folder, action->uid, RECORD_KEPT, err);
	case VERB_DELETE_LOCAL:
		return action->held
			       ? change_state(account, folder, action->uid, RECORD_HELD_REMOTE, err)
			       : 0;
	case VERB_DELETE_REMOTE:
	case VERB_MOVE_REMOTE:
		return action->held
			       ? change_state(account, folder, action->uid, RECORD_HELD_LOCAL, err)
			       : 0;
	case VERB_NOTHING:
	case VERB_PAIR:
	case VERB_DOWNLOAD:
	case VERB_UPLOAD:
	case VERB_REPLACE:
	case VERB_MOVE_LOCAL:
	case VERB_MOVE_BACK:
	case VERB_SPLIT:
	case VERB_FLAGS:
	case VERB_EXPUNGE: /* held: it is found again in every run */
	case VERB_REPORT: break;
	}
	return 0;
}

int forget_all(struct account *account, struct error *err)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		for (size_t j = 0; j < folder->n_actions; j++) {
			if (book(account, folder, &folder->actions[j], err) != 0)
				return -1;
		}
	}
	return state_commit(account->workers[0].batch, account->keywords, err);
}

/* ---- here ---- */

static bool is_local_removal(const struct action *action)
{
	return (action->verb == VERB_DELETE_LOCAL || action->verb == VERB_EXPUNGE) &&
	       !action->held && !action->done && !action->skipped;
}

/* It is not the file that the record means, or somebody is at it. The record stays, but trusts no inode: the
 * next scan reads the file, and what was edited is then new mail (rule 37). */
static int doubt_file(struct worker *worker, struct sync_folder *folder, struct record record,
		      const struct error *why)
{
	log_verbose("%s: %s", folder->plan.name, why->text);
	record.inode = 0;
	state_put_record(worker->batch, folder->record.id, &record);
	return 0;
}

static int delete_recorded(struct worker *worker, struct sync_folder *folder, struct action *action,
			   const struct record *record, struct error *err)
{
	if (record->base[0] == '\0' || maildir_delete(folder->dir, record, err) == 0) {
		tell_change(worker->account, CHANGE_DELETE_LOCAL, folder, action->uid, action->base,
			    NULL);
		action->done = true;
		return 0;
	}
	action->skipped = true;
	folder->incomplete = true;
	if (err->kind == ERROR_CHANGED)
		return doubt_file(worker, folder, *record, err);
	if (err->kind == ERROR_LOCAL)
		tell_error(worker->account, folder, err);
	return 0; /* or it has just been removed or moved: the next run looks */
}

static int delete_file(struct worker *worker, struct sync_folder *folder, struct action *action,
		       struct error *err)
{
	struct arena *arena = arena_new(); /* of this record only */
	struct record record;
	int result = state_get_record(worker->account->state, arena, folder->record.id, action->uid,
				      &record, err);

	if (result > 0)
		result = delete_recorded(worker, folder, action, &record, err);
	arena_free(&arena);
	return result;
}

/* Record by record they may be forgotten: one that is left is found gone on both sides in the next run. */
static int forget_deleted(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	for (size_t i = 0; i < folder->n_actions; i++) {
		const struct action *action = &folder->actions[i];

		if ((action->verb != VERB_DELETE_LOCAL && action->verb != VERB_EXPUNGE) ||
		    !action->done)
			continue;
		state_delete_record(worker->batch, folder->record.id, action->uid);
		if (worker_commit_some(worker, err) != 0)
			return -1;
	}
	return 0;
}

static int delete_files(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	if (folder_open_dir(worker->account, folder, err) != 0)
		return -1;
	for (size_t i = 0; i < folder->n_actions; i++) {
		struct action *action = &folder->actions[i];

		if (is_local_removal(action) && delete_file(worker, folder, action, err) != 0)
			return -1;
	}
	if (maildir_folder_sync(folder->dir, err) != 0)
		return -1;
	worker->account->committed = true;
	return forget_deleted(worker, folder, err);
}

static bool wants_deletion(const struct sync_folder *folder)
{
	for (size_t i = 0; i < folder->n_actions; i++) {
		if (is_local_removal(&folder->actions[i]))
			return true;
	}
	return false;
}

static int remove_messages(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	if (wants_destruction(folder) && destroy_remote(worker, folder, err) != 0)
		return -1;
	return wants_deletion(folder) ? delete_files(worker, folder, err) : 0;
}

static bool wants_removal(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	return !folder->void_uids && folder->plan.verb != FOLDER_BAD &&
	       (wants_destruction(folder) || wants_deletion(folder));
}

static bool removes_remote(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	return wants_destruction(folder);
}

int remove_all(struct account *account, struct error *err)
{
	static const struct folder_pass pass = {
		.wants = wants_removal, .remote = removes_remote, .fn = remove_messages};

	return workers_commit(account, workers_pass(account, &pass, err), err);
}
