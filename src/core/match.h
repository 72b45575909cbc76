/* Matching: what became of the messages that are not where the base has them, and which of the new
 * ones are the same (DESIGN section 5, "Moves" and "Re-pairing", section 4 rule 3). Certain matches
 * come before guesses, each message and each file is used once. Pure: what it needs to know of the
 * contents it asks for with the wants_ marks, and the caller fetches.
 *
 * Order of the calls, each on the whole world:
 *   match_attempts       what a killed run sent, before anything else
 *   world_lose           for every message that is lost
 *   match_renamed        a mail reader renamed the file in its folder
 *   match_remote         moved on the server
 *   match_local_certain  moved here: base name or inode, and equal contents
 *   match_new            new on both sides and the same
 *   match_local_content  moved here: contents alone, from another folder */
#ifndef MAILTWIN_CORE_MATCH_H
#define MAILTWIN_CORE_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/record.h"
#include "core/snapshot.h"

#define NOWHERE UINT32_MAX

enum match_step { /* numbers in docs/sync-rules.md, M */
		  STEP_ATTEMPT = 1,
		  STEP_RENAMED,
		  STEP_MOVED_THERE,
		  STEP_MOVED_HERE, /* base name or inode, and contents */
		  STEP_NEW,
		  STEP_CONTENT, /* moved here, by contents alone */
		  STEP_REPAIR,
		  STEP_COPY, /* found by the caller, among all records */
		  STEP_COUNT,
};

struct place {           /* in a folder's arrivals, or in its files */
	uint32_t folder; /* index in the world; NOWHERE: not found */
	uint32_t at;
};

struct lost { /* a recorded message that one side or both do not have where it was */
	uint32_t folder;
	uint32_t message; /* in the folder's snapshot */
	struct record record;
	struct place file;   /* where its file is now */
	struct place remote; /* where the server has it now */
};

struct pairing { /* new on both sides, and the same message */
	struct place remote;
	struct place file; /* usually the same folder; another one for an attempt moved on */
};

struct world_folder {
	struct snapshot *snapshot;
	uint32_t id;          /* of the base; 0: new */
	uint32_t uidnext;     /* of the server now */
	uint32_t uidvalidity; /* likewise; 0: not told */
	bool on_server;       /* its remote side was looked at, or is as the base has it */
	bool repair;          /* re-pairing */
};

/* How far the date of a message says that it is what was sent. */
enum attempt_dates {
	DATES_KEPT = 0, /* equal contents need an equal date */
	DATES_LOST,     /* the server may have dropped it: equal contents are enough */
	DATES_FRESH,    /* sent a moment ago: so is the Message-ID, if only one message has it */
};

struct world {
	struct world_folder *folders;
	size_t n;
	enum attempt_dates dates;
	struct lost *lost;
	size_t n_lost;
	size_t room_lost;
	struct pairing *pairings;
	size_t n_pairings;
	size_t room_pairings;
	uint32_t found[STEP_COUNT]; /* how often each step found something */
};

void world_release(struct world *world);
void world_lose(struct world *world, uint32_t folder, uint32_t message,
		const struct record *record);

/* Marks the arrivals of which the header or the body must be known before the next step. Facts must be
 * there already. Return whether there are any. */
bool match_wants_attempt_headers(struct world *world, const struct attempt *attempts, size_t n);
bool match_wants_attempt_bodies(struct world *world, const struct attempt *attempts, size_t n);
bool match_wants_headers(struct world *world); /* before match_remote */
bool match_wants_bodies(struct world *world);  /* before match_new */

struct attempt_result {
	struct place remote; /* the arrival that is this attempt; folder NOWHERE: not found */
	bool elsewhere;      /* it was found in another folder than it was sent to */
	bool did_not_happen; /* UIDNEXT has not moved: the try does not count */
};
/* For each attempt that is open: whether an arrival is what it sent. The caller turns hits into records;
 * an arrival that was hit is taken. */
void match_attempts(struct world *world, const struct attempt *attempts, size_t n,
		    struct attempt_result *results);

/* What was sent pairs with its file, wherever the file is: of an attempt that cannot become a record. */
void world_pair_sent(struct world *world, struct place remote, const struct attempt *attempt);

void match_renamed(struct world *world);
void match_remote(struct world *world);
void match_local_certain(struct world *world);
void match_new(struct world *world);
void match_local_content(struct world *world);

#endif
