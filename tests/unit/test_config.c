/* The configuration: what is accepted means what it says, and every error names file, line, option
 * and what was expected. */
#include "sync/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "check.h"

static char dir[200], path[256];

static void write_as(const char *name, const char *data, size_t len, mode_t mode)
{
	char *file = xasprintf("%s/%s", dir, name);
	int fd;

	unlink(file); /* the mode of a former one may forbid to write */
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(write(fd, data, len) == (ssize_t)len);
	fchmod(fd, mode);
	close(fd);
	free(file);
}

static void write_file(const char *name, const char *text)
{
	write_as(name, text, strlen(text), 0600);
}

/* The rest of the error behind "DIR/", or NULL if it was fine. */
static const char *load(struct config **config, struct error *err)
{
	size_t len = strlen(dir);

	error_clear(err);
	if (config_load(config, path, err) == 0)
		return NULL;
	CU_ASSERT(*config == NULL);
	if (strncmp(err->text, dir, len) == 0)
		return err->text + len + 1;
	return err->text;
}

static bool refuses(const char *text, const char *want)
{
	struct config *config;
	struct error err;
	const char *got;

	write_file("c", text);
	got = load(&config, &err);
	config_free(&config);
	if (got != NULL && strcmp(got, want) == 0 && err.kind == ERROR_CONFIG)
		return true;
	fprintf(stderr, "\n  of: %s\n got: %s\nwant: %s\n", text, got != NULL ? got : "fine", want);
	return false;
}

#define NEEDED "host = h\nuser = u\npassword-command = x\nmaildir = '/m'\n" /* 4 lines */

static void test_syntax_errors(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"", "c: no account in it; expected at least one: account NAME { ... }"},
		{"# nothing\n", "c: no account in it; expected at least one: account NAME { ... }"},
		{"jobs = 3", "c: no account in it; expected at least one: account NAME { ... }"},
		{"\n\naccount a {\n", "c:3: the brace { is not closed"},
		{"account a {\nfolders = {\n}", "c:2: the brace { is not closed"},
		{"account a }", "c:1: missing opening brace for section 'account'"},
		{"}", "c:1: unexpected closing brace"},
		{"account { }", "c:1: missing title for section 'account'"},
		{"account a { host h }", "c:1: account a: missing equal sign after option 'host'"},
		{"account a {\nhost = }", "c:2: account a: unexpected token '}'"},
		{"account a {\nhost = {'x'} }", "c:2: account a: unexpected token '{'"},
		{"/* a\nb\nc", "c:1: the comment that begins with /* is not closed"},
		{"\naccount a { host = 'x\n'",
		 "c:2: the string that begins with ' is not closed on its line (in single quotes "
		 "write \\' for ' and \\\\ for a backslash at the end)"},
		{"account a { host = \"x\n\"",
		 "c:1: the string that begins with \" is not closed on its line"},
		{"account a {\n\n folders = { * } }",
		 "c:3: unexpected '*'; put it in 'single quotes'"},
		{"account a { folders += { 'x' } }",
		 "c:1: unexpected '+'; put it in 'single quotes'"},
		{"account a { } account|host = x",
		 "c:1: unexpected '|'; put it in 'single quotes'"},
		{"account a { password = \"a\\b\" }",
		 "c:1: in double quotes a backslash may only stand before \\, \" or $; use 'single "
		 "quotes'"},
		{"account a { maildir = ${HOME} }",
		 "c:1: a variable must stand in \"double quotes\""},
		{"\naccount a { maildir = \"${MAILTWIN_UNSET}/m\" }",
		 "c:2: the environment variable 'MAILTWIN_UNSET' is not set; write "
		 "${MAILTWIN_UNSET:-value} to give a default"},
		{"account a { maildir = \"${HOME\" }",
		 "c:1: expected ${NAME} or ${NAME:-value}; write \\$ for a dollar sign"},
		{"account a { host = 'x\x01' }",
		 "c:1: unexpected byte \\x01; is this a text file?"},
		{"\x7f"
		 "ELF",
		 "c:1: unexpected byte \\x7F; is this a text file?"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CU_ASSERT(refuses(rows[i].text, rows[i].want));
}

static void test_unknown_options(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"maildir = 'x'", "c:1: maildir: unknown option; mailtwin.conf(5) lists them"},
		{"account a {\n\nhots = 'x'\n}",
		 "c:3: account a: hots: unknown option; mailtwin.conf(5) lists them"},
		{"account a { include('x') }",
		 "c:1: account a: include: unknown option; mailtwin.conf(5) lists them"},
		{"account a { jobs = 1 }",
		 "c:1: account a: jobs: unknown option; mailtwin.conf(5) lists them"},
		{"account a { HOST = x }",
		 "c:1: account a: HOST: unknown option; mailtwin.conf(5) lists them"},
		{"'account=a|host' = x", "c:1: no sub-section title/index for 'account'"},
		{"account a { host = h }\n'account=a|host' = x",
		 "c:2: host: expected inside of an account"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = rows[i].text;

		/* libConfuse words this one in its own way. */
		if (strstr(rows[i].want, "sub-section") != NULL) {
			struct config *config;
			struct error err;

			write_file("c", text);
			CU_ASSERT(load(&config, &err) != NULL && err.kind == ERROR_CONFIG);
		} else {
			CU_ASSERT(refuses(text, rows[i].want));
		}
	}
}

/* The option stands in line 6. */
static void test_values(void)
{
	static const struct {
		const char *option, *want;
	} rows[] = {
		{"port = 99999", "port: expected a number from 1 to 65535, not 99999"},
		{"port = 0", "port: expected a number from 1 to 65535, not 0"},
		{"port = -1", "port: expected a number from 1 to 65535, not -1"},
		{"port = imap", "port: expected a number from 1 to 65535, not imap"},
		{"port = ''", "port: expected a number from 1 to 65535, not "},
		{"port = 0x10", "port: expected a number from 1 to 65535, not 0x10"},
		{"port = 18446744073709551617",
		 "port: expected a number from 1 to 65535, not 18446744073709551617"},
		{"guard = 101", "guard: expected a number from 0 to 100, not 101"},
		{"connections = 0", "connections: expected a number from 1 to 32, not 0"},
		{"timeout = 0", "timeout: expected a number from 1 to 86400, not 0"},
		{"max-size = 10M",
		 "max-size: expected a number from 0 to 9223372036854775807, not 10M"},
		{"tls = 'ssl'", "tls: expected implicit, starttls or none, not ssl"},
		{"auth = 'ntlm'", "auth: expected auto, plain, login, cram-md5, scram-sha-256, "
				  "xoauth2, oauthbearer or external, not ntlm"},
		{"layout = 'mbox'", "layout: expected nested or maildir++, not mbox"},
		{"mode = 'push'", "mode: expected two-way, mirror or archive, not push"},
		{"compress = 'gzip'", "compress: expected auto, yes or no, not gzip"},
		{"expunge = maybe", "expunge: expected yes or no, not maybe"},
		{"delete-folders = 1", "delete-folders: expected yes or no, not 1"},
		{"allow-plaintext = ''", "allow-plaintext: expected yes or no, not "},
		{"state = 'a/b'",
		 "state: expected an absolute path or one that begins with ~/, not a/b"},
		{"ca-file = '~no-such-user-here/x'",
		 "ca-file: expected an absolute path or one that begins with ~/, not "
		 "~no-such-user-here/x"},
		{"fingerprint = 'ab:cd'", "fingerprint: expected the SHA-256 of the certificate: "
					  "64 hexadecimal digits, with "
					  "or without colons"},
		{"folders = { }", "folders: expected at least one pattern, such as '*'; the empty "
				  "list chooses nothing"},
		{"folders = { 'a', '!' }", "folders: expected a folder name, not ''"},
		{"folders = { 'a\xff' }", "folders: expected a folder name in UTF-8"},
		{"unguarded = { '\xc3' }", "unguarded: expected a folder name in UTF-8"},
		{"trash = '\\Sent'",
		 "trash: expected a folder or one of '\\Trash', '\\Archive' and '\\Junk', not "
		 "\\Sent"},
		{"trash = '/Trash'",
		 "trash: expected a folder name such as 'Trash' or 'Old/Trash', not /Trash"},
		{"disable-extension = { 'Q RESYNC' }",
		 "disable-extension: expected the name of an IMAP extension such as 'QRESYNC', not "
		 "'Q RESYNC'"},
		{"user = v", "user: given twice; first at "},
		{"folders = {'a'}\nfolders = {}", NULL},
		{"folders = {'a'}\nfolders = {'b'}", NULL},
		{"unguarded = {}\nunguarded = {'b'}", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text = xasprintf("account a {\n" NEEDED "%s\n}\n", rows[i].option), *want;

		if (rows[i].want == NULL)
			want = xasprintf("c:7: account a: %.*s: given twice; first at %s:6",
					 (int)strcspn(rows[i].option, " "), rows[i].option, path);
		else if (starts_with(rows[i].want, "user"))
			want = xasprintf("c:6: account a: %s%s:3", rows[i].want, path);
		else
			want = xasprintf("c:6: account a: %s", rows[i].want);
		CU_ASSERT(refuses(text, want));
		free(text);
		free(want);
	}
}

static void test_accounts(void)
{
	char *want = xasprintf("c:7: account a: given twice; first at %s:1", path);
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"account .a { }",
		 "c:1: account .a: expected a name of letters, digits and @ . _ + "
		 "-, not beginning with a dot"},
		{"account 'a/b' { }",
		 "c:1: account a/b: expected a name of letters, digits and @ . "
		 "_ + -, not beginning with a dot"},
		{"account '' { }", "c:1: account : expected a name of letters, digits and @ . _ + "
				   "-, not beginning with a dot"},
		{"\naccount a { }",
		 "c:2: account a: host: missing; expected the name of the IMAP server"},
		{"account a { host = h }",
		 "c:1: account a: user: missing; expected the name to log in"},
		{"account a { host = h user = u }",
		 "c:1: account a: password-command: missing; expected a command that prints the "
		 "password"},
		{"account a { host = h user = u password-command = x }",
		 "c:1: account a: maildir: missing; expected the directory for the mail"},
		{"account a { host = h user = u password = x password-command = y }",
		 "c:1: account a: expected password or password-command, not both"},
		{"account a { tunnel = x maildir = '/m' fingerprint = "
		 "'0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF' }",
		 "c:1: account a: fingerprint: expected only with TLS, which tls = 'none' and "
		 "tunnel "
		 "leave out"},
		{"account a { tunnel = x maildir = '/m/a' }\naccount b { tunnel = x maildir = '/m' "
		 "}",
		 "c:2: account b: maildir: expected a directory apart from that of account a "
		 "(/m/a)"},
		{"account a { tunnel = x maildir = '/m/a/' }\n"
		 "account b { tunnel = x maildir = '/m//./a' }",
		 "c:2: account b: maildir: expected a directory apart from that of account a "
		 "(/m/a)"},
		{"account a { tunnel = x maildir = '/a' state = '/s' }\n"
		 "account b { tunnel = x maildir = '/b' state = '/s/' }",
		 "c:2: account b: state: expected another directory than that of account a (/s)"},
		{"jobs = 0", "c:1: jobs: expected a number from 1 to 100, not 0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CU_ASSERT(refuses(rows[i].text, rows[i].want));
	CU_ASSERT(refuses("account a {\n" NEEDED "}\naccount a { }\n", want));
	free(want);
}

static void test_hosts(void)
{
	static const struct {
		const char *host;
		bool fine;
	} rows[] = {
		{"imap.example.org", true},
		{"localhost", true},
		{"192.0.2.1", true},
		{"::1", true},
		{"fe80::1%eth0", true},
		{"[::1]", false},
		{"imap.example.org:993", false},
		{"imaps://imap.example.org", false},
		{"b\xc3\xbc.example", false},
		{"a b", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text = xasprintf("account a {\nhost = '%s'\nuser = u\npassword-command = x\n"
				       "maildir = '/m'\n}",
				       rows[i].host);
		struct config *config;
		struct error err;
		const char *got;

		write_file("c", text);
		got = load(&config, &err);
		CU_ASSERT((got == NULL) == rows[i].fine);
		if (got != NULL)
			CU_ASSERT(starts_with(got, "c:2: account a: host: "));
		config_free(&config);
		free(text);
	}
}

static struct config *must_load(const char *text)
{
	struct config *config;
	struct error err;
	const char *got;

	write_file("c", text);
	got = load(&config, &err);
	if (got != NULL)
		fprintf(stderr, "\n%s\n", got);
	CU_ASSERT_FATAL(got == NULL);
	return config;
}

static void test_defaults(void)
{
	struct config *config;
	const struct account_config *a;

	setenv("HOME", "/home/u", 1);
	setenv("XDG_STATE_HOME", "relative/is/ignored", 1);
	config = must_load("account work {\n" NEEDED "}");
	a = config_account(config, "work");
	CU_ASSERT_FATAL(a != NULL && config->n_accounts == 1 && config->jobs == 4);
	CU_ASSERT_STRING_EQUAL(config->path, path);
	CU_ASSERT(config_account(config, "wor") == NULL && config_account(config, "WORK") == NULL);
	CU_ASSERT(a->port == 993 && a->tls == TLS_IMPLICIT && a->auth == AUTH_AUTO);
	CU_ASSERT(a->password == NULL && a->ca_file == NULL && a->fingerprint == NULL);
	CU_ASSERT(a->tunnel == NULL && a->layout == LAYOUT_NESTED && a->mode == MODE_TWO_WAY);
	CU_ASSERT(a->folders.n == 1 && strcmp(a->folders.strings[0], "*") == 0);
	CU_ASSERT(!a->expunge && a->delete_folders && a->guard == 50 && a->unguarded.n == 0);
	CU_ASSERT(a->max_size == 0 && a->connections == 3 && a->compress == -1);
	CU_ASSERT(a->timeout == 60 && a->disable_extension.n == 0 && !a->allow_plaintext);
	CU_ASSERT_STRING_EQUAL(a->trash, "");
	CU_ASSERT_STRING_EQUAL(a->after_sync, "");
	CU_ASSERT_STRING_EQUAL(a->state, "/home/u/.local/state/mailtwin/work");
	config_free(&config);
	CU_ASSERT(config == NULL);
	setenv("XDG_STATE_HOME", "/var/s", 1);
	config = must_load("account 'a+b@c' { tunnel = 't' maildir = '~' tls = starttls }");
	a = config_account(config, "a+b@c");
	CU_ASSERT_FATAL(a != NULL);
	CU_ASSERT(a->port == 143);
	CU_ASSERT_STRING_EQUAL(a->maildir, "/home/u");
	CU_ASSERT_STRING_EQUAL(a->state, "/var/s/mailtwin/a+b@c");
	config_free(&config);
}

/* Every option, with the comments that libConfuse trips over. */
static void test_everything(void)
{
	struct config *config = must_load(
		"\xef\xbb\xbfjobs = 2 // at once\r\n"
		"account work { # the /* first\r\n"
		"host = 'h' /* a # b */ port = 1143 tls = \"none\"\n"
		"user = \"u${MAILTWIN_UNSET:-x}\\$\\\"\\\\\"\n"
		"password = 'it\\'s \\d a \"p\" # ${x}\\\\'\n"
		"auth = 'cram-md5' ca-file = '~/ca//x/' layout = 'maildir++'\n"
		"maildir = /m/box//./x state = '/s'\n"
		"folders = { '*', # comment in a list\n '!Spam*' /* another */, }\n"
		"mode = mirror expunge = on trash = '\\Trash' delete-folders = FALSE\n"
		"guard = 0 unguarded = { 'a' } max-size = 9223372036854775807\n"
		"connections = 32 compress = no timeout = 86400 after-sync = 'a | b'\n"
		"disable-extension = { QRESYNC, 'COMPRESS=DEFLATE' } allow-plaintext = true\n"
		"} # no line end");
	const struct account_config *a = &config->accounts[0];

	CU_ASSERT(config->jobs == 2 && a->port == 1143 && a->tls == TLS_NONE);
	CU_ASSERT_STRING_EQUAL(a->user, "ux$\"\\");
	CU_ASSERT_STRING_EQUAL(a->password, "it's \\d a \"p\" # ${x}\\");
	CU_ASSERT(a->auth == AUTH_CRAM_MD5 && a->layout == LAYOUT_MAILDIRPP);
	CU_ASSERT_STRING_EQUAL(a->ca_file, "/home/u/ca/x");
	CU_ASSERT_STRING_EQUAL(a->maildir, "/m/box/x");
	CU_ASSERT_STRING_EQUAL(a->state, "/s");
	CU_ASSERT(a->folders.n == 2 && strcmp(a->folders.strings[1], "!Spam*") == 0);
	CU_ASSERT(a->mode == MODE_MIRROR && a->expunge && !a->delete_folders && a->guard == 0);
	CU_ASSERT_STRING_EQUAL(a->trash, "\\Trash");
	CU_ASSERT(a->unguarded.n == 1 && a->max_size == INT64_MAX && a->connections == 32);
	CU_ASSERT(a->compress == 0 && a->timeout == 86400 && a->allow_plaintext);
	CU_ASSERT_STRING_EQUAL(a->after_sync, "a | b");
	CU_ASSERT(a->disable_extension.n == 2);
	config_free(&config);
}

static void test_secret_file(void)
{
	static const struct {
		mode_t mode;
		bool fine;
	} rows[] = {{0600, true}, {0400, true}, {0640, false}, {0604, false}, {0620, false}};
	static const char secret[] =
		"account a { host = h user = u password = 'geheim' maildir = /m }";
	static const char command[] = "account a {\n" NEEDED "}";
	struct config *config;
	struct error err;
	const char *got;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_as("c", secret, strlen(secret), rows[i].mode);
		got = load(&config, &err);
		CU_ASSERT((got == NULL) == rows[i].fine);
		config_free(&config);
		if (got == NULL)
			continue;
		CU_ASSERT(err.kind == ERROR_CONFIG && strstr(got, "geheim") == NULL);
		CU_ASSERT(strstr(got, "; run: chmod 600 /") != NULL && strstr(got, path) != NULL);
		write_as("c", command, strlen(command), rows[i].mode); /* no secret, no matter */
		CU_ASSERT(load(&config, &err) == NULL);
		config_free(&config);
	}
}

static void test_include(void)
{
	struct config *config;
	char *want, *one;

	write_file("one.inc", "\n\naccount one {\n" NEEDED "}\ninclude('deep.inc')\n");
	write_file("two.inc", "jobs = 9\n");
	write_file("deep.inc", "account deep { tunnel = t maildir = '/d' }");
	config = must_load("include('[ot][nw][eo].inc')\ninclude('none*.inc')\n"
			   "account main { tunnel = t maildir = '/n' }");
	CU_ASSERT(config->n_accounts == 3 && config->jobs == 9);
	CU_ASSERT(config_account(config, "deep") != NULL);
	config_free(&config);

	want = xasprintf("c:2: include: expected a file; %s/missing is not there", dir);
	CU_ASSERT(refuses("\ninclude('missing')", want));
	free(want);
	want = xasprintf("one.inc:3: account one: given twice; first at %s:2", path);
	CU_ASSERT(refuses("include('one.inc')\naccount one { tunnel = t maildir = '/n' }", want));
	free(want);
	want = xasprintf("two.inc:1: jobs: given twice; first at %s:2", path);
	CU_ASSERT(refuses("include(two.inc)\njobs = 3", want));
	free(want);
	write_file("two.inc", "\n\nhost = x\n");
	CU_ASSERT(refuses("include('two.inc')",
			  "two.inc:3: host: unknown option; mailtwin.conf(5) lists them"));
	write_file("two.inc", "include('c')");
	want = xasprintf("two.inc:1: include: %s: included twice", path);
	CU_ASSERT(refuses("include('two.inc')", want));
	free(want);
	want = xasprintf("c:2: include: %s/.: expected a file, not a directory", dir);
	CU_ASSERT(refuses("\ninclude('.')", want));
	free(want);
	CU_ASSERT(refuses("include('a', 'b')", "c:1: include: expected one file name or pattern"));
	CU_ASSERT(refuses("include()", "c:1: include: expected one file name or pattern"));
	/* A password in an included file is judged by that file. */
	write_file("one.inc", "account a { host = h user = u password = p maildir = /m }");
	one = xasprintf("%s/one.inc", dir);
	chmod(one, 0644);
	free(one);
	want = xasprintf("one.inc:1: account a: password: the file holds a password and others can "
			 "read it (mode 644); run: chmod 600 %s/one.inc",
			 dir);
	CU_ASSERT(refuses("include('one.inc')", want));
	free(want);
}

static void test_no_text(void)
{
	static const char binary[] = "account a { host = h\0 }\n";
	struct config *config;
	struct error err;
	char *big = xmalloc(2 << 20), *kept = xstrdup(path);

	write_as("c", binary, sizeof(binary), 0600);
	CU_ASSERT_STRING_EQUAL(load(&config, &err),
			       "c:1: unexpected byte \\x00; is this a text file?");
	memset(big, '\n', 2 << 20);
	write_as("c", big, 2 << 20, 0600);
	CU_ASSERT_STRING_EQUAL(load(&config, &err), "c: expected a file of at most 1 MiB");
	free(big);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	CU_ASSERT(mkfifo(path, 0600) == 0);
	CU_ASSERT_STRING_EQUAL(load(&config, &err), "fifo: expected a file, not a device or pipe");
	snprintf(path, sizeof(path), "%s", dir);
	CU_ASSERT(load(&config, &err) != NULL && err.kind == ERROR_CONFIG);
	CU_ASSERT(strstr(err.text, ": expected a file, not a directory") != NULL);
	snprintf(path, sizeof(path), "%s", kept);
	free(kept);
}

static void test_where(void)
{
	struct config *config;
	struct error err;
	char *want = xasprintf("no configuration; looked for %s/mailtwin/mailtwin.conf", dir);
	char *sub = xasprintf("%s/mailtwin", dir);

	unsetenv("MAILTWIN_CONFIG");
	setenv("XDG_CONFIG_HOME", dir, 1);
	CU_ASSERT(config_load(&config, NULL, &err) == -1 && err.kind == ERROR_NOT_FOUND);
	CU_ASSERT_STRING_EQUAL(err.text, want);
	mkdir(sub, 0700);
	write_file("mailtwin/mailtwin.conf", "account x { tunnel = t maildir = '/n' }");
	CU_ASSERT(config_load(&config, NULL, &err) == 0 && config_account(config, "x") != NULL);
	config_free(&config);
	setenv("MAILTWIN_CONFIG", "/nonexistent/f", 1);
	CU_ASSERT(config_load(&config, NULL, &err) == -1 && err.kind == ERROR_NOT_FOUND);
	CU_ASSERT_STRING_EQUAL(err.text, "no configuration; looked for /nonexistent/f");
	free(want);
	free(sub);
}

/* A parse that failed in whatever state leaves nothing behind for the next one. */
static void test_no_traces(void)
{
	static const char *const bad[] = {"account a { host = \"",
					  "account a { host = '",
					  "/*",
					  "account a { folders = { 'x'",
					  "account",
					  "include("};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct config *config;
		struct error err;

		write_file("c", bad[i]);
		CU_ASSERT(load(&config, &err) != NULL && err.kind == ERROR_CONFIG);
		config = must_load("account a {\n" NEEDED "}");
		CU_ASSERT_STRING_EQUAL(config->accounts[0].host, "h");
		config_free(&config);
	}
}

static void clean_up(void)
{
	static const char *const names[] = {"c",        "one.inc", "two.inc",
					    "deep.inc", "fifo",    "mailtwin/mailtwin.conf"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *file = xasprintf("%s/%s", dir, names[i]);

		unlink(file);
		free(file);
	}
	snprintf(path, sizeof(path), "%s/mailtwin", dir);
	rmdir(path);
	rmdir(dir);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"defaults", test_defaults},
		{"everything", test_everything},
		{"syntax errors", test_syntax_errors},
		{"unknown options", test_unknown_options},
		{"values", test_values},
		{"accounts", test_accounts},
		{"hosts", test_hosts},
		{"a password in a file", test_secret_file},
		{"include", test_include},
		{"what is no text", test_no_text},
		{"where it is looked for", test_where},
		{"no traces of a failed parse", test_no_traces},
	};
	const char *tmp = getenv("TMPDIR");
	int result;

	snprintf(dir, sizeof(dir), "%s/mailtwin-config-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/c", dir);
	unsetenv("MAILTWIN_UNSET");
	result = run_tests("config", cases, ARRAY_SIZE(cases));
	clean_up();
	return result;
}
