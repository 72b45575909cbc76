/* The matrix of DESIGN section 5 and docs/sync-rules.md, one function a row of presence. Deletion
 * appears only where the base has a record, one side is proved absent, and this is no re-pairing:
 * that is rule 1 of DESIGN section 4, and the tests try it on every world. */
#include "core/decide.h"

#include "base/memory.h"

static struct decision rule(uint8_t number, enum verb verb)
{
	return (struct decision){.verb = verb, .rule = number};
}

/* ---- flags ---- */

static struct flags without_deleted(struct flags flags)
{
	flags.system &= ~(uint32_t)FLAG_DELETED & FLAGS_ALL;
	return flags;
}

static struct flags only_deleted(struct flags flags)
{
	return (struct flags){.system = flags.system & FLAG_DELETED};
}

struct flag_change flags_merge(const struct triple *t, struct keyword_pool *pool)
{
	struct flags added = flags_union(pool, flags_minus(pool, t->now_local, t->base_local),
					 flags_minus(pool, t->now_remote, t->base_remote));
	struct flags removed = flags_union(pool, flags_minus(pool, t->base_local, t->now_local),
					   flags_minus(pool, t->base_remote, t->now_remote));
	struct flags both = flags_intersection(pool, added, removed);

	/* Possible only where the two bases differ: set wins, for \Deleted cleared wins. */
	removed = flags_minus(pool, removed, without_deleted(both));
	added = flags_minus(pool, added, only_deleted(both));
	return (struct flag_change){
		.local_add = flags_minus(pool, added, t->now_local),
		.local_remove = flags_intersection(pool, removed, t->now_local),
		.remote_add = flags_minus(pool, added, t->now_remote),
		.remote_remove = flags_intersection(pool, removed, t->now_remote),
	};
}

struct flag_change flags_unite(struct flags local, struct flags remote, struct keyword_pool *pool)
{
	struct flags missing_local = flags_minus(pool, remote, local);
	struct flags missing_remote = flags_minus(pool, local, remote);

	return (struct flag_change){
		.local_add = without_deleted(missing_local),
		.local_remove = only_deleted(missing_remote),
		.remote_add = without_deleted(missing_remote),
		.remote_remove = only_deleted(missing_local),
	};
}

bool flag_change_empty(const struct flag_change *change)
{
	return flags_empty(change->local_add) && flags_empty(change->local_remove) &&
	       flags_empty(change->remote_add) && flags_empty(change->remote_remove);
}

static struct flags storable(struct flags flags, const struct policy *policy)
{
	flags.system &= policy->storable & FLAGS_ALL;
	if (!policy->storable_keywords)
		flags.keywords = KEYWORDS_NONE;
	return flags;
}

static bool is_mirror(const struct policy *policy)
{
	return policy->stance == STANCE_MIRROR || policy->stance == STANCE_ARCHIVE;
}

/* What of a change may be written to the server. */
static struct flag_change writable(struct flag_change change, const struct policy *policy)
{
	if (policy->stance != STANCE_TWO_WAY) {
		change.remote_add = (struct flags){0};
		change.remote_remove = (struct flags){0};
	}
	change.remote_add = storable(change.remote_add, policy);
	change.remote_remove = storable(change.remote_remove, policy);
	return change;
}

/* Flags of a message that stays on both sides. In a mirror the local change is undone. */
static struct flag_change flags_for(const struct triple *t, const struct policy *policy,
				    struct keyword_pool *pool)
{
	struct flag_change change;
	struct triple undone = *t;

	if (is_mirror(policy)) {
		undone.now_local = t->base_local;
		change = flags_merge(&undone, pool);
		change.local_add = flags_union(pool, change.local_add,
					       flags_minus(pool, t->base_local, t->now_local));
		change.local_add = flags_minus(pool, change.local_add, change.local_remove);
		change.local_remove = flags_union(
			pool, flags_intersection(pool, change.local_remove, t->now_local),
			flags_minus(pool, t->now_local, t->base_local));
		change.local_remove = flags_minus(pool, change.local_remove, change.local_add);
		change.local_add = flags_minus(pool, change.local_add, t->now_local);
	} else if (policy->repair) { /* the base may be older than what it is compared with */
		change = flags_unite(t->now_local, t->now_remote, pool);
	} else {
		change = flags_merge(t, pool);
	}
	return writable(change, policy);
}

static struct decision with_flags(struct decision decision, const struct triple *t,
				  const struct policy *policy, struct keyword_pool *pool)
{
	decision.flags = flags_for(t, policy, pool);
	return decision;
}

static bool deleted_cleared(struct flags base, struct flags now)
{
	return (base.system & FLAG_DELETED) != 0 && (now.system & FLAG_DELETED) == 0;
}

static bool deleted_everywhere(const struct triple *t)
{
	return (t->base_local.system & t->base_remote.system & t->now_local.system &
		t->now_remote.system & FLAG_DELETED) != 0;
}

/* ---- presence ---- */

static struct decision decide_new(const struct triple *t, const struct policy *policy,
				  struct keyword_pool *pool)
{
	struct decision decision;

	if (t->local == PRESENCE_HERE && t->remote == PRESENCE_HERE) {
		decision = rule(3, VERB_PAIR);
		decision.flags = writable(flags_unite(t->now_local, t->now_remote, pool), policy);
		return decision;
	}
	if (t->remote == PRESENCE_HERE && t->local == PRESENCE_ABSENT)
		return rule(2, VERB_DOWNLOAD);
	if (t->local == PRESENCE_HERE && t->remote == PRESENCE_ABSENT)
		return policy->stance == STANCE_TWO_WAY ? rule(1, VERB_UPLOAD)
							: rule(4, VERB_REPORT);
	return rule(0, VERB_NOTHING);
}

/* The server has it where it was. */
static struct decision decide_remote_here(const struct triple *t, const struct policy *policy,
					  struct keyword_pool *pool)
{
	switch (t->local) {
	case PRESENCE_HERE:
		if (policy->expunge && !policy->repair && policy->stance == STANCE_TWO_WAY &&
		    deleted_everywhere(t))
			return rule(11, VERB_EXPUNGE);
		return with_flags(rule(10, VERB_FLAGS), t, policy, pool);
	case PRESENCE_ABSENT:
		if (is_mirror(policy))
			return rule(13, VERB_DOWNLOAD);
		if (policy->repair)
			return rule(14, VERB_DOWNLOAD);
		if (deleted_cleared(t->base_remote, t->now_remote))
			return rule(15, VERB_DOWNLOAD);
		if (policy->stance == STANCE_READ_ONLY)
			return rule(16, VERB_REPORT);
		return rule(12, VERB_DELETE_REMOTE);
	case PRESENCE_MOVED:
		if (is_mirror(policy) || policy->restored)
			return with_flags(rule(18, VERB_MOVE_BACK), t, policy, pool);
		if (policy->stance == STANCE_READ_ONLY)
			return rule(16, VERB_REPORT);
		return with_flags(rule(17, VERB_MOVE_REMOTE), t, policy, pool);
	case PRESENCE_REPLACED:
		if (is_mirror(policy))
			return rule(20, VERB_DOWNLOAD);
		if (policy->stance == STANCE_READ_ONLY)
			return rule(16, VERB_REPORT);
		if (policy->repair) /* edited, or old and back from a backup: both are kept */
			return rule(21, VERB_DOWNLOAD);
		return rule(19, VERB_REPLACE);
	case PRESENCE_UNKNOWN: break;
	}
	return rule(0, VERB_NOTHING);
}

/* The server has lost it for good. */
static struct decision decide_remote_absent(const struct triple *t, const struct policy *policy)
{
	switch (t->local) {
	case PRESENCE_HERE:
		if (policy->stance == STANCE_ARCHIVE)
			return rule(32, VERB_KEEP);
		if (policy->repair)
			return policy->stance == STANCE_TWO_WAY ? rule(33, VERB_UPLOAD)
								: rule(39, VERB_FORGET);
		if (policy->stance == STANCE_TWO_WAY &&
		    deleted_cleared(t->base_local, t->now_local))
			return rule(31, VERB_UPLOAD);
		return rule(30, VERB_DELETE_LOCAL);
	case PRESENCE_ABSENT: return rule(34, VERB_FORGET);
	case PRESENCE_MOVED:
		return policy->stance == STANCE_TWO_WAY ? rule(35, VERB_UPLOAD)
							: rule(36, VERB_FORGET);
	case PRESENCE_REPLACED:
		return policy->stance == STANCE_TWO_WAY ? rule(37, VERB_UPLOAD)
							: rule(38, VERB_FORGET);
	case PRESENCE_UNKNOWN: break;
	}
	return rule(0, VERB_NOTHING);
}

/* The server has it in another folder, or under another UID. */
static struct decision decide_remote_moved(const struct triple *t, const struct policy *policy,
					   struct keyword_pool *pool)
{
	switch (t->local) {
	case PRESENCE_HERE: return with_flags(rule(40, VERB_MOVE_LOCAL), t, policy, pool);
	case PRESENCE_ABSENT: return rule(41, VERB_DOWNLOAD);
	case PRESENCE_MOVED: return with_flags(rule(42, VERB_MOVE_LOCAL), t, policy, pool);
	case PRESENCE_REPLACED:
		return policy->stance == STANCE_TWO_WAY ? rule(43, VERB_SPLIT)
							: rule(44, VERB_DOWNLOAD);
	case PRESENCE_UNKNOWN: break;
	}
	return rule(0, VERB_NOTHING);
}

/* Only on the server by policy or because it could not be had. The match does not look for it. */
static struct decision decide_remote_only(const struct triple *t)
{
	if (t->remote == PRESENCE_ABSENT)
		return rule(50, VERB_FORGET);
	return t->remote == PRESENCE_HERE ? rule(52, VERB_DOWNLOAD) : rule(0, VERB_NOTHING);
}

/* Gone on the server, and kept here whatever the mode is now. */
static struct decision decide_kept(const struct triple *t)
{
	if (t->local == PRESENCE_HERE)
		return rule(53, VERB_NOTHING);
	return t->local == PRESENCE_UNKNOWN ? rule(0, VERB_NOTHING) : rule(54, VERB_FORGET);
}

struct decision decide(const struct triple *t, const struct policy *policy,
		       struct keyword_pool *pool)
{
	if (!t->recorded)
		return decide_new(t, policy, pool);
	switch (t->state) {
	case RECORD_SKIPPED:
	case RECORD_UNFETCHED: return decide_remote_only(t);
	case RECORD_KEPT: return decide_kept(t);
	case RECORD_PAIRED:
	case RECORD_ARRIVING:
	case RECORD_HELD_LOCAL:
	case RECORD_HELD_REMOTE: break;
	}
	switch (t->remote) {
	case PRESENCE_HERE: return decide_remote_here(t, policy, pool);
	case PRESENCE_ABSENT: return decide_remote_absent(t, policy);
	case PRESENCE_MOVED: return decide_remote_moved(t, policy, pool);
	case PRESENCE_REPLACED: /* server messages never change */
	case PRESENCE_UNKNOWN: break;
	}
	return rule(0, VERB_NOTHING);
}

const char *verb_name(enum verb verb)
{
	static const char *const names[] = {
		[VERB_NOTHING] = "nothing",
		[VERB_PAIR] = "pair",
		[VERB_DOWNLOAD] = "download",
		[VERB_UPLOAD] = "upload",
		[VERB_REPLACE] = "replace",
		[VERB_MOVE_LOCAL] = "move-local",
		[VERB_MOVE_REMOTE] = "move-remote",
		[VERB_MOVE_BACK] = "move-back",
		[VERB_SPLIT] = "split",
		[VERB_FLAGS] = "flags",
		[VERB_DELETE_LOCAL] = "delete-local",
		[VERB_DELETE_REMOTE] = "delete-remote",
		[VERB_EXPUNGE] = "expunge",
		[VERB_KEEP] = "keep",
		[VERB_FORGET] = "forget",
		[VERB_REPORT] = "report",
	};

	return names[verb];
}
