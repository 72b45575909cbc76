/* Identity first, names last: a folder is the base's record; a mailbox belongs to it by its wire name
 * or its MAILBOXID, a directory by its path or its inode. Only what no record claims is new, and only
 * then does a name decide which mailbox and which directory belong together. A folder that is not
 * chosen is left alone whatever happened to it, so it is never a deletion. */
#include "core/folders.h"

#include <stdlib.h>
#include <string.h>

struct planner {
	const struct folders_input *input;
	struct arena *arena;
	struct folder_plan *plans;
	size_t n;
	bool *mailbox_claimed;
	bool *place_claimed;
	bool *barred; /* of each recorded folder: renamed on the server to a name in use here */
};

static const char *keep(struct planner *p, char *text)
{
	const char *copy = arena_strdup(p->arena, text);

	free(text);
	return copy;
}

static bool is_virtual(enum special_use special)
{
	return special == SPECIAL_ALL || special == SPECIAL_FLAGGED || special == SPECIAL_IMPORTANT;
}

static size_t find_wire(const struct planner *p, const char *wire)
{
	for (size_t i = 0; i < p->input->n_mailboxes; i++) {
		if (!p->input->mailboxes[i].noselect &&
		    strcmp(p->input->mailboxes[i].wire, wire) == 0)
			return i;
	}
	return NO_INDEX;
}

static size_t find_mailbox_id(const struct planner *p, const char *id)
{
	for (size_t i = 0; id[0] != '\0' && i < p->input->n_mailboxes; i++) {
		if (!p->input->mailboxes[i].noselect && !p->mailbox_claimed[i] &&
		    strcmp(p->input->mailboxes[i].mailbox_id, id) == 0)
			return i;
	}
	return NO_INDEX;
}

static size_t find_path(const struct planner *p, const char *path)
{
	for (size_t i = 0; i < p->input->n_places; i++) {
		if (strcmp(p->input->places[i].path, path) == 0)
			return i;
	}
	return NO_INDEX;
}

static size_t find_inode(const struct planner *p, uint64_t inode)
{
	for (size_t i = 0; inode != 0 && i < p->input->n_places; i++) {
		const struct local_place *place = &p->input->places[i];

		if (!p->place_claimed[i] && !place->plain && !place->damaged &&
		    !place->incomplete && place->inode == inode)
			return i;
	}
	return NO_INDEX;
}

static bool is_maildir(const struct local_place *place)
{
	return !place->plain && !place->damaged && !place->incomplete;
}

static struct folder_plan *add_plan(struct planner *p)
{
	struct folder_plan *plan = &p->plans[p->n++];

	*plan = (struct folder_plan){
		.verb = FOLDER_IGNORE,
		.base = NO_INDEX,
		.mailbox = NO_INDEX,
		.place = NO_INDEX,
		.name = "",
		.wire = "",
		.path = "",
	};
	return plan;
}

/* ---- which mailbox and which directory a record means ---- */

static bool ids_agree(const char *a, const char *b)
{
	return a[0] == '\0' || b[0] == '\0' || strcmp(a, b) == 0;
}

static size_t same_mailbox(const struct planner *p, const struct folder_record *base)
{
	size_t at = find_wire(p, base->wire);

	return at != NO_INDEX && ids_agree(p->input->mailboxes[at].mailbox_id, base->mailbox_id)
		       ? at
		       : NO_INDEX;
}

static size_t renamed_mailbox(const struct planner *p, const struct folder_record *base)
{
	return name_is_inbox(base->name) ? NO_INDEX : find_mailbox_id(p, base->mailbox_id);
}

/* Made anew under the old name, or the old one under another spelling on the wire (UTF8=ACCEPT, another
 * delimiter). Whether the UIDs still mean something, UIDVALIDITY tells. */
static size_t mailbox_by_name(const struct planner *p, const struct folder_record *base)
{
	size_t at = find_wire(p, base->wire);

	for (size_t i = 0; at == NO_INDEX && i < p->input->n_mailboxes; i++) {
		if (!p->input->mailboxes[i].noselect &&
		    strcmp(p->input->mailboxes[i].name, base->name) == 0)
			at = i;
	}
	return at;
}

typedef size_t find_mailbox_fn(const struct planner *p, const struct folder_record *base);

static void claim_mailboxes(struct planner *p, find_mailbox_fn *find)
{
	for (size_t i = 0; i < p->input->n_base; i++) {
		struct folder_plan *plan = &p->plans[i];
		size_t at;

		if (plan->mailbox != NO_INDEX)
			continue;
		at = find(p, &p->input->base[i]);
		if (at != NO_INDEX && !p->mailbox_claimed[at]) {
			plan->mailbox = at;
			p->mailbox_claimed[at] = true;
		}
	}
}

static void claim_recorded(struct planner *p)
{
	const struct folders_input *in = p->input;

	for (size_t i = 0; i < in->n_base; i++) {
		struct folder_plan *plan = add_plan(p);

		plan->base = i;
		plan->name = in->base[i].name;
		plan->wire = in->base[i].wire;
		plan->path = in->base[i].path;
		plan->place = find_path(p, in->base[i].path);
		if (plan->place != NO_INDEX)
			p->place_claimed[plan->place] = true;
	}
	claim_mailboxes(p, same_mailbox);
	claim_mailboxes(p, renamed_mailbox);
	claim_mailboxes(p, mailbox_by_name);
}

/* ---- renames that can be proved ---- */

static bool path_is_free(const struct planner *p, const char *path)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->plans[i].path, path) == 0 && p->plans[i].verb != FOLDER_FORGET)
			return false;
	}
	return find_path(p, path) == NO_INDEX;
}

/* A name that is another mailbox's already is no new name: two folders, and the messages move. */
static bool is_mailbox(const struct planner *p, const char *path)
{
	char *name = layout_name(p->input->layout, path);
	char *wire = name != NULL ? name_to_wire(p->input->ns, name) : NULL;
	bool is = wire != NULL && find_wire(p, wire) != NO_INDEX;

	free(name);
	free(wire);
	return is;
}

/* Removed and made again by others, or numbered anew: not what was removed or renamed here. */
static bool is_another(const struct planner *p, const struct folder_plan *plan)
{
	const struct folder_record *base = &p->input->base[plan->base];
	const struct remote_mailbox *mailbox = &p->input->mailboxes[plan->mailbox];

	return !ids_agree(mailbox->mailbox_id, base->mailbox_id) ||
	       (mailbox->uidvalidity != 0 && base->uidvalidity != 0 &&
		mailbox->uidvalidity != base->uidvalidity);
}

static void find_rename_here(struct planner *p, struct folder_plan *plan)
{
	const struct folder_record *base = &p->input->base[plan->base];
	size_t at;

	if (plan->place != NO_INDEX || plan->mailbox == NO_INDEX || name_is_inbox(base->name) ||
	    !p->input->server_writable || /* a mirror: the server's name comes back */
	    is_another(p, plan))
		return;
	at = find_inode(p, base->stamps[STAMP_DIR].inode);
	if (at == NO_INDEX || is_mailbox(p, p->input->places[at].path))
		return;
	plan->place = at;
	p->place_claimed[at] = true;
	plan->verb = FOLDER_RENAME_REMOTE;
}

/* The server's rename wins over one here. */
static void find_rename_there(struct planner *p, struct folder_plan *plan)
{
	const struct folder_record *base = &p->input->base[plan->base];
	const struct remote_mailbox *mailbox;
	const char *path;

	if (plan->mailbox == NO_INDEX)
		return;
	mailbox = &p->input->mailboxes[plan->mailbox];
	if (strcmp(mailbox->wire, base->wire) == 0)
		return;
	if (strcmp(mailbox->name, base->name) == 0) { /* only spelt differently */
		plan->wire = mailbox->wire;
		return;
	}
	if (plan->place == NO_INDEX)
		return;
	path = keep(p, layout_path(p->input->layout, mailbox->name));
	if (path_is_free(p, path)) {
		plan->verb = FOLDER_RENAME_LOCAL;
		plan->name = mailbox->name;
		plan->wire = mailbox->wire;
		plan->path = path;
	} else {
		p->barred[plan->base] = true;
	}
}

static struct folder_plan *owner_of(struct planner *p, const char *path)
{
	for (size_t i = 0; i < p->input->n_base; i++) {
		if (p->plans[i].place != NO_INDEX &&
		    strcmp(p->input->places[p->plans[i].place].path, path) == 0)
			return &p->plans[i];
	}
	return NULL;
}

/* The directory in the way belongs to a folder that is about to leave it. */
static bool way_gets_free(struct planner *p, const struct folder_plan *plan)
{
	char *path = layout_path(p->input->layout, p->input->mailboxes[plan->mailbox].name);
	const struct folder_plan *owner = owner_of(p, path);

	free(path);
	return owner != NULL && (owner->verb == FOLDER_RENAME_LOCAL ||
				 owner->verb == FOLDER_RENAME_REMOTE || owner->verb == FOLDER_BAD);
}

static void refuse(struct folder_plan *plan, const char *reason)
{
	plan->verb = FOLDER_BAD;
	plan->reason = reason;
}

/* What waits in a row waits with the first; the rest are two folders each, and their messages move. */
static void settle_barred(struct planner *p)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < p->input->n_base; i++) {
			if (!p->barred[i] || !way_gets_free(p, &p->plans[i]))
				continue;
			refuse(&p->plans[i], "renamed on the server to a name whose directory "
					     "another folder is leaving; the next run follows");
			p->barred[i] = false;
			again = true;
		}
	}
	for (size_t i = 0; i < p->input->n_base; i++) {
		struct folder_plan *plan = &p->plans[i];

		if (!p->barred[i])
			continue;
		p->mailbox_claimed[plan->mailbox] = false;
		plan->mailbox = NO_INDEX;
		if (plan->verb == FOLDER_RENAME_REMOTE) {
			p->place_claimed[plan->place] = false;
			plan->place = NO_INDEX;
		}
		plan->verb = FOLDER_IGNORE;
	}
	claim_mailboxes(p, mailbox_by_name);
}

static void find_renames(struct planner *p)
{
	for (size_t i = 0; i < p->input->n_base; i++) {
		find_rename_here(p, &p->plans[i]);
		find_rename_there(p, &p->plans[i]);
	}
	settle_barred(p);
}

static void plan_rename_remote(struct planner *p, struct folder_plan *plan)
{
	const char *path = p->input->places[plan->place].path;
	char *name = layout_name(p->input->layout, path);
	char *wire = name != NULL ? name_to_wire(p->input->ns, name) : NULL;

	if (wire == NULL) {
		refuse(plan, "its new name on disk cannot be a mailbox's name");
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

/* A run that was making it anew was killed before it was complete. */
static bool is_half_made(const struct planner *p, const struct folder_plan *plan)
{
	return plan->mailbox != NO_INDEX && plan->place != NO_INDEX &&
	       p->input->places[plan->place].incomplete && p->input->base[plan->base].remaking;
}

static void plan_recorded(struct planner *p, struct folder_plan *plan)
{
	const struct folders_input *in = p->input;
	bool inbox = name_is_inbox(plan->name);
	bool remote = plan->mailbox != NO_INDEX, local = plan->place != NO_INDEX;

	if (is_half_made(p, plan))
		plan->verb = FOLDER_CREATE_LOCAL;
	else if (local && !is_maildir(&in->places[plan->place]))
		refuse(plan,
		       "its directory is damaged: cur or new is missing, or something else is "
		       "in its place; put it back, or remove the directory to remove the folder");
	else if (plan->verb == FOLDER_RENAME_LOCAL || plan->verb == FOLDER_BAD)
		return;
	else if (plan->verb == FOLDER_RENAME_REMOTE)
		plan_rename_remote(p, plan);
	else if (remote && local)
		plan->verb = FOLDER_SYNC;
	else if (remote)
		plan->verb = in->server_writable && may_delete(in, plan) && !inbox &&
					     !is_another(p, plan)
				     ? FOLDER_DELETE_REMOTE
				     : FOLDER_CREATE_LOCAL;
	else if (!local)
		plan->verb = FOLDER_FORGET;
	else if (in->keep_local)
		plan->reason = "the server dropped it; kept here";
	else if (may_delete(in, plan) && !inbox)
		plan->verb = FOLDER_DELETE_LOCAL;
	else if (in->server_writable)
		plan->verb = FOLDER_CREATE_REMOTE;
	else
		plan->reason = "the server dropped it";
}

/* The directory of a new mailbox: by our mapping, or under the wire name as mbsync and OfflineIMAP
 * write it. */
static size_t find_directory(struct planner *p, const struct remote_mailbox *mailbox,
			     const char *path)
{
	size_t at = find_path(p, path);
	char *other;

	if (at != NO_INDEX)
		return at;
	other = utf7_encode(mailbox->name);
	if (other != NULL && strcmp(other, mailbox->name) != 0) {
		char *other_path = layout_path(p->input->layout, other);

		at = find_path(p, other_path);
		free(other_path);
	}
	free(other);
	return at;
}

static void plan_new_mailbox(struct planner *p, size_t i)
{
	const struct remote_mailbox *mailbox = &p->input->mailboxes[i];
	struct folder_plan *plan = add_plan(p);
	const char *path = keep(p, layout_path(p->input->layout, mailbox->name));
	size_t at = find_directory(p, mailbox, path);

	plan->mailbox = i;
	plan->name = mailbox->name;
	plan->wire = mailbox->wire;
	if (at == NO_INDEX && !path_is_free(p, path)) {
		refuse(plan, "it would share the directory of another folder");
	} else if (at == NO_INDEX) {
		plan->verb = FOLDER_CREATE_LOCAL;
		plan->path = path;
	} else if (p->place_claimed[at]) {
		const struct folder_plan *owner = owner_of(p, p->input->places[at].path);

		refuse(plan, owner != NULL && owner->verb == FOLDER_RENAME_LOCAL
				     ? "its directory is that of a folder which is being renamed; "
				       "the next run follows"
				     : "it would share the directory of another folder");
	} else {
		plan->place = at;
		plan->path = p->input->places[at].path;
		p->place_claimed[at] = true;
		plan->verb = is_maildir(&p->input->places[at]) ? FOLDER_SYNC : FOLDER_CREATE_LOCAL;
		if (p->input->places[at].damaged)
			refuse(plan,
			       "its directory is damaged: cur or new is missing, or something "
			       "else is in its place");
	}
}

static bool name_is_planned(const struct planner *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->plans[i].name, name) == 0 && p->plans[i].verb != FOLDER_FORGET)
			return true;
	}
	return false;
}

static void name_new_place(struct planner *p, struct folder_plan *plan, bool name_taken, char *name,
			   char *wire)
{
	const struct local_place *place = &p->input->places[plan->place];

	if (name_taken) {
		refuse(plan, "another folder already has this name");
	} else if (wire == NULL) {
		refuse(plan, "the directory's name cannot be a mailbox's name on this server");
	} else {
		plan->name = arena_strdup(p->arena, name);
		plan->wire = arena_strdup(p->arena, wire);
		if (!is_maildir(place))
			refuse(plan,
			       "the directory is damaged: cur or new is missing, or something "
			       "else is in its place");
		else if (p->input->server_writable)
			plan->verb = FOLDER_CREATE_REMOTE;
		else
			plan->reason = "the server does not have it";
	}
}

static void plan_new_place(struct planner *p, size_t i)
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
	plan = add_plan(p);
	plan->place = i;
	plan->path = place->path;
	plan->name = place->path;
	name_new_place(p, plan, taken, name, wire);
	free(name);
	free(wire);
}

static void choose(struct planner *p, struct folder_plan *plan)
{
	enum special_use special = plan->mailbox != NO_INDEX
					   ? p->input->mailboxes[plan->mailbox].special
					   : SPECIAL_NONE;

	plan->chosen = patterns_match(p->input->patterns, p->input->n_patterns, plan->name,
				      is_virtual(special));
	if (plan->chosen)
		return;
	plan->verb = FOLDER_IGNORE;
	plan->reason = is_virtual(special) ? "a virtual folder, to be named without wildcards"
					   : "not chosen by the option folders";
}

static int compare_plans(const void *a, const void *b)
{
	const struct folder_plan *x = a, *y = b;

	return strcmp(x->name, y->name);
}

struct folder_plan *folders_plan(const struct folders_input *input, struct arena *arena, size_t *n)
{
	struct planner p = {.input = input, .arena = arena};

	p.plans = arena_alloc(arena, (input->n_base + input->n_mailboxes + input->n_places + 1) *
					     sizeof(*p.plans));
	p.mailbox_claimed = xcalloc(input->n_mailboxes, sizeof(bool));
	p.place_claimed = xcalloc(input->n_places, sizeof(bool));
	p.barred = xcalloc(input->n_base, sizeof(bool));
	claim_recorded(&p);
	find_renames(&p);
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
