/* Any bytes as a message: fed whole, in pieces of a length the input chooses, and with CR LF
 * for every LF, the fingerprint is the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "core/fingerprint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static struct fingerprint print(struct fingerprinter *printer, const void *data, size_t size,
				size_t piece)
{
	const char *at = data;
	struct fingerprint out;
	size_t n;

	fingerprinter_reset(printer);
	for (; size != 0; at += n, size -= n) {
		n = piece < size ? piece : size;
		fingerprinter_feed(printer, at, n);
	}
	fingerprinter_finish(printer, &out);
	return out;
}

static void must_be_same(const struct fingerprint *a, const struct fingerprint *b)
{
	must(hash_equal(&a->content, &b->content));
	must(hash_equal(&a->header, &b->header));
	must(a->wire_size == b->wire_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fingerprinter *printer = fingerprinter_new();
	struct fingerprint whole, pieces, wire;
	struct text text = {0};
	uint8_t last = 0;

	if (size > 1) {
		whole = print(printer, data + 1, size - 1, size);
		pieces = print(printer, data + 1, size - 1, 1 + data[0] % 32);
		must_be_same(&whole, &pieces);
		must(whole.size == size - 1 && pieces.size == size - 1);
		for (size_t i = 1; i < size; last = data[i++]) {
			if (data[i] == '\n' && last != '\r')
				text_putc(&text, '\r');
			text_putc(&text, (char)data[i]);
		}
		wire = print(printer, text_get(&text), text.len, 4096);
		must_be_same(&whole, &wire);
		must(wire.size == whole.wire_size);
	}
	text_release(&text);
	fingerprinter_free(&printer);
	return 0;
}
