/* Storing what was received. A lot of files is made durable at once, its records are committed as
 * `arriving` in the transaction that makes the lot before it `paired`, then its files get their names.
 * Killed at any point, the next run finds either no file and no record, or a record that says which
 * file to look for.
 *
 * All that takes about as long as receiving, and the server would wait meanwhile. So it is done by a
 * thread, one lot at a time, while the worker receives the next. Two lots is all there ever are, and
 * each has one owner: the worker that fills it, or the thread. A folder that fits into one lot has no
 * thread. */
#include "sync/store.h"

#include <stdlib.h>

struct store {
	struct worker *worker;
	struct sync_folder *folder;
	struct lot *filling;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t mutex; /* of what follows */
	pthread_cond_t changed;
	struct lot *other; /* the thread's while it is busy */
	bool busy;
	bool ending;
	struct error err; /* the first failure; kind ERROR_NONE: none */
};

static struct lot *lot_new(void)
{
	struct lot *lot = xcalloc(1, sizeof(*lot));

	lot->arena = arena_new();
	return lot;
}

static void lot_empty(struct lot *lot)
{
	for (size_t i = 0; i < lot->n; i++)
		delivery_abort(&lot->list[i].delivery);
	lot->n = 0;
	lot->bytes = 0;
	arena_free(&lot->arena);
}

static void lot_free(struct lot *lot)
{
	if (lot == NULL)
		return;
	lot_empty(lot);
	free(lot);
}

struct store *store_new(struct worker *worker, struct sync_folder *folder)
{
	struct store *store = xcalloc(1, sizeof(*store));

	store->worker = worker;
	store->folder = folder;
	store->filling = lot_new();
	pthread_mutex_init(&store->mutex, NULL);
	pthread_cond_init(&store->changed, NULL);
	error_clear(&store->err);
	return store;
}

struct lot *store_lot(struct store *store)
{
	return store->filling;
}

/* ---- one lot ---- */

/* New keywords get their letters here, which commits them. */
static int choose_letters(struct store *store, struct lot *lot, struct error *err)
{
	for (size_t i = 0; i < lot->n; i++) {
		struct arrived *arrived = &lot->list[i];
		struct flags flags = arrived->record.remote;

		if (flags_to_file_letters(store->worker, store->folder, flags, arrived->letters,
					  err) != 0)
			return -1;
		arrived->record.local =
			flags_representable(store->worker->account, store->folder, flags);
	}
	return 0;
}

static int make_durable(struct lot *lot, struct error *err)
{
	struct delivery *deliveries[LOT_MESSAGES];

	for (size_t i = 0; i < lot->n; i++)
		deliveries[i] = lot->list[i].delivery;
	return delivery_sync(deliveries, lot->n, err);
}

static void put_records(struct store *store, struct lot *lot, enum record_state state)
{
	for (size_t i = 0; i < lot->n; i++) {
		lot->list[i].record.state = state;
		state_put_record(store->worker->batch, store->folder->record.id,
				 &lot->list[i].record);
	}
}

static int note_arriving(struct store *store, struct lot *lot, struct error *err)
{
	put_records(store, lot, RECORD_ARRIVING);
	folder_is_pending(store->worker, store->folder);
	store->worker->account->committed = true;
	return state_commit(store->worker->batch, store->worker->account->keywords, err);
}

static int place(struct store *store, struct lot *lot, struct error *err)
{
	for (size_t i = 0; i < lot->n; i++) {
		struct arrived *arrived = &lot->list[i];

		if (delivery_place(&arrived->delivery, arrived->letters, err) != 0)
			return -1;
		arrived->action->done = true;
		tell_change(store->worker->account, CHANGE_DOWNLOAD, store->folder,
			    arrived->record.uid, arrived->record.base, NULL);
	}
	return maildir_folder_sync(store->folder->dir, err);
}

/* The old record of a message found elsewhere goes when its file is in place. */
static void forget_old(struct store *store, const struct action *action)
{
	struct account *account = store->worker->account;
	const struct lost *lost;

	if (action->lost == NO_LOST)
		return;
	lost = &account->world.lost[action->lost];
	if (folder_at(account, lost->folder) == store->folder && lost->record.uid == action->uid)
		return; /* the same record: it was written anew */
	forget_lost(account, store->worker->batch, action->lost);
}

static int store_one(struct store *store, struct lot *lot, struct error *err)
{
	if (choose_letters(store, lot, err) != 0 || make_durable(lot, err) != 0 ||
	    note_arriving(store, lot, err) != 0 || place(store, lot, err) != 0)
		return -1;
	put_records(store, lot, RECORD_PAIRED); /* with the next commit */
	for (size_t i = 0; i < lot->n; i++)
		forget_old(store, lot->list[i].action);
	lot_empty(lot);
	lot->arena = arena_new();
	return 0;
}

/* ---- the thread ---- */

static void *work(void *argument)
{
	struct store *store = argument;
	struct error err;

	pthread_mutex_lock(&store->mutex);
	for (;;) {
		while (!store->busy && !store->ending)
			pthread_cond_wait(&store->changed, &store->mutex);
		if (!store->busy)
			break;
		pthread_mutex_unlock(&store->mutex);
		error_clear(&err);
		store_one(store, store->other, &err);
		pthread_mutex_lock(&store->mutex);
		store->err = err;
		store->busy = false;
		pthread_cond_signal(&store->changed);
	}
	pthread_mutex_unlock(&store->mutex);
	return NULL;
}

/* What the thread had is the caller's now. -1 if it failed. */
static int wait_for_thread(struct store *store, struct error *err)
{
	int result = 0;

	pthread_mutex_lock(&store->mutex);
	while (store->busy)
		pthread_cond_wait(&store->changed, &store->mutex);
	if (store->err.kind != ERROR_NONE) {
		*err = store->err;
		result = -1;
	}
	pthread_mutex_unlock(&store->mutex);
	return result;
}

static bool start_thread(struct store *store)
{
	if (!store->has_thread) {
		store->other = lot_new();
		store->has_thread = pthread_create(&store->thread, NULL, work, store) == 0;
	}
	return store->has_thread;
}

static void wake(struct store *store, bool *what)
{
	pthread_mutex_lock(&store->mutex);
	*what = true;
	pthread_cond_signal(&store->changed);
	pthread_mutex_unlock(&store->mutex);
}

int store_pass(struct store *store, struct error *err)
{
	struct lot *full = store->filling;

	if (wait_for_thread(store, err) != 0)
		return -1;
	if (!start_thread(store)) {
		if (store_flush(store, err) != 0)
			return -1;
	} else {
		store->filling = store->other;
		store->other = full;
		wake(store, &store->busy);
	}
	return check_stop(err);
}

int store_flush(struct store *store, struct error *err)
{
	if (wait_for_thread(store, err) != 0)
		return -1;
	if (store->filling->n == 0 || store_one(store, store->filling, err) == 0)
		return 0;
	store->err = *err;
	return -1;
}

void store_free(struct store **store)
{
	struct store *old = *store;

	if (old == NULL)
		return;
	if (old->has_thread) {
		wake(old, &old->ending);
		pthread_join(old->thread, NULL);
	}
	lot_free(old->filling);
	lot_free(old->other);
	pthread_mutex_destroy(&old->mutex);
	pthread_cond_destroy(&old->changed);
	free(old);
	*store = NULL;
}
