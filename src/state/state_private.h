/* What the files of the floor share. */
#ifndef MAILTWIN_STATE_STATE_PRIVATE_H
#define MAILTWIN_STATE_STATE_PRIVATE_H

#include <lmdb.h>
#include <pthread.h>
#include <sys/stat.h>

#include "state/state.h"
#include "state/value.h"

enum database {
	DB_META,     /* "schema", "next-folder", "account" */
	DB_FOLDERS,  /* folder id -> folder */
	DB_MESSAGES, /* folder id, UID -> record */
	DB_FILES,    /* folder id, base name -> UID: the inverse of messages */
	DB_ATTEMPTS, /* folder id, base name -> attempt */
	DB_KEYWORDS, /* keyword id -> name */
	DB_COUNT,
};

#define CLEAN_ROOM 160

#define TOUCHED_MOST 6

struct state {
	char *dir;
	MDB_env *env;
	MDB_dbi dbi[DB_COUNT];
	bool read_only;
	bool broken; /* the map was lost or LMDB gave up: nothing works any more */
	/* One for every transaction of the process, readers too: the map may only be moved
	 * while there is none. */
	pthread_mutex_t mutex;
	struct keyword_codec codec; /* used by readers under the mutex */
	uint32_t keywords_stored;
	uint32_t next_folder;
	uint32_t next_folder_stored;
	struct tally *tallies; /* changes since it was opened, by folder id */
	size_t n_tallies;
	char *map;        /* where LMDB mapped the file; NULL: not known */
	size_t page_size; /* LMDB's */
	/* The pieces of it, of 64 KiB, that were looked at and not given back, the last one at the end. */
	size_t touched[TOUCHED_MOST];
	size_t n_touched;
	unsigned given_back;     /* pieces, since all was */
	uint32_t changed_folder; /* of the entry that was changed last */
	uint32_t changed_uid;
	unsigned changed;       /* records that stand between those changed, since then */
	bool sound;             /* the file was found to be, when it was opened */
	char clean[CLEAN_ROOM]; /* the first line of DIR/clean (state.c) */
	int64_t in_order;       /* the second */
	bool noted;             /* in_order is news */
};

/* Big-endian numbers, so that cursors run in their order. */
#define BASE_LONGEST 255

struct key {
	size_t len;
	uint8_t bytes[2 * sizeof(uint32_t) + BASE_LONGEST];
};

void key_of_number(struct key *key, uint32_t number);
void key_of_message(struct key *key, uint32_t folder, uint32_t uid);
bool key_of_file(struct key *key, uint32_t folder, const char *base); /* false: too long */
MDB_val key_value(struct key *key);
uint32_t key_number(const MDB_val *key, size_t at); /* the number at this offset */

/* The functions below that return a code return one of LMDB's: 0, an errno, or MDB_xxx. */
int transaction_begin(struct state *state, unsigned flags, MDB_txn **txn);
/* The map was full: twice the size. No transaction may be open. */
int map_grow(struct state *state);
void map_find(struct state *state); /* where it is, for giving back pages */

/* Turns a code into an error; always returns -1. */
int state_fail(struct state *state, int code, struct error *err, const char *what);
/* For reading and writing records: keywords must have been loaded. 0 or -1. */
int state_ready(struct state *state, struct error *err);

/* LMDB's pages are pages of a mapped file and count as resident memory, together with the
 * fifteen around each that the kernel maps along. So those that were touched longest ago are
 * given back; they stay in the page cache. */
void page_touched(struct state *state, const void *at); /* an address in the map */
void pages_give_back(struct state *state);
/* Or added: the pages on the way to it were touched. uid: 0 for what is not a record. */
void entry_changed(struct state *state, uint32_t folder, uint32_t uid);

/* The directory and its files (dir.c). */
char *state_path(const char *dir, const char *file); /* caller frees */
int dir_make(const char *dir, struct error *err);
int dir_check_local(const char *dir, struct error *err); /* not a network file system */
int dir_sync(const char *dir, struct error *err);

/* Makes an environment with schema and databases under another name and renames it to
 * data.mdb when it is durable: a data.mdb is never half made, so that an empty or incomplete
 * one is damage (create.c). */
int environment_create(const char *dir, struct error *err);
extern const char *const database_names[DB_COUNT];
#define SCHEMA_KEY "schema"
#define NEXT_FOLDER_KEY "next-folder"
#define ACCOUNT_KEY "account"

#define MAP_FIRST ((size_t)64 << 20)

#endif
