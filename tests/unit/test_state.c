/* The base: what is put is found again, whole batches or nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/state_helper.h"

static bool same_record(const struct record *a, const struct record *b)
{
	return a->uid == b->uid && a->state == b->state && strcmp(a->base, b->base) == 0 &&
	       flags_equal(a->local, b->local) && flags_equal(a->remote, b->remote) &&
	       a->size == b->size && a->date == b->date && a->inode == b->inode &&
	       a->trace == b->trace && memcmp(&a->content, &b->content, sizeof(a->content)) == 0 &&
	       memcmp(&a->header, &b->header, sizeof(a->header)) == 0 &&
	       memcmp(&a->id, &b->id, sizeof(a->id)) == 0 && strcmp(a->reason, b->reason) == 0;
}

static void reopen(struct bed *bed)
{
	bed_close(bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(bed), 0);
}

static uint32_t owner(struct bed *bed, uint32_t folder, const char *base)
{
	uint32_t uid = 99999;

	CU_ASSERT_EQUAL(state_find_file(bed->state, folder, base, &uid, &bed->err), 0);
	return uid;
}

static const char *base_of(struct bed *bed, uint32_t folder, uint32_t uid)
{
	struct record record;

	if (state_get_record(bed->state, bed->arena, folder, uid, &record, &bed->err) != 1)
		return "(none)";
	return record.base;
}

static uint32_t keyword_set(struct bed *bed, const char *names)
{
	uint32_t set = KEYWORDS_NONE;

	while (*names != '\0') {
		size_t len = strcspn(names, " ");

		set = keywords_add(bed->pool, set, keyword_id(bed->pool, names, len));
		names += len + (names[len] == ' ');
	}
	return set;
}

static void test_records(void)
{
	static const struct {
		uint32_t uid;
		enum record_state state;
		const char *base;
		unsigned local, remote; /* system flags */
		const char *local_words, *remote_words;
		int64_t date;
		uint64_t inode;
		const char *reason;
	} rows[] = {
		{1, RECORD_PAIRED, "a", 0, 0, "", "", 0, 0, ""},
		{2, RECORD_ARRIVING, "b", FLAG_SEEN, 0, "", "", 1, 1, ""},
		{3, RECORD_SKIPPED, "", 0, FLAG_SEEN, "", "$Junk", -1, 0, "larger than max-size"},
		{127, RECORD_UNFETCHED, "", 0, 0, "", "", INT64_MAX, UINT64_MAX, "\xff\x01 odd"},
		{128, RECORD_HELD_LOCAL, "c", FLAGS_ALL, FLAGS_ALL, "x y z", "x y z", INT64_MIN, 1,
		 ""},
		{65536, RECORD_HELD_REMOTE, "d", FLAG_DRAFT, FLAG_DRAFT, "x", "y", 1700000000, 9,
		 ""},
		{4294967295U, RECORD_KEPT, "e f", 0, 0, "a b c d e f g h i j k l m n o p q r s",
		 "a", 1, 1, "kept"},
	};
	struct record put_rows[ARRAY_SIZE(rows)];
	struct bed bed;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct record *record = &put_rows[i];

		*record = make_record(rows[i].uid, rows[i].base);
		record->state = rows[i].state;
		record->local.system = rows[i].local & 0xff;
		record->local.keywords = keyword_set(&bed, rows[i].local_words) & 0xffffff;
		record->remote.system = rows[i].remote & 0xff;
		record->remote.keywords = keyword_set(&bed, rows[i].remote_words) & 0xffffff;
		record->date = rows[i].date;
		record->inode = rows[i].inode;
		record->reason = rows[i].reason;
		if (i % 2 != 0)
			memset(&record->content, 0, sizeof(record->content));
		else
			memset(&record->id, 7, sizeof(record->id));
		state_put_record(bed.batch, 5, record);
	}
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT(state_batch_empty(bed.batch));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct record got;

		CU_ASSERT_EQUAL(
			state_get_record(bed.state, bed.arena, 5, rows[i].uid, &got, &bed.err), 1);
		CU_ASSERT(same_record(&got, &put_rows[i]));
	}
	/* In another pool the numbers of sets may differ, the words may not. */
	reopen(&bed);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct record got;
		uint32_t words = keyword_set(&bed, rows[i].local_words);

		CU_ASSERT_EQUAL(
			state_get_record(bed.state, bed.arena, 5, rows[i].uid, &got, &bed.err), 1);
		CU_ASSERT_EQUAL(got.local.keywords, words);
		CU_ASSERT_EQUAL(got.remote.keywords, keyword_set(&bed, rows[i].remote_words));
		CU_ASSERT_STRING_EQUAL(got.base, rows[i].base);
	}
	CU_ASSERT_EQUAL(state_get_record(bed.state, bed.arena, 5, 4, &put_rows[0], &bed.err), 0);
	bed_remove(&bed);
}

static void test_one_file_one_record(void)
{
	struct bed bed;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	put(&bed, 1, 10, "x");
	put(&bed, 1, 11, "y");
	put(&bed, 2, 10, "x"); /* another folder: another file */
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	put(&bed, 1, 11, "x"); /* takes it from 10, and gives up y */
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT_EQUAL(owner(&bed, 1, "x"), 11);
	CU_ASSERT_EQUAL(owner(&bed, 1, "y"), 0);
	CU_ASSERT_EQUAL(owner(&bed, 2, "x"), 10);
	CU_ASSERT_STRING_EQUAL(base_of(&bed, 1, 10), "");
	CU_ASSERT_STRING_EQUAL(base_of(&bed, 1, 11), "x");
	state_delete_record(bed.batch, 1, 10); /* has no file any more: takes none along */
	put(&bed, 1, 12, "z");
	put(&bed, 1, 13, "z"); /* within one batch, in order */
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT_EQUAL(owner(&bed, 1, "x"), 11);
	CU_ASSERT_EQUAL(owner(&bed, 1, "z"), 13);
	CU_ASSERT_STRING_EQUAL(base_of(&bed, 1, 10), "(none)");
	CU_ASSERT_STRING_EQUAL(base_of(&bed, 1, 12), "");
	state_delete_record(bed.batch, 1, 13);
	state_delete_record(bed.batch, 1, 777); /* nothing there: nothing wrong */
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT_EQUAL(owner(&bed, 1, "z"), 0);
	bed_close(&bed);
	CU_ASSERT_EQUAL(count_inverses(bed.dir), 3);
	bed_remove(&bed);
}

static void test_base_lengths(void)
{
	static const struct {
		size_t len;
		int rc;
	} rows[] = {{1, 0}, {63, 0}, {64, 0}, {127, 0}, {128, 0}, {254, 0}, {255, 0}, {256, -1}};
	struct bed bed;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char base[300];

		memset(base, 'a', sizeof(base));
		base[rows[i].len] = '\0';
		put(&bed, 1, (uint32_t)i + 1, base);
		CU_ASSERT_EQUAL(bed_commit(&bed), rows[i].rc);
		CU_ASSERT_EQUAL(owner(&bed, 1, base), rows[i].rc == 0 ? i + 1 : 0);
		if (rows[i].rc == 0)
			CU_ASSERT_STRING_EQUAL(base_of(&bed, 1, (uint32_t)i + 1), base);
	}
	CU_ASSERT_EQUAL(bed.err.kind, ERROR_LOCAL);
	bed_remove(&bed);
}

struct order {
	uint32_t last;
	unsigned n;
	unsigned stop_at;
	bool wrong;
};

static int note_order(void *ctx, const struct record *record)
{
	struct order *order = ctx;

	if (record->uid <= order->last)
		order->wrong = true;
	order->last = record->uid;
	order->n++;
	return order->stop_at != 0 && order->n == order->stop_at ? 42 : 0;
}

static int note_anywhere(void *ctx, uint32_t folder, const struct record *record)
{
	unsigned *counts = ctx;

	counts[folder]++;
	return record->uid == 0;
}

static void test_walks(void)
{
	static const uint32_t uids[] = {300, 5, 70000, 256, 255, 1, 16777216, 2};
	struct order order = {0};
	unsigned counts[4] = {0};
	struct bed bed;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (size_t i = 0; i < ARRAY_SIZE(uids); i++) {
		put(&bed, 2, uids[i], "");
		put(&bed, 1, uids[i] + 1, "");
	}
	put(&bed, 3, 9, "");
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT_EQUAL(state_each_record(bed.state, 2, note_order, &order, &bed.err), 0);
	CU_ASSERT_EQUAL(order.n, ARRAY_SIZE(uids));
	CU_ASSERT_EQUAL(order.last, 16777216);
	CU_ASSERT_FALSE(order.wrong);
	memset(&order, 0, sizeof(order));
	order.stop_at = 3;
	CU_ASSERT_EQUAL(state_each_record(bed.state, 2, note_order, &order, &bed.err), 42);
	CU_ASSERT_EQUAL(order.n, 3);
	CU_ASSERT_EQUAL(state_each_record(bed.state, 4, note_order, &order, &bed.err), 0);
	CU_ASSERT_EQUAL(order.n, 3);
	CU_ASSERT_EQUAL(state_each_record_anywhere(bed.state, note_anywhere, counts, &bed.err), 0);
	CU_ASSERT_EQUAL(counts[1], ARRAY_SIZE(uids));
	CU_ASSERT_EQUAL(counts[2], ARRAY_SIZE(uids));
	CU_ASSERT_EQUAL(counts[3], 1);
	bed_remove(&bed);
}

static struct folder_record make_folder(uint32_t id, const char *name)
{
	struct folder_record folder;

	memset(&folder, 0, sizeof(folder));
	folder.id = id;
	folder.name = name;
	folder.wire = "INBOX.Entw&APw-rfe";
	folder.path = "";
	folder.mailbox_id = "F1";
	folder.delimiter = '.';
	folder.permanent_keywords = true;
	folder.special = SPECIAL_DRAFTS;
	folder.uidvalidity = 4294967295U;
	folder.uidnext = 17;
	folder.exists = 16;
	folder.highestmodseq = 9223372036854775807ULL;
	folder.permanent = FLAGS_ALL;
	for (size_t i = 0; i < STAMP_COUNT; i++) {
		folder.stamps[i].inode = 100 + i;
		folder.stamps[i].mtime_ns = 1700000000123456789 + (int64_t)i;
		folder.stamps[i].ctime_ns = -1;
		folder.stamps[i].racy = i % 2;
	}
	for (size_t i = 0; i < LETTER_COUNT; i++)
		folder.letters[i] = (uint32_t)i * 1000;
	folder.last_sync = 1700000000;
	folder.messages = 1;
	folder.unread = 2;
	folder.held = 3;
	folder.parked = 4;
	folder.skipped = 5;
	folder.pending = 6;
	return folder;
}

static bool same_folder(const struct folder_record *a, const struct folder_record *b)
{
	struct folder_record x = *a, y = *b;
	bool stamps = true;

	if (strcmp(a->name, b->name) != 0 || strcmp(a->wire, b->wire) != 0 ||
	    strcmp(a->path, b->path) != 0 || strcmp(a->mailbox_id, b->mailbox_id) != 0)
		return false;
	for (size_t i = 0; i < STAMP_COUNT; i++)
		stamps = stamps && a->stamps[i].inode == b->stamps[i].inode &&
			 a->stamps[i].mtime_ns == b->stamps[i].mtime_ns &&
			 a->stamps[i].ctime_ns == b->stamps[i].ctime_ns &&
			 a->stamps[i].racy == b->stamps[i].racy;
	x.name = y.name = x.wire = y.wire = x.path = y.path = x.mailbox_id = y.mailbox_id = NULL;
	return stamps && memcmp(x.letters, y.letters, sizeof(x.letters)) == 0 && x.id == y.id &&
	       x.delimiter == y.delimiter && x.noselect == y.noselect && x.special == y.special &&
	       x.uidvalidity == y.uidvalidity && x.uidnext == y.uidnext && x.exists == y.exists &&
	       x.highestmodseq == y.highestmodseq && x.permanent == y.permanent &&
	       x.permanent_keywords == y.permanent_keywords && x.read_only == y.read_only &&
	       x.remaking == y.remaking && x.restoring == y.restoring &&
	       x.last_sync == y.last_sync && x.messages == y.messages && x.unread == y.unread &&
	       x.held == y.held && x.parked == y.parked && x.skipped == y.skipped &&
	       x.pending == y.pending;
}

/* A run that changes nothing writes no page, and tells when it was in a file beside the base. */
static void test_in_order(void)
{
	struct folder_record a;
	struct stat before, after;
	char path[300];
	struct bed bed;

	bed_directory(&bed);
	bed_path(&bed, "data.mdb", path, sizeof(path));
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	CU_ASSERT_EQUAL(state_in_order(bed.state), 0);
	a = make_folder(state_new_folder_id(bed.state), "INBOX");
	state_put_folder(bed.batch, &a);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT_EQUAL_FATAL(stat(path, &before), 0);
	for (int64_t time = 1700000000; time < 20000000000; time *= 2) {
		reopen(&bed);
		state_put_folder(bed.batch, &a);
		CU_ASSERT_EQUAL(bed_commit(&bed), 0);
		state_note_in_order(bed.state, time);
		reopen(&bed);
		CU_ASSERT_EQUAL(state_in_order(bed.state), time);
	}
	CU_ASSERT_EQUAL(stat(path, &after), 0);
	CU_ASSERT(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
		  before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	a.unread++;
	state_put_folder(bed.batch, &a);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT_EQUAL(stat(path, &after), 0);
	CU_ASSERT(before.st_mtim.tv_nsec != after.st_mtim.tv_nsec);
	bed_remove(&bed);
}

static void test_folders(void)
{
	struct folder_record *folders, a, b;
	struct bed bed;
	size_t n = 9;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	CU_ASSERT_EQUAL(state_get_folders(bed.state, bed.arena, &folders, &n, &bed.err), 0);
	CU_ASSERT_EQUAL(n, 0);
	a = make_folder(state_new_folder_id(bed.state), "Entw\xc3\xbcrfe/\xff");
	b = make_folder(state_new_folder_id(bed.state), "INBOX");
	b.delimiter = '\0';
	b.noselect = b.read_only = b.remaking = true;
	a.restoring = true;
	CU_ASSERT_EQUAL(a.id, 1);
	CU_ASSERT_EQUAL(b.id, 2);
	state_put_folder(bed.batch, &b);
	state_put_folder(bed.batch, &a);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	reopen(&bed);
	CU_ASSERT_EQUAL(state_get_folders(bed.state, bed.arena, &folders, &n, &bed.err), 0);
	CU_ASSERT_EQUAL_FATAL(n, 2);
	CU_ASSERT(same_folder(&folders[0], &a));
	CU_ASSERT(same_folder(&folders[1], &b));
	/* Ids are never used again, not even those of folders that are gone. */
	state_delete_folder(bed.batch, 2);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	reopen(&bed);
	CU_ASSERT_EQUAL(state_new_folder_id(bed.state), 3);
	bed_remove(&bed);
}

static void test_attempts(void)
{
	struct attempt attempt = {.folder = 3, .base = "17.x", .kind = ATTEMPT_MOVE};
	struct attempt *got;
	struct bed bed;
	size_t n;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	attempt.state = ATTEMPT_REFUSED;
	attempt.uidvalidity = 4294967295U;
	attempt.uidnext = 5;
	memset(&attempt.content, 3, sizeof(attempt.content));
	attempt.message_id = UINT64_MAX;
	attempt.date = -5;
	attempt.flags.system = FLAG_SEEN;
	attempt.flags.keywords = keyword_set(&bed, "one two") & 0xffffff;
	attempt.inode = 77;
	attempt.old_folder = 2;
	attempt.old_uid = 99;
	attempt.tries = 2;
	attempt.time = 1700000001;
	snprintf(attempt.reason, sizeof(attempt.reason), "NO over quota");
	state_put_attempt(bed.batch, &attempt);
	attempt.base = "18.y";
	state_put_attempt(bed.batch, &attempt);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	state_delete_attempt(bed.batch, 3, "18.y");
	state_delete_attempt(bed.batch, 3, "none");
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	reopen(&bed);
	CU_ASSERT_EQUAL(state_get_attempts(bed.state, bed.arena, &got, &n, &bed.err), 0);
	CU_ASSERT_EQUAL_FATAL(n, 1);
	CU_ASSERT_EQUAL(got->folder, 3);
	CU_ASSERT_STRING_EQUAL(got->base, "17.x");
	CU_ASSERT_EQUAL(got->kind, ATTEMPT_MOVE);
	CU_ASSERT_EQUAL(got->state, ATTEMPT_REFUSED);
	CU_ASSERT_EQUAL(got->uidvalidity, 4294967295U);
	CU_ASSERT_EQUAL(got->uidnext, 5);
	CU_ASSERT(hash_equal(&got->content, &attempt.content));
	CU_ASSERT_EQUAL(got->message_id, attempt.message_id);
	CU_ASSERT(hash_is_none(&got->header));
	CU_ASSERT_EQUAL(got->date, -5);
	CU_ASSERT_EQUAL(got->flags.system, FLAG_SEEN);
	CU_ASSERT_EQUAL(got->flags.keywords, keyword_set(&bed, "one two"));
	CU_ASSERT_EQUAL(got->inode, 77);
	CU_ASSERT_EQUAL(got->old_folder, 2);
	CU_ASSERT_EQUAL(got->old_uid, 99);
	CU_ASSERT_EQUAL(got->tries, 2);
	CU_ASSERT_EQUAL(got->time, 1700000001);
	CU_ASSERT_STRING_EQUAL(got->reason, "NO over quota");
	bed_remove(&bed);
}

static void test_meta(void)
{
	struct state_meta meta = {.epoch = UINT64_MAX, .full_check = -3};
	struct state_meta got;
	struct bed bed;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	CU_ASSERT_EQUAL(state_get_meta(bed.state, &got, &bed.err), 0);
	CU_ASSERT_STRING_EQUAL(got.uuid, "");
	CU_ASSERT_EQUAL(got.epoch, 0);
	memset(meta.uuid, 'u', sizeof(meta.uuid) - 1);
	memset(meta.server, 's', sizeof(meta.server) - 1);
	memset(meta.capabilities, 'c', sizeof(meta.capabilities) - 1);
	state_put_meta(bed.batch, &meta);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	reopen(&bed);
	CU_ASSERT_EQUAL(state_get_meta(bed.state, &got, &bed.err), 0);
	CU_ASSERT_EQUAL(memcmp(&got, &meta, sizeof(got)), 0);
	bed_remove(&bed);
}

/* Keywords alone are a reason to write; what is known is no reason. */
static void test_keywords(void)
{
	struct keyword_pool *other = keyword_pool_new();
	struct bed bed;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	keyword_set(&bed, "First second");
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	keyword_set(&bed, "third FIRST");
	put(&bed, 1, 1, "a");
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT_EQUAL(state_commit(bed.batch, other, &bed.err), -1);
	reopen(&bed);
	CU_ASSERT_EQUAL(keyword_count(bed.pool), 3);
	CU_ASSERT_STRING_EQUAL(keyword_name(bed.pool, 1), "First");
	CU_ASSERT_STRING_EQUAL(keyword_name(bed.pool, 3), "third");
	keyword_pool_free(&other);
	bed_remove(&bed);
}

static int count_record(void *ctx, const struct record *record)
{
	tally_record(ctx, record);
	return 0;
}

/* The tally at the beginning and what the commits changed give what a walk counts. */
static void check_tally(struct bed *bed, uint32_t folder, struct tally tally)
{
	struct tally change = state_tally(bed->state, folder), counted = {0};

	CU_ASSERT_EQUAL(state_each_record(bed->state, folder, count_record, &counted, &bed->err),
			0);
	tally_add(&tally, &change, 1);
	CU_ASSERT_EQUAL(memcmp(&tally, &counted, sizeof(tally)), 0);
}

static void test_tallies(void)
{
	static const enum record_state states[] = {
		RECORD_PAIRED,     RECORD_ARRIVING,    RECORD_SKIPPED, RECORD_UNFETCHED,
		RECORD_HELD_LOCAL, RECORD_HELD_REMOTE, RECORD_KEPT,
	};
	struct tally none = {0}, before;
	struct record record;
	char base[8];
	struct bed bed;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (uint32_t uid = 1; uid <= 70; uid++) {
		snprintf(base, sizeof(base), "b%u", uid);
		record = make_record(uid, base);
		record.state = states[uid % ARRAY_SIZE(states)];
		record.local.system = uid % 3 == 0 ? FLAG_SEEN : FLAG_DELETED;
		record.remote.system = uid % 5 == 0 ? FLAG_SEEN : FLAG_DELETED;
		state_put_record(bed.batch, uid % 2 + 1, &record);
	}
	state_put_record(bed.batch, 9, &record);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	for (uint32_t folder = 1; folder <= 10; folder++)
		check_tally(&bed, folder, none);
	before = state_tally(bed.state, 1);
	CU_ASSERT(before.messages != 0 && before.unread != 0 && before.marked != 0);
	CU_ASSERT(before.held != 0 && before.skipped != 0 && before.unfetched != 0);
	/* Opened again, it counts from there: changed states, removals, a file that goes to another. */
	reopen(&bed);
	check_tally(&bed, 1, before);
	for (uint32_t uid = 1; uid <= 40; uid++) {
		record = make_record(uid, uid % 4 == 0 ? "b70" : "new");
		record.state = states[uid / 2 % ARRAY_SIZE(states)];
		if (uid % 3 == 0)
			state_delete_record(bed.batch, uid % 2 + 1, uid);
		else
			state_put_record(bed.batch, uid % 2 + 1, &record);
	}
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	check_tally(&bed, 1, before);
	/* What is not committed does not count. */
	state_delete_record(bed.batch, 1, 70);
	check_tally(&bed, 1, before);
	bed_remove(&bed);
}

static const struct test_case cases[] = {
	{"records", test_records},
	{"one file, one record", test_one_file_one_record},
	{"lengths of base names", test_base_lengths},
	{"walks", test_walks},
	{"folders", test_folders},
	{"in order", test_in_order},
	{"attempts", test_attempts},
	{"meta", test_meta},
	{"keywords", test_keywords},
	{"tallies", test_tallies},
};

int main(void)
{
	return run_tests("state", cases, ARRAY_SIZE(cases));
}
