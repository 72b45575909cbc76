/* Moves without a transfer, in both directions, and the pairing of what is on both sides already.
 *
 * A local rename follows the server: the record of the new place is `arriving` before the file gets its
 * name there. A move on the server follows the file: an attempt says so before the command goes out. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 512

/* ---- pairs ---- */

static struct record pair_record(struct account *account, const struct sync_folder *folder,
				 const struct action *action)
{
	return (struct record){
		.uid = action->uid,
		.state = RECORD_PAIRED,
		.base = action->base,
		.local = flags_representable(account, folder, action->local),
		.remote = action->remote,
		.size = action->facts->size,
		.date = action->facts->date,
		.id = action->facts->id,
		.inode = action->file->inode,
		.trace = file_trace(action->file->mtime, action->file->size),
		.content = action->file->content,
		.header = hash_is_none(&action->facts->header) ? action->file->header
							       : action->facts->header,
	};
}

int pair_all(struct account *account, struct error *err)
{
	struct state_batch *batch = account->workers[0].batch;

	for (uint32_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = folder_at(account, i);

		for (size_t j = 0; !folder->failed && j < folder->n_actions; j++) {
			struct action *action = &folder->actions[j];
			struct record record;

			if (action->verb != VERB_PAIR || action->file_folder != i)
				continue;
			record = pair_record(account, folder, action);
			state_put_record(batch, folder->record.id, &record);
			if (attempt_of(account, folder, action->base) != NULL)
				state_delete_attempt(batch, folder->record.id, action->base);
			action->done = true;
			account->committed = true;
		}
	}
	return state_commit(batch, account->keywords, err);
}

/* ---- local renames ---- */

struct rename {
	struct action *action;
	struct sync_folder *from;
	struct sync_folder *to;
	struct record record;
	const char *base; /* in the new place */
	bool moved;
};

static bool is_usable(const struct sync_folder *folder)
{
	return !folder->failed && folder->plan.verb != FOLDER_BAD;
}

static bool is_local_move(const struct action *action, uint32_t number)
{
	if (action->done || action->held)
		return false;
	if (action->verb == VERB_PAIR)
		return action->file_folder != number;
	return action->verb == VERB_MOVE_LOCAL || action->verb == VERB_MOVE_BACK;
}

static const char *name_at(const struct snapshot *snapshot, uint32_t at)
{
	return at < snapshot->n ? snapshot->messages[at].base
				: snapshot->files[at - snapshot->n].base;
}

static bool name_is_taken(struct sync_folder *folder, const char *base)
{
	const struct snapshot *snapshot = &folder->snapshot;
	uint64_t key = index_key_string(base);

	if (folder->names.heads == NULL) {
		for (size_t i = 0; i < snapshot->n + snapshot->n_files; i++)
			index_add(&folder->names, index_key_string(name_at(snapshot, (uint32_t)i)),
				  (uint32_t)i);
		index_build(&folder->names);
	}
	for (uint32_t e = index_first(&folder->names, key); e != INDEX_END;
	     e = index_next(&folder->names, e)) {
		if (strcmp(name_at(snapshot, index_value(&folder->names, e)), base) == 0)
			return true;
	}
	return false;
}

static void skip(struct account *account, struct action *action)
{
	action->skipped = true;
	folder_at(account, action->folder)->incomplete = true;
	if (action->file_folder != NO_FOLDER)
		folder_at(account, action->file_folder)->incomplete = true;
	if (action->lost != NO_LOST)
		folder_at(account, account->world.lost[action->lost].folder)->incomplete = true;
}

static struct record moved_record(struct account *account, struct sync_folder *to,
				  const struct action *action)
{
	struct record record;

	if (action->verb == VERB_PAIR)
		return pair_record(account, to, action);
	record = account->world.lost[action->lost].record;
	record.uid = action->uid;
	if (action->facts != NULL) {
		record.size = action->facts->size;
		record.date = action->facts->date;
		if (!hash_is_none(&action->facts->id))
			record.id = action->facts->id;
	}
	return record;
}

static void prepare_rename(struct account *account, struct rename *r, struct arena *arena)
{
	struct action *action = r->action;

	r->from = folder_at(account, action->file_folder);
	r->to = folder_at(account, action->folder);
	r->record = moved_record(account, r->to, action);
	r->base = action->base;
	if (r->from != r->to && name_is_taken(r->to, action->base)) {
		char *fresh = maildir_new_base(r->record.size);

		r->base = arena_strdup(arena, fresh);
		free(fresh);
	}
	r->record.base = r->base;
	if (action->file != NULL) {
		r->record.inode = action->file->inode;
		r->record.trace = file_trace(action->file->mtime, action->file->size);
	}
	r->record.state = r->from == r->to ? RECORD_PAIRED : RECORD_ARRIVING;
}

/* Letters of keywords mean something else in another folder. */
static int rename_file(struct worker *worker, struct rename *r, struct error *err)
{
	struct account *account = worker->account;
	char letters[64];
	bool keywords = r->action->local.keywords != KEYWORDS_NONE;

	if (folder_open_dir(account, r->from, err) != 0 ||
	    folder_open_dir(account, r->to, err) != 0)
		return -1;
	if (maildir_verify(r->from->dir, r->action->base, r->record.inode, &r->record.content,
			   err) != 0)
		return -1;
	if (keywords && flags_to_file_letters(worker, r->to, r->action->local, letters, err) != 0)
		return -1;
	return maildir_move(r->from->dir, r->action->base, r->to->dir, r->base,
			    keywords ? letters : NULL, err);
}

static int rename_one(struct worker *worker, struct rename *r, struct error *err)
{
	struct account *account = worker->account;

	if (r->from == r->to)
		return 0;
	if (rename_file(worker, r, err) == 0) {
		tell_change(account, CHANGE_MOVE_LOCAL, r->from, r->record.uid, r->base, r->to);
		return 0;
	}
	if (!error_is_local_to_folder(err))
		return -1;
	if (err->kind == ERROR_REFUSED)
		tell_problem(account, PROBLEM_NAME, r->from, "%s", err->text);
	skip(account, r->action);
	return 0;
}

static int sync_dirs(struct rename *list, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].from == list[i].to || list[i].action->skipped)
			continue;
		if (maildir_folder_sync(list[i].to->dir, err) != 0 ||
		    maildir_folder_sync(list[i].from->dir, err) != 0)
			return -1;
	}
	return 0;
}

/* The record of the old place; its number may be that of the new one in another folder only. */
static void rekey_one(struct account *account, struct state_batch *batch, struct rename *r)
{
	struct action *action = r->action;
	const struct lost *lost =
		action->lost != NO_LOST ? &account->world.lost[action->lost] : NULL;

	if (action->skipped) {
		if (r->from != r->to)
			state_delete_record(batch, r->to->record.id, r->record.uid);
		if (lost != NULL && folder_at(account, lost->folder) == r->to &&
		    lost->record.uid == r->record.uid) /* a move back: the record as it was */
			state_put_record(batch, r->to->record.id, &lost->record);
		return;
	}
	if (lost != NULL &&
	    (folder_at(account, lost->folder) != r->to || lost->record.uid != r->record.uid))
		forget_lost(account, batch, action->lost);
	r->record.state = RECORD_PAIRED;
	r->record.local = flags_representable(account, r->to, r->record.local);
	state_put_record(batch, r->to->record.id, &r->record);
	action->base = arena_strdup(account->arena, r->base);
	action->done = true;
}

static int rename_batch(struct account *account, struct rename *list, size_t n, struct error *err)
{
	struct worker *worker = &account->workers[0];

	account->committed = true;
	for (size_t i = 0; i < n; i++) {
		if (list[i].from == list[i].to)
			continue;
		state_put_record(worker->batch, list[i].to->record.id, &list[i].record);
		folder_is_pending(worker, list[i].to);
	}
	if (state_commit(worker->batch, account->keywords, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (rename_one(worker, &list[i], err) != 0)
			return -1;
	}
	if (sync_dirs(list, n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		rekey_one(account, worker->batch, &list[i]);
	return state_commit(worker->batch, account->keywords, err);
}

static void close_dirs(struct account *account)
{
	for (size_t i = 0; i < account->n_folders; i++)
		folder_close_dir(&account->folders[i]);
}

int move_local_all(struct account *account, struct error *err)
{
	struct rename *list = xcalloc(BATCH, sizeof(*list));
	struct arena *arena = arena_new();
	size_t n = 0;
	int result = 0;

	for (uint32_t i = 0; result == 0 && i < account->n_folders; i++) {
		struct sync_folder *folder = folder_at(account, i);

		for (size_t j = 0; result == 0 && j < folder->n_actions; j++) {
			if (!is_local_move(&folder->actions[j], i) || !is_usable(folder) ||
			    folder_at(account, folder->actions[j].file_folder)->failed)
				continue;
			list[n] = (struct rename){.action = &folder->actions[j]};
			prepare_rename(account, &list[n++], arena);
			if (n == BATCH) {
				result = rename_batch(account, list, n, err);
				n = 0;
			}
		}
		if (n != 0 && result == 0) /* one target folder at a time: few open directories */
			result = rename_batch(account, list, n, err);
		n = 0;
		close_dirs(account);
	}
	free(list);
	arena_free(&arena);
	return result;
}

/* ---- moves and copies on the server ---- */

struct remote_moves {
	struct account *account;
	struct worker *worker;
	struct sync_folder *from;
	struct sync_folder *to;
	bool copy;
	struct action **actions; /* ascending UIDs */
	size_t n;
};

static struct attempt move_attempt(const struct remote_moves *m, const struct action *action,
				   const struct record *source)
{
	return (struct attempt){
		.folder = m->to->record.id,
		.base = action->base,
		.kind = m->copy ? ATTEMPT_COPY : ATTEMPT_MOVE,
		.state = ATTEMPT_OPEN,
		.uidvalidity = m->to->status.uidvalidity,
		.uidnext = m->to->status.uidnext,
		.content = action->file->content,
		.header = source->header,
		.message_id = action->file->message_id,
		.date = source->date,
		.flags = source->remote,
		.inode = action->file->inode,
		.old_folder = m->copy ? 0 : m->from->record.id,
		.old_uid = m->copy ? 0 : action->uid,
		.tries = 1,
		.time = (int64_t)time(NULL),
	};
}

static int get_source(const struct remote_moves *m, struct arena *arena, uint32_t uid,
		      struct record *record, struct error *err)
{
	int found =
		state_get_record(m->account->state, arena, m->from->record.id, uid, record, err);

	if (found == 0)
		return error_set(err, ERROR_CHANGED, "UID %u has no record any more", uid);
	return found < 0 ? -1 : 0;
}

static int note_attempts(struct remote_moves *m, struct record *sources, struct arena *arena,
			 struct error *err)
{
	for (size_t i = 0; i < m->n; i++) {
		struct attempt attempt;

		if (get_source(m, arena, m->actions[i]->uid, &sources[i], err) != 0)
			return -1;
		if (m->actions[i]->base == NULL)
			continue;
		attempt = move_attempt(m, m->actions[i], &sources[i]);
		state_put_attempt(m->worker->batch, &attempt);
	}
	m->account->committed = true;
	return state_commit(m->worker->batch, m->account->keywords, err);
}

static void ignore_uid(void *ctx, uint32_t uid)
{
	(void)ctx;
	(void)uid;
}

static int send_moves(struct remote_moves *m, const uint32_t *uids, uint32_t *targets,
		      struct imap_copy_result *result, struct error *err)
{
	bool can_move = (imap_capabilities(m->worker->conn) & CAP_MOVE) != 0;
	size_t left;

	if (worker_select(m->worker, m->from, err) != 0)
		return -1;
	if (m->copy || !can_move) {
		if (imap_copy(m->worker->conn, uids, m->n, m->to->wire_now, targets, result, err) !=
		    0)
			return -1;
		return m->copy ? 0
			       : imap_destroy(m->worker->conn, uids, m->n, ignore_uid, NULL, &left,
					      err);
	}
	return imap_move(m->worker->conn, uids, m->n, m->to->wire_now, targets, result, err);
}

/* The file's flags against those that the copy got from its original. */
static void copied_flags(struct remote_moves *m, struct action *action, const struct record *source)
{
	struct triple triple = {
		.base_local = source->remote,
		.base_remote = source->remote,
		.now_local = action->local,
		.now_remote = source->remote,
	};

	action->remote = source->remote;
	action->flags = flags_merge(&triple, m->account->keywords);
}

static void book_move(struct remote_moves *m, struct action *action, struct record *source,
		      uint32_t target)
{
	struct state_batch *batch = m->worker->batch;
	uint32_t old_uid = action->uid;

	tell_change(m->account, m->copy ? CHANGE_COPY_REMOTE : CHANGE_MOVE_REMOTE, m->from, old_uid,
		    action->base, m->to);
	action->done = true;
	if (!m->copy)
		state_delete_record(batch, m->from->record.id, old_uid);
	if (action->base == NULL) {
		m->to->incomplete = true; /* it is new there in the next run */
		return;
	}
	if (target == 0) { /* the server did not say: the attempt finds it in the next run */
		m->to->incomplete = true;
		return;
	}
	source->uid = target;
	source->state = RECORD_PAIRED;
	source->base = action->base;
	source->inode = action->file->inode;
	source->trace = file_trace(action->file->mtime, action->file->size);
	if (m->copy) {
		copied_flags(m, action, source);
		source->local = source->remote;
	}
	source->local = flags_representable(m->account, m->to, source->local);
	state_put_record(batch, m->to->record.id, source);
	state_delete_attempt(batch, m->to->record.id, action->base);
	action->uid = target;
	action->folder = folder_number(m->account, m->to);
}

static void undo_attempts(struct remote_moves *m)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->actions[i]->base != NULL)
			state_delete_attempt(m->worker->batch, m->to->record.id,
					     m->actions[i]->base);
		skip(m->account, m->actions[i]);
	}
}

static int settle_moves(struct remote_moves *m, struct record *sources, const uint32_t *targets,
			const struct imap_copy_result *result, struct error *err)
{
	bool uidplus =
		(imap_capabilities(m->worker->conn) & CAP_UIDPLUS) != 0 && result->uidvalidity != 0;
	bool believed = result->uidvalidity == m->to->status.uidvalidity;

	for (size_t i = 0; i < m->n; i++) {
		if (uidplus && targets[i] == 0) { /* it was not there any more */
			if (m->actions[i]->base != NULL)
				state_delete_attempt(m->worker->batch, m->to->record.id,
						     m->actions[i]->base);
			skip(m->account, m->actions[i]);
			continue;
		}
		book_move(m, m->actions[i], &sources[i], believed ? targets[i] : 0);
	}
	return state_commit(m->worker->batch, m->account->keywords, err);
}

static int move_group(struct remote_moves *m, struct error *err)
{
	struct arena *arena = arena_new();
	uint32_t *uids = xcalloc(m->n, sizeof(*uids)), *targets = xcalloc(m->n, sizeof(*targets));
	struct record *sources = xcalloc(m->n, sizeof(*sources));
	struct imap_copy_result answer = {0};
	int result = note_attempts(m, sources, arena, err);

	for (size_t i = 0; i < m->n; i++)
		uids[i] = m->actions[i]->uid;
	if (result == 0)
		result = send_moves(m, uids, targets, &answer, err);
	if (result == 0) {
		result = settle_moves(m, sources, targets, &answer, err);
	} else if (error_is_local_to_folder(err)) {
		tell_problem(m->account, PROBLEM_REFUSED, m->from, "cannot move to %s: %s",
			     m->to->plan.name, err->text);
		undo_attempts(m);
		result = state_commit(m->worker->batch, m->account->keywords, err);
	}
	free(uids);
	free(targets);
	free(sources);
	arena_free(&arena);
	return result;
}

static int compare_moves(const void *a, const void *b)
{
	const struct action *x = *(struct action *const *)a, *y = *(struct action *const *)b;

	if (x->folder != y->folder)
		return x->folder < y->folder ? -1 : 1;
	if (x->file_folder != y->file_folder)
		return x->file_folder < y->file_folder ? -1 : 1;
	if (x->copy != y->copy)
		return x->copy < y->copy ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* One command's worth: the same folders, the same kind, every UID once (two copies of one message into
 * one folder are two commands). */
static size_t group_length(struct action **list, size_t n)
{
	size_t i = 1;

	while (i < n && i < BATCH && list[i]->folder == list[0]->folder &&
	       list[i]->file_folder == list[0]->file_folder && list[i]->copy == list[0]->copy &&
	       list[i]->uid != list[i - 1]->uid)
		i++;
	return i;
}

static bool is_remote_move(struct account *account, const struct action *action)
{
	return action->verb == VERB_MOVE_REMOTE && !action->done && !action->held &&
	       is_usable(folder_at(account, action->folder)) &&
	       is_usable(folder_at(account, action->file_folder));
}

static struct action **collect_moves(struct account *account, size_t *n)
{
	struct action **list = NULL;
	size_t room = 0;

	*n = 0;
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		for (size_t j = 0; j < folder->n_actions; j++) {
			if (!is_remote_move(account, &folder->actions[j]))
				continue;
			list = grow(list, *n, &room, sizeof(struct action *));
			list[(*n)++] = &folder->actions[j];
		}
	}
	if (*n != 0)
		qsort(list, *n, sizeof(struct action *), compare_moves);
	return list;
}

int move_remote_all(struct account *account, struct error *err)
{
	struct worker *worker = &account->workers[0];
	size_t n, at = 0, length;
	struct action **list = collect_moves(account, &n);
	int result = 0;

	for (; result == 0 && at < n; at += length) {
		struct remote_moves m = {
			.account = account,
			.worker = worker,
			.from = folder_at(account, list[at]->folder),
			.to = folder_at(account, list[at]->file_folder),
			.copy = list[at]->copy,
			.actions = list + at,
		};

		m.n = length = group_length(list + at, n - at);
		result = sync_is_stopping() ? error_set(err, ERROR_STOPPED,
							"stopped; the next run goes on from here")
					    : worker_connect(worker, err);
		if (result == 0)
			result = move_group(&m, err);
	}
	free(list);
	return result;
}
