/* The stream as libetpan sees it. libetpan takes a read of 0 octets for a line that is complete, and
 * a write of 0 for one to be repeated at once, so both are -1 here; and it reports every failure as
 * the same, so the reason stays in the stream.
 *
 * libetpan has buffers of its own (kept small: it moves the rest of its buffer with every line). Both
 * interfaces may be used in turn, as stream_read takes what is left there first and every write
 * empties the other's buffer before. */
#include "imap/stream_private.h"

#include <errno.h>
#include <libetpan/mailstream.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "imap/etpan_absent.h"

#define BUFFER_SIZE ((size_t)8 << 10)

static ssize_t low_read(mailstream_low *low, void *data, size_t len)
{
	ptrdiff_t n;

	driver_flush(low->data);
	n = stream_read_low(low->data, data, len);
	if (n > 0)
		return n;
	errno = EIO;
	return -1;
}

/* Sends at once: libetpan has collected already, and its flush cannot be seen from here. */
static ssize_t low_write(mailstream_low *low, const void *data, size_t len)
{
	if (len != 0 && stream_write_low(low->data, data, len) == 0 &&
	    stream_flush_low(low->data) == 0)
		return (ssize_t)len;
	errno = EIO;
	return -1;
}

static int low_close(mailstream_low *low)
{
	(void)low;
	return 0; /* the stream owns the socket */
}

static void low_free(mailstream_low *low)
{
	struct stream *stream = low->data;

	stream->mailstream = NULL;
	free(low);
}

static int low_get_fd(mailstream_low *low)
{
	const struct stream *stream = low->data;

	return stream->fd;
}

/* From any thread: whoever waits for the socket wakes up. */
static void low_cancel(mailstream_low *low)
{
	struct stream *stream = low->data;

	atomic_store(&stream->cancelled, true);
	shutdown(stream->fd, SHUT_RDWR);
}

static struct mailstream_cancel *low_get_cancel(mailstream_low *low)
{
	(void)low;
	return NULL;
}

static carray *low_get_chain(mailstream_low *low)
{
	(void)low;
	return NULL;
}

static int low_no_idle(mailstream_low *low)
{
	(void)low;
	return -1;
}

static mailstream_low_driver driver = {
	.mailstream_read = low_read,
	.mailstream_write = low_write,
	.mailstream_close = low_close,
	.mailstream_get_fd = low_get_fd,
	.mailstream_free = low_free,
	.mailstream_cancel = low_cancel,
	.mailstream_get_cancel = low_get_cancel,
	.mailstream_get_certificate_chain = low_get_chain,
	.mailstream_setup_idle = low_no_idle,
	.mailstream_unsetup_idle = low_no_idle,
	.mailstream_interrupt_idle = low_no_idle,
};

struct _mailstream *stream_mailstream(struct stream *stream)
{
	mailstream_low *low;

	if (stream->mailstream != NULL)
		return stream->mailstream;
	low = mailstream_low_new(stream, &driver);
	if (low == NULL)
		abort();
	stream->mailstream = mailstream_new(low, BUFFER_SIZE);
	if (stream->mailstream == NULL)
		abort();
	return stream->mailstream;
}

size_t driver_pending(const struct stream *stream)
{
	return stream->mailstream != NULL ? stream->mailstream->read_buffer_len : 0;
}

size_t driver_take(struct stream *stream, void *data, size_t len)
{
	mailstream *etpan = stream->mailstream;

	if (etpan == NULL || etpan->read_buffer_len == 0)
		return 0;
	if (len > etpan->read_buffer_len)
		len = etpan->read_buffer_len;
	memcpy(data, etpan->read_buffer, len);
	etpan->read_buffer_len -= len;
	memmove(etpan->read_buffer, etpan->read_buffer + len, etpan->read_buffer_len);
	return len;
}

int driver_flush(struct stream *stream)
{
	if (stream->mailstream == NULL || stream->mailstream->write_buffer_len == 0)
		return 0;
	return mailstream_flush(stream->mailstream) == 0 && stream->error.kind == ERROR_NONE ? 0
											     : -1;
}

void driver_release(struct stream *stream)
{
	if (stream->mailstream != NULL)
		mailstream_close(stream->mailstream);
	stream->mailstream = NULL;
}
