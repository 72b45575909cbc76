/* Servers without UIDPLUS do not say which UIDs an APPEND, COPY or MOVE made. Right after it the mailbox is
 * asked what is new there, and the match finds in it what was sent: as a later run would, if this one were
 * killed now. */
#include "sync/account.h"

#include <stdlib.h>

struct appended {
	struct sync_folder look; /* of what is new in the mailbox, and nothing else */
	uint32_t from;
	uint32_t next;
};

static void see_message(void *ctx, uint32_t uid, struct flags flags)
{
	struct appended *appended = ctx;

	if (uid >= appended->from)
		snapshot_remote_message(&appended->look.snapshot, uid, flags);
	if (uid >= appended->next)
		appended->next = uid + 1;
}

static void see_vanished(void *ctx, uint32_t first, uint32_t last)
{
	(void)ctx;
	(void)first;
	(void)last;
}

/* A command of its own, because a server need not tell a selected mailbox what is new. */
static int see_new(struct worker *worker, struct appended *appended, struct error *err)
{
	struct imap_view_sink sink = {appended, see_message, see_vanished, NULL};
	struct imap_view_request request = {.full = true};
	struct imap_view view;

	snapshot_remote_begin(&appended->look.snapshot);
	if (imap_unselect(worker->conn, err) != 0 ||
	    imap_view(worker->conn, appended->look.wire_now, false, &request, &sink, &view, err) !=
		    0)
		return -1;
	snapshot_remote_end(&appended->look.snapshot, LISTING_FULL, false, 0);
	if (check_selected(&appended->look, &view.selected, err) != 0)
		return -1;
	return appended->look.snapshot.n_arrivals == 0 ? 0
						       : facts_fetch(worker, &appended->look, err);
}

static int match(struct worker *worker, struct world *world, struct appended *appended,
		 const struct attempt *attempts, size_t n, struct attempt_result *results,
		 struct error *err)
{
	if (match_wants_attempt_headers(world, attempts, n) &&
	    headers_fetch(worker, &appended->look, err) != 0)
		return -1;
	if (match_wants_attempt_bodies(world, attempts, n) &&
	    bodies_fetch(worker, &appended->look, err) != 0)
		return -1;
	match_attempts(world, attempts, n, results);
	return 0;
}

static void name(struct stored *stored, const struct snapshot *snapshot,
		 const struct attempt_result *result)
{
	if (result->remote.folder == NOWHERE)
		return;
	stored->uid = snapshot->arrivals[result->remote.at].uid;
	stored->flags = snapshot->arrivals[result->remote.at].flags;
}

int find_appended(struct worker *worker, struct sync_folder *folder, const struct attempt *attempts,
		  size_t n, struct stored **stored, struct error *err)
{
	uint32_t from = folder->unseen != 0 ? folder->unseen : folder->status.uidnext;
	struct appended appended = {.from = from, .next = from};
	struct snapshot *snapshot = &appended.look.snapshot;
	struct attempt_result *results = xmalloc(n * sizeof(*results));
	struct world_folder home = {
		.snapshot = snapshot,
		.id = folder->record.id,
		.uidvalidity = folder->status.uidvalidity,
		.on_server = true,
	};
	struct world world = {.folders = &home, .n = 1, .dates = DATES_FRESH};
	int result;

	appended.look.wire_now = folder->wire_now;
	appended.look.status = folder->status;
	snapshot_init(snapshot);
	result = see_new(worker, &appended, err);
	if (result == 0)
		result = match(worker, &world, &appended, attempts, n, results, err);
	for (size_t i = 0; i < n && result == 0; i++)
		name(stored[i], snapshot, &results[i]);
	if (result == 0)
		folder->unseen = appended.next;
	snapshot_release(snapshot);
	free(results);
	return result;
}
