/* What the server made of the messages that were sent. What is recorded is what the server then says about
 * a message, not what was sent. */
#include "sync/upload.h"

#include <stdlib.h>
#include <time.h>

#include "base/text.h"

#define CUT "the connection broke while it was sent"
#define NOT_SHOWN "the server took it and does not show it"

/* ---- what it says ---- */

static void note_facts(void *ctx, const struct imap_facts *facts)
{
	struct upload *u = ctx;

	for (size_t i = 0; i < u->n; i++) {
		if (u->list[i].stored.uid == facts->uid) {
			u->list[i].facts = *facts;
			u->list[i].told = true;
			u->list[i].stored.flags = facts->flags;
			return;
		}
	}
}

static int compare_numbers(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The UIDs of which nothing is known yet; caller frees. */
static uint32_t *untold_uids(const struct upload *u, size_t *n)
{
	uint32_t *uids = xmalloc(u->n * sizeof(*uids));

	*n = 0;
	for (size_t i = 0; i < u->n; i++) {
		if (u->list[i].stored.uid != 0 && !u->list[i].told)
			uids[(*n)++] = u->list[i].stored.uid;
	}
	if (*n != 0)
		qsort(uids, *n, sizeof(*uids), compare_numbers);
	return uids;
}

/* What the server made of them: sizes, dates, ids and flags as it has them. A server need not show what is
 * new in a mailbox that was selected before (RFC 9051 section 7.4.1): the second time it is selected anew. */
static int ask_facts(struct upload *u)
{
	int result = 0;

	for (int look = 0; look < 2 && result == 0; look++) {
		size_t n;
		uint32_t *uids = untold_uids(u, &n);

		if (n != 0 && look == 1)
			result = imap_unselect(u->worker->conn, u->err);
		if (n != 0 && result == 0)
			result = worker_fetch_facts(u->worker, u->folder, uids, n, note_facts, u,
						    u->err);
		free(uids);
	}
	return result;
}

/* ---- one message ---- */

static void forget_or_cut(struct upload *u, struct action *action)
{
	const struct lost *lost;

	if (action->lost == NO_LOST)
		return;
	lost = &u->account->world.lost[action->lost];
	if (action->verb == VERB_UPLOAD) {
		forget_lost(u->account, u->worker->batch, action->lost);
	} else { /* the old one is destroyed in its turn; it has no file any more */
		struct record record = lost->record;

		record.base = "";
		state_put_record(u->worker->batch, u->account->folders[lost->folder].record.id,
				 &record);
	}
}

/* What the server dropped again is sent once more, as a change; what another device has set already is one
 * too, for the next look. */
static void book(struct upload *u, struct sending *sending)
{
	struct keyword_pool *pool = u->account->keywords;
	const struct stored *stored = &sending->stored;
	struct flags lost = flags_minus(pool, stored->wanted, stored->flags);
	struct action *action = sending->action;
	struct record record = {
		.uid = stored->uid,
		.state = RECORD_PAIRED,
		.base = action->base,
		.local = action->local,
		.remote = flags_intersection(pool, stored->wanted, stored->flags),
		.size = sending->facts.size,
		.date = sending->facts.date,
		.id = sending->facts.id,
		.inode = action->file->inode,
		.trace = file_trace(action->file->mtime, action->file->size),
		.content = action->file->content,
		.header = action->file->header,
	};

	record.local = flags_minus(pool, record.local, lost);
	u->folder->incomplete |= !flags_empty(lost);
	forget_or_cut(u, action);
	state_put_record(u->worker->batch, u->folder->record.id, &record);
	state_delete_attempt(u->worker->batch, u->folder->record.id, action->base);
	action->done = true;
	action->uid = action->verb == VERB_REPLACE ? action->uid : stored->uid;
	tell_change(u->account, CHANGE_UPLOAD, u->folder, stored->uid, action->base, NULL);
	tell_progress(u->account, PHASE_UPLOAD, u->folder, 1, action->file->size);
}

static void book_refused(struct upload *u, struct sending *sending,
			 const struct imap_append *append)
{
	if (append->over_quota) {
		u->account->stop_uploads = true;
		u->folder->incomplete = true;
		state_delete_attempt(u->worker->batch, u->folder->record.id, sending->action->base);
		tell_problem(u->account, PROBLEM_REFUSED, u->folder,
			     "the mailbox is over its quota (%s); nothing more is sent in this run",
			     append->text);
	} else if (append->try_create) {
		u->folder->incomplete = true;
		state_delete_attempt(u->worker->batch, u->folder->record.id, sending->action->base);
		tell_problem(u->account, PROBLEM_FOLDER, u->folder,
			     "the mailbox went away while mail was sent to it (%s)", append->text);
	} else {
		upload_refuse(u, sending->action, sending->attempt, append->text);
	}
}

static void not_sent(struct upload *u, struct sending *sending)
{
	state_delete_attempt(u->worker->batch, u->folder->record.id, sending->action->base);
	u->folder->incomplete = true;
	sending->action->skipped = true;
}

static bool is_believable(const struct upload *u, const struct imap_append *append)
{
	return append->uid != 0 && append->uidvalidity == u->folder->status.uidvalidity &&
	       append->uid >= u->folder->status.uidnext;
}

/* Marks what the answer leaves open; it waits until the server can have made up its mind. */
static void in_doubt(struct upload *u, struct sending *sending, const char *reason)
{
	copy_text(sending->attempt.reason, sizeof(sending->attempt.reason), reason);
	sending->attempt.time = (int64_t)time(NULL);
	state_put_attempt(u->worker->batch, &sending->attempt);
	upload_wait(u, &sending->attempt);
	sending->action->skipped = true;
}

static void book_outcome(struct upload *u, size_t i)
{
	struct sending *sending = &u->list[i];

	switch (u->appends[i].outcome) {
	case OUTCOME_DONE:
		if (sending->told)
			book(u, sending);
		else
			in_doubt(u, sending, NOT_SHOWN);
		break;
	case OUTCOME_REFUSED: book_refused(u, sending, &u->appends[i]); break;
	case OUTCOME_NOT_SENT: not_sent(u, sending); break;
	case OUTCOME_UNKNOWN: in_doubt(u, sending, CUT); break;
	}
}

/* ---- all of them ---- */

static void note_uids(struct upload *u)
{
	for (size_t i = 0; i < u->n; i++) {
		struct flags flags = u->list[i].attempt.flags;

		u->list[i].stored = (struct stored){.wanted = flags, .flags = flags};
		if (u->appends[i].outcome == OUTCOME_DONE && is_believable(u, &u->appends[i]))
			u->list[i].stored.uid = u->appends[i].uid;
	}
}

/* Without APPENDUID the mailbox is asked which of its new messages these are. */
static int find_unnamed(struct upload *u)
{
	struct attempt *attempts = xmalloc(u->n * sizeof(*attempts));
	struct stored **stored = xmalloc(u->n * sizeof(struct stored *));
	size_t n = 0;
	int result = 0;

	for (size_t i = 0; i < u->n; i++) {
		if (u->list[i].stored.uid != 0 || u->appends[i].outcome != OUTCOME_DONE)
			continue;
		attempts[n] = u->list[i].attempt;
		stored[n++] = &u->list[i].stored;
	}
	if (n != 0)
		result = find_appended(u->worker, u->folder, attempts, n, stored, u->err);
	free(attempts);
	free(stored);
	return result;
}

static int restore(struct upload *u)
{
	struct stored **stored = xmalloc(u->n * sizeof(struct stored *));
	int result;

	for (size_t i = 0; i < u->n; i++)
		stored[i] = &u->list[i].stored;
	result = restore_flags(u->worker, stored, u->n, u->err);
	free(stored);
	return result;
}

/* A UID of APPENDUID that has neither the size nor the date that was sent is that of another message. */
static bool forget_strangers(struct upload *u)
{
	bool any = false;

	for (size_t i = 0; i < u->n; i++) {
		struct sending *sending = &u->list[i];

		if (!sending->told || sending->facts.size == sending->action->file->wire_size ||
		    sending->facts.date == sending->attempt.date ||
		    sending->stored.uid != u->appends[i].uid)
			continue;
		sending->stored.uid = 0;
		sending->stored.flags = sending->stored.wanted;
		sending->told = false;
		any = true;
	}
	return any;
}

static int look_at_stored(struct upload *u)
{
	if (find_unnamed(u) != 0 || ask_facts(u) != 0)
		return -1;
	if (forget_strangers(u) && (find_unnamed(u) != 0 || ask_facts(u) != 0))
		return -1;
	return restore(u);
}

int upload_settle(struct upload *u, int sent)
{
	struct error cause;
	int result = sent;

	note_uids(u);
	if (sent == 0)
		result = look_at_stored(u);
	cause = *u->err;
	for (size_t i = 0; i < u->n; i++)
		book_outcome(u, i);
	if (state_commit(u->worker->batch, u->account->keywords, u->err) != 0)
		return -1;
	*u->err = cause;
	return result;
}
