/* What libConfuse 3.3 misreads (each tried), and what is done about it before it sees the text:
 *
 * - A comment within a list is a syntax error, one between slash and star counts a line too many:
 *   comments become blanks.
 * - A double-quoted string that is not closed leaves the scanner inside it for the next file; strings
 *   must end on their line.
 * - In double quotes \b is a backspace and \1 an octal number, so 'pass\bob' loses a letter: only
 *   \\ \" and \$ are allowed there.
 * - "${NAME}" of a variable that is not set is an empty string: an error.
 * - A star outside quotes is dropped without a word, so that folders = { * } chooses nothing.
 * - "a|b" as a name reaches into a section; "+=" works on lists only.
 * - An include( that breaks off leaks its arguments: exactly one in parentheses.
 * - An empty list calls nobody back, so a list given twice would go unseen: { } becomes { '' }.
 * - NUL ends the text.
 *
 * Also notes the lines of section braces: libConfuse knows only where a section ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/config_private.h"

struct scanner {
	struct scanned *out;
	const char *file;
	const char *at, *end;
	int line;
	int depth;
	int opened;        /* line of the brace that took us to this depth, or a deeper one */
	bool after_equals; /* the token before was '=' */
	bool list_open;    /* the token before was a list's opening brace */
	enum { NO_PARENTHESIS, PARENTHESIS_OPEN, ARGUMENT_READ } argument;
	struct error *err;
};

void scanned_release(struct scanned *scanned)
{
	if (scanned->text.data != NULL)
		explicit_bzero(scanned->text.data, scanned->text.room);
	text_release(&scanned->text);
	free(scanned->section_lines);
	memset(scanned, 0, sizeof(*scanned));
}

static int fail(struct scanner *s, const char *what)
{
	return error_set(s->err, ERROR_CONFIG, "%s:%d: %s", s->file, s->line, what);
}

static int peek(const struct scanner *s, size_t ahead)
{
	return (size_t)(s->end - s->at) > ahead ? (unsigned char)s->at[ahead] : -1;
}

static void take(struct scanner *s, size_t n)
{
	text_add(&s->out->text, s->at, n);
	s->at += n;
}

static int control_character(struct scanner *s)
{
	return error_set(s->err, ERROR_CONFIG,
			 "%s:%d: unexpected byte \\x%02X; is this a text file?", s->file, s->line,
			 (unsigned char)*s->at);
}

static void skip_line_comment(struct scanner *s)
{
	while (peek(s, 0) != '\n' && s->at < s->end)
		s->at++;
}

static int skip_block_comment(struct scanner *s)
{
	int first = s->line;

	for (s->at += 2; s->at < s->end; s->at++) {
		if (peek(s, 0) == '*' && peek(s, 1) == '/') {
			s->at += 2;
			text_putc(&s->out->text, ' ');
			return 0;
		}
		if (peek(s, 0) == '\n') {
			text_putc(&s->out->text, '\n');
			s->line++;
		}
	}
	s->line = first;
	return fail(s, "the comment that begins with /* is not closed");
}

/* The length of a variable's name. */
static size_t name_length(const char *p, const char *end)
{
	size_t len = 0;

	while (p + len < end && (ascii_is_alpha(p[len]) || ascii_is_digit(p[len]) || p[len] == '_'))
		len++;
	return len;
}

/* The closing brace on this line, or NULL. */
static const char *find_brace(const char *p, const char *end)
{
	for (; p < end && *p != '\n'; p++) {
		if (*p == '}')
			return p;
	}
	return NULL;
}

/* At "${" in double quotes. */
static int scan_variable(struct scanner *s)
{
	const char *rest = s->at + 2 + name_length(s->at + 2, s->end);
	const char *close = find_brace(rest, s->end);
	bool fallback = rest + 1 < s->end && rest[0] == ':' && rest[1] == '-';
	char *name;

	if (close == NULL || rest == s->at + 2 || (close != rest && !fallback))
		return fail(s, "expected ${NAME} or ${NAME:-value}; write \\$ for a dollar sign");
	name = xstrndup(s->at + 2, (size_t)(rest - s->at - 2));
	if (!fallback && getenv(name) == NULL) {
		error_set(s->err, ERROR_CONFIG,
			  "%s:%d: the environment variable '%s' is not set; "
			  "write ${%s:-value} to give a default",
			  s->file, s->line, name, name);
		free(name);
		return -1;
	}
	free(name);
	take(s, (size_t)(close + 1 - s->at));
	return 0;
}

static int scan_double_quoted(struct scanner *s)
{
	for (take(s, 1); s->at < s->end && *s->at != '\n';) {
		int c = peek(s, 0), next = peek(s, 1);

		if (c == '"') {
			take(s, 1);
			return 0;
		}
		if (c == '\\') {
			if (next != '\\' && next != '"' && next != '$')
				return fail(s, "in double quotes a backslash may only stand before "
					       "\\, \" or $; use 'single quotes'");
			take(s, 2);
		} else if (c == '$' && next == '{') {
			if (scan_variable(s) != 0)
				return -1;
		} else if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return control_character(s);
		} else {
			take(s, 1);
		}
	}
	return fail(s, "the string that begins with \" is not closed on its line");
}

static int scan_single_quoted(struct scanner *s)
{
	for (take(s, 1); s->at < s->end && *s->at != '\n';) {
		int c = peek(s, 0), next = peek(s, 1);

		if (c == '\'') {
			take(s, 1);
			return 0;
		}
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return control_character(s);
		take(s, c == '\\' && (next == '\\' || next == '\'') ? 2 : 1);
	}
	return fail(s, "the string that begins with ' is not closed on its line "
		       "(in single quotes write \\' for ' and \\\\ for a backslash at the end)");
}

static bool is_word(int c)
{
	return c > 0x20 && c != 0x7f && strchr("#\"'={}()+,*|", c) == NULL;
}

static int scan_word(struct scanner *s)
{
	while (is_word(peek(s, 0))) {
		if (peek(s, 0) == '$' && peek(s, 1) == '{')
			return fail(s, "a variable must stand in \"double quotes\"");
		if (peek(s, 0) == '/' && peek(s, 1) == '*')
			break;
		take(s, 1);
	}
	return 0;
}

static void open_brace(struct scanner *s)
{
	struct scanned *out = s->out;

	if (!s->after_equals && s->depth == 0) {
		out->section_lines = grow(out->section_lines, out->n_sections, &out->room,
					  sizeof(*out->section_lines));
		out->section_lines[out->n_sections++] = s->line;
	}
	s->depth++;
	s->opened = s->line;
	s->list_open = s->after_equals;
	take(s, 1);
}

/* A punctuation character that libConfuse understands. */
static int scan_punctuation(struct scanner *s)
{
	switch (*s->at) {
	case '{': open_brace(s); break;
	case '}':
		if (s->list_open)
			text_puts(&s->out->text, "''");
		s->depth -= s->depth > 0;
		take(s, 1);
		break;
	case '=':
	case ',':
	case '(':
	case ')': take(s, 1); break;
	case '+': return fail(s, "unexpected '+'; put it in 'single quotes'");
	case '*': return fail(s, "unexpected '*'; put it in 'single quotes'");
	case '|': return fail(s, "unexpected '|'; put it in 'single quotes'");
	default: return control_character(s);
	}
	return 0;
}

/* Follows "( argument )" at the token that begins with c. */
static int follow_argument(struct scanner *s, int c)
{
	bool is_string = c == '\'' || c == '"' || is_word(c);

	if (s->argument == NO_PARENTHESIS && c == '(')
		s->argument = PARENTHESIS_OPEN;
	else if (s->argument == PARENTHESIS_OPEN && is_string)
		s->argument = ARGUMENT_READ;
	else if (s->argument == ARGUMENT_READ && c == ')')
		s->argument = NO_PARENTHESIS;
	else if (s->argument != NO_PARENTHESIS)
		return fail(s, "include: expected one file name or pattern");
	return 0;
}

static int scan_token(struct scanner *s)
{
	int c = peek(s, 0), result;

	if (follow_argument(s, c) != 0)
		return -1;
	if (c == '\'')
		result = scan_single_quoted(s);
	else if (c == '"')
		result = scan_double_quoted(s);
	else if (is_word(c))
		result = scan_word(s);
	else
		result = scan_punctuation(s);
	s->after_equals = c == '=';
	s->list_open = s->list_open && c == '{';
	return result;
}

static int scan_next(struct scanner *s)
{
	int c = peek(s, 0), next = peek(s, 1);

	if (c == '\n') {
		s->line++;
		take(s, 1);
	} else if (c == '\r' && next == '\n') {
		s->at++;
	} else if (c == ' ' || c == '\t') {
		take(s, 1);
	} else if (c == '#' || (c == '/' && next == '/')) {
		skip_line_comment(s);
	} else if (c == '/' && next == '*') {
		return skip_block_comment(s);
	} else {
		return scan_token(s);
	}
	return 0;
}

int config_scan(struct scanned *scanned, const char *file, const char *data, size_t len,
		struct error *err)
{
	struct scanner s = {
		.out = scanned, .file = file, .at = data, .end = data + len, .line = 1, .err = err};

	memset(scanned, 0, sizeof(*scanned));
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		s.at += 3; /* a byte order mark */
	while (s.at < s.end) {
		if (scan_next(&s) != 0) {
			scanned_release(scanned);
			return -1;
		}
	}
	text_putc(&scanned->text, '\n');
	if (s.depth != 0 || s.argument != NO_PARENTHESIS) {
		s.line = s.depth != 0 ? s.opened : s.line;
		fail(&s, s.depth != 0 ? "the brace { is not closed"
				      : "include: expected one file name or pattern");
		scanned_release(scanned);
		return -1;
	}
	return 0;
}
