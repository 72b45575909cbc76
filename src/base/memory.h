/* Memory: the x functions abort when there is none, so callers need no check. An arena
 * holds what lives exactly as long as one unit of work; nothing in it is freed singly. */
#ifndef MAILTWIN_BASE_MEMORY_H
#define MAILTWIN_BASE_MEMORY_H

#include <stddef.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);                  /* zeroed */
void *xreallocarray(void *old, size_t n, size_t size); /* aborts on overflow of n * size */
char *xstrdup(const char *text);                       /* NULL gives NULL; caller frees */
char *xstrndup(const char *text, size_t len);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Room for one more element: returns the array, moved if it had to grow. *room is the
 * number of elements allocated; grows by half. */
void *grow(void *array, size_t n, size_t *room, size_t size);

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena **arena);               /* and all that is in it; sets it to NULL */
void *arena_alloc(struct arena *arena, size_t size); /* zeroed, aligned for any type */
char *arena_strdup(struct arena *arena, const char *text); /* NULL gives NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_printf(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_size(const struct arena *arena); /* bytes taken from the system */

#endif
