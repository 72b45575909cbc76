/* Downloads: bodies stream into files in tmp, which the store puts into their place lot by lot. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "sync/store.h"

struct download {
	struct worker *worker;
	struct account *account;
	struct sync_folder *folder;
	struct action **wanted; /* ascending UIDs */
	bool *taken;            /* those of which a body was received */
	size_t n_wanted;
	struct store *store; /* NULL: it cannot be written to */
	struct delivery *current;
	const struct imap_selected *selected; /* by a burst; NULL: it was checked */
	struct error err;
};

/* ---- messages as they come ---- */

static int body_begin(void *ctx, uint32_t uid, uint64_t size)
{
	struct download *d = ctx;

	(void)uid;
	(void)size;
	if (d->store == NULL)
		return -1;
	if (d->selected != NULL && check_selected(d->folder, d->selected, &d->err) != 0)
		return -1;
	if (d->current != NULL)
		delivery_abort(&d->current);
	return delivery_begin(&d->current, d->folder->dir, &d->err);
}

static int body_data(void *ctx, const char *data, size_t len)
{
	struct download *d = ctx;

	store_lot(d->store)->bytes += len;
	return delivery_write(d->current, data, len, &d->err);
}

/* A date that makes no sense is not put on the file: it then has the time of its arrival. */
static int64_t file_date(const struct imap_facts *facts)
{
	return facts->date != INT64_MIN ? facts->date : (int64_t)time(NULL);
}

static int take(struct download *d, struct action *action, const struct imap_facts *facts)
{
	struct lot *lot = store_lot(d->store);
	struct arrived *arrived = &lot->list[lot->n];
	struct file_facts file;
	const char *base;

	if (delivery_finish(d->current, file_date(facts), lot->arena, &base, &file, &d->err) != 0)
		return -1;
	*arrived = (struct arrived){.delivery = d->current, .action = action};
	d->current = NULL;
	arrived->record = (struct record){
		.uid = facts->uid,
		.base = base,
		.remote = facts->flags,
		.size = facts->size,
		.date = file_date(facts),
		.inode = file.inode,
		.trace = file_trace(file.mtime, file.size),
		.content = file.fingerprint.content,
		.header = file.fingerprint.header,
		.id = facts->id,
	};
	lot->n++;
	tell_progress(d->account, PHASE_DOWNLOAD, d->folder, 1, file.size);
	if (lot->n == LOT_MESSAGES || lot->bytes >= LOT_BYTES)
		return store_pass(d->store, &d->err);
	return 0;
}

static int body_end(void *ctx, const struct imap_facts *facts, bool has_body)
{
	struct download *d = ctx;
	size_t i = actions_find(d->wanted, d->n_wanted, facts->uid);

	if (i != NO_ACTION && !d->taken[i] && has_body && d->current != NULL) {
		d->taken[i] = true;
		return take(d, d->wanted[i], facts);
	}
	if (d->current != NULL)
		delivery_abort(&d->current);
	return 0;
}

/* ---- what cannot be had ---- */

static void park(struct download *d, struct action *action, enum record_state state,
		 const char *reason)
{
	struct record record = {
		.uid = action->uid,
		.state = state,
		.base = "",
		.remote = action->remote,
		.reason = reason,
	};

	if (action->facts != NULL) {
		record.size = action->facts->size;
		record.date = action->facts->date;
		record.id = action->facts->id;
	}
	state_put_record(d->worker->batch, d->folder->record.id, &record);
	d->account->committed = true;
	action->done = true;
}

static bool skip_large(struct download *d, struct action *action)
{
	uint64_t most = d->account->config->max_size;

	if (most == 0 || action->facts == NULL || action->facts->size <= most)
		return false;
	park(d, action, RECORD_SKIPPED, "larger than max-size");
	tell_problem(d->account, PROBLEM_SKIPPED, d->folder,
		     "UID %u is %u bytes, more than max-size, and stays on the server", action->uid,
		     action->facts->size);
	return true;
}

static uint32_t *uids_of(struct action **actions, size_t n)
{
	uint32_t *uids = xmalloc(n * sizeof(*uids));

	for (size_t i = 0; i < n; i++)
		uids[i] = actions[i]->uid;
	return uids;
}

static int fetch(struct download *d, struct action **actions, size_t n)
{
	struct imap_body_sink sink = {d, body_begin, body_data, body_end};
	uint32_t *uids = uids_of(actions, n);
	struct error err;
	int result;

	error_clear(&d->err);
	result = imap_fetch_bodies(d->worker->conn, uids, n, SECTION_ALL, &sink, &err);
	free(uids);
	if (d->current != NULL)
		delivery_abort(&d->current);
	if (result == 0)
		return 0;
	if (err.kind == ERROR_LOCAL && d->err.kind != ERROR_NONE)
		return -1; /* ours: what a callback said */
	d->err = err;
	return -1;
}

/* One by one, so that a message the server cannot give does not keep the others away. */
static int fetch_singly(struct download *d)
{
	for (size_t i = 0; i < d->n_wanted; i++) {
		struct action *action = d->wanted[i];
		char reason[96];

		if (d->taken[i] || fetch(d, &action, 1) == 0)
			continue;
		if (d->err.kind != ERROR_REFUSED)
			return -1;
		copy_text(reason, sizeof(reason), d->err.text);
		if (store_flush(d->store, &d->err) != 0)
			return -1;
		park(d, action, RECORD_UNFETCHED, reason);
		tell_problem(d->account, PROBLEM_PARKED, d->folder, "UID %u cannot be fetched: %s",
			     action->uid, reason);
	}
	return 0;
}

static size_t not_done(const struct download *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_wanted; i++)
		n += !d->wanted[i]->done;
	return n;
}

static int fetch_all(struct download *d)
{
	if (fetch(d, d->wanted, d->n_wanted) == 0)
		return 0;
	return d->err.kind == ERROR_REFUSED ? fetch_singly(d) : -1;
}

/* ---- one folder ---- */

static void collect(struct download *d)
{
	d->wanted = xcalloc(d->folder->n_actions, sizeof(struct action *));
	d->taken = xcalloc(d->folder->n_actions, sizeof(bool));
	for (size_t i = 0; i < d->folder->n_actions; i++) {
		struct action *action = &d->folder->actions[i];

		if (action->verb == VERB_DOWNLOAD && !action->held && !action->done &&
		    !skip_large(d, action))
			d->wanted[d->n_wanted++] = action;
	}
	actions_sort(d->wanted, d->n_wanted);
}

static void download_init(struct download *d, struct worker *worker, struct sync_folder *folder)
{
	*d = (struct download){.worker = worker, .account = worker->account, .folder = folder};
	collect(d);
}

static int open_store(struct download *d, struct error *err)
{
	if (folder_open_dir(d->account, d->folder, err) != 0 ||
	    maildir_clean_tmp(d->folder->dir, err) != 0)
		return -1;
	d->store = store_new(d->worker, d->folder);
	return 0;
}

static void download_release(struct download *d)
{
	store_free(&d->store);
	free(d->wanted);
	free(d->taken);
}

/* Whatever ended it, what has come is put in its place. */
static int end(struct download *d, int result, struct error *err)
{
	struct error failure;

	*err = d->err;
	if (store_flush(d->store, &failure) != 0 && result == 0) {
		*err = failure;
		result = -1;
	}
	return result;
}

static int download(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct download d;
	int result;

	download_init(&d, worker, folder);
	result = open_store(&d, err);
	if (result == 0)
		result = worker_select(worker, folder, err);
	if (result == 0) {
		result = d.n_wanted != 0 ? fetch_all(&d) : 0;
		result = end(&d, result, err);
		folder->incomplete |= not_done(&d) != 0;
	}
	download_release(&d);
	return result;
}

/* ---- several folders at once ---- */

static int download_ahead(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct download d;
	uint32_t *uids;
	int result;

	download_init(&d, worker, folder);
	uids = uids_of(d.wanted, d.n_wanted);
	result = worker_fetch_begin(worker, folder, uids, d.n_wanted, SECTION_ALL, err);
	free(uids);
	download_release(&d);
	return result;
}

/* What the server refused is asked for singly by download(), afterwards. */
static int download_answer(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct imap_body_sink sink = {NULL, body_begin, body_data, body_end};
	struct imap_selected selected;
	struct error disk;
	struct download d;
	int result;

	download_init(&d, worker, folder);
	d.selected = &selected;
	sink.ctx = &d;
	error_clear(&d.err);
	if (open_store(&d, &disk) != 0)
		d.err = disk; /* the answer is read all the same, and every callback fails */
	result = imap_fetch_finish(worker->conn, &selected, &sink, err);
	if (d.current != NULL)
		delivery_abort(&d.current);
	if (result != 0 && (err->kind != ERROR_LOCAL || d.err.kind == ERROR_NONE))
		d.err = *err;
	if (d.store != NULL)
		result = end(&d, result, err);
	else
		*err = disk;
	folder->incomplete |= result == 0 && not_done(&d) != 0;
	download_release(&d);
	return result != 0 && err->kind == ERROR_REFUSED ? 1 : result;
}

static bool wants_download(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	for (size_t i = 0; i < folder->n_actions; i++) {
		if (folder->actions[i].verb == VERB_DOWNLOAD && !folder->actions[i].held &&
		    !folder->actions[i].done)
			return true;
	}
	return false;
}

int download_all(struct account *account, struct error *err)
{
	static const struct folder_pass pass = {.wants = wants_download,
						.begin = download_ahead,
						.finish = download_answer,
						.fn = download};
	int result = workers_pass(account, &pass, err);

	/* Of a pass that failed, records may say `arriving' of files that never had a name. */
	return result == 0 ? workers_commit(account, 0, err) : result;
}
