/* The options of an account: their kinds, ranges and words, and what a single value must look like.
 * One table says it all; the parser and the builder read it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "imap/stream_private.h" /* host_check */
#include "sync/config_private.h"

int section_error(struct error *err, const struct section *section, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return error_set(err, ERROR_CONFIG, "%s:%d: account %s: %s", section->place.file,
			 section->place.line, section->name, text);
}

int setting_error(struct error *err, const struct setting *setting, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	bool account = setting->section != NULL;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return error_set(err, ERROR_CONFIG, "%s:%d: %s%s%s%s: %s", setting->place.file,
			 setting->place.line, account ? "account " : "",
			 account ? setting->section->name : "", account ? ": " : "",
			 setting->option->name, text);
}

static int check_host(const struct setting *setting, struct error *err)
{
	const char *value = setting->values[0];
	const char *scheme = strstr(value, "://");
	struct error why;

	if (*value == '\0') /* not given */
		return 0;
	if (scheme != NULL)
		return setting_error(err, setting,
				     "expected a host name alone, not an address with %.*s://",
				     (int)(scheme - value), value);
	if (host_check(value, &why) != 0)
		return setting_error(err, setting, "%s", why.text);
	return 0;
}

static int check_fingerprint(const struct setting *setting, struct error *err)
{
	size_t digits = 0;

	for (const char *p = setting->values[0]; *p != '\0'; p++) {
		char c = ascii_lower(*p);

		if (ascii_is_digit(c) || (c >= 'a' && c <= 'f'))
			digits++;
		else if (c != ':')
			digits = 65;
	}
	if (digits != 0 && digits != 64)
		return setting_error(err, setting,
				     "expected the SHA-256 of the certificate: 64 hexadecimal "
				     "digits, with or without colons");
	return 0;
}

static int check_names(const struct setting *setting, struct error *err)
{
	for (size_t i = 0; i < setting->n; i++) {
		const char *name = setting->values[i];

		if (*name == '\0' || strcmp(name, "!") == 0)
			return setting_error(err, setting, "expected a folder name, not ''");
		if (!utf8_valid(name, strlen(name)))
			return setting_error(err, setting, "expected a folder name in UTF-8");
	}
	return 0;
}

static int check_folders(const struct setting *setting, struct error *err)
{
	if (setting->n == 0)
		return setting_error(err, setting,
				     "expected at least one pattern, such as '*'; the empty list "
				     "chooses nothing");
	return check_names(setting, err);
}

static int check_trash(const struct setting *setting, struct error *err)
{
	static const char *const uses[] = {"\\Archive", "\\Junk", "\\Trash"};
	const char *value = setting->values[0];
	size_t len = strlen(value);

	if (!utf8_valid(value, len))
		return setting_error(err, setting, "expected a folder name in UTF-8");
	if (value[0] == '\\') {
		for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
			if (ascii_case_equal(value, uses[i]))
				return 0;
		}
		return setting_error(err, setting,
				     "expected a folder or one of '\\Trash', '\\Archive' and "
				     "'\\Junk', not %s",
				     value);
	}
	if (len != 0 && (value[0] == '/' || value[len - 1] == '/' || strstr(value, "//") != NULL))
		return setting_error(
			err, setting,
			"expected a folder name such as 'Trash' or 'Old/Trash', not %s", value);
	return 0;
}

static int check_extensions(const struct setting *setting, struct error *err)
{
	static const char more[] = "-=.+_:/";

	for (size_t i = 0; i < setting->n; i++) {
		const char *p = setting->values[i];

		while (ascii_is_alpha(*p) || ascii_is_digit(*p) ||
		       (*p != '\0' && strchr(more, *p) != NULL))
			p++;
		if (*p != '\0' || *setting->values[i] == '\0')
			return setting_error(err, setting,
					     "expected the name of an IMAP extension such as "
					     "'QRESYNC', not '%s'",
					     setting->values[i]);
	}
	return 0;
}

static const struct choice tls_words[] = {
	{"implicit", TLS_IMPLICIT}, {"starttls", TLS_STARTTLS}, {"none", TLS_NONE}, {NULL, 0}};
static const struct choice auth_words[] = {{"auto", AUTH_AUTO},
					   {"plain", AUTH_PLAIN},
					   {"login", AUTH_LOGIN},
					   {"cram-md5", AUTH_CRAM_MD5},
					   {"scram-sha-256", AUTH_SCRAM_SHA_256},
					   {"xoauth2", AUTH_XOAUTH2},
					   {"oauthbearer", AUTH_OAUTHBEARER},
					   {"external", AUTH_EXTERNAL},
					   {NULL, 0}};
static const struct choice layout_words[] = {
	{"nested", LAYOUT_NESTED}, {"maildir++", LAYOUT_MAILDIRPP}, {NULL, 0}};
static const struct choice mode_words[] = {
	{"two-way", MODE_TWO_WAY}, {"mirror", MODE_MIRROR}, {"archive", MODE_ARCHIVE}, {NULL, 0}};
static const struct choice compress_words[] = {{"auto", -1}, {"yes", 1}, {"no", 0}, {NULL, 0}};

#define FIELD(field)                                      \
	.offset = offsetof(struct account_config, field), \
	.size = sizeof(((struct account_config *)NULL)->field)
#define TEXT(name_, field, ...)                                               \
	{                                                                     \
		.name = name_, .kind = OPTION_TEXT, FIELD(field), __VA_ARGS__ \
	}
#define PATH(name_, field)                                       \
	{                                                        \
		.name = name_, .kind = OPTION_PATH, FIELD(field) \
	}
#define BOOLEAN(name_, field)                                       \
	{                                                           \
		.name = name_, .kind = OPTION_BOOLEAN, FIELD(field) \
	}
#define LIST(name_, field, check_)                                                \
	{                                                                         \
		.name = name_, .kind = OPTION_LIST, FIELD(field), .check = check_ \
	}
#define NUMBER(name_, field, min_, max_)                                                     \
	{                                                                                    \
		.name = name_, .kind = OPTION_NUMBER, FIELD(field), .min = min_, .max = max_ \
	}
#define CHOICE(name_, field, words, check_)                                           \
	{                                                                             \
		.name = name_, .kind = OPTION_CHOICE, FIELD(field), .choices = words, \
		.check = check_                                                       \
	}

/* clang-format off */
const struct option account_options[] = {
	TEXT("host", host, .check = check_host),
	NUMBER("port", port, 1, 65535),
	CHOICE("tls", tls, tls_words, NULL),
	TEXT("user", user, .check = NULL),
	TEXT("password", password, .secret = true),
	TEXT("password-command", password_command, .check = NULL),
	CHOICE("auth", auth, auth_words, NULL),
	PATH("ca-file", ca_file),
	TEXT("fingerprint", fingerprint, .check = check_fingerprint),
	TEXT("tunnel", tunnel, .check = NULL),
	PATH("maildir", maildir),
	CHOICE("layout", layout, layout_words, NULL),
	LIST("folders", folders, check_folders),
	CHOICE("mode", mode, mode_words, NULL),
	BOOLEAN("expunge", expunge),
	TEXT("trash", trash, .check = check_trash),
	BOOLEAN("delete-folders", delete_folders),
	NUMBER("guard", guard, 0, 100),
	LIST("unguarded", unguarded, check_names),
	NUMBER("max-size", max_size, 0, INT64_MAX),
	NUMBER("connections", connections, 1, 32),
	CHOICE("compress", compress, compress_words, NULL),
	NUMBER("timeout", timeout, 1, 86400),
	PATH("state", state),
	TEXT("after-sync", after_sync, .check = NULL),
	LIST("disable-extension", disable_extension, check_extensions),
	BOOLEAN("allow-plaintext", allow_plaintext),
};
/* clang-format on */
const size_t n_account_options = ARRAY_SIZE(account_options);

const struct option jobs_option = {
	.name = "jobs", .kind = OPTION_NUMBER, .size = sizeof(unsigned), .min = 1, .max = 100};
