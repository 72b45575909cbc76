/* Uploads, exactly once: an attempt is durable before the APPEND goes out, and a try whose outcome is not
 * known is looked for (recover.c), never repeated blindly. What is recorded is what the server then says
 * about the message, not what was sent. */
#include "sync/account.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define BATCH 1024
#define MOST_TRIES 2
#define CUT "the connection broke while it was sent"
#define NOT_SHOWN "the server took it and does not show it"

struct sending {
	struct action *action;
	struct attempt attempt;
	struct stored stored;
	struct imap_facts facts;
	bool told; /* facts are from the server */
};

struct upload {
	struct worker *worker;
	struct account *account;
	struct sync_folder *folder;
	struct sending *list;
	struct imap_append *appends;
	size_t n;
	struct error *err;
};

/* ---- before ---- */

/* The contents of a file that has a record but is sent as a new message. */
static int ensure_facts(struct upload *u, struct action *action)
{
	struct file_facts facts;

	if (action->file != NULL)
		return 0;
	if (maildir_examine(u->folder->dir, action->base, &facts, u->err) != 0)
		return -1;
	action->file = facts_keep(&u->folder->snapshot, &facts);
	return 0;
}

static void refuse(struct upload *u, struct action *action, struct attempt attempt,
		   const char *reason)
{
	action->done = true; /* it is remembered, and told in every run */
	attempt.state = ATTEMPT_REFUSED;
	copy_text(attempt.reason, sizeof(attempt.reason), reason);
	state_put_attempt(u->worker->batch, &attempt);
	tell_problem(u->account, PROBLEM_REFUSED, u->folder, "the server refused %s: %s",
		     attempt.base, attempt.reason);
}

static struct flags sendable(const struct sync_folder *folder, struct flags flags)
{
	flags.system &= folder->permanent & FLAGS_ALL;
	if (!folder->permanent_keywords)
		flags.keywords = KEYWORDS_NONE;
	return flags;
}

static struct attempt new_attempt(const struct upload *u, const struct action *action)
{
	struct attempt attempt = {
		.folder = u->folder->record.id,
		.base = action->base,
		.kind = ATTEMPT_APPEND,
		.state = ATTEMPT_OPEN,
		.uidvalidity = u->folder->status.uidvalidity,
		.uidnext = u->folder->status.uidnext,
		.content = action->file->content,
		.header = action->file->header,
		.message_id = action->file->message_id,
		.date = action->file->mtime,
		.flags = sendable(u->folder, action->local),
		.inode = action->file->inode,
		.tries = 1,
		.time = (int64_t)time(NULL),
	};

	if (action->lost != NO_LOST) {
		const struct lost *lost = &u->account->world.lost[action->lost];

		attempt.old_folder = u->account->folders[lost->folder].record.id;
		attempt.old_uid = lost->record.uid;
	}
	return attempt;
}

static void wait_for_it(struct upload *u, const struct attempt *attempt)
{
	u->folder->incomplete = true;
	tell_problem(u->account, PROBLEM_PARKED, u->folder,
		     "%s: %s; a run a minute later looks whether it arrived", attempt->base,
		     attempt->reason);
}

/* Refused, or its outcome is unknown: docs/sync-rules.md, A. False: it is not sent in this run. */
static bool may_send_again(struct upload *u, struct action *action, struct attempt *known,
			   struct attempt *attempt)
{
	if (known->state != ATTEMPT_OPEN) { /* told by recover.c */
		note_rule(u->account, RULES_ATTEMPTS, 1);
		known->inode = action->file->inode;
		state_put_attempt(u->worker->batch, known);
		action->done = true;
		return false;
	}
	if (known->reason[0] != '\0' && !attempt_is_old(known)) {
		note_rule(u->account, RULES_ATTEMPTS, 2);
		wait_for_it(u, known);
		return false;
	}
	if (known->tries >= MOST_TRIES) {
		note_rule(u->account, RULES_ATTEMPTS, 3);
		known->state = ATTEMPT_PARKED;
		action->done = true;
		state_put_attempt(u->worker->batch, known);
		tell_problem(u->account, PROBLEM_PARKED, u->folder,
			     "%s was sent twice with unknown outcome and is not sent again until "
			     "it changes",
			     action->base);
		return false;
	}
	note_rule(u->account, RULES_ATTEMPTS, 4);
	attempt->tries = known->tries + 1;
	if (known->uidvalidity ==
	    attempt->uidvalidity) /* what came late came after the first try */
		attempt->uidnext = known->uidnext;
	return true;
}

/* False: it is not sent in this run. */
static bool may_send(struct upload *u, struct action *action, struct attempt *attempt)
{
	struct attempt *known = attempt_of(u->account, u->folder, action->base);
	uint64_t limit = imap_append_limit(u->worker->conn);

	*attempt = new_attempt(u, action);
	if (limit != 0 && action->file->wire_size > limit) {
		note_rule(u->account, RULES_ATTEMPTS, 5);
		refuse(u, action, *attempt, "it is larger than the server takes");
		return false;
	}
	if (known == NULL || !hash_equal(&known->content, &action->file->content))
		return true;
	return may_send_again(u, action, known, attempt);
}

/* ---- the files, opened as they are sent ---- */

static bool unchanged(int fd, const struct local_facts *facts)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (uint64_t)st.st_ino == facts->inode &&
	       (uint64_t)st.st_size == facts->size && (int64_t)st.st_mtim.tv_sec == facts->mtime;
}

static int open_file(void *ctx, size_t i)
{
	struct upload *u = ctx;
	struct action *action = u->list[i].action;
	struct error err;
	int fd = maildir_open_file(u->folder->dir, action->base, NULL, NULL, &err);

	if (fd >= 0 && !unchanged(fd, action->file)) {
		close(fd);
		fd = -1;
	}
	u->appends[i].fd = fd;
	u->appends[i].size = action->file->wire_size;
	return fd < 0 ? -1 : 0;
}

static void close_file(void *ctx, size_t i)
{
	struct upload *u = ctx;

	close(u->appends[i].fd);
	u->appends[i].fd = -1;
}

/* ---- after ---- */

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
		refuse(u, sending->action, sending->attempt, append->text);
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
	wait_for_it(u, &sending->attempt);
	sending->action->skipped = true;
}

/* ---- what the server made of them ---- */

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

/* ---- a batch ---- */

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

static int settle(struct upload *u, int sent)
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

static int send_batch(struct upload *u)
{
	struct imap_append_source source = {u, open_file, close_file};
	int sent;

	if (u->n == 0)
		return state_commit(u->worker->batch, u->account->keywords, u->err);
	for (size_t i = 0; i < u->n; i++) {
		u->appends[i] = (struct imap_append){
			.fd = -1,
			.size = u->list[i].action->file->wire_size,
			.flags = u->list[i].attempt.flags,
			.date = u->list[i].attempt.date,
		};
		state_put_attempt(u->worker->batch, &u->list[i].attempt);
	}
	u->account->committed = true;
	if (state_commit(u->worker->batch, u->account->keywords, u->err) != 0)
		return -1;
	sent = imap_append(u->worker->conn, u->folder->wire_now, u->appends, u->n, &source, u->err);
	sent = settle(u, sent);
	u->n = 0;
	return sent;
}

static int consider(struct upload *u, struct action *action)
{
	struct attempt attempt;

	if (ensure_facts(u, action) != 0) {
		if (!error_is_local_to_folder(u->err))
			tell_error(u->account, u->folder, u->err);
		u->folder->incomplete = true;
		action->skipped = true;
		return 0;
	}
	if (!may_send(u, action, &attempt)) {
		action->skipped = !action->done;
		return 0;
	}
	u->list[u->n++] = (struct sending){.action = action, .attempt = attempt};
	return u->n == BATCH ? send_batch(u) : 0;
}

static bool is_upload(const struct action *action)
{
	return (action->verb == VERB_UPLOAD || action->verb == VERB_REPLACE) && !action->done &&
	       !action->held && !action->skipped;
}

static int upload(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct upload u = {
		.worker = worker,
		.account = worker->account,
		.folder = folder,
		.err = err,
	};
	size_t room;
	int result = 0;

	if (folder_open_dir(u.account, folder, err) != 0)
		return -1;
	room = folder->n_actions < BATCH ? folder->n_actions : BATCH;
	u.list = xcalloc(room, sizeof(*u.list));
	u.appends = xcalloc(room, sizeof(*u.appends));
	for (size_t i = 0; result == 0 && i < folder->n_actions; i++) {
		if (!is_upload(&folder->actions[i]))
			continue;
		if (u.account->stop_uploads) {
			folder->incomplete = true;
			break;
		}
		result = check_stop(err);
		if (result == 0)
			result = consider(&u, &folder->actions[i]);
	}
	if (result == 0)
		result = send_batch(&u);
	free(u.list);
	free(u.appends);
	return result;
}

static bool wants_upload(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	for (size_t i = 0; i < folder->n_actions; i++) {
		if (is_upload(&folder->actions[i]))
			return true;
	}
	return false;
}

int upload_all(struct account *account, struct error *err)
{
	return workers_each(account, wants_upload, upload, err);
}
