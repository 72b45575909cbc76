/* A new environment. LMDB would make one in place of a data.mdb that is missing or empty, and a
 * kill or a power cut could leave one without a schema. Nobody could then tell "never used" from
 * "lost", and an empty base where there was a full one is the most dangerous thing that can
 * happen to a synchronizer. Hence a new environment becomes data.mdb by a rename, complete and
 * durable, and whatever else is found under that name is damage. */
#include "state/state_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

const char *const database_names[DB_COUNT] = {
	"meta", "folders", "messages", "files", "attempts", "keywords",
};

static int put_number(MDB_txn *txn, MDB_dbi dbi, const char *name, uint32_t number)
{
	struct text value = {0};
	MDB_val key, data;
	int rc;

	value_put_number(&value, number);
	key.mv_data = (void *)(uintptr_t)name;
	key.mv_size = strlen(name);
	data.mv_data = value.data;
	data.mv_size = value.len;
	rc = mdb_put(txn, dbi, &key, &data, 0);
	text_release(&value);
	return rc;
}

static int fill(MDB_env *env)
{
	MDB_dbi dbi[DB_COUNT];
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < DB_COUNT; i++)
		rc = mdb_dbi_open(txn, database_names[i], MDB_CREATE, &dbi[i]);
	if (rc == 0)
		rc = put_number(txn, dbi[DB_META], SCHEMA_KEY, STATE_SCHEMA);
	if (rc == 0)
		rc = put_number(txn, dbi[DB_META], NEXT_FOLDER_KEY, 1);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

static int make_file(const char *path)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc != 0)
		return rc;
	rc = mdb_env_set_maxdbs(env, DB_COUNT);
	if (rc == 0)
		rc = mdb_env_set_mapsize(env, MAP_FIRST);
	/* Nobody else knows the file yet: no lock is needed. */
	if (rc == 0)
		rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
	if (rc == 0)
		rc = fill(env);
	/* LMDB synchronizes the data, not the size that came with the first two pages. */
	if (rc == 0)
		rc = mdb_env_sync(env, 1);
	mdb_env_close(env);
	return rc;
}

/* The directory that dir is in: "." for "a". */
static int sync_parent(const char *dir, struct error *err)
{
	char *path = state_path(dir, "..");
	int rc = dir_sync(path, err);

	free(path);
	return rc;
}

static int put_in_place(const char *dir, const char *from, const char *to, struct error *err)
{
	int rc;

	if (unlink(from) != 0 && errno != ENOENT)
		return error_errno(err, ERROR_LOCAL, "cannot remove %s", from);
	rc = make_file(from);
	if (rc != 0) {
		unlink(from);
		return error_set(err, ERROR_LOCAL, "cannot make the state %s: %s", from,
				 mdb_strerror(rc));
	}
	if (rename(from, to) != 0)
		return error_errno(err, ERROR_LOCAL, "cannot rename %s to %s", from, to);
	if (dir_sync(dir, err) != 0)
		return -1;
	return sync_parent(dir, err);
}

int environment_create(const char *dir, struct error *err)
{
	char *from = state_path(dir, "data.mdb.new");
	char *to = state_path(dir, "data.mdb");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	/* Two that come at the same time: the second finds the work done. */
	if (fd < 0 || flock(fd, LOCK_EX) != 0)
		rc = error_errno(err, ERROR_LOCAL, "cannot lock the directory %s", dir);
	else if (access(to, F_OK) == 0)
		rc = 0;
	else
		rc = put_in_place(dir, from, to, err);
	if (fd >= 0)
		close(fd);
	free(from);
	free(to);
	return rc;
}
