//! `outbox:` changes that are committed and not yet announced.

use settings::Reader;

use crate::reconciler::ReconcilerOptions;

pub(super) fn read(reader: &mut Reader) -> ReconcilerOptions {
    ReconcilerOptions {
        max_rows: reader.number("outbox.max_rows"),
        announce_again: reader.seconds("outbox.announce_again_seconds"),
        repeat_updates: reader.seconds("outbox.repeat_updates_seconds"),
    }
}
