/* A mailbox's name comes from the server and becomes a path below the Maildir root. It must
 * not leave the root, not be mistaken for what a Maildir itself holds (cur, new, tmp, our own
 * files), fit into a directory entry, and no two names may come to one path.
 *
 * Beyond what layout.h says: an empty level is written "%00" (a name cannot hold a NUL); a '%'
 * is escaped too where a level would else end like one that was cut; and a maildir++ directory,
 * which has all levels in one entry, is cut as a whole if its levels together are too long.
 *
 * A directory's name is turned back by undoing the escapes without much care, and accepted
 * only if the name found leads to the same path again. */
#include "core/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "core/fingerprint.h"
#include "core/names.h"
#include "core/names_private.h"

#define ENTRY_MOST 255
#define ENTRY_CUT 230
#define CUT_HEX 16 /* after "%~" */

static const char *const reserved[] = {"cur", "new", "tmp", "dovecot-keywords", ".mailtwin"};
static const char empty_level[] = "%00";

struct level {
	const char *text;
	size_t len;
	bool dots; /* every '.' is escaped (maildir++) */
	bool top;  /* a first level of maildir++ */
};

/* The value of a digit as we write escapes, -1 if it is none. */
static int upper_hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_hex(char c)
{
	return upper_hex(ascii_upper(c)) >= 0;
}

static bool is_reserved(const struct level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		if (strlen(reserved[i]) == level->len &&
		    memcmp(reserved[i], level->text, level->len) == 0)
			return true;
	}
	return level->top && level->len == strlen("mailtwin") &&
	       memcmp("mailtwin", level->text, level->len) == 0;
}

/* ---- to the path ---- */

/* Whether at p stands what is put behind a level that was cut. */
static bool is_cut_mark(const char *p, size_t len)
{
	if (len != 2 + CUT_HEX || p[0] != '%' || p[1] != '~')
		return false;
	for (size_t i = 2; i < len; i++) {
		if (!ascii_is_digit(p[i]) && (p[i] < 'a' || p[i] > 'f'))
			return false;
	}
	return true;
}

static size_t plain_percent(const char *p, size_t len)
{
	size_t group = name_slash_group(p, len);

	if (group != 0)
		return group; /* an escape already, and the same on disk */
	if (len > 2 && is_hex(p[1]) && is_hex(p[2]))
		return 0;
	return is_cut_mark(p, len) ? 0 : 1;
}

/* How many bytes from here stay as they are; 0: this one is escaped. */
static size_t plain(const struct level *level, size_t at)
{
	const char *p = level->text + at;
	size_t len = level->len - at;

	if (at == 0 && (*p == '.' || *p == '~' || is_reserved(level)))
		return 0;
	if ((unsigned char)*p < 0x20 || *p == 0x7f || (*p == '.' && level->dots))
		return 0;
	return *p == '%' ? plain_percent(p, len) : utf8_sequence(p, len);
}

static size_t escaped_token(const char *p, size_t len)
{
	size_t n = utf8_sequence(p, len);

	if (*p == '%' && len > 2 && is_hex(p[1]) && is_hex(p[2]))
		return 3;
	return n != 0 ? n : 1;
}

/* Cuts the entry that begins at start if it is too long. */
static void cut(struct text *out, size_t start, const char *whole, size_t len)
{
	size_t at = start, next = start;
	struct hash hash;
	char *copy;

	if (out->len - start <= ENTRY_MOST)
		return;
	while (next - start <= ENTRY_CUT) {
		at = next;
		next += escaped_token(out->data + at, out->len - at);
	}
	out->len = at;
	copy = xstrndup(whole, len);
	hash = hash_of_string(copy);
	free(copy);
	text_puts(out, "%~");
	for (size_t i = 0; i < CUT_HEX / 2; i++)
		text_printf(out, "%02x", hash.bytes[i]);
}

static void put_level(struct text *out, const struct level *level)
{
	size_t start = out->len, n;

	if (level->len == 0)
		text_puts(out, empty_level);
	for (size_t at = 0; at < level->len; at += n != 0 ? n : 1) {
		n = plain(level, at);
		if (n != 0)
			text_add(out, level->text + at, n);
		else
			text_printf(out, "%%%02X", (unsigned char)level->text[at]);
	}
	cut(out, start, level->text, level->len);
}

static void put_levels(struct text *out, enum layout layout, const char *name)
{
	bool dots = layout == LAYOUT_MAILDIRPP;
	const char *slash, *at = name;

	for (;; at = slash + 1) {
		struct level level = {.text = at, .dots = dots, .top = dots && at == name};

		slash = strchr(at, '/');
		level.len = slash != NULL ? (size_t)(slash - at) : strlen(at);
		put_level(out, &level);
		if (slash == NULL)
			return;
		text_putc(out, dots ? '.' : '/');
	}
}

char *layout_path(enum layout layout, const char *name)
{
	char *canonical = name_canonical(name);
	struct text out = {0};

	if (layout == LAYOUT_NESTED) {
		put_levels(&out, layout, canonical);
	} else {
		text_putc(&out, '.');
		if (!name_is_inbox(canonical))
			put_levels(&out, layout, canonical);
		cut(&out, 0, canonical, strlen(canonical));
	}
	free(canonical);
	return text_steal(&out);
}

/* ---- to the name ---- */

/* Undoes the escape at p, if there is one; returns the bytes used, 0 for a NUL. */
static size_t put_unescaped(struct text *out, const char *p, size_t len)
{
	size_t group = name_slash_group(p, len);
	int value;

	if (group == 0 && *p == '%' && len > 2 && upper_hex(p[1]) >= 0 && upper_hex(p[2]) >= 0) {
		value = upper_hex(p[1]) << 4 | upper_hex(p[2]);
		text_putc(out, (char)value);
		return value != 0 ? 3 : 0;
	}
	if (group == 0)
		group = 1;
	text_add(out, p, group);
	return group;
}

static bool put_name_level(struct text *out, const char *p, size_t len)
{
	size_t n;

	if (len == strlen(empty_level) && memcmp(p, empty_level, len) == 0)
		return true;
	for (; len != 0; p += n, len -= n) {
		n = put_unescaped(out, p, len);
		if (n == 0)
			return false;
	}
	return true;
}

static bool put_name(struct text *out, const char *path, char between)
{
	const char *end;

	for (;; path = end + 1) {
		end = strchr(path, between);
		if (!put_name_level(out, path, end != NULL ? (size_t)(end - path) : strlen(path)))
			return false;
		if (end == NULL)
			return true;
		text_putc(out, '/');
	}
}

char *layout_name(enum layout layout, const char *path)
{
	struct text out = {0};
	bool valid;
	char *again;

	if (layout == LAYOUT_NESTED)
		valid = put_name(&out, path, '/');
	else if (strcmp(path, ".") == 0)
		return xstrdup("INBOX");
	else
		valid = *path == '.' && put_name(&out, path + 1, '.');
	if (valid && out.len != 0) {
		again = layout_path(layout, text_get(&out));
		valid = strcmp(again, path) == 0;
		free(again);
		if (valid)
			return text_steal(&out);
	}
	text_release(&out);
	return NULL;
}
