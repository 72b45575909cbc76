/* Which messages are moved on the server together, and by whom.
 *
 * A group costs a turn of the line, so where that is long several workers share them; where it is short they
 * would only wait for the server's locks (1,000 messages of 200 folders to the next one each, on one machine:
 * 0.36 s on one connection, 0.51 on three). Two groups that meet in a folder are kept apart: a server may
 * lock the mailbox that is moved from while it waits for the one that is moved to, and two moves that cross
 * would wait for each other. Many groups may go into one mailbox at the same time, but only if the server
 * names the UIDs there: else what is new in it would be anyone's. */
#include "sync/move_remote.h"

#include <pthread.h>
#include <stdlib.h>

struct moving {
	struct account *account;
	struct action **actions;
	struct move_group *groups;
	size_t n;
	size_t workers;
	/* under the mutex */
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* a group is done, or all has failed */
	size_t first;           /* all groups before it are taken */
	size_t left;            /* groups that are not */
	bool *sources;          /* of each folder: something is moved from it now */
	unsigned *targets;      /* likewise: groups that are moved to it now */
	bool told;              /* the last answer named UIDs */
	bool failed;
};

/* ---- groups ---- */

static int compare_moves(const void *a, const void *b)
{
	const struct action *x = *(struct action *const *)a, *y = *(struct action *const *)b;

	if (x->folder != y->folder)
		return x->folder < y->folder ? -1 : 1;
	if (x->file_folder != y->file_folder)
		return x->file_folder < y->file_folder ? -1 : 1;
	if (x->copy != y->copy)
		return x->copy < y->copy ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* One command's worth: the same folders, the same kind, every UID once (two copies of one message into
 * one folder are two commands). */
static size_t group_length(struct action **list, size_t n)
{
	size_t i = 1;

	while (i < n && i < GROUP_MESSAGES && list[i]->folder == list[0]->folder &&
	       list[i]->file_folder == list[0]->file_folder && list[i]->copy == list[0]->copy &&
	       list[i]->uid != list[i - 1]->uid)
		i++;
	return i;
}

static bool is_remote_move(struct account *account, const struct action *action)
{
	return action->verb == VERB_MOVE_REMOTE && !action->done && !action->held &&
	       folder_is_usable(folder_at(account, action->folder)) &&
	       folder_is_usable(folder_at(account, action->file_folder));
}

static struct action **collect_moves(struct account *account, size_t *n)
{
	struct action **list = NULL;
	size_t room = 0;

	*n = 0;
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		for (size_t j = 0; j < folder->n_actions; j++) {
			if (!is_remote_move(account, &folder->actions[j]))
				continue;
			list = grow(list, *n, &room, sizeof(struct action *));
			list[(*n)++] = &folder->actions[j];
		}
	}
	if (*n != 0)
		qsort(list, *n, sizeof(struct action *), compare_moves);
	return list;
}

static void build_groups(struct moving *moving, size_t n)
{
	struct account *account = moving->account;
	size_t length;

	moving->groups = xcalloc(n + 1, sizeof(*moving->groups));
	for (size_t at = 0; at < n; at += length) {
		struct action **first = moving->actions + at;

		length = group_length(first, n - at);
		moving->groups[moving->n++] = (struct move_group){
			.from = folder_at(account, first[0]->folder),
			.to = folder_at(account, first[0]->file_folder),
			.copy = first[0]->copy,
			.actions = first,
			.n = length,
		};
	}
	moving->left = moving->n;
}

/* ---- taking turns; all under the mutex ---- */

static bool meets_another(const struct moving *moving, const struct move_group *group)
{
	uint32_t from = folder_number(moving->account, group->from);
	uint32_t to = folder_number(moving->account, group->to);

	return moving->sources[from] || moving->sources[to] || moving->targets[from] != 0 ||
	       (moving->targets[to] != 0 && !moving->told);
}

static struct move_group *take(struct moving *moving)
{
	while (moving->first < moving->n && moving->groups[moving->first].taken)
		moving->first++;
	for (size_t i = moving->first; i < moving->n; i++) {
		struct move_group *group = &moving->groups[i];

		if (group->taken || meets_another(moving, group))
			continue;
		group->taken = true;
		moving->left--;
		moving->sources[folder_number(moving->account, group->from)] = true;
		moving->targets[folder_number(moving->account, group->to)]++;
		return group;
	}
	return NULL;
}

static void release(struct moving *moving, const struct move_group *group)
{
	moving->sources[folder_number(moving->account, group->from)] = false;
	moving->targets[folder_number(moving->account, group->to)]--;
	pthread_cond_broadcast(&moving->changed);
}

/* Waits for one that meets no other; NULL: there are no more. */
static struct move_group *wait_for_one(struct moving *moving)
{
	struct move_group *group = NULL;

	while (!moving->failed && moving->left != 0 && (group = take(moving)) == NULL)
		pthread_cond_wait(&moving->changed, &moving->mutex);
	return moving->failed ? NULL : group;
}

/* The one after this, so that its mailbox is selected along: while the others have enough to do. */
static struct move_group *take_early(struct moving *moving)
{
	return moving->left > 2 * moving->workers ? take(moving) : NULL;
}

/* ---- the workers ---- */

static int carry_out(struct worker *worker, const struct move_group *group,
		     const struct move_group *next, bool *told, struct error *err)
{
	if (check_stop(err) != 0 || worker_connect(worker, err) != 0)
		return -1;
	return move_group(worker, group, next != NULL ? next->from : NULL, told, err);
}

static int move_some(struct worker *worker, void *ctx, struct error *err)
{
	struct moving *moving = ctx;
	struct move_group *group, *next = NULL;
	int result = 0;

	pthread_mutex_lock(&moving->mutex);
	while (result == 0 && !moving->failed) {
		bool told = false;

		group = next != NULL ? next : wait_for_one(moving);
		if (group == NULL)
			break;
		next = take_early(moving);
		pthread_mutex_unlock(&moving->mutex);
		result = carry_out(worker, group, next, &told, err);
		pthread_mutex_lock(&moving->mutex);
		moving->told = told;
		moving->failed |= result != 0;
		release(moving, group);
	}
	pthread_mutex_unlock(&moving->mutex);
	return result;
}

static size_t count_workers(const struct moving *moving, size_t messages)
{
	const struct imap_conn *conn = moving->account->workers[0].conn;

	return conn != NULL && imap_is_far(conn)
		       ? workers_worth(moving->account, moving->n, messages, 1)
		       : 1;
}

int move_remote_all(struct account *account, struct error *err)
{
	struct moving moving = {
		.account = account,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	size_t n;
	int result = 0;

	moving.actions = collect_moves(account, &n);
	if (n != 0) {
		build_groups(&moving, n);
		moving.sources = xcalloc(account->n_folders, sizeof(*moving.sources));
		moving.targets = xcalloc(account->n_folders, sizeof(*moving.targets));
		moving.workers = count_workers(&moving, n);
		result = workers_run(account, moving.workers, move_some, &moving, err);
	}
	free(moving.actions);
	free(moving.groups);
	free(moving.sources);
	free(moving.targets);
	return result;
}
