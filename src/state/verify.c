/* LMDB trusts its file: a page that was cut off is a SIGBUS, one of zeros or of somebody else's
 * bytes an assertion or a wild pointer, an empty file a new environment. A base that is damaged
 * must be found damaged, so this walks the trees by reading the file (never the map), with every
 * number checked before it is used: no page lies outside, is of the wrong kind, or is reached
 * twice, counting those in the list of free pages, which LMDB would hand out again.
 *
 * It costs about 1 ms for 1,000 pages. A file that is just as it was when we closed it is not
 * walked (state.c). It is not enough to compare the file's size with the last page number: pages
 * at the end that were taken and freed again in one transaction are never written.
 *
 * The form of the file is the one with data version 1: all of LMDB 0.9. */
#include "state/verify.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

#define MAGIC 0xbeefc0deU
#define DATA_VERSION 1
#define NO_PAGE SIZE_MAX
#define DEEPEST 32

enum page_flag {
	PAGE_BRANCH = 0x01,
	PAGE_LEAF = 0x02,
	PAGE_OVERFLOW = 0x04,
	PAGE_META = 0x08,
	PAGE_KINDS = 0x6f, /* and those of sorted duplicates, which we do not use */
};

enum node_flag { NODE_BIG = 0x01, NODE_TREE = 0x02, NODE_DUPLICATES = 0x04 };

/* As LMDB lays them out, on any machine. */
struct page_head {
	size_t number;
	uint16_t pad;
	uint16_t flags;
	uint16_t lower; /* both halves of the page count in an overflow page */
	uint16_t upper;
};

struct tree {
	uint32_t pad;
	uint16_t flags;
	uint16_t depth;
	size_t branch_pages;
	size_t leaf_pages;
	size_t overflow_pages;
	size_t entries;
	size_t root;
};

struct meta {
	uint32_t magic;
	uint32_t version;
	size_t address;
	size_t map_size;
	struct tree free;
	struct tree main;
	size_t last_page;
	size_t txnid;
};

struct node {
	size_t child; /* in a branch: the page; in a leaf: the length of the data */
	unsigned flags;
	const uint8_t *key;
	size_t key_len;
	const uint8_t *data;
};

enum tree_kind { TREE_FREE, TREE_MAIN, TREE_DATA };

struct walk {
	struct verify_file *file;
	size_t pages_there; /* in the file */
	uint8_t *seen;      /* a bit a page */
	uint8_t *levels[2 * DEEPEST];
	size_t level;
	const char *only;
};

static bool damaged(struct verify_file *file, const char *reason)
{
	file->reason = reason;
	return false;
}

static bool read_at(int fd, void *buffer, size_t len, size_t page, size_t page_size)
{
	return pread(fd, buffer, len, (off_t)(page * page_size)) == (ssize_t)len;
}

/* One of the two meta pages. */
static bool read_meta(struct verify_file *file, size_t page, struct meta *meta)
{
	uint8_t bytes[sizeof(struct page_head) + sizeof(struct meta)];
	struct page_head head;

	if (!read_at(file->fd, bytes, sizeof(bytes), page, page > 0 ? file->page_size : 0))
		return damaged(file,
			       page == 0 ? "the file is empty or cut off" : "the file is cut off");
	memcpy(&head, bytes, sizeof(head));
	memcpy(meta, bytes + sizeof(head), sizeof(*meta));
	if ((head.flags & PAGE_META) == 0 || meta->magic != MAGIC)
		return damaged(file, "it has no valid head");
	if (meta->version != DATA_VERSION)
		return damaged(file, "it is of another version of LMDB");
	if (meta->free.pad < 512 || meta->free.pad > 65536 ||
	    (meta->free.pad & (meta->free.pad - 1)) != 0)
		return damaged(file, "its page size makes no sense");
	if (meta->last_page < 1 || meta->last_page > SIZE_MAX / 2 / meta->free.pad)
		return damaged(file, "its number of pages makes no sense");
	return true;
}

bool verify_begin(struct verify_file *file, int fd)
{
	struct meta metas[2];
	const struct meta *newest;

	memset(file, 0, sizeof(*file));
	file->fd = fd;
	if (!read_meta(file, 0, &metas[0]))
		return false;
	file->page_size = metas[0].free.pad;
	if (!read_meta(file, 1, &metas[1]))
		return false;
	if (metas[1].free.pad != metas[0].free.pad)
		return damaged(file, "its two heads do not agree");
	newest = &metas[metas[1].txnid > metas[0].txnid];
	file->txnid = newest->txnid;
	file->last_page = newest->last_page;
	return true;
}

/* Each page has one owner. */
static bool mark(struct walk *walk, size_t page)
{
	uint8_t bit = (uint8_t)(1U << page % 8);

	if (page < 2 || page > walk->file->last_page)
		return damaged(walk->file, "it names a page that it does not have");
	if ((walk->seen[page / 8] & bit) != 0)
		return damaged(walk->file, "a page is used twice");
	walk->seen[page / 8] |= bit;
	return true;
}

/* The list of free pages that a transaction left: their number, then the numbers. */
static bool check_free_list(struct walk *walk, const uint8_t *list, size_t len)
{
	size_t n, page;

	if (len < sizeof(n))
		return damaged(walk->file, "a list of free pages is too short");
	memcpy(&n, list, sizeof(n));
	if (n > len / sizeof(n) - 1)
		return damaged(walk->file, "a list of free pages is too short");
	for (size_t i = 1; i <= n; i++) {
		memcpy(&page, list + i * sizeof(page), sizeof(page));
		if (!mark(walk, page))
			return false;
	}
	return true;
}

static bool check_big_data(struct walk *walk, enum tree_kind kind, const struct node *node)
{
	size_t page_size = walk->file->page_size;
	struct page_head head;
	size_t page, pages;
	uint32_t pages_named;
	uint8_t *data;
	bool ok;

	memcpy(&page, node->data, sizeof(page));
	pages = (sizeof(head) + node->child + page_size - 1) / page_size;
	if (page > walk->pages_there || pages > walk->pages_there - page ||
	    !read_at(walk->file->fd, &head, sizeof(head), page, page_size))
		return damaged(walk->file, "a large value is cut off");
	memcpy(&pages_named, &head.lower, sizeof(pages_named));
	if (head.number != page || (head.flags & PAGE_KINDS) != PAGE_OVERFLOW ||
	    pages_named < pages || pages_named > walk->file->last_page)
		return damaged(walk->file, "a large value is not where it should be");
	for (size_t i = 0; i < pages_named; i++)
		if (!mark(walk, page + i))
			return false;
	if (kind != TREE_FREE)
		return true;
	data = xmalloc(pages * page_size);
	ok = read_at(walk->file->fd, data, pages * page_size, page, page_size)
		     ? check_free_list(walk, data + sizeof(head), node->child)
		     : damaged(walk->file, "a list of free pages is cut off");
	free(data);
	return ok;
}

static bool walk_tree(struct walk *walk, const struct tree *tree, enum tree_kind kind);

static bool check_database(struct walk *walk, const struct node *node)
{
	struct tree tree;

	if (node->flags != NODE_TREE || node->child != sizeof(tree))
		return damaged(walk->file, "a database has no root");
	if (walk->only != NULL && (strlen(walk->only) != node->key_len ||
				   memcmp(walk->only, node->key, node->key_len) != 0))
		return true;
	memcpy(&tree, node->data, sizeof(tree));
	if (tree.flags != 0)
		return damaged(walk->file, "a database is of an unknown kind");
	return walk_tree(walk, &tree, TREE_DATA);
}

static bool check_leaf(struct walk *walk, enum tree_kind kind, const struct node *node)
{
	if (kind == TREE_MAIN)
		return check_database(walk, node);
	if ((node->flags & (NODE_TREE | NODE_DUPLICATES)) != 0)
		return damaged(walk->file, "a value is of an unknown kind");
	if ((node->flags & NODE_BIG) != 0)
		return check_big_data(walk, kind, node);
	return kind != TREE_FREE || check_free_list(walk, node->data, node->child);
}

/* A node of a page, if all of it lies in the page. */
static bool get_node(const struct walk *walk, const uint8_t *page, size_t i, struct node *node)
{
	const struct page_head *head = (const void *)page;
	size_t page_size = walk->file->page_size;
	uint16_t offset, words[4]; /* of the length or page number two, flags, key length */
	size_t low, high, there;

	memcpy(&offset, page + sizeof(*head) + i * sizeof(offset), sizeof(offset));
	if (offset < head->upper || offset % 2 != 0 || offset + sizeof(words) > page_size)
		return false;
	memcpy(words, page + offset, sizeof(words));
	low = words[__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__];
	high = words[__BYTE_ORDER__ != __ORDER_BIG_ENDIAN__];
	node->key = page + offset + sizeof(words);
	node->key_len = words[3];
	node->child = low | high << 16;
	there = page_size - offset - sizeof(words);
	if (node->key_len > there)
		return false;
	node->data = node->key + node->key_len;
	if ((head->flags & PAGE_BRANCH) != 0) {
		/* On 64 bits the flags are the upper part of the page number. */
		node->flags = 0;
		if (sizeof(size_t) > 4)
			node->child |= (size_t)words[2] << (sizeof(size_t) > 4 ? 32 : 0);
		return true;
	}
	node->flags = words[2];
	return ((node->flags & NODE_BIG) != 0 ? sizeof(size_t) : node->child) <=
	       there - node->key_len;
}

static bool in_order(enum tree_kind kind, const struct node *a, const struct node *b)
{
	size_t shorter = a->key_len < b->key_len ? a->key_len : b->key_len;
	size_t x, y;
	int order;

	if (kind == TREE_FREE) {
		if (a->key_len != sizeof(x) || b->key_len != sizeof(y))
			return false;
		memcpy(&x, a->key, sizeof(x));
		memcpy(&y, b->key, sizeof(y));
		return x < y;
	}
	order = memcmp(a->key, b->key, shorter);
	return order < 0 || (order == 0 && a->key_len < b->key_len);
}

static bool load(struct walk *walk, enum tree_kind kind, size_t number, unsigned flags)
{
	size_t page_size = walk->file->page_size;
	const struct page_head *head;
	size_t n;

	if (!mark(walk, number))
		return false;
	if (walk->levels[walk->level] == NULL)
		walk->levels[walk->level] = xmalloc(page_size);
	head = (const void *)walk->levels[walk->level];
	if (!read_at(walk->file->fd, walk->levels[walk->level], page_size, number, page_size))
		return damaged(walk->file, "a page is cut off");
	if (head->number != number || (head->flags & PAGE_KINDS) != flags)
		return damaged(walk->file, "a page is not what it should be");
	if (head->lower < sizeof(*head) || head->lower > head->upper || head->upper > page_size)
		return damaged(walk->file, "a page does not add up");
	n = (head->lower - sizeof(*head)) / sizeof(uint16_t);
	/* LMDB allows pages with too few keys only in the tree of the free pages. */
	if (n < (flags == PAGE_BRANCH ? 2 : 1) && kind != TREE_FREE)
		return damaged(walk->file, "a page is empty");
	return true;
}

static bool walk_page(struct walk *walk, enum tree_kind kind, size_t number, size_t depth,
		      size_t *entries)
{
	unsigned flags = depth > 1 ? PAGE_BRANCH : PAGE_LEAF;
	const struct page_head *head;
	struct node node, before = {0};
	const uint8_t *page;
	bool ok = true;
	size_t n;

	if (!load(walk, kind, number, flags))
		return false;
	page = walk->levels[walk->level++];
	head = (const void *)page;
	n = (head->lower - sizeof(*head)) / sizeof(uint16_t);
	for (size_t i = 0; ok && i < n; i++) {
		/* The first key of a branch stands for all that is lower and is not used. */
		size_t first = flags == PAGE_BRANCH ? 1 : 0;

		if (!get_node(walk, page, i, &node))
			ok = damaged(walk->file, "a page does not add up");
		else if (i > first && !in_order(kind, &before, &node))
			ok = damaged(walk->file, "a page is out of order");
		else if (flags == PAGE_BRANCH)
			ok = walk_page(walk, kind, node.child, depth - 1, entries);
		else
			ok = check_leaf(walk, kind, &node);
		before = node;
	}
	if (flags == PAGE_LEAF)
		*entries += n;
	walk->level--;
	return ok;
}

static bool walk_tree(struct walk *walk, const struct tree *tree, enum tree_kind kind)
{
	size_t entries = 0;

	if (tree->root == NO_PAGE && tree->depth == 0 && tree->entries == 0)
		return true;
	if (tree->depth < 1 || tree->depth > DEEPEST)
		return damaged(walk->file, "a tree has an impossible depth");
	if (!walk_page(walk, kind, tree->root, tree->depth, &entries))
		return false;
	if (entries != tree->entries)
		return damaged(walk->file, "a tree has lost entries");
	return true;
}

static bool walk_all(struct verify_file *file, const struct meta *meta, const char *only)
{
	struct walk walk = {.file = file, .only = only};
	struct stat st;
	bool ok;

	if (fstat(file->fd, &st) != 0)
		return damaged(file, "its size cannot be read");
	file->last_page = meta->last_page;
	walk.pages_there = (size_t)st.st_size / file->page_size;
	/* A made-up number of pages must not make us ask for memory without end: the pages at
	 * the end that were never written are few beside those that are there. */
	if (meta->last_page / 64 > walk.pages_there + 65536)
		return damaged(file, "the file is cut off");
	walk.seen = xcalloc(meta->last_page / 8 + 1, 1);
	ok = walk_tree(&walk, &meta->main, TREE_MAIN);
	if (ok && only == NULL)
		ok = walk_tree(&walk, &meta->free, TREE_FREE);
	for (size_t i = 0; i < ARRAY_SIZE(walk.levels); i++)
		free(walk.levels[i]);
	free(walk.seen);
	return ok;
}

int verify_pages(struct verify_file *file, size_t txnid, const char *only)
{
	struct meta meta;

	for (size_t page = 0; page < 2; page++) {
		if (!read_meta(file, page, &meta))
			return 0;
		if (meta.free.pad != file->page_size) {
			damaged(file, "its two heads do not agree");
			return 0;
		}
		if (meta.txnid == txnid)
			return walk_all(file, &meta, only);
	}
	return VERIFY_OLD;
}
