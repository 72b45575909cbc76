/* From three views to a list of actions: the match finds what moved, decide() says what is to be done
 * about each message by itself, the guard counts the deletions. Nothing here has an effect on a message. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "core/guard.h"
#include "core/index.h"

struct action *add_action(struct sync_folder *folder, struct action action)
{
	folder->actions = grow(folder->actions, folder->n_actions, &folder->room_actions,
			       sizeof(*folder->actions));
	folder->actions[folder->n_actions] = action;
	return &folder->actions[folder->n_actions++];
}

void forget_lost(struct account *account, struct state_batch *batch, size_t lost)
{
	const struct lost *entry;

	if (lost == NO_LOST)
		return;
	entry = &account->world.lost[lost];
	if (!account->folders[entry->folder].void_uids)
		state_delete_record(batch, account->folders[entry->folder].record.id,
				    entry->record.uid);
}

/* ---- match ---- */

static bool is_lost(const struct message *message)
{
	return (message->local_presence != PRESENCE_HERE ||
		message->remote_presence != PRESENCE_HERE) &&
	       message->state != RECORD_SKIPPED && message->state != RECORD_UNFETCHED;
}

static int lose(struct account *account, uint32_t number, size_t at, struct error *err)
{
	struct sync_folder *folder = folder_at(account, number);
	const struct message *message = &folder->snapshot.messages[at];
	struct record record;
	int found = state_get_record(account->state, folder->snapshot.arena, folder->record.id,
				     message->uid, &record, err);

	if (found < 0)
		return -1;
	if (found == 0) /* made up in a dry run */
		record = (struct record){.uid = message->uid, .state = RECORD_PAIRED};
	record.base = message->base;
	record.inode = message->inode;
	world_lose(&account->world, number, at, &record);
	return 0;
}

static int find_lost(struct account *account, struct error *err)
{
	for (uint32_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = folder_at(account, i);

		for (size_t j = 0; folder->loaded && j < folder->snapshot.n; j++) {
			if (is_lost(&folder->snapshot.messages[j]) && lose(account, i, j, err) != 0)
				return -1;
		}
	}
	return 0;
}

static void translate_letters(struct account *account, const struct lost *lost)
{
	struct sync_folder *from = folder_at(account, lost->folder);
	struct message *message = &from->snapshot.messages[lost->message];
	uint32_t stray;

	if (lost->file.folder != NOWHERE)
		message->local = letters_of_moved(
			account, from, folder_at(account, lost->file.folder), message,
			&folder_at(account, lost->file.folder)->snapshot.files[lost->file.at],
			&stray);
}

int match_all(struct account *account, struct error *err)
{
	struct world *world = &account->world;

	if (find_lost(account, err) != 0)
		return -1;
	match_renamed(world);
	if (match_wants_headers(world) && headers_of_arrivals(account, err) != 0)
		return -1;
	match_remote(world);
	match_local_certain(world);
	if (match_wants_bodies(world) && bodies_of_arrivals(account, err) != 0)
		return -1;
	match_new(world);
	match_local_content(world);
	for (size_t i = 0; i < world->n_lost; i++)
		translate_letters(account, &world->lost[i]);
	return 0;
}

/* ---- decide ---- */

static struct policy policy_of(const struct account *account, const struct sync_folder *folder)
{
	static const enum stance stances[] = {
		[MODE_TWO_WAY] = STANCE_TWO_WAY,
		[MODE_MIRROR] = STANCE_MIRROR,
		[MODE_ARCHIVE] = STANCE_ARCHIVE,
	};
	struct policy policy = {
		.stance = stances[account->config->mode],
		.repair = folder->repair,
		.restored = account->repair,
		.expunge = account->config->expunge,
		.storable = folder->permanent,
		.storable_keywords = folder->permanent_keywords,
	};

	if (policy.stance == STANCE_TWO_WAY && folder->read_only)
		policy.stance = STANCE_READ_ONLY;
	return policy;
}

static struct triple triple_of(const struct message *message)
{
	return (struct triple){
		.recorded = true,
		.state = (enum record_state)message->state,
		.local = (enum presence)message->local_presence,
		.remote = (enum presence)message->remote_presence,
		.base_local = message->base_local,
		.base_remote = message->base_remote,
		.now_local = message->local,
		.now_remote = message->remote,
	};
}

/* A keyword that has no letter here is no opinion of the local side: it is not asked for there. */
static void only_representable(struct account *account, const struct sync_folder *folder,
			       struct flag_change *change)
{
	uint32_t wanted = change->local_add.keywords;
	bool room = false;

	if (wanted == KEYWORDS_NONE)
		return;
	for (int i = 0; i < LETTER_COUNT; i++)
		room |= folder->record.letters[i] == 0 && (folder->letters_seen & 1U << i) == 0;
	if (!room)
		change->local_add = flags_representable(account, folder, change->local_add);
}

struct planning {
	struct account *account;
	struct sync_folder *folder;
	uint32_t number;
	struct policy policy;
	size_t next_lost; /* lost messages stand in the order of the walk */
};

static size_t lost_of(struct planning *p, size_t message)
{
	const struct world *world = &p->account->world;

	while (p->next_lost < world->n_lost && (world->lost[p->next_lost].folder < p->number ||
						(world->lost[p->next_lost].folder == p->number &&
						 world->lost[p->next_lost].message < message)))
		p->next_lost++;
	return p->next_lost < world->n_lost && world->lost[p->next_lost].folder == p->number &&
			       world->lost[p->next_lost].message == message
		       ? p->next_lost
		       : NO_LOST;
}

static struct local_message *replaced_file(struct planning *p, size_t message)
{
	struct snapshot *snapshot = &p->folder->snapshot;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		if (snapshot->files[i].replaces == message)
			return &snapshot->files[i];
	}
	return NULL;
}

static struct local_message *file_in(struct account *account, struct place place)
{
	return &account->folders[place.folder].snapshot.files[place.at];
}

static struct remote_message *arrival_in(struct account *account, struct place place)
{
	return &account->folders[place.folder].snapshot.arrivals[place.at];
}

/* The file of an action: where the match found it, or edited in place, or as the record has it. */
static void set_file(struct planning *p, struct action *action, const struct lost *lost,
		     size_t message)
{
	const struct local_message *file = NULL;

	action->file_folder = p->number;
	action->base = p->folder->snapshot.messages[message].base;
	if (lost != NULL && lost->file.folder != NOWHERE) {
		file = file_in(p->account, lost->file);
		action->file_folder = lost->file.folder;
	} else if (p->folder->snapshot.messages[message].local_presence == PRESENCE_REPLACED) {
		file = replaced_file(p, message);
	}
	if (file == NULL)
		return;
	action->base = file->base;
	action->file = file->facts;
	if (lost != NULL && lost->file.folder != NOWHERE)
		letters_of_moved(p->account, p->folder, folder_at(p->account, lost->file.folder),
				 &p->folder->snapshot.messages[message], file,
				 &action->stray_letters);
}

static void set_remote(struct planning *p, struct action *action, const struct lost *lost)
{
	if (lost == NULL || lost->remote.folder == NOWHERE)
		return;
	action->folder = lost->remote.folder;
	action->uid = arrival_in(p->account, lost->remote)->uid;
	action->facts = arrival_in(p->account, lost->remote)->facts;
}

static bool too_large(const struct account *account, uint32_t size)
{
	return account->config->max_size != 0 && size > account->config->max_size;
}

/* A message kept away by max-size stays away until that changes; what was parked is tried again. */
static bool stays_away(struct planning *p, const struct message *message)
{
	struct record record;
	struct error err;

	if (message->state != RECORD_SKIPPED)
		return false;
	return state_get_record(p->account->state, p->folder->snapshot.arena, p->folder->record.id,
				message->uid, &record, &err) == 1 &&
	       too_large(p->account, record.size);
}

static void report_change(struct planning *p, const struct message *message)
{
	p->folder->incomplete = true;
	tell_problem(p->account, PROBLEM_SKIPPED, p->folder,
		     "the mailbox is read-only: what was done here to UID %u is not sent",
		     message->uid);
}

static void to_trash(struct planning *p, struct action *action)
{
	if (p->account->trash == NO_FOLDER || p->account->trash == p->number)
		return;
	action->verb = VERB_MOVE_REMOTE;
	action->file_folder = p->account->trash;
	action->base = NULL;
	action->flags = (struct flag_change){0};
}

static void book_split(struct planning *p, struct action action)
{
	struct action upload = action;

	upload.verb = VERB_UPLOAD;
	upload.folder = p->number;
	upload.uid = 0;
	upload.facts = NULL;
	add_action(p->folder, upload);
	action.verb = VERB_DOWNLOAD;
	action.lost = NO_LOST;
	add_action(folder_at(p->account, action.folder), action);
}

static void book(struct planning *p, size_t at, struct decision decision)
{
	const struct message *message = &p->folder->snapshot.messages[at];
	size_t number = lost_of(p, at);
	const struct lost *lost = number != NO_LOST ? &p->account->world.lost[number] : NULL;
	struct action action = {
		.verb = decision.verb,
		.rule = decision.rule,
		.folder = p->number,
		.uid = message->uid,
		.file_folder = NO_FOLDER,
		.local = message->local,
		.remote = message->remote,
		.flags = decision.flags,
		.lost = number,
	};

	only_representable(p->account, p->folder, &action.flags);
	set_file(p, &action, lost, at);
	set_remote(p, &action, lost);
	switch (decision.verb) {
	case VERB_NOTHING:
	case VERB_PAIR: return;
	case VERB_REPORT: report_change(p, message); return;
	case VERB_FLAGS:
		if (p->policy.stance == STANCE_READ_ONLY &&
		    !flags_equal(message->local, message->base_local)) {
			report_change(p, message);
			if (flag_change_empty(&action.flags) &&
			    flags_equal(message->remote, message->base_remote))
				return;
		}
		if (flag_change_empty(&action.flags) && message->state == RECORD_PAIRED &&
		    flags_equal(message->local, message->base_local) &&
		    flags_equal(message->remote, message->base_remote))
			return;
		break;
	case VERB_DOWNLOAD:
		if (stays_away(p, message))
			return;
		break;
	case VERB_SPLIT: book_split(p, action); return;
	case VERB_DELETE_REMOTE: to_trash(p, &action); break;
	case VERB_UPLOAD: /* to where the file is */
		add_action(folder_at(p->account, action.file_folder), action)->folder =
			action.file_folder;
		return;
	case VERB_REPLACE:
	case VERB_MOVE_LOCAL:
	case VERB_MOVE_REMOTE:
	case VERB_MOVE_BACK:
	case VERB_DELETE_LOCAL:
	case VERB_EXPUNGE:
	case VERB_KEEP:
	case VERB_FORGET: break;
	}
	/* Executed in the folder on the server that it touches; the others where the record is. */
	if (decision.verb == VERB_MOVE_LOCAL || decision.verb == VERB_DOWNLOAD)
		add_action(folder_at(p->account, action.folder), action);
	else
		add_action(p->folder, action);
}

/* Found again in its own folder under another UID: the server did not move it. */
static bool is_renumbered(struct planning *p, size_t message)
{
	size_t number = p->folder->void_uids ? lost_of(p, message) : NO_LOST;

	return number != NO_LOST && p->account->world.lost[number].remote.folder == p->number;
}

static void plan_messages(struct planning *p)
{
	for (size_t i = 0; i < p->folder->snapshot.n; i++) {
		const struct message *message = &p->folder->snapshot.messages[i];
		struct triple triple = triple_of(message);

		if (is_renumbered(p, i) && message->local_presence == PRESENCE_MOVED)
			triple.remote = PRESENCE_HERE; /* only the user moved it */
		if (message->local_presence == PRESENCE_HERE &&
		    message->remote_presence == PRESENCE_HERE && message->state == RECORD_PAIRED &&
		    flags_equal(message->local, message->base_local) &&
		    flags_equal(message->remote, message->base_remote) && !p->policy.expunge)
			continue;
		if (message->local_presence == PRESENCE_UNKNOWN ||
		    message->remote_presence == PRESENCE_UNKNOWN)
			p->folder->incomplete = true;
		book(p, i, decide(&triple, &p->policy, p->account->keywords));
	}
}

/* ---- the new ones ---- */

static void plan_arrivals(struct planning *p)
{
	struct triple triple = {.local = PRESENCE_ABSENT, .remote = PRESENCE_HERE};
	struct decision decision = decide(&triple, &p->policy, p->account->keywords);

	for (size_t i = 0; i < p->folder->snapshot.n_arrivals; i++) {
		struct remote_message *arrival = &p->folder->snapshot.arrivals[i];

		if (arrival->taken)
			continue;
		add_action(p->folder, (struct action){.verb = decision.verb,
						      .rule = decision.rule,
						      .folder = p->number,
						      .uid = arrival->uid,
						      .file_folder = NO_FOLDER,
						      .remote = arrival->flags,
						      .facts = arrival->facts,
						      .lost = NO_LOST});
	}
}

static void plan_files(struct planning *p)
{
	struct triple triple = {.local = PRESENCE_HERE, .remote = PRESENCE_ABSENT};
	size_t reported = 0;

	for (size_t i = 0; i < p->folder->snapshot.n_files; i++) {
		struct local_message *file = &p->folder->snapshot.files[i];
		struct decision decision = decide(&triple, &p->policy, p->account->keywords);

		if (file->taken || file->unreadable || file->facts == NULL ||
		    file->replaces != NO_MESSAGE)
			continue;
		if (decision.verb == VERB_REPORT) {
			reported++;
			continue;
		}
		add_action(p->folder, (struct action){.verb = decision.verb,
						      .rule = decision.rule,
						      .folder = p->number,
						      .file_folder = p->number,
						      .base = file->base,
						      .file = file->facts,
						      .local = file->flags,
						      .lost = NO_LOST});
	}
	if (reported != 0) {
		p->folder->incomplete = true;
		tell_problem(p->account, PROBLEM_SKIPPED, p->folder,
			     "%zu message%s here that the server does not have, not sent", reported,
			     reported == 1 ? " is" : "s are");
	}
}

static void plan_pairings(struct account *account)
{
	for (size_t i = 0; i < account->world.n_pairings; i++) {
		const struct pairing *pairing = &account->world.pairings[i];
		struct sync_folder *folder = folder_at(account, pairing->remote.folder);
		struct remote_message *arrival = arrival_in(account, pairing->remote);
		struct local_message *file = file_in(account, pairing->file);
		struct policy policy = policy_of(account, folder);
		struct triple triple = {
			.local = PRESENCE_HERE,
			.remote = PRESENCE_HERE,
			.now_local = file->flags,
			.now_remote = arrival->flags,
		};
		struct decision decision = decide(&triple, &policy, account->keywords);
		struct action action = {
			.verb = decision.verb,
			.rule = decision.rule,
			.folder = pairing->remote.folder,
			.uid = arrival->uid,
			.file_folder = pairing->file.folder,
			.base = file->base,
			.file = file->facts,
			.facts = arrival->facts,
			.local = file->flags,
			.remote = arrival->flags,
			.flags = decision.flags,
			.lost = NO_LOST,
		};

		only_representable(account, folder, &action.flags);
		add_action(folder, action);
	}
}

/* ---- copies: a new file with the contents of a message that the server has ---- */

struct copy_search {
	struct account *account;
	struct index index; /* uploads by content */
	struct action **uploads;
	size_t n;
	size_t room;
};

static bool source_is_there(struct account *account, uint32_t id, uint32_t uid, uint32_t *number)
{
	for (uint32_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = folder_at(account, i);
		const struct message *message;

		if (folder->record.id != id)
			continue;
		*number = i;
		if (!folder->named || folder->plan.mailbox == NO_INDEX || folder->void_uids ||
		    folder->plan.verb == FOLDER_IGNORE || folder->plan.verb == FOLDER_BAD)
			return false;
		if (!folder->loaded)
			return true; /* unchanged on both sides */
		message = snapshot_find(&folder->snapshot, uid);
		return message != NULL && message->remote_presence == PRESENCE_HERE &&
		       message->local_presence == PRESENCE_HERE;
	}
	return false;
}

static int find_source(void *ctx, uint32_t id, const struct record *record)
{
	struct copy_search *search = ctx;
	uint64_t key = index_key_hash(&record->content);
	uint32_t number;

	if (record->state != RECORD_PAIRED || hash_is_none(&record->content))
		return 0;
	for (uint32_t e = index_first(&search->index, key); e != INDEX_END;
	     e = index_next(&search->index, e)) {
		struct action *action = search->uploads[index_value(&search->index, e)];

		if (action->verb != VERB_UPLOAD ||
		    !hash_equal(&action->file->content, &record->content) ||
		    !source_is_there(search->account, id, record->uid, &number))
			continue;
		action->verb = VERB_MOVE_REMOTE;
		action->copy = true;
		action->folder = number;
		action->uid = record->uid;
	}
	return 0;
}

static bool has_attempt(const struct account *account, const struct sync_folder *folder,
			const char *base)
{
	for (size_t i = 0; i < account->n_attempts; i++) {
		if (account->attempts[i].state != 0 &&
		    account->attempts[i].folder == folder->record.id &&
		    strcmp(account->attempts[i].base, base) == 0)
			return true;
	}
	return false;
}

static int find_copies(struct account *account, struct error *err)
{
	struct copy_search search = {.account = account};
	int result = 0;

	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		for (size_t j = 0; j < folder->n_actions; j++) {
			struct action *action = &folder->actions[j];

			if (action->verb != VERB_UPLOAD || action->lost != NO_LOST ||
			    action->file == NULL || has_attempt(account, folder, action->base))
				continue;
			search.uploads = grow(search.uploads, search.n, &search.room,
					      sizeof(struct action *));
			index_add(&search.index, index_key_hash(&action->file->content),
				  (uint32_t)search.n);
			search.uploads[search.n++] = action;
		}
	}
	index_build(&search.index);
	if (search.n != 0 && !account->fresh)
		result = state_each_record_anywhere(account->state, find_source, &search, err);
	index_release(&search.index);
	free(search.uploads);
	return result;
}

/* ---- what must wait, or may not be ---- */

/* With a part of the folders named, moves over the border are left for a full run. */
static void leave_crossing(struct account *account)
{
	for (size_t i = 0; account->options->n_patterns != 0 && i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];
		size_t kept = 0;

		for (size_t j = 0; j < folder->n_actions; j++) {
			struct action action = folder->actions[j];
			struct sync_folder *other = action.file_folder != NO_FOLDER
							    ? folder_at(account, action.file_folder)
							    : folder;

			if (folder->named && other->named) {
				folder->actions[kept++] = action;
			} else {
				folder->incomplete = true;
				action_is_left(account, &action);
			}
		}
		folder->n_actions = kept;
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
	action->rule = 60;
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

static void apply_hold(struct account *account, struct sync_folder *folder,
		       const struct guard_folder *guard)
{
	bool removal = is_removal(folder);

	for (int d = 0; d < DIRECTION_COUNT; d++) {
		bool held_before = false;

		for (size_t i = 0; i < folder->n_actions; i++)
			held_before |= is_deletion(&folder->actions[i], (enum direction)d) &&
				       was_held(account, &folder->actions[i]);
		if (!guard->hold[d] && !held_before)
			continue;
		switch (account->options->deletions) {
		case DELETIONS_GUARDED: hold_folder(account, folder, (enum direction)d); break;
		case DELETIONS_ALLOWED: continue;
		case DELETIONS_UNDONE: undo_all(account, folder, (enum direction)d); break;
		}
		if (removal && account->options->deletions == DELETIONS_GUARDED)
			folder->plan.verb = FOLDER_BAD;
		else if (removal)
			make_again(folder);
	}
}

static void guard(struct account *account)
{
	struct guard_folder *folders = xcalloc(account->n_folders, sizeof(*folders));
	uint64_t paired = 0;

	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		check_removal(account, folder);
		folders[i].paired = folder->paired;
		folders[i].exempt = folder_is_exempt(account, folder);
		paired += folders[i].exempt ? 0 : folder->paired;
		for (size_t j = 0; j < folder->n_actions; j++) {
			for (int d = 0; d < DIRECTION_COUNT; d++)
				folders[i].deletions[d] +=
					is_deletion(&folder->actions[j], (enum direction)d);
		}
	}
	guard_check(folders, account->n_folders, account->config->guard, paired);
	for (size_t i = 0; i < account->n_folders; i++)
		apply_hold(account, &account->folders[i], &folders[i]);
	free(folders);
}

static void log_rules(struct account *account)
{
	uint32_t counts[RULE_COUNT] = {0};
	struct text line = {0};

	for (size_t i = 0; i < account->n_folders; i++) {
		for (size_t j = 0; j < account->folders[i].n_actions; j++)
			counts[account->folders[i].actions[j].rule]++;
	}
	for (int i = 0; i < RULE_COUNT; i++) {
		if (counts[i] != 0)
			text_printf(&line, " %d=%u", i, counts[i]);
	}
	if (line.len != 0)
		log_verbose("rules:%s", text_get(&line));
	text_release(&line);
}

static void count_total(struct account *account)
{
	account->done = account->total = 0;
	for (size_t i = 0; i < account->n_folders; i++) {
		for (size_t j = 0; j < account->folders[i].n_actions; j++) {
			enum verb verb = account->folders[i].actions[j].verb;

			account->total += verb == VERB_DOWNLOAD || verb == VERB_UPLOAD;
		}
	}
}

int plan_all(struct account *account, struct error *err)
{
	struct planning p = {.account = account};

	plan_pairings(account);
	for (uint32_t i = 0; i < account->n_folders; i++) {
		p.folder = folder_at(account, i);
		p.number = i;
		if (!p.folder->loaded || p.folder->failed)
			continue;
		p.policy = policy_of(account, p.folder);
		plan_messages(&p);
		plan_arrivals(&p);
		plan_files(&p);
	}
	if (find_copies(account, err) != 0)
		return -1;
	leave_crossing(account);
	guard(account);
	log_rules(account);
	count_total(account);
	return 0;
}
