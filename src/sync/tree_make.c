/* Folders that one side lacks are made there, and renamed as on the other side. */
#include "sync/account.h"

static void put_folder(struct account *account, struct sync_folder *folder)
{
	if (folder->record.id == 0)
		folder->record.id = state_new_folder_id(account->state);
	if (!folder->void_uids) /* else rekey_all does, together with the records */
		folder->record.uidvalidity = folder->status.uidvalidity;
	folder->record.permanent = folder->permanent;
	folder->record.permanent_keywords = folder->permanent_keywords;
	folder->record.read_only = folder->read_only;
	state_put_folder(account->workers[0].batch, &folder->record);
	account->committed = true;
}

static int save_folder(struct account *account, struct sync_folder *folder, struct error *err)
{
	put_folder(account, folder);
	return state_commit(account->workers[0].batch, account->keywords, err);
}

/* It stays as it was, or that ends the run. */
static int leave_as_it_was(struct account *account, struct sync_folder *folder, struct error *err)
{
	if (!error_is_local_to_folder(err))
		return -1;
	if (folder->base != NULL) {
		folder->record.name = folder->base->name;
		folder->record.wire = folder->base->wire;
		folder->record.path = folder->base->path;
	}
	folder_fail(account, folder, err);
	return 0;
}

/* What is made anew is recorded as such first: killed in between, an empty directory would look like one
 * that was emptied. */
static int make_local(struct account *account, struct sync_folder *folder, struct error *err)
{
	if (folder->record.remaking && save_folder(account, folder, err) != 0)
		return -1;
	if (maildir_create(account->maildir, folder->plan.path, err) != 0)
		return -1;
	if (folder->plan.place != NO_INDEX) /* what it may hold already was not looked at */
		folder->incomplete = true;
	tell_change(account, CHANGE_FOLDER_CREATE_LOCAL, folder, 0, NULL, NULL);
	return save_folder(account, folder, err);
}

/* ---- on the server: many of them in a few turns ---- */

struct making {
	struct account *account;
	struct sync_folder *folders[AHEAD];
	struct imap_creation creations[AHEAD];
	size_t n;
};

static void note_made(struct account *account, struct sync_folder *folder,
		      const struct imap_selected *selected)
{
	folder->status = selected->status;
	if (folder->status.uidnext == 0)
		folder->status.uidnext = 1;
	folder->permanent = selected->permanent;
	folder->permanent_keywords = selected->permanent_keywords;
	folder->read_only = selected->read_only;
	if (folder->plan.base != NO_INDEX)
		folder->void_uids = true;
	tell_change(account, CHANGE_FOLDER_CREATE_REMOTE, folder, 0, NULL, NULL);
	put_folder(account, folder);
}

/* Nothing is fetched: what SELECT tells is all that is asked for. */
static int begin_select(struct account *account, struct sync_folder *folder, bool *begun,
			struct error *err)
{
	struct imap_conn *conn = account->workers[0].conn;

	*begun = imap_fetch_begin(conn, folder->plan.wire, false, NULL, 0, SECTION_NONE, err) == 0;
	return *begun || err->kind == ERROR_REFUSED ? 0 : -1;
}

static int finish_select(struct account *account, struct sync_folder *folder, bool begun,
			 struct error *err)
{
	static const struct imap_body_sink nothing;
	struct imap_conn *conn = account->workers[0].conn;
	struct imap_selected selected;
	int result = begun ? imap_fetch_finish(conn, &selected, &nothing, err)
			   : imap_select(conn, folder->plan.wire, false, &selected, err);

	if (result != 0)
		return leave_as_it_was(account, folder, err);
	note_made(account, folder, &selected);
	return 0;
}

/* Those whose SELECT went out with the others, or those that are left. */
static int finish_selects(struct making *making, const bool *begun, bool which, struct error *err)
{
	for (size_t i = 0; i < making->n; i++) {
		if (making->creations[i].made && begun[i] == which &&
		    finish_select(making->account, making->folders[i], which, err) != 0)
			return -1;
	}
	return 0;
}

static int select_made(struct making *making, struct error *err)
{
	bool begun[AHEAD] = {false};

	for (size_t i = 0; i < making->n; i++) {
		if (making->creations[i].made &&
		    begin_select(making->account, making->folders[i], &begun[i], err) != 0)
			return -1;
	}
	if (finish_selects(making, begun, true, err) != 0)
		return -1;
	return finish_selects(making, begun, false, err);
}

static int make_remote(struct making *making, struct error *err)
{
	struct account *account = making->account;
	int result = 0;

	if (making->n == 0)
		return 0;
	for (size_t i = 0; i < making->n; i++)
		making->creations[i].mailbox = making->folders[i]->plan.wire;
	if (imap_create(account->workers[0].conn, making->creations, making->n, err) != 0)
		return -1;
	for (size_t i = 0; i < making->n && result == 0; i++) {
		if (!making->creations[i].made)
			result = leave_as_it_was(account, making->folders[i],
						 &making->creations[i].err);
	}
	if (result == 0)
		result = select_made(making, err);
	making->n = 0;
	return result == 0 ? state_commit(account->workers[0].batch, account->keywords, err) : -1;
}

/* ---- one by one ---- */

/* Renaming a parent renames its children too: then the new name is there already. */
static int rename_remote(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct imap_conn *conn = account->workers[0].conn;
	struct error ignored;

	if (imap_unselect(conn, err) != 0)
		return -1;
	if (imap_rename(conn, folder->wire_now, folder->plan.wire, err) != 0 &&
	    (!error_is_local_to_folder(err) || imap_exists(conn, folder->plan.wire, &ignored) != 1))
		return -1;
	folder->wire_now = folder->plan.wire;
	tell_rename(account, CHANGE_FOLDER_RENAME_REMOTE, folder);
	return save_folder(account, folder, err);
}

static int rename_local(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct stamp stamps[STAMP_COUNT];
	struct error ignored;

	folder_close_dir(folder);
	if (maildir_rename(account->maildir, folder->path_now, folder->plan.path, err) != 0 &&
	    maildir_stamps(account->maildir, folder->plan.path, stamps, &ignored) != 0)
		return -1;
	folder->path_now = folder->plan.path;
	tell_rename(account, CHANGE_FOLDER_RENAME_LOCAL, folder);
	return save_folder(account, folder, err);
}

static int make(struct account *account, struct sync_folder *folder, struct error *err)
{
	switch (folder->plan.verb) {
	case FOLDER_CREATE_LOCAL: return make_local(account, folder, err);
	case FOLDER_RENAME_LOCAL: return rename_local(account, folder, err);
	case FOLDER_RENAME_REMOTE: return rename_remote(account, folder, err);
	case FOLDER_SYNC:
		return folder->record.id == 0 || folder->record.uidvalidity == 0
			       ? save_folder(account, folder, err)
			       : 0;
	case FOLDER_CREATE_REMOTE: /* make_remote, together with others */
	case FOLDER_DELETE_LOCAL:
	case FOLDER_DELETE_REMOTE:
	case FOLDER_FORGET:
	case FOLDER_IGNORE:
	case FOLDER_BAD: break;
	}
	return 0;
}

/* Those that are to be made on the server wait for each other, but not past a rename there. */
static int make_next(struct making *making, struct sync_folder *folder, struct error *err)
{
	if (folder->plan.verb == FOLDER_CREATE_REMOTE) {
		making->folders[making->n++] = folder;
		return making->n == AHEAD ? make_remote(making, err) : 0;
	}
	if (folder->plan.verb == FOLDER_RENAME_REMOTE && make_remote(making, err) != 0)
		return -1;
	return make(making->account, folder, err) == 0
		       ? 0
		       : leave_as_it_was(making->account, folder, err);
}

int tree_make(struct account *account, struct error *err)
{
	struct making making = {.account = account};

	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		if (folder->named && !folder->failed && make_next(&making, folder, err) != 0)
			return -1;
	}
	return make_remote(&making, err);
}
