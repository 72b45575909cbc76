/* The lists of actions: what the planner adds, and what executors look up, leave or skip. */
#include "sync/account.h"

#include <assert.h>
#include <stdlib.h>

static_assert(sizeof(struct action) <= 72, "a first run has one for each message");

struct action *add_action(struct sync_folder *folder, struct action action)
{
	folder->actions = grow(folder->actions, folder->n_actions, &folder->room_actions,
			       sizeof(*folder->actions));
	folder->actions[folder->n_actions] = action;
	return &folder->actions[folder->n_actions++];
}

static int compare_uids(const void *a, const void *b)
{
	const struct action *x = *(struct action *const *)a, *y = *(struct action *const *)b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

void actions_sort(struct action **list, size_t n)
{
	if (n != 0)
		qsort(list, n, sizeof(struct action *), compare_uids);
}

size_t actions_find(struct action *const *list, size_t n, uint32_t uid)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list[middle]->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && list[low]->uid == uid ? low : NO_ACTION;
}

void action_is_left(struct account *account, const struct action *action)
{
	folder_at(account, action->folder)->incomplete = true;
	if (action->file_folder != NO_FOLDER)
		folder_at(account, action->file_folder)->incomplete = true;
	if (action->lost != NO_LOST)
		folder_at(account, account->world.lost[action->lost].folder)->incomplete = true;
}

void action_skip(struct account *account, struct action *action)
{
	action->skipped = true;
	action_is_left(account, action);
}

void forget_lost(struct account *account, struct state_batch *batch, uint32_t lost)
{
	const struct lost *entry;

	if (lost == NO_LOST)
		return;
	entry = &account->world.lost[lost];
	if (!account->folders[entry->folder].void_uids)
		state_delete_record(batch, account->folders[entry->folder].record.id,
				    entry->record.uid);
}
