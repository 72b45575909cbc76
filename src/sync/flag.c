/* Flags: deltas on both sides, then the record says what each side has now: here what the file name says,
 * there what the server answered, not what was asked for. So a flag that a server drops does not flap.
 * Of flags that were not asked for the answer says nothing: what another device changed since the look is
 * left for the next one, which must still see it as a change. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

struct flag_job {
	struct action *action;
	struct flags local;
	struct flags remote;
	bool answered; /* the server said what it has now */
	bool failed;
};

struct flagging {
	struct worker *worker;
	struct account *account;
	struct sync_folder *folder;
	struct flag_job *jobs; /* ascending UIDs; the folder's */
	size_t n;
};

/* ---- which ---- */

static bool leaves_flags(const struct action *action)
{
	switch (action->verb) {
	case VERB_FLAGS: return !action->done;
	case VERB_PAIR:
	case VERB_MOVE_LOCAL:
	case VERB_MOVE_BACK: return action->done && !flag_change_empty(&action->flags);
	case VERB_MOVE_REMOTE:
		return action->done && action->base != NULL &&
		       (!flag_change_empty(&action->flags) || action->stray_letters != 0);
	case VERB_NOTHING:
	case VERB_DOWNLOAD:
	case VERB_UPLOAD:
	case VERB_REPLACE:
	case VERB_SPLIT:
	case VERB_DELETE_LOCAL:
	case VERB_DELETE_REMOTE:
	case VERB_EXPUNGE:
	case VERB_KEEP:
	case VERB_FORGET:
	case VERB_REPORT: break;
	}
	return false;
}

static int compare_jobs(const void *a, const void *b)
{
	const struct action *x = ((const struct flag_job *)a)->action;
	const struct action *y = ((const struct flag_job *)b)->action;

	if (x->folder != y->folder)
		return x->folder < y->folder ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static struct flag_job *collect(struct account *account, size_t *n)
{
	struct flag_job *jobs = NULL;
	size_t room = 0;

	*n = 0;
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		folder->n_flag_jobs = 0;
		for (size_t j = 0; j < folder->n_actions; j++) {
			if (!leaves_flags(&folder->actions[j]))
				continue;
			jobs = grow(jobs, *n, &room, sizeof(*jobs));
			jobs[(*n)++] = (struct flag_job){.action = &folder->actions[j]};
		}
	}
	return jobs;
}

/* Moves end in another folder than they were listed in: each folder gets those that end in it. */
static void hand_out(struct account *account, struct flag_job *jobs, size_t n)
{
	if (n != 0)
		qsort(jobs, n, sizeof(*jobs), compare_jobs);
	for (size_t i = 0; i < n; i++) {
		struct sync_folder *folder = folder_at(account, jobs[i].action->folder);

		if (folder->n_flag_jobs++ == 0)
			folder->flag_jobs = &jobs[i];
	}
}

/* Those that are still to be done: this may be another try, after the connection broke. */
static void take_jobs(struct flagging *f)
{
	f->jobs = f->folder->flag_jobs;
	for (size_t i = 0; i < f->folder->n_flag_jobs; i++) {
		struct action *action = f->folder->flag_jobs[i].action;

		if (leaves_flags(action))
			f->jobs[f->n++] = (struct flag_job){
				.action = action,
				.local = action->local,
				.remote = action->remote,
			};
	}
	f->folder->n_flag_jobs = f->n;
}

static struct flag_job *find_job(struct flagging *f, uint32_t uid)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->jobs[middle].action->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < f->n && f->jobs[low].action->uid == uid ? &f->jobs[low] : NULL;
}

/* ---- the server ---- */

static void answered(void *ctx, uint32_t uid, struct flags flags)
{
	struct flagging *f = ctx;
	struct keyword_pool *pool = f->account->keywords;
	struct flag_job *job = find_job(f, uid);
	const struct flag_change *change;
	struct flags asked_for;

	if (job == NULL)
		return;
	change = &job->action->flags;
	asked_for = flags_union(pool, change->remote_add, change->remote_remove);
	job->remote = flags_union(pool, flags_minus(pool, job->action->remote, asked_for),
				  flags_intersection(pool, flags, asked_for));
	job->answered = true;
}

struct requests {
	struct imap_store_request *list;
	size_t n;
	size_t room;
};

static struct flags asked(const struct flag_job *job, bool add)
{
	return add ? job->action->flags.remote_add : job->action->flags.remote_remove;
}

/* One request for all messages that get the same change. */
static void build(struct flagging *f, bool add, struct requests *requests)
{
	bool *taken = xcalloc(f->n, sizeof(*taken));

	for (size_t i = 0; i < f->n; i++) {
		struct flags flags = asked(&f->jobs[i], add);
		uint32_t *uids;
		size_t n = 0;

		if (taken[i] || flags_empty(flags))
			continue;
		uids = xmalloc((f->n - i) * sizeof(*uids));
		for (size_t j = i; j < f->n; j++) {
			if (!taken[j] && flags_equal(asked(&f->jobs[j], add), flags)) {
				uids[n++] = f->jobs[j].action->uid;
				taken[j] = true;
			}
		}
		requests->list =
			grow(requests->list, requests->n, &requests->room, sizeof(*requests->list));
		requests->list[requests->n++] = (struct imap_store_request){
			.uids = uids,
			.n = n,
			.add = add,
			.flags = flags,
		};
	}
	free(taken);
}

static void settle_requests(struct flagging *f, const struct requests *requests)
{
	for (size_t i = 0; i < requests->n; i++) {
		const struct imap_store_request *request = &requests->list[i];

		if (!request->refused)
			continue;
		f->folder->incomplete = true;
		tell_problem(f->account, PROBLEM_REFUSED, f->folder,
			     "the server refused to change flags of %zu message%s: %s", request->n,
			     request->n == 1 ? "" : "s", request->text);
		for (size_t j = 0; j < request->n; j++)
			find_job(f, request->uids[j])->failed = true;
	}
}

/* ---- what was answered OK and not told ---- */

static bool asked_remote(const struct flag_job *job)
{
	return !flags_empty(job->action->flags.remote_add) ||
	       !flags_empty(job->action->flags.remote_remove);
}

static void told_now(void *ctx, const struct imap_facts *facts)
{
	answered(ctx, facts->uid, facts->flags);
}

/* System flags only: keywords may be dropped by servers that say that they keep them. */
static bool was_not_done(const struct flag_job *job)
{
	const struct flag_change *change = &job->action->flags;

	return !job->answered || (change->remote_add.system & ~job->remote.system) != 0 ||
	       (change->remote_remove.system & job->remote.system) != 0;
}

/* A server need not tell flags that are as they were, or it did nothing: it is asked. */
static int verify(struct flagging *f, struct error *err)
{
	uint32_t *uids = xcalloc(f->n + 1, sizeof(*uids));
	size_t n = 0, undone = 0;
	int result = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (asked_remote(&f->jobs[i]) && !f->jobs[i].answered && !f->jobs[i].failed)
			uids[n++] = f->jobs[i].action->uid;
	}
	if (n != 0)
		result = worker_fetch_facts(f->worker, f->folder, uids, n, told_now, f, err);
	for (size_t i = 0; i < n && result == 0; i++) {
		struct flag_job *job = find_job(f, uids[i]);

		job->failed = was_not_done(job);
		undone += job->failed && job->answered; /* else it is gone */
		f->folder->incomplete |= job->failed;
	}
	if (undone != 0)
		tell_problem(f->account, PROBLEM_REFUSED, f->folder,
			     "the server said OK to a change of flags of %zu message%s and did not "
			     "make it",
			     undone, undone == 1 ? "" : "s");
	free(uids);
	return result;
}

static bool changes_remote(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	for (size_t i = 0; i < folder->n_flag_jobs; i++) {
		if (asked_remote(&folder->flag_jobs[i]))
			return true;
	}
	return false;
}

static int send_requests(struct flagging *f, const struct requests *requests, struct error *err)
{
	const struct sync_folder *next = f->worker->next;

	if (worker_select(f->worker, f->folder, err) != 0)
		return -1;
	if (next != NULL && changes_remote(f->account, next))
		worker_select_next(f->worker, next);
	return imap_store_many(f->worker->conn, requests->list, requests->n, answered, f, err);
}

static int store(struct flagging *f, struct error *err)
{
	struct requests requests = {0};
	int result = 0;

	build(f, true, &requests);
	build(f, false, &requests);
	if (requests.n != 0) {
		result = send_requests(f, &requests, err);
		if (result == 0)
			settle_requests(f, &requests);
		if (result == 0)
			result = verify(f, err);
	}
	for (size_t i = 0; i < requests.n; i++)
		free((void *)(uintptr_t)requests.list[i].uids);
	free(requests.list);
	return result;
}

/* ---- the files ---- */

static struct flags keywords_after(struct flagging *f, const struct flag_job *job)
{
	const struct flag_change *change = &job->action->flags;
	struct flags all = flags_union(f->account->keywords, job->local, change->local_add);

	all = flags_minus(f->account->keywords, all, change->local_remove);
	all.system = change->local_add.system;
	return all;
}

/* Adds letters to those that are to be removed. */
static void take_off(char remove[64], uint32_t letters)
{
	size_t len = strlen(remove);

	for (int i = 0; i < LETTER_COUNT; i++) {
		if ((letters & 1U << i) == 0 || strchr(remove, 'a' + i) != NULL)
			continue;
		remove[len++] = (char)('a' + i);
		remove[len] = '\0';
	}
}

/* The name would be too long for its flags: told in every run, until the file has a shorter one. */
static void park_name(struct flagging *f, const struct error *err)
{
	f->folder->parked_names++;
	tell_problem(f->account, PROBLEM_NAME, f->folder, "%s", err->text);
}

static int change_file(struct flagging *f, struct flag_job *job, struct error *err)
{
	const struct flag_change *change = &job->action->flags;
	uint32_t stray = job->action->stray_letters;
	struct flags wanted = change->local_add;
	char add[64], remove[64];

	if (flags_empty(change->local_add) && flags_empty(change->local_remove) && stray == 0)
		return 0;
	if (stray != 0) /* the letters of another folder: all keywords are written anew */
		wanted = keywords_after(f, job);
	if (flags_to_file_letters(f->worker, f->folder, wanted, add, err) != 0 ||
	    flags_to_file_letters(f->worker, f->folder, change->local_remove, remove, err) != 0)
		return -1;
	take_off(remove, stray & ~letters_mask(add));
	if (maildir_change_letters(f->folder->dir, job->action->base, add, remove, NULL, err) !=
	    0) {
		if (!error_is_local_to_folder(err) && err->kind != ERROR_LOCAL)
			return -1;
		if (err->kind == ERROR_LOCAL)
			tell_error(f->account, f->folder, err);
		else if (err->kind == ERROR_REFUSED)
			park_name(f, err);
		job->failed = true;
		f->folder->incomplete = true;
		return 0;
	}
	job->local = flags_minus(f->account->keywords,
				 flags_union(f->account->keywords, job->local, change->local_add),
				 change->local_remove);
	job->local = flags_representable(f->account, f->folder, job->local);
	tell_change(f->account, CHANGE_FLAGS_LOCAL, f->folder, job->action->uid, job->action->base,
		    NULL);
	return 0;
}

/* ---- the record ---- */

static int book(struct flagging *f, struct flag_job *job, struct arena *arena, struct error *err)
{
	const struct flag_change *change = &job->action->flags;
	struct record record;
	int found;

	job->action->done = true;
	if (job->failed)
		return 0;
	found = state_get_record(f->account->state, arena, f->folder->record.id, job->action->uid,
				 &record, err);
	if (found <= 0)
		return found;
	if (asked_remote(job) && job->answered)
		tell_change(f->account, CHANGE_FLAGS_REMOTE, f->folder, job->action->uid,
			    job->action->base, NULL);
	if (!f->folder->read_only || f->account->config->mode != MODE_TWO_WAY)
		record.local = job->local;
	else /* what was changed here and could not be sent stays a change */
		record.local = flags_minus(
			f->account->keywords,
			flags_union(f->account->keywords, record.local, change->local_add),
			change->local_remove);
	record.remote = job->remote;
	record.state = RECORD_PAIRED;
	state_put_record(f->worker->batch, f->folder->record.id, &record);
	f->account->committed = true;
	return 0;
}

/* Each record by itself: what is not written is found equal on both sides in the next run. */
static int book_all(struct flagging *f, struct error *err)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < f->n; i++) {
		struct arena *arena = arena_new(); /* of this record only */

		result = book(f, &f->jobs[i], arena, err);
		if (result == 0)
			result = worker_commit_some(f->worker, err);
		arena_free(&arena);
	}
	return result;
}

static int change_flags(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct flagging f = {
		.worker = worker,
		.account = worker->account,
		.folder = folder,
	};
	int result;

	take_jobs(&f);
	result = store(&f, err);
	if (result == 0)
		result = folder_open_dir(f.account, folder, err);
	for (size_t i = 0; result == 0 && i < f.n; i++)
		result = change_file(&f, &f.jobs[i], err);
	if (result == 0)
		result = maildir_folder_sync(folder->dir, err);
	if (result == 0)
		result = book_all(&f, err);
	return result;
}

static bool wants_flags(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	return folder->plan.verb != FOLDER_BAD &&
	       (folder->n_flag_jobs != 0 || (folder->letters_changed && folder->loaded));
}

static int flags_and_letters(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	if (folder->letters_changed && letters_save(worker, folder, err) != 0)
		return -1;
	return change_flags(worker, folder, err);
}

int flag_all(struct account *account, struct error *err)
{
	static const struct folder_pass pass = {
		.wants = wants_flags,
		.remote = changes_remote,
		.fn = flags_and_letters,
		.chained = true,
	};
	size_t n;
	struct flag_job *jobs = collect(account, &n);
	int result;

	hand_out(account, jobs, n);
	result = workers_commit(account, workers_pass(account, &pass, err), err);
	free(jobs);
	return result;
}
