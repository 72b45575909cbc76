/* What is said: JSON lines to the byte, lines for people, exit statuses, the progress line. */
#include "cmd/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "check.h"
#include "cmd/cmd.h"
#include "cmd/progress.h"

static bool is(char *got, const char *want)
{
	bool equal = strcmp(got, want) == 0;

	if (!equal)
		fprintf(stderr, "\n got: %s\nwant: %s\n", got, want);
	free(got);
	return equal;
}

static void test_json_change(void)
{
	static const struct {
		struct sync_change change;
		const char *want;
	} rows[] = {
		{{CHANGE_DOWNLOAD, "INBOX", 7, "1.M2", NULL},
		 "\"folder\":\"INBOX\",\"verb\":\"download\",\"uid\":7,\"file\":\"1.M2\",\"to\":"
		 "null"},
		{{CHANGE_UPLOAD, "A/B", 0, "x", NULL},
		 "\"folder\":\"A/B\",\"verb\":\"upload\",\"uid\":null,\"file\":\"x\",\"to\":null"},
		{{CHANGE_MOVE_REMOTE, "A", 4294967295U, NULL, "B"},
		 "\"folder\":\"A\",\"verb\":\"move-remote\",\"uid\":4294967295,\"file\":null,"
		 "\"to\":\"B\""},
		{{CHANGE_FOLDER_RENAME_LOCAL, "\xc3\xa4\"\\\n", 0, NULL, "\xf0\x9f\x98\x89"},
		 "\"folder\":\"\xc3\xa4\\\"\\\\\\n\",\"verb\":\"folder-rename-local\",\"uid\":null,"
		 "\"file\":null,\"to\":\"\xf0\x9f\x98\x89\""},
		/* A byte that is not UTF-8 becomes U+FFFD, each for itself. */
		{{CHANGE_DELETE_LOCAL, "\xff-\xc3(\xed\xa0\x80", 1, "\xe2\x82", NULL},
		 "\"folder\":\"\xef\xbf\xbd-\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
		 "\"verb\":\"delete-local\",\"uid\":1,\"file\":\"\xef\xbf\xbd\xef\xbf\xbd\","
		 "\"to\":null"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *want =
			xasprintf("{\"event\":\"change\",\"account\":\"work\",%s}", rows[i].want);

		CU_ASSERT(is(json_change("work", &rows[i].change), want));
		free(want);
	}
}

static void test_words(void)
{
	static const char verbs[] =
		"download upload move-local move-remote copy-remote flags-local flags-remote "
		"delete-local delete-remote folder-create-local folder-create-remote "
		"folder-delete-local folder-delete-remote folder-rename-local "
		"folder-rename-remote ";
	static const char kinds[] = "held refused skipped parked unreadable name folder network "
				    "login certificate local hook ";
	struct text text = {0};

	for (int verb = 0; verb < CHANGE_COUNT; verb++)
		text_printf(&text, "%s ", change_verb_name((enum change_verb)verb));
	CU_ASSERT_STRING_EQUAL(text_get(&text), verbs);
	text_clear(&text);
	for (int kind = 0; kind < PROBLEM_COUNT; kind++)
		text_printf(&text, "%s ", problem_kind_name((enum problem_kind)kind));
	CU_ASSERT_STRING_EQUAL(text_get(&text), kinds);
	text_release(&text);
}

static void test_json_problem(void)
{
	CU_ASSERT(is(json_problem("a", PROBLEM_HELD, "INBOX", "x\x1b"),
		     "{\"event\":\"problem\",\"account\":\"a\",\"folder\":\"INBOX\","
		     "\"kind\":\"held\",\"message\":\"x\\u001B\"}"));
	CU_ASSERT(is(json_problem("a", PROBLEM_HOOK, NULL, ""),
		     "{\"event\":\"problem\",\"account\":\"a\",\"folder\":null,\"kind\":\"hook\","
		     "\"message\":\"\"}"));
}

/* The example of the contract, to the byte. */
static void test_json_summary(void)
{
	static const char want[] =
		"{\"event\":\"summary\",\"account\":\"work\",\"exit\":0,\"folders\":12,"
		"\"messages\":10234,\"downloaded\":5,\"uploaded\":1,\"moved_local\":0,"
		"\"moved_remote\":2,\"copied_remote\":0,\"flags_local\":3,\"flags_remote\":1,"
		"\"deleted_local\":0,\"deleted_remote\":4,\"folders_created_local\":0,"
		"\"folders_created_remote\":0,\"folders_deleted_local\":0,"
		"\"folders_deleted_remote\":0,\"folders_renamed_local\":0,"
		"\"folders_renamed_remote\":0,\"held\":0,\"refused\":0,\"skipped\":0,"
		"\"bytes_in\":48211,\"bytes_out\":2311,\"round_trips\":4,\"seconds\":0.31}";
	struct sync_summary summary = {
		.folders = 12,
		.messages = 10234,
		.changes = {[CHANGE_DOWNLOAD] = 5,
			    [CHANGE_UPLOAD] = 1,
			    [CHANGE_MOVE_REMOTE] = 2,
			    [CHANGE_FLAGS_LOCAL] = 3,
			    [CHANGE_FLAGS_REMOTE] = 1,
			    [CHANGE_DELETE_REMOTE] = 4},
		.bytes_in = 48211,
		.bytes_out = 2311,
		.round_trips = 4,
	};
	struct summary_number numbers[SUMMARY_NUMBERS];

	CU_ASSERT(is(json_summary("work", 0, &summary, 0.3099), want));
	for (size_t i = 0; i < CHANGE_COUNT; i++)
		summary.changes[i] = i + 100;
	summary_numbers(&summary, numbers);
	for (size_t i = 0; i < CHANGE_COUNT; i++)
		CU_ASSERT(numbers[i + 2].value == i + 100);
}

static void test_json_status(void)
{
	struct status_counts counts = {.folders = 3,
				       .messages = 2,
				       .unread = 1,
				       .held = 4,
				       .parked = 5,
				       .skipped = 6,
				       .last_sync = 1700000000};

	CU_ASSERT(is(json_status_folder("a", "INBOX", &counts),
		     "{\"event\":\"folder\",\"account\":\"a\",\"folder\":\"INBOX\",\"messages\":2,"
		     "\"unread\":1,\"held\":4,\"parked\":5,\"skipped\":6,"
		     "\"last_sync\":\"2023-11-14T22:13:20Z\"}"));
	CU_ASSERT(is(json_status_account("a", &counts, 1700000100, 3),
		     "{\"event\":\"account\",\"account\":\"a\",\"folders\":3,\"messages\":2,"
		     "\"unread\":1,\"held\":4,\"parked\":5,\"skipped\":6,"
		     "\"last_sync\":\"2023-11-14T22:13:20Z\",\"age\":100,\"exit\":3}"));
	counts = (struct status_counts){0};
	CU_ASSERT(is(json_status_account("a", &counts, 1700000100, 0),
		     "{\"event\":\"account\",\"account\":\"a\",\"folders\":0,\"messages\":0,"
		     "\"unread\":0,\"held\":0,\"parked\":0,\"skipped\":0,\"last_sync\":null,"
		     "\"age\":null,\"exit\":0}"));
	counts.last_sync = 1700000000; /* a clock that was set back */
	CU_ASSERT(is(json_status_account("a", &counts, 1, 0),
		     "{\"event\":\"account\",\"account\":\"a\",\"folders\":0,\"messages\":0,"
		     "\"unread\":0,\"held\":0,\"parked\":0,\"skipped\":0,"
		     "\"last_sync\":\"2023-11-14T22:13:20Z\",\"age\":0,\"exit\":0}"));
}

static void test_json_folder(void)
{
	struct folder_line line = {.name = "Tr\xc3\xa4sh",
				   .remote = "Tr&AOQ-sh",
				   .special = SPECIAL_TRASH,
				   .chosen = true};

	CU_ASSERT(is(json_folder("a", &line),
		     "{\"event\":\"folder\",\"account\":\"a\",\"folder\":\"Tr\xc3\xa4sh\","
		     "\"remote\":\"Tr&AOQ-sh\",\"local\":null,\"special\":\"\\\\Trash\","
		     "\"chosen\":true,\"reason\":null}"));
	line = (struct folder_line){.name = "x", .local = ".x", .reason = "left out"};
	CU_ASSERT(is(json_folder("a", &line),
		     "{\"event\":\"folder\",\"account\":\"a\",\"folder\":\"x\",\"remote\":null,"
		     "\"local\":\".x\",\"special\":null,\"chosen\":false,"
		     "\"reason\":\"left out\"}"));
}

static void test_human(void)
{
	struct sync_summary summary = {.folders = 2};
	struct sync_change change = {CHANGE_MOVE_LOCAL, "IN\x1b[2J", 3, "f", "T\xff"};

	CU_ASSERT(
		is(human_summary("work", &summary, 0.04, false), "work: nothing changed (0.0 s)"));
	CU_ASSERT(is(human_summary("work", &summary, 0.04, true),
		     "work: dry run: nothing to do (0.0 s)"));
	CU_ASSERT(!summary_has_changes(&summary));
	summary.changes[CHANGE_DOWNLOAD] = 5;
	summary.changes[CHANGE_UPLOAD] = 1;
	summary.changes[CHANGE_MOVE_LOCAL] = summary.changes[CHANGE_MOVE_REMOTE] = 1;
	summary.changes[CHANGE_FLAGS_LOCAL] = 4;
	summary.changes[CHANGE_DELETE_REMOTE] = 1;
	CU_ASSERT(summary_has_changes(&summary));
	CU_ASSERT(is(human_summary("work", &summary, 0.31, false),
		     "work: 5 new, 1 sent, 2 moved, 4 flag changes, 1 deleted (0.3 s)"));
	summary.changes[CHANGE_FOLDER_CREATE_LOCAL] = 1;
	summary.changes[CHANGE_FOLDER_DELETE_REMOTE] = 2;
	summary.held = 1234;
	CU_ASSERT(is(
		human_summary("w", &summary, 60, true),
		"w: dry run: 5 new, 1 sent, 2 moved, 4 flag changes, 1 deleted, 1 folder created, "
		"2 folders removed, 1,234 held (60.0 s)"));
	CU_ASSERT(is(human_change("w", &change), "w: IN\\x1B[2J: move-local uid 3 f to T\\xFF"));
	CU_ASSERT(is(human_problem("w", "A", "no\nway"), "mailtwin: w: A: no\\x0Away"));
	CU_ASSERT(is(human_problem("w", NULL, "x"), "mailtwin: w: x"));
}

static void test_units(void)
{
	static const struct {
		int64_t seconds;
		const char *want;
	} ages[] = {{0, "just now"},
		    {59, "just now"},
		    {60, "1 minute ago"},
		    {359, "5 minutes ago"},
		    {3600, "1 hour ago"},
		    {86400 * 2, "2 days ago"},
		    {86400 * 9, "1 week ago"},
		    {86400 * 61, "2 months ago"},
		    {86400 * 800, "2 years ago"}};
	static const struct {
		uint64_t octets;
		const char *want;
	} sizes[] = {{0, "0 B"},         {999, "999 B"},        {1000, "1.0 kB"},
		     {99949, "99.9 kB"}, {100000, "100 kB"},    {999949, "1000 kB"},
		     {999960, "1.0 MB"}, {12300000, "12.3 MB"}, {5000000000, "5.0 GB"}};

	for (size_t i = 0; i < ARRAY_SIZE(ages); i++)
		CU_ASSERT(is(human_age(ages[i].seconds), ages[i].want));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		CU_ASSERT(is(human_size(sizes[i].octets), sizes[i].want));
	CU_ASSERT(is(human_number(0), "0"));
	CU_ASSERT(is(human_number(999), "999"));
	CU_ASSERT(is(human_number(1234567), "1,234,567"));
}

static void test_statuses(void)
{
	static const struct {
		enum error_kind kind;
		int status;
	} rows[] = {{ERROR_NONE, 0},        {ERROR_USAGE, 64},   {ERROR_CONFIG, 78},
		    {ERROR_LOCAL, 74},      {ERROR_NETWORK, 75}, {ERROR_SERVER, 75},
		    {ERROR_BUSY, 75},       {ERROR_STOPPED, 75}, {ERROR_LOGIN, 77},
		    {ERROR_CERTIFICATE, 77}};
	static const int order[] = {64, 78, 77, 74, 75, 3, 1, 0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = {.kind = rows[i].kind};

		CU_ASSERT(exit_status_of(&err) == rows[i].status);
	}
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		for (size_t j = i; j < ARRAY_SIZE(order); j++) {
			CU_ASSERT(worse_status(order[i], order[j]) == order[i]);
			CU_ASSERT(worse_status(order[j], order[i]) == order[i]);
		}
	}
}

static void test_progress(void)
{
	struct progress_view view = {.account = "work"}, other = {.account = "home"};
	struct progress_view news = {
		.phase = PHASE_DOWNLOAD, .total = 4000, .folder = "B\xc3\xa9\x1b"};
	const struct progress_view *both[] = {&view, &other};

	progress_note(&view, &news, 100);
	CU_ASSERT(is(progress_line(both, 1, 200, 100.5),
		     "work: downloading 0/4,000, 0 B, B\xc3\xa9\\x1B"));
	news.done = 1000;
	news.bytes = 20000000;
	progress_note(&view, &news, 110);
	CU_ASSERT(
		is(progress_line(both, 1, 200, 110),
		   "work: downloading 1,000/4,000, 20.0 MB, 2.0 MB/s, 0:30 left, B\xc3\xa9\\x1B"));
	CU_ASSERT(is(progress_line(both, 1, 9, 110), "work: dow"));
	CU_ASSERT(is(progress_line(both, 1, 65, 110),
		     "work: downloading 1,000/4,000, 20.0 MB, 2.0 MB/s, 0:30 left, B\xc3\xa9\\x"));
	other.phase = PHASE_UPLOAD;
	other.done = 3;
	CU_ASSERT(is(progress_line(both, 2, 200, 110),
		     "work: downloading 1,000/4,000 | home: uploading 3"));
	/* A new phase begins anew. */
	news = (struct progress_view){.phase = PHASE_UPLOAD, .done = 5, .total = 10, .bytes = 7};
	progress_note(&view, &news, 120);
	CU_ASSERT(view.phase_began == 120 && view.bytes_before == 7 && view.done_before == 5);
	snprintf(view.folder, sizeof(view.folder),
		 "\xe5\x8f\xb0\xe5\x8c\x97"); /* two columns each */
	CU_ASSERT(is(progress_line(both, 1, 26, 120),
		     "work: uploading 5/10, \xe5\x8f\xb0\xe5\x8c\x97"));
	CU_ASSERT(is(progress_line(both, 1, 25, 120), "work: uploading 5/10, \xe5\x8f\xb0"));
}

static int parse(struct options *options, const char *line, struct error *err)
{
	static char copy[200];
	char *argv[20], *save = NULL;
	int argc = 0;

	snprintf(copy, sizeof(copy), "mailtwin %s", line);
	for (char *word = strtok_r(copy, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	return options_parse(options, argc, argv, err);
}

static void test_options(void)
{
	static const char *const wrong[] = {"syncc",
					    "sync --nope",
					    "sync -x",
					    "status --full",
					    "sync --allow-delete --undo-delete",
					    "-c",
					    "sync --json=1",
					    "help -n",
					    "sync --repair"};
	struct options options;
	struct error err;

	CU_ASSERT(parse(&options, "-v -c f sync work:A --json -v home -n -- -x", &err) == 0);
	CU_ASSERT(options.command->run == cmd_sync && options.verbose == 2 && !options.quiet);
	CU_ASSERT_STRING_EQUAL(options.config_path, "f");
	CU_ASSERT(options.bits == (OPT_JSON | OPT_DRY_RUN) && options.n_operands == 3);
	CU_ASSERT(strcmp(options.operands[0], "work:A") == 0 &&
		  strcmp(options.operands[2], "-x") == 0);
	options_release(&options);
	CU_ASSERT(parse(&options, "--json status -q", &err) == 0);
	CU_ASSERT(options.quiet && options.bits == OPT_JSON && options.command->run == cmd_status);
	options_release(&options);
	CU_ASSERT(parse(&options, "sync -vv --help", &err) == 0 && options.help);
	CU_ASSERT(options.verbose == 2);
	options_release(&options);
	setenv("POSIXLY_CORRECT", "1", 1);
	CU_ASSERT(parse(&options, "sync work --full", &err) == 0 && options.bits == OPT_FULL);
	options_release(&options);
	unsetenv("POSIXLY_CORRECT");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CU_ASSERT(parse(&options, wrong[i], &err) == -1 && err.kind == ERROR_USAGE);
		options_release(&options);
	}
}

int main(void)
{
	static const struct test_case cases[] = {
		{"changes in JSON", test_json_change},
		{"words", test_words},
		{"problems in JSON", test_json_problem},
		{"summary in JSON", test_json_summary},
		{"status in JSON", test_json_status},
		{"folders in JSON", test_json_folder},
		{"lines for people", test_human},
		{"units", test_units},
		{"exit statuses", test_statuses},
		{"progress", test_progress},
		{"options", test_options},
	};

	return run_tests("report", cases, ARRAY_SIZE(cases));
}
