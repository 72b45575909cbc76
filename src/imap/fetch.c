/* FETCH responses: a scanner of our own for the few items that a synchronizer asks for.
 *
 * Two things make it worth having beside libetpan's parser. A listing of 100,000 messages is one
 * line of UID and FLAGS each: scanned in place, without an allocation, with the flags of lines that
 * look the same taken from a small cache, it costs a tenth. And a body of any size is given out in
 * pieces as it arrives, however the server orders the items. Items that were not asked for are
 * skipped by their form alone, so nothing a server adds can put us out of step. */
#include "imap/imap_private.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"

struct cursor {
	struct imap_conn *conn;
	struct fetch *fetch;
	const char *p;
	const char *end;
	bool crossed; /* a literal was read: the line in the log is not all of the response */
};

enum scan { SCAN_OK, SCAN_MALFORMED, SCAN_FAILED };

/* ---- values ---- */

static void skip_spaces(struct cursor *at)
{
	while (at->p < at->end && *at->p == ' ')
		at->p++;
}

static enum scan next_line(struct cursor *at, struct error *err)
{
	struct line line;

	if (reader_line(&at->conn->reader, &line, err) < 0)
		return SCAN_FAILED;
	at->p = line.data;
	at->end = line.data + line.len;
	at->crossed = true;
	if (log_get_level() >= LOG_PROTOCOL)
		log_protocol("S: %.*s", (int)(line.len < 2000 ? line.len : 2000), line.data);
	return SCAN_OK;
}

/* At "{n}" or "~{n}": SCAN_OK and the size if a literal begins there. */
static enum scan literal_at(const struct cursor *at, uint64_t *size, struct error *err)
{
	struct line rest = {at->p, (size_t)(at->end - at->p)};
	size_t cut;
	int literal = line_literal(&rest, &cut, size, err);

	if (literal < 0)
		return SCAN_FAILED;
	if (literal == 0 || cut != 0)
		return SCAN_MALFORMED;
	log_protocol("S: {%llu bytes}", (unsigned long long)*size);
	return SCAN_OK;
}

static enum scan skip_literal(struct cursor *at, struct error *err)
{
	uint64_t size;
	enum scan scan = literal_at(at, &size, err);

	if (scan != SCAN_OK)
		return scan;
	if (reader_skip(&at->conn->reader, size, err) < 0)
		return SCAN_FAILED;
	return next_line(at, err);
}

static enum scan skip_quoted(struct cursor *at)
{
	for (at->p++; at->p < at->end; at->p++) {
		if (*at->p == '\\' && at->p + 1 < at->end)
			at->p++;
		else if (*at->p == '"') {
			at->p++;
			return SCAN_OK;
		}
	}
	return SCAN_MALFORMED;
}

static bool at_literal(const struct cursor *at)
{
	return *at->p == '{' || (*at->p == '~' && at->p + 1 < at->end && at->p[1] == '{');
}

/* Not strchr: it finds the NUL that a hostile server may send. */
static bool ends_atom(char c)
{
	return c == ' ' || c == '(' || c == ')' || c == '"';
}

/* One value of whatever form: atom, string, literal, or a list of such. */
static enum scan skip_value(struct cursor *at, struct error *err)
{
	enum scan scan = SCAN_OK;
	int depth = 0;

	do {
		if (at->p == at->end)
			return SCAN_MALFORMED;
		if (*at->p == '(') {
			depth++;
			at->p++;
		} else if (*at->p == ')') {
			depth--;
			at->p++;
		} else if (*at->p == '"') {
			scan = skip_quoted(at);
		} else if (at_literal(at)) {
			scan = skip_literal(at, err);
		} else {
			while (at->p < at->end && !ends_atom(*at->p))
				at->p++;
		}
		if (scan != SCAN_OK)
			return scan;
		if (depth > 0)
			skip_spaces(at);
	} while (depth > 0);
	return depth < 0 ? SCAN_MALFORMED : SCAN_OK;
}

/* ---- flags ---- */

static struct flags parse_flags(struct keyword_pool *pool, const char *p, const char *end)
{
	struct flags flags = {0, 0};
	const char *name;

	while (p < end) {
		for (; p < end && *p == ' ';)
			p++;
		for (name = p; p < end && *p != ' ';)
			p++;
		if (p != name)
			flags_add_imap(pool, &flags, name, (size_t)(p - name));
	}
	return flags;
}

static struct flags cached_flags(struct imap_conn *conn, const char *p, size_t len)
{
	struct flag_cache_entry *entry;
	uint32_t mix = (uint32_t)len;

	if (len == 0)
		return (struct flags){0, 0};
	if (len > sizeof(entry->text))
		return parse_flags(conn->keywords, p, p + len);
	for (size_t i = 0; i < len; i++)
		mix = (mix ^ (unsigned char)p[i]) * 16777619U;
	entry = &conn->flag_cache[(mix ^ mix >> 16) % FLAG_CACHE_SLOTS];
	if (entry->len != len || memcmp(entry->text, p, len) != 0) {
		entry->flags = parse_flags(conn->keywords, p, p + len);
		memcpy(entry->text, p, len);
		entry->len = (uint16_t)len;
	}
	return entry->flags;
}

static enum scan read_flags(struct cursor *at)
{
	const char *close;

	if (at->p == at->end || *at->p != '(')
		return SCAN_MALFORMED;
	at->p++;
	close = memchr(at->p, ')', (size_t)(at->end - at->p));
	if (close == NULL)
		return SCAN_MALFORMED;
	at->fetch->facts.flags = cached_flags(at->conn, at->p, (size_t)(close - at->p));
	at->fetch->items |= ITEM_FLAGS;
	at->p = close + 1;
	return SCAN_OK;
}

/* ---- numbers, dates, ids ---- */

static enum scan read_uid(struct cursor *at)
{
	uint64_t uid;

	if (!scan_number(&at->p, at->end, UINT32_MAX, &uid))
		return SCAN_MALFORMED;
	if ((at->fetch->items & ITEM_UID) != 0 && at->fetch->facts.uid != uid)
		return SCAN_MALFORMED;
	at->fetch->facts.uid = (uint32_t)uid;
	if (uid != 0)
		at->fetch->items |= ITEM_UID;
	return SCAN_OK;
}

static enum scan read_modseq(struct cursor *at)
{
	if (at->p == at->end || *at->p != '(')
		return SCAN_MALFORMED;
	at->p++;
	if (!scan_number(&at->p, at->end, UINT64_MAX, &at->fetch->modseq) || at->p == at->end ||
	    *at->p != ')')
		return SCAN_MALFORMED;
	at->p++;
	at->fetch->items |= ITEM_MODSEQ;
	return SCAN_OK;
}

static enum scan read_size(struct cursor *at)
{
	uint64_t size;

	if (!scan_number(&at->p, at->end, UINT64_MAX, &size))
		return SCAN_MALFORMED;
	at->fetch->facts.size = size <= UINT32_MAX ? (uint32_t)size : 0;
	at->fetch->items |= ITEM_SIZE;
	return SCAN_OK;
}

static int digits(const char *p, size_t n)
{
	int value = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == ' ' && i == 0 && n == 2)
			continue;
		if (!ascii_is_digit(p[i]))
			return -1;
		value = value * 10 + (p[i] - '0');
	}
	return value;
}

static int month_of(const char *p)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12; i++) {
		if (ascii_ncasecmp(p, names + (ptrdiff_t)i * 3, 3) == 0)
			return i + 1;
	}
	return -1;
}

static int64_t days_from_civil(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t fetch_date(const char *p, size_t len)
{
	int day, month, year, hour, minute, second, zone_hour, zone_minute, zone;

	if (len == 25 && p[1] == '-') { /* " 1-Jan-2020" with its space lost: some servers */
		char padded[26] = " ";

		memcpy(padded + 1, p, 25);
		return fetch_date(padded, 26);
	}
	if (len != 26 || p[2] != '-' || p[6] != '-' || p[11] != ' ' || p[14] != ':' ||
	    p[17] != ':' || p[20] != ' ' || (p[21] != '+' && p[21] != '-'))
		return INT64_MIN;
	day = digits(p, 2);
	month = month_of(p + 3);
	year = digits(p + 7, 4);
	hour = digits(p + 12, 2);
	minute = digits(p + 15, 2);
	second = digits(p + 18, 2);
	zone_hour = digits(p + 22, 2);
	zone_minute = digits(p + 24, 2);
	if (day < 1 || day > 31 || month < 1 || year < 1 || hour < 0 || hour > 23 || minute < 0 ||
	    minute > 59 || second < 0 || second > 60 || zone_hour < 0 || zone_minute < 0)
		return INT64_MIN;
	zone = (zone_hour * 60 + zone_minute) * 60;
	return days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
	       (p[21] == '+' ? zone : -zone);
}

/* The date may come as a literal in theory; then it is skipped like anything strange. */
static enum scan read_date(struct cursor *at, struct error *err)
{
	const char *start = at->p;
	enum scan scan;

	if (at->p == at->end || *at->p != '"')
		return skip_value(at, err);
	scan = skip_quoted(at);
	if (scan != SCAN_OK)
		return scan;
	at->fetch->facts.date = fetch_date(start + 1, (size_t)(at->p - start) - 2);
	at->fetch->items |= ITEM_DATE;
	return SCAN_OK;
}

/* EMAILID (M1), X-GM-MSGID 12, X-GUID abc: atom, string, or either in parentheses. */
static enum scan read_id(struct cursor *at, struct error *err)
{
	const char *start = at->p, *stop;
	bool crossed = at->crossed;
	enum scan scan;
	char id[256];

	at->crossed = false;
	scan = skip_value(at, err);
	if (scan == SCAN_OK && !at->crossed) {
		stop = at->p;
		while (start < stop && ends_atom(*start))
			start++;
		while (stop > start && ends_atom(stop[-1]))
			stop--;
		if ((size_t)(stop - start) < sizeof(id) && stop > start) {
			memcpy(id, start, (size_t)(stop - start));
			id[stop - start] = '\0';
			at->fetch->facts.id = hash_of_string(id);
			at->fetch->items |= ITEM_ID;
		}
	}
	at->crossed = at->crossed || crossed;
	return scan;
}

/* ---- bodies ---- */

static enum scan body_literal(struct cursor *at, struct error *err)
{
	const struct operation *operation = at->conn->operation;
	struct line piece;
	uint64_t size;
	enum scan scan = literal_at(at, &size, err);

	if (scan != SCAN_OK)
		return scan;
	at->fetch->items |= ITEM_BODY;
	operation->body_begin(operation->ctx, at->fetch->facts.uid, size);
	while (size != 0) {
		if (reader_some(&at->conn->reader, size, &piece, err) < 0)
			return SCAN_FAILED;
		operation->body_data(operation->ctx, piece.data, piece.len);
		size -= piece.len;
	}
	return next_line(at, err);
}

static enum scan body_quoted(struct cursor *at)
{
	const struct operation *operation = at->conn->operation;
	const char *p = at->p + 1, *stop, *from;
	enum scan scan = skip_quoted(at);
	uint64_t size = 0;

	if (scan != SCAN_OK)
		return scan;
	stop = at->p - 1;
	for (from = p; from < stop; from++, size++)
		from += *from == '\\';
	at->fetch->items |= ITEM_BODY;
	operation->body_begin(operation->ctx, at->fetch->facts.uid, size);
	for (from = p; p < stop; p++) {
		if (*p != '\\')
			continue;
		if (p > from)
			operation->body_data(operation->ctx, from, (size_t)(p - from));
		from = ++p;
	}
	if (p > from)
		operation->body_data(operation->ctx, from, (size_t)(p - from));
	return SCAN_OK;
}

static enum scan read_body(struct cursor *at, struct error *err)
{
	const struct operation *operation = at->conn->operation;

	if (operation == NULL || operation->body_begin == NULL || at->p == at->end ||
	    (at->fetch->items & ITEM_BODY) != 0)
		return skip_value(at, err);
	if (at_literal(at))
		return body_literal(at, err);
	if (*at->p == '"')
		return body_quoted(at);
	return skip_value(at, err); /* NIL */
}

/* ---- items ---- */

static bool is(const char *name, size_t len, const char *word)
{
	return len == strlen(word) && ascii_ncasecmp(name, word, len) == 0;
}

/* The name with its section, such as BODY[HEADER]. */
static size_t read_name(struct cursor *at)
{
	const char *name = at->p, *close;

	while (at->p < at->end && *at->p != ' ' && *at->p != '(' && *at->p != ')' && *at->p != '[')
		at->p++;
	if (at->p < at->end && *at->p == '[') {
		close = memchr(at->p, ']', (size_t)(at->end - at->p));
		at->p = close != NULL ? close + 1 : at->end;
		while (at->p < at->end && *at->p != ' ')
			at->p++; /* the origin of a partial body */
	}
	return (size_t)(at->p - name);
}

static enum scan read_item(struct cursor *at, struct error *err)
{
	const char *name = at->p;
	size_t len = read_name(at);

	if (len == 0)
		return SCAN_MALFORMED;
	skip_spaces(at);
	if (is(name, len, "UID"))
		return read_uid(at);
	if (is(name, len, "FLAGS"))
		return read_flags(at);
	if (is(name, len, "MODSEQ"))
		return read_modseq(at);
	if (is(name, len, "BODY[]") || is(name, len, "BODY[HEADER]"))
		return read_body(at, err);
	if (is(name, len, "RFC822.SIZE"))
		return read_size(at);
	if (is(name, len, "INTERNALDATE"))
		return read_date(at, err);
	if (is(name, len, "EMAILID") || is(name, len, "X-GM-MSGID") || is(name, len, "X-GUID"))
		return read_id(at, err);
	return skip_value(at, err);
}

static enum scan read_items(struct cursor *at, struct error *err)
{
	enum scan scan;

	skip_spaces(at);
	if (at->p == at->end || *at->p != '(')
		return SCAN_MALFORMED;
	at->p++;
	for (;;) {
		skip_spaces(at);
		if (at->p == at->end)
			return SCAN_MALFORMED;
		if (*at->p == ')')
			return SCAN_OK;
		scan = read_item(at, err);
		if (scan != SCAN_OK)
			return scan;
	}
}

/* A malformed response can only be passed over if all of it was one line. */
static int malformed(const struct cursor *at, struct error *err)
{
	struct line rest = {at->p, (size_t)(at->end - at->p)};
	uint64_t size;
	size_t cut;

	if (at->crossed || (at->fetch->items & ITEM_BODY) != 0 ||
	    line_literal(&rest, &cut, &size, err) != 0)
		return error_set(err, ERROR_SERVER, "the server sent a malformed FETCH response");
	log_verbose("a malformed FETCH response was skipped");
	return 0;
}

int fetch_read(struct imap_conn *conn, uint32_t seq, const char *p, const char *end,
	       struct error *err)
{
	struct fetch fetch;
	struct cursor at = {conn, &fetch, p, end, false};

	memset(&fetch, 0, sizeof(fetch));
	fetch.seq = seq;
	fetch.facts.date = INT64_MIN;
	switch (read_items(&at, err)) {
	case SCAN_FAILED: return -1;
	case SCAN_MALFORMED: return malformed(&at, err);
	case SCAN_OK: break;
	}
	if (conn->operation != NULL && conn->operation->fetch != NULL)
		conn->operation->fetch(conn->operation->ctx, &fetch);
	return 0;
}
