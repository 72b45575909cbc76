/* The local side of a folder: its files into the snapshot. The scan itself tells which names are there; what it
 * cannot tell from a name, an inode and a time is read. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* A file saved twice between two runs may have the inode that it had: its time and size tell. In larger
 * folders only drafts are asked for them, unless the run is a full one. In the folder for drafts, where
 * files are made to be written again, they tell of a file that was written over in place, too. */
#define MOST_TIMES 20000

static enum scan_times times_of(const struct account *account, const struct sync_folder *folder)
{
	if (account->full || folder->record.special == SPECIAL_DRAFTS)
		return TIMES_OF_ALL;
	return folder->snapshot.n <= MOST_TIMES ? TIMES_WHERE_NEEDED : TIMES_OF_DRAFTS;
}

struct barred { /* what has a message's name and is no message file, or not one alone */
	const char *base;
	const char *stray; /* its name, if it is no regular file; else NULL */
};

struct scan {
	struct account *account;
	struct sync_folder *folder;
	struct barred *barred;
	size_t n_barred;
	size_t room_barred;
};

static void scan_begin(void *ctx)
{
	struct scan *scan = ctx;

	snapshot_local_begin(&scan->folder->snapshot);
	scan->n_barred = 0;
	scan->folder->n_second_names = 0;
	scan->folder->letters_seen = 0;
}

static void scan_file(void *ctx, const struct local_file *file)
{
	struct scan *scan = ctx;
	struct sighting sighting = {
		.base = file->base,
		.flags = letters_to_flags(scan->account, scan->folder, file->letters),
		.inode = file->inode,
		.trace = file->has_times ? file_trace(file->mtime, file->size) : 0,
		.letters = letters_mask(file->letters),
	};

	scan->folder->letters_seen |= sighting.letters;
	snapshot_local_file(&scan->folder->snapshot, &sighting);
}

/* A message whose name something else has is not absent: nothing is known of it. */
static void bar(struct scan *scan, const char *name, bool is_stray)
{
	struct arena *arena = scan->folder->snapshot.arena;
	const char *info = strstr(name, ":2,");
	size_t len = info != NULL ? (size_t)(info - name) : strlen(name);

	scan->barred =
		grow(scan->barred, scan->n_barred, &scan->room_barred, sizeof(scan->barred[0]));
	scan->barred[scan->n_barred++] = (struct barred){
		.base = arena_strndup(arena, name, len),
		.stray = is_stray ? arena_strdup(arena, name) : NULL,
	};
}

static bool bars_a_message(const struct scan *scan, const struct barred *barred)
{
	struct snapshot *snapshot = &scan->folder->snapshot;
	uint64_t key = name_key(barred->base);
	bool found = false;

	for (size_t i = 0; i < snapshot->n; i++) {
		struct message *message = &snapshot->messages[i];

		if (message->local_presence != PRESENCE_ABSENT || message->name != key)
			continue;
		message->local_presence = PRESENCE_UNKNOWN;
		found = true;
	}
	return found;
}

static void settle_barred(struct scan *scan)
{
	for (size_t i = 0; i < scan->n_barred; i++) {
		const struct barred *barred = &scan->barred[i];
		bool known = bars_a_message(scan, barred);

		if (!known && barred->stray == NULL)
			continue;
		scan->folder->incomplete = true; /* told in every run */
		if (known)
			tell_problem(scan->account, PROBLEM_UNREADABLE, scan->folder,
				     "%s is not a regular file any more: put the message back, or "
				     "remove what has its name",
				     barred->base);
		else
			tell_problem(
				scan->account, PROBLEM_UNREADABLE, scan->folder,
				"%s is no regular file and is left out: it is neither followed "
				"nor removed",
				barred->stray);
	}
	free(scan->barred);
}

/* The message is there, whichever name is looked at; one goes when it is certain that nobody is at it. */
static void note_second(struct sync_folder *folder, const char *place)
{
	folder->second_names = grow(folder->second_names, folder->n_second_names,
				    &folder->room_second_names, sizeof(folder->second_names[0]));
	folder->second_names[folder->n_second_names++] =
		arena_strdup(folder->snapshot.arena, place);
	folder->incomplete = true;
}

static void scan_problem(void *ctx, enum scan_problem problem, const char *name)
{
	struct scan *scan = ctx;

	if (problem != SCAN_TWO_NAMES)
		bar(scan, name, problem == SCAN_NOT_A_FILE);
	switch (problem) {
	case SCAN_TWO_NAMES: note_second(scan->folder, name); break;
	case SCAN_NOT_A_FILE: break; /* told when it is known whether a message is in its place */
	case SCAN_FOREIGN_INFO:
		log_verbose("%s: %s has flags of an unknown kind, which are not synced",
			    scan->folder->plan.name, name);
		break;
	case SCAN_DUPLICATE_BASE:
		scan->folder->incomplete = true; /* told in every run */
		tell_problem(scan->account, PROBLEM_NAME, scan->folder,
			     "two files have the name %s; rename one of them", name);
		break;
	case SCAN_BAD_NAME:
		scan->folder->incomplete = true;
		tell_problem(scan->account, PROBLEM_NAME, scan->folder,
			     "the file name %s cannot be a message's; rename it", name);
		break;
	}
}

static void note_replaced(struct snapshot *snapshot, size_t at, const char *base,
			  const struct file_facts *facts)
{
	struct message *message = &snapshot->messages[at];

	message->local_presence = PRESENCE_REPLACED;
	snapshot_add_file(snapshot, base, message->local, facts->inode);
	snapshot->files[snapshot->n_files - 1].facts = facts_keep(snapshot, facts);
	snapshot->files[snapshot->n_files - 1].replaces = at;
}

static void judge_suspect(struct account *account, struct sync_folder *folder, size_t at,
			  const struct record *record)
{
	struct message *message = &folder->snapshot.messages[at];
	struct file_facts facts;
	struct error err;

	if (maildir_examine(folder->dir, record->base, &facts, &err) != 0) {
		if (err.kind != ERROR_NOT_FOUND && err.kind != ERROR_CHANGED)
			tell_problem(account, PROBLEM_UNREADABLE, folder, "%s", err.text);
		message->local_presence = PRESENCE_UNKNOWN;
		folder->incomplete = true;
	} else if (hash_equal(&record->content, &facts.fingerprint.content)) {
		message->inode = facts.inode;
		message->trace = file_trace(facts.mtime, facts.size);
		message->touched = true;
	} else {
		note_replaced(&folder->snapshot, at, record->base, &facts);
	}
}

/* A known name with another inode: restored from a backup if the contents are equal, edited if not. */
static int check_suspect(struct account *account, struct sync_folder *folder, size_t at,
			 struct error *err)
{
	struct arena *arena = arena_new(); /* of this record only: all may be suspect */
	struct record record;
	int found = state_get_record(account->state, arena, folder->record.id,
				     folder->snapshot.messages[at].uid, &record, err);

	if (found > 0)
		judge_suspect(account, folder, at, &record);
	arena_free(&arena);
	return found < 0 ? -1 : 0;
}

#define WORTH_A_THREAD 10000
#define ROOM_A_MESSAGE 40 /* octets: so much of the names is read while the records are */
#define MOST_ROOM ((size_t)4 << 20)

void scan_begin_early(struct account *account, struct sync_folder *folder)
{
	size_t n = folder->record.messages, room = n * ROOM_A_MESSAGE;
	struct error ignored;

	if (n >= WORTH_A_THREAD && folder_open_dir(account, folder, &ignored) == 0)
		maildir_scan_begin(folder->dir, room < MOST_ROOM ? room : MOST_ROOM);
}

int scan_local(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct scan scan = {.account = account, .folder = folder};
	struct scan_sink sink = {
		.ctx = &scan,
		.times = times_of(account, folder),
		.begin = scan_begin,
		.file = scan_file,
		.problem = scan_problem,
	};
	const struct stamp keywords = folder->stamps[STAMP_KEYWORDS]; /* before the file is read */
	bool proved;

	if (folder_open_dir(account, folder, err) != 0)
		return -1;
	if (letters_reconcile(account, folder, err) != 0)
		return -1;
	proved = maildir_scan(folder->dir, &sink, folder->stamps, err) == 0;
	folder->stamps[STAMP_KEYWORDS] = keywords;
	if (!proved && err->kind != ERROR_CHANGED) {
		free(scan.barred);
		return -1;
	}
	snapshot_local_end(&folder->snapshot, proved);
	settle_barred(&scan);
	folder->incomplete |= !proved;
	folder->local_unproved = !proved;
	folder->local_looked = true;
	folder->letters_known = true;
	for (size_t i = 0; i < folder->snapshot.n_suspects; i++) {
		if (check_suspect(account, folder, folder->snapshot.suspects[i].message, err) != 0)
			return -1;
	}
	return 0;
}
