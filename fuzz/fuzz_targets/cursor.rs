//! Cursors come from clients: any text is read without a panic, what is a cursor reads again as it
//! is written, and whoever presents it to a hub is told where it stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lithe::hub::{Cursor, Hub, Interest, Item};

fuzz_target!(|text: &str| {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    let hub = Hub::new();
    let interests = ["a", "logs.*"].map(|text| text.parse::<Interest>().expect("an interest"));
    hub.publish_blocking(&"logs.1".parse().expect("a name"), "x").expect("published");
    let mut subscription = hub.subscriber();
    subscription.resume(interests, text).expect("few interests");
    let items: Vec<Item> = std::iter::from_fn(|| subscription.try_next()).collect();
    // It cannot have guessed the epochs of a hub that it has never seen.
    assert!(items.iter().any(|item| matches!(item, Item::Gap(_))));
});
