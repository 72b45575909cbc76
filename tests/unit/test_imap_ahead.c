/* What is sent along with the login, against a server whose words are written down here. */
#include "imap_play.h"

#define GREETING "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] Dovecot ready.\r\n"
#define AFTER "[CAPABILITY IMAP4rev1 ID ENABLE NAMESPACE LIST-STATUS CONDSTORE QRESYNC UIDPLUS] in"
#define LOGGED_IN "m1 OK " AFTER "\r\n"
#define SETUP(a, b, c)                                                         \
	"* ID (\"name\" \"Dovecot\")\r\n" a " OK x\r\n* ENABLED QRESYNC\r\n" b \
	" OK x\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n" c " OK x\r\n"
#define LISTED(tag)                                                                          \
	"* LIST () \"/\" a\r\n* STATUS a (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ " \
	"4)\r\n" tag " OK x\r\n"
#define LOGIN "m1 AUTHENTICATE PLAIN AHUAcA==\r\n"
#define ASKED(a, b, c, d)                                      \
	a " ID *" b " ENABLE QRESYNC\r\n" c " NAMESPACE\r\n" d \
	  " LIST \"\" \"*\" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))\r\n"

static const struct row {
	const char *remembered; /* NULL: what the first row of all told */
	const char *server;
	enum error_kind kind; /* of the login */
	const char *said;     /* '*': whatever is up to the end of that line */
} rows[] = {
	{"", GREETING LOGGED_IN SETUP("m2", "m3", "m4") LISTED("m5"), ERROR_NONE,
	 LOGIN ASKED("m2", "m3", "m4", "m5")},
	{NULL, GREETING LOGGED_IN SETUP("m2", "m3", "m4") LISTED("m5"), ERROR_NONE,
	 LOGIN ASKED("m2", "m3", "m4", "m5")},
	/* it can do less now, or does not tell: what was answered is dropped, all is asked anew */
	{NULL,
	 GREETING "m1 OK [CAPABILITY IMAP4rev1 ID ENABLE NAMESPACE LIST-STATUS CONDSTORE QRESYNC] "
		  "in\r\n" SETUP("m2", "m3", "m4") "* LIST () \"/\" gone\r\nm5 OK x\r\n" SETUP(
			  "m6", "m7", "m8") LISTED("m9"),
	 ERROR_NONE, LOGIN ASKED("m2", "m3", "m4", "m5") ASKED("m6", "m7", "m8", "m9")},
	{NULL,
	 GREETING "m1 OK in\r\n" SETUP("m2", "m3", "m4")
		 LISTED("m5") "* CAPABILITY IMAP4rev1 ID ENABLE NAMESPACE LIST-STATUS CONDSTORE "
			      "QRESYNC UIDPLUS\r\n"
			      "m6 OK x\r\n" SETUP("m7", "m8", "m9") LISTED("m10"),
	 ERROR_NONE,
	 LOGIN ASKED("m2", "m3", "m4", "m5") "m6 CAPABILITY\r\n" ASKED("m7", "m8", "m9", "m10")},
	/* the list is refused: the shorter form, as ever */
	{NULL,
	 GREETING LOGGED_IN SETUP("m2", "m3",
				  "m4") "m5 NO not today\r\n* LIST () \"/\" a\r\nm6 OK x\r\n"
					"* STATUS a (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 "
					"HIGHESTMODSEQ 4)\r\nm7 OK x\r\n",
	 ERROR_NONE, LOGIN ASKED("m2", "m3", "m4", "m5") "m6 LIST \"\" \"*\"\r\nm7 STATUS *"},
	/* a login that is refused is what it was; what follows it is not waited for */
	{NULL, GREETING "m1 NO [AUTHENTICATIONFAILED] no\r\nm2 OK x\r\nm3 BAD x\r\n* BYE x\r\n",
	 ERROR_LOGIN, NULL},
	/* nobody knows whether commands survive the login of this one, or what this note means */
	{NULL,
	 "* OK ready\r\n* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\nm1 OK x\r\nm2 OK " AFTER
	 "\r\n" SETUP("m3", "m4", "m5") LISTED("m6"),
	 ERROR_NONE, "m1 CAPABILITY\r\nm2 AUTHENTICATE *" ASKED("m3", "m4", "m5", "m6")},
	{"dovecot 10000000000", GREETING LOGGED_IN SETUP("m2", "m3", "m4") LISTED("m5"), ERROR_NONE,
	 LOGIN ASKED("m2", "m3", "m4", "m5")},
	{"courier 7fff", GREETING LOGGED_IN SETUP("m2", "m3", "m4") LISTED("m5"), ERROR_NONE,
	 LOGIN ASKED("m2", "m3", "m4", "m5")},
};

static char remembered[IMAP_REMEMBERED];

/* '*' in the pattern stands for the rest of the line; NULL: it does not matter. */
static bool is_like(const char *text, const char *pattern)
{
	if (pattern == NULL)
		return true;
	for (; *pattern != '\0'; pattern++) {
		if (*pattern == '*' && pattern[1] != '"') {
			text = strchr(text, '\n');
			if (text == NULL)
				return false;
			text++;
		} else if (*text++ != *pattern) {
			return false;
		}
	}
	return *text == '\0' || strstr(text, " LOGOUT") != NULL;
}

static void list(struct imap_conn *conn, const struct row *row)
{
	struct imap_mailbox *mailboxes;
	struct arena *arena = arena_new();
	struct error err;
	size_t n = 0;

	CU_ASSERT_EQUAL(imap_list(conn, arena, true, &mailboxes, &n, &err), 0);
	CU_ASSERT_EQUAL_FATAL(n, 1);
	CU_ASSERT_STRING_EQUAL(mailboxes[0].name, "a");
	CU_ASSERT(mailboxes[0].status.known && mailboxes[0].status.highestmodseq == 4);
	if (row == &rows[0])
		imap_remember(conn, remembered);
	CU_ASSERT((imap_capabilities(conn) & CAP_QRESYNC) != 0);
	arena_free(&arena);
}

static void run(const struct row *row)
{
	struct imap_options options = {
		.stream = {.timeout = 10, .stop_fd = -1}, .user = "u", .password = "p"};
	struct play play;
	const struct timespec pause = {0, 10000000};
	FILE *file = play_files(&play);
	char *command;

	fputs(row->server, file);
	fclose(file);
	command = xasprintf("cat %s; exec cat >%s", play.server, play.sent);
	play.pool = keyword_pool_new();
	options.stream.tunnel = command;
	options.auth = AUTH_PLAIN;
	options.keywords = play.pool;
	options.remembered = row->remembered != NULL ? row->remembered : remembered;
	if (row->kind == ERROR_NONE) {
		CU_ASSERT_EQUAL_FATAL(imap_open(&play.conn, &options, &play.err), 0);
		list(play.conn, row);
	} else {
		CU_ASSERT_EQUAL(imap_open(&play.conn, &options, &play.err), -1);
		CU_ASSERT_EQUAL(play.err.kind, row->kind);
	}
	imap_close(&play.conn);
	for (int i = 0; i < 200 && (play.said == NULL || !is_like(play.said, row->said)); i++) {
		nanosleep(&pause, NULL); /* what was sent is on its way through the tunnel */
		free(play.said);
		play.said = read_all(play.sent);
	}
	unlink(play.server);
	unlink(play.sent);
	if (!is_like(play.said, row->said))
		fprintf(stderr, "\nrow %d, said: %s\n", (int)(row - rows), play.said);
	CU_ASSERT(is_like(play.said, row->said));
	play_release(&play);
	free(command);
}

static void test_rows(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run(&rows[i]);
}

/* ---- what is done meanwhile ---- */

struct meanwhile {
	const struct play *play;
	const char *sent; /* must be on its way by then */
	int calls;
	int result;
};

static int work_meanwhile(void *ctx, struct error *err)
{
	struct meanwhile *meanwhile = ctx;
	const struct timespec pause = {0, 10000000};
	bool found = false;

	meanwhile->calls++;
	for (int i = 0; i < 500 && !found; i++) {
		char *said = read_all(meanwhile->play->sent);

		found = said != NULL && strstr(said, meanwhile->sent) != NULL;
		free(said);
		if (!found)
			nanosleep(&pause, NULL);
	}
	CU_ASSERT(found);
	return meanwhile->result == 0 ? 0 : error_set(err, ERROR_LOCAL, "the disk is gone");
}

/* The answers are all there at once, read or not; what was sent is seen as it comes. */
static void open_meanwhile(const char *greeting, const char *rest, const char *sent, int result)
{
	struct imap_options options = {
		.stream = {.timeout = 10, .stop_fd = -1}, .user = "u", .password = "p"};
	struct meanwhile meanwhile = {.sent = sent, .result = result};
	struct play play;
	FILE *file = play_files(&play);
	char *command;

	fputs(rest, file);
	fclose(file);
	command = xasprintf("printf '%s\r\n'; cat %s; exec cat >%s", greeting, play.server,
			    play.sent);
	play.pool = keyword_pool_new();
	meanwhile.play = &play;
	options.stream.tunnel = command;
	options.auth = AUTH_PLAIN;
	options.keywords = play.pool;
	options.remembered = remembered;
	options.meanwhile = work_meanwhile;
	options.meanwhile_ctx = &meanwhile;
	CU_ASSERT_EQUAL(imap_open(&play.conn, &options, &play.err), result);
	CU_ASSERT_EQUAL(meanwhile.calls, 1);
	if (result != 0) {
		CU_ASSERT_EQUAL(play.err.kind, ERROR_LOCAL);
		CU_ASSERT_STRING_EQUAL(play.err.text, "the disk is gone");
	}
	imap_close(&play.conn);
	unlink(play.server);
	unlink(play.sent);
	play_release(&play);
	free(command);
}

static void test_meanwhile(void)
{
	static const char plain[] = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] Dovecot ready.";
	static const char later[] = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready";
	static const char preauth[] = "* PREAUTH [CAPABILITY IMAP4rev1] ready";

	/* with all that goes along with the login */
	open_meanwhile(plain, LOGGED_IN SETUP("m2", "m3", "m4") LISTED("m5"), "m5 LIST", 0);
	/* once, after a login that takes two turns */
	open_meanwhile(
		later,
		"+ \r\nm1 OK [CAPABILITY IMAP4rev1] in\r\n* LIST () \"/\" \"\"\r\nm2 OK x\r\n",
		"AHUAcA==\r\n", 0);
	/* nobody has to log in */
	open_meanwhile(preauth, "* LIST () \"/\" \"\"\r\nm1 OK x\r\n", "", 0);
	open_meanwhile(plain, LOGGED_IN SETUP("m2", "m3", "m4") LISTED("m5"), "AUTHENTICATE", -1);
}

int main(void)
{
	static const struct test_case cases[] = {{"with the login", test_rows},
						 {"meanwhile", test_meanwhile}};

	return run_tests("imap ahead", cases, ARRAY_SIZE(cases));
}
