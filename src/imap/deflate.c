/* COMPRESS=DEFLATE (RFC 4978): raw deflate on both directions, above TLS. A flush ends in a sync
 * point, so the server can read all of what was written. What arrived together with the answer to
 * COMPRESS is compressed already and goes through the decompressor first. */
#include "imap/stream_private.h"

#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/memory.h"

#define RAW_WINDOW (-15)
#define MEM_LEVEL 7 /* 128 + 64 KiB; 8 gains nothing on commands and 0.3 % on mail */
#define CHUNK ((size_t)16 << 10)

struct zip {
	z_stream inflater;
	z_stream deflater;
	char *in; /* compressed, received; inflater.next_in points into it */
	size_t in_room;
	bool more;  /* the inflater stopped because it had no room */
	bool dirty; /* something was compressed since the last sync point */
	char out[CHUNK];
};

static int broken(struct stream *stream)
{
	return stream_fail(stream, ERROR_SERVER, "compressed data from %s are broken",
			   stream->host);
}

int deflate_start(struct stream *stream)
{
	struct zip *zip;
	size_t early = stream_pending(stream), in_libetpan;

	if (stream->zip != NULL)
		return stream_fail(stream, ERROR_SERVER, "compression with %s was already started",
				   stream->host);
	zip = xcalloc(1, sizeof(*zip));
	if (inflateInit2(&zip->inflater, RAW_WINDOW) != Z_OK ||
	    deflateInit2(&zip->deflater, Z_DEFAULT_COMPRESSION, Z_DEFLATED, RAW_WINDOW, MEM_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		abort(); /* out of memory, or another zlib than that of the header */
	zip->in_room = early > CHUNK ? early : CHUNK;
	zip->in = xmalloc(zip->in_room);
	in_libetpan = driver_take(stream, zip->in, early);
	if (early > in_libetpan) /* no wait: it is in the buffer */
		stream_read_low(stream, zip->in + in_libetpan, early - in_libetpan);
	zip->inflater.next_in = (Bytef *)zip->in;
	zip->inflater.avail_in = (uInt)early;
	stream->zip = zip;
	return 0;
}

bool deflate_has_input(const struct stream *stream)
{
	return stream->zip->more || stream->zip->inflater.avail_in != 0;
}

static int refill(struct stream *stream, struct zip *zip)
{
	ptrdiff_t n = layer_read_now(stream, zip->in, zip->in_room);

	if (n <= 0)
		return (int)n;
	zip->inflater.next_in = (Bytef *)zip->in;
	zip->inflater.avail_in = (uInt)n;
	return 1;
}

ptrdiff_t deflate_read_now(struct stream *stream, char *data, size_t len)
{
	struct zip *zip = stream->zip;
	z_stream *z = &zip->inflater;
	uInt room = len < STREAM_SPILL_MAX ? (uInt)len : (uInt)STREAM_SPILL_MAX;
	int status;

	z->next_out = (Bytef *)data;
	z->avail_out = room;
	while (z->avail_out != 0) {
		if (!deflate_has_input(stream)) {
			status = refill(stream, zip);
			if (status <= 0 && z->avail_out == room)
				return status;
			if (status <= 0)
				break;
		}
		status = inflate(z, Z_SYNC_FLUSH);
		zip->more = z->avail_out == 0;
		if (status != Z_OK && status != Z_BUF_ERROR) {
			if (z->avail_out == room)
				return broken(stream);
			broken(stream);
			break;
		}
	}
	return (ptrdiff_t)(room - z->avail_out);
}

/* Until the deflater has nothing more to say. */
static int drain(struct stream *stream, struct zip *zip, int flush)
{
	z_stream *z = &zip->deflater;
	int status;

	do {
		z->next_out = (Bytef *)zip->out;
		z->avail_out = sizeof(zip->out);
		status = deflate(z, flush);
		if (status != Z_OK && status != Z_BUF_ERROR)
			return stream_fail(stream, ERROR_SERVER, "cannot compress for %s",
					   stream->host);
		if (layer_send(stream, zip->out, sizeof(zip->out) - z->avail_out) != 0)
			return -1;
	} while (z->avail_out == 0);
	return 0;
}

int deflate_send(struct stream *stream, const char *data, size_t len, bool flush)
{
	struct zip *zip = stream->zip;

	zip->dirty |= len != 0;
	while (len != 0) {
		size_t part = len < STREAM_SPILL_MAX ? len : STREAM_SPILL_MAX;

		zip->deflater.next_in = (const Bytef *)data;
		zip->deflater.avail_in = (uInt)part;
		if (drain(stream, zip, Z_NO_FLUSH) != 0)
			return -1;
		data += part;
		len -= part;
	}
	if (!flush || !zip->dirty)
		return 0;
	zip->dirty = false;
	return drain(stream, zip, Z_SYNC_FLUSH);
}

void deflate_release(struct stream *stream)
{
	if (stream->zip == NULL)
		return;
	inflateEnd(&stream->zip->inflater);
	deflateEnd(&stream->zip->deflater);
	free(stream->zip->in);
	free(stream->zip);
	stream->zip = NULL;
}
