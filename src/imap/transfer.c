/* Moving, copying and destroying messages of the selected mailbox.
 *
 * An OK alone proves nothing: behind the command, in the same write, the target's UIDNEXT is asked for, and
 * what a MOVE leaves behind is looked for unless the server tells that as many went.
 *
 * Destroying is done by UID and never touches what others marked: UID EXPUNGE of exactly ours, or,
 * where there is no UIDPLUS, a bare EXPUNGE only if every marked message is ours. What is gone is
 * taken from VANISHED or asked for, so that "gone" is the server's word and not our guess. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

/* ---- move and copy ---- */

struct transfer {
	struct imap_conn *conn;
	const uint32_t *uids;
	size_t n;
	uint32_t *targets;
	struct imap_copy_result *result;
	uint32_t own_uidvalidity; /* if the target is the selected mailbox itself; else 0 */
	bool ignored;             /* UIDPLUS is switched off: its server may lie */
	size_t vanished;          /* of ours */
	uint32_t exists;          /* in the mailbox, after the last answer */
	bool left;                /* another mailbox was selected along with it */
	bool distrusted;
	bool refused;
	struct reply refusal;
};

static void pair_up(struct transfer *work, const uint32_t *from, const uint32_t *to, size_t n)
{
	size_t at;

	for (size_t i = 0; i < n; i++) {
		if (uid_find(work->uids, work->n, from[i], &at))
			work->targets[at] = to[i];
	}
}

/* "uidvalidity from-set to-set" */
static bool read_copyuid(struct transfer *work, const struct line *args)
{
	const char *p = args->data, *end = p + args->len, *space;
	uint32_t *from, *to;
	uint64_t uidvalidity;
	size_t n_from = 0, n_to = 0;
	bool good;

	if (!scan_number(&p, end, UINT32_MAX, &uidvalidity) || uidvalidity == 0 || p == end ||
	    *p++ != ' ')
		return false;
	space = memchr(p, ' ', (size_t)(end - p));
	if (space == NULL)
		return false;
	if (work->own_uidvalidity != 0 && uidvalidity != work->own_uidvalidity)
		return false;
	if (work->result->uidvalidity != 0 && work->result->uidvalidity != uidvalidity)
		return false;
	from = xcalloc(work->n + 1, sizeof(*from));
	to = xcalloc(work->n + 1, sizeof(*to));
	good = uid_set_expand(p, (size_t)(space - p), from, work->n, &n_from) == 0 &&
	       uid_set_expand(space + 1, (size_t)(end - space - 1), to, work->n, &n_to) == 0 &&
	       n_from == n_to;
	if (good) {
		work->result->uidvalidity = (uint32_t)uidvalidity;
		pair_up(work, from, to, n_from);
	}
	free(from);
	free(to);
	return good;
}

static void take_copyuid(struct transfer *work, const struct status_text *status)
{
	if (strcmp(status->code, "COPYUID") != 0 || work->ignored)
		return;
	if (read_copyuid(work, &status->args))
		return;
	log_verbose("the server's COPYUID makes no sense");
	work->distrusted = true;
}

static void transfer_code(void *ctx, const struct status_text *status)
{
	take_copyuid(ctx, status);
}

static void transfer_vanished(void *ctx, uint32_t first, uint32_t last, bool earlier)
{
	struct transfer *work = ctx;
	size_t from, to;

	if (earlier)
		return;
	uid_find(work->uids, work->n, first, &from);
	to = uid_find(work->uids, work->n, last, &to) ? to + 1 : to;
	work->vanished += to > from ? to - from : 0;
}

static void transfer_status(void *ctx, const char *wire, const struct imap_status *status)
{
	struct transfer *work = ctx;

	(void)wire;
	work->result->uidnext = status->uidnext;
}

enum { STEP_TRANSFER, STEP_STATUS };

static void transfer_done(void *ctx, size_t index, const struct status_text *status)
{
	struct transfer *work = ctx;

	work->exists = work->conn->exists;
	if (index == STEP_STATUS)
		return;
	if (status->condition == CONDITION_OK) {
		take_copyuid(work, status);
		return;
	}
	if (!work->refused)
		reply_set(&work->refusal, status);
	work->refused = true;
	if (strcmp(status->code, "TRYCREATE") == 0)
		work->result->try_create = true;
}

#define TRANSFER_WINDOW 8

static int send_status(struct imap_conn *conn, const char *mailbox, struct error *err)
{
	command_begin(conn, "STATUS ");
	if (command_string(conn, mailbox, err) < 0)
		return -1;
	text_puts(&conn->out, " (UIDNEXT)");
	return command_send(conn, STEP_STATUS, 0, err);
}

static int send_transfer(struct imap_conn *conn, const char *verb, struct transfer *work,
			 const uint32_t *uids, size_t n, const char *mailbox, struct error *err)
{
	for (size_t done = 0; done < n;) {
		command_begin(conn, verb);
		done += command_uids(conn, uids + done, n - done, n);
		text_putc(&conn->out, ' ');
		if (command_string(conn, mailbox, err) < 0 ||
		    command_send(conn, STEP_TRANSFER, 0, err) < 0 ||
		    queue_wait(conn, TRANSFER_WINDOW, UINT64_MAX, err) < 0)
			return -1;
	}
	if (n != 0 && work->own_uidvalidity == 0 && send_status(conn, mailbox, err) < 0)
		return -1;
	if (selection_send_next(conn, &work->left, err) < 0)
		return -1;
	return queue_drain(conn, err);
}

/* As in messages.c: without UIDPLUS a UID that is not there may mean the last message. */
static int send_present(struct imap_conn *conn, const char *verb, struct transfer *work,
			const char *mailbox, struct error *err)
{
	uint32_t *present;
	size_t n = 0;
	int result;

	if ((conn->capabilities & CAP_UIDPLUS) != 0)
		return send_transfer(conn, verb, work, work->uids, work->n, mailbox, err);
	present = xcalloc(work->n + 1, sizeof(*present));
	result = messages_present(conn, work->uids, work->n, present, &n, err);
	if (result == 0)
		result = send_transfer(conn, verb, work, present, n, mailbox, err);
	free(present);
	return result;
}

static int transfer(struct imap_conn *conn, const char *verb, struct transfer *work,
		    const char *mailbox, struct error *err)
{
	struct operation operation = {.ctx = work,
				      .code = transfer_code,
				      .vanished = transfer_vanished,
				      .status = transfer_status,
				      .done = transfer_done};
	int result;

	memset(work->targets, 0, work->n * sizeof(*work->targets));
	memset(work->result, 0, sizeof(*work->result));
	if (operation_begin(conn, &operation, err) < 0)
		return -1;
	work->ignored = (conn->disabled & CAP_UIDPLUS) != 0;
	if (conn->selected != NULL && strcmp(conn->selected, mailbox) == 0)
		work->own_uidvalidity = conn->selection.status.uidvalidity;
	work->exists = conn->exists;
	result = send_present(conn, verb, work, mailbox, err);
	selection_forget_next(conn);
	operation_end(conn);
	if (work->distrusted) {
		memset(work->targets, 0, work->n * sizeof(*work->targets));
		work->result->uidvalidity = 0;
	}
	if (result == 0 && work->refused)
		return refused(err, verb, &work->refusal);
	return result;
}

static int find_stayed(struct imap_conn *conn, const struct transfer *work, struct error *err)
{
	uint32_t *present = xcalloc(work->n + 1, sizeof(*present));
	size_t n, at;
	int result = messages_present(conn, work->uids, work->n, present, &n, err);

	for (size_t i = 0; i < n && result == 0; i++) {
		if (uid_find(work->uids, work->n, present[i], &at))
			work->targets[at] = IMAP_STAYED;
	}
	free(present);
	return result;
}

/* Back to the mailbox that was left too early; if it is another one now, nobody can tell. */
static int return_to(struct imap_conn *conn, const char *mailbox, uint32_t uidvalidity,
		     struct error *err)
{
	struct imap_selected selected;

	if (imap_select(conn, mailbox, false, &selected, err) < 0)
		return -1;
	if (selected.status.uidvalidity != uidvalidity)
		return error_set(err, ERROR_CHANGED, "the mailbox was made anew on the server");
	return 0;
}

static int move(struct transfer *work, const char *source, const char *mailbox, struct error *err)
{
	struct imap_conn *conn = work->conn;
	uint32_t before = conn->exists, uidvalidity = conn->selection.status.uidvalidity;

	if (transfer(conn, "UID MOVE", work, mailbox, err) < 0)
		return -1;
	if (work->vanished >= work->n || work->exists + work->n <= before)
		return 0;
	if (work->left && return_to(conn, source, uidvalidity, err) < 0)
		return -1;
	return find_stayed(conn, work, err);
}

int imap_move(struct imap_conn *conn, const uint32_t *uids, size_t n, const char *mailbox,
	      uint32_t *targets, struct imap_copy_result *result, struct error *err)
{
	struct transfer work = {
		.conn = conn, .uids = uids, .n = n, .targets = targets, .result = result};
	char *source = xstrdup(conn->selected != NULL ? conn->selected : "");
	int moved = move(&work, source, mailbox, err);

	free(source);
	return moved;
}

int imap_copy(struct imap_conn *conn, const uint32_t *uids, size_t n, const char *mailbox,
	      uint32_t *targets, struct imap_copy_result *result, struct error *err)
{
	struct transfer work = {
		.conn = conn, .uids = uids, .n = n, .targets = targets, .result = result};

	return transfer(conn, "UID COPY", &work, mailbox, err);
}

/* ---- destroy ---- */

struct destroying {
	const uint32_t *uids;
	size_t n;
	bool *there;   /* not known to be gone */
	bool *found;   /* told by a search */
	bool stranger; /* SEARCH DELETED told of one that is not ours */
	bool refused;
	struct reply refusal;
};

static void destroy_search(void *ctx, uint32_t number)
{
	struct destroying *work = ctx;
	size_t at;

	if (uid_find(work->uids, work->n, number, &at))
		work->found[at] = true;
	else
		work->stranger = true;
}

static void destroy_vanished(void *ctx, uint32_t first, uint32_t last, bool earlier)
{
	struct destroying *work = ctx;
	size_t at;

	(void)earlier;
	uid_find(work->uids, work->n, first, &at);
	for (; at < work->n && work->uids[at] <= last; at++)
		work->there[at] = false;
}

static void destroy_done(void *ctx, size_t index, const struct status_text *status)
{
	struct destroying *work = ctx;

	(void)index;
	if (status->condition == CONDITION_OK || work->refused)
		return;
	work->refused = true;
	reply_set(&work->refusal, status);
}

static int send_set(struct imap_conn *conn, const char *verb, const uint32_t *uids, size_t n,
		    const char *rest, struct error *err)
{
	command_begin(conn, verb);
	command_uids(conn, uids, n, n);
	text_puts(&conn->out, rest);
	return command_send(conn, 0, 0, err);
}

static int mark(struct imap_conn *conn, const uint32_t *uids, size_t n, struct error *err)
{
	return send_set(conn, "UID STORE", uids, n, " +FLAGS.SILENT (\\Deleted)", err);
}

#define DESTROY_WINDOW 24

/* How many of the UIDs fit a line. */
static size_t chunk_of(struct imap_conn *conn, const uint32_t *uids, size_t n)
{
	text_clear(&conn->out);
	return command_uids(conn, uids, n, n);
}

static int run_search(struct imap_conn *conn, struct destroying *work, const char *criteria,
		      struct error *err)
{
	memset(work->found, 0, work->n * sizeof(*work->found));
	work->stranger = false;
	command_begin(conn, criteria);
	return command_run(conn, criteria, err);
}

static void keep_found(struct destroying *work)
{
	for (size_t i = 0; i < work->n && !work->refused; i++)
		work->there[i] = work->there[i] && work->found[i];
}

/* What VANISHED did not tell is asked for. Not in the same write: Dovecot searches before it has
 * expunged. */
static int look_again(struct imap_conn *conn, struct destroying *work, struct error *err)
{
	size_t chunk, left = 0;

	for (size_t i = 0; i < work->n; i++)
		left += work->there[i];
	if (left == 0 || work->refused)
		return 0;
	memset(work->found, 0, work->n * sizeof(*work->found));
	for (size_t done = 0; done < work->n; done += chunk) {
		chunk = chunk_of(conn, work->uids + done, work->n - done);
		if (send_set(conn, "UID SEARCH UID", work->uids + done, chunk, "", err) < 0)
			return -1;
	}
	if (queue_drain(conn, err) < 0)
		return -1;
	keep_found(work);
	return 0;
}

static int expunge_by_uid(struct imap_conn *conn, struct destroying *work, struct error *err)
{
	const uint32_t *uids = work->uids;
	size_t chunk;

	for (size_t done = 0; done < work->n; done += chunk) {
		chunk = chunk_of(conn, uids + done, work->n - done);
		if (mark(conn, uids + done, chunk, err) < 0 ||
		    send_set(conn, "UID EXPUNGE", uids + done, chunk, "", err) < 0 ||
		    queue_wait(conn, DESTROY_WINDOW, UINT64_MAX, err) < 0)
			return -1;
	}
	if (queue_drain(conn, err) < 0)
		return -1;
	return look_again(conn, work, err);
}

/* uids: those that are there. */
static int expunge_bare(struct imap_conn *conn, struct destroying *work, const uint32_t *uids,
			size_t n, struct error *err)
{
	size_t chunk;

	for (size_t done = 0; done < n; done += chunk) {
		chunk = chunk_of(conn, uids + done, n - done);
		if (mark(conn, uids + done, chunk, err) < 0)
			return -1;
	}
	if (queue_drain(conn, err) < 0)
		return -1;
	if (work->refused)
		return 0;
	if (run_search(conn, work, "UID SEARCH DELETED", err) < 0)
		return -1;
	if (work->stranger) {
		log_verbose("others have marked messages in this mailbox too: nothing is expunged");
	} else if (n != 0) {
		command_begin(conn, "EXPUNGE");
		if (command_run(conn, "EXPUNGE", err) < 0)
			return -1;
	}
	if (work->refused)
		return 0;
	if (run_search(conn, work, "UID SEARCH ALL", err) < 0) /* messages.c: no set is sent */
		return -1;
	keep_found(work);
	return 0;
}

static int destroy_carefully(struct imap_conn *conn, struct destroying *work, struct error *err)
{
	uint32_t *present = xcalloc(work->n + 1, sizeof(*present));
	size_t n = 0;
	int result;

	result = messages_present(conn, work->uids, work->n, present, &n, err);
	if (result == 0)
		result = expunge_bare(conn, work, present, n, err);
	free(present);
	return result;
}

int imap_destroy(struct imap_conn *conn, const uint32_t *uids, size_t n, imap_uid_fn *fn, void *ctx,
		 size_t *left, struct error *err)
{
	struct destroying work = {.uids = uids, .n = n};
	struct operation operation = {.ctx = &work,
				      .search = destroy_search,
				      .vanished = destroy_vanished,
				      .done = destroy_done};
	int result;

	*left = n;
	if (n == 0)
		return 0;
	if (operation_begin(conn, &operation, err) < 0)
		return -1;
	work.there = xcalloc(n, sizeof(*work.there));
	work.found = xcalloc(n, sizeof(*work.found));
	memset(work.there, 1, n * sizeof(*work.there));
	if ((conn->capabilities & CAP_UIDPLUS) != 0)
		result = expunge_by_uid(conn, &work, err);
	else
		result = destroy_carefully(conn, &work, err);
	operation_end(conn);
	if (result == 0 && work.refused)
		result = refused(err, "removing messages", &work.refusal);
	for (size_t i = 0; i < n; i++) { /* what is known to be gone is, however the call ended */
		if (work.there[i])
			continue;
		(*left)--;
		if (fn != NULL)
			fn(ctx, uids[i]);
	}
	free(work.there);
	free(work.found);
	return result;
}
