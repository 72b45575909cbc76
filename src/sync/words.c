#include "sync/words.h"

#include <stddef.h>

const char *change_verb_name(enum change_verb verb)
{
	switch (verb) {
	case CHANGE_DOWNLOAD: return "download";
	case CHANGE_UPLOAD: return "upload";
	case CHANGE_MOVE_LOCAL: return "move-local";
	case CHANGE_MOVE_REMOTE: return "move-remote";
	case CHANGE_COPY_REMOTE: return "copy-remote";
	case CHANGE_FLAGS_LOCAL: return "flags-local";
	case CHANGE_FLAGS_REMOTE: return "flags-remote";
	case CHANGE_DELETE_LOCAL: return "delete-local";
	case CHANGE_DELETE_REMOTE: return "delete-remote";
	case CHANGE_FOLDER_CREATE_LOCAL: return "folder-create-local";
	case CHANGE_FOLDER_CREATE_REMOTE: return "folder-create-remote";
	case CHANGE_FOLDER_DELETE_LOCAL: return "folder-delete-local";
	case CHANGE_FOLDER_DELETE_REMOTE: return "folder-delete-remote";
	case CHANGE_FOLDER_RENAME_LOCAL: return "folder-rename-local";
	case CHANGE_FOLDER_RENAME_REMOTE: return "folder-rename-remote";
	case CHANGE_COUNT: break;
	}
	return "unknown";
}

const char *problem_kind_name(enum problem_kind kind)
{
	switch (kind) {
	case PROBLEM_HELD: return "held";
	case PROBLEM_REFUSED: return "refused";
	case PROBLEM_SKIPPED: return "skipped";
	case PROBLEM_PARKED: return "parked";
	case PROBLEM_UNREADABLE: return "unreadable";
	case PROBLEM_NAME: return "name";
	case PROBLEM_FOLDER: return "folder";
	case PROBLEM_NETWORK: return "network";
	case PROBLEM_LOGIN: return "login";
	case PROBLEM_CERTIFICATE: return "certificate";
	case PROBLEM_LOCAL: return "local";
	case PROBLEM_HOOK: return "hook";
	case PROBLEM_COUNT: break;
	}
	return "unknown";
}

const char *special_use_name(enum special_use special)
{
	switch (special) {
	case SPECIAL_NONE: return NULL;
	case SPECIAL_ALL: return "\\All";
	case SPECIAL_ARCHIVE: return "\\Archive";
	case SPECIAL_DRAFTS: return "\\Drafts";
	case SPECIAL_FLAGGED: return "\\Flagged";
	case SPECIAL_IMPORTANT: return "\\Important";
	case SPECIAL_JUNK: return "\\Junk";
	case SPECIAL_SENT: return "\\Sent";
	case SPECIAL_TRASH: return "\\Trash";
	}
	return NULL;
}

enum problem_kind problem_kind_of(const struct error *err)
{
	switch (err->kind) {
	case ERROR_NETWORK:
	case ERROR_SERVER: return PROBLEM_NETWORK;
	case ERROR_LOGIN: return PROBLEM_LOGIN;
	case ERROR_CERTIFICATE: return PROBLEM_CERTIFICATE;
	case ERROR_USAGE: return PROBLEM_FOLDER;
	case ERROR_REFUSED: return PROBLEM_REFUSED;
	case ERROR_STOPPED:
	case ERROR_CHANGED: return PROBLEM_SKIPPED;
	case ERROR_NONE:
	case ERROR_CONFIG:
	case ERROR_LOCAL:
	case ERROR_BUSY:
	case ERROR_NOT_FOUND:
	case ERROR_CORRUPT: return PROBLEM_LOCAL;
	}
	return PROBLEM_LOCAL;
}
