/* One sync run, as a story:
 *
 *   look at both sides and at the base; match what moved; decide about one message at a time; the
 *   plan is then data: the guard counts it, a dry run shows it, the executors pass over it.
 *
 * The order of the passes is the crash argument (DESIGN section 4). A file gets its name only after
 * its record is durable as `arriving`, a message is sent only after its attempt is: so whatever is
 * found by the next run is recognised. Downloads run before uploads, so that a new message is
 * compared with what is here before anything is sent. Deletions run last, when every other change of
 * every folder is recorded, so a moved message has its new copy before the old one goes. What a
 * folder looked like is committed only after all that: a run killed earlier leaves the old look, and
 * the next run sees again what there is to do. There is no journal. */
#include "sync/account.h"

#include <string.h>

#include "base/log.h"

static int look_and_plan(struct account *account, struct error *err)
{
	if (tree_look(account, err) != 0 || look_all(account, err) != 0)
		return -1;
	if (recover(account, err) != 0 || match_all(account, err) != 0)
		return -1;
	return plan_all(account, err);
}

static int execute(struct account *account, struct error *err)
{
	static int (*const passes[])(struct account *, struct error *) = {
		account_begin_writing,
		tree_make,
		rekey_all,
		pair_all,
		download_all,
		move_local_all,
		move_remote_all,
		upload_all,
		flag_all,
		forget_all,
		/* from here on, things are destroyed */
		remove_all,
		tree_remove,
		finish_all,
		account_note_full_check,
	};

	for (size_t i = 0; i < ARRAY_SIZE(passes); i++) {
		if (passes[i](account, err) != 0)
			return -1;
	}
	return 0;
}

static int run(struct account *account, struct error *err)
{
	if (account_open(account, err) != 0)
		return -1;
	if (worker_connect_first(&account->workers[0], disk_look, err) != 0)
		return -1;
	if (look_and_plan(account, err) != 0)
		return -1;
	if (account->options->dry_run) {
		tell_plan(account);
		return 0;
	}
	return execute(account, err);
}

int sync_account(const struct account_config *config, const char *password,
		 const struct sync_options *options, const struct sync_report *report,
		 struct sync_summary *summary, struct error *err)
{
	struct account account = {
		.config = config,
		.password = password,
		.options = options,
		.report = report,
		.summary = summary,
		.lock_fd = -1,
		.sentinel_fd = -1,
		.trash = NO_FOLDER,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
	};
	int result;

	memset(summary, 0, sizeof(*summary));
	result = run(&account, err);
	tell_rules(&account);
	workers_close(&account);
	if (account.committed && !options->dry_run) {
		struct error late;

		if (account_raise_epoch(&account, &late) != 0 && result == 0) {
			*err = late;
			result = -1;
		}
	}
	summary->bytes_in = account.traffic.bytes_in;
	summary->bytes_out = account.traffic.bytes_out;
	summary->round_trips = account.traffic.round_trips;
	account_close(&account);
	return result;
}
