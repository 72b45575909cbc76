/* Downloads: bodies stream into files in tmp; a batch is made durable at once, its records are committed
 * as `arriving` in the transaction that makes the batch before it `paired`, then its files get their names.
 * Killed at any point, the next run finds either no file and no record, or a record that says which file
 * to look for. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

#define BATCH_MESSAGES 128
#define BATCH_BYTES (8U << 20)

struct arrived {
	struct delivery *delivery;
	struct action *action;
	struct record record;
	char letters[64];
};

struct download {
	struct worker *worker;
	struct account *account;
	struct sync_folder *folder;
	struct action **wanted; /* ascending UIDs */
	size_t n_wanted;
	struct arena
		*arena; /* of the batch; the one before lives until its records are committed */
	struct arena *arena_before;
	struct delivery *current;
	struct arrived *batch;
	size_t n;
	uint64_t bytes;
	struct arrived *before; /* in place, and not yet `paired` */
	size_t n_before;
	const struct imap_selected *selected; /* by a burst; NULL: it was checked */
	struct error err;
};

static struct action *find_wanted(struct download *d, uint32_t uid)
{
	size_t low = 0, high = d->n_wanted;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (d->wanted[middle]->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < d->n_wanted && d->wanted[low]->uid == uid ? d->wanted[low] : NULL;
}

/* ---- a batch ---- */

static void put_records(struct download *d, struct arrived *list, size_t n, enum record_state state)
{
	for (size_t i = 0; i < n; i++) {
		list[i].record.state = state;
		state_put_record(d->worker->batch, d->folder->record.id, &list[i].record);
	}
}

/* The old record of a message found elsewhere goes when its file is in place. */
static void forget_old(struct download *d, const struct action *action)
{
	const struct lost *lost;

	if (action->lost == NO_LOST)
		return;
	lost = &d->account->world.lost[action->lost];
	if (folder_at(d->account, lost->folder) == d->folder && lost->record.uid == action->uid)
		return; /* the same record: it was written anew */
	forget_lost(d->account, d->worker->batch, action->lost);
}

static void settle_before(struct download *d)
{
	put_records(d, d->before, d->n_before, RECORD_PAIRED);
	for (size_t i = 0; i < d->n_before; i++)
		forget_old(d, d->before[i].action);
	d->n_before = 0;
}

static int commit(struct download *d)
{
	d->account->committed = true;
	return state_commit(d->worker->batch, d->account->keywords, &d->err);
}

static int sync_batch(struct download *d)
{
	struct delivery *deliveries[BATCH_MESSAGES];

	for (size_t i = 0; i < d->n; i++)
		deliveries[i] = d->batch[i].delivery;
	return delivery_sync(deliveries, d->n, &d->err);
}

static int place_batch(struct download *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct arrived *arrived = &d->batch[i];

		if (delivery_place(&arrived->delivery, arrived->letters, &d->err) != 0)
			return -1;
		arrived->action->done = true;
		tell_change(d->account, CHANGE_DOWNLOAD, d->folder, arrived->record.uid,
			    arrived->record.base, NULL);
	}
	return maildir_folder_sync(d->folder->dir, &d->err);
}

static void swap_batches(struct download *d)
{
	struct arrived *list = d->before;
	struct arena *arena = d->arena_before;

	d->before = d->batch;
	d->n_before = d->n;
	d->batch = list;
	d->n = 0;
	d->bytes = 0;
	d->arena_before = d->arena;
	arena_free(&arena);
	d->arena = arena_new();
}

static int flush_batch(struct download *d)
{
	if (d->n == 0)
		return 0;
	if (sync_batch(d) != 0)
		return -1;
	settle_before(d);
	put_records(d, d->batch, d->n, RECORD_ARRIVING);
	folder_is_pending(d->worker, d->folder);
	if (commit(d) != 0 || place_batch(d) != 0)
		return -1;
	swap_batches(d);
	return sync_is_stopping() ? error_set(&d->err, ERROR_STOPPED,
					      "stopped; the next run goes on from here")
				  : 0;
}

/* The last batch's records wait for the worker's next commit: the next folder's first batch, or the end
 * of the pass. Until then they are `arriving`, which is true enough for a run that is killed. */
static int finish_batches(struct download *d)
{
	if (flush_batch(d) != 0 && d->err.kind != ERROR_STOPPED)
		return -1;
	settle_before(d);
	return 0;
}

/* ---- messages as they come ---- */

static int body_begin(void *ctx, uint32_t uid, uint64_t size)
{
	struct download *d = ctx;

	(void)uid;
	(void)size;
	if (d->batch == NULL)
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

	d->bytes += len;
	return delivery_write(d->current, data, len, &d->err);
}

/* A date that makes no sense is not put on the file: it then has the time of its arrival. */
static int64_t file_date(const struct imap_facts *facts)
{
	return facts->date != INT64_MIN ? facts->date : (int64_t)time(NULL);
}

static int take(struct download *d, struct action *action, const struct imap_facts *facts)
{
	struct arrived *arrived = &d->batch[d->n];
	struct file_facts file;
	const char *base;
	uint64_t bytes = d->bytes;

	*arrived = (struct arrived){.delivery = NULL, .action = action};
	if (flags_to_file_letters(d->worker, d->folder, facts->flags, arrived->letters, &d->err) !=
	    0)
		return -1;
	if (delivery_finish(d->current, file_date(facts), d->arena, &base, &file, &d->err) != 0)
		return -1;
	arrived->delivery = d->current;
	d->current = NULL;
	arrived->record = (struct record){
		.uid = facts->uid,
		.base = base,
		.local = flags_representable(d->account, d->folder, facts->flags),
		.remote = facts->flags,
		.size = facts->size,
		.date = file_date(facts),
		.inode = file.inode,
		.trace = file_trace(file.mtime, file.size),
		.content = file.fingerprint.content,
		.header = file.fingerprint.header,
		.id = facts->id,
	};
	d->n++;
	tell_progress(d->account, PHASE_DOWNLOAD, d->folder, 1, file.size);
	if (d->n == BATCH_MESSAGES || bytes >= BATCH_BYTES)
		return flush_batch(d);
	return 0;
}

static int body_end(void *ctx, const struct imap_facts *facts, bool has_body)
{
	struct download *d = ctx;
	struct action *action = find_wanted(d, facts->uid);

	if (action != NULL && !action->done && has_body && d->current != NULL)
		return take(d, action, facts);
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
	};

	if (action->facts != NULL) {
		record.size = action->facts->size;
		record.date = action->facts->date;
		record.id = action->facts->id;
	}
	copy_text(record.reason, sizeof(record.reason), reason);
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

		if (action->done)
			continue;
		if (fetch(d, &action, 1) != 0) {
			if (d->err.kind != ERROR_REFUSED)
				return -1;
			copy_text(reason, sizeof(reason), d->err.text);
			park(d, action, RECORD_UNFETCHED, reason);
			tell_problem(d->account, PROBLEM_PARKED, d->folder,
				     "UID %u cannot be fetched: %s", action->uid, reason);
		}
	}
	return 0;
}

static size_t not_taken(const struct download *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_wanted; i++)
		n += !d->wanted[i]->done;
	return n;
}

static bool in_batch(const struct download *d, const struct action *action)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->batch[i].action == action)
			return true;
	}
	return false;
}

static int fetch_all(struct download *d)
{
	if (fetch(d, d->wanted, d->n_wanted) == 0)
		return 0;
	if (d->err.kind != ERROR_REFUSED)
		return -1;
	for (size_t i = 0; i < d->n_wanted; i++) {
		if (in_batch(d, d->wanted[i]))
			d->wanted[i]->done = true;
	}
	return fetch_singly(d);
}

/* ---- one folder ---- */

static int compare_uids(const void *a, const void *b)
{
	const struct action *x = *(struct action *const *)a, *y = *(struct action *const *)b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void collect(struct download *d)
{
	d->wanted = xcalloc(d->folder->n_actions, sizeof(struct action *));
	for (size_t i = 0; i < d->folder->n_actions; i++) {
		struct action *action = &d->folder->actions[i];

		if (action->verb == VERB_DOWNLOAD && !action->held && !action->done &&
		    !skip_large(d, action))
			d->wanted[d->n_wanted++] = action;
	}
	qsort(d->wanted, d->n_wanted, sizeof(struct action *), compare_uids);
}

static void download_init(struct download *d, struct worker *worker, struct sync_folder *folder)
{
	*d = (struct download){.worker = worker, .account = worker->account, .folder = folder};
	collect(d);
}

static int open_batches(struct download *d, struct error *err)
{
	if (folder_open_dir(d->account, d->folder, err) != 0 ||
	    maildir_clean_tmp(d->folder->dir, err) != 0)
		return -1;
	d->arena = arena_new();
	d->batch = xcalloc(BATCH_MESSAGES, sizeof(*d->batch));
	d->before = xcalloc(BATCH_MESSAGES, sizeof(*d->before));
	return 0;
}

static void download_release(struct download *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->batch[i].delivery != NULL)
			delivery_abort(&d->batch[i].delivery);
	}
	free(d->wanted);
	free(d->batch);
	free(d->before);
	arena_free(&d->arena);
	arena_free(&d->arena_before);
}

/* Whatever ended it, what has come is put in its place. */
static int end_batches(struct download *d, int result, struct error *err)
{
	*err = d->err;
	if (finish_batches(d) != 0 && result == 0) {
		*err = d->err;
		result = -1;
	}
	return result;
}

static int download(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct download d;
	int result;

	download_init(&d, worker, folder);
	result = open_batches(&d, err);
	if (result == 0)
		result = worker_select(worker, folder, err);
	if (result == 0) {
		result = d.n_wanted != 0 ? fetch_all(&d) : 0;
		result = end_batches(&d, result, err);
		folder->incomplete |= not_taken(&d) != 0;
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
	if (d.n_wanted == 0 || d.n_wanted > IMAP_MOST_BEGUN_UIDS) {
		free(d.wanted);
		return 1;
	}
	uids = uids_of(d.wanted, d.n_wanted);
	result = imap_bodies_begin(worker->conn, folder->wire_now, is_examined(worker->account),
				   uids, d.n_wanted, err);
	free(uids);
	free(d.wanted);
	if (result != 0)
		return err->kind == ERROR_REFUSED ? 1 : -1;
	return 0;
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
	if (open_batches(&d, &disk) != 0)
		d.err = disk; /* the answer is read all the same, and every callback fails */
	result = imap_bodies_finish(worker->conn, &selected, &sink, err);
	if (d.current != NULL)
		delivery_abort(&d.current);
	if (result != 0 && (err->kind != ERROR_LOCAL || d.err.kind == ERROR_NONE))
		d.err = *err;
	if (d.batch != NULL)
		result = end_batches(&d, result, err);
	else
		*err = disk;
	folder->incomplete |= result == 0 && not_taken(&d) != 0;
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
	static const struct folder_pass pass = {wants_download, download_ahead, download_answer,
						download};
	int result = workers_pass(account, &pass, err);

	for (unsigned i = 0; result == 0 && i < account->n_workers; i++)
		result = state_commit(account->workers[i].batch, account->keywords, err);
	return result;
}
