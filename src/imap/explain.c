/* Why a certificate is refused, in words that say what to do. Names in a certificate are the
 * server's words: they are shown with control characters made visible, and not without end. */
#include "imap/stream_private.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>

#include "base/memory.h"
#include "base/text.h"

#define NAMES_SHOWN 8
#define NAME_LEN_SHOWN 80

void certificate_digest(const X509 *certificate, char text[DIGEST_TEXT_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	text[0] = '\0';
	if (!X509_digest(certificate, EVP_sha256(), digest, &len) || len != DIGEST_SIZE)
		return;
	for (unsigned i = 0; i < len; i++)
		snprintf(text + (size_t)i * 3, 4, "%02X%s", digest[i], i + 1 < len ? ":" : "");
}

static void put_name(struct text *out, const unsigned char *data, int len)
{
	char *name =
		xstrndup((const char *)data, len < NAME_LEN_SHOWN ? (size_t)len : NAME_LEN_SHOWN);

	text_put_visible(out, name);
	free(name);
}

static void put_address(struct text *out, const ASN1_OCTET_STRING *address)
{
	char text[INET6_ADDRSTRLEN] = "?";
	int len = ASN1_STRING_length(address);

	if (len == 4 || len == 16)
		inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text,
			  sizeof(text));
	text_puts(out, text);
}

/* Returns whether it is a name of a host. */
static bool put_general_name(struct text *out, const GENERAL_NAME *name, bool first)
{
	int type;
	const void *value = GENERAL_NAME_get0_value(name, &type);

	if (type != GEN_DNS && type != GEN_IPADD)
		return false;
	if (!first)
		text_puts(out, ", ");
	if (type == GEN_DNS)
		put_name(out, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
	else
		put_address(out, value);
	return true;
}

static void put_common_name(struct text *out, X509_NAME *subject)
{
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *value;

	if (at < 0) {
		text_puts(out, "nobody");
		return;
	}
	value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	put_name(out, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
}

static void put_names(struct text *out, X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int shown = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		if (shown == NAMES_SHOWN) {
			text_puts(out, ", ...");
			break;
		}
		shown += put_general_name(out, sk_GENERAL_NAME_value(names, i), shown == 0);
	}
	GENERAL_NAMES_free(names);
	if (shown == 0)
		put_common_name(out, X509_get_subject_name(certificate));
}

static void put_date(struct text *out, const ASN1_TIME *date)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(date, &tm))
		text_printf(out, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	else
		text_puts(out, "an unreadable date");
}

static void put_untrusted(struct text *out, const struct stream *stream, const X509 *leaf)
{
	char digest[DIGEST_TEXT_SIZE];

	certificate_digest(leaf, digest);
	text_printf(out,
		    "certificate of %s is not signed by a trusted authority (use ca-file or "
		    "fingerprint; its SHA-256 fingerprint is %s)",
		    stream->host, digest);
}

/* "certificate of HOST", or of the authority that signed it. */
static void put_whose(struct text *out, const struct stream *stream, X509_STORE_CTX *ctx)
{
	X509 *certificate = X509_STORE_CTX_get_current_cert(ctx);

	text_puts(out, "certificate of ");
	if (X509_STORE_CTX_get_error_depth(ctx) > 0 && certificate != NULL) {
		put_common_name(out, X509_get_subject_name(certificate));
		text_printf(out, ", the issuer for %s,", stream->host);
	} else {
		text_puts(out, stream->host);
	}
}

static void put_date_problem(struct text *out, const struct stream *stream, X509_STORE_CTX *ctx)
{
	const X509 *certificate = X509_STORE_CTX_get_current_cert(ctx);

	put_whose(out, stream, ctx);
	if (X509_STORE_CTX_get_error(ctx) == X509_V_ERR_CERT_HAS_EXPIRED) {
		text_puts(out, " expired on ");
		put_date(out, X509_get0_notAfter(certificate));
	} else {
		text_puts(out, " is not valid before ");
		put_date(out, X509_get0_notBefore(certificate));
		text_puts(out, " (is the clock right?)");
	}
}

static void put_reason(struct text *out, const struct stream *stream, X509_STORE_CTX *ctx)
{
	int code = X509_STORE_CTX_get_error(ctx);

	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID: put_date_problem(out, stream, ctx); break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		text_puts(out, "certificate is for ");
		put_names(out, X509_STORE_CTX_get0_cert(ctx));
		text_printf(out, " and not for %s", stream->host);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE: /* an authority of the same name */
	case X509_V_ERR_CERT_UNTRUSTED:
		put_untrusted(out, stream, X509_STORE_CTX_get0_cert(ctx));
		break;
	default:
		put_whose(out, stream, ctx);
		text_printf(out, " is refused: %s", X509_verify_cert_error_string(code));
		break;
	}
}

int certificate_explain(struct stream *stream, X509_STORE_CTX *ctx)
{
	struct text out = {0};

	put_reason(&out, stream, ctx);
	stream_fail(stream, ERROR_CERTIFICATE, "%s", text_get(&out));
	text_release(&out);
	return -1;
}
