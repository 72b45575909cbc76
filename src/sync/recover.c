/* What a killed run left behind. A record that is `arriving` says that a file was about to appear: if it
 * is found, anywhere, the record is a pair, else the message is new again. An open attempt says that a
 * message was about to be sent: if the server has it, it is recorded under the base name it was sent
 * from, whatever became of that file meanwhile; the ordinary decision follows. All of this happens in the
 * snapshots; the base follows, except in a dry run. */
#include "sync/account.h"

#include <string.h>

#include "base/log.h"

/* ---- arriving ---- */

static bool file_elsewhere(const struct account *account, const char *base)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		const struct snapshot *snapshot = &account->folders[i].snapshot;

		for (size_t j = 0; account->folders[i].loaded && j < snapshot->n_files; j++) {
			if (strcmp(snapshot->files[j].base, base) == 0)
				return true;
		}
	}
	return false;
}

static void drop_record(struct account *account, struct sync_folder *folder, size_t at)
{
	struct snapshot *snapshot = &folder->snapshot;
	struct message message = snapshot->messages[at];

	state_delete_record(account->workers[0].batch, folder->record.id, message.uid);
	memmove(snapshot->messages + at, snapshot->messages + at + 1,
		(snapshot->n - at - 1) * sizeof(*snapshot->messages));
	snapshot->n--;
	for (size_t i = 0; i < snapshot->n_files; i++) {
		if (snapshot->files[i].replaces != NO_MESSAGE && snapshot->files[i].replaces > at)
			snapshot->files[i].replaces--;
	}
	if (message.remote_presence == PRESENCE_HERE)
		snapshot_remote_arrived(snapshot, message.uid, message.remote);
}

static int settle_arriving(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct snapshot *snapshot = &folder->snapshot;

	for (size_t i = 0; i < snapshot->n; i++) {
		struct message *message = &snapshot->messages[i];

		if (message->state != RECORD_ARRIVING)
			continue;
		if (message_get_base(account, folder, message, err) != 0)
			return -1;
		if (message->local_presence == PRESENCE_ABSENT &&
		    !file_elsewhere(account, message->base)) {
			log_verbose("%s: UID %u had not arrived", folder->plan.name, message->uid);
			drop_record(account, folder, i--);
			continue;
		}
		message->state = RECORD_PAIRED;
		message->touched = true;
	}
	return 0;
}

/* ---- attempts ---- */

static struct sync_folder *folder_by_id(struct account *account, uint32_t id)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		if (account->folders[i].record.id == id && id != 0)
			return &account->folders[i];
	}
	return NULL;
}

static struct local_message *find_file(struct snapshot *snapshot, const char *base)
{
	for (size_t i = 0; i < snapshot->n_files; i++) {
		if (strcmp(snapshot->files[i].base, base) == 0)
			return &snapshot->files[i];
	}
	return NULL;
}

/* The record loses its file; the file, if it is there and its own, is without a record again. */
static int lose_file(struct account *account, struct sync_folder *folder, struct message *message,
		     struct error *err)
{
	struct snapshot *snapshot = &folder->snapshot;
	struct local_message *file;

	if (message->name == 0)
		return 0;
	if (message_get_base(account, folder, message, err) != 0)
		return -1;
	file = find_file(snapshot, message->base);
	if (file != NULL && file->replaces == (size_t)(message - snapshot->messages))
		file->replaces = NO_MESSAGE;
	else if (message->local_presence == PRESENCE_HERE)
		snapshot_add_file(snapshot, message->base, message->local, message->inode);
	message_set_base(message, "");
	message->local_presence = PRESENCE_ABSENT;
	message->touched = true;
	return 0;
}

static int lose_old(struct account *account, const struct attempt *attempt, struct error *err)
{
	struct sync_folder *folder = folder_by_id(account, attempt->old_folder);
	struct message *message;

	if (folder == NULL || !folder->loaded)
		return 0;
	message = snapshot_find(&folder->snapshot, attempt->old_uid);
	return message != NULL ? lose_file(account, folder, message, err) : 0;
}

/* The message whose file has this name, as the base knows it. */
static int owner_of(struct account *account, struct sync_folder *folder, const char *base,
		    struct message **owner, struct error *err)
{
	uint32_t uid;

	if (state_find_file(account->state, folder->record.id, base, &uid, err) != 0)
		return -1;
	*owner = uid != 0 ? snapshot_find(&folder->snapshot, uid) : NULL;
	return 0;
}

/* Servers without UIDPLUS are not relied on to keep what they are sent. */
static bool server_is_poor(const struct account *account)
{
	return (imap_capabilities(account->workers[0].conn) & CAP_UIDPLUS) == 0;
}

/* What such a server lacks of the flags that were sent was not taken away (restore.c): it is no part of the
 * base, and so is sent again. */
static void base_flags(struct account *account, const struct attempt *attempt, struct flags arrived,
		       struct record *record)
{
	struct sync_folder *folder = folder_by_id(account, attempt->old_folder);
	const struct message *old = NULL;

	if (attempt->kind == ATTEMPT_MOVE && folder != NULL && folder->loaded)
		old = snapshot_find(&folder->snapshot, attempt->old_uid);
	record->local = old != NULL ? old->base_local : attempt->flags;
	record->remote = old != NULL ? old->base_remote : attempt->flags;
	if (server_is_poor(account)) {
		record->local = flags_intersection(account->keywords, record->local, arrived);
		record->remote = flags_intersection(account->keywords, record->remote, arrived);
	}
}

/* What the new record says of the file: it is as it was sent, or it was edited since. */
static void meet_file(struct snapshot *snapshot, struct message *message, struct record *record)
{
	struct local_message *file = find_file(snapshot, record->base);

	message->local_presence = PRESENCE_ABSENT;
	if (file == NULL)
		return;
	message->local_presence = PRESENCE_UNKNOWN;
	if (file->unreadable || file->facts == NULL)
		return;
	message->local = file->flags;
	if (!hash_equal(&file->facts->content, &record->content)) {
		message->local_presence = PRESENCE_REPLACED;
		file->replaces = (size_t)(message - snapshot->messages);
		return;
	}
	message->local_presence = PRESENCE_HERE;
	message->inode = record->inode = file->facts->inode;
	message->trace = record->trace = file_trace(file->facts->mtime, file->facts->size);
	file->taken = true;
}

/* The arrival is what was sent: it becomes a record with the file's name. */
static int adopt(struct account *account, struct sync_folder *folder, struct attempt *attempt,
		 size_t at, struct error *err)
{
	struct snapshot *snapshot = &folder->snapshot;
	struct remote_message arrival = snapshot->arrivals[at];
	struct record record = {
		.uid = arrival.uid,
		.state = RECORD_PAIRED,
		.base = attempt->base,
		.size = arrival.facts->size,
		.date = arrival.facts->date,
		.inode = attempt->inode,
		.content = attempt->content,
		.header = arrival.facts->header,
		.id = arrival.facts->id,
	};
	struct message *message;

	log_verbose("%s: UID %u is what an earlier run sent", folder->plan.name, arrival.uid);
	base_flags(account, attempt, arrival.flags, &record);
	if (lose_old(account, attempt, err) != 0 ||
	    owner_of(account, folder, attempt->base, &message, err) != 0)
		return -1;
	if (message != NULL && lose_file(account, folder, message, err) != 0)
		return -1;
	message = snapshot_insert(snapshot, &record);
	message->remote = arrival.flags;
	message->remote_presence = PRESENCE_HERE;
	meet_file(snapshot, message, &record);
	state_put_record(account->workers[0].batch, folder->record.id, &record);
	attempt_forget(account, attempt);
	return 0;
}

/* Moved on by another device, or in a mailbox whose records are void: it pairs as any new message does. */
static void pair(struct account *account, struct attempt *attempt, struct place place)
{
	account->folders[place.folder].snapshot.arrivals[place.at].taken = false;
	world_pair_sent(&account->world, place, attempt);
	attempt_forget(account, attempt);
}

/* A server that is slow may still store it, for as long as a later try would wait. */
static int not_found(struct account *account, struct sync_folder *home, struct attempt *attempt,
		     bool did_not_happen, struct error *err)
{
	struct message *owner;

	if (attempt->state == ATTEMPT_OPEN && !attempt_is_old(attempt))
		return 0;
	if (did_not_happen)
		attempt->tries = 0;
	if (owner_of(account, home, attempt->base, &owner, err) != 0)
		return -1;
	if (owner == NULL && find_file(&home->snapshot, attempt->base) == NULL)
		attempt_forget(account, attempt);
	return 0;
}

static int settle_attempt(struct account *account, struct attempt *attempt,
			  const struct attempt_result *result, struct error *err)
{
	struct sync_folder *home = folder_by_id(account, attempt->folder);

	if (home == NULL || !home->loaded || !home->local_looked ||
	    attempt->state == ATTEMPT_SETTLED)
		return 0;
	if (result->remote.folder == NOWHERE)
		return not_found(account, home, attempt, result->did_not_happen, err);
	if (!result->elsewhere && !home->void_uids)
		return adopt(account, home, attempt, result->remote.at, err);
	pair(account, attempt, result->remote);
	return 0;
}

static void tell_settled(struct account *account)
{
	for (size_t i = 0; i < account->n_attempts; i++) {
		const struct attempt *attempt = &account->attempts[i];
		struct sync_folder *folder = folder_by_id(account, attempt->folder);

		if (folder == NULL || !folder->named)
			continue;
		if (attempt->state == ATTEMPT_REFUSED)
			tell_problem(account, PROBLEM_REFUSED, folder, "the server refused %s: %s",
				     attempt->base, attempt->reason);
		else if (attempt->state == ATTEMPT_PARKED)
			tell_problem(account, PROBLEM_PARKED, folder,
				     "%s was sent twice with unknown outcome and is not sent again "
				     "until it changes",
				     attempt->base);
	}
}

static int settle_attempts(struct account *account, struct error *err)
{
	struct attempt_result *results;
	struct world *world = &account->world;
	struct attempt *attempts = account->attempts;
	size_t n = account->n_attempts;

	if (match_wants_attempt_headers(world, attempts, n) &&
	    headers_of_arrivals(account, err) != 0)
		return -1;
	if (match_wants_attempt_bodies(world, attempts, n) && bodies_of_arrivals(account, err) != 0)
		return -1;
	results = arena_alloc(account->arena, n * sizeof(*results));
	match_attempts(world, attempts, n, results);
	for (size_t i = 0; i < n; i++) {
		if (settle_attempt(account, &attempts[i], &results[i], err) != 0)
			return -1;
	}
	tell_settled(account);
	return facts_of_files(account, err); /* of those that lost their records */
}

static int make_world(struct account *account)
{
	struct world *world = &account->world;

	world->n = account->n_folders;
	world->dates = server_is_poor(account) ? DATES_LOST : DATES_KEPT;
	world->folders = xcalloc(world->n, sizeof(*world->folders));
	for (size_t i = 0; i < world->n; i++) {
		struct sync_folder *folder = &account->folders[i];

		if (folder->snapshot.arena == NULL)
			snapshot_init(&folder->snapshot);
		world->folders[i] = (struct world_folder){
			.snapshot = &folder->snapshot,
			.id = folder->record.id,
			.uidnext = folder->status.uidnext,
			.uidvalidity = folder->status.uidvalidity,
			.on_server = folder->remote_looked,
			.repair = folder->adopt || folder->repair,
		};
	}
	return 0;
}

int recover(struct account *account, struct error *err)
{
	make_world(account);
	for (size_t i = 0; i < account->n_folders; i++) {
		if (account->folders[i].loaded &&
		    settle_arriving(account, &account->folders[i], err) != 0)
			return -1;
	}
	if (facts_of_files(account, err) != 0 || facts_of_arrivals(account, err) != 0)
		return -1;
	if (account->n_attempts != 0 && settle_attempts(account, err) != 0)
		return -1;
	if (account->options->dry_run || state_batch_empty(account->workers[0].batch))
		return 0;
	account->committed = true;
	return state_commit(account->workers[0].batch, account->keywords, err);
}
