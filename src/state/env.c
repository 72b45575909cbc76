/* What all uses of the environment share: keys, errors, transactions, and memory. */
#include "state/state_private.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

#define BLOCK ((size_t)64 << 10) /* the kernel maps a page with the fifteen around it */
#define SMALL_FILE ((size_t)1 << 20)
#define ALL_AFTER 64                     /* for what was touched on the way to a record, too */
#define BLOCK_RECORDS 256                /* in a block, about */
#define CHANGED_MOST (3 * BLOCK_RECORDS) /* each block in each of two trees */

int state_fail(struct state *state, int code, struct error *err, const char *what)
{
	switch (code) {
	case MDB_INVALID:
	case MDB_CORRUPTED:
	case MDB_VERSION_MISMATCH:
	case MDB_PAGE_NOTFOUND:
	case MDB_INCOMPATIBLE:
	case MDB_NOTFOUND: /* what must be there is not */
		return error_set(err, ERROR_CORRUPT, "the state in %s is damaged: cannot %s: %s",
				 state->dir, what, mdb_strerror(code));
	case MDB_PANIC:
		state->broken = true;
		return error_set(err, ERROR_LOCAL,
				 "the state in %s cannot be used after a failed write; see whether "
				 "the disk is full or faulty, then run again",
				 state->dir);
	case MDB_MAP_FULL:
		return error_set(
			err, ERROR_LOCAL,
			"the state in %s does not fit into the address space any more; see "
			"whether it is limited (ulimit -v)",
			state->dir);
	default:
		return error_set(err, ERROR_LOCAL, "the state in %s: cannot %s: %s", state->dir,
				 what, mdb_strerror(code));
	}
}

int state_ready(struct state *state, struct error *err)
{
	if (state->codec.pool != NULL)
		return 0;
	return error_set(err, ERROR_LOCAL, "the state in %s: the keywords were not loaded",
			 state->dir);
}

void key_of_number(struct key *key, uint32_t number)
{
	for (size_t i = 0; i < sizeof(number); i++)
		key->bytes[i] = (uint8_t)(number >> (24 - 8 * i));
	key->len = sizeof(number);
}

void key_of_message(struct key *key, uint32_t folder, uint32_t uid)
{
	struct key second;

	key_of_number(&second, uid);
	key_of_number(key, folder);
	memcpy(key->bytes + key->len, second.bytes, second.len);
	key->len += second.len;
}

bool key_of_file(struct key *key, uint32_t folder, const char *base)
{
	size_t len = strnlen(base, BASE_LONGEST + 1);

	key_of_number(key, folder);
	if (len > BASE_LONGEST)
		return false;
	memcpy(key->bytes + key->len, base, len);
	key->len += len;
	return true;
}

MDB_val key_value(struct key *key)
{
	MDB_val value = {key->len, key->bytes};

	return value;
}

uint32_t key_number(const MDB_val *key, size_t at)
{
	const uint8_t *bytes = (const uint8_t *)key->mv_data + at;

	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

int transaction_begin(struct state *state, unsigned flags, MDB_txn **txn)
{
	int rc;

	if (state->broken)
		return MDB_PANIC;
	rc = mdb_txn_begin(state->env, NULL, flags, txn);
	if (rc != MDB_MAP_RESIZED)
		return rc;
	/* Another process made it larger. */
	state->map = NULL;
	state->n_touched = 0;
	rc = mdb_env_set_mapsize(state->env, 0);
	if (rc != 0) {
		state->broken = true;
		return rc;
	}
	return mdb_txn_begin(state->env, NULL, flags, txn);
}

/* mdb_env_set_mapsize gives up the old map first; if there is no room for the new one, the
 * environment is lost, and the next call a crash. So it is tried beforehand. */
static bool room_for(struct state *state, size_t size)
{
	void *trial = MAP_FAILED;
	int fd;

	if (mdb_env_get_fd(state->env, &fd) == 0)
		trial = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (trial == MAP_FAILED)
		return false;
	munmap(trial, size);
	return true;
}

int map_grow(struct state *state)
{
	MDB_envinfo info;
	int rc = mdb_env_info(state->env, &info);

	if (rc != 0)
		return rc;
	if (info.me_mapsize > SIZE_MAX / 2 || !room_for(state, info.me_mapsize * 2))
		return MDB_MAP_FULL;
	state->map = NULL;
	state->n_touched = 0;
	rc = mdb_env_set_mapsize(state->env, info.me_mapsize * 2);
	if (rc != 0) {
		state->broken = true;
		return rc;
	}
	map_find(state);
	log_verbose("the map of the state grows to %zu MiB", info.me_mapsize >> 19);
	return 0;
}

/* LMDB does not say where it mapped the file, but a leaf page begins with its number. */
void map_find(struct state *state)
{
	char name[] = NEXT_FOLDER_KEY;
	MDB_val key = {sizeof(name) - 1, name};
	unsigned char resident;
	uint32_t magic;
	MDB_txn *txn;
	MDB_val data;
	size_t number;
	char *page;

	if (state->page_size != (size_t)sysconf(_SC_PAGESIZE) ||
	    transaction_begin(state, MDB_RDONLY, &txn) != 0)
		return;
	if (mdb_get(txn, state->dbi[DB_META], &key, &data) == 0) {
		page = (char *)data.mv_data - (uintptr_t)data.mv_data % state->page_size;
		memcpy(&number, page, sizeof(number));
		page -= number * state->page_size;
		/* A wrong guess would throw away somebody else's memory. */
		if (mincore(page, state->page_size, &resident) == 0) {
			memcpy(&magic, page + 2 * sizeof(size_t), sizeof(magic));
			state->map = magic == 0xbeefc0deU ? page : NULL;
		}
	}
	mdb_txn_abort(txn);
}

/* As much of the map as the file has. */
static size_t map_used(const struct state *state)
{
	MDB_envinfo info;
	size_t len;

	if (mdb_env_info(state->env, &info) != 0)
		return 0;
	len = (info.me_last_pgno + 1) * state->page_size;
	return len < info.me_mapsize ? len : info.me_mapsize;
}

void pages_give_back(struct state *state)
{
	state->n_touched = 0;
	state->given_back = 0;
	state->changed = 0;
	if (state->map != NULL)
		madvise(state->map, map_used(state), MADV_DONTNEED);
}

/* Only what is in the map: pages that a transaction has changed are elsewhere, and not to be fetched again. */
static void block_give_back(struct state *state, size_t block)
{
	size_t used = map_used(state), from = block * BLOCK;

	/* All of a small file may stay: to fetch its pages again costs more than they take. */
	if (used <= SMALL_FILE || from >= used)
		return;
	if (++state->given_back == ALL_AFTER)
		pages_give_back(state);
	else
		madvise(state->map + from, used - from < BLOCK ? used - from : BLOCK,
			MADV_DONTNEED);
}

/* Changes side by side touch the same pages; those far apart, a block of its own each. */
void entry_changed(struct state *state, uint32_t folder, uint32_t uid)
{
	uint32_t last = state->changed_uid, apart = uid > last ? uid - last : last - uid;

	if (folder != state->changed_folder || apart > BLOCK_RECORDS)
		apart = BLOCK_RECORDS;
	state->changed_folder = folder;
	state->changed_uid = uid;
	state->changed += apart;
	if (state->changed >= CHANGED_MOST && map_used(state) > SMALL_FILE)
		pages_give_back(state);
}

void page_touched(struct state *state, const void *at)
{
	size_t block, i = state->n_touched;

	if (state->map == NULL || (const char *)at < state->map)
		return;
	block = (size_t)((const char *)at - state->map) / BLOCK;
	while (i > 0 && state->touched[i - 1] != block)
		i--;
	if (i == 0 && state->n_touched == TOUCHED_MOST) {
		block_give_back(state, state->touched[0]);
		i = state->n_touched != 0;
	}
	if (i == 0)
		i = ++state->n_touched;
	memmove(state->touched + i - 1, state->touched + i,
		(state->n_touched - i) * sizeof(state->touched[0]));
	state->touched[state->n_touched - 1] = block;
}
