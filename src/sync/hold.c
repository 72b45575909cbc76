/* What was planned and must wait, or may not be: moves over the border of the folders that were named, folder
 * removals that are not clean, and deletions that the guard holds, lets pass, or turns back. */
#include "sync/account.h"

#include <stdlib.h>

#include "core/guard.h"

typedef bool leaves_fn(struct account *account, const struct sync_folder *folder,
		       const struct action *action);

/* Takes actions off a folder's list for this run; how many. */
static unsigned leave(struct account *account, struct sync_folder *folder, leaves_fn *leaves)
{
	size_t kept = 0;
	unsigned left;

	for (size_t i = 0; i < folder->n_actions; i++) {
		struct action action = folder->actions[i];

		if (!leaves(account, folder, &action)) {
			folder->actions[kept++] = action;
			continue;
		}
		folder->incomplete = true;
		action_is_left(account, &action);
	}
	left = (unsigned)(folder->n_actions - kept);
	folder->n_actions = kept;
	return left;
}

static bool crosses(struct account *account, const struct sync_folder *folder,
		    const struct action *action)
{
	return !folder->named || (action->file_folder != NO_FOLDER &&
				  !folder_at(account, action->file_folder)->named);
}

/* With a part of the folders named, moves over the border are left for a full run. */
void leave_crossing(struct account *account)
{
	for (size_t i = 0; account->options->n_patterns != 0 && i < account->n_folders; i++)
		leave(account, &account->folders[i], crosses);
}

static bool may_be_there(struct account *account, const struct sync_folder *folder,
			 const struct action *action)
{
	(void)account;
	return folder->undescribed && (action->verb == VERB_UPLOAD || action->verb == VERB_REPLACE);
}

/* What the server lists and does not describe could be compared with no file: any that is sent might be it. */
void leave_undescribed(struct account *account)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];
		unsigned n = leave(account, folder, may_be_there);

		if (n == 0)
			continue;
		account->rules[RULES_ATTEMPTS][6]++;
		tell_problem(
			account, PROBLEM_PARKED, folder,
			"%u message%s not sent: the server does not describe one that it lists", n,
			n == 1 ? " is" : "s are");
	}
}

static bool is_deletion(const struct action *action, enum direction direction)
{
	switch (action->verb) {
	case VERB_DELETE_LOCAL: return direction == DIRECTION_LOCAL;
	case VERB_DELETE_REMOTE: return direction == DIRECTION_REMOTE;
	case VERB_MOVE_REMOTE: return direction == DIRECTION_REMOTE && action->base == NULL;
	case VERB_EXPUNGE: return true;
	case VERB_NOTHING:
	case VERB_PAIR:
	case VERB_DOWNLOAD:
	case VERB_UPLOAD:
	case VERB_REPLACE:
	case VERB_MOVE_LOCAL:
	case VERB_MOVE_BACK:
	case VERB_SPLIT:
	case VERB_FLAGS:
	case VERB_KEEP:
	case VERB_FORGET:
	case VERB_REPORT: break;
	}
	return false;
}

static bool is_unproved(struct account *account, const struct sync_folder *folder,
			const struct action *action)
{
	(void)account;
	(void)folder;
	return action->verb != VERB_EXPUNGE && is_deletion(action, DIRECTION_REMOTE);
}

/* A folder whose files were not all seen, though they may be there; NULL: none. */
static const struct sync_folder *find_unseen(const struct account *account)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		const struct sync_folder *folder = &account->folders[i];

		if (folder->record.id != 0 &&
		    (folder->failed || folder->local_unproved || folder->plan.verb == FOLDER_BAD))
			return folder;
	}
	return NULL;
}

/* A file that is missing in one folder may have been moved into one that could not be read: not seen
 * is not gone, so nothing is removed on the server until all folders were seen. */
void leave_unproved(struct account *account)
{
	const struct sync_folder *unseen = find_unseen(account);

	for (size_t i = 0; unseen != NULL && i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];
		unsigned n = leave(account, folder, is_unproved);

		if (n == 0)
			continue;
		account->rules[RULES_GUARD][GUARD_RULE_UNSEEN]++;
		tell_problem(account, PROBLEM_FOLDER, folder,
			     "%u removal%s on the server must wait until %s can be read: the "
			     "messages may have been moved there",
			     n, n == 1 ? "" : "s", unseen->plan.name);
	}
}

static bool was_held(struct account *account, const struct action *action)
{
	const struct message *message =
		snapshot_find(&folder_at(account, action->folder)->snapshot, action->uid);

	return message != NULL &&
	       (message->state == RECORD_HELD_LOCAL || message->state == RECORD_HELD_REMOTE);
}

/* A folder that is gone on one side goes on the other only if it was all paired and unchanged. */
static bool removal_is_clean(struct sync_folder *folder)
{
	for (size_t i = 0; i < folder->n_actions; i++) {
		const struct action *action = &folder->actions[i];
		const struct message *message = snapshot_find(&folder->snapshot, action->uid);

		switch (action->verb) {
		case VERB_DELETE_LOCAL:
			if (message == NULL || !flags_equal(action->local, message->base_local))
				return false;
			break;
		case VERB_DELETE_REMOTE:
		case VERB_FORGET:
		case VERB_MOVE_REMOTE:
		case VERB_MOVE_LOCAL: break;
		case VERB_NOTHING:
		case VERB_PAIR:
		case VERB_DOWNLOAD:
		case VERB_UPLOAD:
		case VERB_REPLACE:
		case VERB_MOVE_BACK:
		case VERB_SPLIT:
		case VERB_FLAGS:
		case VERB_EXPUNGE:
		case VERB_KEEP:
		case VERB_REPORT: return false;
		}
	}
	return true;
}

static void undo(struct account *account, struct sync_folder *folder, struct action *action)
{
	if (action->verb == VERB_DELETE_LOCAL)
		action->verb = VERB_UPLOAD;
	else
		action->verb = VERB_DOWNLOAD;
	if (action->lost != NO_LOST && action->verb == VERB_DOWNLOAD)
		action->facts = NULL;
	action->file_folder = folder_number(account, folder);
}

static void hold_folder(struct account *account, struct sync_folder *folder,
			enum direction direction)
{
	uint32_t n = 0;

	for (size_t i = 0; i < folder->n_actions; i++) {
		struct action *action = &folder->actions[i];

		if (!is_deletion(action, direction))
			continue;
		action->held = true;
		n++;
	}
	account->summary->held += n;
	tell_problem(account, PROBLEM_HELD, folder, "%u of %u messages were removed %s: held", n,
		     folder->paired, direction == DIRECTION_LOCAL ? "on the server" : "here");
}

static void undo_all(struct account *account, struct sync_folder *folder, enum direction direction)
{
	for (size_t i = 0; i < folder->n_actions; i++) {
		if (is_deletion(&folder->actions[i], direction))
			undo(account, folder, &folder->actions[i]);
	}
}

static void make_again(struct sync_folder *folder)
{
	folder->plan.verb = folder->plan.verb == FOLDER_DELETE_LOCAL ? FOLDER_CREATE_REMOTE
								     : FOLDER_CREATE_LOCAL;
}

static bool is_removal(const struct sync_folder *folder)
{
	return folder->plan.verb == FOLDER_DELETE_LOCAL ||
	       folder->plan.verb == FOLDER_DELETE_REMOTE;
}

static void hold_removal(struct account *account, struct sync_folder *folder,
			 enum direction direction)
{
	tell_problem(account, PROBLEM_HELD, folder,
		     "the folder was removed %s, but there is new or changed mail in it: held",
		     direction == DIRECTION_LOCAL ? "on the server" : "here");
	account->summary->held += folder->n_actions != 0 ? folder->n_actions : 1;
	for (size_t i = 0; i < folder->n_actions; i++)
		action_is_left(account, &folder->actions[i]);
	folder->n_actions = 0; /* what moved from it to another folder still moves */
	folder->plan.verb = FOLDER_BAD;
	folder->plan.rule = FOLDER_RULE_HELD;
}

/* A message that the other side moved into the folder that is gone here needs it to be there. */
static bool is_moved_into(struct account *account, struct sync_folder *folder,
			  enum direction direction)
{
	uint32_t number = folder_number(account, folder);

	for (size_t i = 0; i < account->n_folders; i++) {
		for (size_t j = 0; j < account->folders[i].n_actions; j++) {
			const struct action *a = &account->folders[i].actions[j];
			bool here = a->verb == VERB_MOVE_REMOTE && a->base != NULL &&
				    a->file_folder == number;
			bool there = a->verb == VERB_MOVE_LOCAL && a->folder == number &&
				     a->file_folder != number;

			if (direction == DIRECTION_LOCAL ? here : there)
				return true;
		}
	}
	return false;
}

/* A folder removal that is not clean is not carried out: what it would delete is held. Allowed, it
 * takes the messages that are known and leaves the folder with the others. */
static void check_removal(struct account *account, struct sync_folder *folder)
{
	enum direction direction =
		folder->plan.verb == FOLDER_DELETE_LOCAL ? DIRECTION_LOCAL : DIRECTION_REMOTE;

	if (!is_removal(folder) ||
	    (removal_is_clean(folder) && !is_moved_into(account, folder, direction)))
		return;
	switch (account->options->deletions) {
	case DELETIONS_GUARDED: hold_removal(account, folder, direction); return;
	case DELETIONS_UNDONE: undo_all(account, folder, direction); break;
	case DELETIONS_ALLOWED: folder->incomplete = true; break;
	}
	make_again(folder);
}

static void apply_guard(struct account *account, struct sync_folder *folder,
			const struct guard_folder *guard)
{
	bool removal = is_removal(folder);

	for (int d = 0; d < DIRECTION_COUNT; d++) {
		account->rules[RULES_GUARD][guard->answer[d].rule]++;
		switch (guard->answer[d].verb) {
		case GUARD_PASS: continue;
		case GUARD_HOLD:
			hold_folder(account, folder, (enum direction)d);
			if (removal)
				folder->plan.verb = FOLDER_BAD;
			break;
		case GUARD_UNDO:
			undo_all(account, folder, (enum direction)d);
			if (removal)
				make_again(folder);
			break;
		}
	}
}

static struct guard_folder count_deletions(struct account *account, struct sync_folder *folder)
{
	struct guard_folder guard = {
		.paired = folder->plan.verb == FOLDER_FORGET ? 0 : folder->paired,
		.exempt = folder_is_exempt(account, folder),
	};

	for (size_t i = 0; i < folder->n_actions; i++) {
		const struct action *action = &folder->actions[i];

		for (int d = 0; d < DIRECTION_COUNT; d++) {
			if (!is_deletion(action, (enum direction)d))
				continue;
			guard.deletions[d]++;
			guard.held_before[d] |= was_held(account, action);
		}
	}
	return guard;
}

void hold_deletions(struct account *account)
{
	struct guard_folder *folders = xcalloc(account->n_folders, sizeof(*folders));
	struct guard_input input = {
		.percent = account->config->guard,
		.deletions = account->options->deletions,
	};

	for (size_t i = 0; i < account->n_folders; i++) {
		check_removal(account, &account->folders[i]);
		folders[i] = count_deletions(account, &account->folders[i]);
		input.account_paired += folders[i].exempt ? 0 : folders[i].paired;
	}
	guard_check(folders, account->n_folders, &input);
	for (size_t i = 0; i < account->n_folders; i++)
		apply_guard(account, &account->folders[i], &folders[i]);
	free(folders);
}
