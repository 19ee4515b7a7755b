use std::sync::{Arc, Weak};

use crate::hub::channel::{Channel, Loaded};
use crate::hub::core::Shared;
use crate::hub::stats::add;

/// Reads what the mirror of a channel lacks, until it has everything that was delivered meanwhile.
/// Of one channel this runs once at a time.
pub(super) async fn catch_up(shared: Weak<Shared>, channel: Arc<Channel>) {
    loop {
        let Some((after, read)) = shared.upgrade().and_then(|shared| {
            let backplane = shared.backplane.as_ref()?;
            add(&shared.counters.catch_ups, 1);
            let after = channel.read_after();
            Some((after, backplane.read(channel.name(), after)))
        }) else {
            return;
        };
        // The hub is not kept alive by waiting.
        let page = read.await;
        let Some(shared) = shared.upgrade() else { return };
        let Some(backplane) = &shared.backplane else { return };
        let page = match page {
            Ok(page) => page,
            Err(reason) => return shared.fail_to_read(&channel, &reason),
        };
        shared.unread.remove(channel.name());
        let (now, unix_millis) = (shared.now(), shared.clock.unix_millis());
        let loaded = channel.load(after, page, &shared.patterns, now, unix_millis);
        shared.keep_to_budget();
        match loaded {
            Loaded::Done => return,
            Loaded::More => {}
            Loaded::Unsure => return shared.leave_unread(&channel),
            Loaded::Forked(epoch) => {
                let renew = backplane.renew(channel.name(), epoch);
                if let Err(reason) = renew.await {
                    return shared.fail_to_read(&channel, &reason);
                }
            }
        }
    }
}
