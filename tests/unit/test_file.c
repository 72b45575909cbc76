/* Files: opening beneath a directory in both ways, replacing, reading. */
#include "base/file.h"

#include <sys/file.h>

#include "maildir_fixture.h"

static int top_fd;

static void begin(void)
{
	make_top();
	top_fd = open(top, O_RDONLY | O_DIRECTORY);
}

static void end(void)
{
	close(top_fd);
	remove_tree(top);
}

static void open_beneath_in(bool openat2)
{
	static const struct {
		const char *path;
		int wanted; /* errno, 0 for success */
	} rows[] = {
		{"a/b/file", 0},
		{"a/b", 0},
		{".", 0},
		{"a/missing", ENOENT},
		{"missing/file", ENOENT},
		{"a/b/file/below", ENOTDIR},
		{"link", ELOOP},
		{"a/up/file", ELOOP},
		{"dangling", ELOOP},
		{"..", EXDEV},
		{"../etc", EXDEV},
		{"a/../../x", EXDEV},
		{"/etc/passwd", EXDEV},
	};

	begin();
	make_dirs("a/b");
	put_file("a/b/file", "x");
	CU_ASSERT_EQUAL(symlink("a/b/file", at("link")), 0);
	CU_ASSERT_EQUAL(symlink("b", at("a/up")), 0);
	CU_ASSERT_EQUAL(symlink("nowhere", at("dangling")), 0);
	file_use_openat2(openat2);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = file_open_beneath(top_fd, rows[i].path, O_RDONLY, 0);
		int why = fd < 0 ? errno : 0;

		if (why != rows[i].wanted)
			fprintf(stderr, "\n%s: %s\n", rows[i].path, strerror(why));
		CU_ASSERT_EQUAL(why, rows[i].wanted);
		if (fd >= 0)
			close(fd);
	}
	file_use_openat2(true);
	end();
}

static void test_open_beneath(void)
{
	open_beneath_in(true);
	open_beneath_in(false);
}

static void test_open_beneath_mount(void)
{
	int root = open("/", O_RDONLY | O_DIRECTORY);

	for (int way = 0; way < 2; way++) {
		file_use_openat2(way == 0);
		errno = 0;
		CU_ASSERT_EQUAL(file_open_beneath(root, "proc/self", O_RDONLY, 0), -1);
		CU_ASSERT_EQUAL(errno, EXDEV);
	}
	file_use_openat2(true);
	close(root);
}

static void test_replace(void)
{
	struct stat st;

	begin();
	CHECK_OK(file_replace(top_fd, "note", "one\n", 4, &err));
	CU_ASSERT_STRING_EQUAL(content_of("note"), "one\n");
	CU_ASSERT_EQUAL(stat(at("note"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	chmod(at("note"), 0640);
	put_file("note.new", "left by a killed run, and longer than what follows");
	CHECK_OK(file_replace(top_fd, "note", "two\n", 4, &err));
	CU_ASSERT_STRING_EQUAL(content_of("note"), "two\n");
	CU_ASSERT_EQUAL(stat(at("note"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0640);
	CU_ASSERT(!exists("note.new"));
	end();
}

static void test_replace_errors(void)
{
	int held;

	begin();
	put_file("note", "old");
	put_file("note.new", "half");
	held = open(at("note.new"), O_WRONLY);
	CU_ASSERT_EQUAL(flock(held, LOCK_EX), 0);
	CHECK_KIND(file_replace(top_fd, "note", "x", 1, &err), ERROR_BUSY);
	CU_ASSERT_STRING_EQUAL(content_of("note"), "old");
	CU_ASSERT_STRING_EQUAL(content_of("note.new"), "half");
	close(held);
	unlink(at("note.new"));
	CU_ASSERT_EQUAL(symlink("victim", at("note.new")), 0);
	CHECK_KIND(file_replace(top_fd, "note", "x", 1, &err), ERROR_LOCAL);
	CU_ASSERT(!exists("victim"));
	make_dirs("taken/full");
	CHECK_KIND(file_replace(top_fd, "taken", "x", 1, &err), ERROR_LOCAL);
	CU_ASSERT(!exists("taken.new"));
	end();
}

static void test_read_small(void)
{
	char *data;
	size_t len;

	begin();
	put_file("five", "12345");
	CU_ASSERT_EQUAL_FATAL(file_read_small(top_fd, "five", 5, &data, &len), 0);
	CU_ASSERT_EQUAL(len, 5);
	CU_ASSERT_STRING_EQUAL(data, "12345");
	free(data);
	CU_ASSERT_EQUAL(file_read_small(top_fd, "five", 4, &data, &len), -1);
	CU_ASSERT_EQUAL(errno, EFBIG);
	CU_ASSERT_EQUAL(file_read_small(top_fd, "none", 4, &data, &len), -1);
	CU_ASSERT_EQUAL(errno, ENOENT);
	make_dirs("directory");
	CU_ASSERT_EQUAL(file_read_small(top_fd, "directory", 4, &data, &len), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(mkfifo(at("fifo"), 0600), 0);
	CU_ASSERT_EQUAL(file_read_small(top_fd, "fifo", 4, &data, &len), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(symlink("five", at("link")), 0);
	CU_ASSERT_EQUAL(file_read_small(top_fd, "link", 5, &data, &len), -1);
	CU_ASSERT_EQUAL(errno, ELOOP);
	end();
}

static void test_make_directories(void)
{
	begin();
	CU_ASSERT_EQUAL(file_make_directories(at("a/b//c/"), 0700), 0);
	CU_ASSERT(exists("a/b/c"));
	CU_ASSERT_EQUAL(file_make_directories(at("a/b"), 0700), 0);
	put_file("file", "");
	CU_ASSERT_EQUAL(file_make_directories(at("file/below"), 0700), -1);
	CU_ASSERT_EQUAL(file_make_directories(at("file"), 0700), -1);
	end();
}

/* Entries that do not fit into one buffer are all read, each once. */
static void test_read_directory(void)
{
	struct directory_reader reader;
	struct directory_entry entry;
	unsigned seen[300] = {0};
	char name[64];
	int got;

	begin();
	for (unsigned i = 0; i < ARRAY_SIZE(seen); i++) {
		snprintf(name, sizeof(name), "%u.a-name-of-some-length", i);
		put_file(name, "");
	}
	directory_reader_init(&reader, top_fd, 1024);
	while ((got = directory_read(&reader, &entry)) == 1) {
		unsigned long i = strtoul(entry.name, NULL, 10);

		CU_ASSERT_FATAL(i < ARRAY_SIZE(seen));
		CU_ASSERT_EQUAL(entry.inode, inode_of(entry.name));
		seen[i]++;
	}
	CU_ASSERT_EQUAL(got, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(seen); i++)
		CU_ASSERT_EQUAL(seen[i], 1);
	directory_reader_release(&reader);
	end();
}

/* In many pieces, by a thread that reads ahead: each name once, whether all are wanted or the reader stops. */
static void read_ahead(bool early)
{
	enum { FILES = 400 };
	static const unsigned wanted[] = {FILES, 1, 20, 200, FILES - 1};
	struct directory_reader reader;
	struct directory_entry entry;

	begin();
	for (unsigned i = 0; i < FILES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%u.a-name-of-some-length", i);
		put_file(name, "");
	}
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		bool seen[FILES] = {false};
		unsigned n = 0;

		CU_ASSERT_EQUAL(lseek(top_fd, 0, SEEK_SET), 0);
		directory_reader_init(&reader, top_fd, 1024);
		if (early)
			directory_reader_start(&reader, 5);
		while (n < wanted[i] && directory_read(&reader, &entry) == 1) {
			unsigned long number = strtoul(entry.name, NULL, 10);

			CU_ASSERT_FATAL(number < FILES && !seen[number]);
			seen[number] = true;
			n++;
		}
		CU_ASSERT_EQUAL(n, wanted[i]);
		CU_ASSERT(reader.ahead != NULL);
		if (n == FILES) {
			CU_ASSERT_EQUAL(directory_read(&reader, &entry), 0);
			CU_ASSERT_EQUAL(directory_read(&reader, &entry), 0);
		}
		directory_reader_release(&reader);
	}
	end();
}

static void test_read_ahead(void)
{
	read_ahead(false);
}

/* Before anybody looks, and then perhaps nobody does. */
static void test_read_early(void)
{
	struct directory_reader reader;

	read_ahead(true);
	begin();
	directory_reader_init(&reader, top_fd, 1024);
	directory_reader_start(&reader, 5);
	directory_reader_release(&reader);
	end();
}

int main(void)
{
	static const struct test_case cases[] = {
		{"open beneath", test_open_beneath},
		{"a mount point is not crossed", test_open_beneath_mount},
		{"replace", test_replace},
		{"replace: errors", test_replace_errors},
		{"read a small file", test_read_small},
		{"make directories", test_make_directories},
		{"read a directory", test_read_directory},
		{"read a directory ahead", test_read_ahead},
		{"read a directory early", test_read_early},
	};

	return run_tests("file", cases, ARRAY_SIZE(cases));
}
