/* Moves and copies on the server, by groups of one command each. Private to src/sync. */
#ifndef MAILTWIN_SYNC_MOVE_REMOTE_H
#define MAILTWIN_SYNC_MOVE_REMOTE_H

#include "sync/account.h"

#define GROUP_MESSAGES 512

struct move_group {
	struct sync_folder *from;
	struct sync_folder *to;
	bool copy;
	struct action **actions; /* ascending UIDs, each once */
	size_t n;
	bool taken; /* by a worker */
};

/* ---- move_remote.c ---- */
/* next: of the group that this worker carries out after it; NULL: none is known. *told: the server named
 * the UIDs in the target. */
int move_group(struct worker *worker, const struct move_group *group,
	       const struct sync_folder *next, bool *told, struct error *err);

#endif
