/* Identity first, names last: a folder is the base's record; a mailbox belongs to it by its wire name
 * or its MAILBOXID, a directory by its path or its inode. Only what no record claims is new, and only
 * then does a name decide which mailbox and which directory belong together. A folder that is not
 * chosen is left alone whatever happened to it, so it is never a deletion. */
#include "core/folders_private.h"

#include <stdlib.h>
#include <string.h>

static bool is_virtual(enum special_use special)
{
	return special == SPECIAL_ALL || special == SPECIAL_FLAGGED || special == SPECIAL_IMPORTANT;
}

static void plan_rename_remote(struct folders_planner *p, struct folder_plan *plan)
{
	const char *path = p->input->places[plan->place].path;
	char *name = layout_name(p->input->layout, path);
	char *wire = name != NULL ? name_to_wire(p->input->ns, name) : NULL;

	if (wire == NULL) {
		folders_refuse(plan, 18, FOLDER_BAD,
			       "its new name on disk cannot be a mailbox's name");
	} else {
		plan->name = arena_strdup(p->arena, name);
		plan->wire = arena_strdup(p->arena, wire);
		plan->path = path;
	}
	free(name);
	free(wire);
}

static bool may_delete(const struct folders_input *in, const struct folder_plan *plan)
{
	const struct folder_record *base = &in->base[plan->base];

	return in->delete_folders && in->may_delete && !base->remaking && !base->restoring;
}

static void plan_gone_here(const struct folders_planner *p, struct folder_plan *plan)
{
	if (name_is_inbox(plan->name))
		folders_give(plan, 8, FOLDER_CREATE_LOCAL);
	else if (!p->input->server_writable || !may_delete(p->input, plan))
		folders_give(plan, 9, FOLDER_CREATE_LOCAL);
	else if (folders_is_another(p, plan))
		folders_give(plan, 16, FOLDER_CREATE_LOCAL);
	else
		folders_give(plan, 5, FOLDER_DELETE_REMOTE);
}

static void plan_gone_there(const struct folders_input *in, struct folder_plan *plan)
{
	bool inbox = name_is_inbox(plan->name);

	if (in->keep_local)
		folders_refuse(plan, 9, FOLDER_IGNORE, "the server dropped it; kept here");
	else if (!inbox && may_delete(in, plan))
		folders_give(plan, 6, FOLDER_DELETE_LOCAL);
	else if (in->server_writable)
		folders_give(plan, inbox ? 8 : 9, FOLDER_CREATE_REMOTE);
	else
		folders_refuse(plan, 9, FOLDER_IGNORE, "the server dropped it");
}

/* A run that was making it anew was killed before it was complete. */
static bool is_half_made(const struct folders_planner *p, const struct folder_plan *plan)
{
	return plan->mailbox != NO_INDEX && plan->place != NO_INDEX &&
	       p->input->places[plan->place].incomplete && p->input->base[plan->base].remaking;
}

static void plan_recorded(struct folders_planner *p, struct folder_plan *plan)
{
	bool remote = plan->mailbox != NO_INDEX, local = plan->place != NO_INDEX;

	if (is_half_made(p, plan))
		plan_gone_here(p, plan);
	else if (local && !place_is_maildir(&p->input->places[plan->place]))
		folders_refuse(
			plan, 13, FOLDER_BAD,
			"its directory is damaged: cur or new is missing, or something else is "
			"in its place; put it back, or remove the directory to remove the "
			"folder");
	else if (plan->verb == FOLDER_RENAME_LOCAL || plan->verb == FOLDER_BAD)
		return;
	else if (plan->verb == FOLDER_RENAME_REMOTE)
		plan_rename_remote(p, plan);
	else if (remote && local)
		folders_give(plan, 1, FOLDER_SYNC);
	else if (remote)
		plan_gone_here(p, plan);
	else if (local)
		plan_gone_there(p->input, plan);
	else
		folders_give(plan, 7, FOLDER_FORGET);
}

/* The directory of a new mailbox: by our mapping, or under the wire name as mbsync and OfflineIMAP
 * write it. */
static size_t find_directory(struct folders_planner *p, const struct remote_mailbox *mailbox,
			     const char *path)
{
	size_t at = folders_find_path(p, path);
	char *other;

	if (at != NO_INDEX)
		return at;
	other = utf7_encode(mailbox->name);
	if (other != NULL && strcmp(other, mailbox->name) != 0) {
		char *other_path = layout_path(p->input->layout, other);

		at = folders_find_path(p, other_path);
		free(other_path);
	}
	free(other);
	return at;
}

/* Its directory, or the one it would be given, is another folder's. */
static void plan_shared(struct folders_planner *p, struct folder_plan *plan, size_t place)
{
	const struct folder_plan *owner =
		place != NO_INDEX ? folders_owner_of(p, p->input->places[place].path) : NULL;

	if (owner != NULL && owner->verb == FOLDER_RENAME_LOCAL)
		folders_refuse(plan, FOLDER_RULE_BARRED, FOLDER_BAD,
			       "its directory is that of a folder which is being renamed; the next "
			       "run follows");
	else
		folders_refuse(plan, 15, FOLDER_BAD,
			       "it would share the directory of another folder");
}

static void plan_own_place(struct folders_planner *p, struct folder_plan *plan, size_t at)
{
	const struct local_place *place = &p->input->places[at];

	plan->place = at;
	plan->path = place->path;
	p->place_claimed[at] = true;
	if (place->damaged)
		folders_refuse(
			plan, 13, FOLDER_BAD,
			"its directory is damaged: cur or new is missing, or something else is "
			"in its place");
	else if (place_is_maildir(place))
		folders_give(plan, 2, FOLDER_SYNC);
	else
		folders_give(plan, 3, FOLDER_CREATE_LOCAL);
}

static void plan_new_mailbox(struct folders_planner *p, size_t i)
{
	const struct remote_mailbox *mailbox = &p->input->mailboxes[i];
	struct folder_plan *plan = folders_add_plan(p);
	const char *path = folders_keep(p, layout_path(p->input->layout, mailbox->name));
	size_t at = find_directory(p, mailbox, path);

	plan->mailbox = i;
	plan->name = mailbox->name;
	plan->wire = mailbox->wire;
	if (at == NO_INDEX && folders_path_is_free(p, path)) {
		folders_give(plan, 3, FOLDER_CREATE_LOCAL);
		plan->path = path;
	} else if (at == NO_INDEX || p->place_claimed[at]) {
		plan_shared(p, plan, at);
	} else {
		plan_own_place(p, plan, at);
	}
}

static bool name_is_planned(const struct folders_planner *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->plans[i].name, name) == 0 && p->plans[i].verb != FOLDER_FORGET)
			return true;
	}
	return false;
}

static void name_new_place(struct folders_planner *p, struct folder_plan *plan, bool name_taken,
			   char *name, char *wire)
{
	const struct local_place *place = &p->input->places[plan->place];

	if (name_taken) {
		folders_refuse(plan, 18, FOLDER_BAD, "another folder already has this name");
	} else if (wire == NULL) {
		folders_refuse(plan, 18, FOLDER_BAD,
			       "the directory's name cannot be a mailbox's name on this server");
	} else {
		plan->name = arena_strdup(p->arena, name);
		plan->wire = arena_strdup(p->arena, wire);
		if (!place_is_maildir(place))
			folders_refuse(
				plan, 13, FOLDER_BAD,
				"the directory is damaged: cur or new is missing, or something "
				"else is in its place");
		else if (p->input->server_writable)
			folders_give(plan, 4, FOLDER_CREATE_REMOTE);
		else
			folders_refuse(plan, 23, FOLDER_IGNORE, "the server does not have it");
	}
}

static void plan_new_place(struct folders_planner *p, size_t i)
{
	const struct local_place *place = &p->input->places[i];
	struct folder_plan *plan;
	char *name, *wire = NULL;
	bool taken;

	if (place->plain)
		return;
	name = layout_name(p->input->layout, place->path);
	if (name != NULL)
		wire = name_to_wire(p->input->ns, name);
	taken = name != NULL && name_is_planned(p, name);
	plan = folders_add_plan(p);
	plan->place = i;
	plan->path = place->path;
	plan->name = place->path;
	name_new_place(p, plan, taken, name, wire);
	free(name);
	free(wire);
}

static void choose(struct folders_planner *p, struct folder_plan *plan)
{
	enum special_use special = plan->mailbox != NO_INDEX
					   ? p->input->mailboxes[plan->mailbox].special
					   : SPECIAL_NONE;

	plan->chosen = patterns_match(p->input->patterns, p->input->n_patterns, plan->name,
				      is_virtual(special));
	if (plan->chosen)
		return;
	if (is_virtual(special))
		folders_refuse(plan, 19, FOLDER_IGNORE,
			       "a virtual folder, to be named without wildcards");
	else
		folders_refuse(plan, 14, FOLDER_IGNORE, "not chosen by the option folders");
}

static int compare_plans(const void *a, const void *b)
{
	const struct folder_plan *x = a, *y = b;

	return strcmp(x->name, y->name);
}

struct folder_plan *folders_plan(const struct folders_input *input, struct arena *arena, size_t *n)
{
	struct folders_planner p = {.input = input, .arena = arena};

	p.plans = arena_alloc(arena, (input->n_base + input->n_mailboxes + input->n_places + 1) *
					     sizeof(*p.plans));
	p.mailbox_claimed = xcalloc(input->n_mailboxes, sizeof(bool));
	p.place_claimed = xcalloc(input->n_places, sizeof(bool));
	p.barred = xcalloc(input->n_base, sizeof(bool));
	folders_claim_recorded(&p);
	folders_find_renames(&p);
	for (size_t i = 0; i < input->n_base; i++)
		plan_recorded(&p, &p.plans[i]);
	for (size_t i = 0; i < input->n_mailboxes; i++) {
		if (!p.mailbox_claimed[i] && !input->mailboxes[i].noselect)
			plan_new_mailbox(&p, i);
	}
	for (size_t i = 0; i < input->n_places; i++) {
		if (!p.place_claimed[i])
			plan_new_place(&p, i);
	}
	for (size_t i = 0; i < p.n; i++)
		choose(&p, &p.plans[i]);
	qsort(p.plans, p.n, sizeof(*p.plans), compare_plans);
	free(p.mailbox_claimed);
	free(p.place_claimed);
	free(p.barred);
	*n = p.n;
	return p.plans;
}
