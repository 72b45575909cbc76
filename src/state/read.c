/* Reading the base. Every call is a transaction of its own, as short as it can be: a reader that
 * stays keeps the pages of its snapshot from being used again, and the file grows. */
#include "state/state_private.h"

#include <string.h>

static void lock(struct state *state)
{
	pthread_mutex_lock(&state->mutex);
}

static void unlock(struct state *state)
{
	pthread_mutex_unlock(&state->mutex);
}

int state_get_meta(struct state *state, struct state_meta *meta, struct error *err)
{
	char name[] = ACCOUNT_KEY;
	MDB_val key = {sizeof(name) - 1, name};
	MDB_val data;
	MDB_txn *txn;
	int rc;

	memset(meta, 0, sizeof(*meta));
	lock(state);
	rc = transaction_begin(state, MDB_RDONLY, &txn);
	if (rc == 0) {
		rc = mdb_get(txn, state->dbi[DB_META], &key, &data);
		if (rc == 0 && !value_get_meta(data.mv_data, data.mv_size, meta))
			rc = MDB_CORRUPTED;
		mdb_txn_abort(txn);
	}
	if (rc == MDB_NOTFOUND) /* a new one */
		rc = 0;
	if (rc != 0)
		state_fail(state, rc, err, "read what it knows of the account");
	unlock(state);
	return rc != 0 ? -1 : 0;
}

/* Opens a transaction and a cursor. */
static int cursor_open(struct state *state, enum database database, MDB_txn **txn,
		       MDB_cursor **cursor)
{
	int rc = transaction_begin(state, MDB_RDONLY, txn);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_open(*txn, state->dbi[database], cursor);
	if (rc != 0)
		mdb_txn_abort(*txn);
	return rc;
}

static void cursor_close(MDB_txn *txn, MDB_cursor *cursor)
{
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
}

/* The ids come out of the pool as they are in the base, because both count from 1 in the order
 * of first sight. */
static int load_keywords(struct state *state, struct keyword_pool *pool, uint32_t *n)
{
	MDB_cursor *cursor;
	MDB_val key, data;
	const char *name;
	MDB_txn *txn;
	int rc = cursor_open(state, DB_KEYWORDS, &txn, &cursor);

	if (rc != 0)
		return rc;
	*n = 0;
	while ((rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
		if (key.mv_size != sizeof(uint32_t) || key_number(&key, 0) != *n + 1 ||
		    !value_get_name(data.mv_data, data.mv_size, &name) ||
		    keyword_id(pool, name, strlen(name)) != *n + 1) {
			rc = MDB_CORRUPTED;
			break;
		}
		(*n)++;
	}
	cursor_close(txn, cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int state_load_keywords(struct state *state, struct keyword_pool *pool, struct error *err)
{
	uint32_t n;
	int rc;

	lock(state);
	rc = load_keywords(state, pool, &n);
	if (rc == 0) {
		state->keywords_stored = n;
		memset(&state->codec, 0, sizeof(state->codec));
		state->codec.pool = pool;
	} else {
		state_fail(state, rc, err, "read the keywords");
	}
	unlock(state);
	return rc != 0 ? -1 : 0;
}

/* The number of entries of a database. */
static int count(struct state *state, MDB_txn *txn, enum database database, size_t *n)
{
	MDB_stat stat;
	int rc = mdb_stat(txn, state->dbi[database], &stat);

	*n = rc == 0 ? stat.ms_entries : 0;
	return rc;
}

static int get_folders(struct state *state, struct arena *arena, struct folder_record **folders,
		       size_t *n)
{
	MDB_cursor *cursor;
	MDB_val key, data;
	MDB_txn *txn;
	size_t room;
	int rc = cursor_open(state, DB_FOLDERS, &txn, &cursor);

	if (rc != 0)
		return rc;
	rc = count(state, txn, DB_FOLDERS, &room);
	*folders = arena_alloc(arena, room * sizeof(**folders));
	while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
		if (*n == room || key.mv_size != sizeof(uint32_t) ||
		    !value_get_folder(arena, data.mv_data, data.mv_size, &(*folders)[*n])) {
			rc = MDB_CORRUPTED;
			break;
		}
		(*folders)[(*n)++].id = key_number(&key, 0);
	}
	cursor_close(txn, cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int state_get_folders(struct state *state, struct arena *arena, struct folder_record **folders,
		      size_t *n, struct error *err)
{
	int rc;

	*n = 0;
	*folders = NULL;
	lock(state);
	rc = get_folders(state, arena, folders, n);
	if (rc != 0)
		state_fail(state, rc, err, "read the folders");
	unlock(state);
	return rc != 0 ? -1 : 0;
}

uint32_t state_new_folder_id(struct state *state)
{
	uint32_t id;

	lock(state);
	id = state->next_folder++;
	unlock(state);
	return id;
}

/* A walk over `messages`: all of it, or what is of one folder. */
struct walk {
	struct state *state;
	uint32_t folder; /* 0: all */
	state_any_record_fn *fn;
	void *ctx;
	int answer; /* the callback's */
};

static int visit(struct walk *walk, const MDB_val *key, const MDB_val *data)
{
	struct state *state = walk->state;
	struct record record;

	if (key->mv_size != 2 * sizeof(uint32_t) ||
	    !value_get_record(&state->codec, data->mv_data, data->mv_size, &record))
		return MDB_CORRUPTED;
	record.uid = key_number(key, sizeof(uint32_t));
	walk->answer = walk->fn(walk->ctx, key_number(key, 0), &record);
	page_touched(state, data->mv_data);
	return 0;
}

static int walk_records(struct walk *walk)
{
	struct key first;
	MDB_cursor *cursor;
	MDB_val key, data;
	MDB_txn *txn;
	int rc = cursor_open(walk->state, DB_MESSAGES, &txn, &cursor);

	if (rc != 0)
		return rc;
	key_of_message(&first, walk->folder, 0);
	key = key_value(&first);
	rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
	while (rc == 0) {
		if (walk->folder != 0 &&
		    (key.mv_size < sizeof(uint32_t) || key_number(&key, 0) != walk->folder))
			break;
		rc = visit(walk, &key, &data);
		if (rc != 0 || walk->answer != 0)
			break;
		rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
	}
	cursor_close(txn, cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int run_walk(struct walk *walk, struct error *err)
{
	struct state *state = walk->state;
	int rc;

	lock(state);
	rc = state_ready(state, err);
	if (rc == 0) {
		rc = walk_records(walk);
		if (rc != 0)
			rc = state_fail(state, rc, err, "read the records");
	}
	unlock(state);
	return rc != 0 ? -1 : walk->answer;
}

/* state_each_record's callback does not ask for the folder. */
struct one_folder {
	state_record_fn *fn;
	void *ctx;
};

static int pass_record(void *ctx, uint32_t folder, const struct record *record)
{
	const struct one_folder *one = ctx;

	(void)folder;
	return one->fn(one->ctx, record);
}

int state_each_record(struct state *state, uint32_t folder, state_record_fn *fn, void *ctx,
		      struct error *err)
{
	struct one_folder one = {fn, ctx};
	struct walk walk = {.state = state, .folder = folder, .fn = pass_record, .ctx = &one};

	return folder != 0 ? run_walk(&walk, err) : 0; /* ids begin with 1 */
}

int state_each_record_anywhere(struct state *state, state_any_record_fn *fn, void *ctx,
			       struct error *err)
{
	struct walk walk = {.state = state, .fn = fn, .ctx = ctx};

	return run_walk(&walk, err);
}

static const char *keep(struct arena *arena, const char *text)
{
	return arena != NULL && text[0] != '\0' ? arena_strdup(arena, text) : "";
}

static int get_record(struct state *state, struct arena *arena, struct key *of,
		      struct record *record)
{
	MDB_val key = key_value(of);
	MDB_val data;
	MDB_txn *txn;
	int rc = transaction_begin(state, MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_get(txn, state->dbi[DB_MESSAGES], &key, &data);
	if (rc == 0 && !value_get_record(&state->codec, data.mv_data, data.mv_size, record))
		rc = MDB_CORRUPTED;
	if (rc == 0) {
		record->base = keep(arena, record->base);
		record->reason = keep(arena, record->reason);
		page_touched(state, data.mv_data);
	}
	mdb_txn_abort(txn);
	return rc;
}

int state_get_record(struct state *state, struct arena *arena, uint32_t folder, uint32_t uid,
		     struct record *record, struct error *err)
{
	struct key key;
	int rc;

	key_of_message(&key, folder, uid);
	lock(state);
	rc = state_ready(state, err);
	if (rc == 0) {
		rc = get_record(state, arena, &key, record);
		record->uid = uid;
		if (rc == MDB_NOTFOUND)
			rc = 0;
		else
			rc = rc != 0 ? state_fail(state, rc, err, "read a record") : 1;
	}
	unlock(state);
	return rc;
}

static int find_file(struct state *state, struct key *of, uint32_t *uid)
{
	MDB_val key = key_value(of);
	MDB_val data;
	MDB_txn *txn;
	int rc = transaction_begin(state, MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_get(txn, state->dbi[DB_FILES], &key, &data);
	if (rc == 0 && !value_get_number(data.mv_data, data.mv_size, uid))
		rc = MDB_CORRUPTED;
	if (rc == 0)
		page_touched(state, data.mv_data);
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int state_find_file(struct state *state, uint32_t folder, const char *base, uint32_t *uid,
		    struct error *err)
{
	struct key key;
	int rc;

	*uid = 0;
	if (!key_of_file(&key, folder, base))
		return 0;
	lock(state);
	rc = find_file(state, &key, uid);
	if (rc != 0)
		state_fail(state, rc, err, "look for a file");
	unlock(state);
	return rc != 0 ? -1 : 0;
}

static int get_attempts(struct state *state, struct arena *arena, struct attempt **attempts,
			size_t *n)
{
	MDB_cursor *cursor;
	MDB_val key, data;
	MDB_txn *txn;
	size_t room;
	int rc = cursor_open(state, DB_ATTEMPTS, &txn, &cursor);

	if (rc != 0)
		return rc;
	rc = count(state, txn, DB_ATTEMPTS, &room);
	*attempts = arena_alloc(arena, room * sizeof(**attempts));
	while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
		struct attempt *attempt = &(*attempts)[*n];

		if (*n == room || key.mv_size < sizeof(uint32_t) ||
		    !value_get_attempt(&state->codec, data.mv_data, data.mv_size, attempt)) {
			rc = MDB_CORRUPTED;
			break;
		}
		attempt->folder = key_number(&key, 0);
		attempt->base = arena_strndup(arena, (const char *)key.mv_data + sizeof(uint32_t),
					      key.mv_size - sizeof(uint32_t));
		(*n)++;
	}
	cursor_close(txn, cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int state_get_attempts(struct state *state, struct arena *arena, struct attempt **attempts,
		       size_t *n, struct error *err)
{
	int rc;

	*n = 0;
	*attempts = NULL;
	lock(state);
	rc = state_ready(state, err);
	if (rc == 0) {
		rc = get_attempts(state, arena, attempts, n);
		if (rc != 0)
			rc = state_fail(state, rc, err, "read the attempts");
	}
	unlock(state);
	return rc;
}
