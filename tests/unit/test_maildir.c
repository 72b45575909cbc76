/* The root, the sentinel and the tree. */
#include <errno.h>
#include <sys/syscall.h>

#include "maildir_fixture.h"

static void test_open(void)
{
	char deep[600];

	make_top();
	snprintf(deep, sizeof(deep), "%s", at("not/there"));
	CHECK_KIND(maildir_open(&maildir, deep, LAYOUT_NESTED, false, &err), ERROR_NOT_FOUND);
	CU_ASSERT_PTR_NULL(maildir);
	put_file("file", "");
	CHECK_KIND(maildir_open(&maildir, at("file"), LAYOUT_NESTED, false, &err), ERROR_LOCAL);
	CHECK_OK(maildir_open(&maildir, deep, LAYOUT_NESTED, true, &err));
	CU_ASSERT(maildir_is_empty(maildir));
	CU_ASSERT(maildir_is_local(maildir));
	maildir_close(&maildir);
	CU_ASSERT_EQUAL(symlink("not/there", at("link")), 0);
	CHECK_OK(maildir_open(&maildir, at("link"), LAYOUT_NESTED, false, &err));
	CU_ASSERT_STRING_EQUAL(maildir_root(maildir) + strlen(maildir_root(maildir)) - 10,
			       "/not/there");
	put_file("not/there/.mailtwin", "");
	CU_ASSERT(maildir_is_empty(maildir));
	put_file("not/there/x", "");
	CU_ASSERT(!maildir_is_empty(maildir));
	drop_root();
}

static void test_sentinel(void)
{
	struct sentinel written = {"0123-uuid", "me@example.org", 41}, read;

	make_root(LAYOUT_NESTED);
	CHECK_KIND(sentinel_read(maildir, &read, &err), ERROR_NOT_FOUND);
	CHECK_OK(sentinel_write(maildir, &written, &err));
	written.epoch = UINT64_MAX;
	CHECK_OK(sentinel_write(maildir, &written, &err));
	CHECK_OK(sentinel_read(maildir, &read, &err));
	CU_ASSERT_STRING_EQUAL(read.uuid, "0123-uuid");
	CU_ASSERT_STRING_EQUAL(read.account, "me@example.org");
	CU_ASSERT_EQUAL(read.epoch, UINT64_MAX);
	CU_ASSERT_STRING_EQUAL(
		content_of(".mailtwin"),
		"uuid 0123-uuid\naccount me@example.org\nepoch 18446744073709551615\n");
	memcpy(written.account, "a\nb", 4);
	CHECK_KIND(sentinel_write(maildir, &written, &err), ERROR_LOCAL);
	drop_root();
}

static void test_sentinel_damaged(void)
{
	static const char *const contents[] = {
		"",
		"uuid a\naccount b\n",
		"uuid a\nepoch 1\n",
		"account b\nepoch 1\n",
		"uuid a\naccount b\nepoch x\n",
		"uuid a\naccount b\nepoch 18446744073709551616\n",
		"uuid \naccount b\nepoch 1\n",
		"uuid 0123456789012345678901234567890123456\naccount b\nepoch 1\n",
	};
	struct sentinel read;

	make_root(LAYOUT_NESTED);
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		put_file(".mailtwin", contents[i]);
		CHECK_KIND(sentinel_read(maildir, &read, &err), ERROR_LOCAL);
	}
	put_file(".mailtwin", "epoch 7\nlater 1\naccount b\nuuid a");
	CHECK_OK(sentinel_read(maildir, &read, &err));
	CU_ASSERT_EQUAL(read.epoch, 7);
	rename(at(".mailtwin"), at("elsewhere"));
	CU_ASSERT_EQUAL(symlink("elsewhere", at(".mailtwin")), 0);
	CHECK_KIND(sentinel_read(maildir, &read, &err), ERROR_LOCAL);
	unlink(at(".mailtwin"));
	make_dirs(".mailtwin");
	CHECK_KIND(sentinel_read(maildir, &read, &err), ERROR_LOCAL);
	drop_root();
}

static void test_sentinel_lock(void)
{
	struct sentinel sentinel = {"u", "a@b", 1};
	int fd, again;

	make_root(LAYOUT_NESTED);
	CHECK_KIND(sentinel_lock(maildir, &err), ERROR_NOT_FOUND);
	CHECK_OK(sentinel_write(maildir, &sentinel, &err));
	CHECK_OK(fd = sentinel_lock(maildir, &err));
	CHECK_KIND(sentinel_lock(maildir, &err), ERROR_BUSY);
	close(fd);
	CHECK_OK(fd = sentinel_lock(maildir, &err));
	CHECK_OK(sentinel_write(maildir, &sentinel, &err)); /* another file now */
	CHECK_OK(again = sentinel_lock(maildir, &err));
	close(again);
	close(fd);
	drop_root();
}

static void test_find_other(void)
{
	static const struct {
		enum layout layout;
		const char *other; /* below top; the root is top/a/root */
		int wanted;
	} rows[] = {
		{LAYOUT_NESTED, NULL, 0},
		{LAYOUT_NESTED, "a/root/.mailtwin", 0},
		{LAYOUT_NESTED, ".mailtwin", 1},
		{LAYOUT_NESTED, "a/.mailtwin", 1},
		{LAYOUT_NESTED, "a/other/.mailtwin", 0},
		{LAYOUT_NESTED, "a/root/x/.mailtwin", 1},
		{LAYOUT_NESTED, "a/root/x/y/.mailtwin", 1},
		{LAYOUT_NESTED, "a/root/.hidden/.mailtwin", 1},
		{LAYOUT_MAILDIRPP, "a/root/.x/.mailtwin", 1},
		{LAYOUT_MAILDIRPP, "a/root/x/.mailtwin", 1},
		{LAYOUT_MAILDIRPP, "a/.mailtwin", 1},
		{LAYOUT_MAILDIRPP, NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *path = NULL, *real;

		make_top();
		make_dirs("a/root/x/y");
		make_dirs("a/root/.x");
		make_dirs("a/root/.hidden");
		make_dirs("a/other");
		if (rows[i].other != NULL)
			put_file(rows[i].other, "uuid u\n");
		CHECK_OK(maildir_open(&maildir, at("a/root"), rows[i].layout, false, &err));
		CU_ASSERT_EQUAL(sentinel_find_other(maildir, &path, &err), rows[i].wanted);
		if (path != NULL) {
			real = realpath(at(rows[i].other), NULL);
			CU_ASSERT_STRING_EQUAL(path, real);
			free(real);
		}
		free(path);
		drop_root();
	}
}

/* "path kind" of all, separated by '|'. */
static const char *list_result(void)
{
	static const char *const kinds[] = {"maildir", "plain", "incomplete", "damaged"};
	static char result[2048];
	struct local_folder *folders;
	struct arena *arena = arena_new();
	size_t n, len = 0;

	result[0] = '\0';
	CHECK_OK(maildir_list(maildir, arena, &folders, &n, &err));
	for (size_t i = 0; i < n; i++) {
		len += (size_t)snprintf(result + len, sizeof(result) - len, "%s%s %s",
					i != 0 ? "|" : "", folders[i].path, kinds[folders[i].kind]);
		if (folders[i].kind != DIRECTORY_DAMAGED)
			CU_ASSERT_EQUAL(folders[i].stamp.inode, inode_of(folders[i].path));
	}
	arena_free(&arena);
	return result;
}

static void test_list_nested(void)
{
	make_root(LAYOUT_NESTED);
	CU_ASSERT_STRING_EQUAL(list_result(), "");
	make_folder("INBOX");
	make_folder("INBOX/Below");
	make_folder("Level/Folder");
	make_dirs("Empty/Level");
	make_dirs("Half/cur");
	make_folder("Linked");
	rmdir(at("Linked/new"));
	CU_ASSERT_EQUAL(symlink("../INBOX/new", at("Linked/new")), 0);
	CU_ASSERT_EQUAL(symlink("INBOX", at("Link")), 0);
	CU_ASSERT_EQUAL(symlink("nowhere", at("Dangling")), 0);
	make_folder(".hidden");
	make_folder("lost+found");
	make_folder("INBOX/cur/Inside");
	put_file("file", "");
	CU_ASSERT_STRING_EQUAL(list_result(),
			       "Half incomplete|INBOX maildir|INBOX/Below maildir|Level plain|"
			       "Level/Folder maildir|Link damaged|Linked damaged");
	drop_root();
}

static void test_list_maildirpp(void)
{
	make_root(LAYOUT_MAILDIRPP);
	CU_ASSERT_STRING_EQUAL(list_result(), "");
	make_folder("");
	make_folder(".A");
	make_folder(".A.B");
	make_folder(".A/.Inside");
	make_folder("Nested");
	make_dirs(".git/objects");
	make_dirs(".notmuch/xapian");
	make_dirs(".Marked");
	put_file(".Marked/maildirfolder", "");
	make_folder(".mailtwin-removed.1");
	put_file(".mailtwin", "");
	CU_ASSERT_EQUAL(symlink(".A", at(".L")), 0);
	CU_ASSERT_STRING_EQUAL(list_result(), ". maildir|.A maildir|.A.B maildir|.L damaged|"
					      ".Marked incomplete");
	rmdir(at("new"));
	CU_ASSERT_STRING_EQUAL(list_result(), ". incomplete|.A maildir|.A.B maildir|.L damaged|"
					      ".Marked incomplete");
	drop_root();
}

/* What the real root user can read is no obstacle to him. */
static void test_list_unreadable(void)
{
	if (geteuid() == 0)
		return;
	make_root(LAYOUT_NESTED);
	make_folder("A");
	make_folder("B");
	chmod(at("A"), 0);
	CU_ASSERT_STRING_EQUAL(list_result(), "A damaged|B maildir");
	chmod(at("A"), 0700);
	drop_root();
}

static void test_create(void)
{
	struct stat st;

	make_root(LAYOUT_NESTED);
	CHECK_OK(maildir_create(maildir, "A/B", &err));
	CU_ASSERT_STRING_EQUAL(list_result(), "A plain|A/B maildir");
	CU_ASSERT_EQUAL(stat(at("A/B/cur"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0700);
	CU_ASSERT(exists("A/B/tmp"));
	CU_ASSERT(!exists("A/B/maildirfolder"));
	chmod(at("A/B/cur"), 0750);
	rmdir(at("A/B/new"));
	CHECK_OK(maildir_create(maildir, "A/B", &err)); /* completed */
	CU_ASSERT(exists("A/B/new"));
	CU_ASSERT_EQUAL(stat(at("A/B/cur"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0750);
	CHECK_KIND(maildir_create(maildir, "../out", &err), ERROR_LOCAL);
	CHECK_KIND(maildir_create(maildir, "A//B", &err), ERROR_LOCAL);
	CHECK_KIND(maildir_create(maildir, "/abs", &err), ERROR_LOCAL);
	CHECK_KIND(maildir_create(maildir, "", &err), ERROR_LOCAL);
	CU_ASSERT_EQUAL(symlink("A", at("Link")), 0);
	CHECK_KIND(maildir_create(maildir, "Link/C", &err), ERROR_CHANGED);
	CU_ASSERT(!exists("A/C"));
	put_file("file", "");
	CHECK_KIND(maildir_create(maildir, "file", &err), ERROR_CHANGED);
	drop_root();
	make_root(LAYOUT_MAILDIRPP);
	CHECK_OK(maildir_create(maildir, ".", &err));
	CHECK_OK(maildir_create(maildir, ".A.B", &err));
	CU_ASSERT_STRING_EQUAL(list_result(), ". maildir|.A.B maildir");
	CU_ASSERT(exists(".A.B/maildirfolder"));
	CU_ASSERT(!exists("maildirfolder"));
	drop_root();
}

/* A file system that folds case: what is made second is there already, and listed otherwise. */
static bool folds_case;

int mkdirat(int fd, const char *name, mode_t mode)
{
	if (folds_case && strcmp(name, "lists") == 0) {
		errno = EEXIST;
		return -1;
	}
	return (int)syscall(SYS_mkdirat, fd, name, mode);
}

static void test_create_where_case_is_folded(void)
{
	make_root(LAYOUT_NESTED);
	CHECK_OK(maildir_create(maildir, "Lists", &err));
	folds_case = true;
	CHECK_KIND(maildir_create(maildir, "lists", &err), ERROR_REFUSED);
	CHECK_KIND(maildir_create(maildir, "lists/below", &err), ERROR_REFUSED);
	CU_ASSERT(!exists("Lists/below"));
	folds_case = false;
	CHECK_OK(maildir_create(maildir, "lists", &err));
	folds_case = true;
	CHECK_OK(maildir_create(maildir, "lists/below", &err)); /* it is there by this name */
	folds_case = false;
	drop_root();
}

static void test_rename(void)
{
	make_root(LAYOUT_NESTED);
	make_folder("A");
	make_folder("A/B");
	put_file("A/cur/m:2,S", "mail");
	CHECK_OK(maildir_rename(maildir, "A", "X/Y", &err));
	CU_ASSERT_STRING_EQUAL(list_result(), "X plain|X/Y maildir|X/Y/B maildir");
	CU_ASSERT_STRING_EQUAL(content_of("X/Y/cur/m:2,S"), "mail");
	CHECK_KIND(maildir_rename(maildir, "A", "Z", &err), ERROR_NOT_FOUND);
	make_dirs("Empty");
	CHECK_KIND(maildir_rename(maildir, "X/Y", "Empty", &err), ERROR_CHANGED);
	CHECK_KIND(maildir_rename(maildir, "X", "X/Y/B/C", &err), ERROR_LOCAL);
	CHECK_KIND(maildir_rename(maildir, "X", "../X", &err), ERROR_LOCAL);
	CHECK_KIND(maildir_rename(maildir, ".", "X", &err), ERROR_LOCAL);
	CU_ASSERT(exists("X/Y/cur/m:2,S"));
	drop_root();
}

static void test_absent(void)
{
	make_root(LAYOUT_NESTED);
	make_folder("A");
	put_file("file", "");
	make_folder("Real");
	CU_ASSERT_EQUAL(symlink("Real", at("Link")), 0);
	CU_ASSERT_EQUAL(maildir_is_absent(maildir, ".", &err), 0);
	CU_ASSERT_EQUAL(maildir_is_absent(maildir, "A", &err), 0);
	CU_ASSERT_EQUAL(maildir_is_absent(maildir, "A/B", &err), 1);
	CU_ASSERT_EQUAL(maildir_is_absent(maildir, "A/B/C", &err), 1);
	CU_ASSERT_EQUAL(maildir_is_absent(maildir, "file", &err), 0);
	CU_ASSERT_EQUAL(maildir_is_absent(maildir, "Link", &err), 0);
	CHECK_KIND(maildir_is_absent(maildir, "Link/B", &err), ERROR_CHANGED);
	CHECK_KIND(maildir_is_absent(maildir, "file/B", &err), ERROR_CHANGED);
	CHECK_KIND(maildir_is_absent(maildir, "../B", &err), ERROR_LOCAL);
	remove_tree(top); /* the root is still open, and proves nothing */
	CHECK_KIND(maildir_is_absent(maildir, "A", &err), ERROR_CHANGED);
	drop_root();
}

static void test_remove(void)
{
	static const char *const worthless[] = {
		"A/dovecot.index.log",       "A/dovecot-uidlist",  "A/dovecot-keywords",
		"A/dovecot-uidvalidity.65a", "A/.uidvalidity",     "A/.mbsyncstate.lock",
		"A/.isyncuidmap.db",         "A/subscriptions",    "A/dovecot.mailbox.log",
		"A/maildirfolder",           "A/courierimapuiddb", "A/courierimapkeywords/:list",
		"A/tmp/mailtwin-1.x",
	};
	static const char *const valuable[] = {
		"A/cur/m:2,S", "A/new/m",  "A/tmp/1.foreign", "A/notes",
		"A/Photos/x",  "A/.git/x", "A/cur/sub/x",     "A/new/.nfs1",
	};

	make_root(LAYOUT_NESTED);
	for (size_t i = 0; i < ARRAY_SIZE(valuable); i++) {
		make_folder("A");
		make_dirs("A/courierimapkeywords");
		make_dirs("A/Photos");
		make_dirs("A/.git");
		make_dirs("A/cur/sub");
		rmdir(at("A/Photos"));
		rmdir(at("A/.git"));
		rmdir(at("A/cur/sub"));
		for (size_t j = 0; j < ARRAY_SIZE(worthless); j++)
			put_file(worthless[j], "index");
		if (strrchr(valuable[i], '/') - valuable[i] > 1) {
			char parent[64];

			snprintf(parent, sizeof(parent), "%.*s",
				 (int)(strrchr(valuable[i], '/') - valuable[i]), valuable[i]);
			make_dirs(parent);
		}
		put_file(valuable[i], "precious");
		CHECK_KIND(maildir_remove(maildir, "A", &err), ERROR_CHANGED);
		CU_ASSERT_STRING_EQUAL(content_of(valuable[i]), "precious");
		for (size_t j = 0; j < ARRAY_SIZE(worthless); j++)
			CU_ASSERT(exists(worthless[j]));
		CU_ASSERT(exists("A/cur"));
		remove_tree(at("A"));
	}
	make_folder("A");
	make_dirs("A/courierimapkeywords");
	for (size_t j = 0; j < ARRAY_SIZE(worthless); j++)
		put_file(worthless[j], "index");
	CHECK_OK(maildir_remove(maildir, "A", &err));
	CU_ASSERT(maildir_is_empty(maildir)); /* no hidden directory either: see below */
	CU_ASSERT_STRING_EQUAL(list_result(), "");
	CU_ASSERT_EQUAL(rmdir(top), 0);
	CHECK_KIND(maildir_remove(maildir, "A", &err), ERROR_NOT_FOUND);
	drop_root();
}

static void test_remove_with_folders_below(void)
{
	make_root(LAYOUT_NESTED);
	make_folder("A");
	make_folder("A/B/C");
	put_file("A/dovecot-uidlist", "");
	put_file("A/B/C/cur/m:2,S", "mail");
	CHECK_OK(maildir_remove(maildir, "A", &err));
	CU_ASSERT_STRING_EQUAL(list_result(), "A plain|A/B plain|A/B/C maildir");
	CU_ASSERT_STRING_EQUAL(content_of("A/B/C/cur/m:2,S"), "mail");
	CHECK_OK(maildir_remove(maildir, "A", &err)); /* again, as after a kill */
	CHECK_KIND(maildir_remove(maildir, "A/B/C", &err), ERROR_CHANGED);
	make_folder("A");
	put_file("A/new/m", "mail");
	CHECK_KIND(maildir_remove(maildir, "A", &err), ERROR_CHANGED);
	CU_ASSERT_STRING_EQUAL(list_result(), "A maildir|A/B plain|A/B/C maildir");
	CHECK_KIND(maildir_remove(maildir, ".", &err), ERROR_LOCAL);
	drop_root();
}

int main(void)
{
	static const struct test_case cases[] = {
		{"open", test_open},
		{"sentinel", test_sentinel},
		{"sentinel: damaged", test_sentinel_damaged},
		{"sentinel: lock", test_sentinel_lock},
		{"sentinel: of another root", test_find_other},
		{"list: nested", test_list_nested},
		{"list: maildir++", test_list_maildirpp},
		{"list: unreadable", test_list_unreadable},
		{"create", test_create},
		{"create where case is folded", test_create_where_case_is_folded},
		{"rename", test_rename},
		{"absent", test_absent},
		{"remove", test_remove},
		{"remove: folders below", test_remove_with_folders_below},
	};

	return run_tests("maildir", cases, ARRAY_SIZE(cases));
}
