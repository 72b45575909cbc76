/* Which mailbox is selected, and what the server told of it.
 *
 * A SELECT may be sent long before its answer is read (burst.c), so putting the command and
 * expecting its answer are two steps: what is known of the selection is always that of the command
 * whose answers are read now. */
#include "imap/imap_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

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

int selection_put(struct imap_conn *conn, const char *mailbox, bool examine, struct error *err)
{
	command_begin(conn, examine ? "EXAMINE " : "SELECT ");
	return command_string(conn, mailbox, err);
}

int selection_put_plain(struct imap_conn *conn, const char *mailbox, bool examine,
			struct error *err)
{
	if (selection_put(conn, mailbox, examine, err) < 0)
		return -1;
	if ((conn->capabilities & CAP_CONDSTORE) != 0)
		text_puts(&conn->out, " (CONDSTORE)");
	return 0;
}

bool selection_is(const struct imap_conn *conn, const char *mailbox, bool examine)
{
	return conn->selected != NULL && strcmp(conn->selected, mailbox) == 0 &&
	       conn->examined == examine;
}

void selection_expect(struct imap_conn *conn)
{
	selection_forget(conn);
	conn->selecting = true;
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

void selection_answer(struct selecting *select, const struct status_text *status)
{
	select->conn->selecting = false;
	reply_set(&select->reply, status);
	select->taken = status->condition == CONDITION_OK;
	if (select->taken)
		selected_now(select->conn, select->mailbox, select->examine);
}

int selection_refused(const struct selecting *select, struct error *err)
{
	struct text what = {0};

	select->conn->reply = select->reply;
	selection_forget(select->conn);
	text_printf(&what, "selecting %s", select->mailbox);
	refused(err, text_get(&what), &select->reply);
	text_release(&what);
	if (err != NULL && reply_says_missing(&select->reply))
		err->kind = ERROR_NOT_FOUND;
	return -1;
}

static void select_done(void *ctx, size_t index, const struct status_text *status)
{
	struct selecting *select = ctx;

	(void)index;
	selection_answer(select, status);
}

static int run_select(struct imap_conn *conn, struct selecting *select, struct error *err)
{
	struct operation operation = {.ctx = select, .done = select_done};
	int result;

	if (selection_put_plain(conn, select->mailbox, select->examine, err) < 0)
		return -1;
	selection_expect(conn);
	conn->operation = &operation;
	result = command_send(conn, 0, 0, err);
	if (result == 0)
		result = queue_drain(conn, err);
	operation_end(conn);
	if (result == 0 && !select->taken)
		return selection_refused(select, err);
	return result;
}

int imap_select(struct imap_conn *conn, const char *mailbox, bool examine,
		struct imap_selected *selected, struct error *err)
{
	struct selecting select = {.conn = conn, .mailbox = mailbox, .examine = examine};

	if (operation_begin(conn, NULL, err) < 0)
		return -1;
	if (!selection_is(conn, mailbox, examine) && run_select(conn, &select, err) < 0)
		return -1;
	if (selected != NULL)
		*selected = conn->selection;
	return 0;
}

/* ---- the next one, selected behind the commands of an operation ---- */

/* A SELECT and the commands with UIDs that rest on it cannot go out together: UIDVALIDITY has to be seen in
 * between. But it can go out with the commands for the mailbox before, so that each of many mailboxes
 * costs one turn and not two. What is answered before its turn belongs to the mailbox that is left. */

void imap_select_next(struct imap_conn *conn, const char *mailbox, bool examine)
{
	selection_forget_next(conn);
	conn->next = xstrdup(mailbox);
	conn->next_examined = examine;
}

void selection_forget_next(struct imap_conn *conn)
{
	free(conn->next);
	conn->next = NULL;
	conn->next_tag = 0;
}

int selection_send_next(struct imap_conn *conn, bool *sent, struct error *err)
{
	*sent = false;
	if (conn->next == NULL || selection_is(conn, conn->next, conn->next_examined) ||
	    command_string_waits(conn, conn->next))
		return 0;
	if (selection_put_plain(conn, conn->next, conn->next_examined, err) < 0)
		return 0; /* whoever selects it finds out */
	if (command_send(conn, 0, 0, err) < 0)
		return -1;
	*sent = true;
	conn->next_tag = conn->last_tag;
	selection_turn(conn);
	return 0;
}

bool selection_is_early(const struct imap_conn *conn, uint32_t tag)
{
	return conn->next_tag != 0 && tag == conn->next_tag &&
	       conn->queue[conn->queue_first].tag != tag;
}

void selection_turn(struct imap_conn *conn)
{
	if (conn->next_tag == 0 || conn->queue_len == 0 ||
	    conn->queue[conn->queue_first].tag != conn->next_tag)
		return;
	selection_expect(conn);
	operation_end(conn);
}

bool selection_next_answer(struct imap_conn *conn, uint32_t tag, const struct status_text *status)
{
	struct selecting select = {
		.conn = conn, .mailbox = conn->next, .examine = conn->next_examined};

	if (conn->next_tag == 0 || tag != conn->next_tag)
		return false;
	selection_answer(&select, status);
	selection_forget_next(conn);
	return true;
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
