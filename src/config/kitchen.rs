//! `kitchen:` cooking times, a worker's waits, and a station's times.

use std::time::Duration;

use settings::Reader;

use crate::domain::CookTimes;
use crate::services::kitchen::{KitchenTimes, StationTimes};

pub(super) fn read(reader: &mut Reader) -> KitchenTimes {
    KitchenTimes {
        cook: CookTimes {
            dine_in: reader.seconds("kitchen.cook_seconds.dine_in"),
            takeout: reader.seconds("kitchen.cook_seconds.takeout"),
            delivery: reader.seconds("kitchen.cook_seconds.delivery"),
        },
        stop_timeout: reader.seconds("kitchen.stop_seconds"),
        grace: reader.seconds("kitchen.grace_seconds"),
        promote_after: reader.seconds("kitchen.promote_after_seconds"),
    }
}

pub(super) fn read_station(reader: &mut Reader) -> StationTimes {
    let mut minutes = |key: &str| Duration::from_mins(reader.number(key));
    StationTimes {
        target: CookTimes {
            dine_in: minutes("kitchen.target_minutes.dine_in"),
            takeout: minutes("kitchen.target_minutes.takeout"),
            delivery: minutes("kitchen.target_minutes.delivery"),
        },
        bump_undo: reader.seconds("kitchen.bump_undo_seconds"),
        warn: reader.decimal("kitchen.late.warn"),
        late: reader.decimal("kitchen.late.late"),
    }
}
