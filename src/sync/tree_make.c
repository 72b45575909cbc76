/* Folders that one side lacks are made there, and renamed as on the other side. */
#include "sync/account.h"

static int save_folder(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct state_batch *batch = account->workers[0].batch;

	if (folder->record.id == 0)
		folder->record.id = state_new_folder_id(account->state);
	if (!folder->void_uids) /* else rekey_all does, together with the records */
		folder->record.uidvalidity = folder->status.uidvalidity;
	folder->record.permanent = folder->permanent;
	folder->record.permanent_keywords = folder->permanent_keywords;
	folder->record.read_only = folder->read_only;
	state_put_folder(batch, &folder->record);
	account->committed = true;
	return state_commit(batch, account->keywords, err);
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

static int make_remote(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct imap_conn *conn = account->workers[0].conn;
	struct imap_selected selected;

	if (imap_create(conn, folder->plan.wire, err) != 0 ||
	    imap_select(conn, folder->plan.wire, false, &selected, err) != 0)
		return -1;
	folder->status = selected.status;
	if (folder->status.uidnext == 0)
		folder->status.uidnext = 1;
	folder->permanent = selected.permanent;
	folder->permanent_keywords = selected.permanent_keywords;
	folder->read_only = selected.read_only;
	if (folder->plan.base != NO_INDEX)
		folder->void_uids = true;
	tell_change(account, CHANGE_FOLDER_CREATE_REMOTE, folder, 0, NULL, NULL);
	return save_folder(account, folder, err);
}

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
	case FOLDER_CREATE_REMOTE: return make_remote(account, folder, err);
	case FOLDER_RENAME_LOCAL: return rename_local(account, folder, err);
	case FOLDER_RENAME_REMOTE: return rename_remote(account, folder, err);
	case FOLDER_SYNC:
		return folder->record.id == 0 || folder->record.uidvalidity == 0
			       ? save_folder(account, folder, err)
			       : 0;
	case FOLDER_DELETE_LOCAL:
	case FOLDER_DELETE_REMOTE:
	case FOLDER_FORGET:
	case FOLDER_IGNORE:
	case FOLDER_BAD: break;
	}
	return 0;
}

int tree_make(struct account *account, struct error *err)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		if (!folder->named || folder->failed || make(account, folder, err) == 0)
			continue;
		if (!error_is_local_to_folder(err))
			return -1;
		folder->failed = true;
		folder->incomplete = true;
		if (folder->base != NULL) {
			folder->record.name = folder->base->name;
			folder->record.wire = folder->base->wire;
			folder->record.path = folder->base->path;
		}
		tell_error(account, folder, err);
	}
	return 0;
}
