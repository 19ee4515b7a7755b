//! The keys of an authorizer: those that were set, and those in a file that may change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_blocking};
use tracing::{info, warn};

use super::jwks;
use super::{Key, KeyFileError};

/// How often the file is looked at. It is small, and to compare all of it misses no change.
const LOOK_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Keys {
    set: Vec<Key>,
    pub(super) file: Option<PathBuf>,
    /// What was in the file when it was last read.
    text: Mutex<Vec<u8>>,
    all: RwLock<Arc<[Key]>>,
    /// Counts when keys were taken away.
    changed: watch::Sender<u64>,
}

impl Keys {
    pub(super) fn new(set: Vec<Key>, file: Option<PathBuf>) -> Self {
        let all = RwLock::new(set.clone().into());
        Keys { set, file, text: Mutex::default(), all, changed: watch::Sender::new(0) }
    }

    pub(super) fn all(&self) -> Arc<[Key]> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the key with that tag is there. 0 stands for none, which is.
    pub(super) fn has(&self, tag: u64) -> bool {
        tag == 0 || self.all().iter().any(|key| key.tag() == tag)
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn reload(&self) -> Result<bool, KeyFileError> {
        let Some(path) = &self.file else { return Ok(false) };
        let mut last = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let text = jwks::read(path)?;
        if *last == text {
            return Ok(false);
        }
        let found = jwks::parse(&text)?;
        for (place, error) in found.refused {
            warn!(file = %path.display(), place, %error, "a key is left out");
        }
        info!(file = %path.display(), keys = found.keys.len(), "read the file of keys");
        let new: Arc<[Key]> = self.set.iter().cloned().chain(found.keys).collect();
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *all, new);
        drop(all);
        *last = text;
        if old.iter().any(|key| !self.has(key.tag())) {
            self.changed.send_modify(|changes| *changes += 1);
        }
        Ok(true)
    }

    /// Starts to look at the file now and then, if there is a runtime.
    pub(super) fn watch_file(self: &Arc<Self>) -> Option<AbortHandle> {
        let keys = Arc::downgrade(self);
        let look = async move {
            let mut failing = false;
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(keys) = keys.upgrade() else { return };
                let Ok(read) = spawn_blocking(move || keys.reload()).await else { return };
                // Once is enough: a file that cannot be read is tried again for as long as it takes.
                if let (Err(error), false) = (&read, failing) {
                    warn!(%error, "the keys from before stay");
                }
                failing = read.is_err();
            }
        };
        Some(Handle::try_current().ok()?.spawn(look).abort_handle())
    }
}
