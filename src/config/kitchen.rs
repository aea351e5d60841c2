//! `kitchen:` cooking times and a worker's waits.

use settings::Reader;

use crate::domain::CookTimes;
use crate::services::kitchen::KitchenTimes;

pub(super) fn read(reader: &mut Reader) -> KitchenTimes {
    KitchenTimes {
        cook: CookTimes {
            dine_in: reader.seconds("kitchen.cook_seconds.dine_in"),
            takeout: reader.seconds("kitchen.cook_seconds.takeout"),
            delivery: reader.seconds("kitchen.cook_seconds.delivery"),
        },
        stop_timeout: reader.seconds("kitchen.stop_seconds"),
        grace: reader.seconds("kitchen.grace_seconds"),
    }
}
