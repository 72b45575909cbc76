/* Moves that follow the server, and the pairing of what is on both sides already: the record of the new
 * place is `arriving` before the file gets its name there. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 512
#define MOST_DIRS 32

/* ---- pairs ---- */

/* Until the flags have been united on both sides, the record says that each was added by whoever has it, and
 * \Deleted taken away by whoever has not: a killed run's union is so made by the next one. */
static void expect_union(struct account *account, const struct action *action,
			 struct record *record)
{
	const struct flag_change *change = &action->flags;
	struct flags common;

	if (flags_empty(change->local_add) && flags_empty(change->local_remove) &&
	    flags_empty(change->remote_add) && flags_empty(change->remote_remove))
		return;
	common = flags_intersection(account->keywords, action->local, action->remote);
	common.system |= (action->local.system | action->remote.system) & FLAG_DELETED;
	record->local = record->remote = common;
}

static struct record pair_record(struct account *account, const struct sync_folder *folder,
				 const struct action *action)
{
	struct record record = {
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

	expect_union(account, action, &record);
	return record;
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
};

static bool is_local_move(const struct action *action, uint32_t number)
{
	if (action->done || action->held)
		return false;
	if (action->verb == VERB_PAIR)
		return action->file_folder != number;
	return action->verb == VERB_MOVE_LOCAL || action->verb == VERB_MOVE_BACK;
}

static void index_names(struct sync_folder *folder)
{
	const struct snapshot *snapshot = &folder->snapshot;

	for (uint32_t i = 0; i < snapshot->n; i++)
		index_add(&folder->names, snapshot->messages[i].name, i);
	for (uint32_t i = 0; i < snapshot->n_files; i++)
		index_add(&folder->names, name_key(snapshot->files[i].base), i);
	index_build(&folder->names);
}

/* Or one with the same key, which only gives the file a new name where it could have kept its own. */
static bool name_is_taken(struct sync_folder *folder, const char *base)
{
	if (folder->names.heads == NULL)
		index_names(folder);
	return index_first(&folder->names, name_key(base)) != INDEX_END;
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
	action_skip(account, r->action);
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

/* What is under way: a batch shares two transactions, whatever the folders, and the directories that it
 * opened, each four descriptors. */
struct mover {
	struct account *account;
	struct arena *arena;
	struct rename *list; /* BATCH of them, once there is one */
	size_t n;
	struct sync_folder *dirs[MOST_DIRS];
	size_t n_dirs;
};

static int rename_batch(struct mover *m, struct error *err)
{
	struct account *account = m->account;
	struct worker *worker = &account->workers[0];
	size_t n = m->n;

	m->n = 0;
	if (n == 0)
		return 0;
	account->committed = true;
	for (size_t i = 0; i < n; i++) {
		if (m->list[i].from == m->list[i].to)
			continue;
		state_put_record(worker->batch, m->list[i].to->record.id, &m->list[i].record);
		folder_is_pending(worker, m->list[i].to);
	}
	if (state_commit(worker->batch, account->keywords, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (rename_one(worker, &m->list[i], err) != 0)
			return -1;
	}
	if (sync_dirs(m->list, n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		rekey_one(account, worker->batch, &m->list[i]);
	return state_commit(worker->batch, account->keywords, err);
}

static void close_dirs(struct mover *m)
{
	for (size_t i = 0; i < m->n_dirs; i++)
		folder_close_dir(m->dirs[i]);
	m->n_dirs = 0;
}

static void note_dir(struct mover *m, struct sync_folder *folder)
{
	for (size_t i = 0; i < m->n_dirs; i++) {
		if (m->dirs[i] == folder)
			return;
	}
	m->dirs[m->n_dirs++] = folder;
}

static int add_rename(struct mover *m, struct action *action, struct error *err)
{
	struct rename *r;

	if (m->n_dirs + 2 > MOST_DIRS) {
		if (rename_batch(m, err) != 0)
			return -1;
		close_dirs(m);
	}
	if (m->list == NULL)
		m->list = xcalloc(BATCH, sizeof(*m->list));
	r = &m->list[m->n++];
	*r = (struct rename){.action = action};
	prepare_rename(m->account, r, m->arena);
	note_dir(m, r->from);
	note_dir(m, r->to);
	return m->n == BATCH ? rename_batch(m, err) : 0;
}

static int move_into(struct mover *m, uint32_t number, struct error *err)
{
	struct sync_folder *folder = folder_at(m->account, number);

	for (size_t i = 0; i < folder->n_actions && folder_is_usable(folder); i++) {
		struct action *action = &folder->actions[i];

		if (!is_local_move(action, number) ||
		    folder_at(m->account, action->file_folder)->failed)
			continue;
		if (add_rename(m, action, err) != 0)
			return -1;
	}
	return 0;
}

int move_local_all(struct account *account, struct error *err)
{
	struct mover m = {.account = account, .arena = arena_new()};
	int result = 0;

	for (uint32_t i = 0; result == 0 && i < account->n_folders; i++)
		result = move_into(&m, i, err);
	if (result == 0)
		result = rename_batch(&m, err);
	close_dirs(&m);
	free(m.list);
	arena_free(&m.arena);
	return result;
}
