/* NAMESPACE (RFC 2342): the prefix of our own mailboxes, and those of others to leave alone.
 *
 * libetpan has a parser for it, but a malformed response crashes it (found by fuzzing 1.9.4). */
#include "imap/imap_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct scanner {
	const char *p;
	const char *end;
};

static bool accept(struct scanner *at, char c)
{
	while (at->p < at->end && *at->p == ' ')
		at->p++;
	if (at->p == at->end || *at->p != c)
		return false;
	at->p++;
	return true;
}

static bool accept_nil(struct scanner *at)
{
	while (at->p < at->end && *at->p == ' ')
		at->p++;
	if (at->end - at->p < 3 || ascii_ncasecmp(at->p, "NIL", 3) != 0)
		return false;
	at->p += 3;
	return true;
}

static bool read_quoted(struct scanner *at, struct text *out)
{
	for (; at->p < at->end && *at->p != '"'; at->p++) {
		if (*at->p == '\\' && at->p + 1 < at->end)
			at->p++;
		text_putc(out, *at->p);
	}
	return accept(at, '"');
}

/* "{n}" CR LF and its octets, put in place by the framer. */
static bool read_literal(struct scanner *at, struct text *out)
{
	uint64_t size;

	if (!scan_number(&at->p, at->end, LITERAL_MAX_OCTETS, &size) || at->end - at->p < 3 ||
	    (uint64_t)(at->end - at->p - 3) < size || *at->p != '}')
		return false;
	text_add(out, at->p + 3, (size_t)size);
	at->p += 3 + size;
	return true;
}

static bool read_string(struct scanner *at, struct text *out)
{
	text_clear(out);
	if (accept(at, '"'))
		return read_quoted(at, out);
	return accept(at, '{') && read_literal(at, out);
}

/* What an extension added after prefix and delimiter. */
static bool skip_to_close(struct scanner *at, struct text *scratch)
{
	for (int depth = 1; depth > 0;) {
		if (accept(at, '(')) {
			depth++;
		} else if (accept(at, ')')) {
			depth--;
		} else if (at->p < at->end && (*at->p == '"' || *at->p == '{')) {
			if (!read_string(at, scratch))
				return false;
		} else if (at->p++ >= at->end) {
			return false;
		}
	}
	return true;
}

static void take_prefix(struct imap_conn *conn, int which, const char *prefix, char delimiter,
			bool first)
{
	if (which == 0 && first) {
		free(conn->ns_prefix);
		conn->ns_prefix = xstrdup(prefix);
		conn->ns.prefix = conn->ns_prefix;
		conn->ns.delimiter = delimiter;
	} else if (which != 0 && prefix[0] != '\0') {
		conn->foreign =
			xreallocarray(conn->foreign, conn->n_foreign + 1, sizeof(*conn->foreign));
		conn->foreign[conn->n_foreign++] = xstrdup(prefix);
	}
}

/* One of the three: personal, others', shared. */
static bool read_group(struct imap_conn *conn, struct scanner *at, int which, struct text *scratch)
{
	char *prefix, delimiter;
	bool good = true;

	if (accept_nil(at))
		return true;
	if (!accept(at, '('))
		return false;
	for (bool first = true; good && accept(at, '('); first = false) {
		if (!read_string(at, scratch))
			return false;
		prefix = xstrdup(text_get(scratch));
		delimiter = '\0';
		if (!accept_nil(at)) {
			good = read_string(at, scratch) && scratch->len == 1;
			delimiter = *text_get(scratch);
		}
		good = good && skip_to_close(at, scratch);
		if (good)
			take_prefix(conn, which, prefix, delimiter, first);
		free(prefix);
	}
	return good && accept(at, ')');
}

bool namespace_take(struct imap_conn *conn, const char *p, size_t len)
{
	struct scanner at = {p, p + len};
	struct text scratch = {0};
	bool good = true;

	for (size_t i = 0; i < conn->n_foreign; i++)
		free(conn->foreign[i]);
	conn->n_foreign = 0;
	for (int which = 0; which < 3 && good; which++)
		good = read_group(conn, &at, which, &scratch);
	text_release(&scratch);
	return good;
}
