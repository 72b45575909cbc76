/* TLS sessions for resumption: the second connection to a server saves the exchange of certificates.
 * A key says everything that decided about trust, so a session is never used where its certificate
 * would not have passed. TLS 1.3 tickets arrive with the first data, long after the handshake; the
 * newest of each key is kept, as several connections open at once and one ticket serves them all. */
#include "imap/stream_private.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define MAX_KEYS 8

static struct {
	char *key;
	SSL_SESSION *session;
} tickets[MAX_KEYS];
static size_t oldest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t slot_of(const char *key)
{
	size_t i = 0;

	while (i < MAX_KEYS && (tickets[i].key == NULL || strcmp(tickets[i].key, key) != 0))
		i++;
	return i;
}

void ticket_store(const char *key, SSL_SESSION *session)
{
	size_t i;

	pthread_mutex_lock(&lock);
	i = slot_of(key);
	if (i == MAX_KEYS) {
		i = oldest;
		oldest = (oldest + 1) % MAX_KEYS;
		free(tickets[i].key);
		tickets[i].key = xstrdup(key);
	}
	SSL_SESSION_free(tickets[i].session);
	tickets[i].session = session;
	pthread_mutex_unlock(&lock);
}

SSL_SESSION *ticket_get(const char *key)
{
	SSL_SESSION *session = NULL;
	size_t i;

	pthread_mutex_lock(&lock);
	i = slot_of(key);
	if (i < MAX_KEYS && SSL_SESSION_is_resumable(tickets[i].session) &&
	    SSL_SESSION_up_ref(tickets[i].session))
		session = tickets[i].session;
	pthread_mutex_unlock(&lock);
	return session;
}
