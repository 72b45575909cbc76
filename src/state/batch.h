/* A batch of changes, between batch.c that collects and commit.c that writes. Private to the
 * floor. */
#ifndef MAILTWIN_STATE_BATCH_H
#define MAILTWIN_STATE_BATCH_H

#include "state/state_private.h"

enum change_kind {
	PUT_RECORD,
	DELETE_RECORD,
	PUT_ATTEMPT,
	DELETE_ATTEMPT,
	PUT_FOLDER,
	DELETE_FOLDER,
	PUT_META,
};

struct change {
	enum change_kind kind;
	uint32_t folder;
	uint32_t uid;       /* of a record, else 0 */
	const void *object; /* the struct of the PUTs; the base name of DELETE_ATTEMPT */
};

struct state_batch {
	struct state *state;
	struct arena *arena; /* the objects and their strings */
	struct change *changes;
	size_t n;
	size_t room;
};

void batch_clear(struct state_batch *batch);

#endif
