/* Lines and literals out of octets (RFC 9051 section 4).
 *
 * A line is given out in place, from the buffer it was read into: a listing of 100,000 messages
 * must not be copied. A response with literals is put together in one piece for libetpan's parser,
 * which then never reads from the network itself: if it cannot make sense of a response, the next
 * one still begins where it should. Every length is bounded, for the server may be hostile. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

#define READER_ROOM ((size_t)128 << 10)

void reader_init(struct reader *reader, struct stream *stream)
{
	memset(reader, 0, sizeof(*reader));
	reader->stream = stream;
	reader->room = READER_ROOM;
	reader->data = xmalloc(reader->room);
}

void reader_release(struct reader *reader)
{
	free(reader->data);
	memset(reader, 0, sizeof(*reader));
}

static int fill(struct reader *reader, struct error *err)
{
	size_t room = reader->careful ? 1 : reader->room - reader->end;
	ptrdiff_t got = stream_read(reader->stream, reader->data + reader->end, room, err);

	if (got < 0)
		return -1;
	reader->end += (size_t)got;
	return 0;
}

static int make_room(struct reader *reader, struct error *err)
{
	size_t len = reader->end - reader->start;

	if (reader->start != 0 && len <= reader->room / 2) {
		memmove(reader->data, reader->data + reader->start, len);
		reader->start = 0;
		reader->end = len;
		return 0;
	}
	if (len >= LINE_MAX_OCTETS)
		return error_set(err, ERROR_SERVER,
				 "the server sent a line of more than %zu octets", LINE_MAX_OCTETS);
	if (reader->end == reader->room) {
		reader->room *= 2;
		reader->data = xreallocarray(reader->data, reader->room, 1);
	}
	return 0;
}

/* A long line made the buffer large; once it is empty it may go back to its size. */
static void shrink(struct reader *reader)
{
	reader->start = reader->end = 0;
	if (reader->room > READER_ROOM) {
		reader->room = READER_ROOM;
		reader->data = xreallocarray(reader->data, reader->room, 1);
	}
}

int reader_line(struct reader *reader, struct line *line, struct error *err)
{
	size_t seen = 0, len;
	const char *newline;

	if (reader->start == reader->end)
		shrink(reader);
	for (;;) {
		newline = memchr(reader->data + reader->start + seen, '\n',
				 reader->end - reader->start - seen);
		if (newline != NULL)
			break;
		seen = reader->end - reader->start;
		if (reader->end == reader->room && make_room(reader, err) < 0)
			return -1;
		if (fill(reader, err) < 0)
			return -1;
	}
	line->data = reader->data + reader->start;
	len = (size_t)(newline - line->data);
	reader->start += len + 1;
	if (len != 0 && line->data[len - 1] == '\r')
		len--;
	line->len = len;
	return 0;
}

int reader_some(struct reader *reader, uint64_t max, struct line *piece, struct error *err)
{
	size_t len;

	if (reader->start == reader->end) {
		shrink(reader);
		if (fill(reader, err) < 0)
			return -1;
	}
	len = reader->end - reader->start;
	if (len > max)
		len = (size_t)max;
	piece->data = reader->data + reader->start;
	piece->len = len;
	reader->start += len;
	return 0;
}

int reader_skip(struct reader *reader, uint64_t len, struct error *err)
{
	struct line piece;

	while (len != 0) {
		if (reader_some(reader, len, &piece, err) < 0)
			return -1;
		len -= piece.len;
	}
	return 0;
}

int line_literal(const struct line *line, size_t *cut, uint64_t *size, struct error *err)
{
	size_t at = line->len;
	const char *p;

	if (at < 3 || line->data[at - 1] != '}')
		return 0;
	at--;
	if (line->data[at - 1] == '+')
		at--;
	p = line->data + at;
	while (p > line->data && ascii_is_digit(p[-1]))
		p--;
	if (p == line->data + at || p == line->data || p[-1] != '{')
		return 0;
	*cut = (size_t)(p - 1 - line->data);
	if (*cut != 0 && line->data[*cut - 1] == '~')
		(*cut)--;
	if (!scan_number(&p, line->data + at, UINT32_MAX, size))
		return error_set(err, ERROR_SERVER,
				 "the server announced a literal of 4 GiB or more");
	return 1;
}

/* libetpan takes strings that end at a NUL, and none may be in a response anyway. */
static void add_without_nul(struct text *out, const char *data, size_t len)
{
	size_t from = out->len;
	char *nul;

	text_add(out, data, len);
	while (len != 0 && (nul = memchr(out->data + from, '\0', out->len - from)) != NULL)
		*nul = '?';
}

static int add_literal(struct reader *reader, uint64_t size, struct text *out, struct error *err)
{
	struct line piece;

	if (size > LITERAL_MAX_OCTETS || out->len + size > LINE_MAX_OCTETS)
		return error_set(err, ERROR_SERVER,
				 "the server announced a literal of %" PRIu64
				 " octets where none of that size belongs",
				 size);
	text_printf(out, "{%" PRIu64 "}\r\n", size);
	log_protocol("S: {%" PRIu64 " bytes}", size);
	while (size != 0) {
		if (reader_some(reader, size, &piece, err) < 0)
			return -1;
		add_without_nul(out, piece.data, piece.len);
		size -= piece.len;
	}
	return 0;
}

int reader_assemble(struct reader *reader, const struct line *first, struct text *out,
		    struct error *err)
{
	struct line line = *first;
	uint64_t size;
	size_t cut;
	int literal;

	text_clear(out);
	for (;;) {
		literal = line_literal(&line, &cut, &size, err);
		if (literal < 0)
			return -1;
		if (out->len + line.len > LINE_MAX_OCTETS)
			return error_set(err, ERROR_SERVER, "the server's response is too long");
		add_without_nul(out, line.data, literal != 0 ? cut : line.len);
		if (literal == 0)
			break;
		if (add_literal(reader, size, out, err) < 0 || reader_line(reader, &line, err) < 0)
			return -1;
	}
	text_add(out, "\r\n", 2);
	return 0;
}
