/* Responses as servers send them, and as none should: the small parsers by tables, and whole
 * responses through a tunnel that prints canned bytes. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"

/* ---- the small parsers ---- */

static void test_status_text(void)
{
	static const struct {
		const char *in;
		bool good;
		int condition;
		const char *code, *args, *text;
	} rows[] = {
		{"OK done", true, CONDITION_OK, "", "", "done"},
		{"OK", true, CONDITION_OK, "", "", ""},
		{"ok [uidNext 5] hi", true, CONDITION_OK, "UIDNEXT", "5", "hi"},
		{"OK [UIDNEXT 5]", true, CONDITION_OK, "UIDNEXT", "5", ""},
		{"NO [TRYCREATE]x", true, CONDITION_NO, "TRYCREATE", "", "x"},
		{"OK [PERMANENTFLAGS (a]b \\*)] y", true, CONDITION_OK, "PERMANENTFLAGS",
		 "(a]b \\*)", "y"},
		{"NO [BADCHARSET (\"x]\")] y", true, CONDITION_NO, "BADCHARSET", "(\"x]\")", "y"},
		{"OK [PERMANENTFLAGS (a] y", true, CONDITION_OK, "PERMANENTFLAGS", "(a", "y"},
		{"OK [UNENDED", true, CONDITION_OK, "", "", "UNENDED"},
		{"OK [", true, CONDITION_OK, "", "", ""},
		{"BAD what", true, CONDITION_BAD, "", "", "what"},
		{"BYE [UNAVAILABLE] later", true, CONDITION_BYE, "UNAVAILABLE", "", "later"},
		{"PREAUTH hello", true, CONDITION_PREAUTH, "", "", "hello"},
		{"OK [ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ 1] x", true, CONDITION_OK, "", "1", "x"},
		{"OKAY x", false, 0, "", "", ""},
		{"", false, 0, "", "", ""},
		{"LIST ()", false, 0, "", "", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct status_text status;
		bool good = status_text_parse(rows[i].in, strlen(rows[i].in), &status);

		CU_ASSERT_EQUAL(good, rows[i].good);
		if (!good)
			continue;
		CU_ASSERT_EQUAL((int)status.condition, rows[i].condition);
		CU_ASSERT_STRING_EQUAL(status.code, rows[i].code);
		CU_ASSERT_EQUAL(status.text.len, strlen(rows[i].text));
		CU_ASSERT_EQUAL(memcmp(status.text.data, rows[i].text, status.text.len), 0);
		CU_ASSERT_EQUAL(status.args.len, strlen(rows[i].args));
		CU_ASSERT_EQUAL(memcmp(status.args.data, rows[i].args, status.args.len), 0);
	}
}

static void test_dates(void)
{
	static const struct {
		const char *in;
		int64_t date;
	} rows[] = {
		{"01-Jan-1970 00:00:00 +0000", 0},
		{" 1-jan-1970 00:00:01 +0000", 1},
		{"1-Jan-1970 00:00:01 +0000", 1},
		{"17-Jul-1996 02:44:25 -0700", 837596665},
		{"29-Feb-2024 12:00:00 +0130", 1709202600},
		{"31-Dec-1969 23:59:59 +0000", -1},
		{"30-Dec-1899 00:00:00 +0000", INT64_C(-2209161600)},
		{"31-Dec-9999 23:59:59 +0000", INT64_C(253402300799)},
		{"32-Jan-1970 00:00:00 +0000", INT64_MIN},
		{"01-Foo-1970 00:00:00 +0000", INT64_MIN},
		{"01-Jan-1970 24:00:00 +0000", INT64_MIN},
		{"01-Jan-70 00:00:00 +0000", INT64_MIN},
		{"01-Jan-1970 00:00:00 GMT", INT64_MIN},
		{"", INT64_MIN},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CU_ASSERT_EQUAL(fetch_date(rows[i].in, strlen(rows[i].in)), rows[i].date);
}

/* Every date that can be sent is read back as the same. */
static void test_dates_return(void)
{
	static const int64_t dates[] = {0,         1,          951782399, 951782400, 1709164800,
					-86400000, 4102444800, 978307199, -1};
	struct imap_conn conn;

	memset(&conn, 0, sizeof(conn));
	for (size_t i = 0; i < ARRAY_SIZE(dates); i++) {
		text_clear(&conn.out);
		command_date(&conn, dates[i]);
		CU_ASSERT_EQUAL_FATAL(conn.out.len, 29);
		CU_ASSERT_EQUAL(fetch_date(conn.out.data + 2, 26), dates[i]);
	}
	text_clear(&conn.out);
	command_date(&conn, INT64_MIN);
	CU_ASSERT_EQUAL(conn.out.len, 0);
	text_release(&conn.out);
}

static void test_uid_sets(void)
{
	static const struct {
		const char *in;
		int result;
		const char *uids;
	} rows[] = {
		{"3", 0, "3 "},
		{"3,5:7,9", 0, "3 5 6 7 9 "},
		{"7:5", 0, "5 6 7 "},
		{"1:10", 0, "1 2 3 4 5 6 7 8 9 10 "},
		{"1:11", -1, ""},
		{"0", -1, ""},
		{"1:4294967295", -1, ""},
		{"4294967296", -1, ""},
		{"", -1, ""},
		{"1,", -1, ""},
		{"1:*", -1, ""},
		{"1;2", -1, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t uids[10];
		struct text out = {0};
		size_t n;
		int result = uid_set_expand(rows[i].in, strlen(rows[i].in), uids, 10, &n);

		CU_ASSERT_EQUAL(result, rows[i].result);
		for (size_t k = 0; k < n && result == 0; k++)
			text_printf(&out, "%" PRIu32 " ", uids[k]);
		CU_ASSERT_STRING_EQUAL(text_get(&out), rows[i].uids);
		text_release(&out);
	}
}

static void test_literals(void)
{
	static const struct {
		const char *in;
		int result;
		size_t cut;
		uint64_t size;
	} rows[] = {
		{"* LIST () \"/\" {3}", 1, 14, 3},
		{"x {0}", 1, 2, 0},
		{"x {12+}", 1, 2, 12},
		{"x ~{12}", 1, 2, 12},
		{"{4294967295}", 1, 0, 4294967295U},
		{"{4294967296}", -1, 0, 0},
		{"{99999999999999999999999}", -1, 0, 0},
		{"x {}", 0, 0, 0},
		{"x {a}", 0, 0, 0},
		{"x 3}", 0, 0, 0},
		{"x {3} ", 0, 0, 0},
		{"", 0, 0, 0},
		{"}", 0, 0, 0},
		{"{+}", 0, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct line line = {rows[i].in, strlen(rows[i].in)};
		uint64_t size = 0;
		size_t cut = 0;

		CU_ASSERT_EQUAL(line_literal(&line, &cut, &size, NULL), rows[i].result);
		CU_ASSERT_EQUAL(cut, rows[i].cut);
		CU_ASSERT_EQUAL(size, rows[i].size);
	}
}

/* RFC 7677 section 3. */
static void test_scram(void)
{
	struct scram *scram = scram_new("user", "pencil", "rOprNGfwEbeRWgbNEkqO");
	struct error err;
	const char *final;

	CU_ASSERT_STRING_EQUAL(scram_first(scram), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
	CU_ASSERT_PTR_NULL(scram_final(scram, "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", &err));
	CU_ASSERT_PTR_NULL(scram_final(scram, "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=0", &err));
	CU_ASSERT_PTR_NULL(scram_final(scram, "", &err));
	final = scram_final(scram,
			    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
			    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			    &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(final);
	CU_ASSERT_STRING_EQUAL(final, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
				      "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
	CU_ASSERT_EQUAL(scram_verify(scram, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", &err),
			0);
	CU_ASSERT_EQUAL(scram_verify(scram, "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", &err),
			-1);
	CU_ASSERT_EQUAL(scram_verify(scram, "e=invalid-proof", &err), -1);
	scram_free(&scram);
	scram = scram_new("a,b=c", "x", "n");
	CU_ASSERT_STRING_EQUAL(scram_first(scram), "n,,n=a=2Cb=3Dc,r=n");
	scram_free(&scram);
}

/* ---- whole responses ---- */

struct seen {
	struct text text;
};

static void see_fetch(void *ctx, const struct fetch *fetch)
{
	struct seen *seen = ctx;
	const struct imap_facts *facts = &fetch->facts;

	text_printf(&seen->text, "F%" PRIu32, fetch->seq);
	if ((fetch->items & ITEM_UID) != 0)
		text_printf(&seen->text, " u%" PRIu32, facts->uid);
	if ((fetch->items & ITEM_FLAGS) != 0)
		text_printf(&seen->text, " f%x/%x", facts->flags.system, facts->flags.keywords);
	if ((fetch->items & ITEM_MODSEQ) != 0)
		text_printf(&seen->text, " m%" PRIu64, fetch->modseq);
	if ((fetch->items & ITEM_SIZE) != 0)
		text_printf(&seen->text, " s%" PRIu32, facts->size);
	if ((fetch->items & ITEM_DATE) != 0 && facts->date != INT64_MIN)
		text_printf(&seen->text, " d%" PRId64, facts->date);
	if ((fetch->items & ITEM_ID) != 0) {
		struct hash known = hash_of_string("M1");

		text_puts(&seen->text, hash_equal(&known, &facts->id) ? " iM1" : " i?");
	}
	text_puts(&seen->text, (fetch->items & ITEM_BODY) != 0 ? " B;" : ";");
}

static void see_vanished(void *ctx, uint32_t first, uint32_t last, bool earlier)
{
	struct seen *seen = ctx;

	text_printf(&seen->text, "V%s%" PRIu32 ":%" PRIu32 ";", earlier ? "e" : "", first, last);
}

static void see_list(void *ctx, const struct list_entry *entry)
{
	struct seen *seen = ctx;

	text_printf(&seen->text, "L%s|%c|%d%d%d;", entry->wire,
		    entry->delimiter != '\0' ? entry->delimiter : '0', entry->noselect,
		    entry->noinferiors, (int)entry->special);
}

static void see_status(void *ctx, const char *wire, const struct imap_status *status)
{
	struct seen *seen = ctx;

	text_printf(&seen->text, "S%s|%d %u %u %u %" PRIu64 " %s;", wire, status->known,
		    status->exists, status->uidnext, status->uidvalidity, status->highestmodseq,
		    status->mailbox_id);
}

static void see_search(void *ctx, uint32_t number)
{
	struct seen *seen = ctx;

	text_printf(&seen->text, "?%" PRIu32 ";", number);
}

static void see_begin(void *ctx, uint32_t uid, uint64_t size)
{
	struct seen *seen = ctx;

	text_printf(&seen->text, "<%" PRIu32 ",%" PRIu64 ":", uid, size);
}

static void see_data(void *ctx, const char *data, size_t len)
{
	struct seen *seen = ctx;

	text_add(&seen->text, data, len);
}

/* What a tunnel that prints the bytes leads to: what was seen, and the error that ended it. */
static char *feed(const char *bytes, size_t len, struct error *err)
{
	struct seen seen = {{0}};
	struct operation operation = {.ctx = &seen,
				      .fetch = see_fetch,
				      .vanished = see_vanished,
				      .list = see_list,
				      .status = see_status,
				      .search = see_search,
				      .body_begin = see_begin,
				      .body_data = see_data};
	struct imap_conn conn;
	struct stream_options options = {.timeout = 10, .stop_fd = -1};
	char path[] = "/tmp/mailtwin-test-XXXXXX";
	int fd = mkstemp(path);
	char *command = xasprintf("cat %s 2>/dev/null", path);

	memset(&conn, 0, sizeof(conn));
	conn.ns.prefix = "";
	conn.keywords = keyword_pool_new();
	conn.operation = &operation;
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, bytes, len), (ssize_t)len);
	close(fd);
	options.tunnel = command;
	CU_ASSERT_EQUAL_FATAL(stream_open(&conn.stream, &options, err), 0);
	reader_init(&conn.reader, conn.stream);
	while (conn_read(&conn, err) == 0)
		continue;
	stream_close(&conn.stream);
	reader_release(&conn.reader);
	text_release(&conn.assembled);
	text_release(&conn.continuation);
	keyword_pool_free(&conn.keywords);
	unlink(path);
	free(command);
	return text_steal(&seen.text);
}

static const struct {
	const char *in;
	const char *seen;
	enum error_kind end; /* NETWORK: all of it was read, then came the end of input */
} responses[] = {
	/* FETCH: order, unknown items, forms */
	{"* 1 FETCH (UID 7 FLAGS (\\Seen))\r\n", "F1 u7 f10/0;", ERROR_NETWORK},
	{"* 1 FETCH (FLAGS () UID 7)\r\n", "F1 u7 f0/0;", ERROR_NETWORK},
	{"* 1 FETCH (FLAGS (\\Seen \\Recent junk JUNK) MODSEQ (12) UID 7)\n", "F1 u7 f10/1 m12;",
	 ERROR_NETWORK},
	{"* 1 fetch (uid 7 flags (\\seen))\r\n", "F1 u7 f10/0;", ERROR_NETWORK},
	{"* 1 FETCH ( UID 7  FLAGS (\\Seen) )\r\n", "F1 u7 f10/0;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 X-NEW (a \"b)\" (c)) RFC822.SIZE 44)\r\n", "F1 u7 s44;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 X {3}\r\na)b FLAGS ())\r\n", "F1 u7 f0/0;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 X ({3}\r\na)b \"q\\\"(\" NIL) FLAGS ())\r\n", "F1 u7 f0/0;",
	 ERROR_NETWORK},
	{"* 1 FETCH (UID 7 RFC822.SIZE 5000000000)\r\n", "F1 u7 s0;", ERROR_NETWORK},
	{"* 1 FETCH (INTERNALDATE \" 1-Jan-1970 00:00:09 +0000\" UID 7)\r\n", "F1 u7 d9;",
	 ERROR_NETWORK},
	{"* 1 FETCH (INTERNALDATE NIL UID 7)\r\n", "F1 u7;", ERROR_NETWORK},
	{"* 1 FETCH (EMAILID (M1) UID 7)\r\n* 2 FETCH (X-GUID M1)\r\n* 3 FETCH (X-GUID \"M1\")\r\n",
	 "F1 u7 iM1;F2 iM1;F3 iM1;", ERROR_NETWORK},
	{"* 1 FETCH (X-GM-MSGID 12 UID 7)\r\n", "F1 u7 i?;", ERROR_NETWORK},
	{"* 1 FETCH (UID 0 FLAGS ())\r\n", "F1 f0/0;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 UID 7)\r\n", "F1 u7;", ERROR_NETWORK},
	/* bodies */
	{"* 1 FETCH (UID 7 BODY[] {5}\r\nab\r\nc FLAGS ())\r\n", "<7,5:ab\r\ncF1 u7 f0/0 B;",
	 ERROR_NETWORK},
	{"* 1 FETCH (BODY[] {0}\r\n UID 7)\r\n", "<0,0:F1 u7 B;", ERROR_NETWORK},
	{"* 1 FETCH (BODY[] \"a\\\"b\\\\\" UID 7)\r\n", "<0,4:a\"b\\F1 u7 B;", ERROR_NETWORK},
	{"* 1 FETCH (BODY[] NIL UID 7)\r\n", "F1 u7;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 body[header] {2}\r\n\r\n)\r\n", "<7,2:\r\nF1 u7 B;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 BODY[]<0> {2}\r\nab)\r\n", "F1 u7;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 BODY[TEXT] {2}\r\nab)\r\n", "F1 u7;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 BODY[] {1}\r\na BODY[] {1}\r\nb)\r\n", "<7,1:aF1 u7 B;", ERROR_NETWORK},
	/* malformed FETCH: one line is passed over, more ends the connection */
	{"* 1 FETCH (UID x)\r\n* 2 FETCH (UID 8)\r\n", "F2 u8;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7\r\n* 2 FETCH (UID 8)\r\n", "F2 u8;", ERROR_NETWORK},
	{"* 1 FETCH UID 7\r\n* 2 FETCH (UID 8)\r\n", "F2 u8;", ERROR_NETWORK},
	{"* 1 FETCH\r\n* 2 FETCH (UID 8)\r\n", "F2 u8;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 UID 8)\r\n* 2 FETCH (UID 8)\r\n", "F2 u8;", ERROR_NETWORK},
	{"* 1 FETCH (UID 4294967296)\r\n* 2 FETCH (UID 8)\r\n", "F2 u8;", ERROR_NETWORK},
	{"* 1 FETCH (X \"a\r\n* 2 FETCH (UID 8)\r\n", "F2 u8;", ERROR_NETWORK},
	{"* 99999999999 FETCH (UID 7)\r\n* 2 FETCH (UID 8)\r\n", "F2 u8;", ERROR_NETWORK},
	{"* 1 FETCH (UID 7 BODY[] {1}\r\nax x\r\n", "<7,1:a", ERROR_SERVER},
	{"* 1 FETCH (UID 7 BODY[] {4294967296}\r\n", "", ERROR_SERVER},
	{"* 1 FETCH (UID x {3}\r\nabc)\r\n", "", ERROR_SERVER},
	{"* 1 FETCH (UID 7 BODY[] {10}\r\nabc", "<7,10:abc", ERROR_NETWORK},
	/* VANISHED */
	{"* VANISHED (EARLIER) 1:3,9\r\n", "Ve1:3;Ve9:9;", ERROR_NETWORK},
	{"* VANISHED 5\r\n", "V5:5;", ERROR_NETWORK},
	{"* VANISHED 9:5\r\n", "V5:9;", ERROR_NETWORK},
	{"* VANISHED x\r\n* VANISHED\r\n", "", ERROR_NETWORK},
	/* LIST, through libetpan */
	{"* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n", "LSent|/|007;", ERROR_NETWORK},
	{"* LIST (\\Noselect) \".\" \"INBOX.a b\"\r\n", "LINBOX.a b|.|100;", ERROR_NETWORK},
	{"* LIST (\\NoInferiors) NIL INBOX\r\n", "LINBOX|0|010;", ERROR_NETWORK},
	{"* LIST (\\NonExistent \\trash) \"/\" {4}\r\na\"b\\\r\n", "La\"b\\|/|108;", ERROR_NETWORK},
	{"* LIST () \"/\" \"a\\\"b\\\\c\"\r\n", "La\"b\\c|/|000;", ERROR_NETWORK},
	{"* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n", "La|/|000;", ERROR_NETWORK},
	{"* LIST () \"/\" \"a (b\" (\"OLDNAME\" (\"c\"))\r\n", "La (b|/|000;", ERROR_NETWORK},
	{"* LIST () \"/\"\r\n", "", ERROR_SERVER},
	{"* LIST () \"/\" {2000000}\r\n", "", ERROR_SERVER},
	/* STATUS */
	{"* STATUS a (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 5 HIGHESTMODSEQ 99999999999)\r\n",
	 "Sa|1 3 4 5 99999999999 ;", ERROR_NETWORK},
	{"* STATUS \"a \\\"b\" (MESSAGES 3 UIDVALIDITY 5 MAILBOXID (F1-x) SIZE 9)\r\n",
	 "Sa \"b|1 3 0 5 0 F1-x;", ERROR_NETWORK},
	{"* STATUS {3}\r\na b (MESSAGES 3 UIDVALIDITY 5)\r\n", "Sa b|1 3 0 5 0 ;", ERROR_NETWORK},
	{"* STATUS a ()\r\n", "Sa|0 0 0 0 0 ;", ERROR_NETWORK},
	{"* STATUS a (MESSAGES\r\n* SEARCH 1\r\n", "?1;", ERROR_NETWORK},
	/* SEARCH */
	{"* SEARCH\r\n", "", ERROR_NETWORK},
	{"* SEARCH 1 2 3\r\n", "?1;?2;?3;", ERROR_NETWORK},
	{"* SEARCH 1 2 (MODSEQ 917162500)\r\n", "?1;?2;", ERROR_NETWORK},
	{"* SEARCH 1 x\r\n", "", ERROR_SERVER},
	/* what is unknown, or crashes libetpan, is passed over */
	{"* ANNOTATION \"x\" (\r\n* ACL\r\n* XLIST (\r\n* THREAD (1\r\n* SEARCH 1\r\n", "?1;",
	 ERROR_NETWORK},
	{"* X-FOO {3}\r\nabc {2}\r\nab\r\n* SEARCH 1\r\n", "?1;", ERROR_NETWORK},
	{"* OK [PERMANENTFLAGS (\x01\r\n* OK [BADCHARSET (\"x\")] y\r\n* SEARCH 1\r\n", "?1;",
	 ERROR_NETWORK},
	{"* OK\r\n* NO\r\n* BAD\r\n+\r\n+ x\r\n\r\n* SEARCH 1\r\n", "?1;", ERROR_NETWORK},
	{"* CAPABILITY\r\n* ENABLED\r\n* ID NIL\r\n* NAMESPACE NIL NIL NIL\r\n* SEARCH 1\r\n",
	 "?1;", ERROR_NETWORK},
	{"* 3 EXPUNGED\r\n* 3 FOO\r\n* 3\r\n* SEARCH 1\r\n", "?1;", ERROR_NETWORK},
	{"* X-FOO {1048577}\r\n", "", ERROR_SERVER},
	/* the end */
	{"* BYE [UNAVAILABLE] maintenance\r\n* SEARCH 1\r\n", "", ERROR_NETWORK},
	{"* BYE Too many connections\r\n* SEARCH 1\r\n", "", ERROR_NETWORK},
	{"* BYE your account is closed\r\n* SEARCH 1\r\n", "", ERROR_SERVER},
	{"m77 OK nobody asked\r\n* SEARCH 1\r\n", "", ERROR_SERVER},
	{"hello\r\n* SEARCH 1\r\n", "", ERROR_SERVER},
	{"", "", ERROR_NETWORK},
};

static void test_responses(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(responses); i++) {
		struct error err = {ERROR_NONE, ""};
		char *seen = feed(responses[i].in, strlen(responses[i].in), &err);

		if (strcmp(seen, responses[i].seen) != 0 || err.kind != responses[i].end)
			fprintf(stderr, "row %zu: %s\n  seen: %s\n  %d %s\n", i, responses[i].in,
				seen, (int)err.kind, err.text);
		CU_ASSERT_STRING_EQUAL(seen, responses[i].seen);
		CU_ASSERT_EQUAL(err.kind, responses[i].end);
		free(seen);
	}
}

static void test_namespaces(void)
{
	static const struct {
		const char *in;
		bool good;
		const char *prefix;
		char delimiter;
		size_t n_foreign;
	} rows[] = {
		{" ((\"\" \"/\")) NIL NIL\r\n", true, "", '/', 0},
		{" ((\"INBOX.\" \".\")) NIL ((\"#s.\" \".\")(\"#t.\" \".\"))\r\n", true, "INBOX.",
		 '.', 2},
		{" ((\"a\\\"\" NIL \"X\" (\"y)\"))) ((\"~\" \"/\")) NIL\r\n", true, "a\"", '\0', 1},
		{" (({2}\r\nxy \"/\")) nil nil\r\n", true, "xy", '/', 0},
		{" NIL NIL NIL\r\n", true, "", '/', 0},
		{" ((\"C \".\" NIL\r\n", false, "", '/', 0},
		{" (({9}\r\nxy \"/\")) NIL NIL\r\n", false, "", '/', 0},
		{" ((\"a\" \"ab\")) NIL NIL\r\n", false, "", '/', 0},
		{" ((\"a\" \"/\" (\r\n", false, "", '/', 0},
		{"", false, "", '/', 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct imap_conn conn;

		memset(&conn, 0, sizeof(conn));
		conn.ns.delimiter = '/';
		conn.ns.prefix = "";
		CU_ASSERT_EQUAL(namespace_take(&conn, rows[i].in, strlen(rows[i].in)),
				rows[i].good);
		CU_ASSERT_STRING_EQUAL(conn.ns.prefix, rows[i].prefix);
		CU_ASSERT_EQUAL(conn.ns.delimiter, rows[i].delimiter);
		CU_ASSERT_EQUAL(conn.n_foreign, rows[i].n_foreign);
		for (size_t k = 0; k < conn.n_foreign; k++)
			free(conn.foreign[k]);
		free(conn.foreign);
		free(conn.ns_prefix);
	}
}

/* A line grows to 8 MiB and no further. */
static void test_long_line(void)
{
	struct text in = {0};
	struct error err;
	char *seen;

	text_puts(&in, "* VANISHED 1");
	while (in.len < ((size_t)7 << 20))
		text_puts(&in, ",11");
	text_puts(&in, "\r\n");
	seen = feed(in.data, in.len, &err);
	CU_ASSERT_EQUAL(err.kind, ERROR_NETWORK);
	CU_ASSERT_EQUAL(strncmp(seen, "V1:1;V11:11;", 12), 0);
	free(seen);
	text_clear(&in);
	text_puts(&in, "* OK ");
	while (in.len < ((size_t)17 << 20))
		text_puts(&in, "xxxxxxxxxxxxxxxx");
	seen = feed(in.data, in.len, &err);
	CU_ASSERT_EQUAL(err.kind, ERROR_SERVER);
	free(seen);
	text_release(&in);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"conditions and codes", test_status_text},
		{"INTERNALDATE", test_dates},
		{"INTERNALDATE there and back", test_dates_return},
		{"sets of UIDs", test_uid_sets},
		{"literals", test_literals},
		{"SCRAM", test_scram},
		{"namespaces", test_namespaces},
		{"responses", test_responses},
		{"long lines", test_long_line},
	};

	return run_tests("imap responses", cases, ARRAY_SIZE(cases));
}
