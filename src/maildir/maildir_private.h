/* What the files of this floor share. */
#ifndef MAILTWIN_MAILDIR_MAILDIR_PRIVATE_H
#define MAILTWIN_MAILDIR_MAILDIR_PRIVATE_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/file.h"
#include "maildir/maildir.h"

#define SENTINEL_NAME ".mailtwin"
#define REMOVED_PREFIX SENTINEL_NAME "-removed."
#define TMP_PREFIX "mailtwin-" /* of our files in tmp, so that nobody else's are removed */

struct maildir {
	char *root; /* resolved and absolute */
	int fd;
	enum layout layout;
	bool local;
	bool fine_times; /* see file_system_has_fine_times */
	bool reuses_inodes;
	bool syncs_at_once;
	bool in_memory;   /* nothing is ever waited for */
	bool has_removed; /* at the last maildir_list: what a killed maildir_remove left */
	atomic_int kept;  /* descriptors of finished deliveries */
	int most_kept;
};

enum subdirectory { SUB_CUR, SUB_NEW, SUB_TMP, SUB_COUNT };
extern const char *const subdirectory_names[SUB_COUNT];

/* What reading or writing one message takes, kept from one to the next. */
#define SCRATCH_SIZE ((size_t)64 * 1024)
struct scratch {
	char *buffer; /* of SCRATCH_SIZE; NULL: none of both */
	struct fingerprinter *printer;
};

/* A reading of cur that was begun for the next scan. */
struct scan_begun {
	struct stamp stamps[STAMP_COUNT]; /* before it */
	struct directory_reader reader;
};

struct maildir_folder {
	struct maildir *maildir; /* borrowed */
	char *path;
	int fd;
	int sub[SUB_COUNT];
	bool dirty[SUB_COUNT];    /* a name in it was changed through this handle */
	size_t expected;          /* about how many files there are; 0: not known */
	struct name_index *index; /* NULL: not read yet */
	struct stamp index_stamps[STAMP_COUNT];
	struct scan_begun *begun; /* NULL: none */
	struct scratch scratch;   /* unless it is lent */
	size_t last_usual;        /* of the usual names, the one that the file found last had */
};

/* ---- file names (filename.c) ---- */

enum name_kind {
	NAME_MESSAGE,
	NAME_FOREIGN, /* a message with info of another version than 2 */
	NAME_BAD,     /* control characters, no base name, too long to be one */
	NAME_IGNORED, /* a dot file or an index file */
};

/* All point into the name that was parsed. */
struct name_parts {
	size_t base_len;
	const char *info;    /* from ':' on; "" if there is none */
	const char *letters; /* what stands after ":2,", up to a ',' */
	size_t letters_len;
	const char *tail; /* from that ',' on: fields of other programs */
	bool has_info;
};

enum name_kind filename_parse(const char *name, struct name_parts *parts);
bool filename_is_index(const char *name); /* of Dovecot, Courier, mbsync and others; not mail */
/* out = old, without remove, with add, sorted in ASCII order, each once. -1 if a letter cannot
 * stand in a name or there are too many. *changed: whether the set differs from the old one. */
int letters_merge(const char *old, size_t old_len, const char *add, const char *remove,
		  char out[64], bool *changed);
/* BASE:2,LETTERS[TAIL]; ERROR_REFUSED if it is longer than a name may be. */
int filename_build(char out[NAME_MAX + 1], const char *base, const char *letters, const char *tail,
		   struct error *err);

/* ---- the lock that is Dovecot's, too (dotlock.c) ---- */

/* Waits some seconds for another program; ERROR_CHANGED if it still has it then. */
int dotlock_take(struct maildir_folder *folder, struct error *err);
void dotlock_release(struct maildir_folder *folder);

/* ---- scan.c ---- */

void scan_drop_begun(struct maildir_folder *folder);

/* ---- stamps and directories (folder.c) ---- */

/* The file system's clock, as its time stamps have it, in nanoseconds since 1970. */
int64_t stamp_clock(void);
/* now: stamp_clock() before the look. */
struct stamp stamp_make(const struct maildir *maildir, uint64_t inode, const struct statx *stx,
			int64_t now);
int stamp_take(const struct maildir *maildir, int fd, const char *name, int64_t now,
	       struct stamp *stamp, struct statx *stx);
/* Of the open folder, wherever its path leads by now. */
int folder_stamps(struct maildir_folder *folder, struct stamp stamps[STAMP_COUNT],
		  struct error *err);
/* Within how many nanoseconds two changes of a directory may have the same times; 0: they never have. */
int64_t stamp_step(const struct maildir *maildir, const struct stamp *stamp);
bool stamp_same(const struct stamp *a, const struct stamp *b); /* whatever racy says */
/* What an errno means where one folder is concerned: ERROR_CHANGED if it is that folder's trouble alone
 * (rights, a symlink in its place), so that the others go on; ERROR_LOCAL if it is the disk's. */
enum error_kind folder_trouble(int why);
/* Opens a directory below the root; the errors of maildir_folder_open, and errno. */
int open_directory(const struct maildir *maildir, const char *path, int flags, struct error *err);
int open_subdirectory(int directory, const char *path, enum subdirectory sub, struct error *err);
/* Gives a file a new name without overwriting anything; -1 and errno (EEXIST, ENOENT, EXDEV). */
int move_name(int from_fd, const char *from, int to_fd, const char *to);
/* The same where the file system knows no rename that replaces nothing. */
int move_name_by_link(int from_fd, const char *from, int to_fd, const char *to);
bool path_is_sane(const char *path); /* relative, no level empty, "." or ".."; or "." alone */

/* ---- finding a file by its base name (index.c) ---- */

/* Where the files of a folder are: some 10 to 15 bytes a file, whatever the length of the
 * names. An answer is a hint: two base names may share a hash, and readers rename files. */
struct name_index;

/* expected: about how many files there will be; 0: not known. */
struct name_index *name_index_new(size_t expected);
void name_index_free(struct name_index **index);
/* True if a name with the same hash is there already. */
bool name_index_add(struct name_index *index, const char *name, size_t base_len, bool in_new);
void name_index_update(struct name_index *index, const char *base, const char *name, bool in_new);
size_t name_index_bytes(const struct name_index *index);

struct place { /* where a file is */
	enum subdirectory sub;
	char name[NAME_MAX + 1];
	struct stat st;
};

enum locate_effort { LOCATE_QUICKLY, LOCATE_SURELY };

/* Finds a regular file. ERROR_NOT_FOUND: quickly, the index may be out of date; surely, the
 * directories were read again if they had changed since. */
int locate(struct maildir_folder *folder, const char *base, enum locate_effort effort,
	   struct place *place, struct error *err);
/* After a change by ourselves. */
void folder_note(struct maildir_folder *folder, const char *base, enum subdirectory sub,
		 const char *name);

/* ---- messages and deliveries ---- */

/* A fresh fingerprinter and a buffer; given back, or released with the folder. */
struct scratch scratch_take(struct maildir_folder *folder);
void scratch_give(struct maildir_folder *folder, struct scratch *scratch);
void scratch_release(struct scratch *scratch);

/* Makes a new, empty file in tmp. Its name in out. Returns a descriptor. */
int tmp_create(const struct maildir_folder *folder, char out[NAME_MAX + 1], struct error *err);
char *unique_name(void); /* "<seconds>.M...P...Q...R....<host>"; caller frees */

/* ---- keywords (keywords.c) ---- */

void keywords_parse(const char *data, size_t len, struct keywords_file *file);

/* ---- the tree (tree.c) ---- */

/* What a directory below the root holds, in one reading. */
struct directory_look {
	bool has[SUB_COUNT];     /* a real directory of the same file system */
	bool damaged[SUB_COUNT]; /* something else has the name */
	bool has_marker;         /* maildirfolder */
	bool has_sentinel;
	bool has_removed; /* what a killed maildir_remove left */
	char **children;  /* names of directories that may be folders; free with look_release */
	size_t n_children;
	char **links; /* names of symlinks to directories where a folder could be */
	size_t n_links;
	int failure; /* errno, when look_into failed */
};

int look_into(const struct maildir *maildir, const char *path, struct directory_look *look,
	      struct stamp *stamp, struct error *err);
/* How many folders there are below a directory, itself not counted. */
int folders_below(const struct maildir *maildir, const char *path, struct arena *arena, size_t *n,
		  struct error *err);
void look_release(struct directory_look *look);
char *path_join(const char *path, const char *name); /* caller frees */

#endif
