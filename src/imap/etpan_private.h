/* Functions that libetpan exports without a header. Their prototypes are the same in 1.9.4 and in
 * the development version of 2026; a link that fails is how a change would show. */
#ifndef MAILTWIN_IMAP_ETPAN_PRIVATE_H
#define MAILTWIN_IMAP_ETPAN_PRIVATE_H

#include <libetpan/libetpan.h>
#include <libetpan/mailimap_extension.h>

int mailimap_response_data_parse(mailstream *fd, MMAPString *buffer,
				 struct mailimap_parser_context *parser_ctx, size_t *indx,
				 struct mailimap_response_data **result, size_t progr_rate,
				 progress_function *progr_fun);

#endif
