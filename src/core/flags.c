/* A set of keywords is kept as a list: its largest id, and the number of the set of all the
 * others. Equal lists get one number (they are found by a hash of both fields), so equal sets
 * have equal numbers, sets share their tails, and building a set keyword by keyword, in the
 * order in which a server usually lists them, costs eight bytes a keyword.
 *
 * What a server can make us keep is bounded: names, sets, and keywords of one message. Past
 * a bound a keyword is not taken up, and the set stays as it was. */
#include "core/flags.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define NAMES_MOST 100000U
#define SETS_MOST 0xffffffU /* what 24 bits hold */
#define SET_SIZE_MOST 1024U

struct node { /* one set */
	uint32_t rest : 24;
	uint32_t id : 17; /* larger than all in rest */
	uint32_t size : 15;
};

struct slot {
	uint32_t hash;
	uint32_t number; /* of a name or a set; 0: free */
};

struct table {
	struct slot *slots;
	uint32_t mask; /* slots - 1, a power of two less one */
	uint32_t used;
};

struct keyword_pool {
	pthread_mutex_t lock;
	struct arena *arena; /* the names */
	const char **names;  /* of id 1 at 0 */
	size_t names_room;
	uint32_t n_names;
	struct node *nodes; /* of set 1 at 0 */
	size_t nodes_room;
	uint32_t n_nodes;
	struct table by_name;
	struct table by_node;
};

enum keep { KEEP_A = 1, KEEP_BOTH = 2, KEEP_B = 4 };

static const struct {
	const char *name;
	uint32_t flag;
} system_flags[] = {
	{"\\Seen", FLAG_SEEN},
	{"\\Answered", FLAG_ANSWERED},
	{"\\Flagged", FLAG_FLAGGED},
	{"\\Deleted", FLAG_DELETED},
	{"\\Draft", FLAG_DRAFT},
	{"$Forwarded", FLAG_FORWARDED},
	/* Older programs wrote it like this. */
	{"Forwarded", FLAG_FORWARDED},
	{"\\Forwarded", FLAG_FORWARDED},
};

static const char letters[] = "DFPRST"; /* of bit 0, 1, ... */

/* ---- the tables ---- */

static void table_init(struct table *table, uint32_t slots)
{
	table->slots = xcalloc(slots, sizeof(*table->slots));
	table->mask = slots - 1;
	table->used = 0;
}

static void table_place(struct table *table, uint32_t hash, uint32_t number)
{
	uint32_t at = hash & table->mask;

	while (table->slots[at].number != 0)
		at = (at + 1) & table->mask;
	table->slots[at].hash = hash;
	table->slots[at].number = number;
	table->used++;
}

static void table_add(struct table *table, uint32_t hash, uint32_t number)
{
	struct table old = *table;

	if (old.used >= old.mask / 2) {
		table_init(table, (old.mask + 1) * 2);
		for (uint32_t i = 0; i <= old.mask; i++) {
			if (old.slots[i].number != 0)
				table_place(table, old.slots[i].hash, old.slots[i].number);
		}
		free(old.slots);
	}
	table_place(table, hash, number);
}

/* The next number with this hash from *at on, 0 if there is none. */
static uint32_t table_next(const struct table *table, uint32_t hash, uint32_t *at)
{
	const struct slot *slot;

	do {
		slot = &table->slots[*at & table->mask];
		(*at)++;
	} while (slot->number != 0 && slot->hash != hash);
	return slot->number;
}

static uint32_t mix(uint64_t value)
{
	value *= UINT64_C(0x9e3779b97f4a7c15);
	value ^= value >> 29;
	value *= UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(value >> 32);
}

static uint32_t name_hash(const char *name, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)ascii_lower(name[i])) * UINT64_C(0x100000001b3);
	return mix(hash);
}

/* ---- the pool ---- */

struct keyword_pool *keyword_pool_new(void)
{
	struct keyword_pool *pool = xcalloc(1, sizeof(*pool));

	pthread_mutex_init(&pool->lock, NULL);
	pool->arena = arena_new();
	table_init(&pool->by_name, 64);
	table_init(&pool->by_node, 64);
	return pool;
}

void keyword_pool_free(struct keyword_pool **pool)
{
	struct keyword_pool *old = *pool;

	if (old == NULL)
		return;
	pthread_mutex_destroy(&old->lock);
	arena_free(&old->arena);
	free(old->names);
	free(old->nodes);
	free(old->by_name.slots);
	free(old->by_node.slots);
	free(old);
	*pool = NULL;
}

static uint32_t find_name(struct keyword_pool *pool, uint32_t hash, const char *name, size_t len)
{
	uint32_t at = hash & pool->by_name.mask, id;

	while ((id = table_next(&pool->by_name, hash, &at)) != 0) {
		const char *known = pool->names[id - 1];

		if (ascii_ncasecmp(known, name, len) == 0 && known[len] == '\0')
			return id;
	}
	return 0;
}

uint32_t keyword_id(struct keyword_pool *pool, const char *name, size_t len)
{
	uint32_t hash, id;

	if (len == 0 || memchr(name, '\0', len) != NULL)
		return 0;
	hash = name_hash(name, len);
	pthread_mutex_lock(&pool->lock);
	id = find_name(pool, hash, name, len);
	if (id == 0 && pool->n_names < NAMES_MOST) {
		pool->names =
			grow(pool->names, pool->n_names, &pool->names_room, sizeof(*pool->names));
		pool->names[pool->n_names] = arena_strndup(pool->arena, name, len);
		id = ++pool->n_names;
		table_add(&pool->by_name, hash, id);
	}
	pthread_mutex_unlock(&pool->lock);
	return id;
}

const char *keyword_name(struct keyword_pool *pool, uint32_t id)
{
	const char *name = NULL;

	pthread_mutex_lock(&pool->lock);
	if (id >= 1 && id <= pool->n_names)
		name = pool->names[id - 1];
	pthread_mutex_unlock(&pool->lock);
	return name;
}

uint32_t keyword_count(struct keyword_pool *pool)
{
	uint32_t count;

	pthread_mutex_lock(&pool->lock);
	count = pool->n_names;
	pthread_mutex_unlock(&pool->lock);
	return count;
}

/* ---- sets; the lock is held ---- */

static struct node set_node(const struct keyword_pool *pool, uint32_t set)
{
	static const struct node none;

	return set >= 1 && set <= pool->n_nodes ? pool->nodes[set - 1] : none;
}

/* The set of id and of all in rest, which must be smaller; 0 if there is no room for it. */
static uint32_t join(struct keyword_pool *pool, uint32_t id, uint32_t rest)
{
	uint32_t hash = mix((uint64_t)rest << 32 | id), at = hash & pool->by_node.mask, set;
	struct node *node;

	while ((set = table_next(&pool->by_node, hash, &at)) != 0) {
		node = &pool->nodes[set - 1];
		if (node->id == id && node->rest == rest)
			return set;
	}
	if (pool->n_nodes == SETS_MOST || set_node(pool, rest).size == SET_SIZE_MOST)
		return 0;
	pool->nodes = grow(pool->nodes, pool->n_nodes, &pool->nodes_room, sizeof(*pool->nodes));
	node = &pool->nodes[pool->n_nodes];
	node->id = id & 0x1ffffU;
	node->rest = rest & SETS_MOST;
	node->size = (set_node(pool, rest).size + 1U) & 0x7fffU;
	set = ++pool->n_nodes;
	table_add(&pool->by_node, hash, set);
	return set;
}

/* Fills at most room of the smallest ids, ascending; returns how many the set has. */
static size_t load(const struct keyword_pool *pool, uint32_t set, uint32_t *ids, size_t room)
{
	struct node node = set_node(pool, set);
	size_t size = node.size;

	for (; node.size != 0; node = set_node(pool, node.rest)) {
		if (node.size <= room)
			ids[node.size - 1] = node.id;
	}
	return size;
}

static uint32_t combine(struct keyword_pool *pool, uint32_t a, uint32_t b, unsigned keep)
{
	uint32_t in_a[SET_SIZE_MOST], in_b[SET_SIZE_MOST];
	size_t n = load(pool, a, in_a, SET_SIZE_MOST), m = load(pool, b, in_b, SET_SIZE_MOST);
	size_t i = 0, j = 0;
	uint32_t set = KEYWORDS_NONE, id;
	unsigned where;

	while (i < n || j < m) {
		where = KEEP_BOTH;
		if (j == m || (i < n && in_a[i] < in_b[j]))
			where = KEEP_A;
		else if (i == n || in_b[j] < in_a[i])
			where = KEEP_B;
		id = where == KEEP_B ? in_b[j] : in_a[i];
		i += where != KEEP_B;
		j += where != KEEP_A;
		if ((keep & where) == 0)
			continue;
		set = join(pool, id, set);
		if (set == KEYWORDS_NONE)
			return a;
	}
	return set;
}

static uint32_t combine_locked(struct keyword_pool *pool, uint32_t a, uint32_t b, unsigned keep)
{
	uint32_t set;

	pthread_mutex_lock(&pool->lock);
	set = combine(pool, a, b, keep);
	pthread_mutex_unlock(&pool->lock);
	return set;
}

/* ---- sets ---- */

uint32_t keywords_add(struct keyword_pool *pool, uint32_t set, uint32_t id)
{
	uint32_t single, result = set;

	pthread_mutex_lock(&pool->lock);
	if (id < 1 || id > pool->n_names || set > pool->n_nodes) {
		/* a name that found no room, or a number that is not of this pool */
	} else if (set_node(pool, set).id < id) {
		result = join(pool, id, set);
	} else {
		single = join(pool, id, KEYWORDS_NONE);
		result = combine(pool, set, single, KEEP_A | KEEP_BOTH | KEEP_B);
	}
	pthread_mutex_unlock(&pool->lock);
	return result != KEYWORDS_NONE ? result : set;
}

uint32_t keywords_union(struct keyword_pool *pool, uint32_t a, uint32_t b)
{
	if (a == b || b == KEYWORDS_NONE)
		return a;
	if (a == KEYWORDS_NONE)
		return b;
	return combine_locked(pool, a, b, KEEP_A | KEEP_BOTH | KEEP_B);
}

uint32_t keywords_minus(struct keyword_pool *pool, uint32_t a, uint32_t b)
{
	if (a == b)
		return KEYWORDS_NONE;
	if (a == KEYWORDS_NONE || b == KEYWORDS_NONE)
		return a;
	return combine_locked(pool, a, b, KEEP_A);
}

uint32_t keywords_intersection(struct keyword_pool *pool, uint32_t a, uint32_t b)
{
	if (a == b)
		return a;
	if (a == KEYWORDS_NONE || b == KEYWORDS_NONE)
		return KEYWORDS_NONE;
	return combine_locked(pool, a, b, KEEP_BOTH);
}

size_t keywords_ids(struct keyword_pool *pool, uint32_t set, uint32_t *ids, size_t room)
{
	size_t size;

	pthread_mutex_lock(&pool->lock);
	size = load(pool, set, ids, room);
	pthread_mutex_unlock(&pool->lock);
	return size;
}

bool keywords_has(struct keyword_pool *pool, uint32_t set, uint32_t id)
{
	struct node node;

	pthread_mutex_lock(&pool->lock);
	node = set_node(pool, set);
	while (node.size != 0 && node.id > id)
		node = set_node(pool, node.rest);
	pthread_mutex_unlock(&pool->lock);
	return node.size != 0 && node.id == id;
}

/* ---- flags ---- */

bool flags_equal(struct flags a, struct flags b)
{
	return a.system == b.system && a.keywords == b.keywords;
}

bool flags_empty(struct flags flags)
{
	return flags.system == 0 && flags.keywords == KEYWORDS_NONE;
}

static struct flags flags_of(uint32_t system, uint32_t keywords)
{
	struct flags flags = {.system = system & 0xffU, .keywords = keywords & SETS_MOST};

	return flags;
}

struct flags flags_union(struct keyword_pool *pool, struct flags a, struct flags b)
{
	return flags_of(a.system | b.system, keywords_union(pool, a.keywords, b.keywords));
}

struct flags flags_minus(struct keyword_pool *pool, struct flags a, struct flags b)
{
	return flags_of(a.system & ~(uint32_t)b.system,
			keywords_minus(pool, a.keywords, b.keywords));
}

struct flags flags_intersection(struct keyword_pool *pool, struct flags a, struct flags b)
{
	return flags_of(a.system & b.system, keywords_intersection(pool, a.keywords, b.keywords));
}

void flags_add_imap(struct keyword_pool *pool, struct flags *flags, const char *name, size_t len)
{
	uint32_t id;

	for (size_t i = 0; i < ARRAY_SIZE(system_flags); i++) {
		const char *known = system_flags[i].name;

		if (strlen(known) == len && ascii_ncasecmp(known, name, len) == 0) {
			*flags = flags_of(flags->system | system_flags[i].flag, flags->keywords);
			return;
		}
	}
	if (len == 0 || name[0] == '\\')
		return;
	id = keyword_id(pool, name, len);
	*flags = flags_of(flags->system, keywords_add(pool, flags->keywords, id));
}

void flags_to_letters(uint32_t system, char out[7])
{
	size_t n = 0;

	for (size_t i = 0; letters[i] != '\0'; i++) {
		if ((system & 1U << i) != 0)
			out[n++] = letters[i];
	}
	out[n] = '\0';
}

uint32_t flags_from_letter(char letter)
{
	for (size_t i = 0; letters[i] != '\0'; i++) {
		if (letters[i] == letter)
			return 1U << i;
	}
	return 0;
}
