/* The folders of both sides, for the command `folders`: looked at, and nothing changed. */
#include "sync/account.h"

#include <string.h>

static struct folder_line line_of(struct arena *arena, const struct folder_plan *plan,
				  const struct imap_mailbox *mailboxes,
				  const struct local_folder *local)
{
	struct folder_line line = {
		.name = arena_strdup(arena, plan->name),
		.chosen = plan->chosen,
		.reason = arena_strdup(arena, plan->reason),
	};

	if (plan->mailbox != NO_INDEX) {
		line.remote = arena_strdup(arena, mailboxes[plan->mailbox].wire);
		line.special = mailboxes[plan->mailbox].special;
	}
	if (plan->place != NO_INDEX)
		line.local = arena_strdup(arena, local[plan->place].path);
	return line;
}

static int look(struct account *account, struct arena *arena, struct folder_line **lines, size_t *n,
		struct error *err)
{
	const struct account_config *config = account->config;
	struct folders_input input = {
		.layout = config->layout,
		.patterns = (const char *const *)config->folders.strings,
		.n_patterns = config->folders.n,
		.delete_folders = config->delete_folders,
		.server_writable = config->mode == MODE_TWO_WAY,
		.keep_local = config->mode == MODE_ARCHIVE,
	};
	const struct disk *disk = &account->disk;
	struct imap_mailbox *remote;
	struct folder_plan *plans;

	if (imap_list(account->workers[0].conn, arena, false, &remote, &input.n_mailboxes, err) !=
	    0)
		return -1;
	input.base = disk->base;
	input.n_base = disk->n_base;
	input.ns = imap_namespace(account->workers[0].conn);
	input.mailboxes = tree_mailboxes(account, remote, input.n_mailboxes);
	input.places = tree_places(account, disk->places, disk->n_places);
	input.n_places = disk->n_places;
	plans = folders_plan(&input, arena, n);
	*lines = arena_alloc(arena, (*n + 1) * sizeof(**lines));
	for (size_t i = 0; i < *n; i++)
		(*lines)[i] = line_of(arena, &plans[i], remote, disk->places);
	return 0;
}

int sync_list_folders(const struct account_config *config, const char *password,
		      struct arena *arena, struct folder_line **lines, size_t *n, struct error *err)
{
	struct worker worker = {0};
	struct account account = {
		.config = config,
		.password = password,
		.lock_fd = -1,
		.sentinel_fd = -1,
		.workers = &worker,
		.n_workers = 1,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.arena = arena,
		.keywords = keyword_pool_new(),
	};
	struct error ignored;
	int result;

	worker.account = &account;
	if (state_open(&account.state, config->state, true, &ignored) != 0)
		account.state = NULL;
	if (maildir_open(&account.maildir, config->maildir, config->layout, false, &ignored) != 0)
		account.maildir = NULL;
	if (account.state != NULL)
		state_load_keywords(account.state, account.keywords, &ignored);
	result = worker_connect_first(&worker, disk_list, err);
	if (result == 0)
		result = look(&account, arena, lines, n, err);
	workers_close(&account);
	if (account.maildir != NULL)
		maildir_close(&account.maildir);
	if (account.state != NULL)
		state_close(&account.state);
	keyword_pool_free(&account.keywords);
	return result;
}
