/* The rules about one message: a row for every rule, by number, and the laws on every world there is
 * with one system flag, \Deleted and one keyword. docs/sync-rules.md has the same numbers. */
#include "core/decide.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"

static struct keyword_pool *pool;

static const char *name_of(char letter)
{
	return letter == 'S' ? "\\Seen" : letter == 'T' ? "\\Deleted" : "work";
}

/* S \Seen, T \Deleted, k a keyword */
static struct flags flags_of(const char *letters)
{
	struct flags flags = {0};

	for (; *letters != '\0'; letters++)
		flags_add_imap(pool, &flags, name_of(*letters), strlen(name_of(*letters)));
	return flags;
}

static const char *letters_of(struct flags flags)
{
	static char ring[8][8];
	static unsigned turn;
	char *out = ring[turn++ % 8];

	snprintf(out, 8, "%s%s%s", (flags.system & FLAG_SEEN) != 0 ? "S" : "",
		 (flags.system & FLAG_DELETED) != 0 ? "T" : "",
		 flags.keywords != KEYWORDS_NONE ? "k" : "");
	return out;
}

/* ---- one row a rule ---- */

/* A side: '?' unknown, '-' absent, '=' here, '>' moved, '!' replaced; then its flags. */
static enum presence presence_of(char c)
{
	switch (c) {
	case '-': return PRESENCE_ABSENT;
	case '=': return PRESENCE_HERE;
	case '>': return PRESENCE_MOVED;
	case '!': return PRESENCE_REPLACED;
	default: return PRESENCE_UNKNOWN;
	}
}

/* The base: a letter for the state (see below; '-': no record), the flags local last had, '/', the flags
 * remote last had. */
static void read_base(struct triple *triple, const char *base)
{
	static const struct {
		char letter;
		enum record_state state;
	} states[] = {{'p', RECORD_PAIRED},     {'s', RECORD_SKIPPED},     {'u', RECORD_UNFETCHED},
		      {'l', RECORD_HELD_LOCAL}, {'r', RECORD_HELD_REMOTE}, {'K', RECORD_KEPT}};
	char local[8] = "";
	const char *slash = strchr(base, '/');

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (base[0] == states[i].letter) {
			triple->recorded = true;
			triple->state = states[i].state;
		}
	}
	if (slash == NULL)
		return;
	memcpy(local, base + 1, (size_t)(slash - base - 1));
	triple->base_local = flags_of(local);
	triple->base_remote = flags_of(slash + 1);
}

static struct triple triple_of(const char *base, const char *local, const char *remote)
{
	struct triple triple = {
		.local = presence_of(local[0]),
		.remote = presence_of(remote[0]),
		.now_local = flags_of(local + 1),
		.now_remote = flags_of(remote + 1),
	};

	read_base(&triple, base);
	return triple;
}

/* The policy: 2 two-way, m mirror, a archive, o read-only; r re-pairing, e expunge, n no flag is storable */
static struct policy policy_of(const char *letters)
{
	struct policy policy = {.storable = FLAGS_ALL, .storable_keywords = true};

	for (; *letters != '\0'; letters++) {
		switch (*letters) {
		case 'm': policy.stance = STANCE_MIRROR; break;
		case 'a': policy.stance = STANCE_ARCHIVE; break;
		case 'o': policy.stance = STANCE_READ_ONLY; break;
		case 'r': policy.repair = true; break;
		case 'b': policy.repair = policy.restored = true; break;
		case 'e': policy.expunge = true; break;
		case 'n':
			policy.storable = 0;
			policy.storable_keywords = false;
			break;
		default: break;
		}
	}
	return policy;
}

struct row {
	int rule;
	const char *policy, *base, *local, *remote;
	enum verb verb;
	const char *flags; /* changes here | on the server: "+Sk-T|-S" */
};

static const struct row rows[] = {
	/* nothing follows from what is not known */
	{0, "2", "p/", "?", "=", VERB_NOTHING, "|"},
	{0, "2", "p/", "?", "-", VERB_NOTHING, "|"},
	{0, "2", "p/", "?", ">", VERB_NOTHING, "|"},
	{0, "2", "p/", "=", "?", VERB_NOTHING, "|"},
	{0, "2", "p/", "-", "?", VERB_NOTHING, "|"},
	{0, "2", "p/", "!", "?", VERB_NOTHING, "|"},
	{0, "2", "-", "=", "?", VERB_NOTHING, "|"},
	{0, "2", "-", "?", "=", VERB_NOTHING, "|"},
	{0, "2", "-", "-", "-", VERB_NOTHING, "|"},
	{0, "2", "s/", "-", "?", VERB_NOTHING, "|"},
	{0, "2", "K/", "?", "-", VERB_NOTHING, "|"},
	/* without a record */
	{1, "2", "-", "=S", "-", VERB_UPLOAD, "|"},
	{1, "2r", "-", "=S", "-", VERB_UPLOAD, "|"},
	{2, "2", "-", "-", "=S", VERB_DOWNLOAD, "|"},
	{2, "m", "-", "-", "=S", VERB_DOWNLOAD, "|"},
	{3, "2", "-", "=S", "=k", VERB_PAIR, "+k|+S"},
	{3, "2", "-", "=ST", "=S", VERB_PAIR, "-T|"},
	{3, "2", "-", "=S", "=ST", VERB_PAIR, "|-T"},
	{3, "m", "-", "=S", "=k", VERB_PAIR, "+k|"},
	{3, "2n", "-", "=S", "=k", VERB_PAIR, "+k|"},
	{4, "m", "-", "=S", "-", VERB_REPORT, "|"},
	{4, "a", "-", "=S", "-", VERB_REPORT, "|"},
	{4, "o", "-", "=S", "-", VERB_REPORT, "|"},
	/* the server has it where it was */
	{10, "2", "p/", "=", "=", VERB_FLAGS, "|"},
	{10, "2", "p/", "=S", "=", VERB_FLAGS, "|+S"},
	{10, "2", "p/", "=", "=S", VERB_FLAGS, "+S|"},
	{10, "2", "pS/S", "=", "=S", VERB_FLAGS, "|-S"},
	{10, "2", "pS/S", "=S", "=", VERB_FLAGS, "-S|"},
	{10, "2", "pS/S", "=", "=Sk", VERB_FLAGS, "+k|-S"},
	{10, "2", "p/S", "=S", "=", VERB_FLAGS, "|+S"},
	{10, "2", "p/T", "=T", "=", VERB_FLAGS, "-T|"},
	{10, "2", "pk/", "=k", "=", VERB_FLAGS, "|"}, /* the server cannot store it: no flapping */
	{10, "2n", "p/", "=S", "=", VERB_FLAGS, "|"},
	{10, "m", "p/", "=S", "=", VERB_FLAGS, "-S|"},
	{10, "m", "pS/S", "=", "=Sk", VERB_FLAGS, "+Sk|"},
	{10, "o", "p/", "=S", "=k", VERB_FLAGS, "+k|"},
	{10, "2r", "pS/S", "=", "=S", VERB_FLAGS, "+S|"},
	{10, "2", "pT/T", "=T", "=T", VERB_FLAGS, "|"},
	{10, "2", "l/", "=", "=", VERB_FLAGS, "|"},
	{11, "2e", "pT/T", "=T", "=T", VERB_EXPUNGE, "|"},
	{10, "2e", "p/T", "=T", "=T", VERB_FLAGS, "|"},
	{10, "2e", "pT/T", "=", "=T", VERB_FLAGS, "|-T"},
	{10, "2er", "pT/T", "=T", "=T", VERB_FLAGS, "|"},
	{10, "me", "pT/T", "=T", "=T", VERB_FLAGS, "|"},
	{10, "oe", "pT/T", "=T", "=T", VERB_FLAGS, "|"},
	{12, "2", "p/", "-", "=", VERB_DELETE_REMOTE, "|"},
	{12, "2", "p/", "-", "=S", VERB_DELETE_REMOTE, "|"},
	{12, "2", "l/", "-", "=", VERB_DELETE_REMOTE, "|"},
	{13, "m", "p/", "-", "=", VERB_DOWNLOAD, "|"},
	{13, "a", "p/", "-", "=", VERB_DOWNLOAD, "|"},
	{14, "2r", "p/", "-", "=", VERB_DOWNLOAD, "|"},
	{14, "or", "p/", "-", "=", VERB_DOWNLOAD, "|"},
	{15, "2", "pT/T", "-", "=", VERB_DOWNLOAD, "|"},
	{16, "o", "p/", "-", "=", VERB_REPORT, "|"},
	{16, "o", "p/", ">", "=", VERB_REPORT, "|"},
	{16, "o", "p/", "!", "=", VERB_REPORT, "|"},
	{17, "2", "p/", ">S", "=k", VERB_MOVE_REMOTE, "+k|+S"},
	{18, "m", "p/", ">S", "=k", VERB_MOVE_BACK, "+k-S|"},
	{18, "a", "p/", ">", "=", VERB_MOVE_BACK, "|"},
	{18, "b", "p/", ">", "=", VERB_MOVE_BACK, "|"},
	{19, "2", "p/", "!", "=", VERB_REPLACE, "|"},
	{20, "m", "p/", "!", "=", VERB_DOWNLOAD, "|"},
	{20, "a", "p/", "!", "=", VERB_DOWNLOAD, "|"},
	{21, "2r", "p/", "!", "=", VERB_DOWNLOAD, "|"},
	/* the server has lost it */
	{30, "2", "p/", "=", "-", VERB_DELETE_LOCAL, "|"},
	{30, "2", "p/", "=S", "-", VERB_DELETE_LOCAL, "|"},
	{30, "2", "r/", "=", "-", VERB_DELETE_LOCAL, "|"},
	{30, "m", "p/", "=", "-", VERB_DELETE_LOCAL, "|"},
	{30, "m", "pT/T", "=", "-", VERB_DELETE_LOCAL, "|"},
	{30, "o", "p/", "=", "-", VERB_DELETE_LOCAL, "|"},
	{31, "2", "pT/T", "=", "-", VERB_UPLOAD, "|"},
	{32, "a", "p/", "=", "-", VERB_KEEP, "|"},
	{32, "ar", "p/", "=", "-", VERB_KEEP, "|"},
	{32, "a", "r/", "=", "-", VERB_KEEP, "|"},
	{33, "2r", "p/", "=", "-", VERB_UPLOAD, "|"},
	{34, "2", "p/", "-", "-", VERB_FORGET, "|"},
	{34, "ar", "p/", "-", "-", VERB_FORGET, "|"},
	{34, "2", "l/", "-", "-", VERB_FORGET, "|"},
	{35, "2", "p/", ">", "-", VERB_UPLOAD, "|"},
	{36, "m", "p/", ">", "-", VERB_FORGET, "|"},
	{37, "2", "p/", "!", "-", VERB_UPLOAD, "|"},
	{38, "m", "p/", "!", "-", VERB_FORGET, "|"},
	{39, "mr", "p/", "=", "-", VERB_FORGET, "|"},
	{39, "or", "p/", "=", "-", VERB_FORGET, "|"},
	/* the server has it elsewhere */
	{40, "2", "p/", "=S", ">k", VERB_MOVE_LOCAL, "+k|+S"},
	{40, "m", "p/", "=S", ">", VERB_MOVE_LOCAL, "-S|"},
	{41, "2", "p/", "-", ">", VERB_DOWNLOAD, "|"},
	{42, "2", "p/", ">", ">", VERB_MOVE_LOCAL, "|"},
	{43, "2", "p/", "!", ">", VERB_SPLIT, "|"},
	{44, "m", "p/", "!", ">", VERB_DOWNLOAD, "|"},
	/* only on the server; only here */
	{50, "2", "s/", "-", "-", VERB_FORGET, "|"},
	{50, "2", "u/", "-", "-", VERB_FORGET, "|"},
	{52, "2", "u/", "-", "=", VERB_DOWNLOAD, "|"},
	{52, "2r", "s/", "-", "=", VERB_DOWNLOAD, "|"},
	{53, "2", "K/", "=S", "-", VERB_NOTHING, "|"},
	{53, "ar", "K/", "=", "-", VERB_NOTHING, "|"},
	{54, "2", "K/", "-", "-", VERB_FORGET, "|"},
};

/* One side of a row's flags, from "+" or "-" on. */
static const char *describe_side(struct flags add, struct flags remove)
{
	static char ring[2][32];
	static unsigned turn;
	char *out = ring[turn++ % ARRAY_SIZE(ring)];

	snprintf(out, sizeof(ring[0]), "%s%s%s%s", flags_empty(add) ? "" : "+", letters_of(add),
		 flags_empty(remove) ? "" : "-", letters_of(remove));
	return out;
}

static void describe(const struct flag_change *change, char out[64])
{
	snprintf(out, 64, "%s|%s", describe_side(change->local_add, change->local_remove),
		 describe_side(change->remote_add, change->remote_remove));
}

static void test_rules(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct triple triple = triple_of(rows[i].base, rows[i].local, rows[i].remote);
		struct policy policy = policy_of(rows[i].policy);
		struct decision got = decide(&triple, &policy, pool);
		char flags[64];

		describe(&got.flags, flags);
		if (got.rule == rows[i].rule && got.verb == rows[i].verb &&
		    strcmp(flags, rows[i].flags) == 0)
			continue;
		printf("\n  rule %d, %s, base %s, local %s, remote %s: rule %d, %s, %s",
		       rows[i].rule, rows[i].policy, rows[i].base, rows[i].local, rows[i].remote,
		       got.rule, verb_name(got.verb), flags);
		CU_FAIL("a row does not hold");
	}
}

/* ---- every world ---- */

#define WAYS 8 /* of having \Seen, \Deleted and the keyword */

static struct flags flags_by_number(unsigned n)
{
	static const char *const letters[WAYS] = {"", "S", "T", "ST", "k", "Sk", "Tk", "STk"};

	return flags_of(letters[n]);
}

struct world {
	struct triple triple;
	struct policy policy;
};

typedef bool law_fn(const struct world *world);

static bool rule_seen[RULE_COUNT];

static void show(const struct world *world, const char *law)
{
	const struct triple *t = &world->triple;
	struct decision d = decide(t, &world->policy, pool);

	printf("\n  %s: stance %d%s%s, base %s %d %s/%s, local %d %s, remote %d %s: rule %d %s",
	       law, world->policy.stance, world->policy.repair ? " repair" : "",
	       world->policy.expunge ? " expunge" : "", t->recorded ? "state" : "none", t->state,
	       letters_of(t->base_local), letters_of(t->base_remote), t->local,
	       letters_of(t->now_local), t->remote, letters_of(t->now_remote), d.rule,
	       verb_name(d.verb));
}

struct walk {
	law_fn *law;
	const char *name;
	size_t worlds, failures;
};

static void visit(struct walk *walk, const struct world *world)
{
	walk->worlds++;
	rule_seen[decide(&world->triple, &world->policy, pool).rule] = true;
	if (walk->law(world))
		return;
	if (walk->failures++ < 5)
		show(world, walk->name);
}

static bool has_flags(enum presence presence)
{
	return presence != PRESENCE_UNKNOWN && presence != PRESENCE_ABSENT;
}

static void walk_flags(struct walk *walk, struct world *world)
{
	unsigned bases = world->triple.recorded ? WAYS * WAYS : 1;
	unsigned locals = has_flags(world->triple.local) ? WAYS : 1;
	unsigned remotes = has_flags(world->triple.remote) ? WAYS : 1;

	for (unsigned b = 0; b < bases; b++) {
		world->triple.base_local = flags_by_number(b / WAYS);
		world->triple.base_remote = flags_by_number(b % WAYS);
		for (unsigned l = 0; l < locals; l++) {
			world->triple.now_local = flags_by_number(l);
			for (unsigned r = 0; r < remotes; r++) {
				world->triple.now_remote = flags_by_number(r);
				visit(walk, world);
			}
		}
	}
}

/* What the snapshots can show: server messages are never replaced, only recorded ones move or are, and
 * what is only on the server is not looked for. */
static bool is_possible(const struct triple *t)
{
	if (t->remote == PRESENCE_REPLACED)
		return false;
	if (!t->recorded)
		return t->local != PRESENCE_MOVED && t->local != PRESENCE_REPLACED &&
		       t->remote != PRESENCE_MOVED;
	if ((t->state == RECORD_HELD_REMOTE || t->state == RECORD_KEPT) &&
	    t->remote != PRESENCE_ABSENT)
		return false;
	return (t->state != RECORD_SKIPPED && t->state != RECORD_UNFETCHED) ||
	       (t->local == PRESENCE_ABSENT && t->remote != PRESENCE_MOVED);
}

static void walk_presences(struct walk *walk, struct world *world)
{
	for (int l = PRESENCE_UNKNOWN; l <= PRESENCE_REPLACED; l++) {
		for (int r = PRESENCE_UNKNOWN; r <= PRESENCE_REPLACED; r++) {
			world->triple.local = (enum presence)l;
			world->triple.remote = (enum presence)r;
			if (is_possible(&world->triple))
				walk_flags(walk, world);
		}
	}
}

static void walk_states(struct walk *walk, struct world *world)
{
	world->triple.recorded = false;
	world->triple.base_local = world->triple.base_remote = (struct flags){0};
	walk_presences(walk, world);
	world->triple.recorded = true;
	for (int state = RECORD_PAIRED; state <= RECORD_KEPT; state++) {
		world->triple.state = (enum record_state)state;
		walk_presences(walk, world);
	}
}

#define POLICIES (4 * 2 * 2 * 2)

static struct policy policy_by_number(unsigned n)
{
	return (struct policy){
		.stance = (enum stance)(n % 4),
		.repair = (n & 4) != 0,
		.expunge = (n & 8) != 0,
		.restored = (n & 20) == 20,
		.storable = FLAGS_ALL,
		.storable_keywords = true,
	};
}

static void holds_everywhere(const char *name, law_fn *law)
{
	struct walk walk = {.law = law, .name = name};

	for (unsigned n = 0; n < POLICIES; n++) {
		struct world world = {.policy = policy_by_number(n)};

		walk_states(&walk, &world);
	}
	CU_ASSERT_EQUAL(walk.failures, 0);
	CU_ASSERT(walk.worlds > 100000);
}

/* ---- what the executors make of a decision ---- */

static struct flags changed(struct flags flags, struct flags add, struct flags remove)
{
	return flags_minus(pool, flags_union(pool, flags, add), remove);
}

static void pair_up(struct triple *t, const struct flag_change *change)
{
	t->now_local = changed(t->now_local, change->local_add, change->local_remove);
	t->now_remote = changed(t->now_remote, change->remote_add, change->remote_remove);
	t->base_local = t->now_local;
	t->base_remote = t->now_remote;
	t->recorded = true;
	t->state = RECORD_PAIRED;
	t->local = t->remote = PRESENCE_HERE;
}

static void forget(struct triple *t)
{
	t->recorded = false;
	t->state = RECORD_PAIRED;
	t->base_local = t->base_remote = (struct flags){0};
	if (t->local != PRESENCE_ABSENT) /* moved or edited: a file of its own */
		t->local = PRESENCE_HERE;
}

static void apply(struct triple *t, const struct decision *d)
{
	static const struct flag_change none;

	switch (d->verb) {
	case VERB_NOTHING:
	case VERB_REPORT: return;
	case VERB_PAIR:
	case VERB_FLAGS:
	case VERB_MOVE_LOCAL:
	case VERB_MOVE_REMOTE:
	case VERB_MOVE_BACK: pair_up(t, &d->flags); return;
	case VERB_SPLIT: /* the moved one; the edited one is another message */
	case VERB_DOWNLOAD: t->now_local = t->now_remote; break;
	case VERB_UPLOAD:
	case VERB_REPLACE: t->now_remote = t->now_local; break;
	case VERB_DELETE_LOCAL:
	case VERB_DELETE_REMOTE:
	case VERB_EXPUNGE:
		t->local = t->remote = PRESENCE_ABSENT;
		forget(t);
		return;
	case VERB_KEEP: t->state = RECORD_KEPT; return;
	case VERB_FORGET: forget(t); return;
	}
	pair_up(t, &none);
}

static bool does_nothing(const struct decision *d)
{
	return d->verb == VERB_NOTHING || d->verb == VERB_REPORT ||
	       (d->verb == VERB_FLAGS && flag_change_empty(&d->flags));
}

/* ---- the laws ---- */

/* A second run does nothing; with expunge, the removal of what the first marked on both sides. A kept
 * file that was moved or edited by hand is a new message, which may then be sent. */
static bool law_idempotence(const struct world *world)
{
	struct triple t = world->triple;
	struct decision first = decide(&t, &world->policy, pool), next;

	if (first.rule == 54 && t.local != PRESENCE_ABSENT)
		return true;
	apply(&t, &first);
	next = decide(&t, &world->policy, pool);
	if (next.verb == VERB_EXPUNGE && first.verb != VERB_EXPUNGE && world->policy.expunge) {
		apply(&t, &next);
		next = decide(&t, &world->policy, pool);
	}
	return does_nothing(&next);
}

static bool is_undecided(const struct triple *t)
{
	return t->local == PRESENCE_UNKNOWN || t->remote == PRESENCE_UNKNOWN;
}

/* Afterwards both sides hold the same, but for the flags in which the base says they differ. */
static bool law_convergence(const struct world *world)
{
	const struct triple *before = &world->triple;
	struct triple t = *before;
	struct decision d = decide(&t, &world->policy, pool);
	struct flags differ, but;

	if (world->policy.stance != STANCE_TWO_WAY || is_undecided(&t) ||
	    (t.recorded && t.state == RECORD_KEPT))
		return true;
	apply(&t, &d);
	if (t.local != t.remote)
		return false;
	if (t.local == PRESENCE_ABSENT)
		return !t.recorded;
	differ = flags_union(pool, flags_minus(pool, t.now_local, t.now_remote),
			     flags_minus(pool, t.now_remote, t.now_local));
	but = flags_union(pool, flags_minus(pool, before->base_local, before->base_remote),
			  flags_minus(pool, before->base_remote, before->base_local));
	return flags_empty(flags_minus(pool, differ, but));
}

static bool destroys_here(enum verb verb)
{
	return verb == VERB_DELETE_LOCAL || verb == VERB_EXPUNGE;
}

static bool destroys_there(enum verb verb)
{
	return verb == VERB_DELETE_REMOTE || verb == VERB_EXPUNGE || verb == VERB_REPLACE;
}

/* Destroyed on one side: both had it, the other side is proved to lack it (or both marked it, or it was
 * edited and the new version is sent first), and this is no re-pairing. */
static bool law_deletion_is_proved(const struct world *world)
{
	const struct triple *t = &world->triple;
	struct decision d = decide(t, &world->policy, pool);

	if (!destroys_here(d.verb) && !destroys_there(d.verb))
		return true;
	if (!t->recorded || world->policy.repair || is_undecided(t))
		return false;
	if (t->state != RECORD_PAIRED && t->state != RECORD_ARRIVING &&
	    t->state != RECORD_HELD_LOCAL && t->state != RECORD_HELD_REMOTE)
		return false;
	switch (d.verb) {
	case VERB_DELETE_LOCAL: return t->local == PRESENCE_HERE && t->remote == PRESENCE_ABSENT;
	case VERB_DELETE_REMOTE: return t->local == PRESENCE_ABSENT && t->remote == PRESENCE_HERE;
	case VERB_REPLACE: return t->local == PRESENCE_REPLACED;
	default: break;
	}
	return world->policy.expunge &&
	       (t->base_local.system & t->base_remote.system & t->now_local.system &
		t->now_remote.system & FLAG_DELETED) != 0;
}

static bool law_unknown_is_left_alone(const struct world *world)
{
	struct decision d = decide(&world->triple, &world->policy, pool);

	return !is_undecided(&world->triple) || d.verb == VERB_NOTHING;
}

static bool writes_server(enum verb verb)
{
	return destroys_there(verb) || verb == VERB_UPLOAD || verb == VERB_MOVE_REMOTE ||
	       verb == VERB_SPLIT;
}

static bool law_only_two_way_writes_the_server(const struct world *world)
{
	struct decision d = decide(&world->triple, &world->policy, pool);

	return world->policy.stance == STANCE_TWO_WAY ||
	       (!writes_server(d.verb) && flags_empty(d.flags.remote_add) &&
		flags_empty(d.flags.remote_remove));
}

/* Nothing the server ever had is destroyed here in an archive. */
static bool law_archive_keeps(const struct world *world)
{
	return world->policy.stance != STANCE_ARCHIVE ||
	       !destroys_here(decide(&world->triple, &world->policy, pool).verb);
}

/* In a mirror the local side ends with the server's flags, but for those in which the bases differ. */
static bool law_mirror_undoes(const struct world *world)
{
	struct triple t = world->triple;
	struct decision d = decide(&t, &world->policy, pool);

	if ((world->policy.stance != STANCE_MIRROR && world->policy.stance != STANCE_ARCHIVE) ||
	    (d.verb != VERB_FLAGS && d.verb != VERB_MOVE_LOCAL && d.verb != VERB_MOVE_BACK) ||
	    !flags_equal(t.base_local, t.base_remote))
		return true;
	apply(&t, &d);
	return flags_equal(t.now_local, world->triple.now_remote) &&
	       flags_equal(t.now_remote, world->triple.now_remote);
}

/* No flag that neither side had, none taken that neither side took. */
static bool law_flags_come_from_somewhere(const struct world *world)
{
	const struct triple *t = &world->triple;
	struct decision d = decide(t, &world->policy, pool);
	struct flags any = flags_union(pool, flags_union(pool, t->now_local, t->now_remote),
				       world->policy.stance == STANCE_TWO_WAY ? (struct flags){0}
									      : t->base_local);
	struct flags add = flags_union(pool, d.flags.local_add, d.flags.remote_add);

	return flags_empty(flags_minus(pool, add, any)) &&
	       flags_empty(flags_intersection(pool, d.flags.local_add, d.flags.local_remove)) &&
	       flags_empty(flags_intersection(pool, d.flags.remote_add, d.flags.remote_remove)) &&
	       flags_empty(flags_intersection(pool, d.flags.local_add, t->now_local)) &&
	       flags_empty(flags_minus(pool, d.flags.local_remove, t->now_local)) &&
	       flags_empty(flags_intersection(pool, d.flags.remote_add, t->now_remote)) &&
	       flags_empty(flags_minus(pool, d.flags.remote_remove, t->now_remote));
}

static struct triple mirrored(const struct triple *t)
{
	struct triple m = *t;

	m.local = t->remote;
	m.remote = t->local;
	m.base_local = t->base_remote;
	m.base_remote = t->base_local;
	m.now_local = t->now_remote;
	m.now_remote = t->now_local;
	if (t->state == RECORD_HELD_LOCAL)
		m.state = RECORD_HELD_REMOTE;
	else if (t->state == RECORD_HELD_REMOTE)
		m.state = RECORD_HELD_LOCAL;
	return m;
}

static bool is_mirrored_change(const struct flag_change *a, const struct flag_change *b)
{
	return flags_equal(a->local_add, b->remote_add) &&
	       flags_equal(a->local_remove, b->remote_remove) &&
	       flags_equal(a->remote_add, b->local_add) &&
	       flags_equal(a->remote_remove, b->local_remove);
}

static enum verb mirrored_verb(enum verb verb)
{
	switch (verb) {
	case VERB_DELETE_LOCAL: return VERB_DELETE_REMOTE;
	case VERB_DELETE_REMOTE: return VERB_DELETE_LOCAL;
	case VERB_UPLOAD: return VERB_DOWNLOAD;
	case VERB_DOWNLOAD: return VERB_UPLOAD;
	default: return verb;
	}
}

/* Two-way: swapping the sides swaps the result, while a message is here, absent or unknown. (Moved both
 * ways has a winner, and only a file can be edited.) */
static bool law_symmetry(const struct world *world)
{
	const struct triple *t = &world->triple;
	struct triple m = mirrored(t);
	struct decision a, b;

	if (world->policy.stance != STANCE_TWO_WAY || t->local > PRESENCE_ABSENT ||
	    t->remote > PRESENCE_ABSENT)
		return true;
	if (t->recorded &&
	    (t->state == RECORD_SKIPPED || t->state == RECORD_UNFETCHED || t->state == RECORD_KEPT))
		return true;
	a = decide(t, &world->policy, pool);
	b = decide(&m, &world->policy, pool);
	return b.verb == mirrored_verb(a.verb) && is_mirrored_change(&a.flags, &b.flags);
}

#define LAW(name, law)                             \
	static void test_##law(void)               \
	{                                          \
		holds_everywhere(name, law_##law); \
	}
LAW("a second run does nothing", idempotence)
LAW("both sides end equal", convergence)
LAW("a deletion is proved", deletion_is_proved)
LAW("unknown is left alone", unknown_is_left_alone)
LAW("only two-way writes the server", only_two_way_writes_the_server)
LAW("an archive keeps", archive_keeps)
LAW("a mirror undoes", mirror_undoes)
LAW("flags come from somewhere", flags_come_from_somewhere)
LAW("swapping the sides swaps the result", symmetry)

/* Every rule that a world can lead to has a row, and the other way round. */
static void test_coverage(void)
{
	bool has_row[RULE_COUNT] = {false};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		has_row[rows[i].rule] = true;
	for (int i = 0; i < RULE_COUNT; i++) {
		if (has_row[i] == rule_seen[i])
			continue;
		printf("\n  rule %d: %s", i, has_row[i] ? "no world leads to it" : "no row");
		CU_FAIL("rules and rows differ");
	}
}

/* A server that stores neither \Deleted nor keywords is not asked to, and nothing flaps. */
static bool law_unstorable(const struct world *world)
{
	struct world limited = *world;
	struct decision d;

	limited.policy.storable = FLAG_SEEN;
	limited.policy.storable_keywords = false;
	d = decide(&limited.triple, &limited.policy, pool);
	return ((d.flags.remote_add.system | d.flags.remote_remove.system) & FLAG_DELETED) == 0 &&
	       d.flags.remote_add.keywords == KEYWORDS_NONE &&
	       d.flags.remote_remove.keywords == KEYWORDS_NONE &&
	       (limited.policy.repair || law_idempotence(&limited));
}
LAW("what cannot be stored is not sent", unstorable)

static void test_names(void)
{
	for (int verb = VERB_NOTHING; verb <= VERB_REPORT; verb++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(verb_name((enum verb)verb));
		for (int other = VERB_NOTHING; other < verb; other++)
			CU_ASSERT_STRING_NOT_EQUAL(verb_name((enum verb)verb),
						   verb_name((enum verb)other));
	}
}

int main(void)
{
	static const struct test_case cases[] = {
		{"a row for every rule", test_rules},
		{"law: a second run does nothing", test_idempotence},
		{"law: both sides end equal", test_convergence},
		{"law: a deletion is proved", test_deletion_is_proved},
		{"law: unknown is left alone", test_unknown_is_left_alone},
		{"law: only two-way writes the server", test_only_two_way_writes_the_server},
		{"law: an archive keeps", test_archive_keeps},
		{"law: a mirror undoes", test_mirror_undoes},
		{"law: flags come from somewhere", test_flags_come_from_somewhere},
		{"law: swapping the sides swaps the result", test_symmetry},
		{"law: what cannot be stored is not sent", test_unstorable},
		{"rules and rows are the same set", test_coverage},
		{"verbs have names", test_names},
	};
	int result;

	pool = keyword_pool_new();
	result = run_tests("decide", cases, ARRAY_SIZE(cases));
	keyword_pool_free(&pool);
	return result;
}
