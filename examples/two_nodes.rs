//! Two hubs and one Redis: what is published on one of them arrives at the subscribers of both, and a
//! client goes on at the other one when its own is gone.
//!
//! ```sh
//! redis-server --port 6379 &
//! cargo run --example two_nodes --features redis
//! ```

use std::env;
use std::error::Error;

use lithe::hub::backplane::Redis;
use lithe::hub::{ChannelName, Hub, Item, Subscription};

/// In earnest, each is in a process of its own, on a machine of its own.
fn node(url: &str) -> Result<Hub, Box<dyn Error>> {
    let redis = Redis::builder(url).prefix("two_nodes").start()?;
    Ok(Hub::builder().backplane(redis).build())
}

/// Prints what there is up to a publication with that data.
async fn read(node: &str, subscription: &mut Subscription, last: &str) {
    while let Some(item) = subscription.next().await {
        match item {
            Item::Publication(publication) => {
                let data = String::from_utf8_lossy(publication.data());
                println!("{node}: {data} at {}", publication.position());
                if data == last {
                    return;
                }
            }
            Item::Subscribed(subscribed) if subscribed.was_recovering => {
                println!("{node}: back, and all was kept: {}", subscribed.recovered);
            }
            Item::Gap(gap) => println!("{node}: something was missed: {}", gap.reason.as_str()),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let channel: ChannelName = "news".parse()?;
    let (first, second) = (node(&url)?, node(&url)?);

    let mut here = first.subscribe([channel.clone()])?;
    let mut there = second.subscribe([channel.clone()])?;
    for subscription in [&mut here, &mut there] {
        // That is `Item::Subscribed`: from here on publications follow.
        subscription.next().await;
    }
    first.publish(&channel, "hello from the first").await?;
    second.publish(&channel, "hello from the second").await?;
    read("first", &mut here, "hello from the second").await;
    read("second", &mut there, "hello from the second").await;

    // The first node goes away, and with it all that it had. A client keeps nothing but its cursor.
    let cursor = here.cursor().map(|cursor| cursor.to_string()).unwrap_or_default();
    drop(here);
    drop(first);
    second.publish(&channel, "published meanwhile").await?;
    let mut back = second.subscriber();
    back.resume([channel.clone()], &cursor)?;
    read("second", &mut back, "published meanwhile").await;
    Ok(())
}
