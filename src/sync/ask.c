/* What a worker asks of the mailbox of one folder. UIDs mean something only together with UIDVALIDITY, so
 * nothing that a mailbox tells counts before it was seen to be the one that this run looked at. */
#include "sync/account.h"

int check_selected(const struct sync_folder *folder, const struct imap_selected *selected,
		   struct error *err)
{
	if (selected->status.uidvalidity == folder->status.uidvalidity)
		return 0;
	return error_set(err, ERROR_CHANGED,
			 "the mailbox was made anew on the server just now; the next run looks "
			 "at it");
}

int worker_select(struct worker *worker, const struct sync_folder *folder, struct error *err)
{
	struct imap_selected selected;

	if (imap_select(worker->conn, folder->wire_now, is_examined(worker->account), &selected,
			err) != 0)
		return -1;
	return check_selected(folder, &selected, err);
}

void worker_select_next(struct worker *worker, const struct sync_folder *folder)
{
	imap_select_next(worker->conn, folder->wire_now, is_examined(worker->account));
}

struct facts_sink {
	const struct sync_folder *folder;
	const struct imap_selected *selected;
	imap_facts_fn *fn;
	void *ctx;
};

static void take_facts(void *ctx, const struct imap_facts *facts)
{
	struct facts_sink *sink = ctx;
	struct error err;

	if (check_selected(sink->folder, sink->selected, &err) == 0)
		sink->fn(sink->ctx, facts);
}

int worker_fetch_facts(struct worker *worker, const struct sync_folder *folder,
		       const uint32_t *uids, size_t n, imap_facts_fn *fn, void *ctx,
		       struct error *err)
{
	struct imap_selected selected;
	struct facts_sink sink = {folder, &selected, fn, ctx};
	struct imap_facts_request request = {
		.mailbox = folder->wire_now,
		.examine = is_examined(worker->account),
		.uids = uids,
		.n = n,
		.fn = take_facts,
		.ctx = &sink,
	};

	if (imap_fetch_facts(worker->conn, &request, &selected, err) != 0)
		return -1;
	return check_selected(folder, &selected, err);
}

/* ---- in a burst ---- */

int worker_fetch_begin(struct worker *worker, const struct sync_folder *folder,
		       const uint32_t *uids, size_t n, enum imap_section section, struct error *err)
{
	if (n == 0 || n > IMAP_MOST_BEGUN_UIDS)
		return 1;
	if (imap_fetch_begin(worker->conn, folder->wire_now, is_examined(worker->account), uids, n,
			     section, err) == 0)
		return 0;
	return err->kind == ERROR_REFUSED ? 1 : -1;
}

static int take_begun_facts(void *ctx, const struct imap_facts *facts, bool has_body)
{
	(void)has_body;
	take_facts(ctx, facts);
	return 0;
}

int worker_facts_finish(struct worker *worker, const struct sync_folder *folder, imap_facts_fn *fn,
			void *ctx, struct error *err)
{
	struct imap_selected selected;
	struct facts_sink facts = {folder, &selected, fn, ctx};
	struct imap_body_sink sink = {.ctx = &facts, .end = take_begun_facts};

	if (imap_fetch_finish(worker->conn, &selected, &sink, err) != 0)
		return -1;
	return check_selected(folder, &selected, err);
}
