/* The mailboxes of an account: the list with what STATUS tells, and making and removing them.
 *
 * A list is all or nothing: a mailbox that is missing from it may lead to a deletion, so one line
 * that cannot be read fails the call. With LIST-STATUS an account of any size costs one round trip;
 * without it the STATUS commands go out together. */
#include "imap/imap_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

struct listing {
	struct imap_conn *conn;
	struct arena *arena;
	struct imap_mailbox *mailboxes;
	size_t n;
	size_t room;
	size_t last;  /* where the latest STATUS went; the next is often beside it */
	size_t asked; /* the mailbox of the oldest STATUS command without answer */
	bool answered;
};

/* Others' and shared mailboxes are not this account's to synchronize. */
static bool is_foreign(const struct imap_conn *conn, const char *wire)
{
	size_t len = strlen(conn->ns.prefix);

	for (size_t i = 0; i < conn->n_foreign; i++) {
		const char *prefix = conn->foreign[i];
		size_t n = strlen(prefix);

		if (strncmp(wire, prefix, n) == 0)
			return true;
		if (n > 1 && prefix[n - 1] == conn->ns.delimiter && strlen(wire) == n - 1 &&
		    strncmp(wire, prefix, n - 1) == 0)
			return true;
	}
	return len != 0 && strncmp(wire, conn->ns.prefix, len) != 0 && !name_is_inbox(wire);
}

static void take_list(void *ctx, const struct list_entry *entry)
{
	struct listing *listing = ctx;
	struct imap_mailbox *mailbox;
	char *name;

	if (entry->wire[0] == '\0' || is_foreign(listing->conn, entry->wire))
		return;
	/* Prefix "INBOX.": the place "INBOX." itself is no mailbox. */
	if (entry->noselect && strcmp(entry->wire, listing->conn->ns.prefix) == 0)
		return;
	listing->mailboxes =
		grow(listing->mailboxes, listing->n, &listing->room, sizeof(*listing->mailboxes));
	mailbox = &listing->mailboxes[listing->n++];
	memset(mailbox, 0, sizeof(*mailbox));
	name = name_from_wire(&listing->conn->ns, entry->wire);
	mailbox->name = arena_strdup(listing->arena, name);
	mailbox->wire = arena_strdup(listing->arena, entry->wire);
	mailbox->delimiter = entry->delimiter;
	mailbox->noselect = entry->noselect;
	mailbox->noinferiors = entry->noinferiors;
	mailbox->special = entry->special;
	mailbox->status.mailbox_id = "";
	free(name);
}

static bool same_wire(const char *a, const char *b)
{
	return strcmp(a, b) == 0 || (name_is_inbox(a) && name_is_inbox(b));
}

static struct imap_mailbox *find_wire(struct listing *listing, const char *wire)
{
	for (size_t i = 0; i < listing->n; i++) {
		size_t at = (listing->last + i) % listing->n;

		if (same_wire(listing->mailboxes[at].wire, wire)) {
			listing->last = at;
			return &listing->mailboxes[at];
		}
	}
	return NULL;
}

static void take_status(void *ctx, const char *wire, const struct imap_status *status)
{
	struct listing *listing = ctx;
	struct imap_mailbox *mailbox = find_wire(listing, wire);
	const char *id;

	if (mailbox == NULL || mailbox->noselect)
		return;
	id = mailbox->status.mailbox_id;
	if (status->mailbox_id[0] != '\0')
		id = arena_strdup(listing->arena, status->mailbox_id);
	if (status->known)
		mailbox->status = *status;
	mailbox->status.mailbox_id = id;
}

static void put_status_items(struct imap_conn *conn)
{
	text_puts(&conn->out, "(MESSAGES UIDNEXT UIDVALIDITY");
	if ((conn->capabilities & CAP_CONDSTORE) != 0)
		text_puts(&conn->out, " HIGHESTMODSEQ");
	text_putc(&conn->out, ')');
}

/* In a command of its own, without a round trip of its own: Cyrus 3.6 answers freed memory for
 * MAILBOXID when it is asked together with other items. What comes of it does not matter: the list
 * that follows tells the same mailboxes. */
static int send_ids(struct imap_conn *conn, struct error *err)
{
	command_begin(conn, "LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))");
	return command_send(conn, 0, 0, err);
}

int list_put(struct imap_conn *conn, bool with_status, struct error *err)
{
	bool special = (conn->capabilities & CAP_SPECIAL_USE) != 0;

	if (with_status && (conn->capabilities & CAP_OBJECTID) != 0 && send_ids(conn, err) < 0)
		return -1;
	command_begin(conn, "LIST \"\" \"*\"");
	/* Without LIST-EXTENDED a server with SPECIAL-USE tells it unasked. */
	if (with_status) {
		text_printf(&conn->out, " RETURN (%sSTATUS ", special ? "SPECIAL-USE " : "");
		put_status_items(conn);
		text_putc(&conn->out, ')');
	} else if (special && (conn->capabilities & CAP_LIST_EXTENDED) != 0) {
		text_puts(&conn->out, " RETURN (SPECIAL-USE)");
	}
	return command_send(conn, 0, 0, err);
}

static int run_list(struct imap_conn *conn, bool with_status, struct error *err)
{
	bool sent = conn->list_ahead && with_status;

	conn->list_ahead = false;
	if ((!sent && list_put(conn, with_status, err) < 0) || queue_drain(conn, err) < 0)
		return error_wrap(err, "listing the mailboxes");
	if (conn->reply.condition != CONDITION_OK)
		return refused(err, "listing the mailboxes", &conn->reply);
	return 0;
}

#define STATUS_WINDOW 64 /* commands under way */

static int ask_status(struct listing *listing, struct error *err)
{
	struct imap_conn *conn = listing->conn;

	for (size_t i = 0; i < listing->n; i++) {
		if (listing->mailboxes[i].noselect)
			continue;
		command_begin(conn, "STATUS ");
		if (command_string(conn, listing->mailboxes[i].wire, err) < 0)
			return -1;
		text_putc(&conn->out, ' ');
		put_status_items(conn);
		if (command_send(conn, i, 0, err) < 0 ||
		    queue_wait(conn, STATUS_WINDOW, UINT64_MAX, err) < 0)
			return -1;
	}
	return queue_drain(conn, err);
}

static int compare_names(const void *a, const void *b)
{
	const struct imap_mailbox *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order == 0) /* of two, the one that can be selected comes first */
		order = (int)x->noselect - (int)y->noselect;
	return order;
}

static void merge_mailbox(struct imap_mailbox *kept, const struct imap_mailbox *other)
{
	const char *id = kept->status.mailbox_id;

	if (kept->special == SPECIAL_NONE)
		kept->special = other->special;
	if (other->noselect)
		return;
	if (id[0] == '\0')
		id = other->status.mailbox_id;
	if (!kept->status.known)
		kept->status = other->status;
	kept->status.mailbox_id = id;
}

static void sort_unique(struct listing *listing)
{
	size_t kept = 0;

	if (listing->n != 0)
		qsort(listing->mailboxes, listing->n, sizeof(*listing->mailboxes), compare_names);
	for (size_t i = 0; i < listing->n; i++) {
		struct imap_mailbox *one = &listing->mailboxes[i];

		if (kept != 0 && strcmp(listing->mailboxes[kept - 1].name, one->name) == 0) {
			merge_mailbox(&listing->mailboxes[kept - 1], one);
			continue;
		}
		listing->mailboxes[kept++] = *one;
	}
	listing->n = kept;
}

int imap_list(struct imap_conn *conn, struct arena *arena, bool with_status,
	      struct imap_mailbox **mailboxes, size_t *n, struct error *err)
{
	struct listing listing = {.conn = conn, .arena = arena};
	struct operation operation = {.ctx = &listing, .list = take_list, .status = take_status};
	bool one_trip = with_status && (conn->capabilities & CAP_LIST_STATUS) != 0;
	int result;

	if (operation_begin_early(conn, &operation, err) < 0)
		return -1;
	result = run_list(conn, one_trip, err);
	if (!conn->dead && session_finish_setup(conn, err) < 0)
		result = -1;
	if (result < 0 && one_trip && !conn->dead) { /* announced, but refused */
		listing.n = 0;
		one_trip = false;
		result = run_list(conn, false, err);
	}
	if (result == 0) {
		sort_unique(&listing);
		if (with_status && !one_trip)
			result = ask_status(&listing, err);
	}
	operation_end(conn);
	*n = result == 0 ? listing.n : 0;
	*mailboxes = arena_alloc(arena, (*n + 1) * sizeof(**mailboxes));
	if (*n != 0)
		memcpy(*mailboxes, listing.mailboxes, *n * sizeof(**mailboxes));
	free(listing.mailboxes);
	return result;
}

/* ---- making and removing ---- */

static int run_on(struct imap_conn *conn, const char *verb, const char *mailbox, const char *second,
		  struct error *err)
{
	struct text what = {0};
	int result = -1;

	if (operation_begin(conn, NULL, err) < 0)
		return -1;
	command_begin(conn, verb);
	if (command_string(conn, mailbox, err) < 0)
		return -1;
	if (second != NULL) {
		text_putc(&conn->out, ' ');
		if (command_string(conn, second, err) < 0)
			return -1;
	}
	text_printf(&what, "%s%s%s%s", verb, mailbox, second != NULL ? " to " : "",
		    second != NULL ? second : "");
	result = command_run(conn, text_get(&what), err);
	text_release(&what);
	if (result < 0 && !conn->dead && reply_says_missing(&conn->reply) && err != NULL)
		err->kind = ERROR_NOT_FOUND;
	return result;
}

static bool says_it_exists(const struct reply *reply)
{
	struct status_text status = {.text = {reply->text, strlen(reply->text)}};

	return strcmp(reply->code, "ALREADYEXISTS") == 0 ||
	       (reply->condition == CONDITION_NO && reply->code[0] == '\0' &&
		status_text_says(&status, "already exists"));
}

struct creating {
	struct imap_creation *list;
	bool subscribing;
};

/* Servers need not list INBOX before there is mail. Any other that is there and was not listed is known
 * to the server under another spelling, or was made just now: the next list tells. */
static void judge_creation(struct imap_creation *creation, const struct reply *reply)
{
	struct text what = {0};

	creation->made = reply->condition == CONDITION_OK ||
			 (says_it_exists(reply) && ascii_case_equal(creation->mailbox, "INBOX"));
	if (creation->made)
		return;
	if (says_it_exists(reply)) {
		error_set(
			&creation->err, ERROR_REFUSED,
			"the server says that it exists, and did not list it: perhaps it knows it "
			"under another spelling; the next run looks again");
		return;
	}
	text_printf(&what, "CREATE %s", creation->mailbox);
	refused(&creation->err, text_get(&what), reply);
	text_release(&what);
	if (reply_says_missing(reply))
		creation->err.kind = ERROR_NOT_FOUND;
}

static void create_done(void *ctx, size_t index, const struct status_text *status)
{
	struct creating *work = ctx;
	struct reply reply;

	reply_set(&reply, status);
	if (!work->subscribing)
		judge_creation(&work->list[index], &reply);
	else if (reply.condition != CONDITION_OK)
		log_verbose("SUBSCRIBE %s: the server said %s", work->list[index].mailbox,
			    reply.text);
}

#define CREATE_WINDOW 32

/* For those that were not made, or, to subscribe, for those that were. */
static int send_creations(struct imap_conn *conn, const struct creating *work, size_t n,
			  struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		struct imap_creation *creation = &work->list[i];

		if (creation->made != work->subscribing)
			continue;
		command_begin(conn, work->subscribing ? "SUBSCRIBE " : "CREATE ");
		if (command_string(conn, creation->mailbox, &creation->err) < 0)
			continue;
		if (command_send(conn, i, 0, err) < 0 ||
		    queue_wait(conn, CREATE_WINDOW, UINT64_MAX, err) < 0)
			return -1;
	}
	return queue_drain(conn, err);
}

int imap_create(struct imap_conn *conn, struct imap_creation *list, size_t n, struct error *err)
{
	struct creating work = {.list = list};
	struct operation operation = {.ctx = &work, .done = create_done};
	int result;

	for (size_t i = 0; i < n; i++) {
		list[i].made = false;
		error_clear(&list[i].err);
	}
	if (operation_begin(conn, &operation, err) < 0)
		return -1;
	result = send_creations(conn, &work, n, err);
	work.subscribing = true;
	if (result == 0)
		result = send_creations(conn, &work, n, err);
	operation_end(conn);
	return result;
}

/* A selected mailbox is left first: servers differ in what becomes of the session. */
static int leave(struct imap_conn *conn, const char *mailbox, struct error *err)
{
	if (conn->selected == NULL || !same_wire(conn->selected, mailbox))
		return 0;
	return imap_unselect(conn, err);
}

int imap_delete(struct imap_conn *conn, const char *mailbox, struct error *err)
{
	if (leave(conn, mailbox, err) < 0)
		return -1;
	return run_on(conn, "DELETE ", mailbox, NULL, err);
}

int imap_rename(struct imap_conn *conn, const char *from, const char *to, struct error *err)
{
	if (leave(conn, from, err) < 0)
		return -1;
	return run_on(conn, "RENAME ", from, to, err);
}

/* A NO that speaks of trouble says nothing about the mailbox. */
static bool is_trouble(const struct reply *reply)
{
	static const char *const codes[] = {
		"UNAVAILABLE", "INUSE", "SERVERBUG",    "CORRUPTION", "EXPUNGEISSUED",  "LIMIT",
		"NOPERM",      "ALERT", "CONTACTADMIN", "OVERQUOTA",  "PRIVACYREQUIRED"};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (strcmp(reply->code, codes[i]) == 0)
			return true;
	}
	return false;
}

int imap_exists(struct imap_conn *conn, const char *mailbox, struct error *err)
{
	struct imap_selected selected;
	bool answered_no;

	if (imap_unselect(conn, err) < 0)
		return -1;
	if (imap_select(conn, mailbox, true, &selected, err) == 0) {
		if (imap_unselect(conn, err) < 0)
			return -1;
		return 1;
	}
	answered_no = !conn->dead && conn->reply.condition == CONDITION_NO;
	if (!answered_no || is_trouble(&conn->reply))
		return -1;
	error_clear(err);
	return 0;
}
