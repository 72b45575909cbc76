/* A Maildir root in a temporary directory, and short ways to fill it and look at it. */
#ifndef MAILTWIN_TESTS_UNIT_MAILDIR_FIXTURE_H
#define MAILTWIN_TESTS_UNIT_MAILDIR_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"
#include "maildir/maildir.h"

/* Fails the test with the error's text. */
#define CHECK_OK(call) check_ok((call), #call, __LINE__)
#define CHECK_KIND(call, wanted) check_kind((call), (wanted), #call, __LINE__)

static struct error err;
static char top[256]; /* the root's directory */
static struct maildir *maildir;

static inline void check_ok(int result, const char *what, int line)
{
	if (result < 0)
		fprintf(stderr, "\nline %d: %s: %s\n", line, what, err.text);
	CU_ASSERT(result >= 0);
}

static inline void check_kind(int result, enum error_kind wanted, const char *what, int line)
{
	bool right = result < 0 && err.kind == wanted && err.text[0] != '\0';

	if (!right)
		fprintf(stderr, "\nline %d: %s: %d, kind %d, wanted %d: %s\n", line, what, result,
			(int)err.kind, (int)wanted, err.text);
	CU_ASSERT(right);
	error_clear(&err);
}

static inline const char *at(const char *relative)
{
	static char paths[8][1024];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", top, relative);
	return path;
}

static inline void remove_tree(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char *below;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		below = xasprintf("%s/%s", path, entry->d_name);
		if (lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
			remove_tree(below);
		else
			unlink(below);
		free(below);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

static inline void make_top(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(top, sizeof(top), "%s/mailtwin-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(top));
	error_clear(&err);
}

static inline void make_root(enum layout layout)
{
	make_top();
	CHECK_OK(maildir_open(&maildir, top, layout, false, &err));
	CU_ASSERT_PTR_NOT_NULL_FATAL(maildir);
}

static inline void drop_root(void)
{
	maildir_close(&maildir);
	remove_tree(top);
}

static inline void put_file(const char *relative, const char *content)
{
	FILE *file = fopen(at(relative), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(content, file);
	fclose(file);
}

static inline void make_dirs(const char *relative)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s", at(relative));
	for (char *p = path + strlen(top) + 1; *p != '\0'; p++) {
		if (*p == '/') {
			*p = '\0';
			mkdir(path, 0700);
			*p = '/';
		}
	}
	CU_ASSERT(mkdir(path, 0700) == 0 || errno == EEXIST);
}

static inline void make_folder(const char *relative)
{
	char path[600];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", relative,
			 i == 0   ? "tmp"
			 : i == 1 ? "new"
				  : "cur");
		make_dirs(path);
	}
}

static inline bool exists(const char *relative)
{
	struct stat st;

	return lstat(at(relative), &st) == 0;
}

static inline uint64_t inode_of(const char *relative)
{
	struct stat st;

	return lstat(at(relative), &st) == 0 ? st.st_ino : 0;
}

/* The content of a file, "<none>" if it is not there. */
static inline const char *content_of(const char *relative)
{
	static char content[4096];
	FILE *file = fopen(at(relative), "r");
	size_t n;

	if (file == NULL)
		return "<none>";
	n = fread(content, 1, sizeof(content) - 1, file);
	content[n] = '\0';
	fclose(file);
	return content;
}

/* Lets the clock of the file system move on, so that stamps are not racy. */
static inline void settle(void)
{
	struct timespec time = {.tv_nsec = 40000000};

	nanosleep(&time, NULL);
}

static inline int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What a scan told, as sorted lines: "c base letters", "n base -" (no info), "! problem name". */
struct told {
	char *lines[256];
	size_t n;
	int attempts;
};

static inline void told_begin(void *ctx)
{
	struct told *told = ctx;

	while (told->n != 0)
		free(told->lines[--told->n]);
	told->attempts++;
}

static inline void told_add(struct told *told, const char *a, const char *b, const char *c)
{
	char line[600];

	snprintf(line, sizeof(line), "%s %s %s", a, b, c);
	if (told->n < 256)
		told->lines[told->n++] = strdup(line);
}

static inline void told_file(void *ctx, const struct local_file *file)
{
	told_add(ctx, file->in_new ? "n" : "c", file->base, file->has_info ? file->letters : "-");
}

static inline void told_problem(void *ctx, enum scan_problem problem, const char *name)
{
	static const char *const names[] = {"kind", "duplicate", "foreign", "second", "name"};

	told_add(ctx, "!", names[problem], name);
}

/* All lines in one string, separated by '|'; lives until the next call. */
static inline const char *scan_result(struct maildir_folder *folder,
				      struct stamp stamps[STAMP_COUNT])
{
	static char result[8192];
	struct stamp unused[STAMP_COUNT];
	struct told told = {.n = 0};
	struct scan_sink sink = {
		.ctx = &told, .begin = told_begin, .file = told_file, .problem = told_problem};
	size_t len = 0;

	result[0] = '\0';
	CHECK_OK(maildir_scan(folder, &sink, stamps != NULL ? stamps : unused, &err));
	qsort(told.lines, told.n, sizeof(told.lines[0]), compare_lines);
	for (size_t i = 0; i < told.n && len < sizeof(result); i++)
		len += (size_t)snprintf(result + len, sizeof(result) - len, "%s%s",
					i != 0 ? "|" : "", told.lines[i]);
	told_begin(&told);
	return result;
}

#define CHECK_SCAN(folder, wanted)                                                   \
	do {                                                                         \
		const char *result_ = scan_result(folder, NULL);                     \
		if (strcmp(result_, wanted) != 0)                                    \
			fprintf(stderr, "\nline %d: scan: %s\n", __LINE__, result_); \
		CU_ASSERT_STRING_EQUAL(result_, wanted);                             \
	} while (0)

#endif
