/* Text: a growing buffer, and ASCII helpers that no locale can bend (a Turkish locale must
 * not turn INBOX into something else, so strcasecmp, toupper and isalpha are forbidden). */
#ifndef MAILTWIN_BASE_TEXT_H
#define MAILTWIN_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text { /* always terminated once something was added; {0} is an empty one */
	char *data;
	size_t len;
	size_t room;
};

void text_release(struct text *text); /* frees; the buffer is empty and usable again */
void text_clear(struct text *text);   /* keeps the memory */
void text_add(struct text *text, const void *data, size_t len);
void text_puts(struct text *text, const char *string);
void text_putc(struct text *text, char c);
void text_printf(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *text_get(const struct text *text); /* "" when empty; lives until the next change */
char *text_steal(struct text *text);           /* caller frees; the buffer is empty again */

/* For anything printed that came from outside: control characters and bytes that are not
 * UTF-8 become \xNN. */
void text_put_visible(struct text *text, const char *string);

char ascii_lower(char c);
char ascii_upper(char c);
bool ascii_is_alpha(char c);
bool ascii_is_digit(char c);
bool ascii_is_space(char c); /* space, tab, CR, LF */
int ascii_casecmp(const char *a, const char *b);
int ascii_ncasecmp(const char *a, const char *b, size_t len);
bool ascii_case_equal(const char *a, const char *b);
/* Copies what fits into out (size bytes), cut between characters, always terminated. */
void copy_text(char *out, size_t size, const char *string);
bool starts_with(const char *string, const char *prefix);

/* The length of the valid UTF-8 sequence at p (1 to 4), 0 if there is none. */
size_t utf8_sequence(const char *p, size_t len);
bool utf8_valid(const char *p, size_t len);

/* All of the string must be a decimal number from 0 to max. */
bool parse_number(const char *string, uint64_t max, uint64_t *value);

#endif
