/* What is destroyed, last of all. Each message is proved once more to be the one that the record means,
 * then destroyed, then forgotten: killed in between, the next run finds it gone on both sides. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* ---- forgotten, kept, held: only the record changes ---- */

static int change_state(struct account *account, struct sync_folder *folder, uint32_t uid,
			enum record_state state, struct error *err)
{
	struct state_batch *batch = account->workers[0].batch;
	struct record record;
	int found = state_get_record(account->state, folder->snapshot.arena, folder->record.id, uid,
				     &record, err);

	if (found <= 0)
		return found;
	if (record.state == state)
		return 0;
	record.state = state;
	state_put_record(batch, folder->record.id, &record);
	account->committed = true;
	return 0;
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

/* ---- on the server ---- */

struct removal {
	struct worker *worker;
	struct account *account;
	struct sync_folder *folder;
	struct action **actions; /* ascending UIDs */
	size_t n;
	struct error err;
};

static struct action *find_action(struct removal *r, uint32_t uid)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->actions[middle]->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->n && r->actions[low]->uid == uid ? r->actions[low] : NULL;
}

static bool is_remote_removal(const struct action *action)
{
	if (action->held || action->done)
		return false;
	if (action->verb == VERB_REPLACE) /* only after the new one was recorded */
		return false;
	return action->verb == VERB_DELETE_REMOTE || action->verb == VERB_EXPUNGE;
}

/* An edit whose new version was sent and recorded. */
static bool is_replaced(const struct action *action)
{
	return action->verb == VERB_REPLACE && action->done && !action->held;
}

static int compare_actions(const void *a, const void *b)
{
	const struct action *x = *(struct action *const *)a, *y = *(struct action *const *)b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static bool same_message(const struct record *record, const struct imap_facts *facts)
{
	if (!hash_is_none(&record->id) && !hash_is_none(&facts->id))
		return hash_equal(&record->id, &facts->id);
	return (record->size == 0 || facts->size == 0 || record->size == facts->size) ||
	       record->date == facts->date;
}

static void verify(void *ctx, const struct imap_facts *facts)
{
	struct removal *r = ctx;
	struct action *action = find_action(r, facts->uid);
	struct record record;

	if (action == NULL)
		return;
	if (state_get_record(r->account->state, r->folder->snapshot.arena, r->folder->record.id,
			     facts->uid, &record, &r->err) != 1 ||
	    !same_message(&record, facts)) {
		action->skipped = true;
		r->folder->incomplete = true;
		tell_problem(r->account, PROBLEM_FOLDER, r->folder,
			     "UID %u is not the message it was: not deleted", facts->uid);
	}
}

/* A last look for the files: a mail reader may have brought one back. */
static void last_look(struct removal *r)
{
	struct error err;

	if (r->folder->plan.place == NO_INDEX || r->folder->plan.verb == FOLDER_CREATE_LOCAL ||
	    folder_open_dir(r->account, r->folder, &err) != 0)
		return;
	for (size_t i = 0; i < r->n; i++) {
		struct action *action = r->actions[i];
		int fd;

		if (action->verb != VERB_DELETE_REMOTE || action->base == NULL ||
		    action->base[0] == '\0')
			continue;
		fd = maildir_open_file(r->folder->dir, action->base, NULL, NULL, &err);
		if (fd >= 0)
			close(fd);
		if (fd >= 0 || err.kind != ERROR_NOT_FOUND) {
			action->skipped = true;
			r->folder->incomplete = true;
		}
	}
}

static void gone(void *ctx, uint32_t uid)
{
	struct removal *r = ctx;
	struct action *action = find_action(r, uid);

	if (action == NULL || action->skipped)
		return;
	tell_change(r->account, CHANGE_DELETE_REMOTE, r->folder, uid, action->base, NULL);
	if (action->verb == VERB_EXPUNGE)
		return; /* its file goes next, then the record */
	state_delete_record(r->worker->batch, r->folder->record.id, uid);
	action->done = true;
}

static int destroy(struct removal *r, struct error *err)
{
	uint32_t *uids = xmalloc(r->n * sizeof(*uids));
	struct imap_selected selected;
	size_t n = 0, left = 0;
	int result;

	for (size_t i = 0; i < r->n; i++)
		uids[i] = r->actions[i]->uid;
	result = imap_select(r->worker->conn, r->folder->wire_now, false, &selected, err);
	if (result == 0 && selected.status.uidvalidity != r->folder->record.uidvalidity)
		result = error_set(err, ERROR_CHANGED, "the mailbox is another one now");
	if (result == 0)
		result = imap_fetch_facts(r->worker->conn, uids, r->n, verify, r, err);
	last_look(r);
	for (size_t i = 0; i < r->n; i++) {
		if (!r->actions[i]->skipped)
			uids[n++] = r->actions[i]->uid;
	}
	r->account->committed = true;
	if (result == 0 && n != 0)
		result = imap_destroy(r->worker->conn, uids, n, gone, r, &left, err);
	if (left != 0) {
		r->folder->incomplete = true;
		log_verbose("%s: %zu messages are marked as deleted only: others have marked mail "
			    "there too, and the server cannot remove single messages",
			    r->folder->plan.name, left);
	}
	free(uids);
	return result;
}

/* ---- here ---- */

static int delete_file(struct removal *r, struct action *action, struct error *err)
{
	struct record record;
	int found = state_get_record(r->account->state, r->folder->snapshot.arena,
				     r->folder->record.id, action->uid, &record, err);

	if (found <= 0)
		return found;
	if (maildir_delete(r->folder->dir, record.base, record.inode, &record.content, err) != 0 &&
	    err->kind != ERROR_NOT_FOUND) {
		if (err->kind == ERROR_LOCAL)
			tell_error(r->account, r->folder, err);
		else /* written over: it is a new message now, and the next run sends it */
			state_delete_record(r->worker->batch, r->folder->record.id, action->uid);
		r->folder->incomplete = true;
		action->skipped = true;
		return 0;
	}
	if (err->kind == ERROR_NOT_FOUND && record.base[0] != '\0') {
		struct error ignored;
		int fd = maildir_open_file(r->folder->dir, record.base, NULL, NULL, &ignored);

		if (fd >= 0)
			close(fd);
		r->folder->incomplete = true; /* renamed or removed just now: looked at again */
		action->skipped = true;
		return 0;
	}
	tell_change(r->account, CHANGE_DELETE_LOCAL, r->folder, action->uid, action->base, NULL);
	action->done = true;
	return 0;
}

static bool is_local_removal(const struct action *action)
{
	return (action->verb == VERB_DELETE_LOCAL || action->verb == VERB_EXPUNGE) &&
	       !action->held && !action->done && !action->skipped;
}

static int delete_files(struct removal *r, struct error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < r->folder->n_actions; i++)
		n += is_local_removal(&r->folder->actions[i]);
	if (n == 0)
		return 0;
	if (folder_open_dir(r->account, r->folder, err) != 0)
		return -1;
	for (size_t i = 0; i < r->folder->n_actions; i++) {
		struct action *action = &r->folder->actions[i];

		error_clear(err);
		if (is_local_removal(action) && delete_file(r, action, err) != 0)
			return -1;
	}
	if (maildir_folder_sync(r->folder->dir, err) != 0)
		return -1;
	for (size_t i = 0; i < r->folder->n_actions; i++) {
		const struct action *action = &r->folder->actions[i];

		if ((action->verb == VERB_DELETE_LOCAL || action->verb == VERB_EXPUNGE) &&
		    action->done)
			state_delete_record(r->worker->batch, r->folder->record.id, action->uid);
	}
	r->account->committed = true;
	return 0;
}

static int remove_messages(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct removal r = {.worker = worker, .account = worker->account, .folder = folder};
	bool whole = folder->plan.verb == FOLDER_DELETE_REMOTE; /* by one DELETE, in tree.c */
	int result = 0;

	r.actions = xcalloc(folder->n_actions, sizeof(struct action *));
	for (size_t i = 0; i < folder->n_actions; i++) {
		struct action *action = &folder->actions[i];

		if (!whole && (is_remote_removal(action) || is_replaced(action)))
			r.actions[r.n++] = action;
	}
	if (r.n != 0) {
		qsort(r.actions, r.n, sizeof(struct action *), compare_actions);
		result = destroy(&r, err);
	}
	if (state_commit(worker->batch, r.account->keywords, result == 0 ? err : &r.err) != 0)
		result = -1;
	if (result == 0)
		result = delete_files(&r, err);
	if (result == 0)
		result = state_commit(worker->batch, r.account->keywords, err);
	free(r.actions);
	return result;
}

static bool wants_removal(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	if (folder->void_uids || folder->plan.verb == FOLDER_BAD)
		return false;
	for (size_t i = 0; i < folder->n_actions; i++) {
		if (is_remote_removal(&folder->actions[i]) || is_replaced(&folder->actions[i]) ||
		    is_local_removal(&folder->actions[i]))
			return true;
	}
	return false;
}

int remove_all(struct account *account, struct error *err)
{
	return workers_each(account, wants_removal, remove_messages, err);
}
