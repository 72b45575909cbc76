/* The local side: a tree of Maildirs below one root (maildir(5), Maildir++).
 *
 * Nothing below the root is reached through a symlink (openat2 with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS). Nothing is overwritten: a file gets its name by a rename that fails if
 * the name is taken (by link, then unlink, where there is no such rename). Message bytes are never altered after delivery.
 * Functions that work on one file name it by its base name (what stands before ":2,"), because
 * a mail reader may rename it at any time. Safe for several threads on different folders; in one
 * folder a thread may make deliveries while another syncs and places those that are finished. */
#ifndef MAILTWIN_MAILDIR_MAILDIR_H
#define MAILTWIN_MAILDIR_MAILDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/memory.h"
#include "core/fingerprint.h"
#include "core/layout.h"
#include "core/record.h"

/* ---- the root ---- */

struct maildir;

/* Opens the root; the root itself may be a symlink, resolved once. create: makes it (0700,
 * parents too) if it is not there. Errors: ERROR_NOT_FOUND (missing and not create),
 * ERROR_LOCAL (not a directory, not writable, cannot hold ':' in names). */
int maildir_open(struct maildir **maildir, const char *root, enum layout layout, bool create,
		 struct error *err);
void maildir_close(struct maildir **maildir);
const char *maildir_root(const struct maildir *maildir); /* the resolved absolute path */
/* A local file system, so that stamps can be trusted (not NFS, CIFS, 9p, FUSE). */
bool maildir_is_local(const struct maildir *maildir);
/* True if there is nothing in the root but perhaps our sentinel. */
bool maildir_is_empty(const struct maildir *maildir);

/* The sentinel .mailtwin in the root: a regular file of lines "uuid X", "account Y",
 * "epoch N". */
struct sentinel {
	char uuid[37];
	char account[256]; /* user@host */
	uint64_t epoch;
};

/* ERROR_NOT_FOUND if there is none, ERROR_LOCAL if it is not a regular file or unreadable. */
int sentinel_read(const struct maildir *maildir, struct sentinel *sentinel, struct error *err);
/* New file, durable, rename, directory durable. */
int sentinel_write(const struct maildir *maildir, const struct sentinel *sentinel,
		   struct error *err);
/* flock on the sentinel for the rest of the run; ERROR_BUSY. Returns the descriptor or -1.
 * (sentinel_write replaces the file: lock after writing, or lock again.) */
int sentinel_lock(const struct maildir *maildir, struct error *err);
/* Looks in the directories above the root, and in the tree below, for the sentinel of another
 * root. Returns 1 and its path (caller frees) if there is one, 0 if not. */
int sentinel_find_other(const struct maildir *maildir, char **path, struct error *err);

/* ---- the tree ---- */

enum local_directory {
	DIRECTORY_MAILDIR,    /* has cur and new */
	DIRECTORY_PLAIN,      /* nested layout: a level that only holds others */
	DIRECTORY_INCOMPLETE, /* cur, new or tmp is missing, as a killed maildir_create leaves it */
	DIRECTORY_DAMAGED,    /* a symlink, a mount point or a file is in the place of a part */
};

struct local_folder {
	char *path; /* relative to the root, "." for the root itself */
	enum local_directory kind;
	struct stamp stamp; /* of the directory itself */
};

/* Walks the tree: every directory that is a Maildir, or (nested) leads to one, or is damaged.
 * Directories named cur, new, tmp, and in nested layout those that begin with a dot, are not
 * folders. Hidden foreign directories (.notmuch, .git) are not either. Array and strings in the
 * arena, sorted by path. */
int maildir_list(struct maildir *maildir, struct arena *arena, struct local_folder **folders,
		 size_t *n, struct error *err);

/* Makes the folder's directory with tmp, new and cur (0700; in maildir++ with the file
 * maildirfolder), parents too, durable. An existing one is completed. */
int maildir_create(struct maildir *maildir, const char *path, struct error *err);
/* Renames a folder's directory; the new one must not be there (ERROR_CHANGED), levels above it are
 * made. nested: with all below it; maildir++: only this directory, not its children. Durable. */
int maildir_rename(struct maildir *maildir, const char *from, const char *to, struct error *err);
/* Removes an emptied folder: tmp, new, cur, keyword file, known index files of Dovecot, Courier
 * and others, then the directory. ERROR_CHANGED (and nothing of value removed) if there is a
 * message or any unknown file or directory in it that is not a folder below it; a nested
 * directory with folders below it loses only its own cur, new and tmp. */
int maildir_remove(struct maildir *maildir, const char *path, struct error *err);
/* Removes what a removal that was killed left behind, if the last maildir_list saw such a thing. */
int maildir_clean_removed(struct maildir *maildir, struct error *err);
/* ENOENT, and the nearest level above that exists is a directory: 1. It is there (in whatever
 * shape): 0. Else -1. */
int maildir_is_absent(struct maildir *maildir, const char *path, struct error *err);

/* ---- one folder ---- */

struct maildir_folder;

/* ERROR_NOT_FOUND: no such directory; ERROR_LOCAL: damaged (symlink, no cur or new). tmp is made if
 * missing. */
int maildir_folder_open(struct maildir_folder **folder, struct maildir *maildir, const char *path,
			struct error *err);
void maildir_folder_close(struct maildir_folder **folder);
/* About how many files there are, so that what is kept of their names gets its room at once: growing takes
 * twice as much. */
void maildir_expect(struct maildir_folder *folder, size_t files);

/* The stamps of the directory, cur, new and the keywords file, without reading any directory. Inode
 * 0 if cur, new (of a plain level) or the keywords file is missing; ERROR_LOCAL if something else
 * is in its place. racy: younger than 20 ms (2 s on a shared file system), or in the future, where
 * times move in steps. */
int maildir_stamps(struct maildir *maildir, const char *path, struct stamp stamps[STAMP_COUNT],
		   struct error *err);
/* Is b, taken now, what a, remembered, was? False if a is racy: a change just after it was taken
 * may have left no trace. b's racy does no harm, for a change since a would show in it. */
bool stamp_equal(const struct stamp *a, const struct stamp *b);

struct local_file {
	const char *base;    /* up to the first ":2,"; lives until the callback returns */
	const char *letters; /* what stands after ":2,", verbatim, up to a ','; "" without info */
	bool in_new;
	bool has_info; /* there is a ":2," */
	uint64_t inode;
	bool has_times; /* time and size were asked for */
	int64_t mtime;  /* seconds since 1970 */
	uint64_t size;  /* octets on disk */
};

enum scan_problem {
	SCAN_NOT_A_FILE,     /* a directory, symlink, fifo */
	SCAN_DUPLICATE_BASE, /* another file of this scan has the base name and another inode */
	SCAN_FOREIGN_INFO,   /* ":1," and the like: contents are synced, flags are not */
	SCAN_TWO_NAMES,      /* "cur/NAME": a second name of a file, as a killed rename leaves it */
	SCAN_BAD_NAME,       /* control characters, no base name */
};

/* Whose times and sizes a scan tells, which costs a system call a file. They tell a file from a later
 * one of the same name and inode number. */
enum scan_times {
	TIMES_OF_DRAFTS,
	TIMES_WHERE_NEEDED, /* and of all others where inode numbers are given again */
	TIMES_OF_ALL,
};

struct scan_sink {
	void *ctx;
	enum scan_times times;
	/* Called once before each attempt: a scan is done again if the directories changed under
	 * it, and everything reported before is void. */
	void (*begin)(void *ctx);
	void (*file)(void *ctx, const struct local_file *file);
	void (*problem)(void *ctx, enum scan_problem problem, const char *name);
};

/* Reads cur and new, until both stamps before the first readdir equal those after the last (a plain
 * readdir misses files that are being renamed). A file seen twice with one inode (in new and cur)
 * is reported once, as in cur. Dot files and index files are left out. stamps: of the snapshot.
 * The directory is looked up again by its path, so a removed one is ERROR_NOT_FOUND, not empty.
 * ERROR_CHANGED if it never got quiet within 5 tries: absence is then not proved. */
int maildir_scan(struct maildir_folder *folder, const struct scan_sink *sink,
		 struct stamp stamps[STAMP_COUNT], struct error *err);

/* Begins to read a large folder for the next maildir_scan, in a thread, while the caller does something
 * else. room: octets that may be held until then. Where that cannot be, nothing happens. */
void maildir_scan_begin(struct maildir_folder *folder, size_t room);

/* Opens a message for reading; also tells its current letters and directory when file is not NULL
 * (letters then in the arena). ERROR_NOT_FOUND if no file has the base name. Returns a descriptor. */
int maildir_open_file(struct maildir_folder *folder, const char *base, struct arena *arena,
		      struct local_file *file, struct error *err);

struct file_facts {
	struct fingerprint fingerprint;
	uint64_t inode;
	int64_t mtime; /* seconds since 1970 */
	uint64_t size; /* octets on disk */
};

/* Reads the whole file and fingerprints it. ERROR_CHANGED if it grew or changed while it was read
 * (fstat before and after), ERROR_NOT_FOUND, ERROR_LOCAL (unreadable). */
int maildir_examine(struct maildir_folder *folder, const char *base, struct file_facts *facts,
		    struct error *err);

/* True if the file is there under this base name and still has this inode, or else the content. */
int maildir_verify(struct maildir_folder *folder, const char *base, uint64_t inode,
		   const struct hash *content,
		   struct error *err); /* 0, or ERROR_CHANGED/NOT_FOUND */

/* Adds and removes letters of the file's present info, keeping the others, in ASCII order; goes to
 * cur when it gets any letter (a message in cur stays there). Nothing to do is success. The
 * resulting letters in out (64 bytes) when not NULL. ERROR_NOT_FOUND, ERROR_LOCAL (also a name too
 * long). Not durable before maildir_folder_sync. */
int maildir_change_letters(struct maildir_folder *folder, const char *base, const char *add,
			   const char *remove, char out[64], struct error *err);

/* Unlinks a second name that a scan told (SCAN_TWO_NAMES), if the file still has its other one and was not
 * touched for 10 seconds: a mail reader may be between link and unlink. Else it does nothing. */
int maildir_drop_second(struct maildir_folder *folder, const char *place, struct error *err);

/* Unlinks the file if it still is the message of the record: base name, inode, time and size as we gave
 * them, or else content equal (or inode, where no content is recorded). ERROR_NOT_FOUND, ERROR_CHANGED. */
int maildir_delete(struct maildir_folder *folder, const struct record *record, struct error *err);

/* Moves a file to another folder of the root under a base name that is free there, keeping its info
 * (letters: the new info's letters; NULL keeps them). On another device a durable
 * copy. ERROR_NOT_FOUND; ERROR_CHANGED if the name is taken. Durable after maildir_folder_sync of
 * both folders, the new one first. */
int maildir_move(struct maildir_folder *from, const char *base, struct maildir_folder *to,
		 const char *new_base, const char *letters, struct error *err);

/* Makes names in new and cur durable (fsync of the directories that were changed since). */
int maildir_folder_sync(struct maildir_folder *folder, struct error *err);

/* ---- delivery ---- */

/* A fresh base name "<seconds>.M<usec>P<pid>Q<n>R<random>.<host>,S=<bytes>", unique in any folder.
 * size: octets of the file. Caller frees. */
char *maildir_new_base(uint64_t size);

struct delivery; /* one message on its way: a file in tmp */

/* Starts a file in tmp. Errors ERROR_LOCAL (disk full, read-only). */
int delivery_begin(struct delivery **delivery, struct maildir_folder *folder, struct error *err);
/* Appends octets as they came from the wire: CR LF becomes LF, a CR elsewhere is kept. Feeds the
 * fingerprint. */
int delivery_write(struct delivery *delivery, const void *data, size_t len, struct error *err);
/* Ends the message: sets mtime (seconds since 1970), gives it its base name (in the arena). The
 * data are not durable yet. facts: of the wire octets after CR LF became LF. */
int delivery_finish(struct delivery *delivery, int64_t mtime, struct arena *arena,
		    const char **base, struct file_facts *facts, struct error *err);
/* Makes the contents of n finished deliveries of one root durable, together where that helps. */
int delivery_sync(struct delivery *const *deliveries, size_t n, struct error *err);
/* Puts it in place: new/ without letters, cur/ with. ERROR_CHANGED if the name is taken. Frees the
 * delivery on success. The name is durable after maildir_folder_sync. */
int delivery_place(struct delivery **delivery, const char *letters, struct error *err);
void delivery_abort(struct delivery **delivery); /* unlinks the file in tmp */

/* Removes our own left-overs in tmp older than 36 hours, never those of others. */
int maildir_clean_tmp(struct maildir_folder *folder, struct error *err);

/* ---- keywords ---- */

/* The file dovecot-keywords: lines "<index> <name>", index 0..25 for the letters a..z. */
struct keywords_file {
	char *names[LETTER_COUNT]; /* NULL: no such line; caller frees with keywords_file_release */
	bool torn;                 /* lines that make no sense were skipped */
};

/* A missing file is an empty one. */
int keywords_file_read(struct maildir_folder *folder, struct keywords_file *file,
		       struct error *err);
/* New file, durable, rename, under Dovecot's lock dovecot-uidlist.lock. */
int keywords_file_write(struct maildir_folder *folder, const struct keywords_file *file,
			struct error *err);
void keywords_file_release(struct keywords_file *file);

#endif
