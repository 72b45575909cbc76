/* The configured host. Resolvers and certificate checks disagree quietly about brackets, umlauts and
 * ports glued to a name, so these are refused with the form that works. A name that is not ASCII is
 * answered with its Punycode (RFC 3492); only the capitals of Latin-1, Greek and Cyrillic are folded,
 * for the whole of IDNA needs tables that are not worth a suggestion. */
#include "imap/stream_private.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define HOST_MAX 253
#define LABEL_MAX 63

bool host_is_literal(const char *host)
{
	char bare[INET6_ADDRSTRLEN];
	unsigned char address[sizeof(struct in6_addr)];
	size_t len = strcspn(host, "%");

	if (len >= sizeof(bare))
		return false;
	memcpy(bare, host, len);
	bare[len] = '\0';
	if (inet_pton(AF_INET6, bare, address) == 1)
		return true;
	return host[len] == '\0' && inet_pton(AF_INET, bare, address) == 1;
}

/* ---- Punycode ---- */

struct label {
	uint32_t points[LABEL_MAX];
	size_t len;
};

static uint32_t fold(uint32_t point)
{
	if (point < 0x80)
		return (uint32_t)(unsigned char)ascii_lower((char)point);
	if ((point >= 0xc0 && point <= 0xde && point != 0xd7) ||
	    (point >= 0x391 && point <= 0x3a9) || (point >= 0x410 && point <= 0x42f))
		return point + 0x20;
	return point >= 0x400 && point <= 0x40f ? point + 0x50 : point;
}

static uint32_t decode(const char *p, size_t len)
{
	static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t point = (unsigned char)p[0] & first_bits[len];

	for (size_t i = 1; i < len; i++)
		point = point << 6 | ((unsigned char)p[i] & 0x3f);
	return point;
}

static bool read_label(const char *p, size_t len, struct label *label)
{
	label->len = 0;
	while (len != 0) {
		size_t n = utf8_sequence(p, len);

		if (n == 0 || label->len == LABEL_MAX)
			return false;
		label->points[label->len++] = fold(decode(p, n));
		p += n;
		len -= n;
	}
	return true;
}

static uint32_t adapt(uint32_t delta, uint32_t count, bool first)
{
	uint32_t k = 0;

	delta /= first ? 700 : 2;
	delta += delta / count;
	for (; delta > 455; k += 36)
		delta /= 35;
	return k + 36 * delta / (delta + 38);
}

static char digit(uint32_t value)
{
	return (char)(value < 26 ? 'a' + value : '0' + value - 26);
}

static void put_delta(struct text *out, uint32_t delta, uint32_t bias)
{
	for (uint32_t k = 36;; k += 36) {
		uint32_t limit = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;

		if (delta < limit)
			break;
		text_putc(out, digit(limit + (delta - limit) % (36 - limit)));
		delta = (delta - limit) / (36 - limit);
	}
}

static char last_digit(uint32_t delta, uint32_t bias)
{
	for (uint32_t k = 36;; k += 36) {
		uint32_t limit = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;

		if (delta < limit)
			return digit(delta);
		delta = (delta - limit) / (36 - limit);
	}
}

static uint32_t next_point(const struct label *label, uint32_t from)
{
	uint32_t next = UINT32_MAX;

	for (size_t i = 0; i < label->len; i++) {
		if (label->points[i] >= from && label->points[i] < next)
			next = label->points[i];
	}
	return next;
}

static void put_punycode(struct text *out, const struct label *label)
{
	uint32_t point = 0x80, next, delta = 0, bias = 72, basic = 0, done;

	for (size_t i = 0; i < label->len; i++) {
		if (label->points[i] < 0x80) {
			text_putc(out, (char)label->points[i]);
			basic++;
		}
	}
	if (basic != 0)
		text_putc(out, '-');
	for (done = basic; done < label->len; delta++, point++) {
		next = next_point(label, point);
		delta += (next - point) * (done + 1);
		point = next;
		for (size_t i = 0; i < label->len; i++) {
			if (label->points[i] < point)
				delta++;
			if (label->points[i] != point)
				continue;
			put_delta(out, delta, bias);
			text_putc(out, last_digit(delta, bias));
			done++;
			bias = adapt(delta, done, done == basic + 1);
			delta = 0;
		}
	}
}

static bool is_ascii(const char *p, size_t len)
{
	while (len != 0 && (unsigned char)*p < 0x80) {
		p++;
		len--;
	}
	return len == 0;
}

static bool put_ascii_form(struct text *out, const char *host)
{
	struct label label;

	for (size_t len; *host != '\0'; host += len) {
		len = strcspn(host, ".");
		if (!is_ascii(host, len)) {
			if (!read_label(host, len, &label))
				return false;
			text_puts(out, "xn--");
			put_punycode(out, &label);
		} else {
			text_add(out, host, len);
		}
		if (host[len] == '.') {
			text_putc(out, '.');
			len++;
		}
	}
	return true;
}

/* ---- the check ---- */

static int refuse_non_ascii(const char *host, struct error *err)
{
	struct text form = {0};

	if (put_ascii_form(&form, host))
		error_set(err, ERROR_CONFIG, "host '%s' is not ASCII: write '%s'", host,
			  text_get(&form));
	else
		error_set(err, ERROR_CONFIG,
			  "host is not ASCII: write its form that begins with xn--");
	text_release(&form);
	return -1;
}

static int refuse_colon(const char *host, struct error *err)
{
	size_t len = strcspn(host, ":");
	uint64_t port;

	if (len != 0 && host[len] == ':' && parse_number(host + len + 1, 65535, &port))
		return error_set(err, ERROR_CONFIG, "host '%s': write host = '%.*s' and port = %u",
				 host, (int)len, host, (unsigned)port);
	return error_set(
		err, ERROR_CONFIG,
		"host '%s' is neither a name nor an IP address: write it like 'imap.example.org'",
		host);
}

static int refuse_brackets(const char *host, struct error *err)
{
	size_t len = strcspn(host + 1, "]");
	const char *rest = host + 1 + len;
	uint64_t port;

	if (starts_with(rest, "]:") && parse_number(rest + 2, 65535, &port))
		return error_set(err, ERROR_CONFIG, "host '%s': write host = '%.*s' and port = %u",
				 host, (int)len, host + 1, (unsigned)port);
	return error_set(err, ERROR_CONFIG,
			 "host '%s': write the IP address without brackets: '%.*s'", host, (int)len,
			 host + 1);
}

static bool is_host_char(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' || c == '.';
}

int host_check(const char *host, struct error *err)
{
	if (host == NULL || *host == '\0')
		return error_set(err, ERROR_CONFIG, "no host: write it like 'imap.example.org'");
	if (*host == '[')
		return refuse_brackets(host, err);
	if (host_is_literal(host))
		return 0;
	if (!is_ascii(host, strlen(host)))
		return refuse_non_ascii(host, err);
	if (strlen(host) > HOST_MAX + (host[strlen(host) - 1] == '.'))
		return error_set(err, ERROR_CONFIG, "host has more than %d characters", HOST_MAX);
	for (const char *p = host; *p != '\0'; p++) {
		if (!is_host_char(*p))
			return refuse_colon(host, err);
	}
	return 0;
}
