/* The base: one LMDB environment an account (DESIGN section 3).
 *
 * Every change is made inside a transaction that is committed synchronously: when
 * state_commit returns 0 it survives a power cut. The map grows on MDB_MAP_FULL: the batch is
 * kept in memory as a list of changes and done again. Safe for use by several threads: a
 * batch belongs to one thread, commits take turns. Killed at any point, the environment opens
 * again with the last commit. */
#ifndef MAILTWIN_STATE_STATE_H
#define MAILTWIN_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/memory.h"
#include "core/record.h"
#include "core/tally.h"

#define STATE_SCHEMA 1

struct state;

struct state_meta {
	char uuid[37];      /* of the account's state, also in the sentinel; "" in a new one */
	uint64_t epoch;     /* raised by every run that commits anything */
	int64_t full_check; /* seconds since 1970 of the last run without shortcuts; 0: never */
	char server[256];   /* fingerprint: user@host */
	char capabilities[1024]; /* remembered after login */
};

/* Opens or creates DIR (0700) and the environment in it, takes no lock but LMDB's own. Errors:
 * ERROR_LOCAL (I/O; also a network file system unless allowed), ERROR_CORRUPT (unreadable or
 * damaged: the caller sets it aside and starts with an empty one), ERROR_CONFIG (a schema newer
 * than ours). read_only: for status; ERROR_NOT_FOUND if there is none yet. */
int state_open(struct state **state, const char *dir, bool read_only, struct error *err);
void state_close(struct state **state);

/* Moves a damaged environment aside (data.mdb.damaged-<seconds>) so that a new one can be
 * opened. */
int state_set_aside(const char *dir, struct error *err);

/* Exclusive lock on the state directory for the whole run (flock on DIR/lock, dies with the
 * process). wait: wait for it; else ERROR_BUSY. Returns the descriptor or -1. Creates DIR. */
int state_lock(const char *dir, bool wait, struct error *err);

int state_get_meta(struct state *state, struct state_meta *meta, struct error *err);

/* Fills the pool with the account's keywords under their ids; call once after opening. */
int state_load_keywords(struct state *state, struct keyword_pool *pool, struct error *err);

/* All folders, strings in the arena; *folders is an array in the arena. */
int state_get_folders(struct state *state, struct arena *arena, struct folder_record **folders,
		      size_t *n, struct error *err);
/* When a run found all folders of the base in order (seconds since 1970; 0: never): that they were synchronized
 * then, whatever is in their records, so that a run without changes writes no page. Kept by state_close
 * beside the base, and not durable: after a power cut it may be an earlier time. */
void state_note_in_order(struct state *state, int64_t seconds);
int64_t state_in_order(const struct state *state);
uint32_t state_new_folder_id(struct state *state); /* unique; durable with the next commit */

/* Walks the records of a folder by ascending UID; the record and its base name live until the
 * callback returns. A callback that returns other than 0 ends the walk with that value. The
 * callback must not call state functions. Pages passed are given back to the system. */
typedef int state_record_fn(void *ctx, const struct record *record);
int state_each_record(struct state *state, uint32_t folder, state_record_fn *fn, void *ctx,
		      struct error *err);
/* All records of the account, folder by folder. */
typedef int state_any_record_fn(void *ctx, uint32_t folder, const struct record *record);
int state_each_record_anywhere(struct state *state, state_any_record_fn *fn, void *ctx,
			       struct error *err);

/* One record; base name and reason in the arena, or NULL: without them (""). Returns 1 if found, 0 if not, -1 on error. */
int state_get_record(struct state *state, struct arena *arena, uint32_t folder, uint32_t uid,
		     struct record *record, struct error *err);
/* The UID whose file has this base name, 0 if none. */
int state_find_file(struct state *state, uint32_t folder, const char *base, uint32_t *uid,
		    struct error *err);

/* All attempts, strings in the arena. */
int state_get_attempts(struct state *state, struct arena *arena, struct attempt **attempts,
		       size_t *n, struct error *err);

/* A batch of changes, applied by state_commit in the order given. */
struct state_batch;

struct state_batch *state_batch_new(struct state *state);
void state_batch_free(struct state_batch **batch); /* drops what was not committed */
bool state_batch_empty(const struct state_batch *batch);
size_t state_batch_size(const struct state_batch *batch); /* changes */
/* Giving a base name to a record takes it from another record of the folder, in the same
 * transaction (files: one file, one record). Inserts or replaces. */
void state_put_record(struct state_batch *batch, uint32_t folder, const struct record *record);
void state_delete_record(struct state_batch *batch, uint32_t folder, uint32_t uid);
void state_put_attempt(struct state_batch *batch, const struct attempt *attempt);
void state_delete_attempt(struct state_batch *batch, uint32_t folder, const char *base);
void state_put_folder(struct state_batch *batch,
		      const struct folder_record *folder); /* if it is news */
/* The folder, its records, files and attempts. */
void state_delete_folder(struct state_batch *batch, uint32_t folder);
void state_put_meta(struct state_batch *batch, const struct state_meta *meta);
/* Keywords of the pool that the base does not know yet are written with every commit.
 * On success the batch is empty and usable again. On error nothing was changed. */
int state_commit(struct state_batch *batch, struct keyword_pool *pool, struct error *err);
/* How the commits since state_open changed the tally of a folder's records, to be added to what it was. */
struct tally state_tally(struct state *state, uint32_t folder);

#endif
