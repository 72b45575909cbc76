/* What the files of the folder rules share. Private to core. */
#ifndef MAILTWIN_CORE_FOLDERS_PRIVATE_H
#define MAILTWIN_CORE_FOLDERS_PRIVATE_H

#include "core/folders.h"

struct folders_planner {
	const struct folders_input *input;
	struct arena *arena;
	struct folder_plan *plans;
	size_t n;
	bool *mailbox_claimed;
	bool *place_claimed;
	bool *barred; /* of each recorded folder: renamed on the server to a name in use here */
};

static inline bool place_is_maildir(const struct local_place *place)
{
	return !place->plain && !place->damaged && !place->incomplete;
}

/* A plan for each record of the base, first in the list: which mailbox and which directory it means. */
void folders_claim_recorded(struct folders_planner *p);
/* Renames that can be proved; those that are in the way of each other. */
void folders_find_renames(struct folders_planner *p);

/* The mailbox that has the recorded folder's name now is not the one that it was. */
bool folders_is_another(const struct folders_planner *p, const struct folder_plan *plan);

struct folder_plan *folders_add_plan(struct folders_planner *p);
/* A rename that was barred stays the reason for whatever follows from it. */
void folders_give(struct folder_plan *plan, int rule, enum folder_verb verb);
/* verb: FOLDER_BAD or FOLDER_IGNORE. */
void folders_refuse(struct folder_plan *plan, int rule, enum folder_verb verb, const char *reason);
/* Frees text; a copy in the arena. */
const char *folders_keep(struct folders_planner *p, char *text);
size_t folders_find_path(const struct folders_planner *p, const char *path);
bool folders_path_is_free(const struct folders_planner *p, const char *path);
/* The plan of the recorded folder whose directory it is; NULL. */
struct folder_plan *folders_owner_of(struct folders_planner *p, const char *path);

#endif
