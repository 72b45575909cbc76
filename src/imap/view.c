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

/* ---- the selection ---- */

void selection_forget(struct imap_conn *conn)
{
	free(conn->selected);
	conn->selected = NULL;
	conn->exists = 0;
	conn->mailbox_id[0] = '\0';
	memset(&conn->selection, 0, sizeof(conn->selection));
	conn->selection.status.mailbox_id = conn->mailbox_id;
	conn->selection.permanent = FLAGS_ALL;
	conn->selection.permanent_keywords = true;
}

static void take_permanent_flags(struct imap_conn *conn, const char *p, size_t len)
{
	const char *end = p + len, *word;
	struct flags flags = {0, 0};

	conn->selection.permanent_keywords = false;
	while (p < end) {
		while (p < end && (*p == ' ' || *p == '(' || *p == ')'))
			p++;
		for (word = p; p < end && *p != ' ' && *p != '(' && *p != ')';)
			p++;
		if (p - word == 2 && word[0] == '\\' && word[1] == '*')
			conn->selection.permanent_keywords = true;
		else if (p != word && (*word == '\\' || *word == '$'))
			flags_add_imap(conn->keywords, &flags, word, (size_t)(p - word));
	}
	/* $Forwarded is a keyword like any other to the server. */
	conn->selection.permanent = flags.system;
	if (conn->selection.permanent_keywords)
		conn->selection.permanent |= FLAG_FORWARDED;
}

static void take_mailbox_id(struct imap_conn *conn, const struct line *args)
{
	const char *p = args->data, *end = p + args->len;

	while (p < end && (*p == '(' || *p == ' '))
		p++;
	while (end > p && (end[-1] == ')' || end[-1] == ' '))
		end--;
	if ((size_t)(end - p) < sizeof(conn->mailbox_id)) {
		memcpy(conn->mailbox_id, p, (size_t)(end - p));
		conn->mailbox_id[end - p] = '\0';
	}
}

void selection_code(struct imap_conn *conn, const struct status_text *status)
{
	struct imap_status *known = &conn->selection.status;
	const char *p = status->args.data, *end = p + status->args.len;
	uint64_t number;

	if (!conn->selecting)
		return;
	if (strcmp(status->code, "CLOSED") == 0)
		conn->exists = 0; /* what came before was of the mailbox left */
	else if (strcmp(status->code, "UIDVALIDITY") == 0 &&
		 scan_number(&p, end, UINT64_MAX, &number))
		known->uidvalidity = (uint32_t)number;
	else if (strcmp(status->code, "UIDNEXT") == 0 && scan_number(&p, end, UINT32_MAX, &number))
		known->uidnext = (uint32_t)number;
	else if (strcmp(status->code, "HIGHESTMODSEQ") == 0 &&
		 scan_number(&p, end, UINT64_MAX, &number))
		known->highestmodseq = number;
	else if (strcmp(status->code, "NOMODSEQ") == 0)
		known->highestmodseq = 0;
	else if (strcmp(status->code, "PERMANENTFLAGS") == 0)
		take_permanent_flags(conn, p, status->args.len);
	else if (strcmp(status->code, "READ-ONLY") == 0)
		conn->selection.read_only = true;
	else if (strcmp(status->code, "MAILBOXID") == 0)
		take_mailbox_id(conn, &status->args);
}

/* SELECT or EXAMINE as a command not yet sent. */
static int put_select(struct imap_conn *conn, const char *mailbox, bool examine, struct error *err)
{
	command_begin(conn, examine ? "EXAMINE " : "SELECT ");
	if (command_string(conn, mailbox, err) < 0)
		return -1;
	selection_forget(conn);
	conn->selecting = true;
	return 0;
}

static void selected_now(struct imap_conn *conn, const char *mailbox, bool examine)
{
	conn->selected = xstrdup(mailbox);
	conn->examined = examine;
	conn->selection.status.known = true;
	conn->selection.status.exists = conn->exists;
	if (examine)
		conn->selection.read_only = true;
}

static int select_refused(struct imap_conn *conn, const struct reply *reply, const char *mailbox,
			  struct error *err)
{
	struct text what = {0};

	conn->reply = *reply;
	selection_forget(conn);
	text_printf(&what, "selecting %s", mailbox);
	refused(err, text_get(&what), reply);
	text_release(&what);
	if (err != NULL && reply_says_missing(reply))
		err->kind = ERROR_NOT_FOUND;
	return -1;
}

int imap_select(struct imap_conn *conn, const char *mailbox, bool examine,
		struct imap_selected *selected, struct error *err)
{
	struct reply reply;

	if (operation_begin(conn, NULL, err) < 0)
		return -1;
	if (conn->selected == NULL || strcmp(conn->selected, mailbox) != 0 ||
	    conn->examined != examine) {
		if (put_select(conn, mailbox, examine, err) < 0)
			return -1;
		if ((conn->capabilities & CAP_CONDSTORE) != 0)
			text_puts(&conn->out, " (CONDSTORE)");
		if (command_send(conn, 0, 0, err) < 0 || queue_drain(conn, err) < 0)
			return -1;
		conn->selecting = false;
		reply = conn->reply;
		if (reply.condition != CONDITION_OK)
			return select_refused(conn, &reply, mailbox, err);
		selected_now(conn, mailbox, examine);
	}
	if (selected != NULL)
		*selected = conn->selection;
	return 0;
}

/* CLOSE would expunge others' messages. Without UNSELECT another mailbox is looked at instead. */
int imap_unselect(struct imap_conn *conn, struct error *err)
{
	if (operation_begin(conn, NULL, err) < 0)
		return -1;
	if (conn->selected == NULL)
		return 0;
	selection_forget(conn);
	if ((conn->capabilities & CAP_UNSELECT) != 0) {
		command_begin(conn, "UNSELECT");
	} else {
		command_begin(conn, "EXAMINE INBOX");
	}
	return command_run(conn, "leaving the mailbox", err);
}

/* ---- the view ---- */

enum step { STEP_SELECT, STEP_FETCH };

struct viewing {
	struct imap_conn *conn;
	const char *mailbox;
	bool examine;
	const struct imap_view_request *request;
	const struct imap_view_sink *sink;
	enum imap_view_kind kind;
	enum step step; /* of the command whose responses come now */
	bool qresync;   /* the SELECT itself asked for the delta */
	bool refused_fetch;
	bool dropped; /* something came before UIDVALIDITY was told, or it is another */
	bool gone;    /* vanished told something */
	struct reply select_reply;
	struct reply fetch_reply;
	uint32_t told;
	uint32_t last; /* highest UID told in a full listing */
};

/* What the server tells is of the mailbox that is remembered. */
static bool is_same(const struct viewing *viewing)
{
	const struct imap_status *now = &viewing->conn->selection.status;

	return now->uidvalidity == viewing->request->uidvalidity;
}

static void tell(struct viewing *viewing, const struct fetch *fetch)
{
	viewing->told++;
	viewing->sink->message(viewing->sink->ctx, fetch->facts.uid, fetch->facts.flags);
}

static void view_fetch(void *ctx, const struct fetch *fetch)
{
	struct viewing *viewing = ctx;
	uint32_t uid = fetch->facts.uid;

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
		viewing->conn->selecting = false;
		reply_set(&viewing->select_reply, status);
		if (status->condition == CONDITION_OK)
			selected_now(viewing->conn, viewing->mailbox, viewing->examine);
		viewing->step = STEP_FETCH;
	} else if (status->condition != CONDITION_OK) {
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

	if (put_select(conn, viewing->mailbox, viewing->examine, err) < 0)
		return -1;
	if (viewing->kind == VIEW_DELTA)
		text_printf(&conn->out, " (QRESYNC (%" PRIu32 " %" PRIu64 "))",
			    viewing->request->uidvalidity, viewing->request->modseq);
	else if ((conn->capabilities & CAP_CONDSTORE) != 0)
		text_puts(&conn->out, " (CONDSTORE)");
	viewing->qresync = viewing->kind == VIEW_DELTA;
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
		    viewing->request->uidnext - 1, viewing->request->modseq);
	if (command_send(conn, STEP_FETCH, 0, err) < 0)
		return -1;
	command_begin(conn, "UID FETCH ");
	text_printf(&conn->out, "%" PRIu32 ":4294967295 (UID FLAGS)", viewing->request->uidnext);
	return command_send(conn, STEP_FETCH, 0, err);
}

static int first_round(struct viewing *viewing, struct error *err)
{
	struct imap_conn *conn = viewing->conn;
	int result = send_select(viewing, err);

	if (result == 0 && viewing->kind == VIEW_FULL)
		result = send_all(conn, err);
	else if (result == 0 && viewing->kind == VIEW_FLAGS)
		result = send_changed(viewing, err);
	if (result == 0)
		result = queue_drain(conn, err);
	conn->selecting = false;
	if (result < 0)
		return -1;
	if (viewing->select_reply.condition != CONDITION_OK)
		return select_refused(conn, &viewing->select_reply, viewing->mailbox, err);
	return 0;
}

/* The shortcut led nowhere: another UIDVALIDITY, no or lower modification sequences, or a server
 * that announces what it refuses. */
static bool led_nowhere(const struct viewing *viewing)
{
	const struct imap_status *now = &viewing->conn->selection.status;

	if (viewing->kind == VIEW_FULL)
		return false;
	return !is_same(viewing) || viewing->dropped || viewing->refused_fetch ||
	       now->highestmodseq < viewing->request->modseq;
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

static void conclude(const struct viewing *viewing, struct imap_view *view)
{
	const struct imap_conn *conn = viewing->conn;

	memset(view, 0, sizeof(*view));
	view->selected = conn->selection;
	view->kind = viewing->kind;
	view->told = viewing->told;
	view->exists = conn->exists;
	if (viewing->kind == VIEW_FULL)
		view->complete = viewing->told == conn->exists;
	else
		view->complete = !led_nowhere(viewing);
}

int imap_view(struct imap_conn *conn, const char *mailbox, bool examine,
	      const struct imap_view_request *request, const struct imap_view_sink *sink,
	      struct imap_view *view, struct error *err)
{
	struct viewing viewing = {.conn = conn,
				  .mailbox = mailbox,
				  .examine = examine,
				  .request = request,
				  .sink = sink,
				  .kind = choose(conn, request)};
	struct operation operation = {
		.ctx = &viewing, .fetch = view_fetch, .vanished = view_vanished, .done = view_done};
	int result;

	if (operation_begin(conn, &operation, err) < 0)
		return -1;
	result = first_round(&viewing, err);
	if (result < 0 && !conn->dead && viewing.kind == VIEW_DELTA &&
	    viewing.select_reply.condition == CONDITION_BAD) { /* QRESYNC in name only */
		conn->capabilities &= ~(uint32_t)CAP_QRESYNC;
		viewing.kind = choose(conn, request);
		viewing.step = STEP_SELECT;
		result = first_round(&viewing, err);
	}
	if (result == 0 && needs_full(&viewing))
		result = second_round(&viewing, err);
	operation_end(conn);
	if (result < 0)
		return -1;
	/* Some servers refuse to FETCH from an empty mailbox. */
	if (viewing.kind == VIEW_FULL && viewing.refused_fetch && conn->exists != 0)
		return refused(err, "listing the messages", &viewing.fetch_reply);
	conclude(&viewing, view);
	return 0;
}
