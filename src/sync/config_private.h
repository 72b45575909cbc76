/* How a configuration comes about, in three steps: scan (what libConfuse would misread is found and
 * said), parse (libConfuse; gives settings, each with its place), build (checks, defaults). */
#ifndef MAILTWIN_SYNC_CONFIG_PRIVATE_H
#define MAILTWIN_SYNC_CONFIG_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "sync/config.h"

struct place {
	const char *file;
	int line;
};

struct setting {                       /* one option as it was written */
	const struct section *section; /* NULL: outside of any account */
	const struct option *option;
	char **values;
	size_t n;
	struct place place;
	size_t source; /* index of the file it stands in */
};

struct section { /* one account as it was written */
	const char *name;
	struct place place;
	size_t source;
	size_t ordinal; /* the how manieth of its file */
};

struct source { /* one file */
	const char *path;
	dev_t device;
	ino_t inode;
	uid_t owner;
	mode_t mode;
};

struct include {
	const char *pattern;
	struct place place;
};

struct raw_config { /* everything lives in the arena */
	struct arena *arena;
	struct source *sources;
	struct setting **settings;
	struct section **sections;
	struct include *includes; /* noted in the file parsed last, not yet followed */
	size_t n_sources, n_settings, n_sections, n_includes;
	size_t sources_room, settings_room, sections_room, includes_room;
};

void raw_config_init(struct raw_config *raw);
void raw_config_release(struct raw_config *raw);
size_t raw_config_add_source(struct raw_config *raw, const struct source *source);

enum option_kind {
	OPTION_TEXT,
	OPTION_PATH, /* absolute or with '~' */
	OPTION_NUMBER,
	OPTION_BOOLEAN,
	OPTION_CHOICE,
	OPTION_LIST,
};

struct choice {
	const char *word;
	int value;
};

struct option {
	const char *name;
	enum option_kind kind;
	size_t offset; /* in struct account_config */
	size_t size;   /* of the field */
	uint64_t min, max;
	const struct choice *choices; /* ends with a NULL word */
	/* More than the kind says; NULL: nothing. Says what was expected. */
	int (*check)(const struct setting *setting, struct error *err);
	bool secret; /* the value is never shown */
};

/* The options of an account; the only other one is jobs. */
extern const struct option account_options[];
extern const size_t n_account_options;
extern const struct option jobs_option;

/* The text with its comments taken out and nothing in it that libConfuse misreads; lines: of the
 * opening brace of each section, in order. ERROR_CONFIG with file and line. */
struct scanned {
	struct text text;
	int *section_lines;
	size_t n_sections, room;
};
int config_scan(struct scanned *scanned, const char *file, const char *data, size_t len,
		struct error *err);
void scanned_release(struct scanned *scanned);

/* Parses one file's text, adds to raw what stands in it. */
int config_parse(struct raw_config *raw, size_t source, const char *data, size_t len,
		 struct error *err);

/* Checks, fills in defaults. path: of the main file. */
int config_build(const struct raw_config *raw, const char *path, struct config **config,
		 struct error *err);

/* "FILE:LINE: account NAME: OPTION: ..."; returns -1. */
int setting_error(struct error *err, const struct setting *setting, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* "FILE:LINE: account NAME: ..." */
int section_error(struct error *err, const struct section *section, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* '~' and '~user' at the beginning replaced, doubled and final slashes taken out; NULL if it is not
 * absolute then. Caller frees. */
char *expand_path(const char *path);
/* $NAME if it is an absolute path, else FALLBACK below the home directory; caller frees. */
char *xdg_directory(const char *name, const char *fallback);

#endif
