/* Reading directories (file.h).
 *
 * Half of the time that a large directory takes is the kernel's, half is spent on what it told; so a thread
 * reads the next piece while the last one is looked at. It may be started before anybody looks, and then
 * reads some pieces ahead. A small directory, which fits into one piece, has no thread. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

#define LONGEST_ENTRY 512

struct piece {
	struct piece *next;
	size_t len;
	char data[]; /* of the reader's room */
};

struct read_ahead {
	int fd;
	size_t room;
	size_t most; /* pieces */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct piece *first; /* read and not taken, oldest first */
	struct piece **last;
	size_t n;
	int failure; /* errno at the end, or 0 */
	bool end;
	bool stop;
};

static struct piece *new_piece(size_t room)
{
	struct piece *piece = xmalloc(sizeof(*piece) + room);

	piece->next = NULL;
	return piece;
}

/* Waits for room; NULL: nobody wants more. */
static struct piece *next_to_fill(struct read_ahead *ahead)
{
	bool stop;

	pthread_mutex_lock(&ahead->mutex);
	while (ahead->n >= ahead->most && !ahead->stop)
		pthread_cond_wait(&ahead->changed, &ahead->mutex);
	stop = ahead->stop;
	pthread_mutex_unlock(&ahead->mutex);
	return stop ? NULL : new_piece(ahead->room);
}

static void hand_over(struct read_ahead *ahead, struct piece *piece, int failure)
{
	pthread_mutex_lock(&ahead->mutex);
	if (piece != NULL) {
		*ahead->last = piece;
		ahead->last = &piece->next;
		ahead->n++;
	} else {
		ahead->failure = failure;
		ahead->end = true;
	}
	pthread_cond_signal(&ahead->changed);
	pthread_mutex_unlock(&ahead->mutex);
}

/* Until the end, an error, or nobody wants more. */
static void *read_pieces(void *arg)
{
	struct read_ahead *ahead = arg;
	struct piece *piece;

	while ((piece = next_to_fill(ahead)) != NULL) {
		ssize_t n = getdents64(ahead->fd, piece->data, ahead->room);

		if (n <= 0) {
			hand_over(ahead, NULL, n < 0 ? errno : 0);
			free(piece);
			break;
		}
		piece->len = (size_t)n;
		hand_over(ahead, piece, 0);
	}
	return NULL;
}

/* Signals are for the threads that expect them. */
static int start_thread(struct read_ahead *ahead)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&ahead->thread, NULL, read_pieces, ahead);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static void ahead_free(struct read_ahead *ahead)
{
	while (ahead->first != NULL) {
		struct piece *piece = ahead->first;

		ahead->first = piece->next;
		free(piece);
	}
	pthread_cond_destroy(&ahead->changed);
	pthread_mutex_destroy(&ahead->mutex);
	free(ahead);
}

void directory_reader_start(struct directory_reader *reader, size_t most)
{
	struct read_ahead *ahead = xcalloc(1, sizeof(*ahead));

	ahead->fd = reader->fd;
	ahead->room = reader->room;
	ahead->most = most;
	ahead->last = &ahead->first;
	pthread_mutex_init(&ahead->mutex, NULL);
	pthread_cond_init(&ahead->changed, NULL);
	if (start_thread(ahead) == 0)
		reader->ahead = ahead;
	else /* without a thread it goes on as before */
		ahead_free(ahead);
}

/* The oldest piece that the thread has read; NULL at the end. */
static struct piece *take_piece(struct read_ahead *ahead)
{
	struct piece *piece;

	pthread_mutex_lock(&ahead->mutex);
	while (ahead->first == NULL && !ahead->end)
		pthread_cond_wait(&ahead->changed, &ahead->mutex);
	piece = ahead->first;
	if (piece != NULL) {
		ahead->first = piece->next;
		if (ahead->first == NULL)
			ahead->last = &ahead->first;
		ahead->n--;
		pthread_cond_signal(&ahead->changed);
	}
	errno = ahead->failure;
	pthread_mutex_unlock(&ahead->mutex);
	return piece;
}

static int next_of_thread(struct directory_reader *reader)
{
	free(reader->piece);
	reader->piece = take_piece(reader->ahead);
	if (reader->piece == NULL)
		return errno != 0 ? -1 : 0;
	reader->len = reader->piece->len;
	return 1;
}

/* 1: there is one; 0: the end; -1: errno. */
static int next_piece(struct directory_reader *reader)
{
	ssize_t n;

	reader->at = reader->len = 0;
	if (reader->ahead != NULL)
		return next_of_thread(reader);
	if (reader->piece == NULL)
		reader->piece = new_piece(reader->room);
	n = getdents64(reader->fd, reader->piece->data, reader->room);
	if (n <= 0)
		return (int)n;
	reader->len = (size_t)n;
	if (reader->len + LONGEST_ENTRY > reader->room) /* it was full */
		directory_reader_start(reader, 1);
	return 1;
}

void directory_reader_init(struct directory_reader *reader, int fd, size_t room)
{
	memset(reader, 0, sizeof(*reader));
	reader->fd = fd;
	reader->room = room;
}

void directory_reader_release(struct directory_reader *reader)
{
	struct read_ahead *ahead = reader->ahead;

	if (ahead != NULL) {
		pthread_mutex_lock(&ahead->mutex);
		ahead->stop = true;
		pthread_cond_signal(&ahead->changed);
		pthread_mutex_unlock(&ahead->mutex);
		pthread_join(ahead->thread, NULL);
		ahead_free(ahead);
	}
	reader->ahead = NULL;
	free(reader->piece);
	reader->piece = NULL;
}

int directory_read(struct directory_reader *reader, struct directory_entry *entry)
{
	for (;;) {
		struct dirent64 *record;

		if (reader->at >= reader->len) {
			int got = next_piece(reader);

			if (got <= 0)
				return got;
		}
		record = (struct dirent64 *)(void *)(reader->piece->data + reader->at);
		reader->at += record->d_reclen;
		if (strcmp(record->d_name, ".") == 0 || strcmp(record->d_name, "..") == 0)
			continue;
		entry->name = record->d_name;
		entry->inode = record->d_ino;
		entry->type = record->d_type;
		return 1;
	}
}
