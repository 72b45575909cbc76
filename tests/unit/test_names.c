/* Names: modified UTF-7, prefixes and delimiters, patterns. */
#include "core/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "check.h"

/* Compares and frees; either may be NULL. */
static bool is(char *got, const char *want)
{
	bool equal = got != NULL && want != NULL ? strcmp(got, want) == 0 : got == want;

	free(got);
	return equal;
}

/* ---- modified UTF-7 ---- */

static void test_utf7(void)
{
	static const struct {
		const char *wire, *utf8;
	} rows[] = {
		{"", ""},
		{"INBOX", "INBOX"},
		{"a&-b", "a&b"},
		{"&-", "&"},
		{"&-&-", "&&"},
		{"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
		{"&AOk-&-", "\xc3\xa9&"},
		{"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/"
						    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
		{"&2D3eCQ-", "\xf0\x9f\x98\x89"},
		{"&2D3eCdg93gk-", "\xf0\x9f\x98\x89\xf0\x9f\x98\x89"},
		{"&AAE-", "\x01"},
		{"a&AAoADQ-", "a\n\r"},
		{"&AH8-", "\x7f"},
		{"&AIA-", "\xc2\x80"},
		{"&B,8-", "\xdf\xbf"},
		{"&CAA-", "\xe0\xa0\x80"},
		{"&,,0-", "\xef\xbf\xbd"},
		{"&2ADcAA-", "\xf0\x90\x80\x80"},
		{"&2,,f,w-", "\xf4\x8f\xbf\xbf"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CU_ASSERT(is(utf7_decode(rows[i].wire), rows[i].utf8));
		if (rows[i].utf8 != NULL)
			CU_ASSERT(is(utf7_encode(rows[i].utf8), rows[i].wire));
	}
}

static void test_utf7_invalid(void)
{
	static const char *const rows[] = {
		"&",           "a&",        "&AOk",      "&AOk&",    /* not terminated */
		"A&B",         "&A-",       "&AO-",      "&AOkA-",   /* not whole */
		"&AOl-",       "&AOkx-",    "&AOkAAAA-",             /* bits left over; NUL */
		"&AGE-",       "&AC8-",     "&ACY-",     "&AOkAYQ-", /* ASCII in base64 */
		"&AOk-&AOk-",                                        /* closed and opened */
		"&2D0-",       "&3gk-",     "&3gnYPQ-",  "&2D3YPQ-", /* half a pair */
		"&2D0AYQ-",    "&AAA-",                              /* NUL */
		"&A/k-",       "&A=k-",     "&A k-",     "&AOk=-",   /* not the alphabet */
		"caf\xc3\xa9", "\xff",      "a\x80",                 /* 8-bit */
		"a\nb",        "\x7f",      "\x01",                  /* control characters */
		"&\xc3\xa9-",  "&AOk-\x01",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CU_ASSERT(is(utf7_decode(rows[i]), NULL));
}

static void test_utf7_raw(void)
{
	CU_ASSERT(is(utf7_encode("a\xff"
				 "b"),
		     "a\xff"
		     "b"));
	CU_ASSERT(is(utf7_encode("\xc3\xa9\xff\xc3\xa9"), "&AOk-\xff&AOk-"));
	CU_ASSERT(is(utf7_encode("\xed\xa0\x80"), "\xed\xa0\x80"));
	CU_ASSERT(is(utf7_encode("\xc3"), "\xc3"));
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

/* A random name of parts that are hard to tell apart. */
static void make_name(struct text *out, const char *const *parts, size_t n_parts, uint64_t *seed)
{
	size_t n = next_random(seed) % 7;

	text_clear(out);
	while (n-- != 0)
		text_puts(out, parts[next_random(seed) % n_parts]);
}

static void test_utf7_random(void)
{
	static const char *const parts[] = {"&",
					    "-",
					    "a",
					    "A",
					    ",",
					    "+",
					    "\x01",
					    "\x7f",
					    "\xc2\x80",
					    "\xc3\xa9",
					    "\xe5\x8f\xb0",
					    "\xef\xbf\xbf",
					    "\xf0\x9f\x98\x89",
					    "&-",
					    "AOk",
					    "\xf4\x8f\xbf\xbf"};
	struct text name = {0};
	uint64_t seed = 1;
	unsigned wrong = 0;

	for (unsigned round = 0; round < 20000; round++) {
		char *wire;

		make_name(&name, parts, ARRAY_SIZE(parts), &seed);
		wire = utf7_encode(text_get(&name));
		for (const char *p = wire; *p != '\0'; p++)
			wrong += *p < 0x20 || *p > 0x7e;
		wrong += !is(utf7_decode(wire), text_get(&name));
		free(wire);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	text_release(&name);
}

/* ---- mailboxes and folders ---- */

struct row {
	struct namespace ns;
	const char *wire, *name;
};

#define SLASH                  \
	{                      \
		"", '/', false \
	}
#define DOT                    \
	{                      \
		"", '.', false \
	}
#define NIL                     \
	{                       \
		"", '\0', false \
	}
#define UTF8                  \
	{                     \
		"", '/', true \
	}
#define BELOW                        \
	{                            \
		"INBOX.", '.', false \
	}
#define MAIL                        \
	{                           \
		"Mail/", '/', false \
	}

/* Both ways. */
static const struct row both[] = {
	{SLASH, "INBOX", "INBOX"},
	{SLASH, "INBOX/x", "INBOX/x"},
	{SLASH, "INBOXES", "INBOXES"},
	{SLASH, "a/inbox", "a/inbox"},
	{SLASH, "A/B c/d", "A/B c/d"},
	{SLASH, "A.B\\c", "A.B\\c"},
	{SLASH, "Entw&APw-rfe/&-", "Entw\xc3\xbcrfe/&"},
	{SLASH, "a//b/", "a//b/"},
	{SLASH, "a%2Fb", "a%252Fb"},
	{SLASH, "a%2fb%41%", "a%2fb%41%"},
	{SLASH, "..", ".."},
	{DOT, "A.B", "A/B"},
	{DOT, "A/B.c", "A%2FB/c"},
	{DOT, "A%2FB", "A%252FB"},
	{DOT, "A%252FB", "A%25252FB"},
	{DOT, "%25%2F%/F%2", "%25%252F%%2FF%2"},
	{DOT, "INBOX.INBOX", "INBOX/INBOX"},
	{DOT, "INBOX/x", "INBOX%2Fx"},
	{{"", '\\', false}, "A\\B/c.d", "A/B%2Fc.d"},
	{NIL, "A.B\\c", "A.B\\c"},
	{NIL, "A/B", "A%2FB"},
	{NIL, "INBOX", "INBOX"},
	{UTF8, "Entw\xc3\xbcrfe/&-", "Entw\xc3\xbcrfe/&-"},
	{{"", '.', true}, "a&AOk-.b", "a&AOk-/b"},
	{BELOW, "INBOX", "INBOX"},
	{BELOW, "INBOX.foo", "foo"},
	{BELOW, "INBOX.foo.bar", "foo/bar"},
	{BELOW, "INBOX.INBOX", "INBOX/INBOX"},
	{BELOW, "INBOX.INBOX.INBOX", "INBOX/INBOX/INBOX"},
	{BELOW, "INBOX.INBOX.x", "INBOX/x"},
	{BELOW, "INBOX.INBOX.INBOX.x", "INBOX/INBOX/x"},
	{BELOW, "INBOX.inbox", "INBOX/inbox"},
	{BELOW, "INBOX.inbox.x", "INBOX/inbox/x"},
	{BELOW, "INBOX.INBOX.inbox", "INBOX/INBOX/inbox"},
	{BELOW, "INBOX.INBOX.inbox.x", "INBOX/INBOX/inbox/x"},
	{BELOW, "INBOX.INBOXES", "INBOXES"},
	{BELOW, "INBOX.&APw-", "\xc3\xbc"},
	{BELOW, "INBOX.a/b", "a%2Fb"},
	{BELOW, "INBOX.&AOk-.\xc3\xa9\xff", "&AOk-/\xc3\xa9\xff"}, /* not UTF-8: as it is */
	{{"INBOX", '.', false}, "INBOX.foo", "foo"},
	{{"INBOX", '.', false}, "INBOX", "INBOX"},
	{MAIL, "INBOX", "INBOX"},
	{MAIL, "Mail/foo", "foo"},
	{MAIL, "Mail/INBOX", "INBOX/INBOX"},
	{MAIL, "Mail/Mail/x", "Mail/x"},
	{{"user.bob.", '.', false}, "user.bob.Drafts", "Drafts"},
	{{"Post&APw-/", '/', false}, "Post&APw-/&APw-", "\xc3\xbc"},
	{{"p", '\0', false}, "pq", "q"},
};

static void test_both_ways(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		CU_ASSERT(is(name_from_wire(&both[i].ns, both[i].wire), both[i].name));
		CU_ASSERT(is(name_to_wire(&both[i].ns, both[i].name), both[i].wire));
	}
}

static void test_from_wire(void)
{
	static const struct row rows[] = {
		{SLASH, "inbox", "INBOX"},
		{SLASH, "InBox/x/inbox", "INBOX/x/inbox"},
		{NIL, "inbox", "INBOX"},
		{BELOW, "Inbox", "INBOX"},
		{BELOW, "inbox.foo", "foo"}, /* the prefix has INBOX in it */
		{MAIL, "mail/foo", "mail/foo"},
		{BELOW, "shared.foo", "shared/foo"}, /* outside the prefix */
		{BELOW, "INBOXfoo", "INBOXfoo"},
		{BELOW, "INBOX.", "INBOX/"},
		{MAIL, "Mail", "Mail"},
		{MAIL, "inbox/x", "INBOX/x"},
		/* not valid: as it is */
		{SLASH, "A&B", "A&B"},
		{SLASH, "caf\xc3\xa9/&AOk-", "caf\xc3\xa9/&AOk-"},
		{SLASH, "\xff", "\xff"},
		{DOT, "&AGE-.b/c", "&AGE-/b%2Fc"},
		{BELOW, "INBOX.&.x", "&/x"},
		{SLASH, "", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CU_ASSERT(is(name_from_wire(&rows[i].ns, rows[i].wire), rows[i].name));
}

static void test_to_wire(void)
{
	static const struct row rows[] = {
		{SLASH, "INBOX", "inbox"}, {SLASH, "INBOX/x", "iNBOX/x"},
		{BELOW, "INBOX", "Inbox"}, {BELOW, "INBOX.INBOX.x", "inbox/x"},
		{SLASH, NULL, "a%2Fb"}, /* the delimiter in a level */
		{DOT, NULL, "a.b"},        {DOT, NULL, "x/a.b"},
		{BELOW, NULL, "a.b"},      {{"", '\\', false}, NULL, "a\\b"},
		{NIL, NULL, "a/b"}, /* no hierarchy */
		{NIL, NULL, "INBOX/x"},    {SLASH, NULL, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CU_ASSERT(is(name_to_wire(&rows[i].ns, rows[i].name), rows[i].wire));
}

static const struct namespace spaces[] = {SLASH, DOT, NIL, UTF8, BELOW, MAIL, {"", '\\', false}};
static const char *const hard_parts[] = {"INBOX", "inbox",    "INBOX", "%",  "25", "2F",
					 "%2F",   "/",        ".",     "\\", "/",  ".",
					 "&",     "\xc3\xa9", "x",     "~"};

/* Every name that can be a mailbox is found again by it. */
static void test_names_return(void)
{
	struct text name = {0};
	uint64_t seed = 2;
	unsigned wrong = 0, possible = 0;
	char *wire;

	for (unsigned round = 0; round < 100000; round++) {
		const struct namespace *ns = &spaces[round % ARRAY_SIZE(spaces)];

		make_name(&name, hard_parts, ARRAY_SIZE(hard_parts), &seed);
		wire = name_to_wire(ns, text_get(&name));
		if (wire == NULL)
			continue;
		possible++;
		if (starts_with(text_get(&name), "inbox") &&
		    (name.data[5] == '\0' || name.data[5] == '/'))
			memcpy(name.data, "INBOX", 5);
		wrong += !is(name_from_wire(ns, wire), text_get(&name));
		free(wire);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(possible > 50000);
	text_release(&name);
}

/* Every mailbox of the namespace is found again by its name. */
static void test_mailboxes_return(void)
{
	struct text name = {0};
	uint64_t seed = 5;
	unsigned wrong = 0;
	char *wire, *encoded, *back;

	for (unsigned round = 0; round < 100000; round++) {
		const struct namespace *ns = &spaces[round % ARRAY_SIZE(spaces)];

		do
			make_name(&name, hard_parts, ARRAY_SIZE(hard_parts), &seed);
		while (name.len == 0);
		encoded = ns->utf8 ? xstrdup(name.data) : utf7_encode(name.data);
		wire = xasprintf("%s%s", ns->prefix, encoded);
		if (*ns->prefix == '\0' && starts_with(wire, "inbox") &&
		    (wire[5] == '\0' || wire[5] == ns->delimiter))
			memcpy(wire, "INBOX", 5);
		back = name_from_wire(ns, wire);
		wrong += !is(name_to_wire(ns, back), wire);
		free(back);
		free(wire);
		free(encoded);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	text_release(&name);
}

static void test_is_inbox(void)
{
	CU_ASSERT(name_is_inbox("INBOX") && name_is_inbox("inbox") && name_is_inbox("InBoX"));
	CU_ASSERT(!name_is_inbox("INBOX/x") && !name_is_inbox("") && !name_is_inbox("INBO"));
	CU_ASSERT(!name_is_inbox("\xc4\xb0NBOX") && !name_is_inbox("INBOX "));
}

/* ---- patterns ---- */

static void test_pattern(void)
{
	static const struct {
		const char *pattern, *name;
		bool match;
	} rows[] = {
		{"*", "a/b/c", true},
		{"*", "", true},
		{"%", "a", true},
		{"%", "a/b", false},
		{"%/%", "a/b", true},
		{"a%", "a/b", false},
		{"a*", "a/b", true},
		{"a*", "A/b", false},
		{"a", "a", true},
		{"a", "aa", false},
		{"", "a", false},
		{"", "", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"%b/%c", "ab/xc", true},
		{"%b/%c", "b/b/c", false},
		{"*/%", "a/b/c", true},
		{"*/%x", "a/bx/c", false},
		{"a%*b", "a/x/b", true},
		{"a*%b", "a/x/b", true},
		{"**%%", "a/b", true},
		{"%%", "a/", false},
		{"*/", "a/", true},
		{"[a]", "a", false},
		{"?", "a", false},
		{"a.b", "aXb", false},
		{"\xc3\xa9*", "\xc3\xa9t", true},
		/* INBOX in any case, the rest not */
		{"inbox", "INBOX", true},
		{"Inbox/X", "INBOX/X", true},
		{"inbox/x", "INBOX/X", false},
		{"inb*", "INBOX", true},
		{"inb*", "INBOXES", false},
		{"%box", "INBOX", true},
		{"inbox", "a/INBOX", false},
		{"*/inbox", "a/INBOX", false},
		{"INBOX", "inbox", true},
		{"in%/a", "INBOX/a", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CU_ASSERT_EQUAL(pattern_match(rows[i].pattern, rows[i].name), rows[i].match);
}

/* The obvious matcher, which tries everything. */
static bool matches(const char *pattern, const char *name)
{
	if (*pattern == '*' || *pattern == '%') {
		if (matches(pattern + 1, name))
			return true;
		return *name != '\0' && (*pattern == '*' || *name != '/') &&
		       matches(pattern, name + 1);
	}
	if (*pattern == '\0' || *name == '\0')
		return *pattern == *name;
	return *pattern == *name && matches(pattern + 1, name + 1);
}

static void test_pattern_random(void)
{
	static const char *const parts[] = {"a", "b", "/", "a", "*", "%", "*"};
	struct text pattern = {0}, name = {0};
	uint64_t seed = 3;
	unsigned wrong = 0, matched = 0;

	for (unsigned round = 0; round < 100000; round++) {
		bool want;

		make_name(&pattern, parts, 7, &seed);
		make_name(&name, parts, 4, &seed);
		want = matches(text_get(&pattern), text_get(&name));
		matched += want;
		wrong += want != pattern_match(text_get(&pattern), text_get(&name));
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(matched > 1000 && matched < 99000);
	text_release(&pattern);
	text_release(&name);
}

/* Would take for ever if every length of every '*' were tried. */
static void test_pattern_hostile(void)
{
	struct text pattern = {0}, name = {0};

	for (unsigned i = 0; i < 500; i++) {
		text_puts(&pattern, "*a%");
		text_puts(&name, "aaa");
	}
	CU_ASSERT(pattern_match(text_get(&pattern), text_get(&name)));
	text_putc(&pattern, 'b');
	CU_ASSERT_FALSE(pattern_match(text_get(&pattern), text_get(&name)));
	text_release(&pattern);
	text_release(&name);
}

static void test_patterns(void)
{
	static const struct {
		const char *patterns[4];
		const char *name;
		bool is_virtual, chosen;
	} rows[] = {
		{{"*"}, "a/b", false, true},
		{{"%"}, "a/b", false, false},
		{{"*", "!Spam*"}, "Spam/x", false, false},
		{{"*", "!Spam*"}, "Work", false, true},
		{{"*", "!Spam*", "Spam/keep"}, "Spam/keep", false, true},
		{{"!Spam*", "*"}, "Spam", false, true},
		{{"!Spam*"}, "Work", false, true},
		{{"!Spam*"}, "Spam", false, false},
		{{"Work", "!x"}, "Other", false, false},
		{{"!inbox"}, "INBOX", false, false},
		{{"*"}, "All", true, false},
		{{"All"}, "All", true, true},
		{{"A%l"}, "All", true, false},
		{{"All", "*"}, "All", true, true},
		{{"All", "!*"}, "All", true, false},
		{{"!Spam"}, "All", true, false},
		{{"!Spam", "All"}, "All", true, true},
		{{NULL}, "a", false, false},
		{{"!"}, "a", false, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = 0;

		while (n < 4 && rows[i].patterns[n] != NULL)
			n++;
		CU_ASSERT_EQUAL(
			patterns_match(rows[i].patterns, n, rows[i].name, rows[i].is_virtual),
			rows[i].chosen);
	}
}

int main(void)
{
	static const struct test_case cases[] = {
		{"modified UTF-7", test_utf7},
		{"modified UTF-7 that is not valid", test_utf7_invalid},
		{"bytes that are not UTF-8", test_utf7_raw},
		{"modified UTF-7 both ways", test_utf7_random},
		{"names both ways", test_both_ways},
		{"names from the wire", test_from_wire},
		{"names to the wire", test_to_wire},
		{"random names to the wire and back", test_names_return},
		{"random mailboxes to names and back", test_mailboxes_return},
		{"INBOX", test_is_inbox},
		{"a pattern", test_pattern},
		{"random patterns", test_pattern_random},
		{"a hostile pattern", test_pattern_hostile},
		{"lists of patterns", test_patterns},
	};

	return run_tests("names", cases, ARRAY_SIZE(cases));
}
