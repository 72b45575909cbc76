/* Flags and keyword sets: names, letters, the algebra of sets, bounds, threads. */
#include "core/flags.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"

#define MANY 16

static uint32_t id_of(struct keyword_pool *pool, const char *name)
{
	return keyword_id(pool, name, strlen(name));
}

/* The set with a bit of mask for each of the ids 1.. */
static uint32_t set_of(struct keyword_pool *pool, unsigned mask)
{
	uint32_t set = KEYWORDS_NONE;

	for (uint32_t id = 1; mask != 0; id++, mask >>= 1) {
		if (mask & 1)
			set = keywords_add(pool, set, id);
	}
	return set;
}

static struct keyword_pool *pool_of(unsigned names)
{
	struct keyword_pool *pool = keyword_pool_new();
	char name[16];

	for (unsigned i = 1; i <= names; i++) {
		snprintf(name, sizeof(name), "k%u", i);
		CU_ASSERT_EQUAL(id_of(pool, name), i);
	}
	return pool;
}

static void test_names(void)
{
	static const struct {
		const char *name;
		uint32_t id;
	} rows[] = {
		{"Junk", 1},     {"junk", 1},     {"JUNK", 1},     {"$MDNSent", 2},
		{"$MdnSent", 2}, {"Jun", 3},      {"Junk ", 4},    {"TITLE", 5},
		{"title", 5},    {"\xc3\x84", 6}, {"\xc3\xa4", 7}, {"", 0},
	};
	struct keyword_pool *pool = keyword_pool_new();
	const char *first;

	CU_ASSERT_EQUAL(keyword_count(pool), 0);
	CU_ASSERT_EQUAL(keyword_id(pool, "Junkyard", 4), 1);
	first = keyword_name(pool, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CU_ASSERT_EQUAL(id_of(pool, rows[i].name), rows[i].id);
	CU_ASSERT_EQUAL(keyword_count(pool), 7);
	CU_ASSERT_STRING_EQUAL(keyword_name(pool, 1), "Junk");
	CU_ASSERT_STRING_EQUAL(keyword_name(pool, 2), "$MDNSent");
	CU_ASSERT_PTR_EQUAL(keyword_name(pool, 1), first);
	CU_ASSERT_PTR_NULL(keyword_name(pool, 0));
	CU_ASSERT_PTR_NULL(keyword_name(pool, 8));
	CU_ASSERT_EQUAL(keyword_id(pool, "a\0b", 3), 0);
	keyword_pool_free(&pool);
	CU_ASSERT_PTR_NULL(pool);
	keyword_pool_free(&pool);
}

/* Equal sets have equal numbers, in whatever order they were put together. */
static void test_interning(void)
{
	static const uint32_t orders[][4] = {
		{1, 2, 3, 4}, {4, 3, 2, 1}, {2, 4, 1, 3}, {3, 1, 4, 2}};
	struct keyword_pool *pool = pool_of(4);
	uint32_t want = set_of(pool, 0xf), ids[4], set;

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		set = KEYWORDS_NONE;
		for (size_t j = 0; j < 4; j++)
			set = keywords_add(pool, set, orders[i][j]);
		CU_ASSERT_EQUAL(set, want);
		CU_ASSERT_EQUAL(keywords_add(pool, set, orders[i][0]), want);
	}
	CU_ASSERT_EQUAL(keywords_ids(pool, want, ids, 4), 4);
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(ids[i], i + 1);
	ids[2] = 77;
	CU_ASSERT_EQUAL(keywords_ids(pool, want, ids, 2), 4);
	CU_ASSERT_EQUAL(ids[0], 1);
	CU_ASSERT_EQUAL(ids[1], 2);
	CU_ASSERT_EQUAL(ids[2], 77);
	CU_ASSERT_EQUAL(keywords_ids(pool, KEYWORDS_NONE, NULL, 0), 0);
	keyword_pool_free(&pool);
}

/* All pairs of sets of five keywords against the same operations on bits. */
static void test_algebra(void)
{
	struct keyword_pool *pool = pool_of(5);
	uint32_t sets[32];

	for (unsigned i = 0; i < 32; i++)
		sets[i] = set_of(pool, i);
	for (unsigned a = 0; a < 32; a++) {
		for (unsigned b = 0; b < 32; b++) {
			CU_ASSERT_EQUAL(sets[a] == sets[b], a == b);
			CU_ASSERT_EQUAL(keywords_union(pool, sets[a], sets[b]), sets[a | b]);
			CU_ASSERT_EQUAL(keywords_minus(pool, sets[a], sets[b]), sets[a & ~b]);
			CU_ASSERT_EQUAL(keywords_intersection(pool, sets[a], sets[b]), sets[a & b]);
		}
		for (uint32_t id = 0; id < 7; id++)
			CU_ASSERT_EQUAL(keywords_has(pool, sets[a], id), (a << 1 >> id & 1) != 0);
	}
	CU_ASSERT_EQUAL(sets[0], KEYWORDS_NONE);
	keyword_pool_free(&pool);
}

static void test_foreign_numbers(void)
{
	struct keyword_pool *pool = pool_of(2);
	uint32_t set = set_of(pool, 3);

	CU_ASSERT_EQUAL(keywords_add(pool, set, 0), set);
	CU_ASSERT_EQUAL(keywords_add(pool, set, 3), set);
	CU_ASSERT_EQUAL(keywords_add(pool, 0xfffff, 1), 0xfffff);
	CU_ASSERT_FALSE(keywords_has(pool, 0xfffff, 1));
	CU_ASSERT_EQUAL(keywords_ids(pool, 0xfffff, NULL, 0), 0);
	CU_ASSERT_EQUAL(keywords_union(pool, set, 0xfffff), set);
	keyword_pool_free(&pool);
}

/* More names and larger sets than we take up: nothing breaks, and what is there stays. */
static void test_bounds(void)
{
	struct keyword_pool *pool = keyword_pool_new();
	uint32_t set = KEYWORDS_NONE, full, last, id = 0;
	char name[32];

	for (unsigned i = 1; i <= 100000; i++) {
		snprintf(name, sizeof(name), "keyword-%u", i);
		id = id_of(pool, name);
		if (id != i)
			break;
		set = keywords_add(pool, set, id);
	}
	CU_ASSERT_EQUAL(id, 100000);
	CU_ASSERT_EQUAL(id_of(pool, "one-more"), 0);
	CU_ASSERT_EQUAL(id_of(pool, "KEYWORD-99999"), 99999);
	CU_ASSERT_EQUAL(keyword_count(pool), 100000);
	CU_ASSERT_EQUAL(keywords_ids(pool, set, NULL, 0), 1024);
	full = set;
	CU_ASSERT_EQUAL(keywords_add(pool, full, 100000), full);
	CU_ASSERT_EQUAL(keywords_add(pool, full, id_of(pool, "and-another")), full);
	last = keywords_add(pool, KEYWORDS_NONE, 100000);
	CU_ASSERT_EQUAL(keywords_union(pool, full, last), full);
	CU_ASSERT_EQUAL(keywords_union(pool, last, full), last);
	CU_ASSERT_EQUAL(keywords_minus(pool, full, last), full);
	CU_ASSERT_TRUE(keywords_has(pool, full, 1024));
	CU_ASSERT_FALSE(keywords_has(pool, full, 1025));
	keyword_pool_free(&pool);
}

static void test_imap(void)
{
	static const struct {
		const char *name;
		unsigned system;
		const char *keyword; /* NULL: none */
	} rows[] = {
		{"\\Seen", FLAG_SEEN, NULL},
		{"\\SEEN", FLAG_SEEN, NULL},
		{"\\answered", FLAG_ANSWERED, NULL},
		{"\\Flagged", FLAG_FLAGGED, NULL},
		{"\\Deleted", FLAG_DELETED, NULL},
		{"\\Draft", FLAG_DRAFT, NULL},
		{"$Forwarded", FLAG_FORWARDED, NULL},
		{"$FORWARDED", FLAG_FORWARDED, NULL},
		{"Forwarded", FLAG_FORWARDED, NULL},
		{"\\Forwarded", FLAG_FORWARDED, NULL},
		{"\\Recent", 0, NULL},
		{"\\*", 0, NULL},
		{"\\Unknown", 0, NULL},
		{"\\", 0, NULL},
		{"", 0, NULL},
		{"Seen", 0, "Seen"},
		{"$Forwarded2", 0, "$Forwarded2"},
		{"$Forward", 0, "$Forward"},
		{"junk", 0, "junk"},
		{"$Junk", 0, "$Junk"},
	};
	struct keyword_pool *pool = keyword_pool_new();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct flags flags = {0, 0};
		uint32_t id = 0;

		flags_add_imap(pool, &flags, rows[i].name, strlen(rows[i].name));
		CU_ASSERT_EQUAL(flags.system, rows[i].system);
		CU_ASSERT_EQUAL(keywords_ids(pool, flags.keywords, &id, 1),
				rows[i].keyword != NULL);
		if (rows[i].keyword != NULL)
			CU_ASSERT_STRING_EQUAL(keyword_name(pool, id), rows[i].keyword);
	}
	keyword_pool_free(&pool);
}

/* A list of flags as a server sends it, not terminated between. */
static void test_imap_list(void)
{
	struct keyword_pool *pool = keyword_pool_new();
	struct flags a = {0, 0}, b = {0, 0};

	flags_add_imap(pool, &a, "\\Seen Junk", 5);
	flags_add_imap(pool, &a, "Junk NotJunk", 4);
	flags_add_imap(pool, &a, "NotJunk", 7);
	flags_add_imap(pool, &b, "NOTJUNK", 7);
	flags_add_imap(pool, &b, "junk", 4);
	CU_ASSERT_FALSE(flags_equal(a, b));
	flags_add_imap(pool, &b, "\\seen", 5);
	CU_ASSERT_TRUE(flags_equal(a, b));
	CU_ASSERT_EQUAL(a.system, FLAG_SEEN);
	CU_ASSERT_EQUAL(keyword_count(pool), 2);
	keyword_pool_free(&pool);
}

static void test_flags_algebra(void)
{
	struct keyword_pool *pool = pool_of(3);
	struct flags a = {FLAG_SEEN | FLAG_DRAFT, set_of(pool, 3) & 0xffffffU};
	struct flags b = {FLAG_SEEN | FLAG_FLAGGED, set_of(pool, 6) & 0xffffffU};
	struct flags none = {0, 0}, got;

	got = flags_union(pool, a, b);
	CU_ASSERT_EQUAL(got.system, FLAG_SEEN | FLAG_DRAFT | FLAG_FLAGGED);
	CU_ASSERT_EQUAL(got.keywords, set_of(pool, 7));
	got = flags_minus(pool, a, b);
	CU_ASSERT_EQUAL(got.system, FLAG_DRAFT);
	CU_ASSERT_EQUAL(got.keywords, set_of(pool, 1));
	got = flags_intersection(pool, a, b);
	CU_ASSERT_EQUAL(got.system, FLAG_SEEN);
	CU_ASSERT_EQUAL(got.keywords, set_of(pool, 2));
	CU_ASSERT_TRUE(flags_empty(flags_minus(pool, a, a)));
	CU_ASSERT_TRUE(flags_empty(none));
	CU_ASSERT_FALSE(flags_empty(got));
	CU_ASSERT_FALSE(flags_equal(a, b));
	CU_ASSERT_TRUE(flags_equal(flags_union(pool, a, none), a));
	keyword_pool_free(&pool);
}

static void test_letters(void)
{
	static const struct {
		uint32_t system;
		const char *letters;
	} rows[] = {
		{0, ""},
		{FLAG_SEEN, "S"},
		{FLAG_ANSWERED | FLAG_SEEN, "RS"},
		{FLAG_FORWARDED | FLAG_FLAGGED, "FP"},
		{FLAGS_ALL, "DFPRST"},
		{0xff, "DFPRST"},
	};
	char out[7];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t back = 0;

		flags_to_letters(rows[i].system, out);
		CU_ASSERT_STRING_EQUAL(out, rows[i].letters);
		for (const char *p = out; *p != '\0'; p++)
			back |= flags_from_letter(*p);
		CU_ASSERT_EQUAL(back, rows[i].system & FLAGS_ALL);
	}
	CU_ASSERT_EQUAL(flags_from_letter('S'), FLAG_SEEN);
	CU_ASSERT_EQUAL(flags_from_letter('s'), 0);
	CU_ASSERT_EQUAL(flags_from_letter('X'), 0);
	CU_ASSERT_EQUAL(flags_from_letter('\0'), 0);
}

struct job {
	struct keyword_pool *pool;
	uint32_t sets[1 << MANY];
	unsigned step; /* each thread visits the sets in another order */
};

static void *make_sets(void *data)
{
	struct job *job = data;
	char name[16];

	for (unsigned i = 0, mask = 0; i < 1 << MANY; i += 16, mask += 16 * job->step) {
		unsigned m = mask & ((1 << MANY) - 1);
		uint32_t set = KEYWORDS_NONE;

		for (unsigned bit = 0; bit < MANY; bit++) {
			if ((m >> bit & 1) == 0)
				continue;
			snprintf(name, sizeof(name), "K%u", bit);
			set = keywords_add(job->pool, set, id_of(job->pool, name));
		}
		job->sets[m] = set;
	}
	return NULL;
}

static void test_threads(void)
{
	static struct job jobs[4];
	struct keyword_pool *pool = keyword_pool_new();
	pthread_t threads[4];
	size_t bits;

	for (size_t i = 0; i < 4; i++) {
		jobs[i].pool = pool;
		jobs[i].step = (unsigned)(2 * i + 1);
		CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, make_sets, &jobs[i]), 0);
	}
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(keyword_count(pool), MANY - 4);
	for (unsigned m = 0; m < 1 << MANY; m += 16) {
		bits = (size_t)__builtin_popcount(m);
		CU_ASSERT_EQUAL(keywords_ids(pool, jobs[0].sets[m], NULL, 0), bits);
		CU_ASSERT(jobs[0].sets[m] == jobs[1].sets[m] &&
			  jobs[0].sets[m] == jobs[2].sets[m] && jobs[0].sets[m] == jobs[3].sets[m]);
	}
	keyword_pool_free(&pool);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"names of keywords", test_names},
		{"equal sets have equal numbers", test_interning},
		{"sets as bits", test_algebra},
		{"numbers of no pool", test_foreign_numbers},
		{"more than we take up", test_bounds},
		{"flags as IMAP names them", test_imap},
		{"a list of flags", test_imap_list},
		{"flags as sets", test_flags_algebra},
		{"letters", test_letters},
		{"several threads", test_threads},
	};

	return run_tests("flags", cases, ARRAY_SIZE(cases));
}
