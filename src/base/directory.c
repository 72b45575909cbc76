/* Reading directories (file.h).
 *
 * Half of the time that a large directory takes is the kernel's, half is spent on what it told; so a thread
 * reads the next piece while the last one is looked at. A small directory, which fits into one piece, has
 * no thread. */
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

struct read_ahead {
	int fd;
	size_t room;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	char *buffer; /* the thread's until it is full, then the reader's */
	ssize_t n;    /* what the kernel answered */
	int failure;  /* errno of it */
	bool full;
	bool stop;
};

/* Until the end, an error, or nobody wants more. */
static void *read_pieces(void *arg)
{
	struct read_ahead *ahead = arg;
	ssize_t n = 1;

	pthread_mutex_lock(&ahead->mutex);
	while (n > 0 && !ahead->stop) {
		pthread_mutex_unlock(&ahead->mutex);
		n = getdents64(ahead->fd, ahead->buffer, ahead->room);
		pthread_mutex_lock(&ahead->mutex);
		ahead->n = n;
		ahead->failure = n < 0 ? errno : 0;
		ahead->full = true;
		pthread_cond_signal(&ahead->changed);
		while (ahead->full && !ahead->stop)
			pthread_cond_wait(&ahead->changed, &ahead->mutex);
	}
	pthread_mutex_unlock(&ahead->mutex);
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
	pthread_cond_destroy(&ahead->changed);
	pthread_mutex_destroy(&ahead->mutex);
	free(ahead->buffer);
	free(ahead);
}

/* Without a thread it goes on as before. */
static void read_ahead(struct directory_reader *reader)
{
	struct read_ahead *ahead = xcalloc(1, sizeof(*ahead));

	ahead->fd = reader->fd;
	ahead->room = reader->room;
	ahead->buffer = xmalloc(reader->room);
	pthread_mutex_init(&ahead->mutex, NULL);
	pthread_cond_init(&ahead->changed, NULL);
	if (start_thread(ahead) == 0)
		reader->ahead = ahead;
	else
		ahead_free(ahead);
}

/* The piece that the thread has read, for the one that was looked at. */
static ssize_t take_piece(struct directory_reader *reader)
{
	struct read_ahead *ahead = reader->ahead;
	char *empty = reader->buffer;
	ssize_t n;

	pthread_mutex_lock(&ahead->mutex);
	while (!ahead->full)
		pthread_cond_wait(&ahead->changed, &ahead->mutex);
	n = ahead->n;
	if (n > 0) {
		reader->buffer = ahead->buffer;
		ahead->buffer = empty;
		ahead->full = false;
		pthread_cond_signal(&ahead->changed);
	}
	errno = ahead->failure;
	pthread_mutex_unlock(&ahead->mutex);
	return n;
}

static ssize_t next_piece(struct directory_reader *reader)
{
	ssize_t n;

	if (reader->ahead != NULL)
		return take_piece(reader);
	n = getdents64(reader->fd, reader->buffer, reader->room);
	if (n > 0 && (size_t)n + LONGEST_ENTRY > reader->room) /* it was full */
		read_ahead(reader);
	return n;
}

void directory_reader_init(struct directory_reader *reader, int fd, size_t room)
{
	memset(reader, 0, sizeof(*reader));
	reader->fd = fd;
	reader->room = room;
	reader->buffer = xmalloc(room);
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
	free(reader->buffer);
	reader->buffer = NULL;
}

int directory_read(struct directory_reader *reader, struct directory_entry *entry)
{
	for (;;) {
		struct dirent64 *record;

		if (reader->at >= reader->len) {
			ssize_t n = next_piece(reader);

			if (n <= 0)
				return n == 0 ? 0 : -1;
			reader->len = (size_t)n;
			reader->at = 0;
		}
		record = (struct dirent64 *)(void *)(reader->buffer + reader->at);
		reader->at += record->d_reclen;
		if (strcmp(record->d_name, ".") == 0 || strcmp(record->d_name, "..") == 0)
			continue;
		entry->name = record->d_name;
		entry->inode = record->d_ino;
		entry->type = record->d_type;
		return 1;
	}
}
