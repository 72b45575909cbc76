/* Names of things as the command line, the JSON and people see them. (Those of changes and problems
 * are declared in sync.h.) */
#ifndef MAILTWIN_SYNC_WORDS_H
#define MAILTWIN_SYNC_WORDS_H

#include "base/error.h"
#include "core/record.h"
#include "sync/sync.h"

const char *special_use_name(enum special_use special);     /* "\Trash"; NULL for none */
enum problem_kind problem_kind_of(const struct error *err); /* of an account that stopped */

#endif
