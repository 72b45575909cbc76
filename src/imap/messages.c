/* Reading the messages of the selected mailbox, and setting their flags.
 *
 * Only UIDs are ever sent. A FETCH is cut into commands of a few hundred messages, with some under
 * way at all times: the server never waits for us, and a call that has to end early has little left
 * to skip. */
#include "imap/imap_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

#define FETCH_WINDOW 4   /* commands under way */
#define FACTS_CHUNK 2000 /* messages a command */

bool uid_find(const uint32_t *uids, size_t n, uint32_t uid, size_t *where)
{
	size_t low = 0, high = n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (uids[middle] < uid)
			low = middle + 1;
		else
			high = middle;
	}
	*where = low;
	return low < n && uids[low] == uid;
}

const char *id_item(const struct imap_conn *conn)
{
	if ((conn->capabilities & CAP_OBJECTID) != 0)
		return " EMAILID";
	if ((conn->capabilities & CAP_GMAIL) != 0)
		return " X-GM-MSGID";
	if ((conn->capabilities & CAP_X_GUID) != 0)
		return " X-GUID";
	return "";
}

/* ---- which of them are there ---- */

struct presence {
	const uint32_t *uids;
	size_t n;
	bool *there;
};

static void presence_search(void *ctx, uint32_t number)
{
	struct presence *presence = ctx;
	size_t at;

	if (uid_find(presence->uids, presence->n, number, &at))
		presence->there[at] = true;
}

/* Mailutils takes the numbers of UID SEARCH UID for positions, so no set is sent. */
int messages_present(struct imap_conn *conn, const uint32_t *uids, size_t n, uint32_t *present,
		     size_t *n_present, struct error *err)
{
	struct presence presence = {uids, n, xcalloc(n + 1, sizeof(bool))};
	struct operation operation = {.ctx = &presence, .search = presence_search};
	const struct operation *outer = conn->operation;
	int result;

	*n_present = 0;
	conn->operation = &operation;
	command_begin(conn, "UID SEARCH ALL");
	result = command_run(conn, "looking which messages are there", err);
	conn->operation = outer;
	for (size_t i = 0; i < n && result == 0; i++) {
		if (presence.there[i])
			present[(*n_present)++] = uids[i];
	}
	free(presence.there);
	return result;
}

/* ---- facts ---- */

enum { INDEX_FETCH, INDEX_SELECT };

struct facts_fetch {
	struct selecting *select; /* NULL: it is selected already */
	struct imap_selected *selected;
	const struct imap_facts_request *request;
	bool *told; /* each of its UIDs */
	struct reply refusal;
	bool refused;
};

static void facts_take(void *ctx, const struct fetch *fetch)
{
	struct facts_fetch *work = ctx;
	size_t at;

	if ((fetch->items & ITEM_UID) == 0 || (fetch->items & (ITEM_SIZE | ITEM_DATE)) == 0)
		return; /* a change of flags told unasked */
	if (work->select != NULL && !work->select->taken)
		return; /* of another mailbox */
	if (!uid_find(work->request->uids, work->request->n, fetch->facts.uid, &at) ||
	    work->told[at])
		return;
	work->told[at] = true;
	work->request->fn(work->request->ctx, &fetch->facts);
}

static void facts_done(void *ctx, size_t index, const struct status_text *status)
{
	struct facts_fetch *work = ctx;

	if (index == INDEX_SELECT) {
		selection_answer(work->select, status);
		*work->selected = work->select->conn->selection;
	} else if (status->condition != CONDITION_OK) {
		work->refused = true;
		reply_set(&work->refusal, status);
	}
}

static int send_fetch(struct imap_conn *conn, const uint32_t *uids, size_t n, size_t chunk,
		      const char *items, struct error *err)
{
	for (size_t done = 0; done < n;) {
		command_begin(conn, "UID FETCH");
		done += command_uids(conn, uids + done, n - done, chunk);
		text_printf(&conn->out, " %s", items);
		if (command_send(conn, INDEX_FETCH, 0, err) < 0 ||
		    queue_wait(conn, FETCH_WINDOW - 1, UINT64_MAX, err) < 0)
			return -1;
	}
	return 0;
}

/* Servers leave messages out for no reason: those are asked for again, one by one if they are few. */
static int ask_again(struct imap_conn *conn, const struct facts_fetch *work, const char *items,
		     struct error *err)
{
	uint32_t *missing = xcalloc(work->request->n + 1, sizeof(*missing));
	size_t n = 0;
	int result = 0;

	for (size_t i = 0; i < work->request->n; i++) {
		if (!work->told[i])
			missing[n++] = work->request->uids[i];
	}
	if (n != 0)
		result = send_fetch(conn, missing, n, n <= 100 ? 1 : FACTS_CHUNK, items, err);
	if (result == 0)
		result = queue_drain(conn, err);
	free(missing);
	return result;
}

static int ask_facts(struct imap_conn *conn, struct facts_fetch *work, struct error *err)
{
	char items[80];
	int result;

	snprintf(items, sizeof(items), "(UID FLAGS INTERNALDATE RFC822.SIZE%s)", id_item(conn));
	result = send_fetch(conn, work->request->uids, work->request->n, FACTS_CHUNK, items, err);
	if (result == 0)
		result = queue_drain(conn, err);
	if (result == 0 && work->select != NULL && !work->select->taken)
		return selection_refused(work->select, err);
	if (result == 0) {
		work->refused = false;
		result = ask_again(conn, work, items, err);
	}
	if (result == 0 && work->refused)
		return refused(err, "fetching facts of messages", &work->refusal);
	return result;
}

/* What comes now is of the mailbox that select names, once it is answered. */
static int send_select(struct imap_conn *conn, const struct selecting *select, struct error *err)
{
	if (selection_put_plain(conn, select->mailbox, select->examine, err) < 0)
		return -1;
	selection_expect(conn);
	return command_send(conn, INDEX_SELECT, 0, err);
}

int imap_fetch_facts(struct imap_conn *conn, const struct imap_facts_request *request,
		     struct imap_selected *selected, struct error *err)
{
	struct selecting select = {
		.conn = conn, .mailbox = request->mailbox, .examine = request->examine};
	struct facts_fetch work = {.selected = selected, .request = request};
	struct operation operation = {.ctx = &work, .fetch = facts_take, .done = facts_done};
	int result = 0;

	if (operation_begin(conn, &operation, err) < 0)
		return -1;
	*selected = conn->selection;
	work.told = xcalloc(request->n + 1, sizeof(*work.told));
	if (!selection_is(conn, request->mailbox, request->examine)) {
		work.select = &select;
		result = send_select(conn, &select, err);
	}
	if (result == 0)
		result = ask_facts(conn, &work, err);
	operation_end(conn);
	free(work.told);
	return result;
}

/* ---- flags ---- */

struct storing {
	struct imap_store_request *requests;
	imap_flags_fn *fn;
	void *ctx;
	bool doubtful; /* the UIDs in what STORE answers */
	bool nameless; /* somebody's flags changed, perhaps ours, and it is not certain whose */
};

static void store_take(void *ctx, const struct fetch *fetch)
{
	struct storing *work = ctx;

	if ((fetch->items & ITEM_FLAGS) == 0)
		return;
	if ((fetch->items & ITEM_UID) == 0 || work->doubtful)
		work->nameless = true;
	else if (work->fn != NULL)
		work->fn(work->ctx, fetch->facts.uid, fetch->facts.flags);
}

static void store_done(void *ctx, size_t index, const struct status_text *status)
{
	struct storing *work = ctx;
	struct imap_store_request *request = &work->requests[index];
	struct reply reply;

	if (status->condition == CONDITION_OK || request->refused)
		return;
	request->refused = true;
	reply_set(&reply, status);
	snprintf(request->text, sizeof(request->text), "%s%s%s%.60s",
		 reply.code[0] != '\0' ? "[" : "", reply.code, reply.code[0] != '\0' ? "] " : "",
		 reply.text);
}

#define STORE_WINDOW 100

static int send_store(struct imap_conn *conn, const struct imap_store_request *request,
		      size_t index, struct error *err)
{
	for (size_t done = 0; done < request->n;) {
		command_begin(conn, "UID STORE");
		done += command_uids(conn, request->uids + done, request->n - done, request->n);
		text_puts(&conn->out, request->add ? " +FLAGS" : " -FLAGS");
		if (!command_flags(conn, request->flags))
			return 0;
		if (command_send(conn, index, 0, err) < 0 ||
		    queue_wait(conn, STORE_WINDOW, UINT64_MAX, err) < 0)
			return -1;
	}
	return 0;
}

/* Mailutils takes a UID above all others for the last message and changes its flags, refuses a set
 * with a UID between them that is not there, and answers with the UIDs of other messages. A server
 * without UIDPLUS is as old, so only what is there is touched, and the flags are asked for. */
static int send_careful(struct imap_conn *conn, const struct imap_store_request *request,
			size_t index, struct error *err)
{
	struct imap_store_request sure = *request;
	uint32_t *present;
	int result;

	if ((conn->capabilities & CAP_UIDPLUS) != 0)
		return send_store(conn, request, index, err);
	present = xcalloc(request->n + 1, sizeof(*present));
	sure.uids = present;
	result = queue_drain(conn, err);
	if (result == 0)
		result = messages_present(conn, request->uids, request->n, present, &sure.n, err);
	if (result == 0)
		result = send_store(conn, &sure, index, err);
	free(present);
	return result;
}

static int ask_flags(struct imap_conn *conn, const struct imap_store_request *request,
		     struct error *err)
{
	return send_fetch(conn, request->uids, request->n, FACTS_CHUNK, "(UID FLAGS)", err);
}

static int send_stores(struct imap_conn *conn, struct storing *work, size_t n, bool *left,
		       struct error *err)
{
	int result = 0;

	*left = false;
	work->doubtful = (conn->capabilities & CAP_UIDPLUS) == 0;
	for (size_t i = 0; i < n && result == 0; i++)
		result = send_careful(conn, &work->requests[i], i, err);
	if (result == 0 && !work->doubtful)
		result = selection_send_next(conn, left, err);
	if (result == 0)
		result = queue_drain(conn, err);
	selection_forget_next(conn);
	work->doubtful = false;
	return result;
}

int imap_store_many(struct imap_conn *conn, struct imap_store_request *requests, size_t n,
		    imap_flags_fn *fn, void *ctx, struct error *err)
{
	struct storing work = {.requests = requests, .fn = fn, .ctx = ctx};
	struct operation operation = {.ctx = &work, .fetch = store_take, .done = store_done};
	bool left; /* for the next mailbox */
	int result;

	if (operation_begin(conn, &operation, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		requests[i].refused = false;
		requests[i].text[0] = '\0';
	}
	result = send_stores(conn, &work, n, &left, err);
	operation.done = NULL; /* what a later FETCH is refused says nothing about the STORE */
	for (size_t i = 0; i < n && result == 0 && work.nameless && fn != NULL && !left; i++)
		result = ask_flags(conn, &requests[i], err);
	if (result == 0)
		result = queue_drain(conn, err);
	operation_end(conn);
	return result;
}

int imap_store(struct imap_conn *conn, const uint32_t *uids, size_t n, bool add, struct flags flags,
	       imap_flags_fn *fn, void *ctx, struct error *err)
{
	struct imap_store_request request = {.uids = uids, .n = n, .add = add, .flags = flags};

	if (imap_store_many(conn, &request, 1, fn, ctx, err) < 0)
		return -1;
	if (request.refused)
		return error_set(err, ERROR_REFUSED, "changing flags: the server said %s",
				 request.text);
	return 0;
}
