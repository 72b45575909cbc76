/* Folders: what both sides have, what is to be made, renamed and removed. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

/* ---- looking ---- */

static const char *string_or_empty(const char *string)
{
	return string != NULL ? string : "";
}

struct remote_mailbox *tree_mailboxes(struct account *account, const struct imap_mailbox *found,
				      size_t n)
{
	struct remote_mailbox *mailboxes =
		arena_alloc(account->arena, (n + 1) * sizeof(*mailboxes));

	for (size_t i = 0; i < n; i++) {
		mailboxes[i] = (struct remote_mailbox){
			.name = found[i].name,
			.wire = found[i].wire,
			.mailbox_id = string_or_empty(found[i].status.mailbox_id),
			.uidvalidity = found[i].status.uidvalidity,
			.delimiter = found[i].delimiter,
			.noselect = found[i].noselect,
			.special = found[i].special,
		};
	}
	return mailboxes;
}

struct local_place *tree_places(struct account *account, const struct local_folder *found, size_t n)
{
	struct local_place *places = arena_alloc(account->arena, (n + 1) * sizeof(*places));

	for (size_t i = 0; i < n; i++) {
		places[i] = (struct local_place){
			.path = found[i].path,
			.plain = found[i].kind == DIRECTORY_PLAIN,
			.damaged = found[i].kind == DIRECTORY_DAMAGED,
			.incomplete = found[i].kind == DIRECTORY_INCOMPLETE,
			.inode = found[i].stamp.inode,
		};
	}
	return places;
}

bool folder_is_named(const struct account *account, const char *name)
{
	const struct sync_options *options = account->options;

	return options->n_patterns == 0 ||
	       patterns_match(options->patterns, options->n_patterns, name, false);
}

static enum special_use special_of(const struct folder_plan *plan,
				   const struct imap_mailbox *mailboxes)
{
	return plan->mailbox != NO_INDEX ? mailboxes[plan->mailbox].special : SPECIAL_NONE;
}

static void set_up(struct account *account, struct sync_folder *folder,
		   const struct folder_plan *plan, const struct folders_input *input,
		   const struct imap_mailbox *mailboxes)
{
	const struct folder_record *base = input->base;
	const struct local_place *places = input->places;

	if (plan->base == NO_INDEX)
		folder->record = (struct folder_record){
			.path = "",
			.mailbox_id = "",
			.permanent = FLAGS_ALL,
			.permanent_keywords = true,
		};
	else if (!disk_take(account, plan, special_of(plan, mailboxes), folder))
		folder->record = base[plan->base];
	folder->plan = *plan;
	folder->base = plan->base != NO_INDEX ? &base[plan->base] : NULL;
	folder->wire_now = plan->mailbox != NO_INDEX ? mailboxes[plan->mailbox].wire : plan->wire;
	folder->path_now = plan->path;
	if (plan->verb ==
	    FOLDER_RENAME_LOCAL) /* where it is now, which may not be the base's either */
		folder->path_now = places[plan->place].path;
	folder->record.name = plan->name;
	folder->record.wire = plan->wire;
	folder->record.path = plan->path;
	folder->permanent = folder->record.permanent;
	folder->permanent_keywords = folder->record.permanent_keywords;
	folder->read_only = folder->record.read_only;
	folder->named = folder_is_named(account, plan->name);
	folder->adopt = folder->record.last_sync == 0;
	if (folder->adopt && plan->mailbox != NO_INDEX && plan->place != NO_INDEX)
		note_rule(account, RULES_REPAIR, 7);
	folder->record.restoring |= account->repair;
	if (plan->base != NO_INDEX &&
	    (plan->verb == FOLDER_CREATE_LOCAL || plan->verb == FOLDER_CREATE_REMOTE)) {
		folder->record.remaking = true;
		note_rule(account, RULES_REPAIR, 8);
	}
	folder->repair = folder->record.remaking || folder->record.restoring;
	if (plan->mailbox != NO_INDEX) {
		folder->status = mailboxes[plan->mailbox].status;
		folder->record.special = mailboxes[plan->mailbox].special;
		folder->record.delimiter = mailboxes[plan->mailbox].delimiter;
		if (folder->status.mailbox_id != NULL && folder->status.mailbox_id[0] != '\0')
			folder->record.mailbox_id = folder->status.mailbox_id;
	}
}

static void find_trash(struct account *account)
{
	static const struct {
		const char *name;
		enum special_use special;
	} uses[] = {{"\\Trash", SPECIAL_TRASH},
		    {"\\Archive", SPECIAL_ARCHIVE},
		    {"\\Junk", SPECIAL_JUNK}};
	const char *wanted = account->config->trash;

	for (uint32_t i = 0; wanted != NULL && wanted[0] != '\0' && i < account->n_folders; i++) {
		struct sync_folder *folder = folder_at(account, i);

		if (folder->plan.mailbox == NO_INDEX)
			continue;
		if (strcmp(folder->plan.name, wanted) == 0)
			account->trash = i;
		for (size_t u = 0; u < ARRAY_SIZE(uses); u++) {
			if (ascii_case_equal(wanted, uses[u].name) &&
			    folder->record.special == uses[u].special)
				account->trash = i;
		}
	}
}

/* A word of the command line that means no folder, or NULL. One word too many is a mistake too: what it
 * was meant for would go unsynced without a word. */
static const char *find_idle_pattern(const struct account *account)
{
	const struct sync_options *options = account->options;
	bool named = false;

	for (size_t p = 0; p < options->n_patterns; p++) {
		bool matches = options->patterns[p][0] == '!';

		for (size_t i = 0; i < account->n_folders; i++) {
			const struct folder_plan *plan = &account->folders[i].plan;

			named |= plan->chosen && account->folders[i].named;
			matches |= plan->chosen && pattern_match(options->patterns[p], plan->name);
		}
		if (!matches)
			return options->patterns[p];
	}
	return named || options->n_patterns == 0 ? NULL : options->patterns[0];
}

static int check_choice(struct account *account, struct error *err)
{
	const char *idle = find_idle_pattern(account);
	bool chosen = false;

	for (size_t i = 0; i < account->n_folders; i++)
		chosen |= account->folders[i].plan.chosen;
	if (!chosen)
		return error_set(err, ERROR_CONFIG,
				 "the option folders chooses none of the %zu folders; "
				 "see: mailtwin folders %s",
				 account->n_folders, account->config->name);
	if (idle != NULL)
		return error_set(
			err, ERROR_USAGE,
			"no folder matches %s, or none that is chosen; see: mailtwin folders %s",
			idle, account->config->name);
	find_trash(account);
	if (account->config->trash != NULL && account->config->trash[0] != '\0' &&
	    account->trash == NO_FOLDER)
		return error_set(err, ERROR_CONFIG,
				 "trash: expected a folder of the server, and it has no %s; "
				 "see: mailtwin folders %s",
				 account->config->trash, account->config->name);
	return 0;
}

static int make_plan(struct account *account, struct folders_input *input,
		     const struct imap_mailbox *mailboxes, struct error *err)
{
	struct folder_plan *plans;

	plans = folders_plan(input, account->arena, &account->n_folders);
	account->folders =
		arena_alloc(account->arena, (account->n_folders + 1) * sizeof(*account->folders));
	for (size_t i = 0; i < account->n_folders; i++)
		set_up(account, &account->folders[i], &plans[i], input, mailboxes);
	return check_choice(account, err);
}

static void tell_bad(struct account *account)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		if (folder->plan.verb == FOLDER_BAD && folder->named)
			tell_problem(account, PROBLEM_FOLDER, folder, "%s", folder->plan.reason);
		else if (folder->plan.verb == FOLDER_IGNORE && folder->plan.reason != NULL)
			log_verbose("%s: %s", folder->plan.name, folder->plan.reason);
	}
}

/* LIST lacks it: only a NO to SELECT proves that it is gone. ENOENT with the parent in place: only that
 * proves that a directory is. */
static int prove_absence(struct account *account, struct sync_folder *folder, struct error *err)
{
	int there;

	if (folder->plan.verb == FOLDER_DELETE_LOCAL ||
	    (folder->plan.verb == FOLDER_CREATE_REMOTE && folder->plan.base != NO_INDEX)) {
		there = imap_exists(account->workers[0].conn, folder->plan.wire, err);
		if (there < 0)
			return -1;
		if (there == 1) {
			folder->plan.verb = FOLDER_BAD;
			folder->plan.rule = FOLDER_RULE_UNPROVED;
			folder->plan.reason = "the server does not list it, but it can be opened";
		}
	} else if (folder->plan.verb == FOLDER_DELETE_REMOTE) {
		there = maildir_is_absent(account->maildir, folder->plan.path, err);
		if (there < 0 && !error_is_local_to_folder(err))
			return -1;
		if (there != 1) {
			folder->plan.verb = FOLDER_BAD;
			folder->plan.rule = FOLDER_RULE_UNPROVED;
			folder->plan.reason = there == 0 ? "its directory cannot be read"
							 : arena_strdup(account->arena, err->text);
		}
	}
	return 0;
}

int tree_look(struct account *account, struct error *err)
{
	const struct account_config *config = account->config;
	struct folders_input input = {
		.layout = config->layout,
		.patterns = (const char *const *)config->folders.strings,
		.n_patterns = config->folders.n,
		.delete_folders = config->delete_folders,
		.server_writable = config->mode == MODE_TWO_WAY,
		.keep_local = config->mode == MODE_ARCHIVE,
		.may_delete = !account->repair,
	};
	const struct disk *disk = &account->disk;
	struct imap_mailbox *remote;
	size_t n_remote;

	tell_progress(account, PHASE_CONNECT, NULL, 0, 0);
	if (imap_list(account->workers[0].conn, account->arena, true, &remote, &n_remote, err) != 0)
		return -1;
	input.ns = imap_namespace(account->workers[0].conn);
	input.base = disk->base;
	input.n_base = disk->n_base;
	input.mailboxes = tree_mailboxes(account, remote, n_remote);
	input.n_mailboxes = n_remote;
	input.places = tree_places(account, disk->places, disk->n_places);
	input.n_places = disk->n_places;
	if (make_plan(account, &input, remote, err) != 0)
		return -1;
	for (size_t i = 0; i < account->n_folders; i++) {
		if (prove_absence(account, &account->folders[i], err) != 0)
			return -1;
	}
	tell_bad(account);
	return 0;
}

bool folder_is_exempt(const struct account *account, const struct sync_folder *folder)
{
	const struct string_list *list = &account->config->unguarded;

	return folder->record.special == SPECIAL_TRASH || folder->record.special == SPECIAL_JUNK ||
	       (list->n != 0 && patterns_match((const char *const *)list->strings, list->n,
					       folder->plan.name, false));
}

/* ---- removing ---- */

static int forget_folder(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct state_batch *batch = account->workers[0].batch;

	state_delete_folder(batch, folder->record.id);
	account->committed = true;
	folder->plan.verb = FOLDER_FORGET; /* nothing more of it in this run */
	folder->failed = true;
	return state_commit(batch, account->keywords, err);
}

static int remove_local(struct account *account, struct sync_folder *folder, struct error *err)
{
	folder_close_dir(folder);
	if (maildir_remove(account->maildir, folder->plan.path, err) != 0)
		return -1;
	tell_change(account, CHANGE_FOLDER_DELETE_LOCAL, folder, 0, NULL, NULL);
	return forget_folder(account, folder, err);
}

struct removal {
	struct sync_folder *folder;
	size_t seen;
	bool strange;
};

static void removal_message(void *ctx, uint32_t uid, struct flags flags)
{
	struct removal *removal = ctx;
	const struct message *message = snapshot_find(&removal->folder->snapshot, uid);

	(void)flags;
	removal->seen++;
	removal->strange |= message == NULL;
}

static void removal_vanished(void *ctx, uint32_t first, uint32_t last)
{
	(void)ctx;
	(void)first;
	(void)last;
}

/* Looked at again directly before DELETE: the same mailbox, and nothing in it that we do not know. */
static int remove_remote(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct imap_conn *conn = account->workers[0].conn;
	struct removal removal = {.folder = folder};
	struct imap_view_sink sink = {&removal, removal_message, removal_vanished, NULL};
	struct imap_view_request request = {.full = true};
	struct imap_view view;

	if (imap_unselect(conn, err) != 0 ||
	    imap_view(conn, folder->plan.wire, true, &request, &sink, &view, err) != 0)
		return -1;
	if (view.selected.status.uidvalidity != folder->record.uidvalidity || removal.strange ||
	    !view.complete)
		return error_set(err, ERROR_CHANGED,
				 "not removed on the server: there is new mail in it");
	if (imap_unselect(conn, err) != 0 || imap_delete(conn, folder->plan.wire, err) != 0)
		return -1;
	tell_removed_messages(account, folder);
	tell_change(account, CHANGE_FOLDER_DELETE_REMOTE, folder, 0, NULL, NULL);
	return forget_folder(account, folder, err);
}

int tree_remove(struct account *account, struct error *err)
{
	for (size_t i = account->n_folders; i-- > 0;) { /* children before their parents */
		struct sync_folder *folder = &account->folders[i];
		int result = 0;

		if (!folder->named || folder->failed || folder->incomplete)
			continue;
		if (folder->plan.verb == FOLDER_DELETE_LOCAL)
			result = remove_local(account, folder, err);
		else if (folder->plan.verb == FOLDER_DELETE_REMOTE)
			result = remove_remote(account, folder, err);
		else if (folder->plan.verb == FOLDER_FORGET)
			result = forget_folder(account, folder, err);
		if (result == 0)
			continue;
		if (!error_is_local_to_folder(err))
			return -1;
		folder->incomplete = true;
		tell_error(account, folder, err);
	}
	return 0;
}
