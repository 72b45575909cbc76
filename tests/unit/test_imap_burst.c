/* Several mailboxes in one burst: whose answers are whose, and what one failure does to the others.
 * That nothing is waited for between two begins shows in what was sent. */
#include "imap/imap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "imap_play.h"

static const struct imap_view_request known = {.uidvalidity = 9, .modseq = 15, .uidnext = 6};
static const struct imap_view_request unknown;
static const uint32_t probes[] = {2, 5};
static const struct imap_view_request probing = {
	.uidvalidity = 9, .modseq = 15, .uidnext = 6, .probes = probes, .n_probes = 2};

/* ---- views ---- */

#define SELECTED(exists, uidvalidity, modseq)                   \
	"* " exists " EXISTS\r\n* OK [UIDVALIDITY " uidvalidity \
	"] x\r\n* OK [HIGHESTMODSEQ " modseq "] x\r\n"

static const struct burst_row {
	const char *capabilities;
	const struct imap_view_request *request;
	const char *answers;
	const char
		*results; /* of a, b, c: kind, exists, ! incomplete; again; or the error's kind */
	const char *seen;
	const char *said;
} burst_rows[] = {
	/* each with its own messages; the one in the middle is refused */
	{QUICK, &known,
	 SELECTED("2", "9",
		  "20") "* VANISHED (EARLIER) 1\r\n* 2 FETCH (UID 5 FLAGS (\\Seen) MODSEQ "
			"(20))\r\nm3 OK x\r\nm4 NO [NONEXISTENT] x\r\n"
			"* OK [CLOSED] x\r\n" SELECTED("3", "9", "15") "m5 OK x\r\n",
	 "1/2 missing 1/3 ", "-1:1 5=10 | | | ",
	 "m3 SELECT \"a\" (QRESYNC (9 15))\r\nm4 SELECT \"b\" (QRESYNC (9 15))\r\n"
	 "m5 SELECT \"c\" (QRESYNC (9 15))\r\nm6 LOGOUT\r\n"},
	/* no extension: the FETCH behind a refused SELECT is refused too, or even answered */
	{"", &unknown,
	 "* 1 EXISTS\r\nm2 OK x\r\n* 1 FETCH (UID 4 FLAGS ())\r\nm3 OK x\r\nm4 NO no\r\nm5 BAD "
	 "no\r\n"
	 "* 2 EXISTS\r\nm6 OK x\r\n* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS ())\r\n"
	 "* 2 EXPUNGE\r\n* 2 EXISTS\r\nm7 OK x\r\n",
	 "0/1 refused 0/2 ", "4=0 | | 1=0 2=0 | ",
	 "m2 SELECT \"a\"\r\nm3 UID FETCH 1:4294967295 (UID FLAGS)\r\nm4 SELECT \"b\"\r\n"
	 "m5 UID FETCH 1:4294967295 (UID FLAGS)\r\nm6 SELECT \"c\"\r\n"
	 "m7 UID FETCH 1:4294967295 (UID FLAGS)\r\nm8 LOGOUT\r\n"},
	{"", &unknown,
	 "* 1 EXISTS\r\nm2 OK x\r\n* 1 FETCH (UID 4 FLAGS ())\r\nm3 OK x\r\nm4 BAD no\r\n"
	 "* 1 FETCH (UID 4 FLAGS (\\Seen))\r\nm5 OK x\r\n* 0 EXISTS\r\nm6 OK x\r\nm7 NO empty\r\n",
	 "0/1 refused 0/0 ", "4=0 | | | ", NULL},
	/* a removal told of one does not count for the next */
	{"", &unknown,
	 "* 2 EXISTS\r\nm2 OK x\r\n* 1 FETCH (UID 4 FLAGS ())\r\n* 1 EXPUNGE\r\nm3 OK x\r\n"
	 "* 1 EXPUNGE\r\n* 1 EXISTS\r\nm4 OK x\r\n* 1 FETCH (UID 4 FLAGS ())\r\nm5 OK x\r\n"
	 "* 2 EXISTS\r\nm6 OK x\r\n* 1 FETCH (UID 4 FLAGS ())\r\nm7 OK x\r\n",
	 "0/1 0/1 0/2! ", "4=0 | 4=0 | 4=0 | ", NULL},
	/* another UIDVALIDITY, and a server that went back: to be asked again */
	{QUICK, &known,
	 SELECTED("1", "8", "20") "m3 OK x\r\n" SELECTED("1", "9", "15") "m4 OK x\r\n" SELECTED(
		 "1", "9", "14") "m5 OK x\r\n",
	 "again 1/1 again ", "| | | ", NULL},
	/* QRESYNC in name only */
	{QUICK, &known, "m3 BAD x\r\nm4 BAD x\r\n" SELECTED("1", "9", "15") "m5 OK x\r\n",
	 "again again 1/1 ", "| | | ", NULL},
	/* CONDSTORE: the FETCH of what changed is refused */
	{"CONDSTORE", &known,
	 SELECTED("1", "9", "15") "m2 OK x\r\nm3 BAD x\r\nm4 OK x\r\n" SELECTED(
		 "1", "9",
		 "16") "m5 OK x\r\n* 1 FETCH (UID 3 FLAGS () MODSEQ (16))\r\nm6 OK x\r\nm7 OK "
		       "x\r\n" SELECTED("1", "9", "15") "m8 OK x\r\nm9 OK x\r\n* 1 FETCH (UID 7 "
							"FLAGS ())\r\nm10 OK x\r\n",
	 "again 2/1 2/1 ", "| 3=0 | 7=0 | ", NULL},
	/* facts told along: not those of another UIDVALIDITY, and a refusal of them does no harm */
	{QUICK, &probing,
	 SELECTED("2", "9",
		  "20") "* VANISHED (EARLIER) 5\r\nm3 OK x\r\n* 1 FETCH (UID 2 RFC822.SIZE 7)"
			"\r\nm4 OK x\r\n" SELECTED(
				"1", "8",
				"20") "m5 OK x\r\n"
				      "* 1 FETCH (UID 2 RFC822.SIZE 8)\r\nm6 OK x\r\n" SELECTED(
					      "2", "9", "20") "* 2 FETCH (UID 5 FLAGS (\\Seen))\r\n"
							      "m7 OK x\r\nm8 NO no\r\n",
	 "1/2 again 1/2 ", "-5:5 2/7 | | 5=10 | ",
	 "m3 SELECT \"a\" (QRESYNC (9 15))\r\nm4 UID FETCH 2,5 (UID INTERNALDATE RFC822.SIZE)\r\n"
	 "m5 SELECT \"b\" (QRESYNC (9 15))\r\nm6 UID FETCH 2,5 (UID INTERNALDATE RFC822.SIZE)\r\n"
	 "m7 SELECT \"c\" (QRESYNC (9 15))\r\nm8 UID FETCH 2,5 (UID INTERNALDATE RFC822.SIZE)\r\n"
	 "m9 LOGOUT\r\n"},
	/* an answer before its turn, and the end of the line: the others are gone too */
	{QUICK, &known, SELECTED("1", "9", "15") "m4 OK x\r\n", "server network network ", "| | | ",
	 NULL},
	{QUICK, &known, SELECTED("1", "9", "15") "m3 OK x\r\n* BYE x\r\n", "1/1 server network ",
	 "| | | ", NULL},
};

static void say_error(struct text *out, const struct error *err)
{
	const char *word = err->kind == ERROR_NOT_FOUND ? "missing"
			   : err->kind == ERROR_REFUSED ? "refused"
			   : err->kind == ERROR_SERVER  ? "server"
			   : err->kind == ERROR_NETWORK ? "network"
			   : err->kind == ERROR_LOCAL   ? "local"
							: "other";

	text_printf(out, "%s ", word);
}

static void see_facts(void *ctx, const struct imap_facts *facts)
{
	struct play *play = ctx;

	text_printf(&play->seen, "%" PRIu32 "/%" PRIu32 " ", facts->uid, facts->size);
}

static void finish_view(struct play *play, struct text *results)
{
	struct imap_view_sink sink = {play, see_message, see_vanished, see_facts};
	struct imap_view view;
	bool again;

	if (imap_view_finish(play->conn, &sink, &view, &again, &play->err) < 0)
		say_error(results, &play->err);
	else if (again)
		text_puts(results, "again ");
	else
		text_printf(results, "%d/%" PRIu32 "%s ", (int)view.kind, view.exists,
			    view.complete ? "" : "!");
	text_puts(&play->seen, "| ");
}

static void run_burst(const struct burst_row *row)
{
	static const char *const names[] = {"a", "b", "c"};
	struct text results = {0};
	struct play play;

	play_open(&play, row->capabilities, row->answers);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		CU_ASSERT_EQUAL_FATAL(
			imap_view_begin(play.conn, names[i], false, row->request, &play.err), 0);
	CU_ASSERT_EQUAL(imap_unselect(play.conn, &play.err), -1); /* not now */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		finish_view(&play, &results);
	CU_ASSERT_STRING_EQUAL(text_get(&results), row->results);
	CU_ASSERT_STRING_EQUAL(text_get(&play.seen), row->seen);
	text_release(&results);
	if (row->said != NULL) {
		play_close(&play);
		CU_ASSERT_STRING_EQUAL(play.said, row->said);
	} else {
		imap_close(&play.conn);
		unlink(play.server);
		unlink(play.sent);
	}
	play_release(&play);
}

static void test_views(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(burst_rows); i++)
		run_burst(&burst_rows[i]);
}

/* ---- bodies ---- */

static int see_begin(void *ctx, uint32_t uid, uint64_t size)
{
	struct play *play = ctx;

	text_printf(&play->seen, "%" PRIu32 ":%" PRIu64 ":", uid, size);
	return 0;
}

static int see_data(void *ctx, const char *data, size_t len)
{
	struct play *play = ctx;

	text_add(&play->seen, data, len);
	return data[0] == '!' ? -1 : 0;
}

static int see_end(void *ctx, const struct imap_facts *facts, bool has_body)
{
	struct play *play = ctx;

	text_printf(&play->seen, "%s%" PRIu32 " ", has_body ? "=" : "none ", facts->uid);
	return 0;
}

#define BODY(uid, data) "* 1 FETCH (UID " uid " RFC822.SIZE 2 BODY[] {2}\r\n" data ")\r\n"

static void finish_bodies(struct play *play, struct text *results)
{
	struct imap_body_sink sink = {play, see_begin, see_data, see_end};
	struct imap_selected selected = {.status = {.uidvalidity = 1}};

	if (imap_fetch_finish(play->conn, &selected, &sink, &play->err) < 0)
		say_error(results, &play->err);
	else
		text_printf(results, "%" PRIu32 " ", selected.status.uidvalidity);
	text_puts(&play->seen, "| ");
}

static void test_bodies(void)
{
	static const struct {
		const char *answers;
		const char *results;
		const char *seen;
	} rows[] = {
		{"* OK [UIDVALIDITY 8] x\r\nm2 OK x\r\n" BODY("2", "ab")
			 BODY("3", "cd") "m3 OK x\r\n"
					 "* OK [UIDVALIDITY 9] x\r\nm4 OK x\r\n" BODY(
						 "2", "ef") "m5 OK x\r\n",
		 "8 9 ", "2:2:ab=2 3:2:cd=3 | 2:2:ef=2 | "},
		/* the mailbox before is still the selected one: nothing is taken from it */
		{"* OK [UIDVALIDITY 8] x\r\nm2 BAD x\r\n" BODY(
			 "2", "ab") "m3 OK x\r\n"
				    "* OK [UIDVALIDITY 9] x\r\nm4 OK x\r\n" BODY(
					    "2", "ef") "m5 OK x\r\n",
		 "refused 9 ", "| 2:2:ef=2 | "},
		/* the sink fails: the rest of that one is skipped, the next is untouched */
		{"m2 OK x\r\n" BODY("2", "!b")
			 BODY("3", "cd") "m3 OK x\r\n* OK [UIDVALIDITY 9] "
					 "x\r\nm4 OK x\r\n" BODY("2", "ef") "m5 OK x\r\n",
		 "local 9 ", "2:2:!b| 2:2:ef=2 | "},
		{"m2 OK x\r\nm3 NO x\r\nm4 NO [NONEXISTENT] x\r\nm5 BAD x\r\n", "refused missing ",
		 "| | "},
	};
	static const uint32_t uids[] = {2, 3, 9};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct text results = {0};
		struct play play;

		play_open(&play, "", rows[i].answers);
		CU_ASSERT_EQUAL(
			imap_fetch_begin(play.conn, "a", true, uids, 3, SECTION_ALL, &play.err), 0);
		CU_ASSERT_EQUAL(
			imap_fetch_begin(play.conn, "b", false, uids, 1, SECTION_ALL, &play.err),
			0);
		finish_bodies(&play, &results);
		finish_bodies(&play, &results);
		CU_ASSERT_STRING_EQUAL(text_get(&results), rows[i].results);
		CU_ASSERT_STRING_EQUAL(text_get(&play.seen), rows[i].seen);
		text_release(&results);
		play_close(&play);
		CU_ASSERT_STRING_EQUAL(
			play.said,
			"m2 EXAMINE \"a\"\r\nm3 UID FETCH 2:3,9 (UID FLAGS INTERNALDATE "
			"RFC822.SIZE BODY.PEEK[])\r\nm4 SELECT \"b\"\r\nm5 UID FETCH 2 (UID FLAGS "
			"INTERNALDATE RFC822.SIZE BODY.PEEK[])\r\nm6 LOGOUT\r\n");
		play_release(&play);
	}
}

/* Of facts only end is called, whatever else the server tells; the header is a body like any other. */
static void test_facts_and_headers(void)
{
	static const char *const answers =
		"* OK [UIDVALIDITY 8] x\r\nm2 OK x\r\n* 1 FETCH (UID 2 RFC822.SIZE 7)\r\n"
		"* 2 FETCH (UID 3 FLAGS ())\r\n" BODY(
			"9", "ab") "m3 OK x\r\n"
				   "m4 NO [NONEXISTENT] x\r\n* 1 FETCH (UID 2 RFC822.SIZE 7)\r\nm5 "
				   "OK x\r\n"
				   "* OK [UIDVALIDITY 9] x\r\nm6 OK x\r\n"
				   "* 1 FETCH (UID 2 RFC822.SIZE 2 BODY[HEADER] {2}\r\nef)\r\nm7 "
				   "OK x\r\n";
	static const uint32_t uids[] = {2, 3, 9};
	static const enum imap_section sections[] = {SECTION_NONE, SECTION_NONE, SECTION_HEADER};
	struct text results = {0};
	struct play play;

	play_open(&play, "", answers);
	for (size_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(imap_fetch_begin(play.conn, i == 1 ? "b" : "a", false, uids, 3 - i,
						 sections[i], &play.err),
				0);
	for (size_t i = 0; i < 3; i++)
		finish_bodies(&play, &results);
	CU_ASSERT_STRING_EQUAL(text_get(&results), "8 missing 9 ");
	CU_ASSERT_STRING_EQUAL(text_get(&play.seen), "none 2 none 9 | | 2:2:ef=2 | ");
	text_release(&results);
	play_close(&play);
	CU_ASSERT_STRING_EQUAL(
		play.said,
		"m2 SELECT \"a\"\r\nm3 UID FETCH 2:3,9 (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n"
		"m4 SELECT \"b\"\r\nm5 UID FETCH 2:3 (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n"
		"m6 SELECT \"a\"\r\nm7 UID FETCH 2 (UID FLAGS INTERNALDATE RFC822.SIZE "
		"BODY.PEEK[HEADER])\r\nm8 LOGOUT\r\n");
	play_release(&play);
}

/* ---- what cannot be begun ---- */

static uint32_t many[IMAP_MOST_BEGUN_UIDS + 1];

static void test_bounds(void)
{
	struct text results = {0};
	struct play play;
	int begun = 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = 4000000000 + 2 * i;
	play_open(&play, "", "m2 OK x\r\n");
	CU_ASSERT_EQUAL(imap_fetch_begin(play.conn, "a", false, many, ARRAY_SIZE(many),
					 SECTION_NONE, &play.err),
			-1);
	CU_ASSERT_EQUAL(play.err.kind, ERROR_REFUSED);
	CU_ASSERT_EQUAL(imap_view_begin(play.conn, "a\nb", false, &unknown, &play.err), -1);
	CU_ASSERT_EQUAL(play.err.kind, ERROR_REFUSED);
	CU_ASSERT_EQUAL(imap_view_begin(play.conn, "\xc3\xa4", false, &unknown, &play.err), -1);
	CU_ASSERT_EQUAL(play.err.kind, ERROR_REFUSED);
	finish_bodies(&play, &results); /* nothing was begun */
	while (imap_fetch_begin(play.conn, "a", false, many, IMAP_MOST_BEGUN_UIDS, SECTION_ALL,
				&play.err) == 0)
		begun++;
	CU_ASSERT(begun >= 1 && begun < 4);
	CU_ASSERT_EQUAL(play.err.kind, ERROR_REFUSED);
	while (imap_view_begin(play.conn, "a", false, &unknown, &play.err) == 0)
		begun++;
	CU_ASSERT_EQUAL(begun, IMAP_MOST_BEGUN);
	finish_view(&play, &results); /* not the kind that is the oldest */
	CU_ASSERT_STRING_EQUAL(text_get(&results), "refused refused ");
	text_release(&results);
	imap_close(&play.conn);
	unlink(play.server);
	unlink(play.sent);
	play_release(&play);
}

int main(void)
{
	static const struct test_case cases[] = {{"views", test_views},
						 {"bodies", test_bodies},
						 {"facts and headers", test_facts_and_headers},
						 {"bounds", test_bounds}};

	return run_tests("imap burst", cases, ARRAY_SIZE(cases));
}
