/* Finding and reading the files. libConfuse ends the process when it is given a directory, and its
 * include() loses count of lines: so each file is opened, looked at and read here, and include()
 * only notes names, which are followed after the file that names them. */
#include "sync/config.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "sync/config_private.h"

#define FILE_MAX_OCTETS (1 << 20)
#define FILES_MAX 100

/* Home directory of a user, ours for NULL; caller frees. NULL if there is none. */
static char *home_of(const char *user)
{
	const char *home = user == NULL ? getenv("HOME") : NULL;
	const struct passwd *entry;

	if (home != NULL && home[0] == '/')
		return xstrdup(home);
	entry = user == NULL ? getpwuid(geteuid()) : getpwnam(user);
	return entry != NULL ? xstrdup(entry->pw_dir) : NULL;
}

static char *expand_home(const char *path)
{
	size_t len = strcspn(path, "/");
	char *user = len > 1 ? xstrndup(path + 1, len - 1) : NULL;
	char *home = home_of(user), *result = NULL;

	if (home != NULL)
		result = xasprintf("%s%s", home, path + len);
	free(home);
	free(user);
	return result;
}

static void tidy(char *path)
{
	char *to = path;

	for (const char *from = path; *from != '\0'; from++) {
		if (from[0] == '/' && from[1] == '/')
			continue;
		if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || from[2] == '\0')) {
			from++;
			continue;
		}
		*to++ = *from;
	}
	if (to > path + 1 && to[-1] == '/')
		to--;
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

char *expand_path(const char *path)
{
	char *result = path[0] == '~' ? expand_home(path) : xstrdup(path);

	if (result == NULL || result[0] != '/') {
		free(result);
		return NULL;
	}
	tidy(result);
	return result;
}

char *xdg_directory(const char *name, const char *fallback)
{
	const char *value = getenv(name);
	char *home, *result;

	if (value != NULL && value[0] == '/')
		return xstrdup(value);
	home = home_of(NULL);
	result = xasprintf("%s/%s", home != NULL ? home : "", fallback);
	free(home);
	return result;
}

static char *default_path(void)
{
	const char *path = getenv("MAILTWIN_CONFIG");
	char *base, *result;

	if (path != NULL && *path != '\0')
		return xstrdup(path);
	base = xdg_directory("XDG_CONFIG_HOME", ".config");
	result = xasprintf("%s/mailtwin/mailtwin.conf", base);
	free(base);
	return result;
}

/* Without O_NONBLOCK a FIFO would wait for a writer. */
static int open_regular(const char *path, struct stat *st, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return error_errno(
			err, errno == ENOENT || errno == ENOTDIR ? ERROR_NOT_FOUND : ERROR_CONFIG,
			"%s", path);
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size <= FILE_MAX_OCTETS)
		return fd;
	error_set(err, ERROR_CONFIG, "%s: expected a file%s", path,
		  S_ISDIR(st->st_mode)   ? ", not a directory"
		  : S_ISREG(st->st_mode) ? " of at most 1 MiB"
					 : ", not a device or pipe");
	close(fd);
	return -1;
}

static int read_all(int fd, const char *path, struct text *text, struct error *err)
{
	char data[8192];
	ssize_t len;

	while ((len = read(fd, data, sizeof(data))) != 0) {
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return error_errno(err, ERROR_CONFIG, "%s", path);
		text_add(text, data, (size_t)len);
		if (text->len > FILE_MAX_OCTETS)
			return error_set(err, ERROR_CONFIG, "%s: expected at most 1 MiB", path);
	}
	explicit_bzero(data, sizeof(data));
	return 0;
}

/* The index of the source, or -1. */
static ptrdiff_t add_source(struct raw_config *raw, const char *path, const struct stat *st,
			    struct error *err)
{
	struct source source = {.path = path,
				.device = st->st_dev,
				.inode = st->st_ino,
				.owner = st->st_uid,
				.mode = st->st_mode};

	for (size_t i = 0; i < raw->n_sources; i++) {
		if (raw->sources[i].device == st->st_dev && raw->sources[i].inode == st->st_ino)
			return error_set(err, ERROR_CONFIG, "%s: included twice", path);
	}
	if (raw->n_sources == FILES_MAX)
		return error_set(err, ERROR_CONFIG, "%s: expected at most %d files", path,
				 FILES_MAX);
	return (ptrdiff_t)raw_config_add_source(raw, &source);
}

/* The text of a file and its index among the sources, or -1. */
static ptrdiff_t take_source(struct raw_config *raw, const char *path, struct text *text,
			     struct error *err)
{
	struct stat st = {0};
	ptrdiff_t source;
	int fd = open_regular(path, &st, err);

	if (fd < 0)
		return -1;
	source = add_source(raw, path, &st, err);
	if (source >= 0 && read_all(fd, path, text, err) != 0)
		source = -1;
	close(fd);
	return source;
}

/* from: what names the file; NULL for the main one. What is wrong with the file as such is said of the line
 * that names it. */
static int read_file(struct raw_config *raw, const char *path, const struct include *from,
		     struct error *err)
{
	struct text text = {0};
	ptrdiff_t source = take_source(raw, path, &text, err);
	int result = -1;

	if (source >= 0)
		result = config_parse(raw, (size_t)source, text_get(&text), text.len, err);
	else if (from != NULL)
		error_wrap(err, "%s:%d: include", from->place.file, from->place.line);
	if (text.data != NULL)
		explicit_bzero(text.data, text.room);
	text_release(&text);
	return result;
}

/* Relative to the file that names it. */
static char *include_path(const struct include *include)
{
	const char *slash = strrchr(include->place.file, '/');
	int len = slash != NULL ? (int)(slash + 1 - include->place.file) : 0;

	if (include->pattern[0] == '~')
		return expand_home(include->pattern);
	if (include->pattern[0] == '/')
		return xstrdup(include->pattern);
	return xasprintf("%.*s%s", len, include->place.file, include->pattern);
}

static int include_error(struct error *err, const struct include *include, const char *text)
{
	return error_set(err, ERROR_CONFIG, "%s:%d: include: %s", include->place.file,
			 include->place.line, text);
}

static int read_tree(struct raw_config *raw, const char *path, const struct include *from,
		     struct error *err);

static int follow(struct raw_config *raw, const struct include *include, struct error *err)
{
	char *pattern = include_path(include), reason[sizeof(err->text)];
	glob_t found = {0};
	int result;

	if (pattern == NULL)
		return include_error(err, include, "expected the home directory of a user");
	result = glob(pattern, GLOB_ERR, NULL, &found);
	if (result == GLOB_NOMATCH && strpbrk(pattern, "*?[") == NULL) {
		snprintf(reason, sizeof(reason), "expected a file; %s is not there", pattern);
		result = include_error(err, include, reason);
	} else if (result != 0 && result != GLOB_NOMATCH) {
		result = include_error(err, include, "a directory cannot be read");
	} else {
		result = 0;
	}
	for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) {
		result = read_tree(raw, found.gl_pathv[i], include, err);
		if (result != 0 && err != NULL && err->kind == ERROR_NOT_FOUND)
			err->kind = ERROR_CONFIG; /* it vanished */
	}
	globfree(&found);
	free(pattern);
	return result;
}

/* The includes of a file are taken out of raw before the first is followed, as it may have its own.
 * A file is never read twice, so this ends. */
static int read_tree(struct raw_config *raw, const char *path, const struct include *from,
		     struct error *err)
{
	struct include *includes;
	size_t n;
	int result = 0;

	raw->includes = NULL;
	raw->n_includes = raw->includes_room = 0;
	if (read_file(raw, path, from, err) != 0)
		return -1;
	includes = raw->includes;
	n = raw->n_includes;
	raw->includes = NULL;
	raw->n_includes = raw->includes_room = 0;
	for (size_t i = 0; result == 0 && i < n; i++)
		result = follow(raw, &includes[i], err);
	free(includes);
	return result;
}

int config_load(struct config **config, const char *path, struct error *err)
{
	char *found = path != NULL ? xstrdup(path) : default_path();
	struct raw_config raw;
	int result;

	*config = NULL;
	raw_config_init(&raw);
	log_verbose("configuration: %s", found);
	result = read_tree(&raw, found, NULL, err);
	if (result != 0 && err != NULL && err->kind == ERROR_NOT_FOUND)
		error_set(err, ERROR_NOT_FOUND, "no configuration; looked for %s", found);
	if (result == 0)
		result = config_build(&raw, found, config, err);
	raw_config_release(&raw);
	free(found);
	return result;
}

const struct account_config *config_account(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_accounts; i++) {
		if (strcmp(config->accounts[i].name, name) == 0)
			return &config->accounts[i];
	}
	return NULL;
}
