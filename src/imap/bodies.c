/* Whole messages: asked for in chunks, streamed to a sink.
 *
 * A FETCH is cut into commands of a few hundred messages, with some under way at all times: the
 * server never waits for us, and a call that has to end early has little left to skip. Small
 * fetches from several mailboxes may also go out in one burst, each behind its own SELECT; those
 * of facts and headers too, which are of the same form. */
#include "imap/imap_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define FETCH_WINDOW 4 /* commands under way */
#define BODIES_CHUNK 256
#define FACTS_CHUNK 2000

enum { INDEX_FETCH, INDEX_SELECT };

struct bodies_fetch {
	struct imap_conn *conn;
	const uint32_t *uids;
	size_t n;
	enum imap_section section;
	char *mailbox; /* of one that was begun */
	uint32_t *copy;
	struct selecting select;
	struct imap_selected *selected;
	bool closed; /* the mailbox is not selected: what comes is of another */
	const struct imap_body_sink *sink;
	bool failed;  /* a callback said so: the rest is read and dropped */
	bool begun;   /* of the response that comes now */
	bool foreign; /* it is of a message that was not asked for */
	struct reply refusal;
	bool refused;
};

static void body_begin(void *ctx, uint32_t uid, uint64_t size)
{
	struct bodies_fetch *work = ctx;
	size_t at;

	work->foreign = work->closed || (uid != 0 && !uid_find(work->uids, work->n, uid, &at));
	if (work->failed || work->foreign)
		return;
	work->begun = true;
	if (work->sink->begin(work->sink->ctx, uid, size) != 0)
		work->failed = true;
}

static void body_data(void *ctx, const char *data, size_t len)
{
	struct bodies_fetch *work = ctx;

	if (!work->begun || work->failed)
		return;
	if (work->sink->data(work->sink->ctx, data, len) != 0)
		work->failed = true;
}

static void body_end(void *ctx, const struct fetch *fetch)
{
	struct bodies_fetch *work = ctx;
	struct imap_facts facts = fetch->facts;
	bool begun = work->begun;
	size_t at;

	work->begun = false;
	if (work->failed || work->closed || (!begun && (fetch->items & ITEM_BODY) != 0))
		return;
	if (!begun &&
	    ((fetch->items & ITEM_UID) == 0 || (fetch->items & (ITEM_SIZE | ITEM_DATE)) == 0))
		return; /* a change of flags told unasked */
	if (!uid_find(work->uids, work->n, facts.uid, &at)) {
		if (!begun)
			return;
		facts.uid = 0; /* a body came, but nobody knows whose */
	}
	if (work->sink->end(work->sink->ctx, &facts, begun) != 0)
		work->failed = true;
}

static void bodies_done(void *ctx, size_t index, const struct status_text *status)
{
	struct bodies_fetch *work = ctx;

	if (index == INDEX_SELECT) {
		selection_answer(&work->select, status);
		work->closed = !work->select.taken;
		if (work->select.taken && work->selected != NULL)
			*work->selected = work->conn->selection;
	} else if (status->condition != CONDITION_OK && !work->refused) {
		work->refused = true;
		reply_set(&work->refusal, status);
	}
}

static struct operation bodies_operation(struct bodies_fetch *work)
{
	struct operation operation = {.ctx = work,
				      .fetch = body_end,
				      .done = bodies_done,
				      .body_begin = body_begin,
				      .body_data = body_data};

	if (work->section == SECTION_NONE)
		operation.body_begin = NULL; /* none was asked for */
	return operation;
}

static size_t chunk_of(enum imap_section section)
{
	return section == SECTION_NONE ? FACTS_CHUNK : BODIES_CHUNK;
}

static const char *body_item(enum imap_section section)
{
	switch (section) {
	case SECTION_ALL: return " BODY.PEEK[]";
	case SECTION_HEADER: return " BODY.PEEK[HEADER]";
	case SECTION_NONE: break;
	}
	return "";
}

static size_t put_fetch(const struct bodies_fetch *work, size_t done)
{
	struct imap_conn *conn = work->conn;
	size_t put;

	command_begin(conn, "UID FETCH");
	put = command_uids(conn, work->uids + done, work->n - done, chunk_of(work->section));
	text_printf(&conn->out, " (UID FLAGS INTERNALDATE RFC822.SIZE%s%s)", id_item(conn),
		    body_item(work->section));
	return put;
}

/* window: commands that may be under way; SIZE_MAX: nothing is waited for. */
static int send_bodies(const struct bodies_fetch *work, size_t window, struct error *err)
{
	struct imap_conn *conn = work->conn;

	for (size_t done = 0; done < work->n && !work->failed;) {
		done += put_fetch(work, done);
		if (command_send(conn, INDEX_FETCH, 0, err) < 0 ||
		    queue_wait(conn, window, UINT64_MAX, err) < 0)
			return -1;
	}
	return 0;
}

static int judge(const struct bodies_fetch *work, struct error *err)
{
	if (work->failed)
		return error_set(err, ERROR_LOCAL, "a message could not be stored");
	if (work->refused)
		return refused(err, "fetching messages", &work->refusal);
	return 0;
}

int imap_fetch_bodies(struct imap_conn *conn, const uint32_t *uids, size_t n,
		      enum imap_section section, const struct imap_body_sink *sink,
		      struct error *err)
{
	struct bodies_fetch work = {
		.conn = conn, .uids = uids, .n = n, .section = section, .sink = sink};
	struct operation operation = bodies_operation(&work);
	int result;

	if (session_prepare(conn, n, err) < 0 || operation_begin(conn, &operation, err) < 0)
		return -1;
	result = send_bodies(&work, FETCH_WINDOW - 1, err);
	if (result == 0)
		result = queue_drain(conn, err);
	operation_end(conn);
	return result == 0 ? judge(&work, err) : -1;
}

/* ---- in a burst ---- */

static void work_free(void *ctx)
{
	struct bodies_fetch *work = ctx;

	free(work->mailbox);
	free(work->copy);
	free(work);
}

static struct bodies_fetch *work_new(struct imap_conn *conn, const char *mailbox, bool examine,
				     const uint32_t *uids, size_t n)
{
	struct bodies_fetch *work = xcalloc(1, sizeof(*work));

	work->conn = conn;
	work->mailbox = xstrdup(mailbox);
	work->copy = xcalloc(n + 1, sizeof(*uids));
	if (n != 0)
		memcpy(work->copy, uids, n * sizeof(*uids));
	work->uids = work->copy;
	work->n = n;
	work->closed = true;
	work->select.conn = conn;
	work->select.mailbox = work->mailbox;
	work->select.examine = examine;
	return work;
}

#define FETCH_OCTETS 100 /* of a UID FETCH without its set */

static size_t octets_of(struct imap_conn *conn, const char *mailbox, const uint32_t *uids, size_t n,
			enum imap_section section)
{
	size_t octets = 2 * strlen(mailbox) + FETCH_OCTETS;

	for (size_t done = 0; done < n;) {
		text_clear(&conn->out);
		done += command_uids(conn, uids + done, n - done, chunk_of(section));
		octets += conn->out.len + FETCH_OCTETS;
	}
	return octets;
}

static int send_all(struct bodies_fetch *work, struct error *err)
{
	struct imap_conn *conn = work->conn;

	if (selection_put_plain(conn, work->mailbox, work->select.examine, err) < 0 ||
	    command_send(conn, INDEX_SELECT, 0, err) < 0)
		return -1;
	return send_bodies(work, SIZE_MAX, err);
}

int imap_fetch_begin(struct imap_conn *conn, const char *mailbox, bool examine,
		     const uint32_t *uids, size_t n, enum imap_section section, struct error *err)
{
	struct bodies_fetch *work;
	size_t octets;

	if (n > IMAP_MOST_BEGUN_UIDS)
		return error_set(err, ERROR_REFUSED, "%zu messages are too many for a burst", n);
	if (session_prepare(conn, section == SECTION_NONE ? 0 : n, err) < 0)
		return -1;
	octets = octets_of(conn, mailbox, uids, n, section);
	if (burst_enter(conn, mailbox, octets, err) < 0)
		return -1;
	work = work_new(conn, mailbox, examine, uids, n);
	work->section = section;
	if (send_all(work, err) < 0) {
		work_free(work);
		return -1;
	}
	burst_add(conn, work, work_free, octets);
	return 0;
}

int imap_fetch_finish(struct imap_conn *conn, struct imap_selected *selected,
		      const struct imap_body_sink *sink, struct error *err)
{
	struct bodies_fetch *work = burst_oldest(conn, work_free, err);
	struct operation operation;
	int result;

	if (work == NULL)
		return -1;
	work->sink = sink;
	work->selected = selected;
	operation = bodies_operation(work);
	result = burst_read(conn, &operation, err);
	if (result == 0)
		result = work->select.taken ? judge(work, err)
					    : selection_refused(&work->select, err);
	burst_leave(conn);
	return result;
}
