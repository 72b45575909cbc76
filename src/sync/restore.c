/* Servers may drop flags of APPEND and COPY (GNU Mailutils does). They are set directly afterwards: if that
 * waited for the next run, another device could take the message for one that was never read. */
#include "sync/account.h"

#include <stdlib.h>

struct restoring {
	struct keyword_pool *keywords;
	struct stored **lacking; /* ascending UIDs */
	size_t n;
	uint32_t *uids; /* of those that lack the same */
};

static struct flags lacks(const struct restoring *r, const struct stored *stored)
{
	return flags_minus(r->keywords, stored->wanted, stored->flags);
}

static int compare_stored(const void *a, const void *b)
{
	const struct stored *x = *(struct stored *const *)a, *y = *(struct stored *const *)b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void collect_lacking(struct restoring *r, struct stored **list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i]->uid != 0 && !flags_empty(lacks(r, list[i])))
			r->lacking[r->n++] = list[i];
	}
	if (r->n != 0)
		qsort(r->lacking, r->n, sizeof(struct stored *), compare_stored);
}

static void restored(void *ctx, uint32_t uid, struct flags flags)
{
	struct restoring *r = ctx;

	for (size_t i = 0; i < r->n; i++) {
		if (r->lacking[i]->uid == uid)
			r->lacking[i]->flags = flags;
	}
}

/* One command for all that lack the same as the first; they leave the list. */
static int restore_alike(struct worker *worker, struct restoring *r, struct error *err)
{
	struct flags flags = lacks(r, r->lacking[0]);
	struct stored **left = xcalloc(r->n, sizeof(struct stored *));
	size_t n = 0, n_left = 0;
	int result;

	for (size_t i = 0; i < r->n; i++) {
		if (flags_equal(lacks(r, r->lacking[i]), flags))
			r->uids[n++] = r->lacking[i]->uid;
		else
			left[n_left++] = r->lacking[i];
	}
	result = imap_store(worker->conn, r->uids, n, true, flags, restored, r, err);
	free(r->lacking);
	r->lacking = left;
	r->n = n_left;
	return result != 0 && error_is_local_to_folder(err) ? 0 : result;
}

int restore_flags(struct worker *worker, struct sync_folder *folder, struct stored **stored,
		  size_t n, struct error *err)
{
	struct restoring r = {.keywords = worker->account->keywords};
	int result = 0;

	r.lacking = xcalloc(n + 1, sizeof(struct stored *));
	r.uids = xcalloc(n + 1, sizeof(*r.uids));
	collect_lacking(&r, stored, n);
	if (r.n != 0)
		result = worker_select(worker, folder, err);
	while (result == 0 && r.n != 0)
		result = restore_alike(worker, &r, err);
	free(r.lacking);
	free(r.uids);
	return result;
}
