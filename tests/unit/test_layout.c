/* Directories of folders: both layouts, hostile names, one path for one name. */
#include "core/layout.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "core/fingerprint.h"
#include "check.h"

static bool is(char *got, const char *want)
{
	bool equal = got != NULL && want != NULL ? strcmp(got, want) == 0 : got == want;

	free(got);
	return equal;
}

static void test_paths(void)
{
	static const struct {
		const char *name, *nested, *maildirpp;
	} rows[] = {
		{"INBOX", "INBOX", "."},
		{"INBOX/x", "INBOX/x", ".INBOX.x"},
		{"INBOX/INBOX", "INBOX/INBOX", ".INBOX.INBOX"},
		{"A/B", "A/B", ".A.B"},
		{"A B", "A B", ".A B"},
		{"Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe", ".Entw\xc3\xbcrfe"},
		/* dots and tildes */
		{".", "%2E", ".%2E"},
		{"..", "%2E.", ".%2E%2E"},
		{"a/../b", "a/%2E./b", ".a.%2E%2E.b"},
		{"...", "%2E..", ".%2E%2E%2E"},
		{".hidden", "%2Ehidden", ".%2Ehidden"},
		{"a.b/c.", "a.b/c.", ".a%2Eb.c%2E"},
		{"~", "%7E", ".%7E"},
		{"~root/a~", "%7Eroot/a~", ".%7Eroot.a~"},
		/* empty levels */
		{"", "%00", ".%00"},
		{"a//b", "a/%00/b", ".a.%00.b"},
		{"/etc/passwd", "%00/etc/passwd", ".%00.etc.passwd"},
		{"a/", "a/%00", ".a.%00"},
		/* per cent */
		{"100%", "100%", ".100%"},
		{"%4", "%4", ".%4"},
		{"%zz", "%zz", ".%zz"},
		{"%41", "%2541", ".%2541"},
		{"%aB%Cd", "%25aB%25Cd", ".%25aB%25Cd"},
		{"%00", "%2500", ".%2500"},
		{"%%41", "%%2541", ".%%2541"},
		{"%\x01", "%%01", ".%%01"},
		/* a '/' in a level, and what looks like it (names.h) */
		{"a%2Fb", "a%2Fb", ".a%2Fb"},
		{"a%252Fb", "a%252Fb", ".a%252Fb"},
		{"a%2fb", "a%252fb", ".a%252fb"},
		{"%25%2F", "%2525%2F", ".%2525%2F"},
		/* control characters */
		{"a\nb\x7f\x1f", "a%0Ab%7F%1F", ".a%0Ab%7F%1F"},
		/* names of the Maildir itself and ours */
		{"cur", "%63ur", ".%63ur"},
		{"new/tmp", "%6Eew/%74mp", ".%6Eew.%74mp"},
		{"dovecot-keywords", "%64ovecot-keywords", ".%64ovecot-keywords"},
		{".mailtwin", "%2Emailtwin", ".%2Emailtwin"},
		{"mailtwin", "mailtwin", ".%6Dailtwin"},
		{"mailtwin/x", "mailtwin/x", ".%6Dailtwin.x"},
		{"x/mailtwin", "x/mailtwin", ".x.mailtwin"},
		{"Cur", "Cur", ".Cur"},
		{"curs/anew", "curs/anew", ".curs.anew"},
		{"cur\n", "cur%0A", ".cur%0A"},
		/* bytes that are not UTF-8 */
		{"a\xff"
		 "b",
		 "a%FFb", ".a%FFb"},
		{"\xc3", "%C3", ".%C3"},
		{"\xc0\xaf", "%C0%AF", ".%C0%AF"},
		{"\xed\xa0\x80", "%ED%A0%80", ".%ED%A0%80"},
		/* not really cut */
		{"a%~0123456789abcdef", "a%25~0123456789abcdef", ".a%25~0123456789abcdef"},
		{"a%~0123456789abcdeg", "a%~0123456789abcdeg", ".a%~0123456789abcdeg"},
		{"a%~0123456789abcdef0", "a%~0123456789abcdef0", ".a%~0123456789abcdef0"},
		{"a%~0123456789abcdef/b", "a%25~0123456789abcdef/b", ".a%25~0123456789abcdef.b"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *back = rows[i].name[0] != '\0' ? rows[i].name : NULL;

		CU_ASSERT(is(layout_path(LAYOUT_NESTED, rows[i].name), rows[i].nested));
		CU_ASSERT(is(layout_path(LAYOUT_MAILDIRPP, rows[i].name), rows[i].maildirpp));
		CU_ASSERT(is(layout_name(LAYOUT_NESTED, rows[i].nested), back));
		CU_ASSERT(is(layout_name(LAYOUT_MAILDIRPP, rows[i].maildirpp), back));
	}
}

static void test_inbox_case(void)
{
	CU_ASSERT(is(layout_path(LAYOUT_NESTED, "inbox/inbox"), "INBOX/inbox"));
	CU_ASSERT(is(layout_path(LAYOUT_MAILDIRPP, "Inbox"), "."));
	CU_ASSERT(is(layout_path(LAYOUT_MAILDIRPP, "Inbox/a"), ".INBOX.a"));
	CU_ASSERT(is(layout_name(LAYOUT_NESTED, "Inbox"), NULL));
	CU_ASSERT(is(layout_name(LAYOUT_NESTED, "inbox/x"), NULL));
	CU_ASSERT(is(layout_name(LAYOUT_MAILDIRPP, ".inbox.x"), NULL));
}

static void test_no_folder(void)
{
	static const char *const nested[] = {
		"",
		".",
		"..",
		"/",
		"/a",
		"a/",
		"a//b",
		"a/../b",
		".a",
		"~a",
		"%41",
		"%2e",
		"%2Ea%41",
		"cur",
		"a/new",
		"a\nb",
		"a\xff",
		"%FE%zz%41",
		"%00a",
		"%63urs",
		"x%~0123456789abcdef",
		"%25~",
		"%C3%A9",
		"a%25",
		"dovecot-keywords",
		".mailtwin",
	};
	static const char *const maildirpp[] = {
		"",          "a",     "INBOX",  "..",
		".a/b",      ".a..b", ".INBOX", ".a.",
		".cur",      "./",    ".%2e",   ".%41",
		".mailtwin", "%2Ea",  ".~a",    ".x%~0123456789abcdef",
	};

	for (size_t i = 0; i < ARRAY_SIZE(nested); i++)
		CU_ASSERT(is(layout_name(LAYOUT_NESTED, nested[i]), NULL));
	for (size_t i = 0; i < ARRAY_SIZE(maildirpp); i++)
		CU_ASSERT(is(layout_name(LAYOUT_MAILDIRPP, maildirpp[i]), NULL));
}

/* A level of n bytes of fill, and what comes after it. */
static char *long_name(size_t n, const char *fill, const char *tail)
{
	struct text name = {0};

	while (name.len + strlen(fill) <= n)
		text_puts(&name, fill);
	text_puts(&name, tail);
	return text_steal(&name);
}

static void hex_of(const char *string, char out[17])
{
	struct hash hash = hash_of_string(string);

	for (size_t i = 0; i < 8; i++)
		snprintf(out + 2 * i, 3, "%02x", hash.bytes[i]);
}

static void test_cut(void)
{
	static const struct {
		size_t n;
		const char *fill, *tail;
		size_t kept; /* bytes of the path before "%~"; 0: not cut */
	} rows[] = {
		{255, "a", "", 0},
		{256, "a", "", 230},
		{1000, "a", "", 230},
		{256, "\xc3\xa9", "", 230},         /* two bytes each */
		{255, "\xe5\x8f\xb0", "x", 228},    /* three */
		{256, "\xf0\x9f\x98\x89", "", 228}, /* four */
		{86, "\n", "", 228},                /* escapes of three */
		{85, "\n", "", 0},
		{255, "a", "\n", 230},
		{254, "a", "%41", 230},
	};
	char hex[17];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *name = long_name(rows[i].n, rows[i].fill, rows[i].tail);
		char *path = layout_path(LAYOUT_NESTED, name), *back;

		back = layout_name(LAYOUT_NESTED, path);
		CU_ASSERT(strlen(path) <= 255 && utf8_valid(path, strlen(path)));
		if (rows[i].kept != 0) {
			hex_of(name, hex);
			CU_ASSERT_EQUAL(strlen(path), rows[i].kept + 18);
			CU_ASSERT_NSTRING_EQUAL(path + rows[i].kept, "%~", 2);
			CU_ASSERT_STRING_EQUAL(path + rows[i].kept + 2, hex);
			CU_ASSERT_PTR_NULL(back);
		} else {
			CU_ASSERT(back != NULL && strcmp(back, name) == 0);
		}
		free(back);
		free(path);
		free(name);
	}
}

/* In maildir++ all levels are one entry of the directory. */
static void test_cut_maildirpp(void)
{
	static const struct {
		size_t n, m; /* lengths of two levels */
		size_t len;  /* of the path */
	} rows[] = {
		{100, 100, 202}, {126, 127, 255}, {127, 127, 248}, {256, 4, 254},
		{256, 5, 255},   {256, 6, 248},   {300, 300, 248},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *tail = long_name(rows[i].m, "b", ""), *name, *path, *back;
		char *first = xasprintf("/%s", tail);
		bool whole = rows[i].n < 256 && rows[i].n + rows[i].m + 2 <= 255;

		name = long_name(rows[i].n, "a", first);
		path = layout_path(LAYOUT_MAILDIRPP, name);
		back = layout_name(LAYOUT_MAILDIRPP, path);
		CU_ASSERT_EQUAL(strlen(path), rows[i].len);
		CU_ASSERT_EQUAL(path[0], '.');
		CU_ASSERT_EQUAL(back != NULL, whole);
		CU_ASSERT(!whole || strcmp(back, name) == 0);
		free(back);
		free(path);
		free(name);
		free(first);
		free(tail);
	}
}

/* Names that differ only after the cut have different paths. */
static void test_cut_differs(void)
{
	char *a = long_name(300, "a", "1"), *b = long_name(300, "a", "2");
	char *path_a = layout_path(LAYOUT_NESTED, a), *path_b = layout_path(LAYOUT_NESTED, b);
	char *path;

	CU_ASSERT_STRING_NOT_EQUAL(path_a, path_b);
	path = layout_path(LAYOUT_NESTED, path_a); /* a name like the path of another */
	CU_ASSERT_STRING_NOT_EQUAL(path, path_a);
	CU_ASSERT(is(layout_name(LAYOUT_NESTED, path), path_a));
	free(path);
	free(path_a);
	free(path_b);
	free(a);
	free(b);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

static bool stays_inside(enum layout layout, const char *path)
{
	const char *end;

	if (layout == LAYOUT_MAILDIRPP && strcmp(path, ".") == 0)
		return true;
	for (;; path = end + 1) {
		end = strchr(path, '/');
		size_t len = end != NULL ? (size_t)(end - path) : strlen(path);

		if (len == 0 || len > 255 || (len == 1 && *path == '.') ||
		    (len == 2 && memcmp(path, "..", 2) == 0) || !utf8_valid(path, len))
			return false;
		for (size_t i = 0; i < len; i++) {
			if ((unsigned char)path[i] < 0x20)
				return false;
		}
		if ((layout == LAYOUT_NESTED && *path == '.') ||
		    (layout == LAYOUT_MAILDIRPP && (*path != '.' || end != NULL)))
			return false;
		if (end == NULL)
			return true;
	}
}

/* What comes back from its path is told apart from every other name by it: nothing else is
 * needed to know that two names never share a path. Names that were cut rest on their hash. */
static void test_random(void)
{
	static const char *const parts[] = {
		"/",
		".",
		"..",
		"%",
		"%2F",
		"%25",
		"25",
		"2F",
		"%00",
		"41",
		"%41",
		"~",
		"cur",
		"new",
		"tmp",
		"mailtwin",
		".mailtwin",
		"INBOX",
		"inbox",
		"\x01",
		"\n",
		"\xff",
		"\xc3",
		"\xa9",
		"\xe5\x8f\xb0",
		"a",
		"%~",
		"0123456789abcdef",
		"dovecot-keywords",
		"/",
		"%7",
		"E",
	};
	struct text name = {0};
	uint64_t seed = 9;
	unsigned wrong = 0, outside = 0;

	for (unsigned round = 0; round < 200000; round++) {
		enum layout layout = round % 2 == 0 ? LAYOUT_NESTED : LAYOUT_MAILDIRPP;
		size_t n = 1 + next_random(&seed) % 8;
		char *path;

		text_clear(&name);
		while (n-- != 0)
			text_puts(&name, parts[next_random(&seed) % ARRAY_SIZE(parts)]);
		if (starts_with(name.data, "inbox") &&
		    (name.data[5] == '\0' || name.data[5] == '/'))
			memcpy(name.data, "INBOX", 5);
		path = layout_path(layout, name.data);
		outside += !stays_inside(layout, path);
		wrong += !is(layout_name(layout, path), name.data);
		free(path);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(outside, 0);
	text_release(&name);
}

/* The same from the other side: a path that is some folder's leads back to itself. */
static void test_random_paths(void)
{
	static const char *const parts[] = {
		"/",   ".",   "%",        "%2F",   "%25", "25",         "2F",
		"%00", "%2E", "%7E",      "%63ur", "ur",  "%6Dailtwin", "a",
		"%0A", "%FF", "\xc3\xa9", "INBOX", "~",   "%~",         "0123456789abcdef"};
	struct text path = {0};
	uint64_t seed = 10;
	unsigned wrong = 0, found = 0;

	for (unsigned round = 0; round < 200000; round++) {
		enum layout layout = round % 2 == 0 ? LAYOUT_NESTED : LAYOUT_MAILDIRPP;
		size_t n = 1 + next_random(&seed) % 5;
		char *name;

		text_clear(&path);
		if (layout == LAYOUT_MAILDIRPP)
			text_putc(&path, '.');
		while (n-- != 0)
			text_puts(&path, parts[next_random(&seed) % ARRAY_SIZE(parts)]);
		name = layout_name(layout, path.data);
		if (name == NULL)
			continue;
		found++;
		wrong += *name == '\0' || !is(layout_path(layout, name), path.data);
		free(name);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(found > 10000);
	text_release(&path);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"names and paths", test_paths},
		{"INBOX in another case", test_inbox_case},
		{"directories of no folder", test_no_folder},
		{"long levels", test_cut},
		{"long names in maildir++", test_cut_maildirpp},
		{"long names stay apart", test_cut_differs},
		{"random names", test_random},
		{"random paths", test_random_paths},
	};

	return run_tests("layout", cases, ARRAY_SIZE(cases));
}
