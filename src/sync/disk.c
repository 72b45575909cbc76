/* The disk's side of the look, while the server's answer to the login is awaited: that takes some
 * milliseconds from a near server and some turns of the line from a far one.
 *
 * What changed on the server is not known yet, and which folders there are now neither. So only those are
 * looked at that the base knows, and of which nothing but an answer of the server could tell that they
 * are not to be synced as they are. The plan takes up what fits it; the rest is dropped. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

static int compare_paths(const void *path, const void *place)
{
	return strcmp(path, ((const struct local_folder *)place)->path);
}

static bool is_here(const struct disk *disk, const char *path)
{
	const struct local_folder *place = NULL;

	if (disk->n_places != 0)
		place = bsearch(path, disk->places, disk->n_places, sizeof(*disk->places),
				compare_paths);
	return place != NULL && place->kind == DIRECTORY_MAILDIR;
}

static bool is_worth_a_look(const struct account *account, const struct folder_record *record)
{
	const struct string_list *chosen = &account->config->folders;

	return record->last_sync != 0 && !record->remaking && !record->restoring &&
	       is_here(&account->disk, record->path) && folder_is_named(account, record->name) &&
	       patterns_match((const char *const *)chosen->strings, chosen->n, record->name, false);
}

int disk_list(void *ctx, struct error *err)
{
	struct account *account = ctx;
	struct disk *disk = &account->disk;

	if (account->maildir != NULL && maildir_list(account->maildir, account->arena,
						     &disk->places, &disk->n_places, err) != 0)
		return -1;
	if (account->state == NULL)
		return 0;
	return state_get_folders(account->state, account->arena, &disk->base, &disk->n_base, err);
}

static void look_at(struct account *account, struct sync_folder *folder,
		    const struct folder_record *record)
{
	if (!is_worth_a_look(account, record))
		return;
	folder->record = *record;
	folder->plan.verb = FOLDER_SYNC;
	folder->plan.name = record->name;
	folder->plan.path = folder->path_now = record->path;
	look_early(account, folder);
	if (folder->early == EARLY_NOTHING) {
		folder_release(folder);
		*folder = (struct sync_folder){0};
	}
}

int disk_look(void *ctx, struct error *err)
{
	struct account *account = ctx;
	struct disk *disk = &account->disk;

	if (disk_list(account, err) != 0)
		return -1;
	if (account->full || account->repair || account->maildir == NULL ||
	    !maildir_is_local(account->maildir))
		return 0;
	disk->early = arena_alloc(account->arena, disk->n_base * sizeof(*disk->early));
	disk->early_now = true;
	for (size_t i = 0; i < disk->n_base && !sync_is_stopping(); i++)
		look_at(account, &disk->early[i], &disk->base[i]);
	disk->early_now = false;
	return check_stop(err);
}

bool disk_take(struct account *account, const struct folder_plan *plan, enum special_use special,
	       struct sync_folder *folder)
{
	struct sync_folder *early;

	if (account->disk.early == NULL)
		return false;
	early = &account->disk.early[plan->base];
	if (early->early == EARLY_NOTHING || plan->verb != FOLDER_SYNC ||
	    strcmp(plan->path, early->path_now) != 0 || special != early->record.special)
		return false;
	*folder = *early;
	*early = (struct sync_folder){0};
	return true;
}

void disk_release(struct account *account)
{
	for (size_t i = 0; account->disk.early != NULL && i < account->disk.n_base; i++)
		folder_release(&account->disk.early[i]);
}
