#include "sync/account.h"

#include <stdarg.h>
#include <stdio.h>

static const char *name_of(const struct sync_folder *folder)
{
	return folder != NULL ? folder->plan.name : NULL;
}

static void tell(struct account *account, const struct sync_change *change)
{
	pthread_mutex_lock(&account->mutex);
	account->summary->changes[change->verb]++;
	switch (change->verb) {
	case CHANGE_DOWNLOAD:
	case CHANGE_MOVE_LOCAL:
	case CHANGE_FLAGS_LOCAL:
	case CHANGE_DELETE_LOCAL:
	case CHANGE_FOLDER_CREATE_LOCAL:
	case CHANGE_FOLDER_DELETE_LOCAL:
	case CHANGE_FOLDER_RENAME_LOCAL:
		account->summary->disk_changed = !account->options->dry_run;
		break;
	case CHANGE_UPLOAD:
	case CHANGE_MOVE_REMOTE:
	case CHANGE_COPY_REMOTE:
	case CHANGE_FLAGS_REMOTE:
	case CHANGE_DELETE_REMOTE:
	case CHANGE_FOLDER_CREATE_REMOTE:
	case CHANGE_FOLDER_DELETE_REMOTE:
	case CHANGE_FOLDER_RENAME_REMOTE:
	case CHANGE_COUNT: break;
	}
	if (account->report->change != NULL)
		account->report->change(account->report->ctx, change);
	pthread_mutex_unlock(&account->mutex);
}

void tell_change(struct account *account, enum change_verb verb, const struct sync_folder *folder,
		 uint32_t uid, const char *file, const struct sync_folder *to)
{
	struct sync_change change = {
		.verb = verb,
		.folder = name_of(folder),
		.uid = uid,
		.file = file,
		.to = name_of(to),
	};

	tell(account, &change);
}

void tell_rename(struct account *account, enum change_verb verb, const struct sync_folder *folder)
{
	struct sync_change change = {
		.verb = verb, .folder = folder->base->name, .to = folder->plan.name};

	tell(account, &change);
}

void tell_problem(struct account *account, enum problem_kind kind, const struct sync_folder *folder,
		  const char *fmt, ...)
{
	char text[600];
	va_list args;

	if (account->disk.early_now)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	pthread_mutex_lock(&account->mutex);
	switch (kind) {
	case PROBLEM_HELD: break; /* counted by message */
	case PROBLEM_REFUSED:
		account->summary->refused++;
		account->summary->problems++;
		break;
	case PROBLEM_SKIPPED: account->summary->skipped++; break;
	case PROBLEM_PARKED:
	case PROBLEM_UNREADABLE:
	case PROBLEM_NAME:
	case PROBLEM_FOLDER:
	case PROBLEM_NETWORK:
	case PROBLEM_LOGIN:
	case PROBLEM_CERTIFICATE:
	case PROBLEM_LOCAL:
	case PROBLEM_HOOK:
	case PROBLEM_COUNT: account->summary->problems++; break;
	}
	if (account->report->problem != NULL)
		account->report->problem(account->report->ctx, kind, name_of(folder), text);
	pthread_mutex_unlock(&account->mutex);
}

void tell_error(struct account *account, const struct sync_folder *folder, const struct error *err)
{
	enum problem_kind kind = PROBLEM_FOLDER;

	switch (err->kind) {
	case ERROR_LOCAL: kind = PROBLEM_LOCAL; break;
	case ERROR_NETWORK:
	case ERROR_SERVER: kind = PROBLEM_NETWORK; break;
	case ERROR_LOGIN: kind = PROBLEM_LOGIN; break;
	case ERROR_CERTIFICATE: kind = PROBLEM_CERTIFICATE; break;
	case ERROR_REFUSED:
	case ERROR_NOT_FOUND:
	case ERROR_CHANGED:
	case ERROR_CORRUPT:
	case ERROR_NONE:
	case ERROR_USAGE:
	case ERROR_CONFIG:
	case ERROR_BUSY:
	case ERROR_STOPPED: break;
	}
	tell_problem(account, kind, folder, "%s", err->text);
}

void tell_progress(struct account *account, enum sync_phase phase, const struct sync_folder *folder,
		   uint64_t done, uint64_t bytes)
{
	pthread_mutex_lock(&account->mutex);
	account->done += done;
	account->bytes += bytes;
	if (account->report->progress != NULL)
		account->report->progress(account->report->ctx, phase, name_of(folder),
					  account->done, account->total, account->bytes);
	pthread_mutex_unlock(&account->mutex);
}

static void tell_flags(struct account *account, struct sync_folder *folder,
		       const struct action *action)
{
	if (!flags_empty(action->flags.local_add) || !flags_empty(action->flags.local_remove))
		tell_change(account, CHANGE_FLAGS_LOCAL, folder, action->uid, action->base, NULL);
	if (!flags_empty(action->flags.remote_add) || !flags_empty(action->flags.remote_remove))
		tell_change(account, CHANGE_FLAGS_REMOTE, folder, action->uid, action->base, NULL);
}

/* The message that a replacement takes the place of; 0: none. */
static uint32_t replaced_uid(const struct account *account, const struct action *a)
{
	return a->lost != NO_LOST ? account->world.lost[a->lost].record.uid : a->uid;
}

/* In the words that the executors use when they have done it. */
static void tell_action(struct account *account, const struct action *a)
{
	struct sync_folder *folder = folder_at(account, a->folder);
	struct sync_folder *other =
		a->file_folder != NO_FOLDER ? folder_at(account, a->file_folder) : NULL;

	switch (a->verb) {
	case VERB_DOWNLOAD:
		tell_change(account, CHANGE_DOWNLOAD, folder, a->uid, NULL, NULL);
		break;
	case VERB_UPLOAD: tell_change(account, CHANGE_UPLOAD, folder, 0, a->base, NULL); break;
	case VERB_REPLACE:
		tell_change(account, CHANGE_UPLOAD, folder, 0, a->base, NULL);
		tell_change(account, CHANGE_DELETE_REMOTE, folder, replaced_uid(account, a),
			    a->base, NULL);
		break;
	case VERB_MOVE_LOCAL:
	case VERB_MOVE_BACK:
		if (other != NULL && other != folder)
			tell_change(account, CHANGE_MOVE_LOCAL, other, a->uid, a->base, folder);
		tell_flags(account, folder, a);
		break;
	case VERB_MOVE_REMOTE:
		tell_change(account, a->copy ? CHANGE_COPY_REMOTE : CHANGE_MOVE_REMOTE, folder,
			    a->uid, a->base, other);
		tell_flags(account, folder, a);
		break;
	case VERB_PAIR:
	case VERB_FLAGS: tell_flags(account, folder, a); break;
	case VERB_DELETE_LOCAL:
		tell_change(account, CHANGE_DELETE_LOCAL, folder, a->uid, a->base, NULL);
		break;
	case VERB_DELETE_REMOTE:
		tell_change(account, CHANGE_DELETE_REMOTE, folder, a->uid, a->base, NULL);
		break;
	case VERB_EXPUNGE:
		tell_change(account, CHANGE_DELETE_REMOTE, folder, a->uid, a->base, NULL);
		tell_change(account, CHANGE_DELETE_LOCAL, folder, a->uid, a->base, NULL);
		break;
	case VERB_NOTHING:
	case VERB_SPLIT:
	case VERB_KEEP:
	case VERB_FORGET:
	case VERB_REPORT: break;
	}
}

static void tell_folder(struct account *account, struct sync_folder *folder)
{
	static const int changes[] = {
		[FOLDER_SYNC] = -1,
		[FOLDER_CREATE_LOCAL] = CHANGE_FOLDER_CREATE_LOCAL,
		[FOLDER_CREATE_REMOTE] = CHANGE_FOLDER_CREATE_REMOTE,
		[FOLDER_DELETE_LOCAL] = CHANGE_FOLDER_DELETE_LOCAL,
		[FOLDER_DELETE_REMOTE] = CHANGE_FOLDER_DELETE_REMOTE,
		[FOLDER_RENAME_LOCAL] = CHANGE_FOLDER_RENAME_LOCAL,
		[FOLDER_RENAME_REMOTE] = CHANGE_FOLDER_RENAME_REMOTE,
		[FOLDER_FORGET] = -1,
		[FOLDER_IGNORE] = -1,
		[FOLDER_BAD] = -1,
	};
	int change = changes[folder->plan.verb];

	if (change < 0 || !folder->named || folder->failed)
		return;
	if (change == CHANGE_FOLDER_RENAME_LOCAL || change == CHANGE_FOLDER_RENAME_REMOTE)
		tell_rename(account, (enum change_verb)change, folder);
	else
		tell_change(account, (enum change_verb)change, folder, 0, NULL, NULL);
}

/* By how many the account's messages become more. */
static int growth(struct sync_folder *folder, const struct action *a)
{
	const struct message *message;

	switch (a->verb) {
	case VERB_DOWNLOAD:
	case VERB_UPLOAD:
	case VERB_PAIR: return 1;
	case VERB_MOVE_REMOTE: return a->copy;
	case VERB_DELETE_LOCAL:
	case VERB_DELETE_REMOTE:
	case VERB_EXPUNGE: return -1;
	case VERB_FORGET:
		message = snapshot_find(&folder->snapshot, a->uid);
		return message != NULL && message->state == RECORD_PAIRED ? -1 : 0;
	case VERB_REPLACE:
	case VERB_MOVE_LOCAL:
	case VERB_MOVE_BACK:
	case VERB_FLAGS:
	case VERB_NOTHING:
	case VERB_SPLIT:
	case VERB_KEEP:
	case VERB_REPORT: break;
	}
	return 0;
}

/* Whether the folder would count in the summary of a run. */
static bool would_stay(const struct sync_folder *folder)
{
	switch (folder->plan.verb) {
	case FOLDER_SYNC:
	case FOLDER_CREATE_LOCAL:
	case FOLDER_CREATE_REMOTE:
	case FOLDER_RENAME_LOCAL:
	case FOLDER_RENAME_REMOTE: return folder->named;
	case FOLDER_BAD: return folder->named && folder->record.id != 0;
	case FOLDER_DELETE_LOCAL:
	case FOLDER_DELETE_REMOTE:
	case FOLDER_FORGET:
	case FOLDER_IGNORE: break;
	}
	return false;
}

void tell_plan(struct account *account)
{
	int64_t messages = 0;

	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		tell_folder(account, folder);
		if (folder->named && !folder->void_uids)
			messages += folder->record.messages;
		for (size_t j = 0; j < folder->n_actions; j++) {
			const struct action *action = &folder->actions[j];

			if (action->held)
				continue;
			tell_action(account, action);
			messages += growth(folder, action);
		}
		account->summary->folders += would_stay(folder);
	}
	account->summary->messages = messages > 0 ? (uint64_t)messages : 0;
}

void tell_removed_messages(struct account *account, const struct sync_folder *folder)
{
	for (size_t i = 0; i < folder->n_actions; i++) {
		const struct action *a = &folder->actions[i];

		if (a->verb == VERB_DELETE_REMOTE && !a->held)
			tell_change(account, CHANGE_DELETE_REMOTE, folder, a->uid, a->base, NULL);
	}
}
