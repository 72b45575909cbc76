/* Whole calls of imap.h against a server whose words are written down here: what is sent, and what
 * is made of the answers. */
#include "imap/imap.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "check.h"
#include "imap_play.h"

/* ---- views ---- */

static const struct view_row {
	const char *capabilities;
	const char *answers;
	struct imap_view_request request;
	int result;
	int kind;
	bool complete;
	const char *seen;
	const char *said; /* without LOGOUT */
} views[] = {
	/* nothing is remembered: all of it, in one write */
	{"UIDPLUS",
	 "* 2 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\nm2 OK x\r\n* 1 FETCH (UID 3 FLAGS (\\Seen))\r\n"
	 "* 2 FETCH (UID 5 FLAGS ())\r\nm3 OK x\r\n",
	 {0, 0, 0, false, NULL, 0},
	 0,
	 VIEW_FULL,
	 true,
	 "3=10 5=0 ",
	 "m2 SELECT \"b\"\r\nm3 UID FETCH 1:4294967295 (UID FLAGS)\r\n"},
	/* one message short */
	{"UIDPLUS",
	 "* 2 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\nm2 OK x\r\n* 1 FETCH (UID 3 FLAGS ())\r\nm3 OK "
	 "x\r\n",
	 {0, 0, 0, false, NULL, 0},
	 0,
	 VIEW_FULL,
	 false,
	 "3=0 ",
	 NULL},
	/* one arrives, one goes, one is told again meanwhile */
	{"UIDPLUS",
	 "* 2 EXISTS\r\nm2 OK x\r\n* 1 FETCH (UID 3 FLAGS ())\r\n* 2 FETCH (UID 5 FLAGS ())\r\n"
	 "* 1 FETCH (UID 3 FLAGS (\\Seen))\r\n* 1 EXPUNGE\r\nm3 OK x\r\n",
	 {0, 0, 0, false, NULL, 0},
	 0,
	 VIEW_FULL,
	 false,
	 "3=0 5=0 ",
	 NULL},
	{"UIDPLUS",
	 "* 2 EXISTS\r\nm2 OK x\r\n* 1 FETCH (UID 3 FLAGS ())\r\n* 2 EXPUNGED\r\nm3 OK x\r\n",
	 {0, 0, 0, false, NULL, 0},
	 0,
	 VIEW_FULL,
	 true,
	 "3=0 ",
	 NULL},
	/* an empty mailbox, and a server that then refuses to FETCH */
	{"UIDPLUS",
	 "* 0 EXISTS\r\nm2 OK x\r\nm3 NO empty\r\n",
	 {0, 0, 0, false, NULL, 0},
	 0,
	 VIEW_FULL,
	 true,
	 "",
	 NULL},
	{"UIDPLUS",
	 "* 1 EXISTS\r\nm2 OK x\r\nm3 NO cannot\r\n",
	 {0, 0, 0, false, NULL, 0},
	 -1,
	 0,
	 false,
	 "",
	 NULL},
	{"UIDPLUS",
	 "m2 NO no such mailbox\r\nm3 BAD none selected\r\n",
	 {0, 0, 0, false, NULL, 0},
	 -1,
	 0,
	 false,
	 "",
	 NULL},
	/* QRESYNC */
	{QUICK,
	 "* 2 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n* OK [HIGHESTMODSEQ 20] x\r\n* VANISHED "
	 "(EARLIER) 1,4\r\n"
	 "* 2 FETCH (UID 5 FLAGS () MODSEQ (20))\r\nm3 OK x\r\n",
	 {9, 15, 6, false, NULL, 0},
	 0,
	 VIEW_DELTA,
	 true,
	 "-1:1 -4:4 5=0 ",
	 "m3 SELECT \"b\" (QRESYNC (9 15))\r\n"},
	{QUICK,
	 "* 2 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n* OK [HIGHESTMODSEQ 15] x\r\nm3 OK x\r\n",
	 {9, 15, 6, false, NULL, 0},
	 0,
	 VIEW_DELTA,
	 true,
	 "",
	 "m3 SELECT \"b\" (QRESYNC (9 15))\r\n"},
	/* another UIDVALIDITY, or a server that went back in time: all of it */
	{QUICK,
	 "* 1 EXISTS\r\n* OK [UIDVALIDITY 8] x\r\n* OK [HIGHESTMODSEQ 20] x\r\nm3 OK x\r\n"
	 "* 1 FETCH (UID 1 FLAGS ())\r\nm4 OK x\r\n",
	 {9, 15, 6, false, NULL, 0},
	 0,
	 VIEW_FULL,
	 true,
	 "1=0 ",
	 "m3 SELECT \"b\" (QRESYNC (9 15))\r\nm4 UID FETCH 1:4294967295 (UID FLAGS)\r\n"},
	{QUICK,
	 "* 1 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n* OK [HIGHESTMODSEQ 14] x\r\nm3 OK x\r\n"
	 "* 1 FETCH (UID 1 FLAGS ())\r\nm4 OK x\r\n",
	 {9, 15, 6, false, NULL, 0},
	 0,
	 VIEW_FULL,
	 true,
	 "1=0 ",
	 NULL},
	/* QRESYNC in name only */
	{QUICK,
	 "m3 BAD what\r\n* 1 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n* OK [HIGHESTMODSEQ 20] x\r\nm4 "
	 "OK x\r\n"
	 "m5 OK x\r\n* 1 FETCH (UID 7 FLAGS ())\r\nm6 OK x\r\n",
	 {9, 15, 6, false, NULL, 0},
	 0,
	 VIEW_FLAGS,
	 true,
	 "7=0 ",
	 "m3 SELECT \"b\" (QRESYNC (9 15))\r\nm4 SELECT \"b\" (CONDSTORE)\r\n"},
	/* CONDSTORE alone */
	{"CONDSTORE",
	 "* 2 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n* OK [HIGHESTMODSEQ 20] x\r\nm2 OK x\r\n"
	 "* 1 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (20))\r\nm3 OK x\r\n* 2 FETCH (UID 7 FLAGS "
	 "())\r\nm4 OK x\r\n",
	 {9, 15, 6, false, NULL, 0},
	 0,
	 VIEW_FLAGS,
	 true,
	 "3=10 7=0 ",
	 "m2 SELECT \"b\" (CONDSTORE)\r\nm3 UID FETCH 1:5 (UID FLAGS) (CHANGEDSINCE 15)\r\n"
	 "m4 UID FETCH 6:4294967295 (UID FLAGS)\r\n"},
	/* the connection ends in the middle */
	{"UIDPLUS",
	 "* 2 EXISTS\r\nm2 OK x\r\n* 1 FETCH (UID 3 FLAGS ())\r\n* BYE gone\r\n",
	 {0, 0, 0, false, NULL, 0},
	 -1,
	 0,
	 false,
	 "3=0 ",
	 NULL},
};

static void test_views(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		const struct view_row *row = &views[i];
		struct play play;
		struct imap_view_sink sink = {&play, see_message, see_vanished, NULL};
		struct imap_view view = {.kind = VIEW_FULL};
		int result;

		play_open(&play, row->capabilities, row->answers);
		result = imap_view(play.conn, "b", false, &row->request, &sink, &view, &play.err);
		CU_ASSERT_EQUAL(result, row->result);
		CU_ASSERT_STRING_EQUAL(text_get(&play.seen), row->seen);
		if (result == 0) {
			CU_ASSERT_EQUAL((int)view.kind, row->kind);
			CU_ASSERT_EQUAL(view.complete, row->complete);
		}
		if (row->said != NULL) {
			play_close(&play);
			CU_ASSERT_EQUAL(strncmp(play.said, row->said, strlen(row->said)), 0);
			CU_ASSERT_PTR_NOT_NULL(strstr(play.said + strlen(row->said), "LOGOUT"));
		} else {
			imap_close(&play.conn);
			unlink(play.server);
			unlink(play.sent);
		}
		play_release(&play);
	}
}

/* ---- lists ---- */

static void test_list(void)
{
	struct arena *arena = arena_new();
	struct imap_mailbox *mailboxes;
	struct play play;
	size_t n;

	play_open(&play, QUICK,
		  "* LIST () \"/\" z\r\n* LIST () \"/\" inbox\r\n* LIST () \"/\" INBOX\r\n"
		  "* LIST (\\Noselect) \"/\" a\r\n* LIST () \"/\" \"#s/x\"\r\n* LIST () \"/\" "
		  "\"#s\"\r\n"
		  "* STATUS z (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4)\r\n"
		  "* STATUS INBOX (MESSAGES 5 UIDNEXT 6 UIDVALIDITY 7)\r\nm3 OK x\r\n");
	CU_ASSERT_EQUAL_FATAL(imap_list(play.conn, arena, true, &mailboxes, &n, &play.err), 0);
	CU_ASSERT_EQUAL_FATAL(n, 3);
	CU_ASSERT_STRING_EQUAL(mailboxes[0].name, "INBOX");
	CU_ASSERT_EQUAL(mailboxes[0].status.exists, 5);
	CU_ASSERT_STRING_EQUAL(mailboxes[1].name, "a");
	CU_ASSERT_TRUE(mailboxes[1].noselect && !mailboxes[1].status.known);
	CU_ASSERT_STRING_EQUAL(mailboxes[2].name, "z");
	CU_ASSERT_EQUAL(mailboxes[2].status.highestmodseq, 4);
	play_close(&play);
	CU_ASSERT_STRING_EQUAL(play.said,
			       "m3 LIST \"\" \"*\" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY "
			       "HIGHESTMODSEQ))\r\nm4 LOGOUT\r\n");
	play_release(&play);
	play_open(&play, "",
		  "* LIST () \"/\" z\r\n* LIST () \"/\" y\r\nm2 OK x\r\nm3 NO not now\r\n"
		  "* STATUS z (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\nm4 OK x\r\n");
	CU_ASSERT_EQUAL_FATAL(imap_list(play.conn, arena, true, &mailboxes, &n, &play.err), 0);
	CU_ASSERT_EQUAL_FATAL(n, 2);
	CU_ASSERT_FALSE(mailboxes[0].status.known);
	CU_ASSERT_TRUE(mailboxes[1].status.known);
	play_close(&play);
	play_release(&play);
	play_open(&play, "", "* LIST () \"/\" z\r\nm2 NO trouble\r\n");
	CU_ASSERT_EQUAL(imap_list(play.conn, arena, false, &mailboxes, &n, &play.err), -1);
	CU_ASSERT_EQUAL(play.err.kind, ERROR_REFUSED);
	play_close(&play);
	play_release(&play);
	arena_free(&arena);
}

/* ---- appends ---- */

static char append_path[2][40];
static struct imap_append *append_now;

static int open_append(void *ctx, size_t i)
{
	(void)ctx;
	append_now[i].fd = open(append_path[i % 2], O_RDONLY);
	return append_now[i].fd >= 0 ? 0 : -1;
}

static void close_append(void *ctx, size_t i)
{
	(void)ctx;
	close(append_now[i].fd);
}

static const struct append_row {
	const char *capabilities;
	const char *answers;
	uint64_t sizes[2]; /* "a\nb" and "c\r\n" */
	int result;
	const char *seen; /* outcome/uid of each */
	const char *said;
} append_rows[] = {
	{"LITERAL+ UIDPLUS",
	 "m2 OK [APPENDUID 7 11] x\r\nm3 OK [APPENDUID 7 12] x\r\n",
	 {4, 3},
	 0,
	 "1/11 1/12 ",
	 "m2 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {4+}\r\na\r\nb\r\n"
	 "m3 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {3+}\r\nc\r\n\r\n"},
	{"",
	 "+ go\r\nm2 OK x\r\n+ go\r\nm3 NO [OVERQUOTA] full\r\n",
	 {4, 3},
	 0,
	 "1/0 2/0 ",
	 "m2 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {4}\r\na\r\nb\r\n"
	 "m3 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {3}\r\nc\r\n\r\n"},
	/* refused before the literal; without a mailbox the rest is not tried */
	{"",
	 "m2 NO [TRYCREATE] none\r\n",
	 {4, 3},
	 0,
	 "2/0 3/0 ",
	 "m2 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {4}\r\nm3 LOGOUT\r\n"},
	/* the file is not of the size that was said: nothing is sent of it */
	{"LITERAL+",
	 "m2 OK x\r\n",
	 {5, 3},
	 0,
	 "3/0 1/0 ",
	 "m2 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {3+}\r\nc\r\n\r\n"},
	/* several at once, refused, then one by one */
	{"LITERAL+ MULTIAPPEND",
	 "m2 OK [APPENDUID 7 11:12] x\r\n",
	 {4, 3},
	 0,
	 "1/11 1/12 ",
	 "m2 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {4+}\r\na\r\nb"
	 " \" 1-Jan-1970 00:00:00 +0000\" {3+}\r\nc\r\n\r\n"},
	{"LITERAL+ MULTIAPPEND",
	 "m2 NO one is bad\r\nm3 OK [APPENDUID 7 11] x\r\nm4 NO bad\r\n",
	 {4, 3},
	 0,
	 "1/11 2/0 ",
	 NULL},
	/* a UID that cannot be right is not believed */
	{"LITERAL+ MULTIAPPEND", "m2 OK [APPENDUID 7 11] x\r\n", {4, 3}, 0, "1/0 1/0 ", NULL},
	{"LITERAL+ MULTIAPPEND", "m2 OK [APPENDUID 7 11:13] x\r\n", {4, 3}, 0, "1/0 1/0 ", NULL},
	{"LITERAL+ UIDPLUS",
	 "m2 OK [APPENDUID 7 x] x\r\nm3 OK [APPENDUID 0 12] x\r\n",
	 {4, 3},
	 0,
	 "1/0 1/0 ",
	 NULL},
	/* too big for the server */
	{"LITERAL+ APPENDLIMIT=3", "m2 OK x\r\n", {4, 3}, 0, "2/0 1/0 ", NULL},
	/* cut: the second is in doubt */
	{"LITERAL+", "m2 OK x\r\n* BYE bye\r\n", {4, 3}, -1, "1/0 0/0 ", NULL},
};

/* The second is for another mailbox. */
static const struct append_row two_mailboxes_rows[] = {
	/* two mailboxes: nothing is waited for between them, and a command has one only */
	{"LITERAL+ MULTIAPPEND",
	 "m2 OK [APPENDUID 7 11] x\r\nm3 OK [APPENDUID 8 2] x\r\n",
	 {4, 3},
	 0,
	 "1/11 1/2 ",
	 "m2 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {4+}\r\na\r\nb\r\n"
	 "m3 APPEND \"c\" \" 1-Jan-1970 00:00:00 +0000\" {3+}\r\nc\r\n\r\n"},
	/* one of them is missing, which says nothing of the other */
	{"",
	 "m2 NO [TRYCREATE] none\r\n+ go\r\nm3 OK x\r\n",
	 {4, 3},
	 0,
	 "2/0 1/0 ",
	 "m2 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {4}\r\n"
	 "m3 APPEND \"c\" \" 1-Jan-1970 00:00:00 +0000\" {3}\r\nc\r\n\r\n"},
	/* no room: in none of them */
	{"",
	 "m2 NO [OVERQUOTA] full\r\n",
	 {4, 3},
	 0,
	 "2/0 3/0 ",
	 "m2 APPEND \"b\" \" 1-Jan-1970 00:00:00 +0000\" {4}\r\nm3 LOGOUT\r\n"},
};

static void write_file(char path[40], const char *text)
{
	int fd;

	snprintf(path, 40, "/tmp/mailtwin-test-XXXXXX");
	fd = mkstemp(path);
	CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void run_append(const struct append_row *row, const char *second)
{
	struct imap_append appends[2];
	struct imap_append_source source = {NULL, open_append, close_append};
	struct play play;

	memset(appends, 0, sizeof(appends));
	for (int i = 0; i < 2; i++) {
		appends[i].mailbox = i == 1 ? second : "b";
		appends[i].size = row->sizes[i];
	}
	append_now = appends;
	play_open(&play, row->capabilities, row->answers);
	CU_ASSERT_EQUAL(imap_append(play.conn, appends, 2, &source, &play.err), row->result);
	for (int i = 0; i < 2; i++)
		text_printf(&play.seen, "%d/%" PRIu32 " ", (int)appends[i].outcome, appends[i].uid);
	CU_ASSERT_STRING_EQUAL(text_get(&play.seen), row->seen);
	if (row->said != NULL) {
		play_close(&play);
		CU_ASSERT_EQUAL(strncmp(play.said, row->said, strlen(row->said)), 0);
	} else {
		imap_close(&play.conn);
		unlink(play.server);
		unlink(play.sent);
	}
	play_release(&play);
}

static void test_appends(void)
{
	write_file(append_path[0], "a\nb");
	write_file(append_path[1], "c\r\n");
	for (size_t i = 0; i < ARRAY_SIZE(append_rows); i++)
		run_append(&append_rows[i], "b");
	for (size_t i = 0; i < ARRAY_SIZE(two_mailboxes_rows); i++)
		run_append(&two_mailboxes_rows[i], "c");
	unlink(append_path[0]);
	unlink(append_path[1]);
}

/* ---- flags ---- */

static void see_flags(void *ctx, uint32_t uid, struct flags flags)
{
	struct play *play = ctx;

	text_printf(&play->seen, "%" PRIu32 ":%x ", uid, (unsigned)flags.system);
}

static const struct store_row {
	const char *capabilities;
	const char *answers; /* from the SELECT on */
	const char *seen;    /* UIDs and their flags: 10 is \\Seen */
	const char *said;
} store_rows[] = {
	{"UIDPLUS", "m2 OK x\r\n* 2 FETCH (UID 4 FLAGS (\\Seen))\r\nm3 OK x\r\n", "4:10 ",
	 "m2 SELECT \"b\"\r\nm3 UID STORE 2,4 +FLAGS (\\Seen)\r\nm4 LOGOUT\r\n"},
	{"UIDPLUS",
	 "m2 OK x\r\n* 2 FETCH (FLAGS (\\Seen))\r\nm3 OK x\r\n"
	 "* 2 FETCH (UID 4 FLAGS (\\Seen))\r\nm4 OK x\r\n",
	 "4:10 ",
	 "m2 SELECT \"b\"\r\nm3 UID STORE 2,4 +FLAGS (\\Seen)\r\n"
	 "m4 UID FETCH 2,4 (UID FLAGS)\r\nm5 LOGOUT\r\n"},
	/* no UIDPLUS: only what is there, and the UID told may be another's */
	{"",
	 "m2 OK x\r\n* SEARCH 1 4\r\nm3 OK x\r\n* 2 FETCH (UID 2 FLAGS (\\Seen))\r\nm4 OK x\r\n"
	 "* 2 FETCH (UID 4 FLAGS (\\Seen))\r\nm5 OK x\r\n",
	 "4:10 ",
	 "m2 SELECT \"b\"\r\nm3 UID SEARCH ALL\r\nm4 UID STORE 4 +FLAGS (\\Seen)\r\n"
	 "m5 UID FETCH 2,4 (UID FLAGS)\r\nm6 LOGOUT\r\n"},
};

static void test_stores(void)
{
	static const uint32_t uids[] = {2, 4};
	static const struct flags seen = {.system = FLAG_SEEN};

	for (size_t i = 0; i < ARRAY_SIZE(store_rows); i++) {
		const struct store_row *row = &store_rows[i];
		struct play play;

		play_open(&play, row->capabilities, row->answers);
		CU_ASSERT_EQUAL_FATAL(imap_select(play.conn, "b", false, NULL, &play.err), 0);
		CU_ASSERT_EQUAL(
			imap_store(play.conn, uids, 2, true, seen, see_flags, &play, &play.err), 0);
		CU_ASSERT_STRING_EQUAL(text_get(&play.seen), row->seen);
		play_close(&play);
		CU_ASSERT_STRING_EQUAL(play.said, row->said);
		play_release(&play);
	}
}

/* ---- the next mailbox, selected along ---- */

#define STORED "m2 OK x\r\n* 2 FETCH (UID 4 FLAGS (\\Seen))\r\nm3 OK x\r\n"
#define SAID_STORE "m2 SELECT \"b\"\r\nm3 UID STORE 2,4 +FLAGS (\\Seen)\r\n"

static const struct next_row {
	const char *capabilities;
	const char *answers; /* from the first SELECT on */
	int result;          /* of the STORE */
	uint32_t exists;     /* in the next mailbox; 0: it cannot be selected */
	const char *seen;
	const char *said;
} next_rows[] = {
	/* what comes behind the answer to STORE is of the next one */
	{"UIDPLUS",
	 STORED "* OK [CLOSED] x\r\n* 1 FETCH (UID 4 FLAGS (\\Deleted))\r\n* 7 EXISTS\r\n"
		"* OK [UIDVALIDITY 9] x\r\nm4 OK x\r\n",
	 0, 7, "4:10 ", SAID_STORE "m4 SELECT \"c\"\r\nm5 LOGOUT\r\n"},
	/* flags without a UID cannot be asked for any more */
	{"UIDPLUS",
	 "m2 OK x\r\n* 2 FETCH (FLAGS (\\Seen))\r\nm3 OK x\r\n* 7 EXISTS\r\n"
	 "* OK [UIDVALIDITY 9] x\r\nm4 OK x\r\n",
	 0, 7, "", SAID_STORE "m4 SELECT \"c\"\r\nm5 LOGOUT\r\n"},
	/* refused: whoever wants it asks again */
	{"UIDPLUS", STORED "m4 NO not now\r\nm5 NO [NONEXISTENT] x\r\n", 0, 0, "4:10 ",
	 SAID_STORE "m4 SELECT \"c\"\r\nm5 SELECT \"c\"\r\nm6 LOGOUT\r\n"},
	/* answered before its turn: nobody knows of which mailbox the rest is */
	{"UIDPLUS", "m2 OK x\r\nm4 OK x\r\nm3 OK x\r\n", -1, 0, "", NULL},
	/* without UIDPLUS the flags are asked for in the mailbox itself */
	{"",
	 "m2 OK x\r\n* SEARCH 2 4\r\nm3 OK x\r\nm4 OK x\r\n* 7 EXISTS\r\n"
	 "* OK [UIDVALIDITY 9] x\r\nm5 OK x\r\n",
	 0, 7, "",
	 "m2 SELECT \"b\"\r\nm3 UID SEARCH ALL\r\nm4 UID STORE 2,4 +FLAGS (\\Seen)\r\n"
	 "m5 SELECT \"c\"\r\nm6 LOGOUT\r\n"},
};

static void run_next(const struct next_row *row)
{
	static const uint32_t uids[] = {2, 4};
	static const struct flags seen = {.system = FLAG_SEEN};
	struct imap_selected selected = {.status = {.exists = 0}};
	struct play play;

	play_open(&play, row->capabilities, row->answers);
	CU_ASSERT_EQUAL_FATAL(imap_select(play.conn, "b", false, NULL, &play.err), 0);
	imap_select_next(play.conn, "c", false);
	CU_ASSERT_EQUAL(imap_store(play.conn, uids, 2, true, seen, see_flags, &play, &play.err),
			row->result);
	CU_ASSERT_EQUAL(imap_select(play.conn, "c", false, &selected, &play.err),
			row->exists != 0 ? 0 : -1);
	CU_ASSERT_EQUAL(selected.status.exists, row->exists);
	CU_ASSERT_EQUAL(selected.status.uidvalidity, row->exists != 0 ? 9 : 0);
	CU_ASSERT_STRING_EQUAL(text_get(&play.seen), row->seen);
	if (row->said != NULL) {
		play_close(&play);
		CU_ASSERT_STRING_EQUAL(play.said, row->said);
	} else {
		CU_ASSERT_EQUAL(play.err.kind, ERROR_NETWORK);
		imap_close(&play.conn);
		unlink(play.server);
		unlink(play.sent);
	}
	play_release(&play);
}

static void test_next(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(next_rows); i++)
		run_next(&next_rows[i]);
}

/* ---- removing ---- */

static const struct destroy_row {
	const char *capabilities;
	const char *answers; /* from the SELECT on */
	int result;
	const char *gone;
	size_t left;
	const char *said;
} destroy_rows[] = {
	{QUICK, "m3 OK x\r\nm4 OK x\r\n* VANISHED 2,4\r\nm5 OK x\r\n", 0, "2 4 ", 0,
	 "m3 SELECT \"b\" (CONDSTORE)\r\nm4 UID STORE 2,4 +FLAGS.SILENT (\\Deleted)\r\n"
	 "m5 UID EXPUNGE 2,4\r\nm6 LOGOUT\r\n"},
	{"UIDPLUS", "m2 OK x\r\nm3 OK x\r\n* 1 EXPUNGE\r\nm4 OK x\r\n* SEARCH 4\r\nm5 OK x\r\n", 0,
	 "2 ", 1,
	 "m2 SELECT \"b\"\r\nm3 UID STORE 2,4 +FLAGS.SILENT (\\Deleted)\r\nm4 UID EXPUNGE 2,4\r\n"
	 "m5 UID SEARCH UID 2,4\r\nm6 LOGOUT\r\n"},
	/* no UIDPLUS: only what is there is marked; all marked are ours */
	{"",
	 "m2 OK x\r\n* SEARCH 1 2 9\r\nm3 OK x\r\nm4 OK x\r\n* SEARCH 2\r\nm5 OK x\r\n* 1 "
	 "EXPUNGED\r\nm6 OK x\r\n"
	 "* SEARCH 1 9\r\nm7 OK x\r\n",
	 0, "2 4 ", 0,
	 "m2 SELECT \"b\"\r\nm3 UID SEARCH ALL\r\nm4 UID STORE 2 +FLAGS.SILENT (\\Deleted)\r\n"
	 "m5 UID SEARCH DELETED\r\nm6 EXPUNGE\r\nm7 UID SEARCH ALL\r\nm8 LOGOUT\r\n"},
	/* somebody else's is marked too: no EXPUNGE */
	{"",
	 "m2 OK x\r\n* SEARCH 2 4\r\nm3 OK x\r\nm4 OK x\r\n* SEARCH 2 3 4\r\nm5 OK x\r\n* SEARCH 2 "
	 "4\r\nm6 OK x\r\n",
	 0, "", 2,
	 "m2 SELECT \"b\"\r\nm3 UID SEARCH ALL\r\nm4 UID STORE 2,4 +FLAGS.SILENT "
	 "(\\Deleted)\r\n"
	 "m5 UID SEARCH DELETED\r\nm6 UID SEARCH ALL\r\nm7 LOGOUT\r\n"},
	{QUICK, "m3 OK x\r\nm4 NO [NOPERM] no\r\nm5 OK x\r\n", -1, "", 2, NULL},
};

static void test_destroy(void)
{
	static const uint32_t uids[] = {2, 4};

	for (size_t i = 0; i < ARRAY_SIZE(destroy_rows); i++) {
		const struct destroy_row *row = &destroy_rows[i];
		struct play play;
		size_t left;

		play_open(&play, row->capabilities, row->answers);
		CU_ASSERT_EQUAL_FATAL(imap_select(play.conn, "b", false, NULL, &play.err), 0);
		CU_ASSERT_EQUAL(imap_destroy(play.conn, uids, 2, see_uid, &play, &left, &play.err),
				row->result);
		CU_ASSERT_STRING_EQUAL(text_get(&play.seen), row->gone);
		CU_ASSERT_EQUAL(left, row->left);
		play_close(&play);
		if (row->said != NULL)
			CU_ASSERT_STRING_EQUAL(play.said, row->said);
		play_release(&play);
	}
}

/* ---- copies and moves ---- */

#define STATUS "* STATUS c (UIDNEXT 13)\r\nm5 OK x\r\n"
#define STAYED IMAP_STAYED

static const struct transfer_row {
	bool move;
	const char *answers;
	uint32_t targets[2];
	uint32_t uidvalidity, uidnext;
} transfer_rows[] = {
	{false, "m4 OK [COPYUID 7 2,4 11:12] x\r\n" STATUS, {11, 12}, 7, 13},
	{false, "* OK [COPYUID 7 2,4 11:12] x\r\nm4 OK x\r\nm5 NO x\r\n", {11, 12}, 7, 0},
	{false, "m4 OK [COPYUID 7 4 12] x\r\n" STATUS, {0, 12}, 7, 13},
	{false, "m4 OK x\r\n" STATUS, {0, 0}, 0, 13},
	{false, "m4 OK [COPYUID 7 2,4 11:13] x\r\n" STATUS, {0, 0}, 0, 13},
	{false, "m4 OK [COPYUID 0 2,4 11:12] x\r\n" STATUS, {0, 0}, 0, 13},
	{false, "* OK [COPYUID 7 2 11] x\r\nm4 OK [COPYUID 8 4 12] x\r\n" STATUS, {0, 0}, 0, 13},
	{true,
	 "* OK [COPYUID 7 2,4 11:12] x\r\n* VANISHED 1:4\r\nm4 OK x\r\n" STATUS,
	 {11, 12},
	 7,
	 13},
	{true,
	 "* OK [COPYUID 7 2,4 11:12] x\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\nm4 OK x\r\n" STATUS,
	 {11, 12},
	 7,
	 13},
	/* Neither was told: they are looked for. */
	{true,
	 "m4 OK [COPYUID 7 2,4 11:12] x\r\n" STATUS "* SEARCH\r\nm6 OK x\r\n",
	 {11, 12},
	 7,
	 13},
	{true,
	 "m4 OK [COPYUID 7 2,4 11:12] x\r\n" STATUS "* SEARCH 4\r\nm6 OK x\r\n",
	 {11, STAYED},
	 7,
	 13},
	{true,
	 "* VANISHED (EARLIER) 1:4\r\n* VANISHED 2\r\nm4 OK x\r\n" STATUS
	 "* SEARCH 4\r\nm6 OK x\r\n",
	 {0, STAYED},
	 0,
	 13},
};

static void test_transfers(void)
{
	static const uint32_t uids[] = {2, 4};

	for (size_t i = 0; i < ARRAY_SIZE(transfer_rows); i++) {
		const struct transfer_row *row = &transfer_rows[i];
		char *answers = xasprintf("* 5 EXISTS\r\nm3 OK x\r\n%s", row->answers);
		struct imap_copy_result result;
		uint32_t targets[2];
		struct play play;

		play_open(&play, QUICK, answers);
		CU_ASSERT_EQUAL_FATAL(imap_select(play.conn, "b", false, NULL, &play.err), 0);
		CU_ASSERT_EQUAL((row->move ? imap_move : imap_copy)(play.conn, uids, 2, "c",
								    targets, &result, &play.err),
				0);
		CU_ASSERT_EQUAL(targets[0], row->targets[0]);
		CU_ASSERT_EQUAL(targets[1], row->targets[1]);
		CU_ASSERT_EQUAL(result.uidvalidity, row->uidvalidity);
		CU_ASSERT_EQUAL(result.uidnext, row->uidnext);
		play_close(&play);
		play_release(&play);
		free(answers);
	}
}

/* The next mailbox is selected along; where the server did not tell that all went, the source is looked at
 * again, if it is still that one. */
static void test_moves_with_next(void)
{
	static const struct {
		const char *answers;
		int result;
		uint32_t second; /* target of the second message */
		const char *said;
	} rows[] = {
		{"* VANISHED 2,4\r\nm4 OK x\r\n" STATUS "* 9 EXISTS\r\nm6 OK x\r\n", 0, 12, ""},
		{"* 1 EXPUNGE\r\n* 1 EXPUNGE\r\nm4 OK x\r\n" STATUS "* 9 EXISTS\r\nm6 OK x\r\n", 0,
		 12, ""},
		{"m4 OK x\r\n" STATUS "* 2 EXISTS\r\nm6 OK x\r\n* OK [UIDVALIDITY 7] x\r\n"
		 "m7 OK x\r\n* SEARCH 4\r\nm8 OK x\r\n",
		 0, STAYED, "m7 SELECT \"b\" (CONDSTORE)\r\nm8 UID SEARCH ALL\r\n"},
		{"m4 OK x\r\n" STATUS "* 2 EXISTS\r\nm6 OK x\r\n* OK [UIDVALIDITY 8] x\r\n"
		 "m7 OK x\r\n",
		 -1, 12, "m7 SELECT \"b\" (CONDSTORE)\r\n"},
	};
	static const uint32_t uids[] = {2, 4};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *answers = xasprintf("* 5 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nm3 OK x\r\n"
					  "* OK [COPYUID 7 2,4 11:12] x\r\n%s",
					  rows[i].answers);
		struct imap_copy_result result;
		uint32_t targets[2];
		struct play play;

		play_open(&play, QUICK, answers);
		CU_ASSERT_EQUAL_FATAL(imap_select(play.conn, "b", false, NULL, &play.err), 0);
		imap_select_next(play.conn, "d", false);
		CU_ASSERT_EQUAL(imap_move(play.conn, uids, 2, "c", targets, &result, &play.err),
				rows[i].result);
		CU_ASSERT(rows[i].result == 0 || play.err.kind == ERROR_CHANGED);
		CU_ASSERT_EQUAL(targets[0], 11);
		CU_ASSERT_EQUAL(targets[1], rows[i].second);
		play_close(&play);
		*strrchr(play.said, 'm') = '\0'; /* LOGOUT */
		free(answers);
		answers = xasprintf("m3 SELECT \"b\" (CONDSTORE)\r\nm4 UID MOVE 2,4 \"c\"\r\n"
				    "m5 STATUS \"c\" (UIDNEXT)\r\n"
				    "m6 SELECT \"d\" (CONDSTORE)\r\n%s",
				    rows[i].said);
		CU_ASSERT_STRING_EQUAL(play.said, answers);
		play_release(&play);
		free(answers);
	}
}

/* ---- facts ---- */

static void see_facts(void *ctx, const struct imap_facts *facts)
{
	struct play *play = ctx;

	text_printf(&play->seen, "%" PRIu32 "=%" PRIu32 " ", facts->uid, facts->size);
}

#define FACTS " (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n"
#define FACT(uid, size) "* 1 FETCH (UID " uid " FLAGS () RFC822.SIZE " size ")\r\n"

static void test_facts(void)
{
	static const struct {
		const char *answers;
		enum error_kind kind;
		uint32_t uidvalidity;
		const char *seen;
		const char *said;
	} rows[] = {
		/* in one write; what was told before the mailbox was selected is of another */
		{FACT("3", "1") "* OK [UIDVALIDITY 9] x\r\nm2 OK x\r\n" FACT("3", "7")
			 FACT("5", "8") FACT("4", "9") "m3 OK x\r\n",
		 ERROR_NONE, 9, "3=7 5=8 ", "m2 SELECT \"b\"\r\nm3 UID FETCH 3,5" FACTS},
		/* what was left out is asked for again */
		{"* OK [UIDVALIDITY 9] x\r\nm2 OK x\r\n" FACT("3", "7") "m3 OK x\r\n" FACT(
			 "5", "8") "m4 OK x\r\n",
		 ERROR_NONE, 9, "3=7 5=8 ",
		 "m2 SELECT \"b\"\r\nm3 UID FETCH 3,5" FACTS "m4 UID FETCH 5" FACTS},
		{"m2 NO [NONEXISTENT] gone\r\nm3 BAD none is selected\r\n", ERROR_NOT_FOUND, 0, "",
		 "m2 SELECT \"b\"\r\nm3 UID FETCH 3,5" FACTS},
		{"* OK [UIDVALIDITY 9] x\r\nm2 OK x\r\nm3 NO not now\r\nm4 NO not now\r\nm5 NO "
		 "x\r\n",
		 ERROR_REFUSED, 9, "", NULL},
	};
	static const uint32_t uids[] = {3, 5};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct play play;
		struct imap_facts_request request = {
			.mailbox = "b", .uids = uids, .n = 2, .fn = see_facts, .ctx = &play};
		struct imap_selected selected;
		int result;

		play_open(&play, "UIDPLUS", rows[i].answers);
		result = imap_fetch_facts(play.conn, &request, &selected, &play.err);
		CU_ASSERT_EQUAL(result, rows[i].kind == ERROR_NONE ? 0 : -1);
		CU_ASSERT(result == 0 || play.err.kind == rows[i].kind);
		CU_ASSERT_EQUAL(selected.status.uidvalidity, rows[i].uidvalidity);
		CU_ASSERT_STRING_EQUAL(text_get(&play.seen), rows[i].seen);
		play_close(&play);
		*strrchr(play.said, 'm') = '\0'; /* LOGOUT */
		if (rows[i].said != NULL)
			CU_ASSERT_STRING_EQUAL(play.said, rows[i].said);
		play_release(&play);
	}
}

/* ---- making mailboxes ---- */

/* In one write; one that cannot be made keeps nothing from the others, and only those that were are
 * subscribed to. INBOX may be there without having been listed. */
static void test_create(void)
{
	struct imap_creation list[] = {{.mailbox = "a"},     {.mailbox = "b"},   {.mailbox = "c"},
				       {.mailbox = "INBOX"}, {.mailbox = "d\n"}, {.mailbox = "e"}};
	struct play play;

	play_open(&play, "",
		  "m2 OK x\r\nm3 NO [ALREADYEXISTS] x\r\nm4 NO [NONEXISTENT] x\r\n"
		  "m5 NO mailbox already exists\r\nm7 NO [NOPERM] x\r\n"
		  "m8 NO x\r\nm9 OK x\r\n");
	CU_ASSERT_EQUAL(imap_create(play.conn, list, ARRAY_SIZE(list), &play.err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		text_printf(&play.seen, "%s ",
			    list[i].made                          ? "made"
			    : list[i].err.kind == ERROR_NOT_FOUND ? "missing"
			    : list[i].err.kind == ERROR_REFUSED   ? "refused"
								  : "?");
	CU_ASSERT_STRING_EQUAL(text_get(&play.seen), "made refused missing made refused refused ");
	play_close(&play);
	CU_ASSERT_STRING_EQUAL(play.said,
			       "m2 CREATE \"a\"\r\nm3 CREATE \"b\"\r\nm4 CREATE \"c\"\r\n"
			       "m5 CREATE \"INBOX\"\r\nm7 CREATE \"e\"\r\nm8 SUBSCRIBE \"a\"\r\n"
			       "m9 SUBSCRIBE \"INBOX\"\r\nm10 LOGOUT\r\n");
	play_release(&play);
}

/* ---- what must not be sent ---- */

static void test_injection(void)
{
	struct play play;

	play_open(&play, "", "m3 OK x\r\nm4 OK x\r\n");
	CU_ASSERT_EQUAL(imap_delete(play.conn, "a\r\nm9 DELETE b", &play.err), -1);
	CU_ASSERT_EQUAL(play.err.kind, ERROR_REFUSED);
	CU_ASSERT_EQUAL(imap_delete(play.conn, "a\"b\\c", &play.err), 0);
	play_close(&play);
	CU_ASSERT_STRING_EQUAL(play.said, "m3 DELETE \"a\\\"b\\\\c\"\r\nm4 LOGOUT\r\n");
	play_release(&play);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"views", test_views},
		{"lists", test_list},
		{"appends", test_appends},
		{"removing", test_destroy},
		{"transfers", test_transfers},
		{"injection", test_injection},
		{"facts", test_facts},
		{"flags", test_stores},
		{"create", test_create},
		{"next", test_next},
		{"moves with next", test_moves_with_next},
	};

	return run_tests("imap session", cases, ARRAY_SIZE(cases));
}
