/* One response: which kind it is, and the small grammar of conditions and response codes
 * (RFC 9051 section 7.1), which libetpan's parser is not given: it was seen to crash on malformed
 * ones, and to refuse conditions without text, which real servers send. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

bool scan_number(const char **p, const char *end, uint64_t max, uint64_t *value)
{
	const char *at = *p;
	uint64_t n = 0;

	if (at == end || !ascii_is_digit(*at))
		return false;
	for (; at < end && ascii_is_digit(*at); at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (digit > max || n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*p = at;
	*value = n;
	return true;
}

static const struct {
	const char *word;
	enum condition condition;
} conditions[] = {
	{"OK", CONDITION_OK},   {"NO", CONDITION_NO},           {"BAD", CONDITION_BAD},
	{"BYE", CONDITION_BYE}, {"PREAUTH", CONDITION_PREAUTH},
};

/* The "]" that ends the code; keywords in PERMANENTFLAGS may hold one inside the parentheses. */
static const char *code_end(const char *p, const char *end)
{
	bool quoted = false;
	int depth = 0;

	for (; p < end; p++) {
		if (quoted && *p == '\\' && p + 1 < end)
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted && *p == '(')
			depth++;
		else if (!quoted && *p == ')')
			depth--;
		else if (!quoted && depth <= 0 && *p == ']')
			return p;
	}
	return NULL;
}

static const char *read_code(const char *p, const char *end, struct status_text *status)
{
	const char *close = code_end(p, end), *word = p;
	size_t len;

	if (close == NULL && p < end)
		close = memchr(p, ']', (size_t)(end - p));
	if (close == NULL)
		return p;
	while (p < close && *p != ' ')
		p++;
	len = (size_t)(p - word);
	if (len < sizeof(status->code)) {
		for (size_t i = 0; i < len; i++)
			status->code[i] = ascii_upper(word[i]);
		status->code[len] = '\0';
	}
	while (p < close && *p == ' ')
		p++;
	status->args.data = p;
	status->args.len = (size_t)(close - p);
	return close + 1;
}

bool status_text_parse(const char *p, size_t len, struct status_text *status)
{
	const char *end = p + len, *word = p;
	size_t i;

	memset(status, 0, sizeof(*status));
	while (p < end && *p != ' ')
		p++;
	for (i = 0; i < ARRAY_SIZE(conditions); i++) {
		if (strlen(conditions[i].word) == (size_t)(p - word) &&
		    ascii_ncasecmp(word, conditions[i].word, (size_t)(p - word)) == 0)
			break;
	}
	if (i == ARRAY_SIZE(conditions))
		return false;
	status->condition = conditions[i].condition;
	while (p < end && *p == ' ')
		p++;
	status->args.data = p;
	if (p < end && *p == '[')
		p = read_code(p + 1, end, status);
	while (p < end && *p == ' ')
		p++;
	status->text.data = p;
	status->text.len = (size_t)(end - p);
	return true;
}

static bool text_says(const char *text, size_t len, const char *words)
{
	size_t need = strlen(words);

	for (size_t i = 0; i + need <= len; i++) {
		if (ascii_ncasecmp(text + i, words, need) == 0)
			return true;
	}
	return false;
}

bool status_text_says(const struct status_text *status, const char *words)
{
	return text_says(status->text.data, status->text.len, words);
}

int uid_set_expand(const char *p, size_t len, uint32_t *uids, size_t max, size_t *n)
{
	const char *end = p + len;
	uint64_t first, last;

	*n = 0;
	for (;;) {
		if (!scan_number(&p, end, UINT32_MAX, &first) || first == 0)
			return -1;
		last = first;
		if (p < end && *p == ':') {
			p++;
			if (!scan_number(&p, end, UINT32_MAX, &last) || last == 0)
				return -1;
		}
		if (last < first) {
			uint64_t swap = first;

			first = last;
			last = swap;
		}
		if (last - first + 1 > max - *n)
			return -1;
		for (; first <= last; first++)
			uids[(*n)++] = (uint32_t)first;
		if (p == end)
			return 0;
		if (*p++ != ',')
			return -1;
	}
}

void reply_set(struct reply *reply, const struct status_text *status)
{
	size_t len = status->text.len, cut;

	reply->condition = status->condition;
	memcpy(reply->code, status->code, sizeof(reply->code));
	if (len >= sizeof(reply->text))
		len = sizeof(reply->text) - 1;
	memcpy(reply->text, status->text.data, len);
	reply->text[len] = '\0';
	for (cut = 0; cut < len; cut++) { /* a NUL would hide the rest */
		if (reply->text[cut] == '\0')
			reply->text[cut] = '?';
	}
}

/* Many servers say only in words that a mailbox does not exist. */
bool reply_says_missing(const struct reply *reply)
{
	static const char *const words[] = {"exist", "not found", "no such", "unknown mailbox"};
	size_t len = strlen(reply->text);

	if (reply->condition != CONDITION_NO)
		return false;
	if (strcmp(reply->code, "NONEXISTENT") == 0 || strcmp(reply->code, "TRYCREATE") == 0)
		return true;
	if (reply->code[0] != '\0')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (text_says(reply->text, len, words[i]))
			return !text_says(reply->text, len, "already");
	}
	return false;
}

int refused(struct error *err, const char *what, const struct reply *reply)
{
	return error_set(err, ERROR_REFUSED, "%s: the server said %s%s%s%s %s", what,
			 reply->condition == CONDITION_BAD ? "BAD" : "NO",
			 reply->code[0] != '\0' ? " [" : "", reply->code,
			 reply->code[0] != '\0' ? "]" : "", reply->text);
}

int conn_fail(struct imap_conn *conn, struct error *err, enum error_kind kind, const char *text)
{
	conn->dead = true;
	return error_set(err, kind, "%s", text);
}

static bool bye_is_temporary(const struct status_text *status)
{
	static const char *const words[] = {
		"too many",   "try again", "temporar", "shutting down", "shutdown",
		"inactivity", "idle",      "timeout",  "throttled",     "connection is closed"};

	if (strcmp(status->code, "UNAVAILABLE") == 0 || strcmp(status->code, "INUSE") == 0 ||
	    strcmp(status->code, "LIMIT") == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (status_text_says(status, words[i]))
			return true;
	}
	return false;
}

static int bye(struct imap_conn *conn, const struct status_text *status, struct error *err)
{
	struct reply reply;

	if (conn->closing)
		return 0;
	reply_set(&reply, status);
	conn->dead = true;
	return error_set(err, bye_is_temporary(status) ? ERROR_NETWORK : ERROR_SERVER,
			 "the server closed the connection: %s", reply.text);
}

/* What every condition may carry, tagged or not. */
static void take_code(struct imap_conn *conn, const struct status_text *status)
{
	if (status->code[0] == '\0')
		return;
	if (strcmp(status->code, "ALERT") == 0)
		log_verbose("the server's alert: %.*s", (int)status->text.len, status->text.data);
	else if (strcmp(status->code, "CAPABILITY") == 0)
		capabilities_take(conn, status->args.data, status->args.len);
	else
		selection_code(conn, status);
}

static int untagged_condition(struct imap_conn *conn, const struct status_text *status,
			      struct error *err)
{
	take_code(conn, status);
	if (status->condition == CONDITION_BYE)
		return bye(conn, status, err);
	if (status->condition == CONDITION_NO || status->condition == CONDITION_BAD)
		log_verbose("the server says: %.*s", (int)status->text.len, status->text.data);
	if (conn->operation != NULL && conn->operation->code != NULL)
		conn->operation->code(conn->operation->ctx, status);
	return 0;
}

/* "n EXISTS" and the like; Mailutils says EXPUNGED. */
static int numbered(struct imap_conn *conn, const struct line *line, struct error *err)
{
	const char *p = line->data + 2, *end = line->data + line->len, *word;
	uint64_t number;
	size_t len;

	if (!scan_number(&p, end, UINT32_MAX, &number) || p == end || *p != ' ') {
		log_protocol("a response that begins with no fit number was skipped");
		return 0;
	}
	while (p < end && *p == ' ')
		p++;
	for (word = p; p < end && *p != ' ' && *p != '(';)
		p++;
	len = (size_t)(p - word);
	if (len == 5 && ascii_ncasecmp(word, "FETCH", 5) == 0)
		return fetch_read(conn, (uint32_t)number, p, end, err);
	if (len == 6 && ascii_ncasecmp(word, "EXISTS", 6) == 0)
		conn->exists = (uint32_t)number;
	else if (len >= 7 && len <= 8 && ascii_ncasecmp(word, "EXPUNGED", len) == 0)
		conn->exists -= conn->exists != 0;
	return 0;
}

static int untagged(struct imap_conn *conn, const struct line *line, struct error *err)
{
	struct status_text status;

	if (ascii_is_digit(line->data[2]))
		return numbered(conn, line, err);
	if (status_text_parse(line->data + 2, line->len - 2, &status))
		return untagged_condition(conn, &status, err);
	if (reader_assemble(&conn->reader, line, &conn->assembled, err) < 0)
		return -1;
	return etpan_dispatch(conn, conn->assembled.data, conn->assembled.len, err);
}

static int tagged(struct imap_conn *conn, const struct line *line, struct error *err)
{
	const char *p = line->data, *end = p + line->len;
	struct status_text status;
	uint64_t tag;

	if (p < end && ascii_lower(*p) == 'm' && (p++, scan_number(&p, end, UINT32_MAX, &tag)) &&
	    p < end && *p == ' ') {
		while (p < end && *p == ' ')
			p++;
		if (status_text_parse(p, (size_t)(end - p), &status)) {
			take_code(conn, &status);
			if (tag == conn->reply_tag)
				reply_set(&conn->reply, &status);
			if (queue_answer(conn, (uint32_t)tag, &status) == 0)
				return 0;
		}
	}
	return error_set(err, ERROR_SERVER, "the server sent what is no response: %.*s",
			 (int)(line->len < 100 ? line->len : 100), line->data);
}

static void trace(const struct line *line)
{
	size_t len = line->len < 2000 ? line->len : 2000;

	log_protocol("S: %.*s%s", (int)len, line->data, len < line->len ? "..." : "");
}

int conn_read(struct imap_conn *conn, struct error *err)
{
	struct line line;
	int result = 0;

	if (reader_line(&conn->reader, &line, err) < 0) {
		conn->dead = true;
		return -1;
	}
	if (log_get_level() >= LOG_PROTOCOL)
		trace(&line);
	if (line.len > 2 && line.data[0] == '*' && line.data[1] == ' ') {
		result = untagged(conn, &line, err);
	} else if (line.len >= 1 && line.data[0] == '+') {
		conn->continued = true;
		text_clear(&conn->continuation);
		if (line.len > 2)
			text_add(&conn->continuation, line.data + 2, line.len - 2);
	} else if (line.len != 0) {
		result = tagged(conn, &line, err);
	}
	if (result < 0)
		conn->dead = true;
	return result;
}
