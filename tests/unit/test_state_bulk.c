/* The base in large: a map that grows, thousands of changes, several threads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/unit/check.h"
#include "tests/unit/state_helper.h"

struct order {
	uint32_t last;
	unsigned n;
};

static int note_order(void *ctx, const struct record *record)
{
	struct order *order = ctx;

	if (record->uid <= order->last)
		return -1;
	order->last = record->uid;
	order->n++;
	return 0;
}

/* Enough for the map to grow several times, with a folder in between deleted again. */
static void test_growth(void)
{
	struct order order = {0};
	struct bed bed;
	struct stat st;
	char base[300];

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (uint32_t folder = 1; folder <= 3; folder++) {
		for (uint32_t uid = 1; uid <= 60000; uid++) {
			/* Long names, hard to append: the file grows fast. */
			snprintf(base, sizeof(base), "%08x.%0240u", uid * 2654435761U, uid);
			put(&bed, folder, uid, base);
			if (uid % 15000 == 0)
				CU_ASSERT_EQUAL_FATAL(bed_commit(&bed), 0);
		}
	}
	state_delete_folder(bed.batch, 2);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0);
	CU_ASSERT_EQUAL(state_each_record(bed.state, 2, note_order, &order, &bed.err), 0);
	CU_ASSERT_EQUAL(order.n, 0);
	CU_ASSERT_EQUAL(state_each_record(bed.state, 3, note_order, &order, &bed.err), 0);
	CU_ASSERT_EQUAL(order.n, 60000);
	bed_close(&bed);
	/* More than the first map had room for. */
	bed_path(&bed, "data.mdb", base, sizeof(base));
	CU_ASSERT_EQUAL(stat(base, &st), 0);
	CU_ASSERT(st.st_size > 64 << 20);
	CU_ASSERT_EQUAL(count_inverses(bed.dir), 120000);
	CU_ASSERT_EQUAL(bed_open(&bed), 0);
	bed_remove(&bed);
}

/* KiB of the base that the process has mapped right now. */
static unsigned long resident(void)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long kib, sum = 0;
	bool ours = false;
	char line[1024];

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strchr(line, '-') != NULL && strchr(line, ':') != NULL &&
		    strchr(line, '-') < strchr(line, ' '))
			ours = strstr(line, "/data.mdb") != NULL;
		else if (ours && sscanf(line, "Rss: %lu", &kib) == 1)
			sum += kib;
	}
	fclose(file);
	return sum;
}

/* Changes all over the base, a few a commit: the pages on the way to them do not stay. */
static void test_many_folders(void)
{
	unsigned long most = 0;
	struct bed bed;
	char base[64];

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t folder = 1; folder <= 200; folder++) {
			for (uint32_t uid = 1; uid <= (round == 0 ? 100 : 5); uid++) {
				snprintf(base, sizeof(base), "1700000000.M%uP1.somewhere.example",
					 uid + round * 1000);
				put(&bed, folder, uid + round * 1000, base);
			}
			CU_ASSERT_EQUAL_FATAL(bed_commit(&bed), 0);
			if (resident() > most)
				most = resident();
		}
	}
	CU_ASSERT(most > 0 && most < 3 * 1024);
	bed_remove(&bed);
}

/* Where the address space is limited the map cannot grow for ever: an error, and what was
 * committed stays readable. */
static void test_no_address_space(void)
{
	struct rlimit before, tight;
	unsigned long pages = 0;
	uint32_t n = 0, uid = 0;
	struct bed bed;
	char base[300];
	FILE *file = fopen("/proc/self/statm", "r");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	CU_ASSERT_EQUAL(fscanf(file, "%lu", &pages), 1);
	fclose(file);
	getrlimit(RLIMIT_AS, &before);
	tight = before;
	tight.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (100 << 20);
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_AS, &tight), 0);
	do {
		for (uint32_t i = 0; i < 500; i++) {
			n++;
			snprintf(base, sizeof(base), "%08x.%0240u", n * 2654435761U, n);
			put(&bed, 1, n, base);
		}
	} while (bed_commit(&bed) == 0 && n < 500000);
	setrlimit(RLIMIT_AS, &before);
	CU_ASSERT_EQUAL(bed.err.kind, ERROR_LOCAL);
	snprintf(base, sizeof(base), "%08x.%0240u", (n - 500) * 2654435761U, n - 500);
	CU_ASSERT_EQUAL(state_find_file(bed.state, 1, base, &uid, &bed.err), 0);
	CU_ASSERT_EQUAL(uid, n - 500);
	CU_ASSERT_EQUAL(bed_commit(&bed), 0); /* the same batch, with room again */
	bed_close(&bed);
	CU_ASSERT_EQUAL(count_inverses(bed.dir), n);
	bed_remove(&bed);
}

/* The walker of pages must agree with LMDB about every file that LMDB makes: folders come and
 * go, values move to pages of their own and back, the list of free pages grows and shrinks. */
static void test_walker_agrees(void)
{
	unsigned seed = 12345;
	struct bed bed;
	char clean[300];
	bool sound = true;

	bed_directory(&bed);
	bed_path(&bed, "clean", clean, sizeof(clean));
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (unsigned round = 0; sound && round < 150; round++) {
		for (unsigned i = 0; i < 300; i++) {
			uint32_t folder = (uint32_t)rand_r(&seed) % 5 + 1;
			uint32_t uid = (uint32_t)rand_r(&seed) % 800 + 1;
			char base[64];

			if (rand_r(&seed) % 3 == 0)
				state_delete_record(bed.batch, folder, uid);
			else
				put(&bed, folder, uid,
				    life_base((uint32_t)rand_r(&seed) % 1500, base, sizeof(base)));
		}
		if (rand_r(&seed) % 8 == 0)
			state_delete_folder(bed.batch, (uint32_t)rand_r(&seed) % 5 + 1);
		sound = bed_commit(&bed) == 0;
		bed_close(&bed);
		CU_ASSERT(count_inverses(bed.dir) >= 0);
		unlink(clean);
		sound = sound && bed_open(&bed) == 0;
	}
	if (!sound)
		fprintf(stderr, "%s\n", bed.err.text);
	CU_ASSERT(sound);
	bed_remove(&bed);
}

struct thread {
	struct bed *bed;
	uint32_t folder;
	unsigned failed;
};

static void *write_and_read(void *arg)
{
	struct thread *thread = arg;
	struct state_batch *batch = state_batch_new(thread->bed->state);
	struct error err;
	char base[64];

	for (uint32_t uid = 1; uid <= 2000; uid++) {
		struct record record = make_record(uid, life_base(uid, base, sizeof(base)));
		struct order order = {0};

		state_put_record(batch, thread->folder, &record);
		if (uid % 50 != 0)
			continue;
		if (state_commit(batch, thread->bed->pool, &err) != 0 ||
		    state_each_record(thread->bed->state, thread->folder, note_order, &order,
				      &err) != 0 ||
		    order.n != uid)
			thread->failed++;
	}
	state_batch_free(&batch);
	return NULL;
}

static void test_threads(void)
{
	struct thread threads[4];
	pthread_t ids[4];
	struct bed bed;

	bed_directory(&bed);
	CU_ASSERT_EQUAL_FATAL(bed_open(&bed), 0);
	for (uint32_t i = 0; i < 4; i++) {
		threads[i] = (struct thread){&bed, i + 1, 0};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&ids[i], NULL, write_and_read, &threads[i]),
				      0);
	}
	for (uint32_t i = 0; i < 4; i++) {
		pthread_join(ids[i], NULL);
		CU_ASSERT_EQUAL(threads[i].failed, 0);
	}
	bed_close(&bed);
	CU_ASSERT_EQUAL(count_inverses(bed.dir), 8000);
	bed_remove(&bed);
}

static const struct test_case cases[] = {
	{"growth", test_growth},
	{"changes in many folders", test_many_folders},
	{"no address space", test_no_address_space},
	{"the walker of pages agrees with LMDB", test_walker_agrees},
	{"threads", test_threads},
};

int main(void)
{
	return run_tests("state in large", cases, ARRAY_SIZE(cases));
}
