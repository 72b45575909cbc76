/* Moves and copies on the server, which follow files: an attempt says so before the command goes out. What
 * the server does not tell of the result is looked for (appended.c). */
#include "sync/move_remote.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct remote_moves {
	struct account *account;
	struct worker *worker;
	struct sync_folder *from;
	struct sync_folder *to;
	const struct sync_folder *next; /* where the group after this one is moved from; or NULL */
	bool told;                      /* the UIDs in the target */
	bool copy;
	struct action **actions; /* ascending UIDs */
	struct record *sources;  /* of each */
	struct attempt *attempts;
	struct stored *stored; /* what became of each */
	bool borne_out;        /* by the target's UIDNEXT */
	bool *stays;           /* the original could be marked as deleted only */
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

static int note_attempts(struct remote_moves *m, struct arena *arena, struct error *err)
{
	for (size_t i = 0; i < m->n; i++) {
		if (get_source(m, arena, m->actions[i]->uid, &m->sources[i], err) != 0)
			return -1;
		if (m->actions[i]->base == NULL)
			continue;
		m->attempts[i] = move_attempt(m, m->actions[i], &m->sources[i]);
		state_put_attempt(m->worker->batch, &m->attempts[i]);
	}
	m->account->committed = true;
	return state_commit(m->worker->batch, m->account->keywords, err);
}

static void original_gone(void *ctx, uint32_t uid)
{
	struct remote_moves *m = ctx;

	for (size_t i = 0; i < m->n; i++) {
		if (m->actions[i]->uid == uid)
			m->stays[i] = false;
	}
}

static int destroy_originals(struct remote_moves *m, const uint32_t *uids, struct error *err)
{
	size_t left;

	memset(m->stays, true, m->n * sizeof(*m->stays));
	if (!m->borne_out)
		return 0;
	return imap_destroy(m->worker->conn, uids, m->n, original_gone, m, &left, err);
}

/* A server that says OK and stores nothing must not make us destroy the original, nor believe a UID: what
 * it names must be below the target's UIDNEXT, or that must have moved. */
static bool is_borne_out(const struct remote_moves *m, const uint32_t *targets,
			 const struct imap_copy_result *answer)
{
	if (answer->uidnext == 0) /* not told */
		return true;
	for (size_t i = 0; i < m->n; i++) {
		if (targets[i] != IMAP_STAYED && targets[i] >= answer->uidnext)
			return false;
	}
	return answer->uidvalidity != 0 || answer->uidnext > m->to->status.uidnext;
}

/* A server that tells all of the move has nothing to be asked in the mailbox afterwards, so the next one may
 * be selected in the same write. */
static int transfer(struct remote_moves *m, bool can_move, const uint32_t *uids, uint32_t *targets,
		    struct imap_copy_result *result, struct error *err)
{
	struct imap_conn *conn = m->worker->conn;
	bool told = (imap_capabilities(conn) & CAP_UIDPLUS) != 0;

	if (worker_select(m->worker, m->from, err) != 0)
		return -1;
	if (m->next != NULL && told && (m->copy || can_move))
		worker_select_next(m->worker, m->next);
	return (m->copy || !can_move ? imap_copy : imap_move)(conn, uids, m->n, m->to->wire_now,
							      targets, result, err);
}

static int send_moves(struct remote_moves *m, const uint32_t *uids, uint32_t *targets,
		      struct imap_copy_result *result, struct error *err)
{
	bool can_move = (imap_capabilities(m->worker->conn) & CAP_MOVE) != 0;

	if (transfer(m, can_move, uids, targets, result, err) != 0)
		return -1;
	m->borne_out = is_borne_out(m, targets, result);
	for (size_t i = 0; i < m->n; i++) {
		m->stays[i] = targets[i] == IMAP_STAYED;
		if (m->stays[i])
			targets[i] = 0;
	}
	return m->copy || can_move ? 0 : destroy_originals(m, uids, err);
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

	action->flags = flags_merge(&triple, m->account->keywords);
}

/* An original that others' marks keep the server from expunging has no file any more: later runs remove
 * it, as one that was removed here. */
static void book_original(struct remote_moves *m, size_t i)
{
	struct record left = m->sources[i];

	if (!m->stays[i]) {
		state_delete_record(m->worker->batch, m->from->record.id, left.uid);
		return;
	}
	left.base = "";
	state_put_record(m->worker->batch, m->from->record.id, &left);
	m->from->incomplete = true;
}

static void book_move(struct remote_moves *m, size_t i)
{
	struct state_batch *batch = m->worker->batch;
	const struct stored *stored = &m->stored[i];
	struct record *source = &m->sources[i];
	struct action *action = m->actions[i];

	tell_change(m->account, m->copy ? CHANGE_COPY_REMOTE : CHANGE_MOVE_REMOTE, m->from,
		    action->uid, action->base, m->to);
	action->done = true;
	if (!m->copy)
		book_original(m, i);
	if (action->base == NULL) { /* it is new there in the next run */
		m->to->incomplete = true;
		return;
	}
	source->uid = stored->uid;
	source->state = RECORD_PAIRED;
	source->base = action->base;
	source->inode = action->file->inode;
	source->trace = file_trace(action->file->mtime, action->file->size);
	action->remote = stored->flags;
	if (m->copy) {
		source->local = source->remote = stored->flags;
		copied_flags(m, action, source);
	}
	source->local = flags_representable(m->account, m->to, source->local);
	state_put_record(batch, m->to->record.id, source);
	state_delete_attempt(batch, m->to->record.id, action->base);
	action->uid = stored->uid;
	action->folder = folder_number(m->account, m->to);
}

static void undo(struct remote_moves *m, struct action *action)
{
	if (action->base != NULL)
		state_delete_attempt(m->worker->batch, m->to->record.id, action->base);
	action_skip(m->account, action);
}

/* What the server told of them. */
static void note_targets(struct remote_moves *m, const uint32_t *targets,
			 const struct imap_copy_result *answer)
{
	bool uidplus =
		(imap_capabilities(m->worker->conn) & CAP_UIDPLUS) != 0 && answer->uidvalidity != 0;
	bool believed = m->borne_out && answer->uidvalidity == m->to->status.uidvalidity;

	m->told = uidplus && believed;
	for (size_t i = 0; i < m->n; i++) {
		struct action *action = m->actions[i];
		struct flags flags = m->copy ? m->sources[i].remote : action->remote;

		m->stored[i] = (struct stored){.wanted = flags, .flags = flags};
		if (uidplus && targets[i] == 0 && !m->stays[i]) { /* it was not there any more */
			undo(m, action);
		} else if (action->base != NULL && believed) {
			m->stored[i].uid = targets[i];
		}
	}
}

/* Of those that the server did not name. */
static int find_targets(struct remote_moves *m, struct error *err)
{
	struct attempt *attempts = xmalloc(m->n * sizeof(*attempts));
	struct stored **stored = xmalloc(m->n * sizeof(struct stored *));
	size_t n = 0;
	int result = 0;

	for (size_t i = 0; i < m->n; i++) {
		if (m->actions[i]->skipped || m->actions[i]->base == NULL || m->stored[i].uid != 0)
			continue;
		attempts[n] = m->attempts[i];
		stored[n++] = &m->stored[i];
	}
	if (n != 0)
		result = find_appended(m->worker, m->to, attempts, n, stored, err);
	if (n != 0 && result == 0)
		result = restore_flags(m->worker, m->to, stored, n, err);
	free(attempts);
	free(stored);
	return result;
}

/* It did not happen, or nobody knows: the record stays, and the attempt tells the next run what to look
 * for. One that another device took away meanwhile is no fault of the server's. */
static void leave_undone(struct remote_moves *m)
{
	bool can_move = (imap_capabilities(m->worker->conn) & CAP_MOVE) != 0;
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct action *action = m->actions[i];
		bool done = action->base != NULL ? m->stored[i].uid != 0
						 : m->borne_out && !(can_move && m->stays[i]);

		if (action->skipped || done)
			continue;
		action_skip(m->account, action);
		n += m->stays[i] || m->copy;
	}
	if (n != 0)
		tell_problem(m->account, PROBLEM_REFUSED, m->from,
			     "the server did not carry out the %s of %zu message%s to %s; the next "
			     "run looks what became of it",
			     m->copy ? "copy" : "move", n, n == 1 ? "" : "s", m->to->plan.name);
}

static int settle_moves(struct remote_moves *m, struct error *err)
{
	struct error cause;
	int result = find_targets(m, err);

	if (result != 0 && error_is_local_to_folder(err))
		result = 0; /* the attempts stay, and the next run looks */
	cause = *err;
	leave_undone(m);
	for (size_t i = 0; i < m->n; i++) {
		if (!m->actions[i]->skipped)
			book_move(m, i);
	}
	if (state_commit(m->worker->batch, m->account->keywords, err) != 0)
		return -1;
	*err = cause;
	return result;
}

static int give_up_moves(struct remote_moves *m, struct error *err)
{
	tell_problem(m->account, PROBLEM_REFUSED, m->from, "cannot move to %s: %s",
		     m->to->plan.name, err->text);
	for (size_t i = 0; i < m->n; i++)
		undo(m, m->actions[i]);
	return state_commit(m->worker->batch, m->account->keywords, err);
}

static int carry_out(struct remote_moves *m, struct error *err)
{
	struct arena *arena = arena_new();
	uint32_t *uids = xcalloc(m->n, sizeof(*uids)), *targets = xcalloc(m->n, sizeof(*targets));
	struct imap_copy_result answer = {0};
	int result;

	m->sources = xcalloc(m->n, sizeof(*m->sources));
	m->attempts = xcalloc(m->n, sizeof(*m->attempts));
	m->stored = xcalloc(m->n, sizeof(*m->stored));
	m->stays = xcalloc(m->n, sizeof(*m->stays));
	result = note_attempts(m, arena, err);
	for (size_t i = 0; i < m->n; i++)
		uids[i] = m->actions[i]->uid;
	if (result == 0)
		result = send_moves(m, uids, targets, &answer, err);
	if (result == 0) {
		note_targets(m, targets, &answer);
		result = settle_moves(m, err);
	} else if (error_is_local_to_folder(err)) {
		result = give_up_moves(m, err);
	}
	free(uids);
	free(targets);
	free(m->sources);
	free(m->attempts);
	free(m->stored);
	free(m->stays);
	arena_free(&arena);
	return result;
}

int move_group(struct worker *worker, const struct move_group *group,
	       const struct sync_folder *next, bool *told, struct error *err)
{
	struct remote_moves m = {
		.account = worker->account,
		.worker = worker,
		.from = group->from,
		.to = group->to,
		.next = next,
		.copy = group->copy,
		.actions = group->actions,
		.n = group->n,
	};
	int result = carry_out(&m, err);

	*told = m.told;
	return result;
}
