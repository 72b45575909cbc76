/* A folder in three views: what counts as absent, and what proves nothing. */
#include "core/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"

static const struct flags none, seen = {.system = FLAG_SEEN}, flagged = {.system = FLAG_FLAGGED};

/* Records 10, 20, 30 ... with files "a", "b", "c" ... and inodes 1, 2, 3 ... */
static void fill(struct snapshot *snapshot, unsigned n, enum record_state state)
{
	snapshot_init(snapshot);
	for (unsigned i = 0; i < n; i++) {
		char base[2] = {(char)('a' + i % 26), '\0'};
		struct record record = {
			.uid = 10 * (i + 1),
			.state = state,
			.base = base,
			.local = seen,
			.remote = flagged,
			.inode = i + 1,
			.trace = 7,
		};

		snapshot_add_record(snapshot, &record);
	}
}

/* One character a message: '?' unknown, '=' here, '-' absent. */
static const char *presences(const struct snapshot *snapshot, bool remote)
{
	static const char signs[] = {[PRESENCE_UNKNOWN] = '?',
				     [PRESENCE_HERE] = '=',
				     [PRESENCE_ABSENT] = '-',
				     [PRESENCE_MOVED] = '>',
				     [PRESENCE_REPLACED] = '!'};
	static char out[64];
	size_t i;

	for (i = 0; i < snapshot->n && i < sizeof(out) - 1; i++)
		out[i] = signs[remote ? snapshot->messages[i].remote_presence
				      : snapshot->messages[i].local_presence];
	out[i] = '\0';
	return out;
}

static void see(struct snapshot *snapshot, const char *base, uint64_t inode)
{
	struct sighting sighting = {.base = base, .flags = none, .inode = inode, .trace = 7};

	snapshot_local_file(snapshot, &sighting);
}

/* ---- states ---- */

static void test_states(void)
{
	static const struct {
		enum record_state state;
		bool remote, local;
	} rows[] = {
		{RECORD_PAIRED, true, true},      {RECORD_ARRIVING, true, true},
		{RECORD_SKIPPED, true, false},    {RECORD_UNFETCHED, true, false},
		{RECORD_HELD_LOCAL, true, false}, {RECORD_HELD_REMOTE, false, true},
		{RECORD_KEPT, false, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct snapshot s;

		CU_ASSERT_EQUAL(state_is_remote(rows[i].state), rows[i].remote);
		CU_ASSERT_EQUAL(state_is_local(rows[i].state), rows[i].local);
		fill(&s, 1, rows[i].state);
		snapshot_local_same(&s);
		CU_ASSERT_STRING_EQUAL(presences(&s, false), rows[i].local ? "=" : "-");
		snapshot_remote_same(&s);
		CU_ASSERT_STRING_EQUAL(presences(&s, true), rows[i].remote ? "=" : "-");
		snapshot_remote_unknown(&s);
		CU_ASSERT_STRING_EQUAL(presences(&s, true), rows[i].remote ? "?" : "-");
		CU_ASSERT(flags_equal(s.messages[0].local, seen));
		CU_ASSERT(flags_equal(s.messages[0].remote, flagged));
		snapshot_release(&s);
	}
}

/* There may be a million: a record takes this much with its name, however long that is. */
static void test_size(void)
{
	struct record record = {.state = RECORD_PAIRED,
				.base = "1700000000.M123456P1234Q1R0123456789abcdef.a.host,S=2000"};
	struct snapshot s;

	snapshot_init(&s);
	snapshot_expect(&s, 1000);
	while (s.n < 1000) {
		record.uid = (uint32_t)s.n + 1;
		snapshot_add_record(&s, &record);
	}
	CU_ASSERT(s.room * sizeof(*s.messages) + arena_size(s.arena) <= 56 * s.n);
	CU_ASSERT_EQUAL(s.messages[0].name, name_key(record.base));
	CU_ASSERT_PTR_NULL(s.messages[0].base);
	snapshot_release(&s);
}

static void test_names(void)
{
	struct message message = {.state = RECORD_PAIRED};

	CU_ASSERT_EQUAL(name_key(""), 0);
	CU_ASSERT_NOT_EQUAL(name_key("a"), 0);
	CU_ASSERT_EQUAL(name_key("a"), name_key("a"));
	CU_ASSERT_NOT_EQUAL(name_key("1700000000.a"), name_key("1700000000.b"));
	message_set_base(&message, "a");
	CU_ASSERT_EQUAL(message.name, name_key("a"));
	CU_ASSERT_STRING_EQUAL(message.base, "a");
	message_set_base(&message, "");
	CU_ASSERT_EQUAL(message.name, 0);
}

static void test_find_and_insert(void)
{
	struct record record = {.uid = 15, .state = RECORD_PAIRED, .base = "new"};
	struct message *message;
	struct snapshot s;

	fill(&s, 4, RECORD_PAIRED);
	for (uint32_t uid = 0; uid < 60; uid++) /* in any order: the cursor is only a guess */
		CU_ASSERT_EQUAL(snapshot_find(&s, uid) != NULL,
				uid % 10 == 0 && uid >= 10 && uid <= 40);
	for (uint32_t uid = 60; uid-- > 0;)
		CU_ASSERT_EQUAL(snapshot_find(&s, uid) != NULL,
				uid % 10 == 0 && uid >= 10 && uid <= 40);
	snapshot_add_file(&s, "b", none, 99);
	s.files[0].replaces = 1;
	snapshot_local_begin(&s);
	see(&s, "a", 77);
	snapshot_local_end(&s, true);
	snapshot_add_file(&s, "b", none, 99);
	s.files[0].replaces = 1;
	message = snapshot_insert(&s, &record);
	CU_ASSERT_PTR_EQUAL(message, &s.messages[1]);
	CU_ASSERT(message->touched);
	CU_ASSERT_STRING_EQUAL(message->base, "new");
	CU_ASSERT_EQUAL(s.files[0].replaces, 2); /* still UID 20 */
	CU_ASSERT_EQUAL(s.suspects[0].message, 0);
	CU_ASSERT_EQUAL(snapshot_find(&s, 20)->uid, 20);
	record.uid = 99;
	CU_ASSERT_PTR_EQUAL(snapshot_insert(&s, &record), &s.messages[5]);
	snapshot_release(&s);
	snapshot_init(&s);
	CU_ASSERT_PTR_NULL(snapshot_find(&s, 1));
	CU_ASSERT_EQUAL(snapshot_insert(&s, &record)->uid, 99);
	snapshot_release(&s);
}

/* ---- local ---- */

static void test_scan(void)
{
	static const struct {
		const char *bases; /* seen, with the inodes they should have */
		bool proved;
		const char *presences;
		size_t files;
	} rows[] = {
		{"abc", true, "===", 0}, {"ac", true, "=-=", 0}, {"ac", false, "=?=", 0},
		{"", true, "---", 0},    {"", false, "???", 0},  {"cabz", true, "===", 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct snapshot s;

		fill(&s, 3, RECORD_PAIRED);
		snapshot_local_begin(&s);
		for (const char *p = rows[i].bases; *p != '\0'; p++) {
			char base[2] = {*p, '\0'};

			see(&s, base, (uint64_t)(*p - 'a' + 1));
		}
		snapshot_local_end(&s, rows[i].proved);
		CU_ASSERT_STRING_EQUAL(presences(&s, false), rows[i].presences);
		CU_ASSERT_EQUAL(s.n_files, rows[i].files);
		CU_ASSERT_EQUAL(s.n_suspects, 0);
		snapshot_release(&s);
	}
}

/* A scan that was begun again forgets what it saw. */
static void test_scan_again(void)
{
	struct snapshot s;

	fill(&s, 3, RECORD_PAIRED);
	snapshot_local_begin(&s);
	see(&s, "a", 1);
	see(&s, "b", 55);
	see(&s, "new", 9);
	snapshot_local_begin(&s);
	see(&s, "c", 3);
	snapshot_local_end(&s, true);
	CU_ASSERT_STRING_EQUAL(presences(&s, false), "--=");
	CU_ASSERT_EQUAL(s.n_files, 0);
	CU_ASSERT_EQUAL(s.n_suspects, 0);
	snapshot_local_gone(&s);
	CU_ASSERT_STRING_EQUAL(presences(&s, false), "---");
	snapshot_release(&s);
}

enum { NAMES = 500 };

static const char *name_of(unsigned i)
{
	static char name[32];

	snprintf(name, sizeof(name), "%u.name", 1700000000 + i);
	return name;
}

/* Directories are listed in any order, some of their files have no record, some records no file. */
static void test_orders(void)
{
	static const struct {
		unsigned first, step, n; /* files first, first + step ... modulo NAMES */
	} rows[] = {
		{0, 1, NAMES},   {NAMES - 1, NAMES - 1, NAMES}, {0, 7, NAMES}, {3, 203, NAMES},
		{490, 1, NAMES}, {0, 20, NAMES / 20},           {250, 1, 3},   {0, 1, 0},
	};
	struct record record = {.state = RECORD_PAIRED, .inode = 1, .trace = 7};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct snapshot s;
		size_t here = 0;

		snapshot_init(&s);
		for (unsigned j = 0; j < NAMES; j++) {
			record.uid = j + 1;
			record.base = j % 50 != 49 ? name_of(j) : "";
			snapshot_add_record(&s, &record);
		}
		snapshot_local_begin(&s);
		for (unsigned j = 0; j < rows[i].n; j++)
			see(&s, name_of((rows[i].first + j * rows[i].step) % NAMES), 1);
		snapshot_local_end(&s, true);
		for (size_t j = 0; j < s.n; j++)
			here += s.messages[j].local_presence == PRESENCE_HERE;
		CU_ASSERT_EQUAL(here + s.n_files, rows[i].n);
		for (size_t j = 0; j < s.n_files; j++)
			CU_ASSERT(strtoul(s.files[j].base, NULL, 10) % 50 == 49);
		CU_ASSERT_EQUAL(s.n_suspects, 0);
		snapshot_release(&s);
	}
}

/* A known name is another file, perhaps: other inode, or other time and size. */
static void test_suspects(void)
{
	static const struct {
		uint64_t inode;
		uint32_t trace;
		bool suspect;
	} rows[] = {{1, 7, false}, {1, 0, false}, {1, 8, true}, {2, 7, true}, {2, 0, true}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sighting sighting = {.base = "a",
					    .flags = flagged,
					    .inode = rows[i].inode,
					    .trace = rows[i].trace};
		struct snapshot s;

		fill(&s, 1, RECORD_PAIRED);
		snapshot_local_begin(&s);
		snapshot_local_file(&s, &sighting);
		snapshot_local_end(&s, true);
		CU_ASSERT_EQUAL(s.n_suspects, rows[i].suspect);
		CU_ASSERT_STRING_EQUAL(presences(&s, false), "=");
		CU_ASSERT(flags_equal(s.messages[0].local, flagged));
		CU_ASSERT(flags_equal(s.messages[0].base_local, seen));
		snapshot_release(&s);
	}
	CU_ASSERT_NOT_EQUAL(file_trace(1, 1), 0);
	CU_ASSERT_NOT_EQUAL(file_trace(1, 1), file_trace(1, 2));
	CU_ASSERT_NOT_EQUAL(file_trace(1, 1), file_trace(2, 1));
	CU_ASSERT_EQUAL(file_trace(1, 1), file_trace(1, 1));
}

/* A record without a file is absent even where the scan proves nothing. */
static void test_no_file(void)
{
	struct record record = {.uid = 5, .state = RECORD_SKIPPED, .base = ""};
	struct snapshot s;

	snapshot_init(&s);
	snapshot_add_record(&s, &record);
	snapshot_local_begin(&s);
	see(&s, "x", 1);
	snapshot_local_end(&s, false);
	CU_ASSERT_STRING_EQUAL(presences(&s, false), "-");
	CU_ASSERT_EQUAL(s.n_files, 1);
	snapshot_release(&s);
}

/* ---- remote ---- */

struct listing_row {
	enum listing listing;
	const char *told; /* UIDs: "10 20 25"; "-10:20" vanished */
	uint32_t exists;
	bool complete, good;
	const char *presences; /* of 10, 20, 30 */
	size_t arrivals;
};

static void tell(struct snapshot *s, const char *told)
{
	unsigned first, last;
	int used;

	for (; sscanf(told, " -%u:%u%n", &first, &last, &used) == 2 ||
	       (last = 0, sscanf(told, " %u%n", &first, &used) == 1);
	     told += used) {
		if (last != 0)
			snapshot_remote_vanished(s, first, last);
		else
			snapshot_remote_message(s, first, none);
	}
}

static void test_listings(void)
{
	static const struct listing_row rows[] = {
		{LISTING_FULL, "10 20 30", 3, true, true, "===", 0},
		{LISTING_FULL, "10 30", 2, true, true, "=-=", 0},
		{LISTING_FULL, "10 30", 3, true, false, "=?=", 0}, /* a line was lost */
		{LISTING_FULL, "10 30", 2, false, false, "=?=", 0},
		{LISTING_FULL, "", 0, true, true, "---", 0},
		{LISTING_FULL, "", 3, true, false, "???", 0}, /* an empty answer proves nothing */
		{LISTING_FULL, "30 20 10", 3, true, true, "===", 0},
		{LISTING_FULL, "10 20 30 40 50", 5, true, true, "===", 2},
		{LISTING_FULL, "10 20 30 5", 4, true, true, "===", 1},
		{LISTING_FULL, "10 20 30 40 40", 4, true, true, "===", 1}, /* told twice */
		{LISTING_FULL, "10 10 20 30", 3, true, true, "===", 0},
		{LISTING_DELTA, "", 3, true, true, "===", 0},
		{LISTING_DELTA, "20", 3, true, true, "===", 0},
		{LISTING_DELTA, "-20:20", 2, true, true, "=-=", 0},
		{LISTING_DELTA, "-1:25", 1, true, true, "--=", 0},
		{LISTING_DELTA, "-20:20", 3, true, false, "?-?", 0}, /* one of them lies */
		{LISTING_DELTA, "", 2, true, false, "???", 0},       /* gone without a word */
		{LISTING_DELTA, "-20:20", 2, false, false, "?-?", 0},
		{LISTING_DELTA, "40 -20:20 41", 4, true, true, "=-=", 2},
		{LISTING_DELTA, "-11:19", 3, true, true, "===", 0},
		{LISTING_DELTA, "-31:4294967295", 3, true, true, "===", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct listing_row *row = &rows[i];
		struct snapshot s;

		fill(&s, 3, RECORD_PAIRED);
		snapshot_remote_begin(&s);
		tell(&s, row->told);
		CU_ASSERT_EQUAL(snapshot_remote_end(&s, row->listing, row->complete, row->exists),
				row->good);
		if (strcmp(presences(&s, true), row->presences) != 0) {
			printf("\n  %s: %s", row->told, presences(&s, true));
			CU_FAIL("presences");
		}
		CU_ASSERT_EQUAL(s.n_arrivals, row->arrivals);
		snapshot_release(&s);
	}
}

/* Told twice, the last word counts; arrivals ascend. */
static void test_told_twice(void)
{
	struct snapshot s;

	fill(&s, 0, RECORD_PAIRED);
	snapshot_remote_begin(&s);
	for (uint32_t uid = 40; uid > 0; uid--)
		snapshot_remote_message(&s, uid, seen);
	for (uint32_t uid = 40; uid > 0; uid -= 2)
		snapshot_remote_message(&s, uid, flagged);
	CU_ASSERT(snapshot_remote_end(&s, LISTING_FULL, true, 40));
	for (uint32_t i = 0; i < s.n_arrivals; i++) {
		CU_ASSERT_EQUAL(s.arrivals[i].uid, i + 1);
		CU_ASSERT(flags_equal(s.arrivals[i].flags, i % 2 != 0 ? flagged : seen));
	}
	snapshot_remote_arrived(&s, 7, none); /* a record that was dropped: as it is told now */
	CU_ASSERT_EQUAL(s.n_arrivals, 40);
	CU_ASSERT(flags_equal(s.arrivals[6].flags, none));
	snapshot_remote_arrived(&s, 77, seen);
	CU_ASSERT_EQUAL(s.n_arrivals, 41);
	snapshot_release(&s);
}

static void test_remote_flags(void)
{
	struct snapshot s;

	fill(&s, 2, RECORD_PAIRED);
	snapshot_remote_begin(&s);
	snapshot_remote_message(&s, 10, seen);
	CU_ASSERT(snapshot_remote_end(&s, LISTING_DELTA, true, 2));
	CU_ASSERT(flags_equal(s.messages[0].remote, seen));
	CU_ASSERT(flags_equal(s.messages[0].base_remote, flagged));
	CU_ASSERT(flags_equal(s.messages[1].remote, flagged)); /* not told: as it was */
	snapshot_release(&s);
}

/* Records that are not on the server count neither as there nor as gone. */
static void test_kept_records(void)
{
	struct record record = {.uid = 5, .state = RECORD_KEPT, .base = "k"};
	struct snapshot s;

	snapshot_init(&s);
	snapshot_add_record(&s, &record);
	record = (struct record){.uid = 6, .state = RECORD_PAIRED, .base = "p"};
	snapshot_add_record(&s, &record);
	snapshot_remote_begin(&s);
	CU_ASSERT(snapshot_remote_end(&s, LISTING_DELTA, true, 1));
	CU_ASSERT_STRING_EQUAL(presences(&s, true), "-=");
	CU_ASSERT_EQUAL(s.vanished, 0);
	snapshot_remote_begin(&s);
	snapshot_remote_vanished(&s, 1, 100);
	CU_ASSERT_EQUAL(s.vanished, 1);
	snapshot_release(&s);
}

/* UIDs that mean nothing any more: everything recorded is absent, everything told is new. */
static void test_void_uids(void)
{
	struct snapshot s;

	fill(&s, 3, RECORD_PAIRED);
	s.void_uids = true;
	snapshot_remote_begin(&s);
	snapshot_remote_message(&s, 10, none);
	snapshot_remote_message(&s, 20, none);
	CU_ASSERT(snapshot_remote_end(&s, LISTING_FULL, true, 2));
	CU_ASSERT_STRING_EQUAL(presences(&s, true), "---");
	CU_ASSERT_EQUAL(s.n_arrivals, 2);
	snapshot_release(&s);
}

static void test_gone(void)
{
	struct snapshot s;

	fill(&s, 2, RECORD_PAIRED);
	snapshot_remote_begin(&s);
	snapshot_remote_message(&s, 99, none);
	snapshot_remote_gone(&s);
	CU_ASSERT_STRING_EQUAL(presences(&s, true), "--");
	CU_ASSERT_EQUAL(s.n_arrivals, 0);
	snapshot_release(&s);
	CU_ASSERT_PTR_NULL(s.messages);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"states", test_states},
		{"size", test_size},
		{"names", test_names},
		{"find and insert", test_find_and_insert},
		{"a scan", test_scan},
		{"a scan begun again", test_scan_again},
		{"files in any order", test_orders},
		{"suspects", test_suspects},
		{"records without a file", test_no_file},
		{"listings", test_listings},
		{"told twice", test_told_twice},
		{"flags on the server", test_remote_flags},
		{"kept records", test_kept_records},
		{"void UIDs", test_void_uids},
		{"gone", test_gone},
	};

	return run_tests("snapshot", cases, ARRAY_SIZE(cases));
}
