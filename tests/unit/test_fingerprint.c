/* Fingerprints: the canonical form, the header block, pieces of any length. */
#include "core/fingerprint.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "base/text.h"
#include "check.h"

#define LITERAL(string) string, sizeof(string) - 1

static void print(const char *data, size_t len, size_t piece, struct fingerprint *out)
{
	struct fingerprinter *printer = fingerprinter_new();

	for (size_t at = 0; at < len; at += piece)
		fingerprinter_feed(printer, data + at, len - at < piece ? len - at : piece);
	fingerprinter_finish(printer, out);
	fingerprinter_free(&printer);
}

static struct hash hash_of(const char *canonical, size_t len)
{
	uint8_t digest[DIGEST_SIZE];
	struct hash hash;

	digest_of(canonical, len, digest);
	memcpy(hash.bytes, digest, sizeof(hash.bytes));
	return hash;
}

static bool same(const struct fingerprint *a, const struct fingerprint *b)
{
	return hash_equal(&a->content, &b->content) && hash_equal(&a->header, &b->header) &&
	       a->size == b->size && a->wire_size == b->wire_size;
}

struct row {
	const char *message;
	size_t len;
	const char *content; /* what is to be hashed */
	size_t content_len;
	const char *header;
	uint64_t bare; /* LFs without CR */
};

static const struct row rows[] = {
	/* line ends */
	{LITERAL(""), LITERAL(""), "", 0},
	{LITERAL("\n"), LITERAL(""), "", 1},
	{LITERAL("\r\n\r\n"), LITERAL(""), "", 0},
	{LITERAL("A: b\n\nbody\n"), LITERAL("A: b\n\nbody"), "A: b", 3},
	{LITERAL("A: b\r\n\r\nbody\r\n"), LITERAL("A: b\n\nbody"), "A: b", 0},
	{LITERAL("A: b\r\n\nbody\r\n"), LITERAL("A: b\n\nbody"), "A: b", 1},
	{LITERAL("A: b\n\nbody"), LITERAL("A: b\n\nbody"), "A: b", 2},
	{LITERAL("A: b\n\nbody\r"), LITERAL("A: b\n\nbody"), "A: b", 2},
	{LITERAL("A: b\n\nbo\rdy\n\r\n\n"), LITERAL("A: b\n\nbody"), "A: b", 4},
	{LITERAL("A: b\n\nx\n\n\n\ny"), LITERAL("A: b\n\nx\n\n\n\ny"), "A: b", 6},
	{LITERAL("A: b\r\r\n\r\r\nx\r\r\n"), LITERAL("A: b\n\nx"), "A: b", 0},
	{LITERAL("A: b\r"), LITERAL("A: b"), "A: b", 0},
	/* NUL */
	{LITERAL("A: \0\n\n\0x\0"), LITERAL("A: \x80\n\n\x80x\x80"), "A: \x80", 2},
	{LITERAL("A: \0\r\n\r\n\0x\r\0"), LITERAL("A: \x80\n\n\x80x\x80"), "A: \x80", 0},
	/* where the header ends */
	{LITERAL("A: b\nC: d"), LITERAL("A: b\nC: d"), "A: b\nC: d", 1},
	{LITERAL("A: b\n \nC: d\n\nx"), LITERAL("A: b\n \nC: d\n\nx"), "A: b\n \nC: d", 4},
	{LITERAL("\nA: b\n\nx"), LITERAL("\nA: b\n\nx"), "", 3},
	{LITERAL(" A\nB: c\n\n"), LITERAL(" A\nB: c"), " A\nB: c", 3},
	/* fields left out */
	{LITERAL("A: b\nX-TUID: 123\nC: d\n\nx"), LITERAL("A: b\nX-TUID: 123\nC: d\n\nx"),
	 "A: b\nC: d", 4},
	{LITERAL("x-tuid:123\n\nx"), LITERAL("x-tuid:123\n\nx"), "", 2},
	{LITERAL("X-TUID: 1\n two\n\tthree\nA: b\n\n"), LITERAL("X-TUID: 1\n two\n\tthree\nA: b"),
	 "A: b", 5},
	{LITERAL("A: b\nX-OfflineIMAP: 1-2\n\nx"), LITERAL("A: b\nX-OfflineIMAP: 1-2\n\nx"), "A: b",
	 3},
	{LITERAL("X-OFFLINEIMAP: 1\r\nX-TUID: 2\r\nA: b\r\n c\r\n\r\n"),
	 LITERAL("X-OFFLINEIMAP: 1\nX-TUID: 2\nA: b\n c"), "A: b\n c", 0},
	{LITERAL("X-TUI\rD: 1\nA: b\n"), LITERAL("X-TUID: 1\nA: b"), "A: b", 2},
	/* fields like them */
	{LITERAL("X-TUIDS: 1\n\n"), LITERAL("X-TUIDS: 1"), "X-TUIDS: 1", 2},
	{LITERAL("X-TU\nID: 1\n\n"), LITERAL("X-TU\nID: 1"), "X-TU\nID: 1", 3},
	{LITERAL("X-"), LITERAL("X-"), "X-", 0},
	{LITERAL("X-OfflineIMAP"), LITERAL("X-OfflineIMAP"), "X-OfflineIMAP", 0},
	{LITERAL("X-TUID :1\n\n"), LITERAL("X-TUID :1"), "X-TUID :1", 2},
	{LITERAL("A: X-TUID: 1\n X-TUID: 2\n\n"), LITERAL("A: X-TUID: 1\n X-TUID: 2"),
	 "A: X-TUID: 1\n X-TUID: 2", 3},
	{LITERAL("A: b\n\nX-TUID: 1\n"), LITERAL("A: b\n\nX-TUID: 1"), "A: b", 3},
};

static void test_forms(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct hash content = hash_of(row->content, row->content_len);
		struct hash header = hash_of(row->header, strlen(row->header));
		struct fingerprint got;

		for (size_t piece = 1; piece <= row->len + 1; piece++) {
			print(row->message, row->len, piece, &got);
			CU_ASSERT(hash_equal(&got.content, &content));
			CU_ASSERT(hash_equal(&got.header, &header));
			CU_ASSERT_EQUAL(got.size, row->len);
			CU_ASSERT_EQUAL(got.wire_size, row->len + row->bare);
		}
	}
}

/* The Message-ID is the same however it is written, and whatever stands around it. */
static void test_message_ids(void)
{
	static const struct {
		const char *message;
		bool same; /* as <a@b> */
	} ids[] = {
		{"Message-ID: <a@b>\n\nx\n", true},
		{"Subject: x\r\nMESSAGE-ID:<a@b>\r\nTo: y\r\n\r\n", true},
		{"message-id:\r\n\t<a@b>\r\nTo: y\r\n\r\n", true},
		{"Message-ID: <a\n @b> \n\n", true},
		{"Message-ID: <a@b>\nMessage-ID: <c@d>\n\n", true},
		{"Message-ID: <a@b>", true},
		{"Message-ID:\nMessage-ID: <a@b>\n\n", true},
		{"Message-ID: <A@b>\n\n", false},
		{"Message-ID: <a@b>\n c\n\n", false},
		{"X-Message-ID: <a@b>\n\n", false},
		{"Subject: x\n Message-ID: <a@b>\n\n", false},
		{"Message-I: <a@b>\n\n", false},
		{"\nMessage-ID: <a@b>\n", false},
	};
	struct fingerprint wanted, got;

	print(ids[0].message, strlen(ids[0].message), 100, &wanted);
	CU_ASSERT_NOT_EQUAL(wanted.message_id, 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		for (size_t piece = 1; piece <= strlen(ids[i].message); piece++) {
			print(ids[i].message, strlen(ids[i].message), piece, &got);
			CU_ASSERT_EQUAL(got.message_id == wanted.message_id, ids[i].same);
		}
	}
	print(LITERAL("Subject: x\n\n"), 5, &got);
	CU_ASSERT_EQUAL(got.message_id, 0);
	print(LITERAL("Message-ID: \n\n"), 5, &got);
	CU_ASSERT_EQUAL(got.message_id, 0);
}

/* Two messages that must, or must not, be one. */
static void test_pairs(void)
{
	static const struct {
		const char *a, *b;
		bool content, header;
	} pairs[] = {
		{"A: b\n\nx\n", "A: b\r\n\r\nx\r\n\r\n", true, true},
		{"A: b\n\nx\n", "A: b\n\ny\n", false, true},
		{"A: b\n\nx\n", "a: b\n\nx\n", false, false},
		{"A: b\n\nx", "A: b\nX-TUID: q\n\nx", false, true},
		{"A: b\n\nx\n\ny", "A: b\n\nx\ny", false, true},
		{"A: b\n\nx ", "A: b\n\nx", false, true},
	};
	struct fingerprint a, b;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		print(pairs[i].a, strlen(pairs[i].a), 100, &a);
		print(pairs[i].b, strlen(pairs[i].b), 100, &b);
		CU_ASSERT_EQUAL(hash_equal(&a.content, &b.content), pairs[i].content);
		CU_ASSERT_EQUAL(hash_equal(&a.header, &b.header), pairs[i].header);
	}
}

/* The header block alone, as the server sends it, has the header hash of the message. */
static void test_header_alone(void)
{
	static const char message[] = "A: b\r\nX-TUID: 1\r\nC: d\r\n\r\nbody\r\n";
	static const char header[] = "A: b\r\nC: d\r\n\r\n";
	struct fingerprint a, b;

	print(message, strlen(message), 7, &a);
	print(header, strlen(header), 5, &b);
	CU_ASSERT(hash_equal(&a.header, &b.header));
	CU_ASSERT(hash_equal(&b.header, &b.content));
}

/* Canonical forms made the slow way. */
static struct fingerprint slowly(const char *data, size_t len)
{
	struct text content = {0}, header = {0};
	struct fingerprint out = {.size = len, .wire_size = len};
	bool drop = false;
	size_t start, end;

	for (size_t i = 0; i < len; i++) {
		if (data[i] != '\r')
			text_putc(&content, data[i] != '\0' ? data[i] : (char)0x80);
		out.wire_size += data[i] == '\n' && (i == 0 || data[i - 1] != '\r');
	}
	for (start = 0; start < content.len && content.data[start] != '\n'; start = end) {
		const char *line = content.data + start;

		for (end = start; end < content.len && content.data[end] != '\n'; end++)
			;
		end += end < content.len;
		if (*line != ' ' && *line != '\t')
			drop = ascii_ncasecmp(line, "X-TUID:", 7) == 0 ||
			       ascii_ncasecmp(line, "X-OfflineIMAP:", 14) == 0;
		if (!drop)
			text_add(&header, line, end - start);
	}
	while (content.len != 0 && content.data[content.len - 1] == '\n')
		content.len--;
	while (header.len != 0 && header.data[header.len - 1] == '\n')
		header.len--;
	out.content = hash_of(text_get(&content), content.len);
	out.header = hash_of(text_get(&header), header.len);
	text_release(&content);
	text_release(&header);
	return out;
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

/* Random messages, small ones and some longer than the pieces worked on, cut at random. */
static void test_random(void)
{
	static const char *const parts[] = {"\r\n",           "\n",       "\r",
					    "\n\n",           "\r\n\r\n", "X-TUID: a",
					    "x-offlineimap:", " ",        "A: b",
					    "text",           "X-T",      "\xc3\xa4",
					    "\n\n\n\n"};
	struct fingerprinter *printer = fingerprinter_new();
	struct fingerprint got, want;
	uint64_t seed = 4711;
	unsigned wrong = 0;

	for (unsigned round = 0; round < 3000; round++) {
		size_t n = next_random(&seed) % (round % 100 == 0 ? 20000 : 40), piece;
		struct text message = {0};

		while (n-- != 0) {
			text_puts(&message, parts[next_random(&seed) % ARRAY_SIZE(parts)]);
			if (next_random(&seed) % 16 == 0)
				text_putc(&message, '\0');
		}
		want = slowly(text_get(&message), message.len);
		fingerprinter_reset(printer);
		for (size_t at = 0; at < message.len; at += piece) {
			piece = next_random(&seed) % (round % 2 == 0 ? 8 : 40000);
			piece = piece < message.len - at ? piece : message.len - at;
			fingerprinter_feed(printer, message.data + at, piece);
		}
		fingerprinter_finish(printer, &got);
		wrong += !same(&got, &want);
		text_release(&message);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	fingerprinter_free(&printer);
	CU_ASSERT_PTR_NULL(printer);
	fingerprinter_free(&printer);
}

/* A message given up half-way leaves nothing behind for the next one. */
static void test_reset(void)
{
	static const char *const half[] = {"X-TU", "X-TUID: a", "A: b\r", "A: b\n\n\n", "A: b\n"};
	static const char message[] = "\n B: c\nD: e\n\nx\n";
	struct fingerprinter *printer = fingerprinter_new();
	struct fingerprint got, want;

	for (size_t from = 0; from < 2; from++) {
		print(message + from, strlen(message + from), 100, &want);
		for (size_t i = 0; i < ARRAY_SIZE(half); i++) {
			fingerprinter_reset(printer);
			fingerprinter_feed(printer, half[i], strlen(half[i]));
			fingerprinter_reset(printer);
			fingerprinter_feed(printer, message + from, strlen(message + from));
			fingerprinter_finish(printer, &got);
			CU_ASSERT(same(&got, &want));
		}
	}
	fingerprinter_free(&printer);
}

static void test_hash(void)
{
	struct hash none = {{0}}, a = hash_of_string("M123"), b = hash_of_string("M124");
	/* SHA-256 of "abc", FIPS 180-4 */
	static const struct hash abc = {{0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41,
					 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23}};
	struct hash got = hash_of_string("abc"), empty = hash_of_string(""),
		    null = hash_of_string(NULL);

	CU_ASSERT(hash_equal(&got, &abc));
	CU_ASSERT(hash_is_none(&none) && hash_is_none(&empty) && hash_is_none(&null));
	CU_ASSERT_FALSE(hash_is_none(&a));
	CU_ASSERT_FALSE(hash_equal(&none, &none));
	CU_ASSERT_FALSE(hash_equal(&a, &b));
	CU_ASSERT_FALSE(hash_equal(&a, &none));
	CU_ASSERT(hash_equal(&a, &a));
}

static void test_digest(void)
{
	struct digest *digest = digest_new();
	uint8_t whole[DIGEST_SIZE], pieces[DIGEST_SIZE];

	digest_of("abc", 3, whole);
	for (unsigned round = 0; round < 2; round++) {
		digest_add(digest, "a", 1);
		digest_add(digest, "", 0);
		digest_add(digest, "bc", 2);
		digest_finish(digest, pieces);
		CU_ASSERT_EQUAL(memcmp(whole, pieces, DIGEST_SIZE), 0);
		memset(pieces, 0, sizeof(pieces));
		digest_reset(digest);
	}
	digest_free(&digest);
	CU_ASSERT_PTR_NULL(digest);
	digest_free(&digest);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"canonical forms", test_forms},
		{"Message-IDs", test_message_ids},
		{"pairs of messages", test_pairs},
		{"the header block alone", test_header_alone},
		{"random messages", test_random},
		{"messages given up", test_reset},
		{"hashes", test_hash},
		{"digests", test_digest},
	};

	return run_tests("fingerprint", cases, ARRAY_SIZE(cases));
}
