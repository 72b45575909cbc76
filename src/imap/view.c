/* Selecting a mailbox, and learning what changed in it.
 *
 * The cheapest question that the server can answer completely is asked: with QRESYNC the SELECT
 * itself brings what changed and what is gone; with CONDSTORE what changed, so that removals show
 * only in the count; else every UID with its flags. The commands that follow a SELECT are sent with
 * it, in the hope that UIDVALIDITY is still the one remembered; if it is not, their answers are
 * thrown away and the whole mailbox is asked for.
 *
 * Deletions rest on a view, so it counts: every EXISTS, EXPUNGE and VANISHED that comes while it is
 * taken moves the count that the messages told must meet. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

enum step { STEP_SELECT, STEP_FETCH, STEP_PROBE };

struct viewing {
	struct imap_conn *conn;
	char *mailbox;
	struct selecting select;
	struct imap_view_request request;
	const struct imap_view_sink *sink;
	enum imap_view_kind kind;
	enum step step; /* of the command whose responses come now */
	bool in_burst;
	bool qresync; /* the SELECT itself asked for the delta */
	bool refused_fetch;
	bool dropped; /* something came before UIDVALIDITY was told, or it is another */
	bool gone;    /* vanished told something */
	struct reply fetch_reply;
	uint32_t told;
	uint32_t last; /* highest UID told in a full listing */
};

/* What the server tells is of the mailbox that is remembered. */
static bool is_same(const struct viewing *viewing)
{
	const struct imap_status *now = &viewing->conn->selection.status;

	return now->uidvalidity == viewing->request.uidvalidity;
}

static void tell(struct viewing *viewing, const struct fetch *fetch)
{
	viewing->told++;
	viewing->sink->message(viewing->sink->ctx, fetch->facts.uid, fetch->facts.flags);
}

static void take_probe(struct viewing *viewing, const struct fetch *fetch)
{
	if (viewing->request.n_probes != 0 && (fetch->items & ITEM_UID) != 0 &&
	    (fetch->items & (ITEM_SIZE | ITEM_DATE)) != 0 && is_same(viewing))
		viewing->sink->facts(viewing->sink->ctx, &fetch->facts);
}

static void view_fetch(void *ctx, const struct fetch *fetch)
{
	struct viewing *viewing = ctx;
	uint32_t uid = fetch->facts.uid;

	if (viewing->step == STEP_FETCH && !viewing->select.taken)
		return; /* of the mailbox that some servers keep after a refusal */
	take_probe(viewing, fetch);
	if ((fetch->items & (ITEM_UID | ITEM_FLAGS)) != (ITEM_UID | ITEM_FLAGS))
		return;
	if (viewing->kind == VIEW_FULL) {
		/* One that comes again is a change of the same moment: it is newer than the
		 * HIGHESTMODSEQ of this view and will be told by the next. */
		if (viewing->step == STEP_SELECT || uid <= viewing->last)
			return;
		viewing->last = uid;
		tell(viewing, fetch);
		return;
	}
	if (viewing->step == STEP_SELECT && !viewing->qresync)
		return;
	if (!is_same(viewing)) {
		viewing->dropped = true;
		return;
	}
	tell(viewing, fetch);
}

static void view_vanished(void *ctx, uint32_t first, uint32_t last, bool earlier)
{
	struct viewing *viewing = ctx;

	if (viewing->step == STEP_SELECT && !earlier)
		return; /* of the mailbox left */
	if (viewing->step == STEP_FETCH && !viewing->select.taken)
		return;
	if (viewing->kind != VIEW_FULL && !is_same(viewing)) {
		viewing->dropped = true;
		return;
	}
	viewing->gone = true;
	viewing->sink->vanished(viewing->sink->ctx, first, last);
}

static void view_done(void *ctx, size_t index, const struct status_text *status)
{
	struct viewing *viewing = ctx;

	if (index == STEP_SELECT) {
		selection_answer(&viewing->select, status);
		viewing->step = STEP_FETCH;
	} else if (index == STEP_FETCH && status->condition != CONDITION_OK) {
		viewing->refused_fetch = true;
		reply_set(&viewing->fetch_reply, status);
	}
}

static enum imap_view_kind choose(const struct imap_conn *conn,
				  const struct imap_view_request *request)
{
	if (request->full || request->uidvalidity == 0 || request->modseq == 0)
		return VIEW_FULL;
	if ((conn->capabilities & CAP_QRESYNC) != 0 && conn->enabled_qresync)
		return VIEW_DELTA;
	if ((conn->capabilities & CAP_CONDSTORE) != 0 && request->uidnext > 1)
		return VIEW_FLAGS;
	return VIEW_FULL;
}

static int send_select(struct viewing *viewing, struct error *err)
{
	struct imap_conn *conn = viewing->conn;

	if (selection_put(conn, viewing->mailbox, viewing->select.examine, err) < 0)
		return -1;
	if (viewing->kind == VIEW_DELTA)
		text_printf(&conn->out, " (QRESYNC (%" PRIu32 " %" PRIu64 "))",
			    viewing->request.uidvalidity, viewing->request.modseq);
	else if ((conn->capabilities & CAP_CONDSTORE) != 0)
		text_puts(&conn->out, " (CONDSTORE)");
	viewing->qresync = viewing->kind == VIEW_DELTA;
	if (!viewing->in_burst)
		selection_expect(conn);
	return command_send(conn, STEP_SELECT, 0, err);
}

static int send_all(struct imap_conn *conn, struct error *err)
{
	command_begin(conn, "UID FETCH 1:4294967295 (UID FLAGS)");
	return command_send(conn, STEP_FETCH, 0, err);
}

static int send_changed(struct viewing *viewing, struct error *err)
{
	struct imap_conn *conn = viewing->conn;

	command_begin(conn, "UID FETCH ");
	text_printf(&conn->out, "1:%" PRIu32 " (UID FLAGS) (CHANGEDSINCE %" PRIu64 ")",
		    viewing->request.uidnext - 1, viewing->request.modseq);
	if (command_send(conn, STEP_FETCH, 0, err) < 0)
		return -1;
	command_begin(conn, "UID FETCH ");
	text_printf(&conn->out, "%" PRIu32 ":4294967295 (UID FLAGS)", viewing->request.uidnext);
	return command_send(conn, STEP_FETCH, 0, err);
}

/* A refusal does no harm: then nothing is told of them. */
static int send_probes(struct viewing *viewing, struct error *err)
{
	const struct imap_view_request *request = &viewing->request;
	struct imap_conn *conn = viewing->conn;

	if (request->n_probes == 0)
		return 0;
	command_begin(conn, "UID FETCH");
	command_uids(conn, request->probes, request->n_probes, request->n_probes);
	text_printf(&conn->out, " (UID INTERNALDATE RFC822.SIZE%s)", id_item(conn));
	return command_send(conn, STEP_PROBE, 0, err);
}

static int send_view(struct viewing *viewing, struct error *err)
{
	int result = send_select(viewing, err);

	if (result == 0 && viewing->kind == VIEW_FULL)
		result = send_all(viewing->conn, err);
	if (result == 0 && viewing->kind == VIEW_FLAGS)
		result = send_changed(viewing, err);
	return result == 0 ? send_probes(viewing, err) : -1;
}

static int first_round(struct viewing *viewing, struct error *err)
{
	struct imap_conn *conn = viewing->conn;
	int result;

	viewing->kind = choose(conn, &viewing->request);
	viewing->step = STEP_SELECT;
	result = send_view(viewing, err);
	if (result == 0)
		result = queue_drain(conn, err);
	conn->selecting = false;
	return result;
}

/* QRESYNC in name only. */
static bool qresync_refused(const struct viewing *viewing)
{
	return viewing->qresync && !viewing->select.taken &&
	       viewing->select.reply.condition == CONDITION_BAD;
}

/* The shortcut led nowhere: another UIDVALIDITY, no or lower modification sequences, or a server
 * that announces what it refuses. */
static bool led_nowhere(const struct viewing *viewing)
{
	const struct imap_status *now = &viewing->conn->selection.status;

	if (viewing->kind == VIEW_FULL)
		return false;
	return !is_same(viewing) || viewing->dropped || viewing->refused_fetch ||
	       now->highestmodseq < viewing->request.modseq;
}

/* What was told cannot be taken back: then the view ends as incomplete. */
static bool needs_full(const struct viewing *viewing)
{
	return led_nowhere(viewing) && viewing->told == 0 && !viewing->gone;
}

static int second_round(struct viewing *viewing, struct error *err)
{
	struct imap_conn *conn = viewing->conn;

	log_verbose("%s: the whole list is needed", viewing->mailbox);
	viewing->kind = VIEW_FULL;
	viewing->step = STEP_FETCH;
	viewing->told = 0;
	viewing->refused_fetch = false;
	if (send_all(conn, err) < 0)
		return -1;
	return queue_drain(conn, err);
}

static int conclude(const struct viewing *viewing, struct imap_view *view, struct error *err)
{
	struct imap_conn *conn = viewing->conn;

	if (!viewing->select.taken)
		return selection_refused(&viewing->select, err);
	/* Some servers refuse to FETCH from an empty mailbox. */
	if (viewing->kind == VIEW_FULL && viewing->refused_fetch && conn->exists != 0)
		return refused(err, "listing the messages", &viewing->fetch_reply);
	memset(view, 0, sizeof(*view));
	view->selected = conn->selection;
	view->kind = viewing->kind;
	view->told = viewing->told;
	view->exists = conn->exists;
	if (viewing->kind == VIEW_FULL)
		view->complete = viewing->told == conn->exists;
	else
		view->complete = !led_nowhere(viewing);
	return 0;
}

static struct viewing *viewing_new(struct imap_conn *conn, const char *mailbox, bool examine,
				   const struct imap_view_request *request)
{
	struct viewing *viewing = xcalloc(1, sizeof(*viewing));

	viewing->conn = conn;
	viewing->mailbox = xstrdup(mailbox);
	viewing->select.conn = conn;
	viewing->select.mailbox = viewing->mailbox;
	viewing->select.examine = examine;
	viewing->request = *request;
	viewing->kind = choose(conn, request);
	return viewing;
}

static void viewing_free(void *ctx)
{
	struct viewing *viewing = ctx;

	free(viewing->mailbox);
	free(viewing);
}

static struct operation view_operation(struct viewing *viewing)
{
	struct operation operation = {
		.ctx = viewing, .fetch = view_fetch, .vanished = view_vanished, .done = view_done};

	return operation;
}

static int take_view(struct viewing *viewing, struct error *err)
{
	struct imap_conn *conn = viewing->conn;
	int result = first_round(viewing, err);

	if (result == 0 && qresync_refused(viewing)) {
		conn->capabilities &= ~(uint32_t)CAP_QRESYNC;
		result = first_round(viewing, err);
	}
	if (result == 0 && viewing->select.taken && needs_full(viewing))
		result = second_round(viewing, err);
	return result;
}

int imap_view(struct imap_conn *conn, const char *mailbox, bool examine,
	      const struct imap_view_request *request, const struct imap_view_sink *sink,
	      struct imap_view *view, struct error *err)
{
	struct operation operation;
	struct viewing *viewing;
	int result;

	if (operation_begin(conn, NULL, err) < 0)
		return -1;
	viewing = viewing_new(conn, mailbox, examine, request);
	viewing->sink = sink;
	operation = view_operation(viewing);
	conn->operation = &operation;
	result = take_view(viewing, err);
	operation_end(conn);
	if (result == 0)
		result = conclude(viewing, view, err);
	viewing_free(viewing);
	return result;
}

/* ---- in a burst ---- */

#define VIEW_OCTETS 300 /* of SELECT and three FETCH, without the name and the probes */
#define PROBE_OCTETS 11

int imap_view_begin(struct imap_conn *conn, const char *mailbox, bool examine,
		    const struct imap_view_request *request, struct error *err)
{
	size_t octets = 2 * strlen(mailbox) + VIEW_OCTETS + PROBE_OCTETS * request->n_probes;
	struct viewing *viewing;

	if (burst_enter(conn, mailbox, octets, err) < 0)
		return -1;
	viewing = viewing_new(conn, mailbox, examine, request);
	viewing->in_burst = true;
	if (send_view(viewing, err) < 0) {
		viewing_free(viewing);
		return -1;
	}
	burst_add(conn, viewing, viewing_free, octets);
	return 0;
}

/* Would imap_view ask again? */
static bool is_to_repeat(const struct viewing *viewing)
{
	return viewing->select.taken ? led_nowhere(viewing) : qresync_refused(viewing);
}

int imap_view_finish(struct imap_conn *conn, const struct imap_view_sink *sink,
		     struct imap_view *view, bool *again, struct error *err)
{
	struct viewing *viewing = burst_oldest(conn, viewing_free, err);
	struct operation operation = view_operation(viewing);
	int result;

	*again = false;
	if (viewing == NULL)
		return -1;
	viewing->sink = sink;
	result = burst_read(conn, &operation, err);
	if (qresync_refused(viewing))
		conn->capabilities &= ~(uint32_t)CAP_QRESYNC;
	*again = result == 0 && is_to_repeat(viewing);
	if (result == 0 && !*again)
		result = conclude(viewing, view, err);
	burst_leave(conn);
	return result;
}
