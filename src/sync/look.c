/* Looking: which folders changed on either side, and what their messages are like there. A folder that is
 * as the base remembers it on both sides is not even loaded, so the cost of a run follows the changes.
 *
 * Remote: the mailbox is unchanged if UIDVALIDITY, UIDNEXT, the count and HIGHESTMODSEQ all are (a server
 * without MODSEQ is always asked). Local: the directory is unchanged if its stamps are and none of them is
 * racy. Records that are not simply paired are looked at in every run. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int folder_open_dir(struct account *account, struct sync_folder *folder, struct error *err)
{
	if (folder->dir != NULL)
		return 0;
	return maildir_folder_open(&folder->dir, account->maildir, folder->path_now, err);
}

void folder_close_dir(struct sync_folder *folder)
{
	if (folder->dir != NULL)
		maildir_folder_close(&folder->dir);
}

void folder_is_pending(struct worker *worker, struct sync_folder *folder)
{
	if (folder->record.pending != 0)
		return;
	folder->record.pending = 1; /* counted again at the end of the run */
	state_put_folder(worker->batch, &folder->record);
}

/* ---- is there anything to look at? ---- */

static bool has_remote(const struct sync_folder *folder)
{
	return folder->plan.mailbox != NO_INDEX;
}

static bool has_local(const struct sync_folder *folder)
{
	return folder->plan.place != NO_INDEX && folder->plan.verb != FOLDER_CREATE_LOCAL;
}

static bool has_open_attempts(const struct account *account, const struct sync_folder *folder)
{
	for (size_t i = 0; i < account->n_attempts; i++) {
		if (account->attempts[i].folder == folder->record.id &&
		    account->attempts[i].state == ATTEMPT_OPEN)
			return true;
	}
	return false;
}

static bool must_look(const struct account *account, const struct sync_folder *folder)
{
	return account->full || folder->adopt || folder->repair || folder->record.pending != 0 ||
	       has_open_attempts(account, folder) || folder->plan.verb != FOLDER_SYNC;
}

static bool remote_is_same(const struct account *account, const struct sync_folder *folder)
{
	const struct imap_status *status = &folder->status;
	const struct folder_record *record = &folder->record;

	if (!has_remote(folder) || must_look(account, folder) || !status->known)
		return false;
	if (record->read_only && account->config->mode == MODE_TWO_WAY)
		return false; /* write access may have come back */
	return status->uidvalidity == record->uidvalidity && status->uidnext == record->uidnext &&
	       status->exists == record->exists && status->highestmodseq != 0 &&
	       status->highestmodseq == record->highestmodseq;
}

static int local_is_same(struct account *account, struct sync_folder *folder, bool *same,
			 struct error *err)
{
	*same = false;
	if (!has_local(folder))
		return 0;
	if (maildir_stamps(account->maildir, folder->path_now, folder->stamps, err) != 0)
		return -1;
	if (must_look(account, folder) || !maildir_is_local(account->maildir))
		return 0;
	for (int i = STAMP_CUR; i < STAMP_COUNT; i++) {
		const struct stamp *stamp = &folder->record.stamps[i];
		bool none = stamp->inode == 0 && folder->stamps[i].inode == 0;

		if (!stamp_equal(stamp, &folder->stamps[i]) && !(i == STAMP_KEYWORDS && none))
			return 0;
	}
	*same = true;
	return 0;
}

/* ---- loading ---- */

static int add_record(void *ctx, const struct record *record)
{
	snapshot_add_record(ctx, record);
	return 0;
}

static int load(struct account *account, struct sync_folder *folder, struct error *err)
{
	if (folder->snapshot.arena != NULL)
		snapshot_release(&folder->snapshot);
	snapshot_init(&folder->snapshot);
	if (folder->record.id == 0)
		return 0;
	return state_each_record(account->state, folder->record.id, add_record, &folder->snapshot,
				 err);
}

static bool is_pending(const struct sync_folder *folder)
{
	for (size_t i = 0; i < folder->snapshot.n; i++) {
		uint8_t state = folder->snapshot.messages[i].state;

		if (state != RECORD_PAIRED && state != RECORD_SKIPPED && state != RECORD_KEPT)
			return true;
	}
	return false;
}

static uint32_t count_paired(const struct sync_folder *folder)
{
	uint32_t n = 0;

	for (size_t i = 0; i < folder->snapshot.n; i++) {
		uint8_t state = folder->snapshot.messages[i].state;

		n += state == RECORD_PAIRED || state == RECORD_HELD_LOCAL ||
		     state == RECORD_HELD_REMOTE;
	}
	return n;
}

/* ---- the local side ---- */

/* A file saved twice between two runs may have the inode that it had: its time and size tell. In larger
 * folders only drafts are asked for them, unless the run is a full one. */
#define MOST_TIMES 20000

struct scan {
	struct account *account;
	struct sync_folder *folder;
	char **barred; /* names that something else than a message file has */
	size_t n_barred;
	size_t room_barred;
};

static void scan_begin(void *ctx)
{
	struct scan *scan = ctx;

	snapshot_local_begin(&scan->folder->snapshot);
	scan->n_barred = 0;
	scan->folder->letters_seen = 0;
}

static void scan_file(void *ctx, const struct local_file *file)
{
	struct scan *scan = ctx;
	struct sighting sighting = {
		.base = file->base,
		.flags = letters_to_flags(scan->account, scan->folder, file->letters),
		.inode = file->inode,
		.trace = file->has_times ? file_trace(file->mtime, file->size) : 0,
		.letters = letters_mask(file->letters),
	};

	scan->folder->letters_seen |= sighting.letters;
	snapshot_local_file(&scan->folder->snapshot, &sighting);
}

/* A message whose name something else has is not absent: nothing is known of it. */
static void bar(struct scan *scan, const char *name)
{
	const char *info = strstr(name, ":2,");
	size_t len = info != NULL ? (size_t)(info - name) : strlen(name);

	scan->barred =
		grow(scan->barred, scan->n_barred, &scan->room_barred, sizeof(scan->barred[0]));
	scan->barred[scan->n_barred++] = arena_strndup(scan->folder->snapshot.arena, name, len);
}

static void settle_barred(struct scan *scan)
{
	struct snapshot *snapshot = &scan->folder->snapshot;

	for (size_t i = 0; i < scan->n_barred; i++) {
		for (size_t j = 0; j < snapshot->n; j++) {
			struct message *message = &snapshot->messages[j];

			if (message->local_presence != PRESENCE_ABSENT ||
			    strcmp(message->base, scan->barred[i]) != 0)
				continue;
			message->local_presence = PRESENCE_UNKNOWN;
			scan->folder->incomplete = true;
			tell_problem(scan->account, PROBLEM_UNREADABLE, scan->folder,
				     "%s is not a regular file any more: put the message back, or "
				     "remove what has its name",
				     scan->barred[i]);
		}
	}
	free(scan->barred);
}

static void scan_problem(void *ctx, enum scan_problem problem, const char *name)
{
	struct scan *scan = ctx;

	bar(scan, name);
	switch (problem) {
	case SCAN_NOT_A_FILE:
		log_verbose("%s: %s is not a regular file and left out", scan->folder->plan.name,
			    name);
		break;
	case SCAN_FOREIGN_INFO:
		log_verbose("%s: %s has flags of an unknown kind, which are not synced",
			    scan->folder->plan.name, name);
		break;
	case SCAN_DUPLICATE_BASE:
		scan->folder->incomplete = true; /* told in every run */
		tell_problem(scan->account, PROBLEM_NAME, scan->folder,
			     "two files have the name %s; rename one of them", name);
		break;
	case SCAN_BAD_NAME:
		scan->folder->incomplete = true;
		tell_problem(scan->account, PROBLEM_NAME, scan->folder,
			     "the file name %s cannot be a message's; rename it", name);
		break;
	}
}

static struct local_facts *keep_facts(struct snapshot *snapshot, const struct file_facts *facts)
{
	struct local_facts *kept = arena_alloc(snapshot->arena, sizeof(*kept));

	*kept = (struct local_facts){
		.content = facts->fingerprint.content,
		.header = facts->fingerprint.header,
		.size = facts->fingerprint.size,
		.wire_size = facts->fingerprint.wire_size,
		.mtime = facts->mtime,
		.inode = facts->inode,
	};
	return kept;
}

/* A known name with another inode: restored from a backup if the contents are equal, edited if not. */
static int check_suspect(struct account *account, struct sync_folder *folder,
			 const struct suspect *suspect, struct error *err)
{
	struct snapshot *snapshot = &folder->snapshot;
	struct message *message = &snapshot->messages[suspect->message];
	struct file_facts facts;
	struct record record;

	if (maildir_examine(folder->dir, message->base, &facts, err) != 0) {
		if (err->kind == ERROR_NOT_FOUND || err->kind == ERROR_CHANGED) {
			message->local_presence = PRESENCE_UNKNOWN;
			folder->incomplete = true;
			return 0;
		}
		tell_problem(account, PROBLEM_UNREADABLE, folder, "%s", err->text);
		message->local_presence = PRESENCE_UNKNOWN;
		folder->incomplete = true;
		return 0;
	}
	if (state_get_record(account->state, snapshot->arena, folder->record.id, message->uid,
			     &record, err) < 0)
		return -1;
	if (hash_equal(&record.content, &facts.fingerprint.content)) {
		message->inode = facts.inode;
		message->trace = file_trace(facts.mtime, facts.size);
		message->touched = true;
		return 0;
	}
	message->local_presence = PRESENCE_REPLACED;
	snapshot->files = grow(snapshot->files, snapshot->n_files, &snapshot->room_files,
			       sizeof(*snapshot->files));
	snapshot->files[snapshot->n_files++] = (struct local_message){
		.base = message->base,
		.inode = facts.inode,
		.flags = message->local,
		.facts = keep_facts(snapshot, &facts),
		.replaces = suspect->message,
	};
	return 0;
}

static int scan_local(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct scan scan = {.account = account, .folder = folder};
	struct scan_sink sink = {
		.ctx = &scan,
		.times = account->full || folder->snapshot.n <= MOST_TIMES,
		.begin = scan_begin,
		.file = scan_file,
		.problem = scan_problem,
	};
	bool proved;

	if (folder_open_dir(account, folder, err) != 0)
		return -1;
	if (letters_reconcile(account, folder, err) != 0)
		return -1;
	proved = maildir_scan(folder->dir, &sink, folder->stamps, err) == 0;
	if (!proved && err->kind != ERROR_CHANGED) {
		free(scan.barred);
		return -1;
	}
	snapshot_local_end(&folder->snapshot, proved);
	settle_barred(&scan);
	folder->incomplete |= !proved;
	folder->local_looked = true;
	folder->letters_known = true;
	for (size_t i = 0; i < folder->snapshot.n_suspects; i++) {
		if (check_suspect(account, folder, &folder->snapshot.suspects[i], err) != 0)
			return -1;
	}
	return 0;
}

static int look_local(struct account *account, struct sync_folder *folder, bool same,
		      struct error *err)
{
	if (has_local(folder) && same)
		snapshot_local_same(&folder->snapshot);
	else if (has_local(folder))
		return scan_local(account, folder, err);
	else {
		snapshot_local_gone(&folder->snapshot);
		folder->letters_known = true;
	}
	return 0;
}

/* ---- the remote side ---- */

static void view_message(void *ctx, uint32_t uid, struct flags flags)
{
	snapshot_remote_message(ctx, uid, flags);
}

static void view_vanished(void *ctx, uint32_t first, uint32_t last)
{
	snapshot_remote_vanished(ctx, first, last);
}

/* EXAMINE says nothing about what could be written. */
static void note_selected(struct sync_folder *folder, const struct imap_selected *selected,
			  bool examined)
{
	uint32_t uidnext = folder->status.uidnext;

	folder->status = selected->status;
	if (folder->status.uidnext == 0)
		folder->status.uidnext = uidnext;
	if (examined)
		return;
	folder->permanent = selected->permanent;
	folder->permanent_keywords = selected->permanent_keywords;
	folder->read_only = selected->read_only;
}

static void note_uidnext(struct sync_folder *folder)
{
	const struct snapshot *snapshot = &folder->snapshot;

	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		if (snapshot->arrivals[i].uid >= folder->status.uidnext)
			folder->status.uidnext = snapshot->arrivals[i].uid + 1;
	}
}

static struct imap_view_request request_of(const struct sync_folder *folder, bool full)
{
	return (struct imap_view_request){
		.uidvalidity = folder->record.uidvalidity,
		.modseq = folder->record.highestmodseq,
		.uidnext = folder->record.uidnext,
		.full = full || folder->record.last_sync == 0,
	};
}

static bool hides_arrivals(const struct sync_folder *folder)
{
	const struct snapshot *snapshot = &folder->snapshot;
	uint32_t known = folder->record.uidnext;

	if (snapshot->n != 0 && snapshot->messages[snapshot->n - 1].uid >= known)
		known = snapshot->messages[snapshot->n - 1].uid + 1;
	return snapshot->n_arrivals == 0 && folder->status.uidnext > known;
}

/* good: the count agreed. */
static bool book_view(struct sync_folder *folder, const struct imap_view *view, bool examined)
{
	struct snapshot *snapshot = &folder->snapshot;
	enum listing listing = view->kind == VIEW_FULL ? LISTING_FULL : LISTING_DELTA;
	bool good;

	note_selected(folder, &view->selected, examined);
	good = snapshot_remote_end(snapshot, listing, view->complete, view->exists);
	if (listing == LISTING_FULL)
		return good;
	/* A server that reports everything gone at once is asked again in full, and one that stored
	 * something and does not say what. */
	return good && snapshot->vanished * 4 <= snapshot->n && !hides_arrivals(folder);
}

static bool is_read_only(const struct account *account)
{
	return account->config->mode != MODE_TWO_WAY;
}

/* Calls for one view and books it. *good is false if the count does not agree. */
static int view_once(struct worker *worker, struct sync_folder *folder, bool full, bool *good,
		     struct error *err)
{
	struct imap_view_sink sink = {&folder->snapshot, view_message, view_vanished};
	struct imap_view_request request = request_of(folder, full);
	struct imap_view view;

	snapshot_remote_begin(&folder->snapshot);
	if (imap_view(worker->conn, folder->wire_now, is_read_only(worker->account), &request,
		      &sink, &view, err) != 0)
		return -1;
	*good = book_view(folder, &view, is_read_only(worker->account));
	return 0;
}

/* The UIDs of the records are those of another mailbox, or of an earlier life of this one. */
static bool uids_are_void(const struct sync_folder *folder)
{
	const struct folder_record *record = &folder->record;
	const struct imap_status *status = &folder->status;

	if (record->uidvalidity == 0)
		return false;
	return status->uidvalidity != record->uidvalidity ||
	       (status->uidnext != 0 && status->uidnext < record->uidnext) ||
	       (status->highestmodseq != 0 && status->highestmodseq < record->highestmodseq);
}

static int void_uids(struct worker *worker, struct sync_folder *folder, bool *good,
		     struct error *err)
{
	log_verbose("%s: the server renumbered its messages: they are paired again",
		    folder->plan.name);
	folder->void_uids = true;
	folder->snapshot.void_uids = true;
	folder->repair = true;
	return view_once(worker, folder, true, good, err);
}

#define ANCHORS 4

struct anchors {
	struct account *account;
	struct sync_folder *folder;
	bool differ;
	struct error err;
};

static void check_anchor(void *ctx, const struct imap_facts *facts)
{
	struct anchors *anchors = ctx;
	struct record record;

	if (state_get_record(anchors->account->state, anchors->folder->snapshot.arena,
			     anchors->folder->record.id, facts->uid, &record, &anchors->err) != 1)
		return;
	if (!hash_is_none(&record.id) && !hash_is_none(&facts->id))
		anchors->differ |= !hash_equal(&record.id, &facts->id);
	else
		anchors->differ |=
			(record.size != 0 && facts->size != 0 && record.size != facts->size) ||
			(facts->date != INT64_MIN && record.date != facts->date);
}

static bool is_anchor(const struct message *message)
{
	return message->remote_presence == PRESENCE_HERE && message->state == RECORD_PAIRED;
}

static bool has_changed_members(const struct snapshot *snapshot)
{
	if (snapshot->n_arrivals != 0)
		return true;
	for (size_t i = 0; i < snapshot->n; i++) {
		if (snapshot->messages[i].remote_presence == PRESENCE_ABSENT &&
		    state_is_remote(snapshot->messages[i].state))
			return true;
	}
	return false;
}

/* The first, the last, which tells of a server restored from a backup, and some between; all of them
 * in a full run. */
static size_t choose_anchors(const struct snapshot *snapshot, bool all, uint32_t *uids)
{
	size_t here = 0, n = 0, seen = 0, step;

	for (size_t i = 0; i < snapshot->n; i++)
		here += is_anchor(&snapshot->messages[i]);
	step = all || here <= ANCHORS ? 1 : (here - 1) / (ANCHORS - 1);
	for (size_t i = 0; i < snapshot->n; i++) {
		if (!is_anchor(&snapshot->messages[i]))
			continue;
		if (seen == here - 1 || (seen % step == 0 && (all || n < ANCHORS - 1)))
			uids[n++] = snapshot->messages[i].uid;
		seen++;
	}
	return n;
}

/* UIDs may be renumbered under the same UIDVALIDITY. Before anything is derived from messages that seem
 * new or gone, a few that seem to be there must still be the same ones. */
static int anchors_hold(struct worker *worker, struct sync_folder *folder, bool *hold,
			struct error *err)
{
	struct snapshot *snapshot = &folder->snapshot;
	struct anchors anchors = {.account = worker->account, .folder = folder};
	struct imap_selected selected;
	bool all = worker->account->full;
	uint32_t *uids;
	size_t n;
	int result = 0;

	*hold = true;
	if (!all && !has_changed_members(snapshot))
		return 0;
	uids = xmalloc((snapshot->n + 1) * sizeof(*uids));
	n = choose_anchors(snapshot, all, uids);
	if (n != 0) /* views read in one burst leave another mailbox selected */
		result = imap_select(worker->conn, folder->wire_now, is_read_only(worker->account),
				     &selected, err);
	if (n != 0 && result == 0)
		result = imap_fetch_facts(worker->conn, uids, n, check_anchor, &anchors, err);
	free(uids);
	*hold = !anchors.differ;
	return result;
}

static int view(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	bool good = folder->view_good, hold;

	if (!folder->viewed &&
	    view_once(worker, folder, must_look(worker->account, folder), &good, err) != 0)
		return -1;
	folder->viewed = false;
	if (uids_are_void(folder)) {
		if (void_uids(worker, folder, &good, err) != 0)
			return -1;
	} else if (!good && view_once(worker, folder, true, &good, err) != 0) {
		return -1;
	}
	/* Once more, in a second command, before a full mailbox is believed to be empty. */
	if (!good ||
	    (folder->status.exists == 0 && folder->snapshot.n != 0 && !folder->void_uids)) {
		if (imap_unselect(worker->conn, err) != 0 ||
		    view_once(worker, folder, true, &good, err) != 0)
			return -1;
	}
	if (!good) {
		snapshot_remote_unknown(&folder->snapshot);
		folder->snapshot.n_arrivals = 0;
		return error_set(err, ERROR_REFUSED,
				 "the server's list of messages does not agree with its count; "
				 "the folder is left alone in this run");
	}
	if (!folder->void_uids && anchors_hold(worker, folder, &hold, err) != 0)
		return -1;
	if (!folder->void_uids && !hold && void_uids(worker, folder, &good, err) != 0)
		return -1;
	note_uidnext(folder);
	folder->remote_looked = true;
	return 0;
}

static int look_remote(struct worker *worker, struct sync_folder *folder, bool same,
		       struct error *err)
{
	if (!has_remote(folder)) {
		snapshot_remote_gone(&folder->snapshot);
	} else if (same) {
		snapshot_remote_same(&folder->snapshot);
	} else if (!folder->named) {
		snapshot_remote_unknown(&folder->snapshot);
	} else {
		return view(worker, folder, err);
	}
	return 0;
}

/* ---- both ---- */

static int is_wanted_now(void *ctx, const struct record *record)
{
	uint64_t most = *(const uint64_t *)ctx;

	return record->state == RECORD_SKIPPED && (most == 0 || record->size <= most);
}

/* max-size was raised: something that was left on the server is wanted now. */
static bool limit_was_raised(struct account *account, const struct sync_folder *folder)
{
	uint64_t most = account->config->max_size;
	struct error ignored;

	return folder->record.skipped != 0 &&
	       state_each_record(account->state, folder->record.id, is_wanted_now, &most,
				 &ignored) == 1;
}

/* Compares what LIST told and the stamps: no connection, no record. */
static int compare(struct account *account, struct sync_folder *folder, struct error *err)
{
	folder->remote_same = remote_is_same(account, folder) && !limit_was_raised(account, folder);
	folder->paired = folder->record.messages;
	return local_is_same(account, folder, &folder->local_same, err);
}

static int look_at_base(struct account *account, struct sync_folder *folder, struct error *err)
{
	if (load(account, folder, err) != 0)
		return -1;
	folder->paired = count_paired(folder);
	if (is_pending(folder)) /* not even equal stamps say that its file is there */
		folder->remote_same = folder->local_same = false;
	return 0;
}

static int look(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct account *account = worker->account;

	if (!folder->viewed && (look_at_base(account, folder, err) != 0 ||
				look_local(account, folder, folder->local_same, err) != 0))
		return -1;
	if (look_remote(worker, folder, folder->remote_same, err) != 0)
		return -1;
	folder->loaded = true;
	folder->remote_same = true; /* nothing more to look at */
	tell_progress(account, PHASE_LOOK, folder, 1, 0);
	return 0;
}

/* The view is asked for, and the disk is read while the answer is under way. */
static int look_ahead(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct account *account = worker->account;
	struct imap_view_request request;

	if (!has_remote(folder) || !folder->named || folder->remote_same)
		return 1;
	if (look_at_base(account, folder, err) != 0)
		return -1;
	request = request_of(folder, must_look(account, folder));
	if (imap_view_begin(worker->conn, folder->wire_now, is_read_only(account), &request, err) !=
	    0)
		return err->kind == ERROR_REFUSED ? 1 : -1;
	return 0;
}

static int look_answer(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct account *account = worker->account;
	struct imap_view_sink sink = {&folder->snapshot, view_message, view_vanished};
	struct imap_view view;
	struct error local = {0};
	bool again;
	int disk = look_local(account, folder, folder->local_same, &local);

	snapshot_remote_begin(&folder->snapshot);
	if (imap_view_finish(worker->conn, &sink, &view, &again, err) != 0)
		return -1;
	if (disk != 0) {
		*err = local;
		return -1;
	}
	if (again)
		return 1;
	folder->view_good = book_view(folder, &view, is_read_only(account));
	folder->viewed = true;
	return 1; /* the rest may need to ask */
}

static bool is_looked_at(const struct sync_folder *folder)
{
	return folder->plan.verb != FOLDER_IGNORE && folder->plan.verb != FOLDER_BAD &&
	       folder->plan.verb != FOLDER_FORGET;
}

static bool wants_look(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	return is_looked_at(folder) && !folder->remote_same;
}

/* What only the disk can tell needs no connection. */
static int look_at_disk(struct account *account, struct sync_folder *folder, struct error *err)
{
	int result;

	if (compare(account, folder, err) != 0)
		return -1;
	if (!folder->remote_same || folder->local_same)
		return 0;
	result = look(&account->workers[0], folder, err);
	folder_close_dir(folder);
	return result;
}

int look_all(struct account *account, struct error *err)
{
	static const struct folder_pass pass = {wants_look, look_ahead, look_answer, look};

	if (state_get_attempts(account->state, account->arena, &account->attempts,
			       &account->n_attempts, err) != 0)
		return -1;
	account->done = 0;
	account->total = account->n_folders;
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		if (!is_looked_at(folder) || look_at_disk(account, folder, err) == 0)
			continue;
		if (!error_is_local_to_folder(err))
			return -1;
		folder->incomplete = folder->failed = true;
		tell_error(account, folder, err);
	}
	return workers_pass(account, &pass, err);
}
