/* What the server made of the messages that were sent. What is recorded is what the server then says about
 * a message, not what was sent. */
#include "sync/upload.h"

#include <stdlib.h>
#include <time.h>

#include "base/text.h"

#define CUT "the connection broke while it was sent"
#define NOT_SHOWN "the server took it and does not show it"

struct part { /* of a batch: those of one folder */
	struct upload *upload;
	struct sync_folder *folder;
	struct sending *list;
	const struct imap_append *appends;
	size_t n;
};

/* The part that begins at a place in the batch. */
static struct part part_at(struct upload *u, size_t at)
{
	struct part part = {
		.upload = u,
		.folder = u->list[at].folder,
		.list = u->list + at,
		.appends = u->appends + at,
	};

	while (at + part.n < u->n && part.list[part.n].folder == part.folder)
		part.n++;
	return part;
}

/* ---- what it says ---- */

static void note_facts(void *ctx, const struct imap_facts *facts)
{
	struct part *part = ctx;

	for (size_t i = 0; i < part->n; i++) {
		struct sending *sending = &part->list[i];

		if (sending->stored.uid == facts->uid) {
			sending->facts = *facts;
			sending->told = true;
			sending->stored.flags = facts->flags;
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
static uint32_t *untold_uids(const struct part *part, size_t *n)
{
	uint32_t *uids = xmalloc(part->n * sizeof(*uids));

	*n = 0;
	for (size_t i = 0; i < part->n; i++) {
		if (part->list[i].stored.uid != 0 && !part->list[i].told)
			uids[(*n)++] = part->list[i].stored.uid;
	}
	if (*n != 0)
		qsort(uids, *n, sizeof(*uids), compare_numbers);
	return uids;
}

/* What the server made of them: sizes, dates, ids and flags as it has them. A server need not show what is
 * new in a mailbox that was selected before (RFC 9051 section 7.4.1): the second time it is selected anew. */
static int ask_facts(struct part *part)
{
	struct upload *u = part->upload;
	int result = 0;

	for (int look = 0; look < 2 && result == 0; look++) {
		size_t n;
		uint32_t *uids = untold_uids(part, &n);

		if (n != 0 && look == 1)
			result = imap_unselect(u->worker->conn, u->err);
		if (n != 0 && result == 0)
			result = worker_fetch_facts(u->worker, part->folder, uids, n, note_facts,
						    part, u->err);
		free(uids);
	}
	return result;
}

/* An error that concerns this folder alone keeps nothing from the others. */
static int judge(const struct part *part, int result)
{
	if (result == 0 || !error_is_local_to_folder(part->upload->err))
		return result;
	folder_fail(part->upload->account, part->folder, part->upload->err);
	return 0;
}

/* 0: the question was sent, 1: it was not. */
static int begin_facts(struct part *part)
{
	size_t n;
	uint32_t *uids = untold_uids(part, &n);
	int result = worker_fetch_begin(part->upload->worker, part->folder, uids, n, SECTION_NONE,
					part->upload->err);

	free(uids);
	return result;
}

static int finish_facts(struct part *part)
{
	struct upload *u = part->upload;
	int result = worker_facts_finish(u->worker, part->folder, note_facts, part, u->err);

	if (result != 0 && u->err->kind == ERROR_REFUSED)
		return 0; /* it is asked again, by itself */
	return judge(part, result);
}

/* In one write for as many folders as there are; a mailbox is selected anew for it. */
static int ask_facts_ahead(struct upload *u)
{
	struct part begun[AHEAD];
	size_t n = 0;
	int result = 0;

	for (size_t at = 0; at < u->n && n < AHEAD && result >= 0;) {
		begun[n] = part_at(u, at);
		at += begun[n].n;
		result = begin_facts(&begun[n]);
		n += result == 0;
	}
	for (size_t i = 0; i < n && result >= 0; i++)
		result = finish_facts(&begun[i]);
	return result < 0 ? -1 : 0;
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
	struct sync_folder *folder = sending->folder;
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
	folder->incomplete |= !flags_empty(lost);
	forget_or_cut(u, action);
	state_put_record(u->worker->batch, folder->record.id, &record);
	state_delete_attempt(u->worker->batch, folder->record.id, action->base);
	action->done = true;
	action->uid = action->verb == VERB_REPLACE ? action->uid : stored->uid;
	tell_change(u->account, CHANGE_UPLOAD, folder, stored->uid, action->base, NULL);
	tell_progress(u->account, PHASE_UPLOAD, folder, 1, action->file->size);
}

/* As if it had never been tried; later runs do. */
static void take_back(struct upload *u, struct sending *sending)
{
	state_delete_attempt(u->worker->batch, sending->folder->record.id, sending->action->base);
	sending->folder->incomplete = true;
}

static void book_refused(struct upload *u, struct sending *sending,
			 const struct imap_append *append)
{
	if (append->over_quota) {
		u->account->stop_uploads = true;
		take_back(u, sending);
		tell_problem(u->account, PROBLEM_REFUSED, sending->folder,
			     "the mailbox is over its quota (%s); nothing more is sent in this run",
			     append->text);
	} else if (append->try_create) {
		take_back(u, sending);
		tell_problem(u->account, PROBLEM_FOLDER, sending->folder,
			     "the mailbox went away while mail was sent to it (%s)", append->text);
	} else {
		upload_refuse(u, sending, append->text);
	}
}

static bool is_believable(const struct sending *sending, const struct imap_append *append)
{
	const struct imap_status *status = &sending->folder->status;

	return append->uid != 0 && append->uidvalidity == status->uidvalidity &&
	       append->uid >= status->uidnext;
}

/* Marks what the answer leaves open; it waits until the server can have made up its mind. */
static void in_doubt(struct upload *u, struct sending *sending, const char *reason)
{
	copy_text(sending->attempt.reason, sizeof(sending->attempt.reason), reason);
	sending->attempt.time = (int64_t)time(NULL);
	state_put_attempt(u->worker->batch, &sending->attempt);
	upload_wait(u, sending->folder, &sending->attempt);
	sending->action->skipped = true;
}

/* broken: the connection was, so that what was not sent may be sent on another. */
static void book_outcome(struct upload *u, size_t i, bool broken)
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
	case OUTCOME_NOT_SENT:
		take_back(u, sending);
		sending->action->skipped = !broken;
		break;
	case OUTCOME_UNKNOWN: in_doubt(u, sending, CUT); break;
	}
}

/* ---- all of them ---- */

static void note_uids(struct upload *u)
{
	for (size_t i = 0; i < u->n; i++) {
		struct sending *sending = &u->list[i];
		struct flags flags = sending->attempt.flags;

		sending->stored = (struct stored){.wanted = flags, .flags = flags};
		if (u->appends[i].outcome == OUTCOME_DONE && is_believable(sending, &u->appends[i]))
			sending->stored.uid = u->appends[i].uid;
	}
}

/* Without APPENDUID the mailbox is asked which of its new messages these are. */
static int find_unnamed(struct part *part)
{
	struct attempt *attempts = xmalloc(part->n * sizeof(*attempts));
	struct stored **stored = xmalloc(part->n * sizeof(struct stored *));
	size_t n = 0;
	int result = 0;

	for (size_t i = 0; i < part->n; i++) {
		if (part->list[i].stored.uid != 0 || part->appends[i].outcome != OUTCOME_DONE)
			continue;
		attempts[n] = part->list[i].attempt;
		stored[n++] = &part->list[i].stored;
	}
	if (n != 0)
		result = find_appended(part->upload->worker, part->folder, attempts, n, stored,
				       part->upload->err);
	free(attempts);
	free(stored);
	return result;
}

static int restore(struct part *part)
{
	struct stored **stored = xmalloc(part->n * sizeof(struct stored *));
	int result;

	for (size_t i = 0; i < part->n; i++)
		stored[i] = &part->list[i].stored;
	result = restore_flags(part->upload->worker, part->folder, stored, part->n,
			       part->upload->err);
	free(stored);
	return result;
}

/* A UID of APPENDUID that has neither the size nor the date that was sent is that of another message. */
static bool forget_strangers(struct part *part)
{
	bool any = false;

	for (size_t i = 0; i < part->n; i++) {
		struct sending *sending = &part->list[i];

		if (!sending->told || sending->facts.size == sending->action->file->wire_size ||
		    sending->facts.date == sending->attempt.date ||
		    sending->stored.uid != part->appends[i].uid)
			continue;
		sending->stored.uid = 0;
		sending->stored.flags = sending->stored.wanted;
		sending->told = false;
		any = true;
	}
	return any;
}

static int look_closer(struct part *part)
{
	if (find_unnamed(part) != 0 || ask_facts(part) != 0)
		return -1;
	if (forget_strangers(part) && (find_unnamed(part) != 0 || ask_facts(part) != 0))
		return -1;
	return restore(part);
}

static int look_at_stored(struct upload *u)
{
	struct part part;

	if (ask_facts_ahead(u) != 0)
		return -1;
	for (size_t at = 0; at < u->n; at += part.n) {
		part = part_at(u, at);
		if (!part.folder->failed && judge(&part, look_closer(&part)) != 0)
			return -1;
	}
	return 0;
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
		book_outcome(u, i, sent != 0);
	if (state_commit(u->worker->batch, u->account->keywords, u->err) != 0)
		return -1;
	*u->err = cause;
	return result;
}
