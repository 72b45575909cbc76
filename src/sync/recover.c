/* What a killed run left behind. A record that is `arriving` says that a file was about to appear: if it
 * is found, anywhere, the record is a pair, else the message is new again. An open attempt says that a
 * message was about to be sent: if the server has it, it is recorded under the base name it was sent
 * from, whatever became of that file meanwhile; the ordinary decision follows. All of this happens in the
 * snapshots; the base follows, except in a dry run. */
#include "sync/account.h"

#include <string.h>
#include <time.h>

#include "base/log.h"

#define DOUBT_SECONDS 60

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

static void settle_arriving(struct account *account, struct sync_folder *folder)
{
	struct snapshot *snapshot = &folder->snapshot;

	for (size_t i = 0; i < snapshot->n; i++) {
		struct message *message = &snapshot->messages[i];

		if (message->state != RECORD_ARRIVING)
			continue;
		if (message->local_presence == PRESENCE_ABSENT &&
		    !file_elsewhere(account, message->base)) {
			log_verbose("%s: UID %u had not arrived", folder->plan.name, message->uid);
			drop_record(account, folder, i--);
			continue;
		}
		message->state = RECORD_PAIRED;
		message->touched = true;
	}
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
static void lose_file(struct sync_folder *folder, struct message *message)
{
	struct snapshot *snapshot = &folder->snapshot;
	struct local_message *file = find_file(snapshot, message->base);

	if (message->base[0] == '\0')
		return;
	if (file != NULL && file->replaces == (size_t)(message - snapshot->messages))
		file->replaces = NO_MESSAGE;
	else if (message->local_presence == PRESENCE_HERE)
		snapshot_add_file(snapshot, message->base, message->local, message->inode);
	message->base = "";
	message->local_presence = PRESENCE_ABSENT;
	message->touched = true;
}

static void lose_old(struct account *account, const struct attempt *attempt)
{
	struct sync_folder *folder = folder_by_id(account, attempt->old_folder);
	struct message *message;

	if (folder == NULL || !folder->loaded)
		return;
	message = snapshot_find(&folder->snapshot, attempt->old_uid);
	if (message != NULL)
		lose_file(folder, message);
}

static void lose_owner(struct sync_folder *folder, const char *base, uint32_t uid)
{
	for (size_t i = 0; i < folder->snapshot.n; i++) {
		struct message *message = &folder->snapshot.messages[i];

		if (message->uid != uid && strcmp(message->base, base) == 0)
			lose_file(folder, message);
	}
}

static void base_flags(struct account *account, const struct attempt *attempt,
		       struct record *record)
{
	struct sync_folder *folder = folder_by_id(account, attempt->old_folder);
	const struct message *old = NULL;

	if (attempt->kind == ATTEMPT_MOVE && folder != NULL && folder->loaded)
		old = snapshot_find(&folder->snapshot, attempt->old_uid);
	record->local = old != NULL ? old->base_local : attempt->flags;
	record->remote = old != NULL ? old->base_remote : attempt->flags;
}

/* The arrival is what was sent: it becomes a record with the file's name. */
static void adopt(struct account *account, struct sync_folder *folder,
		  const struct attempt *attempt, struct place place)
{
	struct snapshot *snapshot = &folder->snapshot;
	struct remote_message arrival = snapshot->arrivals[place.at];
	struct record record = {
		.uid = arrival.uid,
		.state = RECORD_PAIRED,
		.base = attempt->base,
		.size = arrival.facts->size,
		.date = arrival.facts->date,
		.inode = attempt->inode,
		.content = arrival.facts->content,
		.header = arrival.facts->header,
		.id = arrival.facts->id,
	};
	struct local_message *file;
	struct message *message;
	size_t at;

	log_verbose("%s: UID %u is what an earlier run sent", folder->plan.name, arrival.uid);
	base_flags(account, attempt, &record);
	lose_old(account, attempt);
	lose_owner(folder, attempt->base, arrival.uid);
	message = snapshot_insert(snapshot, &record);
	at = (size_t)(message - snapshot->messages);
	message->remote = arrival.flags;
	message->remote_presence = PRESENCE_HERE;
	message->local_presence = PRESENCE_ABSENT;
	file = find_file(snapshot, attempt->base);
	if (file != NULL && !file->unreadable && file->facts != NULL) {
		bool same = hash_equal(&file->facts->content, &record.content);

		message->local = file->flags;
		if (same) {
			message->inode = record.inode = file->facts->inode;
			message->trace = record.trace =
				file_trace(file->facts->mtime, file->facts->size);
		}
		message->local_presence = same ? PRESENCE_HERE : PRESENCE_REPLACED;
		if (same)
			file->taken = true;
		else
			file->replaces = at;
	} else if (file != NULL) {
		message->local_presence = PRESENCE_UNKNOWN;
	}
	state_put_record(account->workers[0].batch, folder->record.id, &record);
	state_delete_attempt(account->workers[0].batch, attempt->folder, attempt->base);
}

static void settle_attempt(struct account *account, struct attempt *attempt,
			   const struct attempt_result *result)
{
	struct sync_folder *home = folder_by_id(account, attempt->folder);
	const struct message *owner = NULL;

	if (home == NULL || !home->loaded || !home->local_looked)
		return;
	if (result->remote.folder != NOWHERE && !result->elsewhere) {
		adopt(account, home, attempt, result->remote);
		attempt->state = 0;
		return;
	}
	if (result->remote.folder != NOWHERE) { /* moved on by another device: rule 3 pairs it */
		account->folders[result->remote.folder].snapshot.arrivals[result->remote.at].taken =
			false;
		world_pair_elsewhere(&account->world, result->remote, attempt->base,
				     &attempt->content);
		state_delete_attempt(account->workers[0].batch, attempt->folder, attempt->base);
		attempt->state = 0;
		return;
	}
	if (result->did_not_happen && time(NULL) >= attempt->time + DOUBT_SECONDS)
		attempt->tries = 0;
	for (size_t i = 0; i < home->snapshot.n && owner == NULL; i++) {
		if (strcmp(home->snapshot.messages[i].base, attempt->base) == 0)
			owner = &home->snapshot.messages[i];
	}
	if (find_file(&home->snapshot, attempt->base) == NULL && owner == NULL) {
		state_delete_attempt(account->workers[0].batch, attempt->folder, attempt->base);
		attempt->state = 0;
	}
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

	if (match_wants_attempts(&account->world, account->attempts, account->n_attempts) &&
	    bodies_of_arrivals(account, err) != 0)
		return -1;
	results = arena_alloc(account->arena, account->n_attempts * sizeof(*results));
	match_attempts(&account->world, account->attempts, account->n_attempts, results);
	for (size_t i = 0; i < account->n_attempts; i++)
		settle_attempt(account, &account->attempts[i], &results[i]);
	tell_settled(account);
	return facts_of_files(account, err); /* of those that lost their records */
}

static int make_world(struct account *account)
{
	struct world *world = &account->world;

	world->n = account->n_folders;
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
		if (account->folders[i].loaded)
			settle_arriving(account, &account->folders[i]);
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
