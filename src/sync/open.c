/* Opening an account: the lock, the base, the root, and whether they belong together.
 *
 * The sentinel in the Maildir root and the base name each other by a uuid and count the same epoch. A
 * root without it is perhaps an unmounted disk: stop before anything could be derived from it. An epoch
 * that is off tells that one of the two came back from a backup: then both sides are paired again and
 * nothing is deleted in that run. */
#include "sync/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

static void account_identity(const struct account_config *config, char *out, size_t size)
{
	snprintf(out, size, "%s@%s", config->user != NULL ? config->user : "",
		 config->host != NULL ? config->host : "tunnel");
}

static int open_state(struct account *account, struct error *err)
{
	const char *dir = account->config->state;

	account->lock_fd = state_lock(dir, account->options->wait, err);
	if (account->lock_fd < 0)
		return -1;
	if (state_open(&account->state, dir, false, err) != 0) {
		if (err->kind != ERROR_CORRUPT || account->options->dry_run)
			return -1;
		log_verbose("the state is damaged (%s): set aside, everything is paired again",
			    err->text);
		if (state_set_aside(dir, err) != 0 ||
		    state_open(&account->state, dir, false, err) != 0)
			return -1;
	}
	if (state_load_keywords(account->state, account->keywords, err) != 0)
		return -1;
	return state_get_meta(account->state, &account->meta, err);
}

static int open_root(struct account *account, struct error *err)
{
	const struct account_config *config = account->config;
	bool create = account->fresh && !account->options->dry_run;

	if (maildir_open(&account->maildir, config->maildir, config->layout, create, err) == 0)
		return 0;
	if (err->kind != ERROR_NOT_FOUND)
		return -1;
	if (account->fresh) /* a dry run before the first sync */
		return 0;
	return error_set(
		err, ERROR_LOCAL,
		"the Maildir root %s is missing: is its disk mounted? If you removed it on "
		"purpose, remove %s too: all mail is then fetched again",
		config->maildir, config->state);
}

/* path: of the other root's sentinel. */
static void refuse_overlap(struct account *account, const char *identity, char *path,
			   struct error *err)
{
	struct sentinel sentinel = {.account = "another account"};
	struct maildir *root = NULL;
	struct error ignored;
	char *slash = strrchr(path, '/');

	if (slash != NULL)
		*slash = '\0';
	if (maildir_open(&root, path, account->config->layout, false, &ignored) == 0) {
		sentinel_read(root, &sentinel, &ignored);
		maildir_close(&root);
	}
	error_set(err, ERROR_CONFIG,
		  "the Maildir root %s of %s is inside or around %s, the root of %s",
		  account->config->maildir, identity, path, sentinel.account);
}

static int check_fresh(struct account *account, const char *identity, struct error *err)
{
	struct sentinel sentinel;
	char *other = NULL;

	if (sentinel_read(account->maildir, &sentinel, err) == 0) {
		if (strcmp(sentinel.account, identity) != 0)
			return error_set(
				err, ERROR_CONFIG,
				"the Maildir root %s belongs to account %s, not to %s: give "
				"each account a root of its own",
				account->config->maildir, sentinel.account, identity);
		log_verbose("the state of this root is lost: both sides are paired again");
		memcpy(account->meta.uuid, sentinel.uuid, sizeof(account->meta.uuid));
		account->meta.epoch = sentinel.epoch;
		account->meta.full_check = (int64_t)time(NULL);
		account->repair = true;
		note_rule(account, RULES_REPAIR, 1);
		return 0;
	}
	if (err->kind != ERROR_NOT_FOUND)
		return -1;
	switch (sentinel_find_other(account->maildir, &other, err)) {
	case 0: return 0;
	case 1:
		refuse_overlap(account, identity, other, err);
		free(other);
		return -1;
	default: return -1;
	}
}

static int refuse_foreign(const struct account *account, const char *identity,
			  const struct sentinel *sentinel, struct error *err)
{
	if (strcmp(sentinel->account, identity) != 0)
		return error_set(err, ERROR_LOCAL,
				 "%s is the Maildir root of another account (%s, this is %s): is "
				 "the right disk mounted? Each account needs a root of its own",
				 account->config->maildir, sentinel->account, identity);
	return error_set(err, ERROR_LOCAL,
			 "%s is a Maildir root of this account, but not the one that was synced: "
			 "if that is right, remove %s: both sides are then paired again",
			 account->config->maildir, account->config->state);
}

static int check_known(struct account *account, const char *identity, struct error *err)
{
	struct sentinel sentinel;

	if (sentinel_read(account->maildir, &sentinel, err) != 0) {
		if (err->kind != ERROR_NOT_FOUND)
			return -1;
		return error_set(
			err, ERROR_LOCAL,
			"%s is not the Maildir root that was synced (no .mailtwin in it): is "
			"its disk mounted? If you emptied it on purpose, remove %s too: all "
			"mail is then fetched again",
			account->config->maildir, account->config->state);
	}
	if (strcmp(sentinel.uuid, account->meta.uuid) != 0)
		return refuse_foreign(account, identity, &sentinel, err);
	if (sentinel.epoch != account->meta.epoch && sentinel.epoch + 1 != account->meta.epoch) {
		bool old_state = sentinel.epoch > account->meta.epoch;

		log_verbose("%s came back from a backup: both sides are paired again",
			    old_state ? "the state" : "the Maildir");
		account->repair = true;
		note_rule(account, RULES_REPAIR, old_state ? 2 : 3);
		if (old_state)
			account->meta.epoch = sentinel.epoch;
	}
	return 0;
}

static int check_root(struct account *account, struct error *err)
{
	char identity[sizeof(account->meta.server)];

	account_identity(account->config, identity, sizeof(identity));
	if (account->maildir == NULL)
		return 0;
	if (account->fresh ? check_fresh(account, identity, err) != 0
			   : check_known(account, identity, err) != 0)
		return -1;
	if (account->meta.uuid[0] == '\0')
		return 0;
	account->sentinel_fd = sentinel_lock(account->maildir, err);
	return account->sentinel_fd < 0 ? -1 : 0;
}

/* Once a week, on a day of its own for each account, everything is compared without shortcuts: what a
 * server's lie or a missed change hid comes to light. */
static bool full_check_is_due(const struct account *account)
{
	const int64_t day = 86400;
	int64_t spread = 0;

	for (const char *p = account->meta.uuid; *p != '\0'; p++)
		spread = (spread * 31 + *p) % day;
	return !account->fresh && time(NULL) - account->meta.full_check > 7 * day - spread;
}

int account_open(struct account *account, struct error *err)
{
	account->arena = arena_new();
	account->keywords = keyword_pool_new();
	account->n_workers = account->config->connections != 0 ? account->config->connections : 1;
	account->workers = xcalloc(account->n_workers, sizeof(*account->workers));
	for (unsigned i = 0; i < account->n_workers; i++)
		account->workers[i].account = account;
	if (open_state(account, err) != 0)
		return -1;
	account->fresh = account->meta.uuid[0] == '\0';
	account->full = account->options->full || full_check_is_due(account);
	for (unsigned i = 0; i < account->n_workers; i++)
		account->workers[i].batch = state_batch_new(account->state);
	if (open_root(account, err) != 0)
		return -1;
	return check_root(account, err);
}

void folder_release(struct sync_folder *folder)
{
	folder_close_dir(folder);
	if (folder->snapshot.arena != NULL)
		snapshot_release(&folder->snapshot);
	index_release(&folder->names);
	free(folder->second_names);
	free(folder->actions);
}

void account_close(struct account *account)
{
	for (size_t i = 0; i < account->n_folders; i++)
		folder_release(&account->folders[i]);
	disk_release(account);
	index_release(&account->attempt_names);
	world_release(&account->world);
	for (unsigned i = 0; account->workers != NULL && i < account->n_workers; i++)
		state_batch_free(&account->workers[i].batch);
	free(account->workers);
	if (account->maildir != NULL)
		maildir_close(&account->maildir);
	if (account->state != NULL)
		state_close(&account->state);
	if (account->sentinel_fd >= 0)
		close(account->sentinel_fd);
	if (account->lock_fd >= 0)
		close(account->lock_fd);
	keyword_pool_free(&account->keywords);
	arena_free(&account->arena);
}

static int new_uuid(char out[37], struct error *err)
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return error_errno(err, ERROR_LOCAL, "no random numbers");
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		 b[13], b[14], b[15]);
	return 0;
}

static int write_sentinel(struct account *account, struct error *err)
{
	struct sentinel sentinel = {.epoch = account->meta.epoch};

	memcpy(sentinel.uuid, account->meta.uuid, sizeof(sentinel.uuid));
	account_identity(account->config, sentinel.account, sizeof(sentinel.account));
	return sentinel_write(account->maildir, &sentinel, err);
}

static int commit_meta(struct account *account, struct error *err)
{
	struct state_batch *batch = account->workers[0].batch;

	account_identity(account->config, account->meta.server, sizeof(account->meta.server));
	state_put_meta(batch, &account->meta);
	return state_commit(batch, account->keywords, err);
}

/* This run may end before all folders are paired again, and those that follow must know. */
static int note_restored(struct account *account, struct error *err)
{
	struct state_batch *batch = account->workers[0].batch;

	for (size_t i = 0; i < account->n_folders; i++) {
		struct folder_record record;

		if (account->folders[i].base == NULL)
			continue;
		record = *account->folders[i].base;
		record.restoring = true;
		state_put_folder(batch, &record);
	}
	account->committed = true;
	return state_commit(batch, account->keywords, err);
}

/* True if it is not what was remembered. */
static bool remember_server(struct account *account)
{
	char now[IMAP_REMEMBERED];

	if (account->workers[0].conn == NULL)
		return false;
	imap_remember(account->workers[0].conn, now);
	if (strcmp(now, account->meta.capabilities) == 0)
		return false;
	memcpy(account->meta.capabilities, now, sizeof(now));
	return true;
}

/* The sentinel first: killed between the two, the next run finds a sentinel of this account and an
 * empty base, and pairs again; the other way round it would find no sentinel and refuse. */
int account_begin_writing(struct account *account, struct error *err)
{
	if (maildir_clean_removed(account->maildir, err) != 0)
		return -1;
	if (remember_server(account) && !account->fresh && commit_meta(account, err) != 0)
		return -1;
	if (!account->fresh)
		return account->repair ? note_restored(account, err) : 0;
	if (account->meta.uuid[0] == '\0') {
		if (new_uuid(account->meta.uuid, err) != 0)
			return -1;
		account->meta.epoch = 1;
		account->meta.full_check = (int64_t)time(NULL);
		if (write_sentinel(account, err) != 0)
			return -1;
		account->sentinel_fd = sentinel_lock(account->maildir, err);
		if (account->sentinel_fd < 0)
			return -1;
	}
	return commit_meta(account, err);
}

int account_note_full_check(struct account *account, struct error *err)
{
	if (!account->full || account->options->n_patterns != 0)
		return 0;
	account->meta.full_check = (int64_t)time(NULL);
	return commit_meta(account, err);
}

int account_raise_epoch(struct account *account, struct error *err)
{
	account->meta.epoch++;
	if (commit_meta(account, err) != 0)
		return -1;
	return write_sentinel(account, err);
}
