/* One folder: opening, stamps, the scan, the keywords file. */
#include <signal.h>
#include <sys/wait.h>

#include "base/file.h"
#include "maildir/maildir_private.h"
#include "maildir_fixture.h"

static struct maildir_folder *folder;

static void begin(void)
{
	make_root(LAYOUT_NESTED);
	make_folder("F");
	CHECK_OK(maildir_folder_open(&folder, maildir, "F", &err));
	CU_ASSERT_PTR_NOT_NULL_FATAL(folder);
}

static void end(void)
{
	maildir_folder_close(&folder);
	drop_root();
}

static void open_in(bool openat2)
{
	make_root(LAYOUT_NESTED);
	file_use_openat2(openat2);
	make_folder("Good");
	rmdir(at("Good/tmp"));
	make_folder("NoNew");
	rmdir(at("NoNew/new"));
	make_folder("Linked");
	rmdir(at("Linked/cur"));
	CU_ASSERT_EQUAL(symlink("../Good/cur", at("Linked/cur")), 0);
	CU_ASSERT_EQUAL(symlink("Good", at("Link")), 0);
	put_file("file", "");
	CHECK_OK(maildir_folder_open(&folder, maildir, "Good", &err));
	CU_ASSERT(exists("Good/tmp"));
	maildir_folder_close(&folder);
	CHECK_KIND(maildir_folder_open(&folder, maildir, "None", &err), ERROR_NOT_FOUND);
	CU_ASSERT_PTR_NULL(folder);
	CHECK_KIND(maildir_folder_open(&folder, maildir, "None/Below", &err), ERROR_NOT_FOUND);
	CHECK_KIND(maildir_folder_open(&folder, maildir, "NoNew", &err), ERROR_CHANGED);
	CHECK_KIND(maildir_folder_open(&folder, maildir, "Linked", &err), ERROR_CHANGED);
	CHECK_KIND(maildir_folder_open(&folder, maildir, "Link", &err), ERROR_CHANGED);
	CHECK_KIND(maildir_folder_open(&folder, maildir, "file", &err), ERROR_CHANGED);
	CHECK_KIND(maildir_folder_open(&folder, maildir, "../x", &err), ERROR_LOCAL);
	file_use_openat2(true);
	drop_root();
}

static void test_open(void)
{
	open_in(true);
	open_in(false);
}

static void set_mtime(const char *relative, time_t seconds)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds}};

	CU_ASSERT_EQUAL(utimensat(AT_FDCWD, at(relative), times, 0), 0);
}

static void test_stamps(void)
{
	struct stamp young[STAMP_COUNT], old[STAMP_COUNT], now[STAMP_COUNT];

	begin();
	maildir->fine_times = false;
	put_file("F/new/a", "");
	CHECK_OK(maildir_stamps(maildir, "F", young, &err));
	CU_ASSERT(young[STAMP_NEW].racy);
	CU_ASSERT(!stamp_equal(&young[STAMP_NEW], &young[STAMP_NEW]));
	settle();
	CHECK_OK(maildir_stamps(maildir, "F", old, &err));
	CU_ASSERT_EQUAL(old[STAMP_CUR].inode, inode_of("F/cur"));
	CU_ASSERT_EQUAL(old[STAMP_DIR].inode, inode_of("F"));
	CU_ASSERT_EQUAL(old[STAMP_KEYWORDS].inode, 0);
	for (int i = 0; i < STAMP_COUNT; i++) {
		CU_ASSERT(!old[i].racy);
		CU_ASSERT(stamp_equal(&old[i], &old[i]));
	}
	/* A racy stamp that was remembered proves nothing, one that is fresh does no harm. */
	CU_ASSERT(!stamp_equal(&young[STAMP_NEW], &old[STAMP_NEW]));
	old[STAMP_NEW].racy = false;
	young[STAMP_NEW].racy = true;
	CU_ASSERT(stamp_equal(&old[STAMP_NEW], &young[STAMP_NEW]));

	put_file("F/new/b", "");
	put_file("F/dovecot-keywords", "0 a\n");
	CHECK_OK(maildir_stamps(maildir, "F", now, &err));
	CU_ASSERT(stamp_equal(&old[STAMP_CUR], &now[STAMP_CUR]));
	CU_ASSERT(!stamp_equal(&old[STAMP_NEW], &now[STAMP_NEW]));
	CU_ASSERT(!stamp_equal(&old[STAMP_DIR], &now[STAMP_DIR]));
	CU_ASSERT(!stamp_equal(&old[STAMP_KEYWORDS], &now[STAMP_KEYWORDS]));
	CU_ASSERT_EQUAL(now[STAMP_KEYWORDS].inode, inode_of("F/dovecot-keywords"));

	set_mtime("F/cur", time(NULL) + 100000);
	settle();
	CHECK_OK(maildir_stamps(maildir, "F", now, &err));
	CU_ASSERT(now[STAMP_CUR].racy);
	CU_ASSERT(!now[STAMP_NEW].racy);
	end();
}

/* Where every change has a time of its own, a stamp may be trusted at once; but not one without fractions
 * of a second, which an old ext4 has. */
static void test_stamps_with_fine_times(void)
{
	static const struct {
		bool fine;
		uint32_t fraction;
		int64_t age; /* nanoseconds */
		bool racy;
	} rows[] = {
		{true, 1, 0, false},         {true, 1, -100 * INT64_C(1000000000), false},
		{true, 0, 900000000, true},  {true, 0, 1100000000, false},
		{false, 1, 10000000, true},  {false, 1, 900000000, false},
		{false, 0, 900000000, true},
	};
	struct statx stx = {.stx_ctime.tv_sec = 1700000000, .stx_mtime.tv_sec = 1700000000};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t changed = INT64_C(1700000000) * 1000000000 + rows[i].fraction;
		struct stamp stamp;

		maildir->fine_times = rows[i].fine;
		stx.stx_ctime.tv_nsec = stx.stx_mtime.tv_nsec = rows[i].fraction;
		stamp = stamp_make(maildir, 1, &stx, changed + rows[i].age);
		CU_ASSERT_EQUAL(stamp.racy, rows[i].racy);
	}
	end();
}

static void test_stamps_of_odd_directories(void)
{
	struct stamp stamps[STAMP_COUNT];

	make_root(LAYOUT_NESTED);
	make_dirs("Plain/Level");
	CHECK_OK(maildir_stamps(maildir, "Plain", stamps, &err));
	CU_ASSERT_EQUAL(stamps[STAMP_DIR].inode, inode_of("Plain"));
	CU_ASSERT_EQUAL(stamps[STAMP_CUR].inode, 0);
	CHECK_KIND(maildir_stamps(maildir, "None", stamps, &err), ERROR_NOT_FOUND);
	CU_ASSERT_EQUAL(symlink("Level", at("Plain/cur")), 0);
	CHECK_KIND(maildir_stamps(maildir, "Plain", stamps, &err), ERROR_CHANGED);
	drop_root();
}

static void test_scan(void)
{
	struct stamp stamps[STAMP_COUNT];

	begin();
	CHECK_SCAN(folder, "");
	put_file("F/new/1.fresh", "");
	put_file("F/new/2.inew:2,F", "");
	put_file("F/cur/3.read:2,S", "");
	put_file("F/cur/4.bare", "");
	put_file("F/cur/5.none:2,", "");
	put_file("F/cur/6.odd:2,SSaF", "");
	put_file("F/cur/7.tail:2,S,x=1", "");
	put_file("F/cur/8.first:1,x", "");
	put_file("F/cur/nl\n:2,S", "");
	put_file("F/cur/:2,S", "");
	put_file("F/cur/.hidden", "");
	put_file("F/cur/dovecot.index", "");
	put_file("F/tmp/9.tmp", "");
	make_dirs("F/cur/directory");
	CU_ASSERT_EQUAL(symlink("3.read:2,S", at("F/cur/link:2,S")), 0);
	CU_ASSERT_EQUAL(mkfifo(at("F/new/fifo"), 0600), 0);
	settle();
	CU_ASSERT_STRING_EQUAL(
		scan_result(folder, stamps),
		"! foreign 8.first:1,x|! kind directory|! kind fifo|! kind link:2,S|! name :2,S|"
		"! name nl\n:2,S|c 3.read S|c 4.bare -|c 5.none |c 6.odd SSaF|c 7.tail S|"
		"c 8.first:1,x -|n 1.fresh -|n 2.inew F");
	CU_ASSERT(stamp_equal(&stamps[STAMP_CUR], &stamps[STAMP_CUR]));
	CU_ASSERT_EQUAL(stamps[STAMP_CUR].inode, inode_of("F/cur"));
	end();
}

static void test_scan_duplicates(void)
{
	begin();
	put_file("F/cur/same:2,S", "one");
	CU_ASSERT_EQUAL(link(at("F/cur/same:2,S"), at("F/new/same")), 0);
	put_file("F/cur/half:2,", "one");
	CU_ASSERT_EQUAL(link(at("F/cur/half:2,"), at("F/cur/half:2,F")), 0);
	unlink(at("F/cur/half:2,"));
	CU_ASSERT_EQUAL(link(at("F/cur/half:2,F"), at("F/cur/half:2,S")), 0);
	unlink(at("F/cur/half:2,F"));
	CU_ASSERT_EQUAL(link(at("F/cur/half:2,S"), at("F/new/half:2,S")), 0);
	put_file("F/cur/two:2,S", "one");
	put_file("F/new/two", "another");
	for (int i = 0; i < 50; i++) {
		char name[64];

		snprintf(name, sizeof(name), "F/cur/fill%d:2,S", i);
		put_file(name, "");
		unlink(at(name));
	}
	CHECK_SCAN(folder, "! duplicate two|! second new/half:2,S|! second new/same|"
			   "c half S|c same S|c two S");
	put_file("F/new/two:2,", "a third");
	CHECK_SCAN(folder, "! duplicate two|! duplicate two:2,|! second new/half:2,S|"
			   "! second new/same|c half S|c same S|c two S");
	end();
}

static void test_scan_of_a_removed_folder(void)
{
	struct stamp stamps[STAMP_COUNT];
	struct told told = {.n = 0};
	struct scan_sink sink = {
		.ctx = &told, .begin = told_begin, .file = told_file, .problem = told_problem};

	begin();
	put_file("F/cur/m:2,S", "");
	remove_tree(at("F"));
	CHECK_KIND(maildir_scan(folder, &sink, stamps, &err), ERROR_NOT_FOUND);
	make_folder("F");
	CHECK_SCAN(folder, ""); /* the one that is there now */
	rmdir(at("F/new"));
	CHECK_KIND(maildir_scan(folder, &sink, stamps, &err), ERROR_CHANGED);
	told_begin(&told);
	end();
}

/* What was read beforehand counts only if nothing has changed since; nobody need take it up. */
static void test_scan_begun_early(void)
{
	begin();
	put_file("F/cur/m:2,S", "");
	put_file("F/new/n", "");
	for (int i = 0; i < 2; i++)
		maildir_scan_begin(folder, 1 << 20);
	CHECK_SCAN(folder, "c m S|n n -");
	CHECK_SCAN(folder, "c m S|n n -");
	maildir_scan_begin(folder, 1);
	put_file("F/cur/later:2,", "");
	CHECK_SCAN(folder, "c later |c m S|n n -");
	maildir_scan_begin(folder, 1);
	CHECK_OK(rename(at("F/new/n"), at("F/cur/n:2,S")));
	CHECK_SCAN(folder, "c later |c m S|c n S");
	maildir_scan_begin(folder, 1);
	remove_tree(at("F"));
	make_folder("F");
	put_file("F/cur/other:2,", "");
	CHECK_SCAN(folder, "c other ");
	maildir_scan_begin(folder, 1);
	end();
}

static void note_times(void *ctx, const struct local_file *file)
{
	if (file->has_times)
		strcat(strcat(ctx, file->base), " ");
}

/* A call a file: only where an inode number may come again, or all are asked for; and for drafts. */
static void test_scan_times(void)
{
	static const struct {
		bool reuses;
		enum scan_times times;
		const char *told;
	} rows[] = {
		{true, TIMES_OF_DRAFTS, "draft "},         {false, TIMES_OF_DRAFTS, "draft "},
		{true, TIMES_WHERE_NEEDED, "draft read "}, {false, TIMES_WHERE_NEEDED, "draft "},
		{true, TIMES_OF_ALL, "draft read "},       {false, TIMES_OF_ALL, "draft read "},
	};

	begin();
	put_file("F/cur/draft:2,DS", "");
	put_file("F/new/read", "");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char names[64] = "";
		struct stamp stamps[STAMP_COUNT];
		struct scan_sink sink = {.ctx = names, .times = rows[i].times, .file = note_times};

		maildir->reuses_inodes = rows[i].reuses;
		CHECK_OK(maildir_scan(folder, &sink, stamps, &err));
		CU_ASSERT_STRING_EQUAL(names, rows[i].told);
	}
	end();
}

/* Where times move in steps, a scan within the step of a change waits until it is over, and a
 * folder in the future does not wait for ever. */
static void test_scan_with_coarse_times(void)
{
	struct stamp stamps[STAMP_COUNT];

	begin();
	maildir->fine_times = false;
	put_file("F/cur/m:2,S", "");
	CU_ASSERT_STRING_EQUAL(scan_result(folder, stamps), "c m S");
	CU_ASSERT(!stamps[STAMP_CUR].racy);
	put_file("F/new/n", "");
	set_mtime("F/new", time(NULL) + 100000);
	CU_ASSERT_STRING_EQUAL(scan_result(folder, stamps), "c m S|n n -");
	CU_ASSERT(stamps[STAMP_NEW].racy);
	end();
}

enum { MANY = 6000 }; /* more than one buffer of a directory */

/* Renames in bursts, as a mail reader does, until it is killed. */
static void hammer(void)
{
	static char names[MANY][2][64];
	struct timespec pause = {.tv_nsec = 25000000};
	unsigned state[MANY] = {0};

	if (chdir(at("F/cur")) != 0)
		_exit(1);
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i][0], sizeof(names[i][0]), "%d.message:2,", i);
		snprintf(names[i][1], sizeof(names[i][1]), "%d.message:2,S", i);
	}
	for (unsigned i = 0;; i++) {
		unsigned n = (i * 7919) % MANY;

		if (rename(names[n][state[n] % 2], names[n][(state[n] + 1) % 2]) != 0)
			_exit(2);
		state[n]++;
		if (i % 400 == 399)
			nanosleep(&pause, NULL);
	}
}

struct seen {
	unsigned char files[MANY];
	unsigned strange;
	unsigned attempts;
};

static void seen_begin(void *ctx)
{
	struct seen *seen = ctx;

	memset(seen->files, 0, sizeof(seen->files));
	seen->attempts++;
}

static void seen_file(void *ctx, const struct local_file *file)
{
	struct seen *seen = ctx;
	unsigned long n = strtoul(file->base, NULL, 10);

	if (n < MANY && seen->files[n] < 2)
		seen->files[n]++;
	else
		seen->strange++;
}

static void seen_problem(void *ctx, enum scan_problem problem, const char *name)
{
	(void)problem;
	(void)name;
	((struct seen *)ctx)->strange++;
}

/* An accepted scan has every file exactly once, whatever another program does. */
static void test_scan_under_renames(void)
{
	struct seen seen = {.strange = 0};
	struct scan_sink sink = {
		.ctx = &seen, .begin = seen_begin, .file = seen_file, .problem = seen_problem};
	struct stamp stamps[STAMP_COUNT];
	unsigned accepted = 0, refused = 0, wrong = 0;
	char name[64];
	time_t start;
	pid_t child;
	int status;

	begin();
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "F/cur/%d.message:2,", i);
		put_file(name, "");
	}
	child = fork();
	if (child == 0)
		hammer();
	start = time(NULL);
	while (accepted < 60 && time(NULL) - start < 4) {
		seen.strange = 0;
		if (maildir_scan(folder, &sink, stamps, &err) != 0) {
			CU_ASSERT_EQUAL(err.kind, ERROR_CHANGED);
			refused++;
			continue;
		}
		accepted++;
		for (int i = 0; i < MANY; i++)
			wrong += seen.files[i] != 1;
		wrong += seen.strange;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(accepted > 0);
	CU_ASSERT(seen.attempts > accepted); /* it did get in the way */
	CU_ASSERT_EQUAL(waitpid(child, &status, WNOHANG), 0);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	end();
}

static void check_keywords(const char *a, const char *b, bool torn)
{
	struct keywords_file file;

	CHECK_OK(keywords_file_read(folder, &file, &err));
	CU_ASSERT_EQUAL(file.torn, torn);
	CU_ASSERT_STRING_EQUAL(file.names[0] != NULL ? file.names[0] : "", a);
	CU_ASSERT_STRING_EQUAL(file.names[1] != NULL ? file.names[1] : "", b);
	keywords_file_release(&file);
}

static void test_keywords(void)
{
	struct keywords_file file = {.torn = false};
	uint64_t inode;

	begin();
	check_keywords("", "", false);
	CHECK_OK(keywords_file_write(folder, &file, &err));
	CU_ASSERT(!exists("F/dovecot-keywords")); /* nothing to say */
	file.names[0] = xstrdup("$Forwarded");
	file.names[25] = xstrdup("last");
	CHECK_OK(keywords_file_write(folder, &file, &err));
	CU_ASSERT_STRING_EQUAL(content_of("F/dovecot-keywords"), "0 $Forwarded\n25 last\n");
	CU_ASSERT(!exists("F/dovecot-uidlist.lock"));
	check_keywords("$Forwarded", "", false);
	inode = inode_of("F/dovecot-keywords");
	CHECK_OK(keywords_file_write(folder, &file, &err));
	CU_ASSERT_EQUAL(inode_of("F/dovecot-keywords"), inode); /* equal: not touched */
	file.names[1] = xstrdup("two words");
	CHECK_KIND(keywords_file_write(folder, &file, &err), ERROR_LOCAL);
	free(file.names[1]);
	file.names[1] = xstrdup("b");
	chmod(at("F/dovecot-keywords"), 0640);
	CHECK_OK(keywords_file_write(folder, &file, &err));
	check_keywords("$Forwarded", "b", false);
	keywords_file_release(&file);
	put_file("F/dovecot-keywords", "0 a\n1 b");
	check_keywords("a", "", true);
	unlink(at("F/dovecot-keywords"));
	CU_ASSERT_EQUAL(symlink("/etc/passwd", at("F/dovecot-keywords")), 0);
	CHECK_KIND(keywords_file_read(folder, &file, &err), ERROR_CHANGED);
	end();
}

/* The lock of a process that is gone is nobody's; that of one that lives, or another machine's, is waited
 * for, and a folder that stays locked is left for the next run. */
static void test_keywords_lock_left_behind(void)
{
	struct keywords_file file = {.torn = false};
	char host[256] = "", lock[300];
	pid_t child;

	begin();
	gethostname(host, sizeof(host) - 1);
	child = fork();
	if (child == 0)
		_exit(0);
	CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	file.names[0] = xstrdup("a");
	snprintf(lock, sizeof(lock), "%ld:%s", (long)child, host);
	put_file("F/dovecot-uidlist.lock", lock);
	CHECK_OK(keywords_file_write(folder, &file, &err));
	CU_ASSERT_STRING_EQUAL(content_of("F/dovecot-keywords"), "0 a\n");
	CU_ASSERT(!exists("F/dovecot-uidlist.lock"));
	free(file.names[0]);
	file.names[0] = xstrdup("b");
	snprintf(lock, sizeof(lock), "%ld:not.%s", (long)child, host);
	put_file("F/dovecot-uidlist.lock", lock);
	CHECK_KIND(keywords_file_write(folder, &file, &err), ERROR_CHANGED);
	CU_ASSERT(exists("F/dovecot-uidlist.lock"));
	CU_ASSERT_STRING_EQUAL(content_of("F/dovecot-keywords"), "0 a\n");
	keywords_file_release(&file);
	end();
}

/* Another program's lock is waited for. */
static void test_keywords_lock(void)
{
	struct keywords_file file = {.torn = false};
	struct timespec pause = {.tv_nsec = 200000000};
	pid_t child;

	begin();
	file.names[0] = xstrdup("a");
	put_file("F/dovecot-uidlist.lock", "");
	child = fork();
	if (child == 0) {
		nanosleep(&pause, NULL);
		_exit(exists("F/dovecot-keywords") || unlink(at("F/dovecot-uidlist.lock")) != 0);
	}
	CHECK_OK(keywords_file_write(folder, &file, &err));
	int status = -1;
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_STRING_EQUAL(content_of("F/dovecot-keywords"), "0 a\n");
	keywords_file_release(&file);
	end();
}

int main(void)
{
	static const struct test_case cases[] = {
		{"open", test_open},
		{"stamps", test_stamps},
		{"stamps with fine times", test_stamps_with_fine_times},
		{"times of files", test_scan_times},
		{"stamps: odd directories", test_stamps_of_odd_directories},
		{"scan", test_scan},
		{"scan: duplicates", test_scan_duplicates},
		{"scan: a removed folder", test_scan_of_a_removed_folder},
		{"a scan begun early", test_scan_begun_early},
		{"scan: coarse times", test_scan_with_coarse_times},
		{"scan: under renames", test_scan_under_renames},
		{"keywords", test_keywords},
		{"keywords: lock", test_keywords_lock},
		{"keywords: lock left behind", test_keywords_lock_left_behind},
	};

	return run_tests("folder", cases, ARRAY_SIZE(cases));
}
