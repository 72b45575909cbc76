/* state_cost DIRECTORY N: what N records of one folder cost in the base by itself. Puts them 128 a commit, as
 * downloads do, walks over them, reads each by itself, and prints seconds and octets as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "state/state.h"

#define BATCH 128
#define FOLDER 1

struct cost {
	struct state *state;
	struct keyword_pool *keywords;
	uint32_t n;
	struct error err;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const struct cost *cost)
{
	fprintf(stderr, "state_cost: %s\n", cost->err.text);
	exit(1);
}

static struct record record_of(uint32_t uid, char *base, size_t room)
{
	struct record record = {
		.uid = uid,
		.state = RECORD_PAIRED,
		.base = base,
		.local.system = FLAG_SEEN,
		.remote.system = FLAG_SEEN,
		.size = 600 + uid % 100,
		.date = 1600000000 + uid * 61,
		.inode = 1000000 + uid,
		.trace = uid,
	};

	snprintf(base, room, "%u.M%06uP4242Q%uR%016llx.host,S=%u", 1790000000 + uid / 5000,
		 uid * 197 % 1000000, uid, uid * 0x9e3779b97f4a7c15ULL, record.size);
	for (size_t i = 0; i < sizeof(record.content.bytes); i++) {
		record.content.bytes[i] = (uint8_t)(uid * 2654435761U >> (i % 24));
		record.header.bytes[i] = (uint8_t)(uid * 40503U >> (i % 24));
	}
	return record;
}

static void put_all(struct cost *cost)
{
	struct state_batch *batch = state_batch_new(cost->state);

	for (uint32_t uid = 1; uid <= cost->n; uid++) {
		char base[128];
		struct record record = record_of(uid, base, sizeof(base));

		state_put_record(batch, FOLDER, &record);
		if ((uid % BATCH == 0 || uid == cost->n) &&
		    state_commit(batch, cost->keywords, &cost->err) != 0)
			fail(cost);
	}
	state_batch_free(&batch);
}

static int count(void *ctx, const struct record *record)
{
	*(uint32_t *)ctx += record->uid != 0;
	return 0;
}

static void walk(struct cost *cost)
{
	uint32_t n = 0;

	if (state_each_record(cost->state, FOLDER, count, &n, &cost->err) != 0 || n != cost->n)
		fail(cost);
}

static void get_all(struct cost *cost)
{
	struct arena *arena = arena_new();
	struct record record;

	for (uint32_t uid = 1; uid <= cost->n; uid++) {
		if (state_get_record(cost->state, arena, FOLDER, uid, &record, &cost->err) != 1)
			fail(cost);
		if (uid % 1000 == 0) {
			arena_free(&arena);
			arena = arena_new();
		}
	}
	arena_free(&arena);
}

static double seconds_of(void (*work)(struct cost *), struct cost *cost)
{
	double start = now();

	work(cost);
	return now() - start;
}

int main(int argc, char **argv)
{
	struct cost cost = {.keywords = keyword_pool_new()};
	double put, walked, got;
	char path[4096];
	struct stat st;

	if (argc != 3)
		return 64;
	cost.n = (uint32_t)strtoul(argv[2], NULL, 10);
	if (state_open(&cost.state, argv[1], false, &cost.err) != 0 ||
	    state_load_keywords(cost.state, cost.keywords, &cost.err) != 0)
		fail(&cost);
	put = seconds_of(put_all, &cost);
	walked = seconds_of(walk, &cost);
	got = seconds_of(get_all, &cost);
	state_close(&cost.state);
	snprintf(path, sizeof(path), "%s/data.mdb", argv[1]);
	if (stat(path, &st) != 0)
		return 1;
	printf("{\"put\": %.4f, \"walk\": %.4f, \"get\": %.4f, \"octets\": %lld}\n", put, walked,
	       got, (long long)st.st_size);
	keyword_pool_free(&cost.keywords);
	return 0;
}
