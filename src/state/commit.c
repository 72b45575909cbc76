/* Writing a batch, in one transaction: all of it, durably, or nothing.
 *
 * `messages` and `files` are kept as exact inverses here and nowhere else: a record with a base
 * name has its entry in `files`, an entry there has its record.
 *
 * Keys mostly come in ascending order (UIDs, and base names that begin with the time), which LMDB
 * packs well by itself: MDB_APPEND made a file of 100,000 records smaller by one per cent. */
#include "state/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

struct tally_change {
	uint32_t folder;
	struct tally by;
};

struct writer {
	struct state *state;
	MDB_txn *txn;
	struct keyword_codec codec;
	struct text value;
	struct tally_change *tallies; /* one for each stretch of changes to a folder */
	size_t n_tallies;
	size_t tallies_room;
};

static int get(struct writer *writer, enum database database, struct key *of, MDB_val *data)
{
	MDB_val key = key_value(of);
	int rc = mdb_get(writer->txn, writer->state->dbi[database], &key, data);

	if (rc == 0)
		page_touched(writer->state, data->mv_data);
	return rc;
}

/* Puts what is in writer->value. */
static int put(struct writer *writer, enum database database, struct key *at)
{
	MDB_val key = key_value(at);
	MDB_val data = {writer->value.len, writer->value.data};

	return mdb_put(writer->txn, writer->state->dbi[database], &key, &data, 0);
}

static int put_named(struct writer *writer, const char *name)
{
	struct key key;

	key.len = strlen(name);
	memcpy(key.bytes, name, key.len);
	return put(writer, DB_META, &key);
}

/* What is not there need not be deleted. */
static int drop(struct writer *writer, enum database database, struct key *at)
{
	MDB_val key = key_value(at);
	int rc = mdb_del(writer->txn, writer->state->dbi[database], &key, NULL);

	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* The record that a file belongs to; uid 0: none. */
static int file_owner(struct writer *writer, struct key *file, uint32_t *uid)
{
	MDB_val data;
	int rc = get(writer, DB_FILES, file, &data);

	*uid = 0;
	if (rc != 0)
		return rc == MDB_NOTFOUND ? 0 : rc;
	return value_get_number(data.mv_data, data.mv_size, uid) ? 0 : MDB_CORRUPTED;
}

static int drop_file(struct writer *writer, uint32_t folder, const char *base, uint32_t uid)
{
	struct key file;
	uint32_t owner;
	int rc;

	if (!key_of_file(&file, folder, base))
		return MDB_CORRUPTED;
	rc = file_owner(writer, &file, &owner);
	return rc == 0 && owner == uid ? drop(writer, DB_FILES, &file) : rc;
}

static struct tally *tally_of(struct writer *writer, uint32_t folder)
{
	size_t n = writer->n_tallies;

	if (n == 0 || writer->tallies[n - 1].folder != folder) {
		writer->tallies =
			grow(writer->tallies, n, &writer->tallies_room, sizeof(writer->tallies[0]));
		writer->tallies[writer->n_tallies++] = (struct tally_change){.folder = folder};
	}
	return &writer->tallies[writer->n_tallies - 1].by;
}

/* The changes of a batch that was committed. */
static void keep_tallies(const struct writer *writer)
{
	struct state *state = writer->state;

	for (size_t i = 0; i < writer->n_tallies; i++) {
		const struct tally_change *change = &writer->tallies[i];

		if (change->folder >= state->n_tallies) {
			size_t n = change->folder + 1 + change->folder / 2;

			state->tallies =
				xreallocarray(state->tallies, n, sizeof(state->tallies[0]));
			memset(state->tallies + state->n_tallies, 0,
			       (n - state->n_tallies) * sizeof(state->tallies[0]));
			state->n_tallies = n;
		}
		tally_add(&state->tallies[change->folder], &change->by, 1);
	}
}

/* The record goes, or another one takes its place: out of the tally with it. Its base name, or "" if there
 * is none, in base. */
static int old_record(struct writer *writer, uint32_t folder, struct key *message, char *base)
{
	struct tally was = {0};
	struct record record;
	MDB_val data;
	int rc = get(writer, DB_MESSAGES, message, &data);

	base[0] = '\0';
	if (rc != 0)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (!value_get_record(&writer->codec, data.mv_data, data.mv_size, &record) ||
	    strlen(record.base) > BASE_LONGEST)
		return MDB_CORRUPTED;
	memcpy(base, record.base, strlen(record.base) + 1);
	tally_record(&was, &record);
	tally_add(tally_of(writer, folder), &was, -1);
	return 0;
}

/* The file goes to another record: this one has none any more. */
static int lose_file(struct writer *writer, uint32_t folder, uint32_t uid)
{
	struct record record;
	struct key message;
	MDB_val data;
	int rc;

	key_of_message(&message, folder, uid);
	rc = get(writer, DB_MESSAGES, &message, &data);
	if (rc != 0)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	if (!value_get_record(&writer->codec, data.mv_data, data.mv_size, &record))
		return MDB_CORRUPTED;
	record.base = "";
	value_put_record(&writer->value, &writer->codec, &record);
	return put(writer, DB_MESSAGES, &message);
}

static int take_file(struct writer *writer, uint32_t folder, const char *base, uint32_t uid)
{
	struct key file;
	uint32_t owner;
	int rc;

	if (!key_of_file(&file, folder, base))
		return MDB_BAD_VALSIZE;
	rc = file_owner(writer, &file, &owner);
	if (rc == 0 && owner != 0 && owner != uid)
		rc = lose_file(writer, folder, owner);
	if (rc != 0 || owner == uid)
		return rc;
	value_put_number(&writer->value, uid);
	return put(writer, DB_FILES, &file);
}

static int put_record(struct writer *writer, uint32_t folder, const struct record *record)
{
	char before[BASE_LONGEST + 1];
	struct key message;
	int rc;

	key_of_message(&message, folder, record->uid);
	rc = old_record(writer, folder, &message, before);
	if (rc == 0 && strcmp(before, record->base) != 0) {
		if (before[0] != '\0')
			rc = drop_file(writer, folder, before, record->uid);
		if (rc == 0 && record->base[0] != '\0')
			rc = take_file(writer, folder, record->base, record->uid);
	}
	if (rc != 0)
		return rc;
	tally_record(tally_of(writer, folder), record);
	value_put_record(&writer->value, &writer->codec, record);
	return put(writer, DB_MESSAGES, &message);
}

static int delete_record(struct writer *writer, uint32_t folder, uint32_t uid)
{
	char before[BASE_LONGEST + 1];
	struct key message;
	int rc;

	key_of_message(&message, folder, uid);
	rc = old_record(writer, folder, &message, before);
	if (rc == 0 && before[0] != '\0')
		rc = drop_file(writer, folder, before, uid);
	return rc == 0 ? drop(writer, DB_MESSAGES, &message) : rc;
}

static int put_attempt(struct writer *writer, const struct attempt *attempt)
{
	struct key key;

	if (!key_of_file(&key, attempt->folder, attempt->base))
		return MDB_BAD_VALSIZE;
	value_put_attempt(&writer->value, &writer->codec, attempt);
	return put(writer, DB_ATTEMPTS, &key);
}

static int delete_attempt(struct writer *writer, uint32_t folder, const char *base)
{
	struct key key;

	return key_of_file(&key, folder, base) ? drop(writer, DB_ATTEMPTS, &key) : 0;
}

static int put_folder(struct writer *writer, const struct folder_record *folder)
{
	const struct text *value = &writer->value;
	struct key key;
	MDB_val data;
	int rc;

	key_of_number(&key, folder->id);
	value_put_folder(&writer->value, folder);
	rc = get(writer, DB_FOLDERS, &key, &data);
	if (rc == 0 && data.mv_size == value->len &&
	    memcmp(data.mv_data, value->data, value->len) == 0)
		return 0;
	return rc == 0 || rc == MDB_NOTFOUND ? put(writer, DB_FOLDERS, &key) : rc;
}

/* All keys that begin with the folder, with one cursor: a page is touched once. */
static int delete_range(struct writer *writer, enum database database, uint32_t folder)
{
	MDB_cursor *cursor;
	MDB_val key, data;
	struct key first;
	size_t deleted = 0;
	int rc = mdb_cursor_open(writer->txn, writer->state->dbi[database], &cursor);

	if (rc != 0)
		return rc;
	key_of_number(&first, folder);
	key = key_value(&first);
	rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
	while (rc == 0 && key.mv_size >= sizeof(uint32_t) && key_number(&key, 0) == folder) {
		rc = mdb_cursor_del(cursor, 0);
		if (++deleted % 256 == 0)
			pages_give_back(writer->state);
		/* After a deletion the next one is where the cursor stands. */
		if (rc == 0)
			rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int delete_folder(struct writer *writer, uint32_t folder)
{
	static const enum database databases[] = {DB_MESSAGES, DB_FILES, DB_ATTEMPTS};
	struct key key;
	int rc;

	key_of_number(&key, folder);
	rc = drop(writer, DB_FOLDERS, &key);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(databases); i++)
		rc = delete_range(writer, databases[i], folder);
	return rc;
}

static int make_change(struct writer *writer, const struct change *change)
{
	switch (change->kind) {
	case PUT_RECORD: return put_record(writer, change->folder, change->object);
	case DELETE_RECORD: return delete_record(writer, change->folder, change->uid);
	case PUT_ATTEMPT: return put_attempt(writer, change->object);
	case DELETE_ATTEMPT: return delete_attempt(writer, change->folder, change->object);
	case PUT_FOLDER: return put_folder(writer, change->object);
	case DELETE_FOLDER: return delete_folder(writer, change->folder);
	case PUT_META:
		value_put_meta(&writer->value, change->object);
		return put_named(writer, ACCOUNT_KEY);
	}
	return MDB_CORRUPTED;
}

static int put_keywords(struct writer *writer, uint32_t n)
{
	int rc = 0;

	for (uint32_t id = writer->state->keywords_stored + 1; rc == 0 && id <= n; id++) {
		struct key key;

		key_of_number(&key, id);
		value_put_name(&writer->value, keyword_name(writer->codec.pool, id));
		rc = put(writer, DB_KEYWORDS, &key);
	}
	return rc;
}

static int put_next_folder(struct writer *writer, uint32_t next_folder)
{
	if (next_folder == writer->state->next_folder_stored)
		return 0;
	value_put_number(&writer->value, next_folder);
	return put_named(writer, NEXT_FOLDER_KEY);
}

/* Everything in one transaction, once. */
static int write_batch(struct state_batch *batch, uint32_t keywords)
{
	struct state *state = batch->state;
	struct writer writer = {.state = state, .codec.pool = state->codec.pool};
	int rc = transaction_begin(state, 0, &writer.txn);

	if (rc != 0)
		return rc;
	rc = put_keywords(&writer, keywords);
	if (rc == 0)
		rc = put_next_folder(&writer, state->next_folder);
	for (size_t i = 0; rc == 0 && i < batch->n; i++) {
		rc = make_change(&writer, &batch->changes[i]);
		entry_changed(state, batch->changes[i].folder, batch->changes[i].uid);
	}
	if (rc == 0)
		rc = mdb_txn_commit(writer.txn);
	else
		mdb_txn_abort(writer.txn);
	if (rc == 0)
		keep_tallies(&writer);
	free(writer.tallies);
	text_release(&writer.value);
	return rc;
}

/* LMDB says EIO when a write came out short, which it does when the disk is full. */
static int explain(struct state *state, int rc)
{
	struct statvfs fs;

	if (rc == EIO && statvfs(state->dir, &fs) == 0 &&
	    fs.f_bavail < (1 << 20) / (fs.f_frsize > 0 ? fs.f_frsize : 1))
		return ENOSPC;
	return rc;
}

/* With state's mutex. */
static int commit(struct state_batch *batch, struct error *err)
{
	struct state *state = batch->state;
	/* Others may add keywords meanwhile; the batch's own were there before. */
	uint32_t keywords = keyword_count(state->codec.pool);
	int rc;

	if (batch->n == 0 && keywords == state->keywords_stored)
		return 0;
	while ((rc = write_batch(batch, keywords)) == MDB_MAP_FULL) {
		rc = map_grow(state);
		if (rc != 0)
			break;
	}
	if (rc == MDB_BAD_VALSIZE)
		return error_set(err, ERROR_LOCAL, "a file name is longer than %d bytes",
				 BASE_LONGEST);
	if (rc != 0)
		return state_fail(state, explain(state, rc), err, "write to it");
	state->keywords_stored = keywords;
	state->next_folder_stored = state->next_folder;
	return 0;
}

int state_commit(struct state_batch *batch, struct keyword_pool *pool, struct error *err)
{
	struct state *state = batch->state;
	int rc;

	pthread_mutex_lock(&state->mutex);
	rc = state_ready(state, err);
	if (rc == 0 && pool != state->codec.pool)
		rc = error_set(err, ERROR_LOCAL, "the state in %s: the keywords are of another one",
			       state->dir);
	if (rc == 0)
		rc = commit(batch, err);
	pthread_mutex_unlock(&state->mutex);
	if (rc == 0)
		batch_clear(batch);
	return rc;
}

struct tally state_tally(struct state *state, uint32_t folder)
{
	struct tally tally = {0};

	pthread_mutex_lock(&state->mutex);
	if (folder < state->n_tallies)
		tally = state->tallies[folder];
	pthread_mutex_unlock(&state->mutex);
	return tally;
}
