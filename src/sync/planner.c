/* From three views to a list of actions: decide() says what is to be done about each message by itself, given
 * what the match found. Nothing here has an effect on a message. */
#include "sync/account.h"

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
		.restored = folder->record.restoring,
		.expunge = account->config->expunge,
		.storable = folder->permanent,
		.storable_keywords = folder->permanent_keywords,
	};

	if (policy.stance == STANCE_TWO_WAY && folder->read_only)
		policy.stance = STANCE_READ_ONLY;
	return policy;
}

static struct decision judge(struct account *account, const struct triple *triple,
			     const struct policy *policy)
{
	struct decision decision = decide(triple, policy, account->keywords);

	account->rules[RULES_DECIDE][decision.rule]++; /* nobody else runs now */
	return decision;
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
	uint32_t next_lost; /* lost messages stand in the order of the walk */
	struct error *err;
};

static uint32_t lost_of(struct planning *p, size_t message)
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
	return state_get_record(p->account->state, NULL, p->folder->record.id, message->uid,
				&record, &err) == 1 &&
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

/* A file that loses its record and is not sent is a new one from the next run on: it has to be seen then,
 * however little changes until then. */
static void note_stray(struct planning *p, const struct action *action, enum presence local)
{
	struct sync_folder *folder = folder_at(p->account, action->file_folder);

	if ((action->verb != VERB_FORGET && action->verb != VERB_DOWNLOAD) ||
	    local == PRESENCE_ABSENT)
		return;
	folder->incomplete = true;
	folder->strays++;
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

/* Found on one side in another folder, and not surely looked for on the other: nothing is done, and the place
 * where it was found must be looked at again, or what is new there would never be seen. */
static void note_unsettled(struct planning *p, const struct action *action, const struct lost *lost)
{
	if (lost != NULL && (lost->remote.folder != NOWHERE || lost->file.folder != NOWHERE))
		action_is_left(p->account, action);
}

static void book(struct planning *p, size_t at, struct decision decision)
{
	const struct message *message = &p->folder->snapshot.messages[at];
	uint32_t number = lost_of(p, at);
	const struct lost *lost = number != NO_LOST ? &p->account->world.lost[number] : NULL;
	struct action action = {
		.verb = decision.verb,
		.folder = p->number,
		.uid = message->uid,
		.file_folder = NO_FOLDER,
		.local = message->local,
		.remote = message->remote,
		.flags = decision.flags,
		.lost = number,
	};

	set_file(p, &action, lost, at);
	set_remote(p, &action, lost);
	note_stray(p, &action, (enum presence)message->local_presence);
	switch (decision.verb) {
	case VERB_NOTHING: note_unsettled(p, &action, lost); return;
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
	uint32_t number = p->folder->void_uids ? lost_of(p, message) : NO_LOST;

	return number != NO_LOST && p->account->world.lost[number].remote.folder == p->number;
}

static bool has_same_flags(const struct message *message)
{
	return flags_equal(message->local, message->base_local) &&
	       flags_equal(message->remote, message->base_remote);
}

static bool is_idle(const struct message *message, const struct decision *decision)
{
	return decision->verb == VERB_FLAGS && flag_change_empty(&decision->flags) &&
	       message->state == RECORD_PAIRED && has_same_flags(message);
}

static int plan_messages(struct planning *p)
{
	for (size_t i = 0; i < p->folder->snapshot.n; i++) {
		struct message *message = &p->folder->snapshot.messages[i];
		struct triple triple = triple_of(message);
		struct decision decision;

		if (is_renumbered(p, i) && message->local_presence == PRESENCE_MOVED)
			triple.remote = PRESENCE_HERE; /* only the user moved it */
		if (message->local_presence == PRESENCE_HERE &&
		    message->remote_presence == PRESENCE_HERE && message->state == RECORD_PAIRED &&
		    has_same_flags(message) && !p->policy.expunge)
			continue;
		if (message->local_presence == PRESENCE_UNKNOWN ||
		    message->remote_presence == PRESENCE_UNKNOWN)
			p->folder->incomplete = true;
		decision = judge(p->account, &triple, &p->policy);
		only_representable(p->account, p->folder, &decision.flags);
		if (is_idle(message, &decision))
			continue;
		if (decision.verb != VERB_NOTHING &&
		    message_get_base(p->account, p->folder, message, p->err) != 0)
			return -1;
		book(p, i, decision);
	}
	return 0;
}

/* ---- the new ones ---- */

static void plan_arrivals(struct planning *p)
{
	struct triple triple = {.local = PRESENCE_ABSENT, .remote = PRESENCE_HERE};
	struct decision decision;

	for (size_t i = 0; i < p->folder->snapshot.n_arrivals; i++) {
		struct remote_message *arrival = &p->folder->snapshot.arrivals[i];

		if (arrival->taken)
			continue;
		decision = judge(p->account, &triple, &p->policy);
		add_action(p->folder, (struct action){.verb = decision.verb,
						      .folder = p->number,
						      .uid = arrival->uid,
						      .file_folder = NO_FOLDER,
						      .remote = arrival->flags,
						      .facts = arrival->facts,
						      .lost = NO_LOST});
	}
}

static void report_files(struct planning *p, size_t n)
{
	if (n == 0)
		return;
	p->folder->incomplete = true;
	tell_problem(p->account, PROBLEM_SKIPPED, p->folder,
		     "%zu message%s here that the server does not have, not sent", n,
		     n == 1 ? " is" : "s are");
}

static int plan_files(struct planning *p)
{
	struct triple triple = {.local = PRESENCE_HERE, .remote = PRESENCE_ABSENT};
	size_t reported = p->policy.stance == STANCE_TWO_WAY ? 0 : p->folder->strays;

	for (size_t i = 0; i < p->folder->snapshot.n_files; i++) {
		struct local_message *file = &p->folder->snapshot.files[i];
		struct decision decision;

		if (file->taken || file->unreadable || file->facts == NULL ||
		    file->replaces != NO_MESSAGE)
			continue;
		decision = judge(p->account, &triple, &p->policy);
		if (decision.verb == VERB_REPORT) {
			reported++;
			continue;
		}
		add_action(p->folder, (struct action){.verb = decision.verb,
						      .folder = p->number,
						      .file_folder = p->number,
						      .base = file->base,
						      .file = file->facts,
						      .local = file->flags,
						      .lost = NO_LOST});
	}
	report_files(p, reported);
	return 0;
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
		struct decision decision = judge(account, &triple, &policy);
		struct action action = {
			.verb = decision.verb,
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

static int plan_recorded(struct planning *p)
{
	if (plan_messages(p) != 0)
		return -1;
	plan_arrivals(p);
	return 0;
}

static int each_folder(struct account *account, int (*plan)(struct planning *p), struct error *err)
{
	struct planning p = {.account = account, .err = err};

	for (uint32_t i = 0; i < account->n_folders; i++) {
		p.folder = folder_at(account, i);
		p.number = i;
		if (!p.folder->loaded || p.folder->failed)
			continue;
		p.policy = policy_of(account, p.folder);
		if (plan(&p) != 0)
			return -1;
	}
	return 0;
}

int plan_all(struct account *account, struct error *err)
{
	plan_pairings(account);
	if (each_folder(account, plan_recorded, err) != 0)
		return -1;
	/* After all that may leave a file without a record. */
	if (each_folder(account, plan_files, err) != 0)
		return -1;
	leave_undescribed(account);
	if (find_copies(account, err) != 0)
		return -1;
	leave_crossing(account);
	leave_unproved(account);
	hold_deletions(account);
	count_total(account);
	for (size_t i = 0; i < account->n_folders; i++) /* in a first run one for each message */
		snapshot_drop_arrivals(&account->folders[i].snapshot);
	return 0;
}
