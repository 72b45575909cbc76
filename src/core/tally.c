#include "core/tally.h"

void tally_record(struct tally *tally, const struct record *record)
{
	switch (record->state) {
	case RECORD_PAIRED:
		tally->messages++;
		tally->unread += (record->local.system & FLAG_SEEN) == 0;
		tally->doubted += record->inode == 0 && record->base[0] != '\0';
		tally->marked += (record->local.system & record->remote.system & FLAG_DELETED) != 0;
		break;
	case RECORD_ARRIVING: tally->arriving++; break;
	case RECORD_SKIPPED: tally->skipped++; break;
	case RECORD_UNFETCHED: tally->unfetched++; break;
	case RECORD_HELD_LOCAL:
	case RECORD_HELD_REMOTE: tally->held++; break;
	case RECORD_KEPT: tally->messages++; break;
	}
}

void tally_add(struct tally *tally, const struct tally *other, int times)
{
	uint32_t by = (uint32_t)times;

	tally->messages += by * other->messages;
	tally->unread += by * other->unread;
	tally->marked += by * other->marked;
	tally->doubted += by * other->doubted;
	tally->held += by * other->held;
	tally->skipped += by * other->skipped;
	tally->unfetched += by * other->unfetched;
	tally->arriving += by * other->arriving;
}
