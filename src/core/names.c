/* Two things on the wire could make one name of two mailboxes.
 *
 * A '/' inside a level, where the delimiter is another: it becomes "%2F", and what already
 * looks like that is escaped once more (names_private.h). This is done whatever the delimiter,
 * so that a name means the same on every server, and on disk.
 *
 * The prefix. With the prefix "INBOX." the mailbox INBOX.INBOX would, without it, be INBOX,
 * which is another one; and INBOX.inbox would be INBOX after its case is mended. So below a
 * prefix, where the levels INBOX at the beginning (if any) are followed by nothing or by
 * another spelling of INBOX, one level INBOX more is put in front:
 *
 *	INBOX             INBOX			INBOX.INBOX.x       INBOX/x
 *	INBOX.INBOX       INBOX/INBOX		INBOX.inbox.x       INBOX/inbox/x
 *	INBOX.INBOX.INBOX INBOX/INBOX/INBOX	INBOX.INBOX.inbox   INBOX/INBOX/inbox
 *
 * Every name has one mailbox below the prefix, and every mailbox one name. (A mailbox outside
 * the prefix keeps its full name; no name leads to it, only the record does.) */
#include "core/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "core/names_private.h"

static const char inbox[] = "INBOX";
#define INBOX_LEN (sizeof(inbox) - 1)

size_t name_slash_group(const char *p, size_t len)
{
	size_t n = 1;

	if (len == 0 || *p != '%')
		return 0;
	while (len - n >= 2 && memcmp(p + n, "25", 2) == 0)
		n += 2;
	return len - n >= 2 && memcmp(p + n, "2F", 2) == 0 ? n + 2 : 0;
}

static bool begins_with_inbox(const char *name, char delimiter)
{
	return ascii_ncasecmp(name, inbox, INBOX_LEN) == 0 &&
	       (name[INBOX_LEN] == '\0' || name[INBOX_LEN] == delimiter);
}

bool name_below_inbox(const char *name)
{
	return begins_with_inbox(name, '/');
}

bool name_is_inbox(const char *name)
{
	return ascii_case_equal(name, inbox);
}

char *name_canonical(const char *name)
{
	char *copy = xstrdup(name);

	if (name_below_inbox(copy))
		memcpy(copy, inbox, INBOX_LEN);
	return copy;
}

/* Whether a name below a prefix must get, or has got, one level INBOX more. */
static bool shadows_inbox(const char *name)
{
	while (starts_with(name, "INBOX/"))
		name += INBOX_LEN + 1;
	return name_below_inbox(name);
}

/* ---- from the wire ---- */

/* What follows the prefix; NULL for a mailbox outside it. */
static const char *below_prefix(const struct namespace *ns, const char *wire)
{
	size_t len = strlen(ns->prefix), any_case = 0;
	const char *rest;

	if (len == 0)
		return NULL;
	if (begins_with_inbox(ns->prefix, ns->delimiter))
		any_case = INBOX_LEN;
	if (ascii_ncasecmp(wire, ns->prefix, any_case) != 0 ||
	    strncmp(wire + any_case, ns->prefix + any_case, len - any_case) != 0)
		return NULL;
	rest = wire + len;
	if (ns->delimiter != '\0' && ns->prefix[len - 1] != ns->delimiter) {
		if (*rest != ns->delimiter)
			return NULL;
		rest++;
	}
	return *rest != '\0' ? rest : NULL;
}

static char *decode(const struct namespace *ns, const char *wire)
{
	char *decoded = ns->utf8 ? NULL : utf7_decode(wire);

	return decoded != NULL ? decoded : xstrdup(wire);
}

/* From the server's delimiter to '/'. */
static void put_levels(struct text *out, const char *decoded, char delimiter)
{
	size_t left = strlen(decoded);

	for (; left != 0; decoded++, left--) {
		if (*decoded == delimiter) {
			text_putc(out, '/');
		} else if (*decoded == '/') {
			text_puts(out, "%2F");
		} else {
			text_putc(out, *decoded);
			if (name_slash_group(decoded, left) != 0)
				text_puts(out, "25");
		}
	}
}

char *name_from_wire(const struct namespace *ns, const char *wire)
{
	const char *rest = below_prefix(ns, wire);
	char *decoded = decode(ns, rest != NULL ? rest : wire), *name;
	struct text out = {0};

	put_levels(&out, decoded, ns->delimiter);
	free(decoded);
	if (rest == NULL)
		name = name_canonical(text_get(&out));
	else if (shadows_inbox(text_get(&out)))
		name = xasprintf("INBOX/%s", text_get(&out));
	else
		name = xstrdup(text_get(&out));
	text_release(&out);
	return name;
}

/* ---- to the wire ---- */

/* From '/' to the server's delimiter; false if that is not possible. */
static bool put_mailbox(struct text *out, const char *name, char delimiter)
{
	size_t left = strlen(name), group, n;

	for (; left != 0; name += n, left -= n) {
		char c = *name;

		n = 1;
		group = name_slash_group(name, left);
		if (c == '/') {
			c = delimiter;
			if (c == '\0')
				return false;
		} else if (group == 3) {
			c = '/';
			n = group;
			if (c == delimiter)
				return false;
		} else if (c == delimiter) {
			return false;
		} else if (group != 0) {
			n = 3;
		}
		text_putc(out, c);
	}
	return true;
}

static char *encode(const struct namespace *ns, const char *mailbox)
{
	size_t len = strlen(ns->prefix);
	char between[2] = {ns->delimiter, '\0'};
	bool as_it_is = ns->utf8 || !utf8_valid(mailbox, strlen(mailbox)); /* as it came */
	char *encoded = as_it_is ? xstrdup(mailbox) : utf7_encode(mailbox), *wire;

	if (len == 0 || ns->prefix[len - 1] == ns->delimiter)
		between[0] = '\0';
	wire = xasprintf("%s%s%s", ns->prefix, between, encoded);
	free(encoded);
	return wire;
}

char *name_to_wire(const struct namespace *ns, const char *name)
{
	char *canonical, *wire = NULL;
	const char *rest;
	struct text mailbox = {0};

	if (*name == '\0')
		return NULL;
	if (name_is_inbox(name))
		return xstrdup(inbox);
	canonical = name_canonical(name);
	rest = canonical;
	if (ns->prefix[0] != '\0' && shadows_inbox(canonical))
		rest += INBOX_LEN + 1;
	if (put_mailbox(&mailbox, rest, ns->delimiter))
		wire = encode(ns, text_get(&mailbox));
	free(canonical);
	text_release(&mailbox);
	return wire;
}
