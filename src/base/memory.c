#include "base/memory.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST 1024
#define ARENA_LARGEST (256 * 1024)

struct chunk {
	struct chunk *next;
	size_t used;
	size_t size;
	alignas(max_align_t) char data[];
};

struct arena {
	struct chunk *head;
	size_t total;
};

static void out_of_memory(void)
{
	fputs("mailtwin: out of memory\n", stderr);
	abort();
}

void *xmalloc(size_t size)
{
	void *p = malloc(size != 0 ? size : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n != 0 ? n : 1, size != 0 ? size : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *xreallocarray(void *old, size_t n, size_t size)
{
	void *p;

	if (size != 0 && n > SIZE_MAX / size)
		out_of_memory();
	p = realloc(old, n * size != 0 ? n * size : 1);
	if (p == NULL)
		out_of_memory();
	return p;
}

char *xstrndup(const char *text, size_t len)
{
	char *copy = xmalloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *xstrdup(const char *text)
{
	return text != NULL ? xstrndup(text, strlen(text)) : NULL;
}

char *xasprintf(const char *fmt, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0)
		out_of_memory();
	return text;
}

void *grow(void *array, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return array;
	*room = n + n / 2 + 4;
	return xreallocarray(array, *room, size);
}

struct arena *arena_new(void)
{
	return xcalloc(1, sizeof(struct arena));
}

void arena_free(struct arena **arena)
{
	struct chunk *chunk, *next;

	if (*arena == NULL)
		return;
	for (chunk = (*arena)->head; chunk != NULL; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(*arena);
	*arena = NULL;
}

/* A quarter of what there is already: there may be hundreds of arenas, and most of them stay small. */
static struct chunk *chunk_add(struct arena *arena, size_t need)
{
	size_t size = arena->total / 4;
	struct chunk *chunk;

	if (size < ARENA_FIRST)
		size = ARENA_FIRST;
	if (size > ARENA_LARGEST)
		size = ARENA_LARGEST;
	if (size < need)
		size = need;
	chunk = xmalloc(sizeof(*chunk) + size);
	chunk->size = size;
	chunk->used = 0;
	arena->total += sizeof(*chunk) + size;
	chunk->next = arena->head;
	arena->head = chunk;
	return chunk;
}

static void *take(struct arena *arena, size_t size, size_t align)
{
	struct chunk *chunk = arena->head;
	size_t at;

	if (chunk != NULL) {
		at = (chunk->used + align - 1) & ~(align - 1);
		if (at <= chunk->size && size <= chunk->size - at) {
			chunk->used = at + size;
			return chunk->data + at;
		}
	}
	chunk = chunk_add(arena, size);
	chunk->used = size;
	return chunk->data;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return memset(take(arena, size, alignof(max_align_t)), 0, size);
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
	char *copy = take(arena, len + 1, 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return text != NULL ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list args;
	char *copy;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		out_of_memory();
	copy = take(arena, (size_t)len + 1, 1);
	va_start(args, fmt);
	vsnprintf(copy, (size_t)len + 1, fmt, args);
	va_end(args);
	return copy;
}

size_t arena_size(const struct arena *arena)
{
	return arena->total;
}
