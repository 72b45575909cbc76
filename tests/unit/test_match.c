/* The match: what became of messages that are not where the base has them. A row is a small world and
 * what the match makes of it, both written down in a few characters (see below). */
#include "core/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "core/decide.h"
#include "check.h"

#define FOLDERS 3 /* A, B, C */

/* A world is a list of words:
 *
 *   A1m     a record in folder A with UID 1 and contents m; its file is "A1", its inode 101
 *   A1m/x   ... and the server-side id x
 *   A1m-l   ... gone here;  -r gone on the server;  -lr both;  -e its file has other contents
 *   B+f:m   a file in B without a record, named f, with contents m; #101 its inode; -u unreadable
 *   B*5:m   a message on the server in B with UID 5, without a record; /x its id;
 *           -s another size, -d another date, -h header not known, -b body not known,
 *           -w the server wrote it anew: only its Message-ID is left
 *
 * Contents m and M have the same header and Message-ID. What the match found is written likewise:
 *
 *   A1>B5   the server moved it;  A1@B+f  moved here;  A1'f  renamed in its folder;
 *   B5=B+f  new on both sides, and the same */
struct fixture {
	struct world world;
	struct snapshot snapshots[FOLDERS];
};

static struct hash hash_of(char kind, char c)
{
	struct hash hash = {{0}};

	hash.bytes[0] = (uint8_t)kind;
	hash.bytes[1] = (uint8_t)c;
	return hash;
}

static struct hash content_of(char c)
{
	return hash_of('c', c);
}

static struct hash header_of(char c)
{
	return hash_of('h', ascii_lower(c));
}

static struct record record_of(const char *base, uint32_t uid, uint64_t inode, char c, char id)
{
	struct record record = {
		.uid = uid,
		.state = RECORD_PAIRED,
		.base = base,
		.size = 100 + (uint32_t)ascii_lower(c),
		.date = 1000 + ascii_lower(c),
		.inode = inode,
		.content = content_of(c),
		.header = header_of(c),
	};

	if (id != '\0')
		record.id = hash_of('i', id);
	return record;
}

/* The value that follows a mark such as '/' or '#', 0 if there is none. */
static char mark_of(const char *word, char mark)
{
	const char *at = strchr(word, mark);

	return at != NULL ? at[1] : '\0';
}

static bool option_of(const char *word, char option)
{
	const char *at = strchr(word, '-');

	return at != NULL && strchr(at, option) != NULL;
}

static struct record records[FOLDERS][16]; /* by UID */

static void add_record(struct fixture *f, unsigned folder, const char *word)
{
	struct snapshot *snapshot = &f->snapshots[folder];
	unsigned uid = (unsigned)strtoul(word + 1, NULL, 10);
	const char *rest = word + 1 + strspn(word + 1, "0123456789");
	char *base = arena_strndup(snapshot->arena, word, (size_t)(rest - word));
	struct record *record = &records[folder][uid];
	struct message *message;

	*record = record_of(base, uid, 100 * (folder + 1) + uid, rest[0], mark_of(rest, '/'));
	snapshot_add_record(snapshot, record);
	message = snapshot_find(snapshot, uid);
	message->local_presence = option_of(rest, 'l') ? PRESENCE_ABSENT : PRESENCE_HERE;
	message->remote_presence = option_of(rest, 'r') ? PRESENCE_ABSENT : PRESENCE_HERE;
	if (option_of(rest, 'e')) {
		message->local_presence = PRESENCE_REPLACED;
		snapshot_add_file(snapshot, base, (struct flags){0}, 900);
		snapshot->files[snapshot->n_files - 1].replaces =
			(size_t)(message - snapshot->messages);
		snapshot->files[snapshot->n_files - 1].facts =
			arena_alloc(snapshot->arena, sizeof(struct local_facts));
		snapshot->files[snapshot->n_files - 1].facts->content = content_of('E');
	}
}

static void add_file(struct fixture *f, unsigned folder, const char *word)
{
	struct snapshot *snapshot = &f->snapshots[folder];
	const char *colon = strchr(word, ':');
	char *base = arena_strndup(snapshot->arena, word + 2, (size_t)(colon - word - 2));
	const char *inode = strchr(colon, '#');
	struct local_message *file;
	char c = ascii_lower(colon[1]);

	snapshot_add_file(snapshot, base, (struct flags){0},
			  inode != NULL ? strtoul(inode + 1, NULL, 10) : 500 + snapshot->n_files);
	file = &snapshot->files[snapshot->n_files - 1];
	file->unreadable = option_of(colon, 'u');
	file->facts = arena_alloc(snapshot->arena, sizeof(*file->facts));
	*file->facts = (struct local_facts){
		.content = content_of(colon[1]),
		.header = header_of(c),
		.message_id = (uint64_t)c,
		.size = 90 + (uint64_t)c,
		.wire_size = option_of(colon, 's') ? 7 : 100 + (uint64_t)c,
		.mtime = option_of(colon, 'd') ? 7 : 1000 + c,
		.inode = file->inode,
	};
}

static void add_arrival(struct fixture *f, unsigned folder, const char *word)
{
	struct snapshot *snapshot = &f->snapshots[folder];
	const char *colon = strchr(word, ':');
	struct record like = record_of("", 0, 0, colon[1], mark_of(colon, '/'));
	struct remote_facts *facts = arena_alloc(snapshot->arena, sizeof(*facts));

	*facts = (struct remote_facts){
		.size = option_of(colon, 's') ? 1 : like.size,
		.date = option_of(colon, 'd') ? 1 : like.date,
		.id = like.id,
	};
	if (!option_of(colon, 'h')) {
		facts->header = option_of(colon, 'w') ? header_of('W') : like.header;
		facts->message_id = (uint64_t)ascii_lower(colon[1]);
	}
	if (!option_of(colon, 'h') && !option_of(colon, 'b'))
		facts->content = option_of(colon, 'w') ? content_of('W') : like.content;
	snapshot_remote_arrived(snapshot, (uint32_t)strtoul(word + 2, NULL, 10), (struct flags){0});
	snapshot->arrivals[snapshot->n_arrivals - 1].facts = facts;
}

static void add_word(struct fixture *f, const char *word)
{
	unsigned folder = (unsigned)(word[0] - 'A');

	if (word[1] == '+')
		add_file(f, folder, word);
	else if (word[1] == '*')
		add_arrival(f, folder, word);
	else
		add_record(f, folder, word);
}

static void fixture_init(struct fixture *f, const char *text, const char *repair)
{
	char words[256], *save, *word;

	memset(f, 0, sizeof(*f));
	f->world.n = FOLDERS;
	f->world.folders = xcalloc(FOLDERS, sizeof(*f->world.folders));
	for (unsigned i = 0; i < FOLDERS; i++) {
		snapshot_init(&f->snapshots[i]);
		f->world.folders[i] = (struct world_folder){
			.snapshot = &f->snapshots[i],
			.id = i + 1,
			.uidnext = 50,
			.uidvalidity = 9,
			.on_server = true,
			.repair = strchr(repair, (char)('A' + i)) != NULL,
		};
	}
	copy_text(words, sizeof(words), text);
	for (word = strtok_r(words, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
		add_word(f, word);
}

static void fixture_release(struct fixture *f)
{
	for (unsigned i = 0; i < FOLDERS; i++)
		snapshot_release(&f->snapshots[i]);
	world_release(&f->world);
}

static void lose_all(struct fixture *f)
{
	for (uint32_t i = 0; i < FOLDERS; i++) {
		const struct snapshot *snapshot = &f->snapshots[i];

		for (uint32_t j = 0; j < snapshot->n; j++) {
			const struct message *message = &snapshot->messages[j];

			if (message->local_presence != PRESENCE_HERE ||
			    message->remote_presence != PRESENCE_HERE)
				world_lose(&f->world, i, j, &records[i][message->uid]);
		}
	}
}

static void match(struct fixture *f)
{
	lose_all(f);
	match_renamed(&f->world);
	match_remote(&f->world);
	match_local_certain(&f->world);
	match_new(&f->world);
	match_local_content(&f->world);
}

/* ---- what was found ---- */

static char letter(uint32_t folder)
{
	return (char)('A' + folder);
}

static void put_lost(const struct fixture *f, const struct lost *lost, struct text *out)
{
	const struct message *message = &f->snapshots[lost->folder].messages[lost->message];
	char folder = letter(lost->folder);

	if (lost->remote.folder != NOWHERE)
		text_printf(out, " %c%u>%c%u", folder, message->uid, letter(lost->remote.folder),
			    f->snapshots[lost->remote.folder].arrivals[lost->remote.at].uid);
	if (lost->file.folder != NOWHERE)
		text_printf(out, " %c%u@%c+%s", folder, message->uid, letter(lost->file.folder),
			    f->snapshots[lost->file.folder].files[lost->file.at].base);
	if (message->name != name_key(records[lost->folder][message->uid].base))
		text_printf(out, " %c%u'%s", folder, message->uid, message->base);
}

static void put_found(const struct fixture *f, struct text *out)
{
	for (size_t i = 0; i < f->world.n_lost; i++)
		put_lost(f, &f->world.lost[i], out);
	for (size_t i = 0; i < f->world.n_pairings; i++) {
		const struct pairing *pairing = &f->world.pairings[i];
		const struct snapshot *from = &f->snapshots[pairing->remote.folder];
		const struct snapshot *to = &f->snapshots[pairing->file.folder];

		text_printf(out, " %c%u=%c+%s", letter(pairing->remote.folder),
			    from->arrivals[pairing->remote.at].uid, letter(pairing->file.folder),
			    to->files[pairing->file.at].base);
	}
}

static bool step_seen[STEP_COUNT];

/* Behind it, the steps that found it. */
static void put_steps(const struct fixture *f, struct text *out)
{
	for (size_t step = 0; step < STEP_COUNT; step++) {
		if (f->world.found[step] == 0)
			continue;
		step_seen[step] = true;
		text_printf(out, " M%zu", step);
	}
}

static size_t count_steps(const struct fixture *f)
{
	size_t n = 0;

	for (size_t step = 0; step < STEP_COUNT; step++)
		n += f->world.found[step];
	return n;
}

/* Each arrival and each file stands for one message at most, and those that do are marked. */
static size_t count_taken(const struct fixture *f)
{
	size_t n = 0;

	for (unsigned i = 0; i < FOLDERS; i++) {
		for (size_t j = 0; j < f->snapshots[i].n_arrivals; j++)
			n += f->snapshots[i].arrivals[j].taken;
		for (size_t j = 0; j < f->snapshots[i].n_files; j++)
			n += f->snapshots[i].files[j].taken;
	}
	return n;
}

static size_t count_found(const char *found)
{
	size_t n = 0;

	for (; *found != '\0'; found++)
		n += *found == '>' || *found == '@' || *found == '\'' || *found == '=';
	return n;
}

static size_t count_pairings(const char *found)
{
	size_t n = 0;

	for (; *found != '\0'; found++)
		n += *found == '=';
	return n;
}

struct row {
	const char *world, *found;
	const char *repair; /* folders in re-pairing */
};

static void check_row(const struct row *row)
{
	struct text found = {0};
	struct fixture f;
	const char *got;

	fixture_init(&f, row->world, row->repair);
	match(&f);
	put_found(&f, &found);
	put_steps(&f, &found);
	got = text_get(&found)[0] != '\0' ? text_get(&found) + 1 : "";
	if (strcmp(got, row->found) != 0) {
		printf("\n  %s: expected %s, found %s", row->world, row->found, got);
		CU_FAIL("a row does not hold");
	}
	/* A pairing takes two, everything else one. */
	CU_ASSERT_EQUAL(count_taken(&f), count_found(got) + count_pairings(got));
	CU_ASSERT_EQUAL(count_steps(&f), count_found(got));
	text_release(&found);
	fixture_release(&f);
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_row(&rows[i]);
}

/* M2 */
static void test_renamed(void)
{
	static const struct row rows[] = {
		{"A1m-l A+f:m#101", "A1'f M2", ""},
		{"A1m-lr A+f:m#101", "A1'f M2", ""}, /* F8: the deletion there meets the new name */
		{"A1m-l A+f:m", "", ""},     /* another inode: content alone proves nothing */
		{"A1m-l A+f:n#101", "", ""}, /* the inode was used again */
		{"A1m-l B+f:m#101", "A1@B+f M4", ""},
		{"A1m-l A2m-l A+f:m#102 A+g:m#101", "A1'g A2'f M2", ""},
		{"A1m-l A+f:m#101-u", "", ""},
		{"A1m A+f:m#101", "", ""}, /* a hard link: the message is where it was */
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* M3 */
static void test_moved_there(void)
{
	static const struct row rows[] = {
		/* by the server's id */
		{"A1m/x-r B*5:m/x", "A1>B5 M3", ""},
		{"A1m/x-r B*5:m/y", "", ""}, /* a twin with an id of its own */
		{"A1m/x-r A2m/y-r B*5:m/y B*6:m/x", "A1>B6 A2>B5 M3", ""},
		{"A1m/x-r B*5:m/x C*6:m/x", "A1>B5 M3", ""}, /* one of two */
		{"A1m/x-r A*5:m/x", "A1>A5 M3", ""},         /* away and back again: a new UID */
		{"A1m/x-r B*5:m/x-sdh", "A1>B5 M3", ""},
		/* by labels and header, where there is no id */
		{"A1m-r B*5:m", "A1>B5 M3", ""},
		{"A1m-r B*5:m/x", "A1>B5 M3", ""}, /* the record is older than the server's ids */
		{"A1m-r B*5:m-s", "", ""},
		{"A1m-r B*5:m-d", "", ""},
		{"A1m-r B*5:m-h", "", ""},
		{"A1m-r B*5:n", "", ""},
		{"A1m-r A2m-r B*5:m B*6:m", "A1>B5 A2>B6 M3", ""},
		{"A1m-r A2m-r B*5:m", "A1>B5 M3",
		 ""},                  /* twins: one moved, one gone; either will do */
		{"A1m B*5:m", "", ""}, /* a copy: the original is where it was */
		/* gone here as well, edited here */
		{"A1m/x-lr B*5:m/x", "A1>B5 M3", ""},
		{"A1m/x-er B*5:m/x", "A1>B5 M3", ""},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* M4 */
static void test_moved_here(void)
{
	static const struct row rows[] = {
		{"A1m-l B+A1:m", "A1@B+A1 M4", ""},       /* the base name */
		{"A1m-l B+f:m#101", "A1@B+f M4", ""},     /* the inode */
		{"A1m-l B+f:m", "A1@B+f M6", ""},         /* the contents, in another folder */
		{"A1m-l A+f:m", "", ""},                  /* but not in the same */
		{"A1m-l B+A1:n", "", ""},                 /* a name is no proof of contents */
		{"A1m-l B+f:M#101", "", ""},              /* nor is an inode, nor the header */
		{"A1m-l B+A1:m-u", "", ""},               /* not readable: nothing is known of it */
		{"A1m-l B+f:m C+A1:m", "A1@C+A1 M4", ""}, /* certain ones before guesses */
		{"A1m-l B+f:m C+g:m#101", "A1@C+g M4", ""},
		{"A1m-l A2m-l B+A2:m B+A1:m", "A1@B+A1 A2@B+A2 M4", ""},
		{"A1m-l A2m-l B+f:m", "A1@B+f M6", ""},
		/* gone there too: simply a new file */
		{"A1m-lr B+A1:m", "", ""},
		/* moved both ways: both are found, the server's place wins (rule 42) */
		{"A1m/x-lr B*5:m/x C+A1:m", "A1>B5 A1@C+A1 M3 M4", ""},
		/* F6: the server moved one twin, the user's hand the other */
		{"A1m-r A2m-l B*1:m B+A2:m", "A1>B1 A2@B+A2 M3 M4", ""},
		/* a new twin of a moved message is not its file */
		{"A1m-l B+A1:m B*5:m B+f:m", "A1@B+A1 B5=B+f M4 M5", ""},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* M5 */
static void test_new_on_both_sides(void)
{
	static const struct row rows[] = {
		{"A*5:m A+f:m", "A5=A+f M5", ""},
		{"A*5:m B+f:m", "", ""}, /* one folder only */
		{"A*5:m-b A+f:m", "", ""},
		{"A*5:m-s A+f:m", "", ""},
		{"A*5:m-d A+f:m", "", ""},
		{"A*5:m A+f:M", "", ""}, /* the header alone is not enough */
		{"A*5:m A*6:m A+f:m", "A5=A+f M5", ""},
		{"A*5:m A+f:m A+g:m", "A5=A+f M5", ""},
		{"A*5:m A*6:m A+f:m A+g:m", "A5=A+f A6=A+g M5", ""},
		{"A*5:m A+f:m-u", "", ""},
		/* before content alone finds a message from elsewhere, after the certain ways */
		{"A1m-l B*5:m B+f:m", "B5=B+f M5", ""},
		{"A1m-l B*5:m B+f:m#101", "A1@B+f M4", ""},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* M7 */
static void test_repair(void)
{
	static const struct row rows[] = {
		/* without records: header, then size, then date, then order */
		{"A*5:m-b A+f:m", "A5=A+f M7", "A"},
		{"A*5:m-bd A+f:m", "A5=A+f M7", "A"},
		{"A*5:m-bsd A+f:m", "A5=A+f M7", "A"},
		{"A*5:m-bsd A*6:m-bsd A+f:m", "", "A"}, /* not single: the size must agree */
		{"A*5:m-bsd A+f:m A+g:m", "", "A"},
		{"A*5:m-bd A*6:m-b A+f:m A+g:m-d", "A6=A+f A5=A+g M7", "A"},
		{"A*5:m-bs A*6:m-b A+f:m", "A6=A+f M7", "A"},
		{"A*5:m-b A*6:m-b A+f:m A+g:m", "A5=A+f A6=A+g M7", "A"},
		{"A*5:m-h A+f:m", "", "A"},
		{"A*5:m-b B+f:m", "", "AB"}, /* one folder */
		{"A*5:m-b A+f:m", "", "B"},
		/* records whose UIDs are void: likewise */
		{"A1m-r A*5:m", "A1>A5 M3", "A"},
		{"A1m/x-r A*5:m/x-sd", "A1>A5 M3", "A"},
		{"A1m-r A*5:m-d", "A1>A5 M7", "A"},
		{"A1m-r A*5:m-sd", "A1>A5 M7", "A"},
		{"A1m-r A2m-r A*5:m-sd", "", "A"},
		{"A1m-r A*5:m-sd A*6:m-sd", "", "A"},
		{"A1m-r A*5:m-sd A*6:m-d", "A1>A6 M7", "A"},
		{"A1m-r A2n-r A3o-r A*1:o A*2:m A*3:n", "A1>A2 A2>A3 A3>A1 M3", "A"},
		{"A1m-r B*5:m-sd", "", "A"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

/* An edited file whose new contents are on the server already: the old record loses its file. */
static void test_edited_and_there(void)
{
	struct fixture f;
	const struct message *old;

	fixture_init(&f, "A1m-e A*5:e", "");
	f.snapshots[0].files[0].facts->content = content_of('e');
	f.snapshots[0].files[0].facts->header = header_of('e');
	f.snapshots[0].files[0].facts->wire_size = 100 + 'e';
	f.snapshots[0].files[0].facts->mtime = 1000 + 'e';
	match(&f);
	old = &f.snapshots[0].messages[0];
	CU_ASSERT_EQUAL(f.world.n_pairings, 1);
	CU_ASSERT_STRING_EQUAL(old->base, "");
	CU_ASSERT_EQUAL(old->local_presence, PRESENCE_ABSENT);
	CU_ASSERT(old->touched);
	fixture_release(&f);
}

/* F8: renamed here, expunged there. The record knows the file's new name when it is destroyed. */
static void test_renamed_and_expunged(void)
{
	struct keyword_pool *pool = keyword_pool_new();
	struct policy policy = {.storable = FLAGS_ALL, .storable_keywords = true};
	struct triple triple = {.recorded = true, .state = RECORD_PAIRED};
	const struct message *message;
	struct fixture f;

	fixture_init(&f, "A1m-lr A+f:m#101", "");
	match(&f);
	message = &f.snapshots[0].messages[0];
	triple.local = (enum presence)message->local_presence;
	triple.remote = (enum presence)message->remote_presence;
	CU_ASSERT_EQUAL(decide(&triple, &policy, pool).rule, 30);
	CU_ASSERT_STRING_EQUAL(message->base, "f");
	CU_ASSERT_EQUAL(message->inode, 101);
	CU_ASSERT(message->touched);
	CU_ASSERT_STRING_EQUAL(f.world.lost[0].record.base, "f");
	CU_ASSERT_EQUAL(f.world.lost[0].record.inode, 101);
	fixture_release(&f);
	keyword_pool_free(&pool);
}

/* A folder whose remote side was not looked at: nothing of it is lost there, nothing follows. */
static void test_unknown_is_not_lost(void)
{
	struct fixture f;

	fixture_init(&f, "A1m B*5:m", "");
	f.snapshots[0].messages[0].remote_presence = PRESENCE_UNKNOWN;
	match(&f);
	CU_ASSERT_EQUAL(f.world.n_lost, 1);
	CU_ASSERT_EQUAL(f.world.lost[0].remote.folder, NOWHERE);
	CU_ASSERT_EQUAL(f.snapshots[0].messages[0].remote_presence, PRESENCE_UNKNOWN);
	CU_ASSERT(!f.snapshots[1].arrivals[0].taken);
	fixture_release(&f);
}

/* ---- attempts ---- */

/* Sent to A from file f with contents m, when A's UIDNEXT was 5; now it is what the row says. */
struct attempt_row {
	const char *world;
	uint32_t uidnext;
	char kind;         /* a APPEND, m MOVE, p parked */
	const char *found; /* "" if not */
	bool elsewhere;
	bool did_not_happen;
};

static struct attempt attempt_of(char kind)
{
	return (struct attempt){
		.folder = 1,
		.base = "f",
		.kind = kind == 'm' ? ATTEMPT_MOVE : ATTEMPT_APPEND,
		.state = kind == 'p' ? ATTEMPT_PARKED : ATTEMPT_OPEN,
		.uidvalidity = 9,
		.uidnext = 5,
		.content = content_of('m'),
		.header = header_of('m'),
		.message_id = 'm',
		.date = 1000 + 'm',
		.time = 5000000,
	};
}

static void check_attempt(const struct attempt_row *row)
{
	struct attempt attempt = attempt_of(row->kind);
	struct attempt_result result;
	char found[16] = "";
	struct fixture f;

	fixture_init(&f, row->world, "");
	f.world.folders[0].uidnext = row->uidnext;
	match_attempts(&f.world, &attempt, 1, &result);
	if (result.remote.folder != NOWHERE)
		snprintf(found, sizeof(found), "%c%u", letter(result.remote.folder),
			 f.snapshots[result.remote.folder].arrivals[result.remote.at].uid);
	if (strcmp(found, row->found) != 0 || result.elsewhere != row->elsewhere ||
	    result.did_not_happen != row->did_not_happen) {
		printf("\n  %s, uidnext %u: found %s%s%s", row->world, row->uidnext, found,
		       result.elsewhere ? " elsewhere" : "",
		       result.did_not_happen ? " did not happen" : "");
		CU_FAIL("an attempt does not hold");
	}
	CU_ASSERT_EQUAL(count_taken(&f), found[0] != '\0');
	CU_ASSERT_EQUAL(f.world.found[STEP_ATTEMPT], found[0] != '\0');
	step_seen[STEP_ATTEMPT] |= found[0] != '\0';
	fixture_release(&f);
}

/* M1 */
static void test_attempts(void)
{
	static const struct attempt_row rows[] = {
		{"A+f:m A*5:m", 6, 'a', "A5", false, false},
		{"A*5:m", 6, 'a', "A5", false, false}, /* whatever became of the file */
		{"A+f:n A*5:m", 6, 'a', "A5", false, false},
		{"A+f:m A*4:m", 5, 'a', "", false, true}, /* older than the attempt */
		{"A+f:m", 5, 'a', "", false, true},
		{"A+f:m A*5:n", 6, 'a', "", false, false}, /* another device's */
		{"A+f:m A*5:m-d", 6, 'a', "", false, false},
		{"A+f:m A*5:n A*6:m A*7:m", 8, 'a', "A6", false, false},
		/* stored, and moved on by another device */
		{"A+f:m B*2:m", 6, 'a', "B2", true, false},
		{"A+f:m B*2:m", 5, 'a', "", false, true},        /* nothing left A */
		{"A+f:m A*5:n B*2:m", 6, 'a', "", false, false}, /* nor here */
		{"A+f:m A*5:n B*2:m", 7, 'a', "B2", true, false},
		{"A+f:m B*2:m", 6, 'm', "", false, false},
		/* rewritten by the server: the single one with this Message-ID and date */
		{"A+f:m A*5:m-w", 6, 'a', "A5", false, false},
		{"A*5:m-w A*6:n", 7, 'a', "A5", false, false},
		{"A+f:m A*5:m-wd", 6, 'a', "", false, false},
		{"A+f:m A*5:n-w", 6, 'a', "", false, false},
		{"A+f:m A*5:M", 6, 'a', "A5", false, false},
		{"A+f:m A*4:m-w", 5, 'a', "", false, true},
		{"A+f:m A*5:m-w A*6:m-w", 7, 'a', "", false, false},
		{"A+f:m A*5:m-w A*6:m", 7, 'a', "A6", false, false},
		{"A+f:m B*2:m-w", 6, 'a', "B2", true, false},
		{"A+f:m B*2:m-w C*2:m-w", 6, 'a', "", false, false},
		{"A+f:m A*5:m-w", 6, 'm', "A5", false, false},
		/* settled already */
		{"A+f:m A*5:m", 6, 'p', "", false, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_attempt(&rows[i]);
}

static void test_two_attempts_two_arrivals(void)
{
	struct attempt attempts[3] = {attempt_of('a'), attempt_of('a'), attempt_of('a')};
	struct attempt_result results[3];
	struct fixture f;

	attempts[1].base = "g";
	attempts[2].base = "h";
	fixture_init(&f, "A+f:m A+g:m A*5:m A*6:m", "");
	match_attempts(&f.world, attempts, 3, results);
	CU_ASSERT_EQUAL(results[0].remote.at, 0);
	CU_ASSERT_EQUAL(results[1].remote.at, 1);
	CU_ASSERT_EQUAL(results[2].remote.folder, NOWHERE);
	fixture_release(&f);
}

/* One Message-ID, two attempts, one arrival: it could be either, unless its contents say so. */
static void test_two_attempts_one_id(void)
{
	static const struct {
		const char *world;
		char other; /* what the second attempt sent */
		bool found[2];
	} rows[] = {
		{"A*5:m-w", 'M', {false, false}},
		{"A*5:m-w A*6:m-w", 'M', {false, false}},
		{"A*5:m-w A*6:M", 'M', {true, true}},
		{"A*5:m-w A*6:n-w", 'n', {true, true}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct attempt attempts[2] = {attempt_of('a'), attempt_of('a')};
		struct attempt_result results[2];
		struct fixture f;

		attempts[1].base = "g";
		attempts[1].content = content_of(rows[i].other);
		attempts[1].message_id = (uint64_t)ascii_lower(rows[i].other);
		attempts[1].date = 1000 + ascii_lower(rows[i].other);
		fixture_init(&f, rows[i].world, "");
		match_attempts(&f.world, attempts, 2, results);
		CU_ASSERT_EQUAL(results[0].remote.folder != NOWHERE, rows[i].found[0]);
		CU_ASSERT_EQUAL(results[1].remote.folder != NOWHERE, rows[i].found[1]);
		fixture_release(&f);
	}
}

static void test_no_id(void)
{
	struct attempt attempt = attempt_of('a');
	struct attempt_result result;
	struct fixture f;

	attempt.message_id = 0;
	fixture_init(&f, "A*5:m-w", "");
	f.snapshots[0].arrivals[0].facts->message_id = 0;
	match_attempts(&f.world, &attempt, 1, &result);
	CU_ASSERT_EQUAL(result.remote.folder, NOWHERE);
	fixture_release(&f);
}

/* UIDs of another life of the mailbox prove nothing: what was sent may be anywhere in it, and only there. */
static void test_attempts_of_another_life(void)
{
	static const struct {
		const char *world, *found;
	} rows[] = {{"A+f:m A*2:m", "A2"},
		    {"A+f:m A*7:m", "A7"},
		    {"A+f:m A*2:m-w", "A2"},
		    {"A+f:m A*2:n", ""},
		    {"A+f:m B*2:m", ""}};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		const char *found = rows[i / 2].found;
		struct attempt attempt = attempt_of('a');
		struct attempt_result result;
		struct fixture f;

		fixture_init(&f, rows[i / 2].world, "");
		f.world.folders[0].uidnext = 5; /* as it was, but that is by chance */
		if (i % 2 == 0)
			f.world.folders[0].uidvalidity = 10;
		else
			f.snapshots[0].void_uids = true;
		match_attempts(&f.world, &attempt, 1, &result);
		CU_ASSERT_EQUAL(result.remote.folder, found[0] == 'A' ? 0 : NOWHERE);
		CU_ASSERT(!result.elsewhere && !result.did_not_happen);
		fixture_release(&f);
	}
}

/* A mailbox nobody looked at says nothing. */
static void test_attempts_without_proof(void)
{
	struct attempt attempt = attempt_of('a');
	struct attempt_result result;
	struct fixture f;

	fixture_init(&f, "A+f:m A*5:m", "");
	f.world.folders[0].uidnext = 5;
	f.world.folders[0].uidvalidity = 0; /* not told: UIDNEXT must do */
	f.world.folders[0].on_server = false;
	match_attempts(&f.world, &attempt, 1, &result);
	CU_ASSERT_EQUAL(result.remote.folder, NOWHERE);
	CU_ASSERT(!result.did_not_happen);
	f.world.folders[0].on_server = true;
	match_attempts(&f.world, &attempt, 1, &result);
	CU_ASSERT_EQUAL(result.remote.folder, 0);
	attempt.folder = 77; /* the folder is gone from the base */
	match_attempts(&f.world, &attempt, 1, &result);
	CU_ASSERT_EQUAL(result.remote.folder, NOWHERE);
	fixture_release(&f);
}

/* A server that loses the date stamps it with the time of its arrival. */
static void test_attempt_dates(void)
{
	static const struct {
		int64_t date;
		bool found;
	} rows[] = {{1000 + 'm', true},      {5000000, true},          {5000000 + 80000, true},
		    {5000000 - 80000, true}, {5000000 + 90000, false}, {0, false}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct attempt attempt = attempt_of('a');
		struct attempt_result result;
		struct fixture f;

		fixture_init(&f, "A*5:m", "");
		f.snapshots[0].arrivals[0].facts->date = rows[i].date;
		match_attempts(&f.world, &attempt, 1, &result);
		CU_ASSERT_EQUAL(result.remote.folder != NOWHERE, rows[i].found);
		fixture_release(&f);
	}
}

/* Dates that a server without UIDPLUS may have dropped: -d is another date, -w other contents under the same
 * Message-ID. */
static void test_attempt_dates_lost(void)
{
	static const struct {
		enum attempt_dates dates;
		const char *world;
		uint32_t found;
	} rows[] = {
		{DATES_KEPT, "A*5:m-d", 0},
		{DATES_LOST, "A*5:m-d", 5},
		{DATES_LOST, "A*4:m-d", 0},
		{DATES_LOST, "A*5:m-wd", 0},
		{DATES_FRESH, "A*5:m-d", 5},
		{DATES_FRESH, "A*5:m-wd", 5},
		{DATES_FRESH, "A*5:m-wd A*6:m-d", 6},
		{DATES_FRESH, "A*5:m-wd A*6:m-w", 0}, /* it could be either */
		{DATES_FRESH, "A*5:n-wd", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct attempt attempt = attempt_of('a');
		struct attempt_result result;
		struct fixture f;
		uint32_t found = 0;

		fixture_init(&f, rows[i].world, "");
		f.world.dates = rows[i].dates;
		match_attempts(&f.world, &attempt, 1, &result);
		if (result.remote.folder != NOWHERE)
			found = f.snapshots[0].arrivals[result.remote.at].uid;
		CU_ASSERT_EQUAL(found, rows[i].found);
		fixture_release(&f);
	}
}

static void test_pair_sent(void)
{
	static const struct {
		const char *world;
		uint32_t home, file; /* folder of the file */
	} rows[] = {
		{"A+g:m A+f:n C+f:m B*2:m", 1, 2}, /* by name and contents, wherever it is */
		{"A+f:m C+f:m B*2:m", 1, 0},
		{"A+f:m C+f:m B*2:m", 3, 2}, /* where it was sent from, first */
		{"A+g:m B*2:m", 1, NOWHERE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct attempt attempt = attempt_of('a');
		struct place remote = {.folder = 1, .at = 0};
		struct fixture f;

		attempt.folder = rows[i].home;
		fixture_init(&f, rows[i].world, "");
		world_pair_sent(&f.world, remote, &attempt);
		CU_ASSERT_EQUAL_FATAL(f.world.n_pairings, rows[i].file != NOWHERE);
		if (rows[i].file != NOWHERE) {
			CU_ASSERT_EQUAL(f.world.pairings[0].file.folder, rows[i].file);
			CU_ASSERT_EQUAL(f.world.pairings[0].remote.folder, 1);
		}
		fixture_release(&f);
	}
}

/* ---- what is asked for ---- */

/* Of the single arrival: h its header is fetched, b its body. */
static void test_wants(void)
{
	static const struct {
		const char *world, *wants, *repair;
	} rows[] = {
		{"A*5:m-h", "", ""}, /* a new message, and nothing to compare it with */
		{"A1m-r B*5:m-h", "h", ""},    {"A1m-r B*5:m-hs", "", ""},
		{"A1m/x-r B*5:m/x-h", "", ""}, /* ids tell */
		{"A1m/x-r B*5:m/y-h", "", ""}, {"A1m-r B*5:m/x-h", "h", ""},
		{"A1m-r B*5:m", "", ""}, /* known already */
		{"A+f:m A*5:m-h", "h", ""},    {"A+f:m A*5:m-hs", "", ""},
		{"A+f:m B*5:m-h", "", ""},     {"A+f:m A*5:m-hsd", "h", "A"},
		{"A*5:m-h", "", "A"},          {"A+f:m A*5:m-b", "b", ""},
		{"A+f:m A*5:m-b", "", "A"}, /* re-pairing never fetches a body */
		{"A+f:n A*5:m-b", "", ""},     {"A+f:m A*5:m-bd", "", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct remote_message *arrival;
		struct fixture f;
		bool headers, bodies;

		fixture_init(&f, rows[i].world, rows[i].repair);
		lose_all(&f);
		headers = match_wants_headers(&f.world);
		bodies = match_wants_bodies(&f.world);
		arrival = &f.snapshots[f.snapshots[0].n_arrivals != 0 ? 0 : 1].arrivals[0];
		if (headers != (strcmp(rows[i].wants, "h") == 0) ||
		    bodies != (strcmp(rows[i].wants, "b") == 0)) {
			printf("\n  %s: wants%s%s", rows[i].world, headers ? " header" : "",
			       bodies ? " body" : "");
			CU_FAIL("asked for something else");
		}
		CU_ASSERT_EQUAL(arrival->wants_header, headers);
		CU_ASSERT_EQUAL(arrival->wants_body, bodies);
		CU_ASSERT(!match_wants_headers(&f.world)); /* asked once */
		fixture_release(&f);
	}
}

static void test_wants_attempts(void)
{
	struct attempt attempt = attempt_of('a');
	struct fixture f;

	fixture_init(&f, "A*4:m-h A*5:m-h A*6:n-h A*7:m-wb A*8:m-b A*9:m-hd B*5:m-h", "");
	f.world.folders[0].uidnext = 10;
	CU_ASSERT(match_wants_attempt_headers(&f.world, &attempt, 1));
	CU_ASSERT(!f.snapshots[0].arrivals[0].wants_header); /* it was there before */
	CU_ASSERT(f.snapshots[0].arrivals[1].wants_header);
	CU_ASSERT(!f.snapshots[0].arrivals[3].wants_header); /* known */
	CU_ASSERT(!f.snapshots[0].arrivals[5].wants_header); /* another date */
	CU_ASSERT(!f.snapshots[1].arrivals[0].wants_header); /* nothing left A */
	f.world.folders[0].uidnext = 11;
	CU_ASSERT(match_wants_attempt_headers(&f.world, &attempt, 1));
	CU_ASSERT(f.snapshots[1].arrivals[0].wants_header);
	CU_ASSERT(!match_wants_attempt_headers(&f.world, &attempt, 1));
	CU_ASSERT(match_wants_attempt_bodies(&f.world, &attempt, 1));
	CU_ASSERT(!f.snapshots[0].arrivals[3].wants_body); /* the header is another one */
	CU_ASSERT(f.snapshots[0].arrivals[4].wants_body);
	CU_ASSERT(!match_wants_attempt_bodies(&f.world, &attempt, 1));
	fixture_release(&f);
}

/* ---- size ---- */

/* A hundred thousand messages renumbered by a server without ids, which also reports other sizes: one
 * look-up each, or this takes minutes. */
static void test_many(void)
{
	enum { N = 100000 };
	struct fixture f;

	fixture_init(&f, "", "A");
	for (uint32_t i = 0; i < N; i++) {
		struct record record = {.uid = i + 1, .state = RECORD_PAIRED, .base = "b"};
		struct remote_facts *facts;

		memcpy(record.header.bytes, &i, sizeof(i));
		memcpy(record.header.bytes + 4, "head", 4);
		facts = arena_alloc(f.snapshots[0].arena, sizeof(*facts));
		*facts = (struct remote_facts){.size = 5, .date = i, .header = record.header};
		snapshot_add_record(&f.snapshots[0], &record);
		f.snapshots[0].messages[i].local_presence = PRESENCE_HERE;
		f.snapshots[0].messages[i].remote_presence = PRESENCE_ABSENT;
		snapshot_remote_message(&f.snapshots[0], N + i + 1, (struct flags){0});
		f.snapshots[0].arrivals[i].facts = facts;
		world_lose(&f.world, 0, i, &record);
	}
	match_remote(&f.world);
	for (uint32_t i = 0; i < N; i += 997)
		CU_ASSERT_EQUAL(f.world.lost[i].remote.at, i);
	fixture_release(&f);
}

/* STEP_COPY is the caller's: it needs all records. */
static void test_coverage(void)
{
	for (int step = STEP_ATTEMPT; step < STEP_COPY; step++)
		CU_ASSERT(step_seen[step]);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"M1 attempts", test_attempts},
		{"M1 two attempts, two arrivals", test_two_attempts_two_arrivals},
		{"M1 two attempts, one Message-ID", test_two_attempts_one_id},
		{"M1 no Message-ID", test_no_id},
		{"M1 another UIDVALIDITY", test_attempts_of_another_life},
		{"M1 attempts without proof", test_attempts_without_proof},
		{"M1 dates of attempts", test_attempt_dates},
		{"M1 dates that were lost", test_attempt_dates_lost},
		{"M1 an attempt moved on", test_pair_sent},
		{"M2 renamed in its folder", test_renamed},
		{"M2 renamed here, expunged there", test_renamed_and_expunged},
		{"M3 moved on the server", test_moved_there},
		{"M3 unknown is not lost", test_unknown_is_not_lost},
		{"M4, M6 moved here", test_moved_here},
		{"M5 new on both sides", test_new_on_both_sides},
		{"M5 edited, and there already", test_edited_and_there},
		{"M7 re-pairing", test_repair},
		{"what is fetched", test_wants},
		{"what is fetched for attempts", test_wants_attempts},
		{"a hundred thousand", test_many},
		{"a row for every step", test_coverage},
	};

	return run_tests("match", cases, ARRAY_SIZE(cases));
}
