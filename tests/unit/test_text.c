/* The base: text, numbers, errors, memory. */
#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "check.h"

static void test_text(void)
{
	struct text text = {0};
	char *stolen;

	CU_ASSERT_STRING_EQUAL(text_get(&text), "");
	text_add(&text, NULL, 0);
	CU_ASSERT_STRING_EQUAL(text_get(&text), "");
	text_puts(&text, "ab");
	text_putc(&text, 'c');
	text_printf(&text, "%d%s", 42, "!");
	text_add(&text, "x\0y", 3);
	CU_ASSERT_EQUAL(text.len, 9);
	CU_ASSERT_EQUAL(memcmp(text_get(&text), "abc42!x\0y", 10), 0);
	text_clear(&text);
	CU_ASSERT_EQUAL(text.len, 0);
	CU_ASSERT_STRING_EQUAL(text_get(&text), "");
	for (int i = 0; i < 10000; i++)
		text_printf(&text, "%04d", i);
	CU_ASSERT_EQUAL(text.len, 40000);
	CU_ASSERT_STRING_EQUAL(text_get(&text) + 39996, "9999");
	stolen = text_steal(&text);
	CU_ASSERT_EQUAL(strlen(stolen), 40000);
	CU_ASSERT_STRING_EQUAL(text_get(&text), "");
	free(stolen);
	stolen = text_steal(&text);
	CU_ASSERT_STRING_EQUAL(stolen, "");
	free(stolen);
	text_puts(&text, "again");
	text_release(&text);
	CU_ASSERT_STRING_EQUAL(text_get(&text), "");
	text_release(&text);
}

static void test_visible(void)
{
	static const struct {
		const char *raw, *shown;
	} rows[] = {
		{"", ""},
		{"plain text", "plain text"},
		{"a\nb\r\t", "a\\x0Ab\\x0D\\x09"},
		{"\x1b[2J", "\\x1B[2J"},
		{"\x7f", "\\x7F"},
		{"\xc3\xa9\xe5\x8f\xb0", "\xc3\xa9\xe5\x8f\xb0"},
		{"\xc3", "\\xC3"},
		{"\xffz", "\\xFFz"},
		{"\xc2\x9b", "\\xC2\\x9B"}, /* a control character beyond ASCII */
		{"\xc2\xa0", "\xc2\xa0"},
		{"\xed\xa0\x80", "\\xED\\xA0\\x80"},
	};
	struct text text = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		text_clear(&text);
		text_put_visible(&text, rows[i].raw);
		CU_ASSERT_STRING_EQUAL(text_get(&text), rows[i].shown);
	}
	text_release(&text);
}

/* Only the letters of ASCII have a case, whatever the locale. */
static void test_ascii(void)
{
	for (int i = 0; i < 256; i++) {
		char c = (char)i;
		bool upper = i >= 'A' && i <= 'Z', lower = i >= 'a' && i <= 'z';

		CU_ASSERT_EQUAL(ascii_lower(c), upper ? (char)(i + 32) : c);
		CU_ASSERT_EQUAL(ascii_upper(c), lower ? (char)(i - 32) : c);
		CU_ASSERT_EQUAL(ascii_is_alpha(c), upper || lower);
		CU_ASSERT_EQUAL(ascii_is_digit(c), i >= '0' && i <= '9');
		CU_ASSERT_EQUAL(ascii_is_space(c), i == ' ' || i == '\t' || i == '\r' || i == '\n');
	}
}

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

static void test_compare(void)
{
	static const struct {
		const char *a, *b;
		int order;
	} rows[] = {
		{"", "", 0},
		{"INBOX", "inbox", 0},
		{"INBOX", "\xc4\xb1nbox", -1}, /* a dotless i */
		{"a", "b", -1},
		{"a", "B", -1},
		{"A", "b", -1},
		{"a", "", 1},
		{"ab", "a", 1},
		{"_", "a", -1},
		{"\xc3\xa9", "\xc3\x89", 1},
		{"z", "\xff", -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CU_ASSERT_EQUAL(sign(ascii_casecmp(rows[i].a, rows[i].b)), rows[i].order);
		CU_ASSERT_EQUAL(sign(ascii_casecmp(rows[i].b, rows[i].a)), -rows[i].order);
		CU_ASSERT_EQUAL(ascii_case_equal(rows[i].a, rows[i].b), rows[i].order == 0);
	}
	CU_ASSERT_EQUAL(ascii_ncasecmp("abX", "ABy", 2), 0);
	CU_ASSERT(ascii_ncasecmp("abX", "ABy", 3) < 0);
	CU_ASSERT_EQUAL(ascii_ncasecmp("a", "A", 100), 0);
	CU_ASSERT_EQUAL(ascii_ncasecmp("a", "b", 0), 0);
	CU_ASSERT(starts_with("abc", "ab") && starts_with("abc", "") && starts_with("abc", "abc"));
	CU_ASSERT(!starts_with("ab", "abc") && !starts_with("abc", "AB") && !starts_with("", "a"));
}

static void test_utf8(void)
{
	static const struct {
		const char *p;
		size_t len, want;
	} rows[] = {
		{"", 0, 0},
		{"a", 1, 1},
		{"\0", 1, 1},
		{"\x7f", 1, 1},
		{"\x80", 1, 0},
		{"\xbf", 1, 0},
		{"\xc0\x80", 2, 0},
		{"\xc1\xbf", 2, 0},
		{"\xc2\x80", 2, 2},
		{"\xc2\x80", 1, 0},
		{"\xc2z", 2, 0},
		{"\xdf\xbf", 2, 2},
		{"\xe0\x9f\xbf", 3, 0},
		{"\xe0\xa0\x80", 3, 3},
		{"\xe0\xa0\x80", 2, 0},
		{"\xed\x9f\xbf", 3, 3},
		{"\xed\xa0\x80", 3, 0},
		{"\xed\xbf\xbf", 3, 0},
		{"\xee\x80\x80", 3, 3},
		{"\xef\xbf\xbf", 3, 3},
		{"\xf0\x8f\xbf\xbf", 4, 0},
		{"\xf0\x90\x80\x80", 4, 4},
		{"\xf4\x8f\xbf\xbf", 4, 4},
		{"\xf4\x90\x80\x80", 4, 0},
		{"\xf5\x80\x80\x80", 4, 0},
		{"\xff", 1, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CU_ASSERT_EQUAL(utf8_sequence(rows[i].p, rows[i].len), rows[i].want);
		CU_ASSERT_EQUAL(utf8_valid(rows[i].p, rows[i].len), rows[i].want == rows[i].len);
	}
	CU_ASSERT(utf8_valid("a\xc3\xa9\xf0\x9f\x98\x89z", 8));
	CU_ASSERT(!utf8_valid("a\xc3\xa9\xf0\x9f\x98", 6));
	CU_ASSERT(!utf8_valid("a\xa9", 2));
}

static void test_numbers(void)
{
	static const struct {
		const char *string;
		uint64_t max;
		bool valid;
		uint64_t value;
	} rows[] = {
		{"0", 0, true, 0},
		{"1", 0, false, 0},
		{"000", 0, true, 0},
		{"65535", 65535, true, 65535},
		{"65536", 65535, false, 0},
		{"655350", 65535, false, 0},
		{"0065535", 65535, true, 65535},
		{"7", 5, false, 0},
		{"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, false, 0},
		{"99999999999999999999", UINT64_MAX, false, 0},
		{"", 9, false, 0},
		{" 1", 9, false, 0},
		{"1 ", 9, false, 0},
		{"+1", 9, false, 0},
		{"-1", UINT64_MAX, false, 0},
		{"0x1", 99, false, 0},
		{"1e1", 99, false, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t value = 77;

		CU_ASSERT_EQUAL(parse_number(rows[i].string, rows[i].max, &value), rows[i].valid);
		CU_ASSERT_EQUAL(value, rows[i].valid ? rows[i].value : 77);
	}
}

static void test_error(void)
{
	struct error err = {ERROR_SERVER, "old"};

	CU_ASSERT_EQUAL(error_set(&err, ERROR_CONFIG, "line %d", 3), -1);
	CU_ASSERT_EQUAL(err.kind, ERROR_CONFIG);
	CU_ASSERT_STRING_EQUAL(err.text, "line 3");
	CU_ASSERT_EQUAL(error_wrap(&err, "file %s", "x"), -1);
	CU_ASSERT_EQUAL(err.kind, ERROR_CONFIG);
	CU_ASSERT_STRING_EQUAL(err.text, "file x: line 3");
	errno = ENOENT;
	CU_ASSERT_EQUAL(error_errno(&err, ERROR_LOCAL, "open %s", "y"), -1);
	CU_ASSERT_EQUAL(err.kind, ERROR_LOCAL);
	CU_ASSERT_STRING_EQUAL(err.text, "open y: No such file or directory");
	error_clear(&err);
	CU_ASSERT_EQUAL(err.kind, ERROR_NONE);
	CU_ASSERT_STRING_EQUAL(err.text, "");
	/* nobody wants to know */
	CU_ASSERT_EQUAL(error_set(NULL, ERROR_LOCAL, "x"), -1);
	CU_ASSERT_EQUAL(error_errno(NULL, ERROR_LOCAL, "x"), -1);
	CU_ASSERT_EQUAL(error_wrap(NULL, "x"), -1);
	error_clear(NULL);
}

static void test_long_error(void)
{
	char many[600], context[600];
	struct error err;

	memset(many, 'm', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	memset(context, 'c', sizeof(context) - 1);
	context[sizeof(context) - 1] = '\0';
	error_set(&err, ERROR_SERVER, "%s", many);
	CU_ASSERT_EQUAL(strlen(err.text), sizeof(err.text) - 1);
	error_wrap(&err, "where");
	CU_ASSERT_EQUAL(strlen(err.text), sizeof(err.text) - 1);
	CU_ASSERT(starts_with(err.text, "where: mmm"));
	for (size_t left = 6; left-- > 0;) {
		error_set(&err, ERROR_SERVER, "inner");
		error_wrap(&err, "%s", context + sizeof(context) - sizeof(err.text) + left);
		CU_ASSERT_EQUAL(memchr(err.text, '\0', sizeof(err.text)) != NULL, true);
		CU_ASSERT(strlen(err.text) >= strlen("inner"));
	}
	errno = EIO;
	error_errno(&err, ERROR_LOCAL, "%s", context);
	CU_ASSERT_EQUAL(strlen(err.text), sizeof(err.text) - 1);
}

static void test_arena(void)
{
	struct arena *arena = arena_new();
	char *first = arena_strdup(arena, "first"), *text, *big;

	CU_ASSERT_PTR_NULL(arena_strdup(arena, NULL));
	for (size_t size = 0; size < 3000; size += 7) {
		unsigned char *p = arena_alloc(arena, size);

		CU_ASSERT_EQUAL((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i += 100)
			CU_ASSERT_EQUAL(p[i], 0);
		memset(p, 0xff, size);
		text = arena_strndup(arena, "odd one", 3);
		CU_ASSERT_STRING_EQUAL(text, "odd");
	}
	big = arena_alloc(arena, 1000000);
	memset(big, 1, 1000000);
	text = arena_printf(arena, "%s %d", "number", 7);
	CU_ASSERT_STRING_EQUAL(text, "number 7");
	CU_ASSERT_STRING_EQUAL(first, "first");
	CU_ASSERT(arena_size(arena) > 1000000 && arena_size(arena) < 4000000);
	arena_free(&arena);
	CU_ASSERT_PTR_NULL(arena);
	arena_free(&arena);
}

static void test_memory(void)
{
	size_t room = 0;
	uint32_t *numbers = NULL;
	char *text = xasprintf("%c%d", 'n', 1), *part = xstrndup("abcdef", 3);

	CU_ASSERT_STRING_EQUAL(text, "n1");
	CU_ASSERT_STRING_EQUAL(part, "abc");
	CU_ASSERT_PTR_NULL(xstrdup(NULL));
	for (uint32_t i = 0; i < 1000; i++) {
		numbers = grow(numbers, i, &room, sizeof(*numbers));
		CU_ASSERT(room > i && room <= 2 * (size_t)i + 16);
		numbers[i] = i;
	}
	CU_ASSERT(numbers[0] == 0 && numbers[999] == 999);
	free(numbers);
	free(part);
	free(text);
	free(xmalloc(0));
	free(xcalloc(0, 0));
	free(xreallocarray(NULL, 0, 8));
}

int main(void)
{
	static const struct test_case cases[] = {
		{"text", test_text},    {"visible text", test_visible},
		{"ASCII", test_ascii},  {"comparisons", test_compare},
		{"UTF-8", test_utf8},   {"numbers", test_numbers},
		{"errors", test_error}, {"long errors", test_long_error},
		{"arenas", test_arena}, {"memory", test_memory},
	};

	return run_tests("text", cases, ARRAY_SIZE(cases));
}
