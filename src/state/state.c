/* Opening and closing the base (state.h). */
#include "state/state_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "state/verify.h"

/* What tells one content of the file from another, without reading it. */
static void clean_text(const struct stat *st, size_t txnid, char *out, size_t room)
{
	snprintf(out, room, "%llu %lld %lld.%09ld %lld.%09ld %zu\n", (unsigned long long)st->st_ino,
		 (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
		 (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec, txnid);
}

/* Two lines in DIR/clean: that text, as it was left by the last one who closed the state in good order; and
 * when all folders were in order (state_note_in_order). */
static void clean_read(struct state *state)
{
	char *path = state_path(state->dir, "clean"), *second, *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd >= 0 ? read(fd, state->clean, sizeof(state->clean) - 1) : 0;
	uint64_t seconds;

	state->clean[n > 0 ? n : 0] = '\0';
	second = state->clean + strcspn(state->clean, "\n");
	second += *second != '\0';
	end = strchr(second, '\n');
	if (end != NULL) {
		*end = '\0';
		if (parse_number(second, INT64_MAX, &seconds))
			state->in_order = (int64_t)seconds;
	}
	*second = '\0';
	if (fd >= 0)
		close(fd);
	free(path);
}

/* In place, so that a power cut leaves the old text or the new one. */
static bool clean_replace(const char *path, const char *text)
{
	ssize_t len = (ssize_t)strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool done = fd >= 0 && pwrite(fd, text, (size_t)len, 0) == len && ftruncate(fd, len) == 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/* Not durable and not needed: without it the next one walks the pages. */
static void clean_write(struct state *state)
{
	char text[CLEAN_ROOM];
	MDB_envinfo info;
	struct stat st;
	size_t len;
	char *path;
	int fd;

	if (!state->sound || state->read_only || state->broken ||
	    mdb_env_info(state->env, &info) != 0 || mdb_env_get_fd(state->env, &fd) != 0 ||
	    fstat(fd, &st) != 0)
		return;
	clean_text(&st, info.me_last_txnid, text, sizeof(text));
	if (strcmp(text, state->clean) == 0 && !state->noted)
		return;
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, "%lld\n", (long long)state->in_order);
	path = state_path(state->dir, "clean");
	if (!clean_replace(path, text))
		log_verbose("cannot write %s", path);
	free(path);
}

void state_note_in_order(struct state *state, int64_t seconds)
{
	state->in_order = seconds;
	state->noted = true;
}

int64_t state_in_order(const struct state *state)
{
	return state->in_order;
}

static int damaged(const struct state *state, const char *reason, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, "the state in %s is damaged: %s", state->dir, reason);
}

/* LMDB wants to create and write its lock file even when it only reads. Where that cannot be,
 * nobody writes now, or we could not see it anyway. */
static bool lock_usable(const char *dir)
{
	char *path = state_path(dir, "lock.mdb");
	bool usable = access(path, R_OK | W_OK) == 0;

	free(path);
	return usable;
}

static int close_on_exec(MDB_env *env)
{
	int fd;
	int rc = mdb_env_get_fd(env, &fd);

	if (rc == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		rc = errno;
	return rc;
}

static int environment_open(struct state *state, struct verify_file *file, struct error *err)
{
	/* No NOSYNC, NOMETASYNC, WRITEMAP or MAPASYNC: what was committed is there. */
	unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
	size_t map_size = MAP_FIRST;
	struct stat st;
	int rc, dead;

	if (fstat(file->fd, &st) != 0)
		return error_errno(err, ERROR_LOCAL, "cannot look at the state in %s", state->dir);
	/* Address space costs nothing until it is used, but people do limit it. */
	while (map_size < (size_t)st.st_size * 2 && map_size < SIZE_MAX / 2)
		map_size *= 2;
	if (state->read_only)
		flags |= MDB_RDONLY | (lock_usable(state->dir) ? 0 : MDB_NOLOCK);
	rc = mdb_env_create(&state->env);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(state->env, DB_COUNT);
	if (rc == 0)
		rc = mdb_env_set_mapsize(state->env, map_size);
	if (rc == 0)
		rc = mdb_env_open(state->env, state->dir, flags, 0600);
	/* LMDB leaves out the one that it writes through. */
	if (rc == 0)
		rc = close_on_exec(state->env);
	/* Readers that were killed would keep old pages from being used again. */
	if (rc == 0 && !state->read_only)
		rc = mdb_reader_check(state->env, &dead);
	if (rc != 0)
		return state_fail(state, rc, err, "open it");
	return 0;
}

/* Walks the pages of a snapshot that we hold, so that a writer cannot change them. */
static int verify(struct state *state, struct verify_file *file, const char *only,
		  struct error *err)
{
	int rc, sound;
	MDB_txn *txn;

	for (unsigned tries = 0; tries < 100; tries++) {
		rc = transaction_begin(state, MDB_RDONLY, &txn);
		if (rc != 0)
			return state_fail(state, rc, err, "read it");
		sound = verify_pages(file, mdb_txn_id(txn), only);
		mdb_txn_abort(txn);
		if (sound != VERIFY_OLD)
			return sound ? 0 : damaged(state, file->reason, err);
	}
	return error_set(err, ERROR_BUSY, "the state in %s is being written too fast to be read",
			 state->dir);
}

static int get_number(struct state *state, MDB_txn *txn, const char *name, uint32_t *number)
{
	MDB_val key = {strlen(name), (void *)(uintptr_t)name};
	MDB_val data;
	int rc = mdb_get(txn, state->dbi[DB_META], &key, &data);

	if (rc == 0 && !value_get_number(data.mv_data, data.mv_size, number))
		return MDB_CORRUPTED;
	return rc;
}

/* Before anything else is touched; the form of this one value never changes. */
static int check_schema(struct state *state, struct error *err)
{
	uint32_t schema = 0;
	MDB_txn *txn;
	int rc = transaction_begin(state, MDB_RDONLY, &txn);

	if (rc != 0)
		return state_fail(state, rc, err, "read it");
	rc = mdb_dbi_open(txn, database_names[DB_META], 0, &state->dbi[DB_META]);
	if (rc == 0)
		rc = get_number(state, txn, SCHEMA_KEY, &schema);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return state_fail(state, rc, err, "read its version");
	}
	rc = mdb_txn_commit(txn);
	if (rc != 0)
		return state_fail(state, rc, err, "read its version");
	if (schema > STATE_SCHEMA)
		return error_set(
			err, ERROR_CONFIG,
			"the state in %s was written by a newer mailtwin (schema %u, this one "
			"knows %d); use that one, or another directory with the option `state'",
			state->dir, (unsigned)schema, STATE_SCHEMA);
	if (schema < STATE_SCHEMA)
		return damaged(state, "its version makes no sense", err);
	return 0;
}

static int open_databases(struct state *state, struct error *err)
{
	MDB_stat stat;
	MDB_txn *txn;
	int rc = transaction_begin(state, MDB_RDONLY, &txn);

	if (rc != 0)
		return state_fail(state, rc, err, "read it");
	for (size_t i = DB_META + 1; rc == 0 && i < DB_COUNT; i++)
		rc = mdb_dbi_open(txn, database_names[i], 0, &state->dbi[i]);
	if (rc == 0)
		rc = get_number(state, txn, NEXT_FOLDER_KEY, &state->next_folder);
	if (rc == 0)
		rc = mdb_stat(txn, state->dbi[DB_META], &stat);
	if (rc == 0)
		state->page_size = stat.ms_psize;
	state->next_folder_stored = state->next_folder;
	/* Committed, for the handles to last. */
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	if (rc != 0)
		return state_fail(state, rc, err, "open its databases");
	return 0;
}

static int open_file(struct state *state, int fd, struct error *err)
{
	char text[CLEAN_ROOM];
	struct verify_file file;
	struct stat st;
	bool clean;

	if (fstat(fd, &st) != 0)
		return error_errno(err, ERROR_LOCAL, "cannot look at the state in %s", state->dir);
	if (!S_ISREG(st.st_mode))
		return damaged(state, "data.mdb is not a file", err);
	if (!verify_begin(&file, fd))
		return damaged(state, file.reason, err);
	clean_read(state);
	clean_text(&st, file.txnid, text, sizeof(text));
	clean = strcmp(text, state->clean) == 0;
	if (environment_open(state, &file, err) != 0)
		return -1;
	if (!clean && verify(state, &file, database_names[DB_META], err) != 0)
		return -1;
	if (check_schema(state, err) != 0)
		return -1;
	if (!clean && verify(state, &file, NULL, err) != 0)
		return -1;
	if (open_databases(state, err) != 0)
		return -1;
	map_find(state);
	state->sound = true;
	return 0;
}

/* Makes it if there is none. */
static int find_file(struct state *state, const char *path, struct error *err)
{
	bool missing = access(path, F_OK) != 0 && errno == ENOENT;

	if (missing && state->read_only)
		return error_set(err, ERROR_NOT_FOUND, "there is no state in %s yet", state->dir);
	if (dir_check_local(state->dir, err) != 0)
		return -1;
	return missing ? environment_create(state->dir, err) : 0;
}

static int open_in_dir(struct state *state, struct error *err)
{
	char *path;
	int fd, rc;

	if (!state->read_only && dir_make(state->dir, err) != 0)
		return -1;
	path = state_path(state->dir, "data.mdb");
	rc = find_file(state, path, err);
	if (rc != 0) {
		free(path);
		return -1;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* it might be a pipe */
	if (fd < 0)
		rc = error_errno(err, ERROR_LOCAL, "cannot open %s", path);
	else
		rc = open_file(state, fd, err);
	/* LMDB has no locks on this file that closing it would drop: they are on lock.mdb. */
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

int state_open(struct state **out, const char *dir, bool read_only, struct error *err)
{
	struct state *state = xcalloc(1, sizeof(*state));

	*out = NULL;
	state->dir = xstrdup(dir);
	state->read_only = read_only;
	pthread_mutex_init(&state->mutex, NULL);
	if (open_in_dir(state, err) != 0) {
		state_close(&state);
		return -1;
	}
	*out = state;
	return 0;
}

void state_close(struct state **out)
{
	struct state *state = *out;

	if (state == NULL)
		return;
	clean_write(state);
	if (state->env != NULL)
		mdb_env_close(state->env);
	pthread_mutex_destroy(&state->mutex);
	free(state->tallies);
	free(state->dir);
	free(state);
	*out = NULL;
}
