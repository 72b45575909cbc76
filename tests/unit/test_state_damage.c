/* The base when the world is unkind: a full disk, readers beside a writer, damage, locks. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/check.h"
#include "tests/unit/state_helper.h"

static uint32_t owner(struct bed *bed, uint32_t folder, const char *base)
{
	uint32_t uid = 99999;

	CU_ASSERT_EQUAL(state_find_file(bed->state, folder, base, &uid, &bed->err), 0);
	return uid;
}

static int count_record(void *ctx, const struct record *record)
{
	(void)record;
	++*(unsigned *)ctx;
	return 0;
}

/* A disk that is full, here by a limit on the size of files. */
static void test_disk_full(void)
{
	struct rlimit before, tight;
	struct stat st;
	struct bed bed;
	char path[300], base[64];

	bed_directory(&bed);
	signal(SIGXFSZ, SIG_IGN);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (uint32_t uid = 1; uid <= 1000; uid++)
		put(&bed, 1, uid, life_base(uid, base, sizeof(base)));
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	bed_path(&bed, "data.mdb", path, sizeof(path));
	CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
	getrlimit(RLIMIT_FSIZE, &before);
	tight = before;
	tight.rlim_cur = (rlim_t)st.st_size + 40960;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &tight), 0);
	for (uint32_t uid = 1001; uid <= 5000; uid++)
		put(&bed, 1, uid, life_base(uid, base, sizeof(base)));
	CU_ASSERT_EQUAL(bed_commit(&bed), -1);
	setrlimit(RLIMIT_FSIZE, &before);
	CU_ASSERT_EQUAL(bed.err.kind, ERROR_LOCAL);
	CU_ASSERT_FALSE(state_batch_empty(bed.batch));
	CU_ASSERT_EQUAL(owner(&bed, 1, life_base(1000, base, sizeof(base))), 1000);
	CU_ASSERT_EQUAL(owner(&bed, 1, life_base(1001, base, sizeof(base))), 0);
	/* With room again, the same batch goes through. */
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT_EQUAL(owner(&bed, 1, life_base(5000, base, sizeof(base))), 5000);
	bed_close(&bed);
	CU_ASSERT_EQUAL(count_inverses(bed.dir), 5000);
	bed_remove(&bed);
}

static void test_modes(void)
{
	static const char *const files[] = {"data.mdb", "lock.mdb", "lock", "clean"};
	struct stat st;
	struct bed bed;
	char path[300];
	size_t len;
	int fd;

	bed_directory(&bed);
	len = strlen(bed.dir);
	strncat(bed.dir, "/a/b", sizeof(bed.dir) - len - 1);
	fd = state_lock(bed.dir, false, &bed.err);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	put(&bed, 1, 1, "a");
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	bed_close(&bed);
	CU_ASSERT_EQUAL_FATAL(stat(bed.dir, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		bed_path(&bed, files[i], path, sizeof(path));
		CU_ASSERT_EQUAL(stat(path, &st), 0);
		CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	}
	close(fd);
	bed.dir[len] = '\0';
	bed_remove(&bed);
}

/* status beside a run: sees the last commit, makes nothing. */
static void test_read_only(void)
{
	struct state_meta meta = {.epoch = 1};
	struct state *reader = NULL;
	struct bed bed;
	char path[300];

	bed_directory(&bed);
	CU_ASSERT_EQUAL(state_open(&reader, bed.dir, true, &bed.err), -1);
	CU_ASSERT_EQUAL(bed.err.kind, ERROR_NOT_FOUND);
	bed_path(&bed, "none/at/all", path, sizeof(path));
	CU_ASSERT_EQUAL(state_open(&reader, path, true, &bed.err), -1);
	CU_ASSERT_EQUAL(bed.err.kind, ERROR_NOT_FOUND);
	CU_ASSERT_EQUAL(rmdir(bed.dir), 0); /* it is still empty */
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	state_put_meta(bed.batch, &meta);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	bed_close(&bed);
	/* A copy without LMDB's lock file, as from a backup. */
	bed_path(&bed, "lock.mdb", path, sizeof(path));
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL_FATAL(state_open(&reader, bed.dir, true, &bed.err), 0);
	CU_ASSERT_EQUAL(state_get_meta(reader, &meta, &bed.err), 0);
	CU_ASSERT_EQUAL(meta.epoch, 1);
	state_close(&reader);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	bed_remove(&bed);
}

/* LMDB does not let one process open a file twice: the other one is a child. */
static void test_read_beside_writer(void)
{
	int to_child[2], status = -1;
	struct bed bed;
	char c = 'x';
	pid_t pid;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(pipe(to_child), 0);
	pid = fork();
	if (pid == 0) {
		struct state_meta meta;
		int bad = 0;

		close(to_child[1]);
		while (read(to_child[0], &c, 1) == 1) {
			struct state *reader;
			unsigned n = 0;
			struct keyword_pool *pool = keyword_pool_new();

			bad |= state_open(&reader, bed.dir, true, &bed.err);
			bad |= bad || state_load_keywords(reader, pool, &bed.err) != 0 ||
			       state_get_meta(reader, &meta, &bed.err) != 0 ||
			       state_each_record(reader, 1, count_record, &n, &bed.err) != 0;
			state_close(&reader);
			keyword_pool_free(&pool);
		}
		if (bad)
			fprintf(stderr, "%s\n", bed.err.text);
		_exit(bad != 0);
	}
	close(to_child[0]);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (uint32_t round = 0; round < 200; round++) {
		char base[64];

		if (write(to_child[1], &c, 1) != 1)
			break;
		for (uint32_t i = 0; i < 100; i++)
			put(&bed, 1, round * 7 + i + 1,
			    life_base(round * 100 + i, base, sizeof(base)));
		CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	}
	close(to_child[1]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	bed_remove(&bed);
}

static void test_lock(void)
{
	char expected[64];
	struct bed bed;
	int first, second;

	bed_directory(&bed);
	first = state_lock(bed.dir, false, &bed.err);
	CU_ASSERT(first >= 0);
	second = state_lock(bed.dir, false, &bed.err);
	CU_ASSERT_EQUAL(second, -1);
	CU_ASSERT_EQUAL(bed.err.kind, ERROR_BUSY);
	snprintf(expected, sizeof(expected), "(process %ld)", (long)getpid());
	CU_ASSERT_PTR_NOT_NULL(strstr(bed.err.text, expected));
	close(first);
	second = state_lock(bed.dir, true, &bed.err);
	CU_ASSERT(second >= 0);
	close(second);
	bed_remove(&bed);
}

static void fill_bed(struct bed *bed)
{
	char base[64];

	bed_directory(bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(bed), 0);
	for (uint32_t uid = 1; uid <= 3000; uid++) {
		put(bed, 1, uid, life_base(uid, base, sizeof(base)));
		if (uid % 500 == 0)
			CU_ASSERT_EQUAL_FATAL(bed_commit(bed), 0);
	}
	bed_close(bed);
}

enum damage { TRUNCATE, ZERO, GARBAGE, EMPTY };

static void do_damage(const char *path, enum damage damage, long from, long len)
{
	FILE *file;

	if (damage == TRUNCATE || damage == EMPTY) {
		CU_ASSERT_EQUAL(truncate(path, damage == EMPTY ? 0 : from), 0);
		return;
	}
	file = fopen(path, "r+");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fseek(file, from, SEEK_SET);
	for (long i = 0; i < len; i++)
		putc(damage == ZERO ? 0 : (int)(i * 37 + 11) & 0xff, file);
	fclose(file);
}

static void test_damage(void)
{
	static const struct {
		enum damage damage;
		long from, len;
	} rows[] = {
		{EMPTY, 0, 0},
		{TRUNCATE, 1, 0},
		{TRUNCATE, 100, 0},
		{TRUNCATE, 4096, 0},
		{TRUNCATE, 8192, 0},
		{TRUNCATE, 100000, 0},
		{TRUNCATE, 262144, 0},
		{ZERO, 0, 4096},
		{ZERO, 4096, 4096},
		{ZERO, 0, 8192},
		{ZERO, 8192, 400000},
		{ZERO, 100000, 100000},
		{GARBAGE, 0, 4096},
		{GARBAGE, 8192, 4096},
		{GARBAGE, 40960, 65536},
		{GARBAGE, 100000, 300000},
		{GARBAGE, 8192, 1000000},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char path[300];
		struct bed bed;

		fill_bed(&bed);
		bed_path(&bed, "data.mdb", path, sizeof(path));
		do_damage(path, rows[i].damage, rows[i].from, rows[i].len);
		CU_ASSERT_EQUAL(bed_open(&bed), -1);
		CU_ASSERT_EQUAL(bed.err.kind, ERROR_CORRUPT);
		if (bed.err.kind != ERROR_CORRUPT)
			fprintf(stderr, "row %zu: %s\n", i, bed.err.text);
		bed_close(&bed);
		/* Still so: nobody made a new one out of it. */
		CU_ASSERT_EQUAL(bed_open(&bed), -1);
		CU_ASSERT_EQUAL(bed.err.kind, ERROR_CORRUPT);
		bed_close(&bed);
		CU_ASSERT_EQUAL(state_set_aside(bed.dir, &bed.err), 0);
		CU_ASSERT_EQUAL(bed_open(&bed), 0);
		CU_ASSERT_EQUAL(owner(&bed, 1, "a"), 0);
		bed_remove(&bed);
	}
}

/* Single bytes flipped anywhere: found, or harmless, but never a crash or a loop. */
static void test_flipped_bytes(void)
{
	unsigned seed = 99;
	char path[300], copy[300], command[700];
	struct stat st;
	struct bed bed;
	unsigned found = 0;

	fill_bed(&bed);
	bed_path(&bed, "data.mdb", path, sizeof(path));
	bed_path(&bed, "copy", copy, sizeof(copy));
	CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
	snprintf(command, sizeof(command), "cp '%s' '%s'", path, copy);
	CU_ASSERT_EQUAL_FATAL(system(command), 0);
	snprintf(command, sizeof(command), "cp '%s' '%s'", copy, path);
	for (unsigned i = 0; i < 300; i++) {
		unsigned n = 0;
		int fd = open(path, O_RDWR);
		off_t at = rand_r(&seed) % st.st_size;
		unsigned char byte = 0;

		/* Most of a page is values; its head and the pointers are the dangerous part. */
		if (i % 2 == 0)
			at = at / 4096 * 4096 + at % 64;
		CU_ASSERT_EQUAL(pread(fd, &byte, 1, at), 1);
		byte ^= (unsigned char)(1U << rand_r(&seed) % 8);
		CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		if (bed_open(&bed) != 0 ||
		    state_each_record(bed.state, 1, count_record, &n, &bed.err) != 0) {
			found++;
			CU_ASSERT_EQUAL(bed.err.kind, ERROR_CORRUPT);
		}
		bed_close(&bed);
		CU_ASSERT_EQUAL_FATAL(system(command), 0);
	}
	CU_ASSERT(found > 50);
	bed_remove(&bed);
}

static void put_schema(const char *dir, unsigned char schema)
{
	char name[] = "schema";
	unsigned char bytes[] = {1, schema};
	MDB_val key = {6, name};
	MDB_val value = {2, bytes};
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	CU_ASSERT_EQUAL_FATAL(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 8);
	CU_ASSERT_EQUAL_FATAL(mdb_env_open(env, dir, 0, 0600), 0);
	CU_ASSERT_EQUAL_FATAL(mdb_txn_begin(env, NULL, 0, &txn), 0);
	CU_ASSERT_EQUAL_FATAL(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
	CU_ASSERT_EQUAL(mdb_put(txn, dbi, &key, &value, 0), 0);
	/* What a later schema may have, and this one does not know. */
	CU_ASSERT_EQUAL_FATAL(mdb_dbi_open(txn, "later", MDB_CREATE | MDB_DUPSORT, &dbi), 0);
	CU_ASSERT_EQUAL(mdb_put(txn, dbi, &key, &value, 0), 0);
	CU_ASSERT_EQUAL(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void test_schema(void)
{
	static const struct {
		unsigned char schema;
		enum error_kind kind;
	} rows[] = {{STATE_SCHEMA + 1, ERROR_CONFIG}, {100, ERROR_CONFIG}, {0, ERROR_CORRUPT}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bed bed;

		fill_bed(&bed);
		put_schema(bed.dir, rows[i].schema);
		CU_ASSERT_EQUAL(bed_open(&bed), -1);
		CU_ASSERT_EQUAL(bed.err.kind, rows[i].kind);
		bed_remove(&bed);
	}
}

/* A base that a version of mailtwin left in good order is not walked again; anything that
 * happened to the file since then is seen. */
static void test_clean_mark(void)
{
	char path[300], base[64];
	struct bed bed;
	struct stat st, later;

	fill_bed(&bed);
	bed_path(&bed, "clean", path, sizeof(path));
	CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(bed_open(&bed), 0);
	bed_close(&bed);
	CU_ASSERT_EQUAL(stat(path, &later), 0);
	/* A run without changes writes nothing. */
	CU_ASSERT_EQUAL(st.st_mtim.tv_nsec, later.st_mtim.tv_nsec);
	CU_ASSERT_EQUAL(bed_open(&bed), 0);
	put(&bed, 1, 4000, life_base(4000, base, sizeof(base)));
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	bed_close(&bed);
	do_damage(path, GARBAGE, 0, 30);
	CU_ASSERT_EQUAL(bed_open(&bed), 0);
	bed_remove(&bed);
}

/* LMDB's own lock file is worth nothing when nobody holds it. */
static void test_lock_file_damaged(void)
{
	char path[300];
	struct bed bed;

	fill_bed(&bed);
	bed_path(&bed, "lock.mdb", path, sizeof(path));
	do_damage(path, GARBAGE, 0, 8192);
	CU_ASSERT_EQUAL(bed_open(&bed), 0);
	bed_close(&bed);
	do_damage(path, EMPTY, 0, 0);
	CU_ASSERT_EQUAL(bed_open(&bed), 0);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	bed_remove(&bed);
}

static const struct test_case cases[] = {
	{"disk full", test_disk_full},
	{"modes", test_modes},
	{"read only", test_read_only},
	{"read beside a writer", test_read_beside_writer},
	{"lock", test_lock},
	{"damage", test_damage},
	{"flipped bytes", test_flipped_bytes},
	{"LMDB's lock file damaged", test_lock_file_damaged},
	{"schema", test_schema},
	{"clean mark", test_clean_mark},
};

int main(void)
{
	return run_tests("state under damage", cases, ARRAY_SIZE(cases));
}
