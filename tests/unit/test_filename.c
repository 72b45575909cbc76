/* File names of messages, letters, the lines of dovecot-keywords, the index of names. */
#include "maildir/maildir_private.h"
#include "maildir_fixture.h"

static void test_parse(void)
{
	static const struct {
		const char *name;
		enum name_kind kind;
		const char *base;
		const char *letters; /* NULL: no info */
		const char *tail;
	} rows[] = {
		{"1.a.host", NAME_MESSAGE, "1.a.host", NULL, ""},
		{"1.a.host:2,", NAME_MESSAGE, "1.a.host", "", ""},
		{"1.a.host:2,FS", NAME_MESSAGE, "1.a.host", "FS", ""},
		{"1.a.host,S=10,W=11:2,Sa", NAME_MESSAGE, "1.a.host,S=10,W=11", "Sa", ""},
		{"foo:2,SS", NAME_MESSAGE, "foo", "SS", ""},
		{"foo:2,S:2,F", NAME_MESSAGE, "foo", "S:2", ",F"},
		{"foo:2,S,x=1,y", NAME_MESSAGE, "foo", "S", ",x=1,y"},
		{"foo:1,x", NAME_FOREIGN, "foo:1,x", NULL, ""},
		{"foo:1,x:2,S", NAME_MESSAGE, "foo:1,x", "S", ""},
		{"foo:", NAME_FOREIGN, "foo:", NULL, ""},
		{"foo;2,S", NAME_MESSAGE, "foo;2,S", NULL, ""},
		{"foo!2,S", NAME_MESSAGE, "foo!2,S", NULL, ""},
		{":2,S", NAME_BAD, "", "S", ""},
		{"a\nb", NAME_BAD, "a\nb", NULL, ""},
		{"a\177b:2,S", NAME_BAD, "a\177b", "S", ""},
		{"a:2,\001", NAME_BAD, "a", "\001", ""},
		{"gr\303\274\303\237e:2,S", NAME_MESSAGE, "gr\303\274\303\237e", "S", ""},
		{"bytes\377\376", NAME_MESSAGE, "bytes\377\376", NULL, ""},
		{".hidden", NAME_IGNORED, ".hidden", NULL, ""},
		{"dovecot.index.cache", NAME_IGNORED, "dovecot.index.cache", NULL, ""},
		{"maildirfolder", NAME_IGNORED, "maildirfolder", NULL, ""},
		{"dovecote", NAME_MESSAGE, "dovecote", NULL, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct name_parts parts;

		CU_ASSERT_EQUAL(filename_parse(rows[i].name, &parts), rows[i].kind);
		CU_ASSERT_EQUAL(parts.base_len, strlen(rows[i].base));
		CU_ASSERT_EQUAL(strncmp(rows[i].name, rows[i].base, parts.base_len), 0);
		CU_ASSERT_EQUAL(parts.has_info, rows[i].letters != NULL);
		CU_ASSERT_EQUAL(parts.letters_len,
				rows[i].letters != NULL ? strlen(rows[i].letters) : 0);
		CU_ASSERT_EQUAL(strncmp(parts.letters,
					rows[i].letters != NULL ? rows[i].letters : "",
					parts.letters_len),
				0);
		CU_ASSERT_STRING_EQUAL(parts.tail, rows[i].tail);
	}
}

static void test_merge(void)
{
	static const struct {
		const char *old, *add, *remove, *wanted; /* NULL: impossible */
		bool changed;
	} rows[] = {
		{"", "", "", "", false},          {"", "S", NULL, "S", true},
		{"S", "S", NULL, "S", false},     {"S", NULL, "F", "S", false},
		{"S", "F", NULL, "FS", true},     {"SF", NULL, NULL, "FS", false},
		{"SF", "R", NULL, "FRS", true},   {"SS", "F", NULL, "FS", true},
		{"Sab", "T", "S", "Tab", true},   {"Sx9", "D", NULL, "9DSx", true},
		{"FS", NULL, "FS", "", true},     {"S", "F", "F", "FS", true}, /* adding wins */
		{"S:2", "F", NULL, "2:FS", true}, {"S", ",", NULL, NULL, false},
		{"S", "/", NULL, NULL, false},    {"S", ":", NULL, NULL, false},
		{"S", "\n", NULL, NULL, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[64];
		bool changed;
		int result = letters_merge(rows[i].old, strlen(rows[i].old), rows[i].add,
					   rows[i].remove, out, &changed);

		CU_ASSERT_EQUAL(result, rows[i].wanted != NULL ? 0 : -1);
		if (result != 0)
			continue;
		CU_ASSERT_STRING_EQUAL(out, rows[i].wanted);
		CU_ASSERT_EQUAL(changed, rows[i].changed);
	}
}

static void test_new_base(void)
{
	char *a = maildir_new_base(17), *b = maildir_new_base(17);
	struct name_parts parts;
	unsigned long long seconds, random;
	unsigned long usec, pid, n;

	CU_ASSERT_STRING_NOT_EQUAL(a, b);
	CU_ASSERT_EQUAL(sscanf(a, "%llu.M%luP%luQ%luR%llx.", &seconds, &usec, &pid, &n, &random),
			5);
	CU_ASSERT_EQUAL(pid, (unsigned long)getpid());
	CU_ASSERT_STRING_EQUAL(strstr(a, ",S="), ",S=17");
	CU_ASSERT_EQUAL(filename_parse(a, &parts), NAME_MESSAGE);
	CU_ASSERT_EQUAL(parts.base_len, strlen(a));
	CU_ASSERT(strlen(a) < 200);
	free(a);
	free(b);
}

static void test_keywords_parse(void)
{
	static const struct {
		const char *data, *a, *b, *z;
		bool torn;
	} rows[] = {
		{"", NULL, NULL, NULL, false},
		{"0 $Forwarded\n1 work\n25 z\n", "$Forwarded", "work", "z", false},
		{"1 b\n0 a\n", "a", "b", NULL, false},
		{"0 a\n1 cut", "a", NULL, NULL, true},
		{"0 a\n\n1 b\n", "a", "b", NULL, true},
		{"0 a\n0 again\n1 b\n", "a", "b", NULL, true},
		{"0 a\n26 beyond\n1 b\n", "a", "b", NULL, false},
		{"0 a\n99999999999999999999 much\n1 b\n", "a", "b", NULL, true},
		{"x a\n1 b\n", NULL, "b", NULL, true},
		{"-1 a\n1 b\n", NULL, "b", NULL, true},
		{"0\n1 b\n", NULL, "b", NULL, true},
		{"0 \n1 b\n", NULL, "b", NULL, true},
		{"0 two words\n1 b\n", NULL, "b", NULL, true},
		{"0 a\r\n1 b\n", NULL, "b", NULL, true},
		{"0 \303\274\n", "\303\274", NULL, NULL, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct keywords_file file;
		const char *const wanted[] = {rows[i].a, rows[i].b, rows[i].z};
		const char *got[3];

		keywords_parse(rows[i].data, strlen(rows[i].data), &file);
		got[0] = file.names[0];
		got[1] = file.names[1];
		got[2] = file.names[25];
		CU_ASSERT_EQUAL(file.torn, rows[i].torn);
		for (int j = 0; j < 3; j++) {
			CU_ASSERT_EQUAL(got[j] == NULL, wanted[j] == NULL);
			if (got[j] != NULL && wanted[j] != NULL)
				CU_ASSERT_STRING_EQUAL(got[j], wanted[j]);
		}
		keywords_file_release(&file);
	}
}

/* The memory budget, and no base name taken for another one. */
static void check_index_size(size_t expected, size_t octets)
{
	struct name_index *index = name_index_new(expected);
	const unsigned n = 100000;
	unsigned clashes = 0;
	char name[128];

	for (unsigned i = 0; i < n; i++) {
		int len = snprintf(name, sizeof(name), "17%08u.M%06uP12Q%uR0.host,S=%u", i,
				   i % 1000, i, i % 4096);

		snprintf(name + len, sizeof(name) - (size_t)len, ":2,%s", i % 2 != 0 ? "S" : "RS");
		clashes += name_index_add(index, name, (size_t)len, false);
	}
	CU_ASSERT_EQUAL(clashes, 0);
	CU_ASSERT(name_index_bytes(index) <= octets * n);
	CU_ASSERT(name_index_add(index, "1700000007.M000007P12Q7R0.host,S=7", 34, true));
	name_index_free(&index);
	CU_ASSERT_PTR_NULL(index);
}

static void test_index_size(void)
{
	check_index_size(0, 16);
	check_index_size(100000, 12); /* it never had to grow */
}

int main(void)
{
	static const struct test_case cases[] = {
		{"parse", test_parse},
		{"merge letters", test_merge},
		{"new base names", test_new_base},
		{"lines of dovecot-keywords", test_keywords_parse},
		{"size of the index", test_index_size},
	};

	return run_tests("filename", cases, ARRAY_SIZE(cases));
}
