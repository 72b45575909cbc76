/* Messages under their names: reading, flags, moving, deleting; and delivery. */
#include <sys/resource.h>

#include "base/text.h"
#include "core/snapshot.h"
#include "maildir/maildir_private.h"
#include "maildir_fixture.h"

static struct maildir_folder *folder, *other;
static struct arena *arena;

static void begin(void)
{
	make_root(LAYOUT_NESTED);
	make_folder("F");
	make_folder("O");
	CHECK_OK(maildir_folder_open(&folder, maildir, "F", &err));
	CHECK_OK(maildir_folder_open(&other, maildir, "O", &err));
	CU_ASSERT_FATAL(folder != NULL && other != NULL);
	arena = arena_new();
}

static void end(void)
{
	arena_free(&arena);
	maildir_folder_close(&folder);
	maildir_folder_close(&other);
	drop_root();
}

static struct hash content_hash(const char *content)
{
	struct fingerprinter *printer = fingerprinter_new();
	struct fingerprint print;

	fingerprinter_feed(printer, content, strlen(content));
	fingerprinter_finish(printer, &print);
	fingerprinter_free(&printer);
	return print.content;
}

static void test_open_file(void)
{
	static const struct {
		const char *name, *base, *letters;
		bool in_new, has_info;
	} rows[] = {
		{"F/new/a", "a", "", true, false},
		{"F/cur/a", "a", "", false, false},
		{"F/cur/a:2,S", "a", "S", false, true},
		{"F/cur/a:2,SFx", "a", "SFx", false, true},
		{"F/cur/a:2,F,u=1", "a", "F", false, true},
		{"F/new/a:2,FT", "a", "FT", true, true},
		{"F/cur/a:1,x", "a:1,x", "", false, false},
	};
	struct local_file file;
	char content[8];
	int fd;

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		put_file(rows[i].name, "text");
		CHECK_OK(fd = maildir_open_file(folder, rows[i].base, arena, &file, &err));
		CU_ASSERT_EQUAL(read(fd, content, sizeof(content)), 4);
		CU_ASSERT_STRING_EQUAL(file.base, rows[i].base);
		CU_ASSERT_STRING_EQUAL(file.letters, rows[i].letters);
		CU_ASSERT_EQUAL(file.in_new, rows[i].in_new);
		CU_ASSERT_EQUAL(file.has_info, rows[i].has_info);
		CU_ASSERT_EQUAL(file.inode, inode_of(rows[i].name));
		close(fd);
		unlink(at(rows[i].name));
		CHECK_KIND(maildir_open_file(folder, rows[i].base, arena, NULL, &err),
			   ERROR_NOT_FOUND);
	}
	CU_ASSERT_EQUAL(symlink("/etc/passwd", at("F/cur/link:2,S")), 0);
	CHECK_KIND(maildir_open_file(folder, "link", arena, NULL, &err), ERROR_NOT_FOUND);
	CHECK_KIND(maildir_open_file(folder, "../cur/a", arena, NULL, &err), ERROR_NOT_FOUND);
	CHECK_KIND(maildir_open_file(folder, "", arena, NULL, &err), ERROR_NOT_FOUND);
	end();
}

/* A reader renames behind the back of an index that was read before. */
static void test_find_after_renames(void)
{
	struct local_file file;
	char from[64], to[64];
	int fd;

	begin();
	for (int i = 0; i < 100; i++) {
		snprintf(from, sizeof(from), "F/cur/%d:2,DFRx", i);
		put_file(from, "text");
	}
	CHECK_OK(fd = maildir_open_file(folder, "5", arena, &file, &err));
	close(fd);
	for (int i = 0; i < 100; i++) {
		snprintf(from, sizeof(from), "F/cur/%d:2,DFRx", i);
		snprintf(to, sizeof(to), i % 2 != 0 ? "F/cur/%d:2,DFRSTx" : "F/new/%d:2,z", i);
		CU_ASSERT_EQUAL(rename(at(from), at(to)), 0);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(from, sizeof(from), "%d", i);
		CHECK_OK(fd = maildir_open_file(folder, from, arena, &file, &err));
		close(fd);
		CU_ASSERT_STRING_EQUAL(file.letters, i % 2 != 0 ? "DFRSTx" : "z");
	}
	CHECK_KIND(maildir_open_file(folder, "100", arena, &file, &err), ERROR_NOT_FOUND);
	put_file("F/cur/100:2,abc", "text");
	CHECK_OK(fd = maildir_open_file(folder, "100", arena, &file, &err));
	close(fd);
	end();
}

static void test_examine(void)
{
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1234567890}};
	struct hash wanted = content_hash("Subject: x\n\nbody\n");
	struct file_facts facts;

	begin();
	put_file("F/cur/a:2,S", "Subject: x\n\nbody\n");
	CU_ASSERT_EQUAL(utimensat(AT_FDCWD, at("F/cur/a:2,S"), times, 0), 0);
	CHECK_OK(maildir_examine(folder, "a", &facts, &err));
	CU_ASSERT(hash_equal(&facts.fingerprint.content, &wanted));
	CU_ASSERT_EQUAL(facts.size, 17);
	CU_ASSERT_EQUAL(facts.fingerprint.size, 17);
	CU_ASSERT_EQUAL(facts.fingerprint.wire_size, 20);
	CU_ASSERT_EQUAL(facts.mtime, 1234567890);
	CU_ASSERT_EQUAL(facts.inode, inode_of("F/cur/a:2,S"));
	CHECK_KIND(maildir_examine(folder, "b", &facts, &err), ERROR_NOT_FOUND);
	end();
}

static void test_verify(void)
{
	struct hash right = content_hash("one"), wrong = content_hash("two");
	uint64_t inode;

	begin();
	put_file("F/cur/a:2,S", "one");
	inode = inode_of("F/cur/a:2,S");
	CHECK_OK(maildir_verify(folder, "a", inode, NULL, &err));
	CHECK_OK(maildir_verify(folder, "a", inode, &wrong, &err));
	CHECK_OK(maildir_verify(folder, "a", inode + 1, &right, &err));
	CHECK_OK(maildir_verify(folder, "a", 0, &right, &err));
	CHECK_KIND(maildir_verify(folder, "a", inode + 1, &wrong, &err), ERROR_CHANGED);
	CHECK_KIND(maildir_verify(folder, "a", inode + 1, NULL, &err), ERROR_CHANGED);
	CHECK_KIND(maildir_verify(folder, "a", 0, NULL, &err), ERROR_CHANGED);
	CHECK_KIND(maildir_verify(folder, "b", inode, &right, &err), ERROR_NOT_FOUND);

	end();
}

/* What is destroyed is the message that the record means: the same file as it was given its time, or the same
 * contents. The contents of the file are "one"; the record's are those, others or not known. */
static void test_delete(void)
{
	static const struct {
		bool inode, trace, fraction; /* as the file has them; its time has fractions */
		const char *content;
		enum error_kind kind;
	} rows[] = {
		{true, true, false, "two", ERROR_NONE},     {true, true, false, "", ERROR_NONE},
		{true, true, true, "two", ERROR_CHANGED},   {true, true, true, "one", ERROR_NONE},
		{true, true, true, "", ERROR_NONE}, /* nothing better is known */
		{true, false, false, "two", ERROR_CHANGED}, {true, false, false, "one", ERROR_NONE},
		{false, true, false, "two", ERROR_CHANGED}, {false, true, false, "one", ERROR_NONE},
		{false, true, false, "", ERROR_CHANGED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
		struct record record = {.base = "a", .trace = file_trace(1700000000, 3)};

		begin();
		put_file("F/cur/a:2,DFPRSTz", "one");
		times[1].tv_nsec = rows[i].fraction;
		CU_ASSERT_EQUAL(utimensat(AT_FDCWD, at("F/cur/a:2,DFPRSTz"), times, 0), 0);
		record.inode = inode_of("F/cur/a:2,DFPRSTz") + !rows[i].inode;
		record.trace += !rows[i].trace;
		if (rows[i].content[0] != '\0')
			record.content = content_hash(rows[i].content);
		error_clear(&err);
		CU_ASSERT_EQUAL(maildir_delete(folder, &record, &err),
				rows[i].kind != ERROR_NONE ? -1 : 0);
		CU_ASSERT_EQUAL(err.kind, rows[i].kind);
		CU_ASSERT_EQUAL(exists("F/cur/a:2,DFPRSTz"), rows[i].kind != ERROR_NONE);
		if (rows[i].kind == ERROR_NONE)
			CHECK_KIND(maildir_delete(folder, &record, &err), ERROR_NOT_FOUND);
		CHECK_OK(maildir_folder_sync(folder, &err));
		end();
	}
}

static void test_change_letters(void)
{
	static const struct {
		const char *before, *add, *remove, *out, *after;
	} rows[] = {
		{"F/new/m", "S", NULL, "S", "F/cur/m:2,S"},
		{"F/new/m", NULL, NULL, "", "F/new/m"},
		{"F/new/m", "", "S", "", "F/new/m"},
		{"F/new/m:2,F", "S", NULL, "FS", "F/cur/m:2,FS"},
		{"F/new/m:2,F", NULL, "F", "", "F/new/m"},
		{"F/new/m:2,F", "F", NULL, "F", "F/new/m:2,F"},
		{"F/cur/m", "T", NULL, "T", "F/cur/m:2,T"},
		{"F/cur/m", NULL, "T", "", "F/cur/m"},
		{"F/cur/m:2,", "S", NULL, "S", "F/cur/m:2,S"},
		{"F/cur/m:2,S", NULL, "S", "", "F/cur/m:2,"},
		{"F/cur/m:2,S", "F", "S", "F", "F/cur/m:2,F"},
		{"F/cur/m:2,SF", "S", "T", "FS", "F/cur/m:2,SF"}, /* nothing to do */
		{"F/cur/m:2,SF", "R", NULL, "FRS", "F/cur/m:2,FRS"},
		{"F/cur/m:2,Sab9", "Pc", "b", "9PSac", "F/cur/m:2,9PSac"},
		{"F/cur/m:2,S,u=1", "F", NULL, "FS", "F/cur/m:2,FS,u=1"},
		{"F/cur/m,S=4,W=5:2,", "S", NULL, "S", "F/cur/m,S=4,W=5:2,S"},
	};
	char base[64], out[64];

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t inode;

		put_file(rows[i].before, "text");
		chmod(at(rows[i].before), 0640);
		inode = inode_of(rows[i].before);
		snprintf(base, sizeof(base), "%.*s", (int)strcspn(rows[i].before + 6, ":"),
			 rows[i].before + 6);
		CHECK_OK(maildir_change_letters(folder, base, rows[i].add, rows[i].remove, out,
						&err));
		CU_ASSERT_STRING_EQUAL(out, rows[i].out);
		CU_ASSERT_EQUAL(inode_of(rows[i].after), inode);
		CU_ASSERT(strcmp(rows[i].before, rows[i].after) == 0 || !exists(rows[i].before));
		CU_ASSERT_EQUAL(unlink(at(rows[i].after)), 0);
		CHECK_SCAN(folder, "");
	}
	CHECK_KIND(maildir_change_letters(folder, "m", "S", NULL, NULL, &err), ERROR_NOT_FOUND);
	CHECK_OK(maildir_folder_sync(folder, &err));
	end();
}

static void test_change_letters_obstacles(void)
{
	char base[256], name[300];

	begin();
	put_file("F/cur/m:2,S", "mine");
	put_file("F/cur/m:2,FS", "another");
	CHECK_KIND(maildir_change_letters(folder, "m", "F", NULL, NULL, &err), ERROR_CHANGED);
	CU_ASSERT_STRING_EQUAL(content_of("F/cur/m:2,S"), "mine");
	CU_ASSERT_STRING_EQUAL(content_of("F/cur/m:2,FS"), "another");
	/* A run that was killed between link and unlink. */
	unlink(at("F/cur/m:2,FS"));
	CU_ASSERT_EQUAL(link(at("F/cur/m:2,S"), at("F/cur/m:2,FS")), 0);
	CHECK_OK(maildir_change_letters(folder, "m", "F", NULL, NULL, &err));
	CHECK_SCAN(folder, "c m FS");
	CU_ASSERT(!exists("F/cur/m:2,S"));
	/* Names at the limit. */
	memset(base, 'x', 251);
	base[251] = '\0';
	snprintf(name, sizeof(name), "F/new/%s", base);
	put_file(name, "long");
	CHECK_OK(maildir_change_letters(folder, base, "S", NULL, NULL, &err));
	CHECK_KIND(maildir_change_letters(folder, base, "F", NULL, NULL, &err), ERROR_REFUSED);
	snprintf(name, sizeof(name), "F/cur/%s:2,S", base);
	CU_ASSERT_STRING_EQUAL(content_of(name), "long");
	/* Info that is not ours is kept. */
	put_file("F/cur/old:1,x", "text");
	CHECK_OK(maildir_change_letters(folder, "old:1,x", "", "S", NULL, &err));
	CHECK_KIND(maildir_change_letters(folder, "old:1,x", "S", NULL, NULL, &err), ERROR_LOCAL);
	CHECK_KIND(maildir_change_letters(folder, "m", "/", NULL, NULL, &err), ERROR_LOCAL);
	CU_ASSERT(exists("F/cur/old:1,x"));
	end();
}

static void test_move(void)
{
	static const struct {
		const char *before, *letters, *after;
	} rows[] = {
		{"F/new/m", NULL, "O/new/n"},
		{"F/new/m", "", "O/new/n"},
		{"F/new/m", "S", "O/cur/n:2,S"},
		{"F/new/m:2,F", NULL, "O/new/n:2,F"},
		{"F/cur/m", NULL, "O/cur/n"},
		{"F/cur/m:2,SF", NULL, "O/cur/n:2,SF"},
		{"F/cur/m:2,SF", "TS", "O/cur/n:2,ST"},
		{"F/cur/m:2,SF", "", "O/cur/n:2,"},
		{"F/cur/m:2,S,u=1", "F", "O/cur/n:2,F,u=1"},
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t inode;

		put_file(rows[i].before, "text");
		inode = inode_of(rows[i].before);
		CHECK_OK(maildir_move(folder, "m", other, "n", rows[i].letters, &err));
		CU_ASSERT_EQUAL(inode_of(rows[i].after), inode);
		CHECK_SCAN(folder, "");
		CU_ASSERT_EQUAL(unlink(at(rows[i].after)), 0);
	}
	CHECK_KIND(maildir_move(folder, "m", other, "n", NULL, &err), ERROR_NOT_FOUND);
	put_file("F/cur/m:2,S", "mine");
	put_file("O/cur/n:2,abc", "another");
	maildir_folder_close(&other); /* what it knew of the names is older */
	CHECK_OK(maildir_folder_open(&other, maildir, "O", &err));
	CHECK_KIND(maildir_move(folder, "m", other, "n", NULL, &err), ERROR_CHANGED);
	CHECK_KIND(maildir_move(folder, "m", other, "../x", NULL, &err), ERROR_LOCAL);
	CHECK_KIND(maildir_move(folder, "m", other, "x:2,S", NULL, &err), ERROR_LOCAL);
	CU_ASSERT_STRING_EQUAL(content_of("F/cur/m:2,S"), "mine");
	CU_ASSERT_STRING_EQUAL(content_of("O/cur/n:2,abc"), "another");
	CHECK_OK(maildir_folder_sync(folder, &err));
	CHECK_OK(maildir_folder_sync(other, &err));
	end();
}

/* Nothing is overwritten, whichever way the file system has. */
static void test_move_name(void)
{
	int (*const ways[])(int, const char *, int, const char *) = {move_name, move_name_by_link};
	int fd;

	begin();
	fd = open(top, O_RDONLY | O_DIRECTORY);
	CU_ASSERT_FATAL(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		put_file("F/tmp/a", "a");
		put_file("F/cur/b", "b");
		CU_ASSERT_EQUAL(ways[i](fd, "F/tmp/a", fd, "F/cur/b"), -1);
		CU_ASSERT_EQUAL(errno, EEXIST);
		CU_ASSERT_STRING_EQUAL(content_of("F/tmp/a"), "a");
		CU_ASSERT_STRING_EQUAL(content_of("F/cur/b"), "b");
		CU_ASSERT_EQUAL(ways[i](fd, "F/tmp/a", fd, "O/new/c"), 0);
		CU_ASSERT_STRING_EQUAL(content_of("O/new/c"), "a");
		CU_ASSERT_EQUAL(ways[i](fd, "F/tmp/a", fd, "O/new/d"), -1);
		CU_ASSERT_EQUAL(errno, ENOENT);
		CU_ASSERT_EQUAL(unlink(at("O/new/c")), 0);
		CU_ASSERT_EQUAL(unlink(at("F/cur/b")), 0);
	}
	close(fd);
	end();
}

/* Where link cannot reach, the message is copied, with its date. */
static void test_move_to_another_device(void)
{
	char far_top[] = "/dev/shm/mailtwin-test-XXXXXX", path[128];
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1234567890}};
	struct maildir_folder *far_folder = NULL;
	struct maildir *far_root = NULL;
	struct stat st, root;

	if (stat("/dev/shm", &st) != 0 || mkdtemp(far_top) == NULL)
		return; /* no second file system to be had */
	begin();
	CU_ASSERT_EQUAL(stat(top, &root), 0);
	CHECK_OK(maildir_open(&far_root, far_top, LAYOUT_NESTED, false, &err));
	CHECK_OK(maildir_create(far_root, "Far", &err));
	CHECK_OK(maildir_folder_open(&far_folder, far_root, "Far", &err));
	put_file("F/cur/m:2,S", "text");
	CU_ASSERT_EQUAL(utimensat(AT_FDCWD, at("F/cur/m:2,S"), times, 0), 0);
	snprintf(path, sizeof(path), "%s/Far/cur/m:2,FS", far_top);
	CHECK_OK(maildir_move(folder, "m", far_folder, "m", "FS", &err));
	CHECK_SCAN(folder, "");
	CHECK_SCAN(far_folder, "c m FS");
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mtime, 1234567890);
	CU_ASSERT_EQUAL(st.st_size, 4);
	CU_ASSERT(st.st_dev == root.st_dev || (st.st_mode & 0777) == 0600);
	/* The name is taken: nothing is lost, and no copy stays in tmp. */
	put_file("F/cur/m:2,FS", "another");
	maildir_folder_close(&far_folder);
	CHECK_OK(maildir_folder_open(&far_folder, far_root, "Far", &err));
	CHECK_KIND(maildir_move(folder, "m", far_folder, "m", NULL, &err), ERROR_CHANGED);
	CU_ASSERT_STRING_EQUAL(content_of("F/cur/m:2,FS"), "another");
	snprintf(path, sizeof(path), "%s/Far/tmp", far_top);
	CU_ASSERT_EQUAL(rmdir(path), 0);
	maildir_folder_close(&far_folder);
	maildir_close(&far_root);
	remove_tree(far_top);
	end();
}

static const char *file_of(const char *sub, const char *base, const char *info)
{
	static char name[400];

	snprintf(name, sizeof(name), "F/%s/%s%s", sub, base, info);
	return name;
}

static void test_delivery(void)
{
	/* Pieces are separated by '|'. */
	static const struct {
		const char *wire, *file, *letters;
	} rows[] = {
		{"", "", ""},
		{"a\r\nb\r\n", "a\nb\n", ""},
		{"a\r|\nb\r\n", "a\nb\n", "S"},
		{"a|\r|\n|b", "a\nb", "SF"},
		{"a\rb", "a\rb", ""},
		{"a\r|b", "a\rb", ""},
		{"a\r", "a\r", ""},
		{"a\r|", "a\r", ""},
		{"a\r\r\n", "a\r\n", ""},
		{"a\r|\r|\n", "a\r\n", ""},
		{"a\nb\n", "a\nb\n", ""},
		{"\r\n\r\n", "\n\n", ""},
		{"\r|\r|\r", "\r\r\r", ""},
	};
	struct stat st;

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *piece = rows[i].wire, *base, *name;
		struct delivery *delivery = NULL;
		struct file_facts facts;
		struct hash wanted = content_hash(rows[i].file);

		CHECK_OK(delivery_begin(&delivery, folder, &err));
		for (;;) {
			size_t len = strcspn(piece, "|");

			CHECK_OK(delivery_write(delivery, piece, len, &err));
			if (piece[len] == '\0')
				break;
			piece += len + 1;
		}
		CHECK_KIND(delivery_place(&delivery, "", &err), ERROR_LOCAL);
		CHECK_OK(
			delivery_finish(delivery, 1234567890 + (int)i, arena, &base, &facts, &err));
		CHECK_SCAN(folder, ""); /* not there yet */
		CHECK_OK(delivery_sync(&delivery, 1, &err));
		CHECK_OK(delivery_place(&delivery, rows[i].letters, &err));
		CU_ASSERT_PTR_NULL(delivery);
		CHECK_OK(maildir_folder_sync(folder, &err));
		name = rows[i].letters[0] == '\0'
			       ? file_of("new", base, "")
			       : file_of("cur", base,
					 rows[i].letters[1] != '\0' ? ":2,FS" : ":2,S");
		CU_ASSERT_STRING_EQUAL(content_of(name), rows[i].file);
		CU_ASSERT_EQUAL_FATAL(stat(at(name), &st), 0);
		CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
		CU_ASSERT_EQUAL(st.st_nlink, 1);
		CU_ASSERT_EQUAL(st.st_mtime, 1234567890 + (int)i);
		CU_ASSERT_EQUAL(facts.mtime, st.st_mtime);
		CU_ASSERT_EQUAL(facts.inode, st.st_ino);
		CU_ASSERT_EQUAL(facts.size, strlen(rows[i].file));
		CU_ASSERT_EQUAL(facts.fingerprint.size, strlen(rows[i].file));
		CU_ASSERT(hash_equal(&facts.fingerprint.content, &wanted) || hash_is_none(&wanted));
		unlink(at(name));
		CU_ASSERT_EQUAL(rmdir(at("F/tmp")), 0); /* empty */
		maildir_folder_close(&folder);
		CHECK_OK(maildir_folder_open(&folder, maildir, "F", &err));
	}
	end();
}

/* Larger than any buffer, in pieces that end everywhere in a line end. */
static void test_delivery_large(void)
{
	enum { LINES = 20000 };
	struct text wire = {0};
	struct file_facts facts, read_back;
	struct delivery *delivery = NULL;
	const char *base;
	size_t at_octet = 0;

	begin();
	for (int i = 0; i < LINES; i++)
		text_printf(&wire, "line %d of a message that is longer than the buffer\r\n", i);
	CHECK_OK(delivery_begin(&delivery, folder, &err));
	for (size_t step = 1; at_octet < wire.len; step = step * 3 % 8191 + 1) {
		size_t n = step < wire.len - at_octet ? step : wire.len - at_octet;

		CHECK_OK(delivery_write(delivery, wire.data + at_octet, n, &err));
		at_octet += n;
	}
	CHECK_OK(delivery_finish(delivery, 0, arena, &base, &facts, &err));
	CHECK_OK(delivery_sync(&delivery, 1, &err));
	CHECK_OK(delivery_place(&delivery, NULL, &err));
	CU_ASSERT_EQUAL(facts.size, wire.len - LINES);
	CU_ASSERT_EQUAL(facts.fingerprint.wire_size, wire.len);
	CHECK_OK(maildir_examine(folder, base, &read_back, &err));
	CU_ASSERT_EQUAL(memcmp(&facts, &read_back, sizeof(facts)), 0);
	text_release(&wire);
	end();
}

static void test_delivery_batch(void)
{
	enum { BATCH = 60 };
	struct delivery *deliveries[BATCH];
	struct rlimit old, few = {40, 40};
	struct file_facts facts;
	const char *bases[BATCH];
	int fd;

	begin();
	/* Finished deliveries keep no more descriptors than there are. */
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	maildir_folder_close(&folder);
	maildir_folder_close(&other);
	maildir_close(&maildir);
	CHECK_OK(maildir_open(&maildir, top, LAYOUT_NESTED, false, &err));
	CHECK_OK(maildir_folder_open(&folder, maildir, "F", &err));
	for (int i = 0; i < BATCH; i++) {
		CHECK_OK(delivery_begin(&deliveries[i], folder, &err));
		CHECK_OK(delivery_write(deliveries[i], "text\r\n", 6, &err));
		CHECK_OK(delivery_finish(deliveries[i], i, arena, &bases[i], &facts, &err));
	}
	CHECK_OK(delivery_sync(deliveries, BATCH, &err));
	for (int i = 0; i < BATCH; i++) {
		CHECK_OK(delivery_place(&deliveries[i], i % 2 != 0 ? "S" : "", &err));
		CHECK_OK(fd = maildir_open_file(folder, bases[i], arena, NULL, &err));
		close(fd);
	}
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	end();
}

static void test_delivery_errors(void)
{
	struct delivery *delivery = NULL;
	struct file_facts facts;
	const char *base;

	begin();
	CHECK_OK(delivery_begin(&delivery, folder, &err));
	CHECK_OK(delivery_write(delivery, "x", 1, &err));
	delivery_abort(&delivery);
	CU_ASSERT_PTR_NULL(delivery);
	delivery_abort(&delivery);
	CU_ASSERT_EQUAL(rmdir(at("F/tmp")), 0);
	CHECK_KIND(delivery_begin(&delivery, folder, &err), ERROR_LOCAL);
	CU_ASSERT_PTR_NULL(delivery);
	maildir_folder_close(&folder);
	CHECK_OK(maildir_folder_open(&folder, maildir, "F", &err));

	CHECK_OK(delivery_begin(&delivery, folder, &err));
	CHECK_OK(delivery_finish(delivery, 0, arena, &base, &facts, &err));
	put_file(file_of("new", base, ""), "somebody else's");
	CHECK_KIND(delivery_place(&delivery, "", &err), ERROR_CHANGED);
	CU_ASSERT_PTR_NOT_NULL(delivery);
	CU_ASSERT_STRING_EQUAL(content_of(file_of("new", base, "")), "somebody else's");
	CHECK_OK(delivery_place(&delivery, "S", &err));

	maildir->most_kept = 0; /* what is closed must be found again */
	CHECK_OK(delivery_begin(&delivery, folder, &err));
	CHECK_OK(delivery_finish(delivery, 0, arena, &base, &facts, &err));
	remove_tree(at("F/tmp"));
	CHECK_KIND(delivery_sync(&delivery, 1, &err), ERROR_LOCAL);
	CHECK_KIND(delivery_place(&delivery, "", &err), ERROR_LOCAL);
	delivery_abort(&delivery);
	end();
}

static void test_clean_tmp(void)
{
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	begin();
	put_file("F/tmp/mailtwin-1.young", "");
	put_file("F/tmp/1.foreign", "");
	CU_ASSERT_EQUAL(utimensat(AT_FDCWD, at("F/tmp/mailtwin-1.young"), times, 0), 0);
	CU_ASSERT_EQUAL(utimensat(AT_FDCWD, at("F/tmp/1.foreign"), times, 0), 0);
	CHECK_OK(maildir_clean_tmp(folder, &err));
	CU_ASSERT(exists("F/tmp/mailtwin-1.young")); /* its date is the message's, not its age */
	CU_ASSERT(exists("F/tmp/1.foreign"));
	end();
}

int main(void)
{
	static const struct test_case cases[] = {
		{"open", test_open_file},
		{"find after renames", test_find_after_renames},
		{"examine", test_examine},
		{"verify", test_verify},
		{"delete", test_delete},
		{"change letters", test_change_letters},
		{"change letters: obstacles", test_change_letters_obstacles},
		{"move", test_move},
		{"move to another device", test_move_to_another_device},
		{"delivery", test_delivery},
		{"move: nothing is overwritten", test_move_name},
		{"delivery: large", test_delivery_large},
		{"delivery: batch", test_delivery_batch},
		{"delivery: errors", test_delivery_errors},
		{"clean tmp", test_clean_tmp},
	};

	return run_tests("message", cases, ARRAY_SIZE(cases));
}
