/* The tree: which directories below the root are folders.
 *
 * Nested roots hold levels that are only there for others; Maildir++ keeps all folders side by
 * side in the root, with a leading dot. Both kinds of root also hold what is none of ours:
 * indexes of mail programs, version control, lost+found. What looks like a folder but cannot
 * be used as one is listed as damaged: kept quiet about, it would look deleted. */
#include "maildir/maildir_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

static int subdirectory_of(const char *name)
{
	for (int sub = 0; sub < SUB_COUNT; sub++) {
		if (strcmp(name, subdirectory_names[sub]) == 0)
			return sub;
	}
	return -1;
}

static bool may_be_folder(const struct maildir *maildir, const char *path, const char *name)
{
	if (maildir->layout == LAYOUT_NESTED)
		return name[0] != '.' && strcmp(name, "lost+found") != 0;
	return strcmp(path, ".") == 0 && name[0] == '.' && !starts_with(name, SENTINEL_NAME);
}

static void add_name(char ***names, size_t *n, const char *name)
{
	*names = xreallocarray(*names, *n + 1, sizeof(**names));
	(*names)[(*n)++] = xstrdup(name);
}

static void take_entry(const struct maildir *maildir, int fd, const char *path,
		       const struct directory_entry *entry, struct directory_look *look)
{
	int sub = subdirectory_of(entry->name);
	unsigned char type = entry->type;
	struct stat st;

	if (strcmp(entry->name, SENTINEL_NAME) == 0)
		look->has_sentinel = true;
	look->has_removed |= starts_with(entry->name, REMOVED_PREFIX);
	if (strcmp(entry->name, "maildirfolder") == 0)
		look->has_marker = true;
	if (sub < 0 && !may_be_folder(maildir, path, entry->name))
		return;
	if (type == DT_UNKNOWN && fstatat(fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
	if (sub >= 0) {
		look->has[sub] = type == DT_DIR;
		look->damaged[sub] = type != DT_DIR;
	} else if (type == DT_DIR) {
		add_name(&look->children, &look->n_children, entry->name);
	} else if (type == DT_LNK && fstatat(fd, entry->name, &st, 0) == 0 && S_ISDIR(st.st_mode)) {
		add_name(&look->links, &look->n_links, entry->name);
	}
}

static void find_mounts(int fd, struct directory_look *look)
{
	struct stat directory, part;

	if (fstat(fd, &directory) != 0)
		return;
	for (int sub = SUB_CUR; sub <= SUB_NEW; sub++) {
		if (look->has[sub] &&
		    fstatat(fd, subdirectory_names[sub], &part, AT_SYMLINK_NOFOLLOW) == 0 &&
		    part.st_dev != directory.st_dev) {
			look->has[sub] = false;
			look->damaged[sub] = true;
		}
	}
}

int look_into(const struct maildir *maildir, const char *path, struct directory_look *look,
	      struct stamp *stamp, struct error *err)
{
	struct directory_reader reader;
	struct directory_entry entry;
	int64_t now = stamp_clock();
	int fd = open_directory(maildir, path, O_RDONLY, err);
	struct statx stx;
	int got;

	memset(look, 0, sizeof(*look));
	if (fd < 0) {
		look->failure = errno;
		return -1;
	}
	if (stamp != NULL && stamp_take(maildir, fd, "", now, stamp, &stx) != 0)
		memset(stamp, 0, sizeof(*stamp));
	directory_reader_init(&reader, fd, 32768);
	while ((got = directory_read(&reader, &entry)) == 1)
		take_entry(maildir, fd, path, &entry, look);
	if (got < 0) {
		look->failure = errno;
		error_errno(err, ERROR_LOCAL, "cannot read %s/%s", maildir->root, path);
		look_release(look);
	}
	directory_reader_release(&reader);
	find_mounts(fd, look);
	close(fd);
	return got;
}

static void free_names(char ***names, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		free((*names)[i]);
	free(*names);
	*names = NULL;
	*n = 0;
}

void look_release(struct directory_look *look)
{
	free_names(&look->children, &look->n_children);
	free_names(&look->links, &look->n_links);
}

struct list {
	const struct maildir *maildir;
	struct arena *arena;
	struct local_folder *folders;
	size_t n;
	size_t room;
	bool has_removed;
};

static void list_add(struct list *list, const char *path, enum local_directory kind,
		     const struct stamp *stamp)
{
	struct local_folder *folder;

	list->folders = grow(list->folders, list->n, &list->room, sizeof(list->folders[0]));
	folder = &list->folders[list->n++];
	memset(folder, 0, sizeof(*folder));
	folder->path = arena_strdup(list->arena, path);
	folder->kind = kind;
	if (stamp != NULL)
		folder->stamp = *stamp;
}

static int list_at(struct list *list, const char *path, struct error *err);

static int list_below(struct list *list, const char *path, const struct directory_look *look,
		      struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < look->n_links; i++) {
		char *link = path_join(path, look->links[i]);

		list_add(list, link, DIRECTORY_DAMAGED, NULL);
		free(link);
	}
	for (size_t i = 0; i < look->n_children && result == 0; i++) {
		char *child = path_join(path, look->children[i]);

		result = list_at(list, child, err);
		free(child);
	}
	return result;
}

static bool is_listed(const struct list *list, const char *path, const struct directory_look *look,
		      bool leads, enum local_directory *kind)
{
	bool damaged = look->damaged[SUB_CUR] || look->damaged[SUB_NEW] || look->damaged[SUB_TMP];
	bool some = look->has[SUB_CUR] || look->has[SUB_NEW] || look->has[SUB_TMP];

	if (look->has[SUB_CUR] && look->has[SUB_NEW] && !damaged) {
		*kind = DIRECTORY_MAILDIR;
		return true;
	}
	/* A nested root is no folder, so nothing is missing in it. */
	if (strcmp(path, ".") == 0 && list->maildir->layout == LAYOUT_NESTED)
		return false;
	if (damaged || some || look->has_marker) {
		*kind = damaged ? DIRECTORY_DAMAGED : DIRECTORY_INCOMPLETE;
		return true;
	}
	*kind = DIRECTORY_PLAIN;
	return leads && list->maildir->layout == LAYOUT_NESTED;
}

/* Vanished since its parent was read, or a thing that is in the way but does no harm elsewhere;
 * what remains is a lack of resources, of which nothing can be concluded. */
static int list_unopened(struct list *list, const char *path, int failure)
{
	switch (failure) {
	case ENOENT: return 0;
	case EMFILE:
	case ENFILE:
	case ENOMEM: return -1;
	default: list_add(list, path, DIRECTORY_DAMAGED, NULL); return 0;
	}
}

static int list_at(struct list *list, const char *path, struct error *err)
{
	enum local_directory kind;
	struct directory_look look;
	size_t before = list->n;
	struct stamp stamp;
	int result;

	if (look_into(list->maildir, path, &look, &stamp, err) != 0) {
		if (strcmp(path, ".") == 0)
			return -1;
		return list_unopened(list, path, look.failure);
	}
	if (strcmp(path, ".") == 0)
		list->has_removed = look.has_removed;
	result = list_below(list, path, &look, err);
	if (result == 0 && is_listed(list, path, &look, list->n > before, &kind))
		list_add(list, path, kind, &stamp);
	look_release(&look);
	return result;
}

static int by_path(const void *a, const void *b)
{
	const struct local_folder *x = a, *y = b;

	return strcmp(x->path, y->path);
}

int maildir_list(struct maildir *maildir, struct arena *arena, struct local_folder **folders,
		 size_t *n, struct error *err)
{
	struct list list = {.maildir = maildir, .arena = arena};
	int result = list_at(&list, ".", err);

	maildir->has_removed = list.has_removed;
	*folders = NULL;
	*n = 0;
	if (result == 0 && list.n != 0) {
		qsort(list.folders, list.n, sizeof(list.folders[0]), by_path);
		*folders = arena_alloc(arena, list.n * sizeof(list.folders[0]));
		memcpy(*folders, list.folders, list.n * sizeof(list.folders[0]));
		*n = list.n;
	}
	free(list.folders);
	return result;
}

int folders_below(const struct maildir *maildir, const char *path, struct arena *arena, size_t *n,
		  struct error *err)
{
	struct list list = {.maildir = maildir, .arena = arena};
	int result = list_at(&list, path, err);

	*n = list.n;
	if (list.n != 0 && strcmp(list.folders[list.n - 1].path, path) == 0)
		--*n;
	free(list.folders);
	return result;
}
