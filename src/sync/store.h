/* What downloads put into a folder, lot by lot. Private to src/sync. */
#ifndef MAILTWIN_SYNC_STORE_H
#define MAILTWIN_SYNC_STORE_H

#include "sync/account.h"

#define LOT_MESSAGES 128
#define LOT_BYTES (8U << 20)

struct arrived {                   /* a message whose body was received */
	struct delivery *delivery; /* finished; NULL once it is in place */
	struct action *action;
	struct record record; /* but for its state and what local has of the flags */
	char letters[64];     /* once it is stored */
};

struct lot {
	struct arena *arena; /* for the strings of its records */
	struct arrived list[LOT_MESSAGES];
	size_t n;
	uint64_t bytes;
};

struct store;

/* folder: its directory is open, and stays so until store_free. */
struct store *store_new(struct worker *worker, struct sync_folder *folder);
/* The lot that is being filled; never full. */
struct lot *store_lot(struct store *store);
/* The lot is full: it is stored while the next one is filled. Waits for the lot before it. From here
 * until store_flush the worker's batch, the folder's record and letters, and its directory belong to
 * the store. ERROR_STOPPED when the run is to stop; else the failure of a lot before. */
int store_pass(struct store *store, struct error *err);
/* Waits, and stores what is left. What failed before fails here too. The records of the last lot wait
 * for the worker's next commit: until then they are `arriving`, which is true enough for a run that is
 * killed. */
int store_flush(struct store *store, struct error *err);
void store_free(struct store **store); /* files that are not in place are removed */

#endif
