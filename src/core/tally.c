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

void tally_add(struct tally *tally, const struct tally *other)
{
	tally->messages += other->messages;
	tally->unread += other->unread;
	tally->marked += other->marked;
	tally->doubted += other->doubted;
	tally->held += other->held;
	tally->skipped += other->skipped;
	tally->unfetched += other->unfetched;
	tally->arriving += other->arriving;
}

void tally_subtract(struct tally *tally, const struct tally *other)
{
	tally->messages -= other->messages;
	tally->unread -= other->unread;
	tally->marked -= other->marked;
	tally->doubted -= other->doubted;
	tally->held -= other->held;
	tally->skipped -= other->skipped;
	tally->unfetched -= other->unfetched;
	tally->arriving -= other->arriving;
}
