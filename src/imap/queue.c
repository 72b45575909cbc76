/* Commands under way: built, sent, and matched with their tagged answers.
 *
 * Commands are pipelined within one operation, so that the server never waits for us. Two bounds
 * keep both sides from drowning: the number of commands and the octets that are expected or under
 * way. A literal that must be asked for first ends the pipeline: everything before it is then sent
 * and the "+" is waited for, while the answers to earlier commands are taken as they come. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

void command_begin(struct imap_conn *conn, const char *verb)
{
	text_clear(&conn->out);
	conn->n_syncs = 0;
	conn->secret = 0;
	conn->reply_tag = ++conn->last_tag;
	text_printf(&conn->out, "m%" PRIu32 " %s", conn->last_tag, verb);
}

static bool needs_literal(const struct imap_conn *conn, const char *string)
{
	for (; *string != '\0'; string++) {
		if ((*string & 0x80) != 0 && !conn->enabled_utf8)
			return true;
	}
	return false;
}

static bool may_send_at_once(const struct imap_conn *conn, size_t len)
{
	return (conn->capabilities & CAP_LITERAL_PLUS) != 0 ||
	       ((conn->capabilities & CAP_LITERAL_MINUS) != 0 && len <= 4096);
}

bool command_string_waits(const struct imap_conn *conn, const char *string)
{
	return needs_literal(conn, string) && !may_send_at_once(conn, strlen(string));
}

static void put_literal(struct imap_conn *conn, const char *string)
{
	size_t len = strlen(string);
	bool plus = may_send_at_once(conn, len);

	text_printf(&conn->out, "{%zu%s}\r\n", len, plus ? "+" : "");
	if (!plus && conn->n_syncs < SYNC_MAX)
		conn->syncs[conn->n_syncs++] = conn->out.len;
	text_puts(&conn->out, string);
}

int command_string(struct imap_conn *conn, const char *string, struct error *err)
{
	if (strpbrk(string, "\r\n") != NULL)
		return error_set(err, ERROR_REFUSED,
				 "a line end cannot be sent to a server inside a name");
	if (needs_literal(conn, string)) {
		put_literal(conn, string);
		return 0;
	}
	text_putc(&conn->out, '"');
	for (; *string != '\0'; string++) {
		if (*string == '"' || *string == '\\')
			text_putc(&conn->out, '\\');
		text_putc(&conn->out, *string);
	}
	text_putc(&conn->out, '"');
	return 0;
}

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
	{FLAG_ANSWERED, "\\Answered"}, {FLAG_DELETED, "\\Deleted"}, {FLAG_DRAFT, "\\Draft"},
	{FLAG_FLAGGED, "\\Flagged"},   {FLAG_SEEN, "\\Seen"},       {FLAG_FORWARDED, "$Forwarded"},
};

/* flag-keyword = atom; a name that is none is never sent. */
static bool is_atom(const char *name)
{
	if (*name == '\0')
		return false;
	for (; *name != '\0'; name++) {
		unsigned char c = (unsigned char)*name;

		if (c <= ' ' || c >= 0x7f || strchr("(){%*\"\\]", c) != NULL)
			return false;
	}
	return true;
}

static void put_flag(struct text *out, const char *name, bool *any)
{
	text_puts(out, *any ? " " : " (");
	text_puts(out, name);
	*any = true;
}

static void put_keywords(struct imap_conn *conn, uint32_t set, bool *any)
{
	size_t n = keywords_ids(conn->keywords, set, NULL, 0);
	uint32_t *ids = xcalloc(n + 1, sizeof(*ids));

	keywords_ids(conn->keywords, set, ids, n);
	for (size_t i = 0; i < n; i++) {
		const char *name = keyword_name(conn->keywords, ids[i]);

		if (name != NULL && is_atom(name))
			put_flag(&conn->out, name, any);
		else
			log_verbose("keyword %s cannot be sent to a server",
				    name != NULL ? name : "");
	}
	free(ids);
}

bool command_flags(struct imap_conn *conn, struct flags flags)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++) {
		if ((flags.system & flag_names[i].flag) != 0)
			put_flag(&conn->out, flag_names[i].name, &any);
	}
	if (flags.keywords != KEYWORDS_NONE)
		put_keywords(conn, flags.keywords, &any);
	if (any)
		text_putc(&conn->out, ')');
	return any;
}

/* Days since 1970 to a date of the Gregorian calendar, counted in eras of 400 years that begin
 * on the first of March. */
static void civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t z = days + 719468, era = z / 146097;
	unsigned in_era = (unsigned)(z - era * 146097);
	unsigned of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	unsigned in_year = in_era - (365 * of_era + of_era / 4 - of_era / 100);
	unsigned shifted = (5 * in_year + 2) / 153;

	*day = in_year - (153 * shifted + 2) / 5 + 1;
	*month = shifted < 10 ? shifted + 3 : shifted - 9;
	*year = (int64_t)of_era + era * 400 + (*month <= 2);
}

void command_date(struct imap_conn *conn, int64_t date)
{
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	unsigned month, day, seconds;
	int64_t year, days;

	if (date < INT64_C(-62135596800) || date > INT64_C(253402300799)) /* years 1 to 9999 */
		return;
	days = date / 86400;
	if (days * 86400 > date)
		days--;
	seconds = (unsigned)(date - days * 86400);
	civil(days, &year, &month, &day);
	text_printf(&conn->out, " \"%2u-%s-%04" PRId64 " %02u:%02u:%02u +0000\"", day,
		    months[month - 1], year, seconds / 3600, seconds / 60 % 60, seconds % 60);
}

#define UID_SET_OCTETS 7500 /* of a line; RFC 7162 section 4 allows 8192 for all of it */

size_t command_uids(struct imap_conn *conn, const uint32_t *uids, size_t n, size_t max)
{
	size_t start = conn->out.len, i = 0, next;

	text_putc(&conn->out, ' ');
	while (i < n && i < max && conn->out.len - start < UID_SET_OCTETS) {
		for (next = i + 1; next < n && next < max && uids[next] == uids[next - 1] + 1;)
			next++;
		if (i != 0)
			text_putc(&conn->out, ',');
		text_printf(&conn->out, "%" PRIu32, uids[i]);
		if (next > i + 1)
			text_printf(&conn->out, ":%" PRIu32, uids[next - 1]);
		i = next;
	}
	return i;
}

/* ---- sending ---- */

/* Line by line, without the secret and without what is inside a literal of the caller's. */
static void trace(const struct imap_conn *conn)
{
	const char *p = conn->out.data, *end = p + conn->out.len, *next;

	if (conn->secret != 0) {
		log_protocol("C: %.*s ***", (int)conn->secret, p);
		return;
	}
	for (; p < end; p = next + 2) {
		next = memmem(p, (size_t)(end - p), "\r\n", 2);
		if (next == NULL)
			next = end;
		if (next > p)
			log_protocol("C: %.*s", (int)(next - p), p);
	}
}

bool queue_has(const struct imap_conn *conn, uint32_t tag)
{
	for (size_t i = 0; i < conn->queue_len; i++) {
		if (conn->queue[conn->queue_first + i].tag == tag)
			return true;
	}
	return false;
}

static void enqueue(struct imap_conn *conn, size_t index, uint64_t cost)
{
	struct pending *pending;

	if (conn->queue_first != 0 && conn->queue_first + conn->queue_len >= conn->queue_room) {
		memmove(conn->queue, conn->queue + conn->queue_first,
			conn->queue_len * sizeof(*conn->queue));
		conn->queue_first = 0;
	}
	conn->queue = grow(conn->queue, conn->queue_first + conn->queue_len, &conn->queue_room,
			   sizeof(*conn->queue));
	pending = &conn->queue[conn->queue_first + conn->queue_len++];
	pending->tag = conn->last_tag;
	pending->index = index;
	pending->cost = cost;
	conn->queue_cost += cost;
}

int queue_answer(struct imap_conn *conn, uint32_t tag, const struct status_text *status)
{
	struct pending found;
	size_t i;

	if (burst_is_early(conn, tag) || selection_is_early(conn, tag))
		return -1;
	for (i = conn->queue_first; i < conn->queue_first + conn->queue_len; i++) {
		if (conn->queue[i].tag == tag)
			break;
	}
	if (i == conn->queue_first + conn->queue_len)
		return -1;
	found = conn->queue[i];
	if (i == conn->queue_first)
		conn->queue_first++;
	else
		memmove(conn->queue + i, conn->queue + i + 1,
			(conn->queue_first + conn->queue_len - 1 - i) * sizeof(*conn->queue));
	conn->queue_len--;
	if (conn->queue_len == 0)
		conn->queue_first = 0;
	conn->queue_cost -= found.cost;
	if (selection_next_answer(conn, tag, status))
		return 0;
	if (conn->operation != NULL && conn->operation->done != NULL)
		conn->operation->done(conn->operation->ctx, found.index, status);
	selection_turn(conn);
	return 0;
}

/* Waits until the server asks for more or has answered the command; true in *asked for "+". */
static int wait_continue(struct imap_conn *conn, uint32_t tag, bool *asked, struct error *err)
{
	while (!conn->continued && queue_has(conn, tag)) {
		if (conn_read(conn, err) < 0)
			return -1;
	}
	*asked = conn->continued;
	conn->continued = false;
	return 0;
}

static int write_out(struct imap_conn *conn, bool *refused, struct error *err)
{
	size_t from = 0;
	bool asked = true;

	for (size_t i = 0; i < conn->n_syncs && asked; i++) {
		if (stream_write(conn->stream, conn->out.data + from, conn->syncs[i] - from, err) <
		    0)
			return -1;
		from = conn->syncs[i];
		if (wait_continue(conn, conn->last_tag, &asked, err) < 0)
			return -1;
	}
	*refused = !asked;
	if (!asked)
		return 0;
	return stream_write(conn->stream, conn->out.data + from, conn->out.len - from, err);
}

int command_send_open(struct imap_conn *conn, size_t index, uint64_t cost, bool wait, bool *refused,
		      struct error *err)
{
	if (wait && conn->n_syncs < SYNC_MAX)
		conn->syncs[conn->n_syncs++] = conn->out.len;
	if (log_get_level() >= LOG_PROTOCOL)
		trace(conn);
	enqueue(conn, index, cost);
	conn->continued = false;
	if (write_out(conn, refused, err) < 0) {
		conn->dead = true;
		return -1;
	}
	return 0;
}

int command_send(struct imap_conn *conn, size_t index, uint64_t cost, struct error *err)
{
	bool refused;

	text_add(&conn->out, "\r\n", 2);
	return command_send_open(conn, index, cost, false, &refused, err);
}

int queue_wait(struct imap_conn *conn, size_t commands, uint64_t cost, struct error *err)
{
	while (conn->queue_len > commands || (conn->queue_len != 0 && conn->queue_cost > cost)) {
		if (conn_read(conn, err) < 0)
			return -1;
	}
	return 0;
}

int queue_drain(struct imap_conn *conn, struct error *err)
{
	return queue_wait(conn, 0, UINT64_MAX, err);
}

int queue_wait_for(struct imap_conn *conn, uint32_t tag, struct error *err)
{
	while (queue_has(conn, tag)) {
		if (conn_read(conn, err) < 0)
			return -1;
	}
	return 0;
}

int command_run(struct imap_conn *conn, const char *what, struct error *err)
{
	if (command_send(conn, 0, 0, err) < 0 || queue_drain(conn, err) < 0)
		return error_wrap(err, "%s", what);
	if (conn->reply.condition != CONDITION_OK)
		return refused(err, what, &conn->reply);
	return 0;
}

int operation_begin_early(struct imap_conn *conn, const struct operation *operation,
			  struct error *err)
{
	if (conn->dead)
		return error_set(err, ERROR_NETWORK, "the connection is no longer usable");
	if (conn->n_begun != 0)
		return error_set(err, ERROR_REFUSED, "other answers are still to be read");
	conn->operation = operation;
	return 0;
}

int operation_begin(struct imap_conn *conn, const struct operation *operation, struct error *err)
{
	if (session_prepare(conn, 0, err) < 0)
		return -1;
	return operation_begin_early(conn, operation, err);
}

void operation_end(struct imap_conn *conn)
{
	conn->operation = NULL;
}
