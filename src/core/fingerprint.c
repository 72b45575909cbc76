/* Bodies of hundreds of megabytes pass through here, so the work is done in long runs: each
 * piece is brought into the canonical form (no CR, NUL as 0x80) by searching for line ends
 * and copying what is between them, or not copied at all when it has no CR and no NUL.
 *
 * Nothing is collected. Line ends at the end of the message do not count, but which those are
 * is known only at the end: so line ends are counted, and hashed when something follows. Of a
 * header line only as much is held back as is needed to tell what field it is. */
#include "core/fingerprint.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "base/text.h"

#define PIECE (16 * 1024)
#define COUNT_BLOCK 128

static const struct field { /* one that is not just hashed */
	const char *name;
	bool left_out; /* else it is the Message-ID */
} fields[] = {{"X-TUID:", true}, {"X-OfflineIMAP:", true}, {"Message-ID:", false}};
#define LONGEST_FIELD 14

struct sink { /* a hash without line ends at its end */
	struct digest *digest;
	uint64_t line_ends; /* seen, and not yet hashed */
};

struct fingerprinter {
	struct sink content;
	struct sink header;
	uint64_t size;
	uint64_t bare; /* LF without CR */
	bool after_cr; /* the last octet fed was CR */
	bool in_header;
	bool in_line;   /* it is known what to do with this header line */
	bool leave_out; /* this field */
	bool in_id;     /* this field is the Message-ID */
	uint64_t message_id;
	size_t held; /* octets at the start of the line, like those of a field of the table */
	char start[LONGEST_FIELD];
	char piece[PIECE];
};

bool hash_is_none(const struct hash *hash)
{
	static const struct hash none;

	return memcmp(hash->bytes, none.bytes, sizeof(none.bytes)) == 0;
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 && !hash_is_none(a);
}

static struct hash cut(const uint8_t digest[DIGEST_SIZE])
{
	struct hash hash;

	memcpy(hash.bytes, digest, sizeof(hash.bytes));
	return hash;
}

struct hash hash_of_string(const char *string)
{
	struct hash none = {{0}};
	uint8_t digest[DIGEST_SIZE];

	if (string == NULL || *string == '\0')
		return none;
	digest_of(string, strlen(string), digest);
	return cut(digest);
}

/* ---- the canonical form to hashes ---- */

static void sink_line_ends(struct sink *sink)
{
	static const char lines[] =
		"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
		"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
	size_t most = sizeof(lines) - 1, n;

	while (sink->line_ends != 0) {
		n = sink->line_ends < most ? (size_t)sink->line_ends : most;
		digest_add(sink->digest, lines, n);
		sink->line_ends -= n;
	}
}

static void sink_add(struct sink *sink, const char *data, size_t len)
{
	size_t text = len;

	while (text != 0 && data[text - 1] == '\n')
		text--;
	if (text != 0) {
		sink_line_ends(sink);
		digest_add(sink->digest, data, text);
	}
	sink->line_ends += len - text;
}

static struct hash sink_finish(struct sink *sink)
{
	uint8_t digest[DIGEST_SIZE];

	digest_finish(sink->digest, digest);
	return cut(digest);
}

/* FNV-1a; folding and what servers make of it do not count. */
static void id_add(struct fingerprinter *printer, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == ' ' || data[i] == '\t' || data[i] == '\n')
			continue;
		if (printer->message_id == 0)
			printer->message_id = UINT64_C(0xcbf29ce484222325);
		printer->message_id =
			(printer->message_id ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
	}
}

static void header_release(struct fingerprinter *printer)
{
	sink_add(&printer->header, printer->start, printer->held);
	printer->held = 0;
}

/* A header line is hashed, as far as it is known, unless its field is left out. */
static void header_take(struct fingerprinter *printer, const char *data, size_t len)
{
	if (printer->leave_out)
		return;
	sink_add(&printer->header, data, len);
	if (printer->in_id)
		id_add(printer, data, len);
}

/* The field whose beginning (exactly: whose name) the line so far could be; NULL if it is another. */
static const struct field *like_field(const struct fingerprinter *printer, bool *exactly)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (ascii_ncasecmp(fields[i].name, printer->start, printer->held) == 0) {
			*exactly = fields[i].name[printer->held] == '\0';
			return &fields[i];
		}
	}
	return NULL;
}

static void field_begin(struct fingerprinter *printer, const struct field *field)
{
	printer->in_line = true;
	printer->leave_out = field->left_out;
	if (field->left_out)
		printer->held = 0;
	else
		header_release(printer);
	printer->in_id = !field->left_out && printer->message_id == 0;
}

/* The next octet of a line of which it is not yet known what it is. */
static void header_judge(struct fingerprinter *printer, char c)
{
	const struct field *field;
	bool exactly = false;

	if (printer->held == 0 && c == '\n') {
		printer->in_header = false;
		return;
	}
	if (printer->held == 0 && (c == ' ' || c == '\t')) { /* folded: as the line before it */
		printer->in_line = true;
		header_take(printer, &c, 1);
		return;
	}
	printer->start[printer->held++] = c;
	field = like_field(printer, &exactly);
	if (field == NULL) {
		printer->leave_out = printer->in_id = false;
		printer->in_line = c != '\n';
		header_release(printer);
	} else if (exactly) {
		field_begin(printer, field);
	}
}

static void header_add(struct fingerprinter *printer, const char *data, size_t len)
{
	const char *end = data + len, *line_end, *next;

	while (data != end && printer->in_header) {
		if (!printer->in_line) {
			header_judge(printer, *data++);
			continue;
		}
		line_end = memchr(data, '\n', (size_t)(end - data));
		next = line_end != NULL ? line_end + 1 : end;
		header_take(printer, data, (size_t)(next - data));
		printer->in_line = line_end == NULL;
		data = next;
	}
}

static void canonical_add(struct fingerprinter *printer, const char *data, size_t len)
{
	if (printer->in_header)
		header_add(printer, data, len);
	sink_add(&printer->content, data, len);
}

/* ---- octets to the canonical form ---- */

/* In blocks of a fixed size, which compilers turn into vector instructions; a search from one
 * line end to the next takes a sixth of the time that the hash takes. */
static size_t count_line_ends(const char *data, size_t len)
{
	size_t n = 0;

	for (; len >= COUNT_BLOCK; data += COUNT_BLOCK, len -= COUNT_BLOCK) {
		uint8_t found = 0;

		for (size_t i = 0; i < COUNT_BLOCK; i++)
			found = (uint8_t)(found + (data[i] == '\n'));
		n += found;
	}
	for (; len != 0; data++, len--)
		n += *data == '\n';
	return n;
}

/* Takes out the CRs that do not stand before LF (those are gone), and the NULs. */
static size_t clean_rest(char *piece, size_t len)
{
	size_t n = 0;

	if (memchr(piece, '\r', len) == NULL && memchr(piece, '\0', len) == NULL)
		return len;
	for (size_t i = 0; i < len; i++) {
		if (piece[i] != '\r')
			piece[n++] = piece[i] != '\0' ? piece[i] : (char)0x80;
	}
	return n;
}

static void feed_piece(struct fingerprinter *printer, const char *data, size_t len)
{
	const char *end = data + len, *line_end;
	char *out = printer->piece;
	size_t n;

	while ((line_end = memchr(data, '\n', (size_t)(end - data))) != NULL) {
		bool cr = line_end != data ? line_end[-1] == '\r' : printer->after_cr;

		printer->bare += !cr;
		printer->after_cr = false;
		n = (size_t)(line_end - data);
		n -= cr && n != 0;
		memcpy(out, data, n);
		out += n;
		*out++ = '\n';
		data = line_end + 1;
	}
	n = (size_t)(end - data);
	if (n != 0)
		printer->after_cr = end[-1] == '\r';
	memcpy(out, data, n);
	n += (size_t)(out - printer->piece);
	canonical_add(printer, printer->piece, clean_rest(printer->piece, n));
}

void fingerprinter_feed(struct fingerprinter *printer, const void *data, size_t len)
{
	const char *at = data;
	size_t n;

	if (len == 0)
		return;
	printer->size += len;
	if (memchr(at, '\r', len) == NULL && memchr(at, '\0', len) == NULL) {
		printer->bare += count_line_ends(at, len) - (printer->after_cr && *at == '\n');
		printer->after_cr = false;
		canonical_add(printer, at, len);
		return;
	}
	for (; len != 0; at += n, len -= n) {
		n = len < PIECE ? len : PIECE;
		feed_piece(printer, at, n);
	}
}

/* ---- the printer ---- */

struct fingerprinter *fingerprinter_new(void)
{
	struct fingerprinter *printer = xcalloc(1, sizeof(*printer));

	printer->content.digest = digest_new();
	printer->header.digest = digest_new();
	printer->in_header = true;
	return printer;
}

void fingerprinter_free(struct fingerprinter **printer)
{
	if (*printer == NULL)
		return;
	digest_free(&(*printer)->content.digest);
	digest_free(&(*printer)->header.digest);
	free(*printer);
	*printer = NULL;
}

void fingerprinter_reset(struct fingerprinter *printer)
{
	digest_reset(printer->content.digest);
	digest_reset(printer->header.digest);
	printer->content.line_ends = 0;
	printer->header.line_ends = 0;
	printer->size = 0;
	printer->bare = 0;
	printer->after_cr = false;
	printer->in_header = true;
	printer->in_line = false;
	printer->leave_out = false;
	printer->in_id = false;
	printer->message_id = 0;
	printer->held = 0;
}

void fingerprinter_finish(struct fingerprinter *printer, struct fingerprint *out)
{
	header_release(printer);
	out->content = sink_finish(&printer->content);
	out->header = sink_finish(&printer->header);
	out->message_id = printer->message_id;
	out->size = printer->size;
	out->wire_size = printer->size + printer->bare;
}
