/* A process that commits batches is killed at a random moment, again and again, on the same base.
 * Afterwards the base opens, holds the last commit that was acknowledged, whole batches only, and
 * messages and files are exact inverses.
 *
 * Batch n puts records (n - 1) * 20 + 1 to n * 20 into folder 1, moves the files of some older
 * ones to new records and deletes others, and writes epoch n: what must be there after any
 * batch can be computed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/unit/check.h"
#include "tests/unit/state_helper.h"

#define KILLS 50
#define BATCH 20

static void add_batch(struct bed *bed, uint32_t n)
{
	struct state_meta meta = {.epoch = n};
	char base[64];

	for (uint32_t i = 1; i <= BATCH; i++) {
		uint32_t uid = (n - 1) * BATCH + i;

		/* The first takes the file of the batch before's last. */
		put(bed, 1, uid, life_base(i == 1 && n > 1 ? uid - 1 : uid, base, sizeof(base)));
	}
	if (n > 2)
		state_delete_record(bed->batch, 1, (n - 2) * BATCH + 5);
	if (n % 7 == 0)
		state_delete_folder(bed->batch, 2);
	put(bed, 2, n, life_base(n, base, sizeof(base)));
	state_put_meta(bed->batch, &meta);
}

/* The child: goes on from where the base is, says each number that was committed. */
static void write_for_ever(const char *dir, int fd)
{
	struct state_meta meta;
	struct bed bed;

	memset(&bed, 0, sizeof(bed));
	snprintf(bed.dir, sizeof(bed.dir), "%s", dir);
	if (bed_open(&bed) != 0 || state_get_meta(bed.state, &meta, &bed.err) != 0)
		_exit(1);
	for (uint32_t n = (uint32_t)meta.epoch + 1;; n++) {
		add_batch(&bed, n);
		if (bed_commit(&bed) != 0 || write(fd, &n, sizeof(n)) != sizeof(n))
			_exit(2);
	}
}

/* Kills it some microseconds after it has said so many numbers, however slow the machine is; returns the
 * last one, 0 if none. */
static uint32_t run_and_kill(const char *dir, unsigned commits, unsigned usec)
{
	struct timespec pause = {usec / 1000000, usec % 1000000 * 1000};
	uint32_t said = 0, n;
	int fds[2], status;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		write_for_ever(dir, fds[1]);
	}
	close(fds[1]);
	for (; commits != 0 && read(fds[0], &n, sizeof(n)) == sizeof(n); commits--)
		said = n;
	CU_ASSERT_EQUAL(commits, 0);
	nanosleep(&pause, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	CU_ASSERT(WIFSIGNALED(status));
	while (read(fds[0], &n, sizeof(n)) == sizeof(n))
		said = n;
	close(fds[0]);
	return said;
}

struct expected {
	uint32_t epoch;
	unsigned seen;
	bool wrong;
};

/* A record of folder 1 as it must be after batch `epoch`. */
static int compare_record(void *ctx, const struct record *record)
{
	struct expected *expected = ctx;
	uint32_t n = (record->uid - 1) / BATCH + 1; /* its batch */
	uint32_t i = (record->uid - 1) % BATCH + 1;
	char base[64];

	expected->seen++;
	if (n > expected->epoch || (i == 5 && n >= 2 && n < expected->epoch))
		expected->wrong = true;
	life_base(i == 1 && n > 1 ? record->uid - 1 : record->uid, base, sizeof(base));
	if (i == BATCH && n < expected->epoch)
		base[0] = '\0'; /* the next batch took it */
	if (strcmp(record->base, base) != 0 || record->size != 1000 + record->uid)
		expected->wrong = true;
	return 0;
}

static uint32_t check_base(struct bed *bed, uint32_t said)
{
	struct expected expected = {0};
	struct state_meta meta;
	uint32_t deleted;

	CU_ASSERT_EQUAL_FATAL(bed_open(bed), 0);
	CU_ASSERT_EQUAL(state_get_meta(bed->state, &meta, &bed->err), 0);
	expected.epoch = (uint32_t)meta.epoch;
	CU_ASSERT(expected.epoch >= said);
	CU_ASSERT(said == 0 || expected.epoch <= said + 1);
	CU_ASSERT_EQUAL(state_each_record(bed->state, 1, compare_record, &expected, &bed->err), 0);
	CU_ASSERT_FALSE(expected.wrong);
	deleted = expected.epoch > 2 ? expected.epoch - 2 : 0;
	CU_ASSERT_EQUAL(expected.seen, expected.epoch * BATCH - deleted);
	bed_close(bed);
	CU_ASSERT_EQUAL(count_inverses(bed->dir),
			(long)expected.seen + (expected.epoch < 7 ? (long)expected.epoch
								  : expected.epoch % 7 + 1));
	return expected.epoch;
}

static void test_kills(void)
{
	unsigned seed = (unsigned)time(NULL);
	uint32_t epoch = 0, before;
	struct bed bed;

	bed_directory(&bed);
	for (unsigned kill_n = 0; kill_n < KILLS; kill_n++) {
		/* Some while it opens, most while it commits. */
		unsigned commits = kill_n % 5 == 0 ? 0 : 2 + (unsigned)rand_r(&seed) % 3;
		unsigned usec = (unsigned)rand_r(&seed) % (commits == 0 ? 3000 : 10000);
		uint32_t said = run_and_kill(bed.dir, commits, usec);

		before = epoch;
		epoch = check_base(&bed, said);
		CU_ASSERT(epoch >= before);
	}
	/* Else the test has tested nothing. */
	CU_ASSERT(epoch > KILLS);
	bed_remove(&bed);
}

/* Readers that were killed do not make the file grow: their slots are cleared. */
static void test_dead_readers(void)
{
	struct bed bed;
	struct stat early, late;
	char path[300];

	bed_directory(&bed);
	bed_path(&bed, "data.mdb", path, sizeof(path));
	for (unsigned i = 0; i < 30; i++) {
		int status;
		pid_t pid;

		if (i == 5)
			CU_ASSERT_EQUAL(stat(path, &early), 0);
		CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
		for (uint32_t n = 0; n < 20; n++) {
			struct state_meta meta = {.epoch = n};

			state_put_meta(bed.batch, &meta);
			CU_ASSERT_EQUAL(bed_commit(&bed), 0);
		}
		bed_close(&bed);
		pid = fork();
		if (pid == 0) {
			MDB_env *env;
			MDB_txn *txn;

			if (mdb_env_create(&env) != 0 ||
			    mdb_env_open(env, bed.dir, MDB_RDONLY | MDB_NOTLS, 0600) != 0 ||
			    mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0)
				_exit(1);
			raise(SIGKILL);
		}
		waitpid(pid, &status, 0);
		CU_ASSERT(WIFSIGNALED(status));
	}
	CU_ASSERT_EQUAL(stat(path, &late), 0);
	CU_ASSERT_EQUAL(early.st_size, late.st_size);
	bed_remove(&bed);
}

static const struct test_case cases[] = {
	{"killed while committing", test_kills},
	{"readers that were killed", test_dead_readers},
};

int main(void)
{
	return run_tests("state after a crash", cases, ARRAY_SIZE(cases));
}
