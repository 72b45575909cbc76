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
	if (maildir_folder_open(&folder->dir, account->maildir, folder->path_now, err) != 0)
		return -1;
	maildir_expect(folder->dir, folder->record.messages);
	return 0;
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

bool folder_must_look(const struct account *account, const struct sync_folder *folder)
{
	return account->full || folder->adopt || folder->repair || folder->record.pending != 0 ||
	       has_open_attempts(account, folder) || folder->plan.verb != FOLDER_SYNC;
}

static bool remote_is_same(const struct account *account, const struct sync_folder *folder)
{
	const struct imap_status *status = &folder->status;
	const struct folder_record *record = &folder->record;

	if (!has_remote(folder) || folder_must_look(account, folder) || !status->known)
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
	if (folder_must_look(account, folder) || !maildir_is_local(account->maildir))
		return 0;
	for (int i = STAMP_CUR; i < STAMP_COUNT; i++) {
		const struct stamp *stamp = &folder->record.stamps[i];
		bool none = stamp->inode == 0 && !stamp->racy && folder->stamps[i].inode == 0;

		if (!stamp_equal(stamp, &folder->stamps[i]) && !(i == STAMP_KEYWORDS && none))
			return 0;
	}
	*same = true;
	return 0;
}

/* ---- loading ---- */

static int add_record(void *ctx, const struct record *record)
{
	struct sync_folder *folder = ctx;

	tally_record(&folder->tally, record);
	snapshot_add_record(&folder->snapshot, record);
	return 0;
}

static int load(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct tally changed;

	if (folder->snapshot.arena != NULL)
		snapshot_release(&folder->snapshot);
	snapshot_init(&folder->snapshot);
	folder->tally = (struct tally){0};
	if (folder->record.id == 0)
		return 0;
	changed = state_tally(account->state, folder->record.id);
	tally_add(&folder->tally, &changed, -1); /* finish adds it again */
	snapshot_expect(&folder->snapshot, folder->record.messages);
	return state_each_record(account->state, folder->record.id, add_record, folder, err);
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
		return view_folder(worker, folder, err);
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
	switch (folder->early) {
	case EARLY_NOTHING:
		folder->paired = folder->record.messages;
		return local_is_same(account, folder, &folder->local_same, err);
	case EARLY_SAME:
		folder->paired = folder->record.messages;
		folder->local_same = !folder_must_look(account, folder);
		break;
	case EARLY_READ:
		folder->remote_same = folder->remote_same && !is_pending(folder);
		folder->local_same = false;
	}
	return 0;
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

/* Only one folder at a time is begun early, so what is in store stays bounded. */
static int read_here(struct account *account, struct sync_folder *folder, struct error *err)
{
	if (has_local(folder) && !folder->local_same)
		scan_begin_early(account, folder);
	if (look_at_base(account, folder, err) != 0)
		return -1;
	return look_local(account, folder, folder->local_same, err);
}

void look_early(struct account *account, struct sync_folder *folder)
{
	struct error ignored;

	if (local_is_same(account, folder, &folder->local_same, &ignored) != 0)
		return;
	if (folder->local_same)
		folder->early = EARLY_SAME;
	else if (read_here(account, folder, &ignored) == 0 && !folder->incomplete)
		folder->early = EARLY_READ;
	folder_close_dir(folder);
}

/* Records and files, unless they were read before the server answered. */
static int look_here(struct account *account, struct sync_folder *folder, struct error *err)
{
	bool early = folder->early == EARLY_READ;

	folder->early = EARLY_NOTHING;
	return early ? 0 : read_here(account, folder, err);
}

static int look(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct account *account = worker->account;

	if (!folder->viewed && look_here(account, folder, err) != 0)
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
	if (folder->early != EARLY_READ && look_at_base(account, folder, err) != 0)
		return -1;
	request = view_request_of(folder, folder_must_look(account, folder));
	if (imap_view_begin(worker->conn, folder->wire_now, is_examined(account), &request, err) !=
	    0)
		return err->kind == ERROR_REFUSED ? 1 : -1;
	return 0;
}

static int look_answer(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct account *account = worker->account;
	struct imap_view_sink sink = view_sink_of(folder);
	struct imap_view view;
	struct error local = {0};
	bool again;
	bool early = folder->early == EARLY_READ;
	int disk = early ? 0 : look_local(account, folder, folder->local_same, &local);

	folder->early = EARLY_NOTHING;
	snapshot_remote_begin(&folder->snapshot);
	if (imap_view_finish(worker->conn, &sink, &view, &again, err) != 0)
		return -1;
	if (disk != 0) {
		*err = local;
		return -1;
	}
	if (again)
		return 1;
	folder->view_good = view_book(folder, &view, is_examined(account));
	folder->viewed = true;
	return 1; /* the rest may need to ask */
}

static bool is_looked_at(const struct sync_folder *folder)
{
	return folder->plan.verb != FOLDER_IGNORE && folder->plan.verb != FOLDER_BAD;
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

/* ---- all of them at one moment ---- */

static bool misses_files(const struct sync_folder *folder)
{
	for (size_t i = 0; folder->local_looked && i < folder->snapshot.n; i++) {
		const struct message *message = &folder->snapshot.messages[i];

		if (message->local_presence == PRESENCE_ABSENT && message->name != 0)
			return true;
	}
	return false;
}

static bool any_misses_files(const struct account *account)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		if (misses_files(&account->folders[i]))
			return true;
	}
	return false;
}

static bool has_changed_since(struct account *account, const struct sync_folder *folder)
{
	struct stamp now[STAMP_COUNT];
	struct error err;

	if (!is_looked_at(folder) || !has_local(folder) || folder->failed)
		return false;
	if (maildir_stamps(account->maildir, folder->path_now, now, &err) != 0)
		return true;
	return !stamp_equal(&now[STAMP_CUR], &folder->stamps[STAMP_CUR]) ||
	       !stamp_equal(&now[STAMP_NEW], &folder->stamps[STAMP_NEW]);
}

/* A file that goes from a folder that is still to be read to one that was read is seen in neither: it would
 * be taken for removed. So what is missing counts as missing only if no folder has changed since it was
 * read; else the next run looks again. */
static void doubt_what_moved(struct account *account)
{
	bool changed = false;
	size_t n = 0;

	if (!any_misses_files(account))
		return;
	for (size_t i = 0; i < account->n_folders && !changed; i++)
		changed = has_changed_since(account, &account->folders[i]);
	for (size_t i = 0; i < account->n_folders && changed; i++) {
		struct sync_folder *folder = &account->folders[i];

		if (!misses_files(folder))
			continue;
		n += snapshot_local_doubt(&folder->snapshot);
		folder->incomplete = true;
	}
	if (changed)
		log_verbose(
			"files move while they are looked for: %zu missing ones are left to the "
			"next run",
			n);
}

int look_all(struct account *account, struct error *err)
{
	static const struct folder_pass pass = {
		.wants = wants_look, .begin = look_ahead, .finish = look_answer, .fn = look};

	if (attempts_read(account, err) != 0)
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
	if (workers_pass(account, &pass, err) != 0)
		return -1;
	doubt_what_moved(account);
	return 0;
}
