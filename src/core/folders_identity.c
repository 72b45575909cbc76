/* Which mailbox and which directory a recorded folder means, and which of its renames can be proved: by
 * MAILBOXID on the server, by inode on disk (docs/sync-rules.md, F10 to F12). */
#include "core/folders_private.h"

#include <stdlib.h>
#include <string.h>

const char *folders_keep(struct folders_planner *p, char *text)
{
	const char *copy = arena_strdup(p->arena, text);

	free(text);
	return copy;
}

void folders_give(struct folder_plan *plan, int rule, enum folder_verb verb)
{
	plan->verb = verb;
	if (plan->rule != FOLDER_RULE_BARRED)
		plan->rule = rule;
}

void folders_refuse(struct folder_plan *plan, int rule, enum folder_verb verb, const char *reason)
{
	plan->verb = verb;
	plan->rule = rule;
	plan->reason = reason;
}

struct folder_plan *folders_add_plan(struct folders_planner *p)
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

static size_t find_wire(const struct folders_planner *p, const char *wire)
{
	for (size_t i = 0; i < p->input->n_mailboxes; i++) {
		if (!p->input->mailboxes[i].noselect &&
		    strcmp(p->input->mailboxes[i].wire, wire) == 0)
			return i;
	}
	return NO_INDEX;
}

static size_t find_mailbox_id(const struct folders_planner *p, const char *id)
{
	for (size_t i = 0; id[0] != '\0' && i < p->input->n_mailboxes; i++) {
		if (!p->input->mailboxes[i].noselect && !p->mailbox_claimed[i] &&
		    strcmp(p->input->mailboxes[i].mailbox_id, id) == 0)
			return i;
	}
	return NO_INDEX;
}

size_t folders_find_path(const struct folders_planner *p, const char *path)
{
	for (size_t i = 0; i < p->input->n_places; i++) {
		if (strcmp(p->input->places[i].path, path) == 0)
			return i;
	}
	return NO_INDEX;
}

static size_t find_inode(const struct folders_planner *p, uint64_t inode)
{
	for (size_t i = 0; inode != 0 && i < p->input->n_places; i++) {
		const struct local_place *place = &p->input->places[i];

		if (!p->place_claimed[i] && place_is_maildir(place) && place->inode == inode)
			return i;
	}
	return NO_INDEX;
}

/* ---- which mailbox and which directory a record means ---- */

static bool ids_agree(const char *a, const char *b)
{
	return a[0] == '\0' || b[0] == '\0' || strcmp(a, b) == 0;
}

static size_t same_mailbox(const struct folders_planner *p, const struct folder_record *base)
{
	size_t at = find_wire(p, base->wire);

	return at != NO_INDEX && ids_agree(p->input->mailboxes[at].mailbox_id, base->mailbox_id)
		       ? at
		       : NO_INDEX;
}

static size_t renamed_mailbox(const struct folders_planner *p, const struct folder_record *base)
{
	return name_is_inbox(base->name) ? NO_INDEX : find_mailbox_id(p, base->mailbox_id);
}

/* Made anew under the old name, or the old one under another spelling on the wire (UTF8=ACCEPT, another
 * delimiter). Whether the UIDs still mean something, UIDVALIDITY tells. */
static size_t mailbox_by_name(const struct folders_planner *p, const struct folder_record *base)
{
	size_t at = find_wire(p, base->wire);

	for (size_t i = 0; at == NO_INDEX && i < p->input->n_mailboxes; i++) {
		if (!p->input->mailboxes[i].noselect &&
		    strcmp(p->input->mailboxes[i].name, base->name) == 0)
			at = i;
	}
	return at;
}

typedef size_t find_mailbox_fn(const struct folders_planner *p, const struct folder_record *base);

static void claim_mailboxes(struct folders_planner *p, find_mailbox_fn *find)
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

void folders_claim_recorded(struct folders_planner *p)
{
	const struct folders_input *in = p->input;

	for (size_t i = 0; i < in->n_base; i++) {
		struct folder_plan *plan = folders_add_plan(p);

		plan->base = i;
		plan->name = in->base[i].name;
		plan->wire = in->base[i].wire;
		plan->path = in->base[i].path;
		plan->place = folders_find_path(p, in->base[i].path);
		if (plan->place != NO_INDEX)
			p->place_claimed[plan->place] = true;
	}
	claim_mailboxes(p, same_mailbox);
	claim_mailboxes(p, renamed_mailbox);
	claim_mailboxes(p, mailbox_by_name);
}

/* ---- renames that can be proved ---- */

bool folders_path_is_free(const struct folders_planner *p, const char *path)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->plans[i].path, path) == 0 && p->plans[i].verb != FOLDER_FORGET)
			return false;
	}
	return folders_find_path(p, path) == NO_INDEX;
}

/* A name that is another mailbox's already is no new name: two folders, and the messages move. */
static bool is_mailbox(const struct folders_planner *p, const char *path)
{
	char *name = layout_name(p->input->layout, path);
	char *wire = name != NULL ? name_to_wire(p->input->ns, name) : NULL;
	bool is = wire != NULL && find_wire(p, wire) != NO_INDEX;

	free(name);
	free(wire);
	return is;
}

/* Removed and made again by others, or numbered anew: not what was removed or renamed here. */
bool folders_is_another(const struct folders_planner *p, const struct folder_plan *plan)
{
	const struct folder_record *base = &p->input->base[plan->base];
	const struct remote_mailbox *mailbox = &p->input->mailboxes[plan->mailbox];

	return !ids_agree(mailbox->mailbox_id, base->mailbox_id) ||
	       (mailbox->uidvalidity != 0 && base->uidvalidity != 0 &&
		mailbox->uidvalidity != base->uidvalidity);
}

static void find_rename_here(struct folders_planner *p, struct folder_plan *plan)
{
	const struct folder_record *base = &p->input->base[plan->base];
	size_t at;

	if (plan->place != NO_INDEX || plan->mailbox == NO_INDEX || name_is_inbox(base->name) ||
	    !p->input->server_writable || /* a mirror: the server's name comes back */
	    folders_is_another(p, plan))
		return;
	at = find_inode(p, base->stamps[STAMP_DIR].inode);
	if (at == NO_INDEX || is_mailbox(p, p->input->places[at].path))
		return;
	plan->place = at;
	p->place_claimed[at] = true;
	folders_give(plan, 11, FOLDER_RENAME_REMOTE);
}

/* The server's rename wins over one here. */
static void find_rename_there(struct folders_planner *p, struct folder_plan *plan)
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
	path = folders_keep(p, layout_path(p->input->layout, mailbox->name));
	if (folders_path_is_free(p, path)) {
		folders_give(plan, 10, FOLDER_RENAME_LOCAL);
		plan->name = mailbox->name;
		plan->wire = mailbox->wire;
		plan->path = path;
	} else {
		p->barred[plan->base] = true;
	}
}

struct folder_plan *folders_owner_of(struct folders_planner *p, const char *path)
{
	for (size_t i = 0; i < p->input->n_base; i++) {
		if (p->plans[i].place != NO_INDEX &&
		    strcmp(p->input->places[p->plans[i].place].path, path) == 0)
			return &p->plans[i];
	}
	return NULL;
}

/* The directory in the way belongs to a folder that is about to leave it. */
static bool way_gets_free(struct folders_planner *p, const struct folder_plan *plan)
{
	char *path = layout_path(p->input->layout, p->input->mailboxes[plan->mailbox].name);
	const struct folder_plan *owner = folders_owner_of(p, path);

	free(path);
	return owner != NULL && (owner->verb == FOLDER_RENAME_LOCAL ||
				 owner->verb == FOLDER_RENAME_REMOTE || owner->verb == FOLDER_BAD);
}

/* What waits in a row waits with the first; the rest are two folders each, and their messages move. */
static void settle_barred(struct folders_planner *p)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < p->input->n_base; i++) {
			if (!p->barred[i] || !way_gets_free(p, &p->plans[i]))
				continue;
			folders_refuse(&p->plans[i], FOLDER_RULE_BARRED, FOLDER_BAD,
				       "renamed on the server to a name whose directory another "
				       "folder is leaving; the next run follows");
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
		plan->rule = FOLDER_RULE_BARRED;
	}
	claim_mailboxes(p, mailbox_by_name);
}

void folders_find_renames(struct folders_planner *p)
{
	for (size_t i = 0; i < p->input->n_base; i++) {
		find_rename_here(p, &p->plans[i]);
		find_rename_there(p, &p->plans[i]);
	}
	settle_barred(p);
}
