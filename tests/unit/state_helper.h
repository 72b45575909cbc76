/* What the tests of the base share: a directory of their own, a shorthand for records, and a
 * look at the environment with LMDB alone, which proves what the floor says of itself. */
#ifndef MAILTWIN_TESTS_UNIT_STATE_HELPER_H
#define MAILTWIN_TESTS_UNIT_STATE_HELPER_H

#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/state.h"

struct bed {
	char dir[256];
	struct state *state;
	struct keyword_pool *pool;
	struct state_batch *batch;
	struct arena *arena;
	struct error err;
};

static inline void bed_path(const struct bed *bed, const char *name, char *out, size_t room)
{
	if (snprintf(out, room, "%s/%s", bed->dir, name) >= (int)room)
		abort();
}

static inline void bed_directory(struct bed *bed)
{
	const char *tmp = getenv("TMPDIR");

	memset(bed, 0, sizeof(*bed));
	snprintf(bed->dir, sizeof(bed->dir), "%s/mailtwin-state-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(bed->dir) == NULL)
		abort();
}

/* Opens what is in bed->dir: 0, or -1 with bed->err. */
static inline int bed_open(struct bed *bed)
{
	error_clear(&bed->err);
	if (state_open(&bed->state, bed->dir, false, &bed->err) != 0)
		return -1;
	bed->pool = keyword_pool_new();
	bed->arena = arena_new();
	bed->batch = state_batch_new(bed->state);
	return state_load_keywords(bed->state, bed->pool, &bed->err);
}

static inline void bed_close(struct bed *bed)
{
	state_batch_free(&bed->batch);
	state_close(&bed->state);
	if (bed->pool != NULL)
		keyword_pool_free(&bed->pool);
	bed->pool = NULL;
	arena_free(&bed->arena);
}

static inline int bed_commit(struct bed *bed)
{
	return state_commit(bed->batch, bed->pool, &bed->err);
}

static inline void bed_remove(struct bed *bed)
{
	char command[300];

	bed_close(bed);
	snprintf(command, sizeof(command), "rm -rf '%s'", bed->dir);
	if (system(command) != 0)
		abort();
}

static inline struct record make_record(uint32_t uid, const char *base)
{
	struct record record;

	memset(&record, 0, sizeof(record));
	record.uid = uid;
	record.state = RECORD_PAIRED;
	record.base = base;
	record.size = 1000 + uid;
	record.date = 1600000000 + (int64_t)uid * 60;
	record.inode = 70000 + uid;
	record.trace = uid % 3;
	memset(record.content.bytes, (int)(uid % 250 + 1), sizeof(record.content.bytes));
	memset(record.header.bytes, (int)(uid % 240 + 2), sizeof(record.header.bytes));
	return record;
}

static inline void put(struct bed *bed, uint32_t folder, uint32_t uid, const char *base)
{
	struct record record = make_record(uid, base);

	state_put_record(bed->batch, folder, &record);
}

/* A base name as they are in life: 40 to 50 bytes, beginning with the time. */
static inline const char *life_base(uint32_t n, char *out, size_t room)
{
	snprintf(out, room, "%u.M%uP4711Q%uRabcdef0123.host,S=%u", 1700000000U + n / 10,
		 n * 7919U % 1000000U, n, 1000 + n % 5000);
	return out;
}

struct census {
	struct state *state;
	uint64_t records;
	uint64_t with_file;
	uint64_t wrong;
};

/* Where a record's base name lies in its value, without the help of the code under test:
 * version, state, what is present, length (one byte or two), name. */
static inline const char *raw_base(const MDB_val *value, size_t *len)
{
	const unsigned char *bytes = value->mv_data;
	size_t at = 4;

	*len = bytes[3];
	if (bytes[3] >= 0x80) {
		*len = (size_t)(bytes[3] & 0x7f) | (size_t)bytes[4] << 7;
		at = 5;
	}
	return (const char *)bytes + at;
}

static inline void census_message(struct census *census, MDB_txn *txn, MDB_dbi files,
				  const MDB_val *key, const MDB_val *value)
{
	unsigned char name[4 + 255];
	size_t len;
	const char *base = raw_base(value, &len);
	const unsigned char *uid = (const unsigned char *)key->mv_data + 4;
	const unsigned char *number;
	MDB_val file, owner;
	uint32_t found = 0;

	census->records++;
	if (len == 0)
		return;
	census->with_file++;
	memcpy(name, key->mv_data, 4);
	memcpy(name + 4, base, len);
	file.mv_data = name;
	file.mv_size = 4 + len;
	if (mdb_get(txn, files, &file, &owner) != 0) {
		census->wrong++;
		return;
	}
	number = (const unsigned char *)owner.mv_data + 1;
	for (size_t i = 0; i + 1 < owner.mv_size; i++)
		found |= (uint32_t)(number[i] & 0x7f) << 7 * i;
	if (found !=
	    ((uint32_t)uid[0] << 24 | (uint32_t)uid[1] << 16 | (uint32_t)uid[2] << 8 | uid[3]))
		census->wrong++;
}

/* Are messages and files exact inverses? Nobody may have the state open. Returns the number of
 * records, or -1. */
static inline long count_inverses(const char *dir)
{
	struct census census = {0};
	MDB_dbi messages, files;
	MDB_cursor *cursor;
	MDB_val key, value;
	MDB_stat stat;
	MDB_env *env;
	MDB_txn *txn;

	if (mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, 8) != 0 ||
	    mdb_env_open(env, dir, MDB_RDONLY | MDB_NOTLS, 0600) != 0 ||
	    mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0 ||
	    mdb_dbi_open(txn, "messages", 0, &messages) != 0 ||
	    mdb_dbi_open(txn, "files", 0, &files) != 0 || mdb_stat(txn, files, &stat) != 0 ||
	    mdb_cursor_open(txn, messages, &cursor) != 0)
		return -1;
	while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
		census_message(&census, txn, files, &key, &value);
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	mdb_env_close(env);
	/* Each record has its file, and there are no others. */
	return census.wrong == 0 && census.with_file == stat.ms_entries ? (long)census.records : -1;
}

#endif
