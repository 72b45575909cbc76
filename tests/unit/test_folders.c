/* What is to be done about folders. A row is a base, a server and a disk, and the plan they come to. */
#include "core/folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "check.h"

#define MOST 16

/* A world is a list of words; the wire name and the path are the name:
 *
 *   b:A/x#5   a record, with MAILBOXID x and directory inode 5; -m being made anew, -b out of a backup
 *   r:A/x     a mailbox; -n \Noselect, -v virtual; =7 its UIDVALIDITY (a record's likewise)
 *   l:A#5     a directory; -p plain, -d damaged, -i incomplete
 *
 * Levels are separated by '.', which is what '/' stands for in the names here. Options: n
 * delete-folders = no, m mirror, a archive, r re-pairing. A plan is the name, the rule and the verb,
 * for renames with the old place behind it. */
struct fixture {
	struct arena *arena;
	struct folder_record base[MOST];
	struct remote_mailbox mailboxes[MOST];
	struct local_place places[MOST];
	struct namespace ns;
	struct folders_input input;
};

static const char *with_levels(struct arena *arena, const char *word, size_t len)
{
	char *name = arena_strndup(arena, word, len);

	for (char *p = name; *p != '\0'; p++) {
		if (*p == '.')
			*p = '/';
	}
	return name;
}

static bool has_option(const char *word, const char *option)
{
	return strstr(word, option) != NULL;
}

static void add_word(struct fixture *f, const char *word)
{
	const char *name = with_levels(f->arena, word + 2, strcspn(word + 2, "/#=-"));
	const char *slash = strchr(word, '/'), *hash = strchr(word, '#');
	const char *id = slash != NULL ? arena_strndup(f->arena, slash + 1, 1) : "";
	uint64_t inode = hash != NULL ? strtoul(hash + 1, NULL, 10) : 0;
	const char *equals = strchr(word, '=');
	uint32_t uidvalidity = equals != NULL ? (uint32_t)strtoul(equals + 1, NULL, 10) : 0;

	if (word[0] == 'b') {
		struct folder_record *record = &f->base[f->input.n_base++];

		*record = (struct folder_record){
			.id = (uint32_t)f->input.n_base,
			.name = name,
			.wire = name,
			.path = name,
			.mailbox_id = id,
			.uidvalidity = uidvalidity,
			.remaking = has_option(word, "-m"),
			.restoring = has_option(word, "-b"),
		};
		record->stamps[STAMP_DIR].inode = inode;
	} else if (word[0] == 'r') {
		f->mailboxes[f->input.n_mailboxes++] = (struct remote_mailbox){
			.name = name,
			.wire = name,
			.mailbox_id = id,
			.uidvalidity = uidvalidity,
			.delimiter = '/',
			.noselect = has_option(word, "-n"),
			.special = has_option(word, "-v") ? SPECIAL_ALL : SPECIAL_NONE,
		};
	} else {
		f->places[f->input.n_places++] = (struct local_place){
			.path = name,
			.plain = has_option(word, "-p"),
			.damaged = has_option(word, "-d"),
			.incomplete = has_option(word, "-i"),
			.inode = inode,
		};
	}
}

static void fixture_init(struct fixture *f, const char *text, const char *options)
{
	char words[256], *save, *word;

	memset(f, 0, sizeof(*f));
	f->arena = arena_new();
	f->ns = (struct namespace){.prefix = "", .delimiter = '/'};
	f->input = (struct folders_input){
		.base = f->base,
		.mailboxes = f->mailboxes,
		.places = f->places,
		.ns = &f->ns,
		.layout = LAYOUT_NESTED,
		.delete_folders = strchr(options, 'n') == NULL,
		.server_writable = strpbrk(options, "ma") == NULL,
		.keep_local = strchr(options, 'a') != NULL,
		.may_delete = strchr(options, 'r') == NULL,
	};
	copy_text(words, sizeof(words), text);
	for (word = strtok_r(words, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
		add_word(f, word);
}

static bool rule_seen[FOLDER_RULE_COUNT];

static struct folder_plan *plan(struct fixture *f, size_t *n)
{
	struct folder_plan *plans = folders_plan(&f->input, f->arena, n);

	for (size_t i = 0; i < *n; i++)
		rule_seen[plans[i].rule] = true;
	return plans;
}

static const char *verb_text(enum folder_verb verb)
{
	static const char *const names[] = {
		[FOLDER_SYNC] = "sync",
		[FOLDER_CREATE_LOCAL] = "create-local",
		[FOLDER_CREATE_REMOTE] = "create-remote",
		[FOLDER_DELETE_LOCAL] = "delete-local",
		[FOLDER_DELETE_REMOTE] = "delete-remote",
		[FOLDER_RENAME_LOCAL] = "rename-local",
		[FOLDER_RENAME_REMOTE] = "rename-remote",
		[FOLDER_FORGET] = "forget",
		[FOLDER_IGNORE] = "ignore",
		[FOLDER_BAD] = "bad",
	};

	return names[verb];
}

static void put_plan(const struct fixture *f, const struct folder_plan *plan, struct text *out)
{
	text_printf(out, "%s%s F%d %s", out->len != 0 ? ", " : "", plan->name, plan->rule,
		    verb_text(plan->verb));
	if (plan->verb == FOLDER_RENAME_LOCAL)
		text_printf(out, " %s", f->places[plan->place].path);
	if (plan->verb == FOLDER_RENAME_REMOTE)
		text_printf(out, " %s", f->mailboxes[plan->mailbox].wire);
}

/* What holds whatever the plan: indexes that fit the verb, nothing used twice, reasons given. */
static bool is_sound(const struct fixture *f, const struct folder_plan *plans, size_t n)
{
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		const struct folder_plan *p = &plans[i];
		bool inbox = name_is_inbox(p->name);

		good &= p->mailbox == NO_INDEX || p->mailbox < f->input.n_mailboxes;
		good &= p->place == NO_INDEX || p->place < f->input.n_places;
		good &= p->verb != FOLDER_BAD || p->reason != NULL;
		good &= (p->verb != FOLDER_SYNC && p->verb != FOLDER_RENAME_LOCAL &&
			 p->verb != FOLDER_RENAME_REMOTE) ||
			(p->mailbox != NO_INDEX && p->place != NO_INDEX);
		good &= p->verb != FOLDER_DELETE_LOCAL ||
			(p->base != NO_INDEX && p->mailbox == NO_INDEX && !inbox);
		good &= p->verb != FOLDER_DELETE_REMOTE ||
			(p->base != NO_INDEX && p->place == NO_INDEX && !inbox);
		good &= p->verb != FOLDER_CREATE_LOCAL ||
			(p->mailbox != NO_INDEX && p->path[0] != '\0');
		good &= p->verb != FOLDER_CREATE_REMOTE ||
			(p->mailbox == NO_INDEX && p->wire[0] != '\0');
		for (size_t j = 0; j < i; j++) {
			good &= p->mailbox == NO_INDEX || p->mailbox != plans[j].mailbox;
			good &= p->place == NO_INDEX || p->place != plans[j].place;
			good &= strcmp(plans[j].name, p->name) <= 0;
		}
	}
	return good;
}

struct row {
	const char *options, *world, *plan;
};

static void check_row(const struct row *row, const char *const *patterns, size_t n_patterns)
{
	struct text got = {0};
	struct folder_plan *plans;
	struct fixture f;
	size_t n;

	fixture_init(&f, row->world, row->options);
	f.input.patterns = patterns;
	f.input.n_patterns = n_patterns;
	plans = plan(&f, &n);
	for (size_t i = 0; i < n; i++)
		put_plan(&f, &plans[i], &got);
	if (strcmp(text_get(&got), row->plan) != 0) {
		printf("\n  [%s] %s\n    expected %s\n    got      %s", row->options, row->world,
		       row->plan, text_get(&got));
		CU_FAIL("a row does not hold");
	}
	CU_ASSERT(is_sound(&f, plans, n));
	text_release(&got);
	arena_free(&f.arena);
}

static void check_rows(const struct row *rows, size_t n)
{
	static const char *const all[] = {"*"};

	for (size_t i = 0; i < n; i++)
		check_row(&rows[i], all, 1);
}

/* F1 to F8 */
static void test_presence(void)
{
	static const struct row rows[] = {
		{"", "", ""},
		{"", "b:A r:A l:A", "A F1 sync"},
		{"", "r:A l:A", "A F2 sync"},
		{"", "r:A", "A F3 create-local"},
		{"", "l:A", "A F4 create-remote"},
		{"", "b:A r:A", "A F5 delete-remote"},
		{"", "b:A l:A", "A F6 delete-local"},
		{"", "b:A", "A F7 forget"},
		{"", "b:B r:B l:B b:A r:A l:A", "A F1 sync, B F1 sync"},
		{"", "r:A.B l:A-p", "A/B F3 create-local"},
		{"", "r:A r:A.B l:A-p l:A.B", "A F3 create-local, A/B F2 sync"},
		{"", "l:A-p", ""},
		/* INBOX is never removed */
		{"", "b:INBOX r:INBOX", "INBOX F8 create-local"},
		{"", "b:INBOX l:INBOX", "INBOX F8 create-remote"},
		{"", "b:INBOX.x r:INBOX.x", "INBOX/x F5 delete-remote"},
		/* only a place for others on the server */
		{"", "r:A-n", ""},
		{"", "b:A r:A-n l:A", "A F6 delete-local"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* F9 */
static void test_modes(void)
{
	static const struct row rows[] = {
		{"n", "b:A r:A", "A F9 create-local"},
		{"n", "b:A l:A", "A F9 create-remote"},
		{"n", "b:A", "A F7 forget"},
		{"r", "b:A r:A", "A F9 create-local"},
		{"r", "b:A l:A", "A F9 create-remote"},
		{"m", "b:A r:A", "A F9 create-local"},
		{"m", "b:A l:A", "A F6 delete-local"},
		{"mn", "b:A l:A", "A F9 ignore"},
		{"mr", "b:A l:A", "A F9 ignore"},
		{"m", "l:A", "A F23 ignore"},
		{"m", "r:A", "A F3 create-local"},
		{"m", "b:INBOX l:INBOX", "INBOX F9 ignore"},
		{"a", "b:A r:A", "A F9 create-local"},
		{"a", "b:A l:A", "A F9 ignore"},
		{"a", "l:A", "A F23 ignore"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* F8, F9 in a later run than the one that began it: not completed, so nothing of it is removed, and a
 * directory that was half made is made. */
static void test_begun_again(void)
{
	static const struct row rows[] = {
		{"", "b:A-m r:A l:A", "A F1 sync"},
		{"", "b:A-m r:A l:A-i", "A F9 create-local"},
		{"", "b:INBOX-m r:INBOX l:INBOX-i", "INBOX F8 create-local"},
		{"", "b:A-m r:A", "A F9 create-local"},
		{"", "b:A-m l:A", "A F9 create-remote"},
		{"", "b:A-m r:A l:A-d", "A F13 bad"},
		{"", "b:A-m l:A-i", "A F13 bad"},
		{"", "b:A-b r:A", "A F9 create-local"},
		{"", "b:A-b l:A", "A F9 create-remote"},
		{"", "b:A-b r:A l:A-i", "A F13 bad"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* F16: what was removed or renamed here is not there any more; another has its name. */
static void test_another_mailbox(void)
{
	static const struct row rows[] = {
		{"", "b:A=5 r:A=5", "A F5 delete-remote"},
		{"", "b:A=5 r:A=6", "A F16 create-local"},
		{"", "b:A=5 r:A", "A F5 delete-remote"}, /* not told: looked at before the end */
		{"", "b:A r:A=5", "A F5 delete-remote"},
		{"", "b:A=5/x r:A=5/y", "A F16 create-local"},
		{"", "b:A=5#7 r:A=5 l:B#7", "B F11 rename-remote A"},
		{"", "b:A=5#7 r:A=6 l:B#7", "A F16 create-local, B F4 create-remote"},
		{"", "b:A=5 r:A=6 l:A", "A F1 sync"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* F10, F11 */
static void test_renames(void)
{
	static const struct row rows[] = {
		/* on the server: MAILBOXID */
		{"", "b:A/x r:B/x l:A", "B F10 rename-local A"},
		{"", "b:A/x r:B/y l:A", "A F6 delete-local, B F3 create-local"},
		{"", "b:A r:B l:A", "A F6 delete-local, B F3 create-local"}, /* no ids, no proof */
		{"", "b:A/x r:A/y l:A", "A F1 sync"}, /* made anew: UIDVALIDITY tells the rest */
		{"", "b:A/x r:A l:A", "A F1 sync"},
		{"", "b:A/x r:B/x", "A F5 delete-remote"}, /* gone here: the directory decides */
		{"m", "b:A/x r:B/x l:A", "B F10 rename-local A"},
		{"", "b:A/x b:A.c/z r:B/x r:B.c/z l:A l:A.c",
		 "B F10 rename-local A, B/c F10 rename-local A/c"},
		{"", "b:A/x r:A/y r:B/x l:A", "A F12 bad, B F10 rename-local A"}, /* A: next run */
		/* here: the directory's inode */
		{"", "b:A#5 r:A l:B#5", "B F11 rename-remote A"},
		{"", "b:A#5 r:A l:B#6", "A F5 delete-remote, B F4 create-remote"},
		{"", "b:A r:A l:B", "A F5 delete-remote, B F4 create-remote"}, /* 0 is no inode */
		{"", "b:A#5 r:A l:B#5-d", "A F5 delete-remote, B F13 bad"},
		{"", "b:A#5 r:A l:B#5-p", "A F5 delete-remote"},
		{"", "b:A#5 l:B#5",
		 "A F7 forget, B F4 create-remote"}, /* renamed here, gone there */
		{"", "b:A#5 r:A l:A l:B#5", "A F1 sync, B F4 create-remote"},
		{"m", "b:A#5 r:A l:B#5", "A F9 create-local, B F23 ignore"},
		{"", "b:A#5 b:A.c#6 r:A r:A.c l:B#5 l:B.c#6",
		 "B F11 rename-remote A, B/c F11 rename-remote A/c"},
		/* INBOX is never renamed */
		{"", "b:INBOX#5 r:INBOX l:B#5", "B F4 create-remote, INBOX F8 create-local"},
		{"", "b:INBOX/x r:INBOX/y r:B/x l:INBOX", "B F3 create-local, INBOX F1 sync"},
		/* both ways: the server's name */
		{"", "b:A/x#5 r:B/x l:C#5", "B F10 rename-local C"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* F12: the name is in use. Then there are two folders, and the messages move. */
static void test_barred_renames(void)
{
	static const struct row rows[] = {
		/* by a directory that nobody has: it becomes the new name's */
		{"", "b:A/x r:B/x l:A l:B", "A F12 delete-local, B F2 sync"},
		/* by a mailbox of that name: likewise on the server */
		{"", "b:A#5 r:A r:B l:B#5", "A F5 delete-remote, B F2 sync"},
		{"", "b:A#5 b:B r:A r:B l:B#5", "A F5 delete-remote, B F1 sync"},
		/* both ways, to a name in use here */
		{"", "b:A/x#5 r:B/x l:C#5 l:B", "A F12 forget, B F2 sync, C F4 create-remote"},
		/* A was renamed to B, whose owner was removed: B's record keeps the name */
		{"", "b:A/x b:B/y r:B/x l:A l:B", "A F12 delete-local, B F1 sync"},
		/* exchanged: each keeps its name, UIDs void */
		{"", "b:A/x b:B/y r:A/y r:B/x l:A l:B", "A F12 sync, B F12 sync"},
		/* a row: the first goes, the next follow in later runs */
		{"", "b:A/x b:B/y r:B/x r:C/y l:A l:B", "A F12 bad, C F10 rename-local B"},
		{"", "b:B/y b:A/x r:B/x r:C/y l:A l:B", "A F12 bad, C F10 rename-local B"},
		{"", "b:A/x b:B/y b:C/z r:B/x r:C/y r:D/z l:A l:B l:C",
		 "A F12 bad, B F12 bad, D F10 rename-local C"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* F13 */
static void test_damage(void)
{
	static const struct row rows[] = {
		{"", "b:A r:A l:A-d", "A F13 bad"},
		{"", "b:A l:A-d", "A F13 bad"}, /* damage is never a deletion, of either side */
		{"", "b:A r:A l:A-p", "A F13 bad"},
		{"", "r:A l:A-d", "A F13 bad"},
		{"", "l:A-d", "A F13 bad"},
		{"", "b:INBOX r:INBOX l:INBOX-d", "INBOX F13 bad"},
		{"m", "b:A r:A l:A-d", "A F13 bad"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* F14, F19 */
static void test_chosen(void)
{
	static const char *const but_spam[] = {"*", "!Spam*"};
	static const struct row rows[] = {
		{"", "b:Spam r:Spam", "Spam F14 ignore"}, /* not a deletion */
		{"", "b:Spam l:Spam", "Spam F14 ignore"},
		{"", "b:Spam", "Spam F14 ignore"},
		{"", "r:Spam", "Spam F14 ignore"},
		{"", "l:Spam", "Spam F14 ignore"},
		{"", "b:Spam r:Spam l:Spam-d", "Spam F14 ignore"},
		{"", "b:A/x r:Spam/x l:A", "Spam F14 ignore"}, /* renamed out of sight */
		{"", "b:A r:A l:A r:Spam", "A F1 sync, Spam F14 ignore"},
		{"", "r:All-v", "All F19 ignore"},
	};
	static const char *const named[] = {"All"};
	static const struct row all = {"", "r:All-v", "All F3 create-local"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i], but_spam, ARRAY_SIZE(but_spam));
	check_row(&all, named, ARRAY_SIZE(named));
}

static struct folder_plan *plan_of(struct fixture *f, size_t *n)
{
	static const char *const all[] = {"*"};

	f->input.patterns = all;
	f->input.n_patterns = 1;
	return plan(f, n);
}

/* F15: one directory, one folder. */
static void test_shared_directory(void)
{
	struct folder_plan *plans;
	struct fixture f;
	size_t n;

	/* two spellings of one name on the wire */
	fixture_init(&f, "r:A r:A", "");
	f.mailboxes[1].wire = "a-second-spelling";
	plans = plan_of(&f, &n);
	CU_ASSERT_EQUAL_FATAL(n, 2);
	CU_ASSERT_EQUAL((plans[0].verb == FOLDER_BAD) + (plans[1].verb == FOLDER_BAD), 1);
	arena_free(&f.arena);
	fixture_init(&f, "r:A r:A l:A", "");
	f.mailboxes[1].wire = "a-second-spelling";
	plans = plan_of(&f, &n);
	CU_ASSERT_EQUAL_FATAL(n, 2);
	CU_ASSERT_EQUAL((plans[0].verb == FOLDER_BAD) + (plans[1].verb == FOLDER_BAD), 1);
	arena_free(&f.arena);
	/* a new mailbox whose directory a record has */
	fixture_init(&f, "b:A r:A r:B l:X", "");
	f.base[0].path = "X";
	f.mailboxes[1].name = "X";
	plans = plan_of(&f, &n);
	CU_ASSERT_EQUAL_FATAL(n, 2);
	CU_ASSERT_EQUAL(plans[0].verb, FOLDER_SYNC);
	CU_ASSERT_EQUAL(plans[1].verb, FOLDER_BAD);
	CU_ASSERT_EQUAL(plans[1].rule, 15);
	arena_free(&f.arena);
}

/* The same folder under another spelling on the wire (UTF8=ACCEPT, another delimiter) stays itself. */
static void test_other_spelling(void)
{
	struct folder_plan *plans;
	struct fixture f;
	size_t n;

	fixture_init(&f, "b:Ablage r:Ablage l:Ablage", "");
	f.base[0].wire = "an-older-spelling";
	plans = plan_of(&f, &n);
	CU_ASSERT_EQUAL_FATAL(n, 1);
	CU_ASSERT_EQUAL(plans[0].verb, FOLDER_SYNC);
	CU_ASSERT_STRING_EQUAL(plans[0].wire, "Ablage");
	arena_free(&f.arena);
}

/* Directories of other programs' Maildirs have the name as on the wire. */
static void test_encoded_directory(void)
{
	struct folder_plan *plans;
	struct fixture f;
	size_t n;

	fixture_init(&f, "r:X l:X", "");
	f.mailboxes[0].name = "Entw\xc3\xbcrfe";
	f.mailboxes[0].wire = "Entw&APw-rfe";
	f.places[0].path = "Entw&APw-rfe";
	plans = plan_of(&f, &n);
	CU_ASSERT_EQUAL_FATAL(n, 1);
	CU_ASSERT_EQUAL(plans[0].verb, FOLDER_SYNC);
	CU_ASSERT_STRING_EQUAL(plans[0].path, "Entw&APw-rfe");
	CU_ASSERT_STRING_EQUAL(plans[0].name, "Entw\xc3\xbcrfe");
	arena_free(&f.arena);
}

/* F18: what cannot be a mailbox's name on this server. */
static void test_impossible_names(void)
{
	struct folder_plan *plans;
	struct fixture f;
	size_t n;

	fixture_init(&f, "l:a/b", "");
	f.places[0].path = "a/b";
	f.ns.delimiter = '\0';
	plans = plan_of(&f, &n);
	CU_ASSERT_EQUAL_FATAL(n, 1);
	CU_ASSERT_EQUAL(plans[0].verb, FOLDER_BAD);
	CU_ASSERT_EQUAL(plans[0].rule, 18);
	arena_free(&f.arena);
	fixture_init(&f, "b:A#5 r:A l:X#5", "");
	f.places[0].path = "a/b";
	f.ns.delimiter = '\0';
	plans = plan_of(&f, &n);
	CU_ASSERT_EQUAL_FATAL(n, 1);
	CU_ASSERT_EQUAL(plans[0].verb, FOLDER_BAD); /* not a deletion of A */
	CU_ASSERT_EQUAL(plans[0].rule, 18);
	arena_free(&f.arena);
}

/* F17 and F21 are about mailboxes that have no plan; F20 and F22 are given later in a run. */
static void test_coverage(void)
{
	CU_ASSERT(!rule_seen[0]);
	for (int rule = 1; rule <= 23; rule++)
		CU_ASSERT(rule_seen[rule] || rule == 17 || (rule >= 20 && rule <= 22));
}

int main(void)
{
	static const struct test_case cases[] = {
		{"F1-F8 here and there", test_presence},
		{"F9, F23 modes", test_modes},
		{"F8, F9 begun in an earlier run", test_begun_again},
		{"F16 another mailbox of that name", test_another_mailbox},
		{"F10, F11 renames", test_renames},
		{"F12 names in use", test_barred_renames},
		{"F13 damage", test_damage},
		{"F14, F19 what is chosen", test_chosen},
		{"F15 one directory, one folder", test_shared_directory},
		{"another spelling", test_other_spelling},
		{"directories of other programs", test_encoded_directory},
		{"F18 impossible names", test_impossible_names},
		{"a row for every rule", test_coverage},
	};

	return run_tests("folders", cases, ARRAY_SIZE(cases));
}
