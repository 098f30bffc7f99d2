//! Equal requests at the same time: one of them reads, and the others wait for it and take what it
//! has read from the cache.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// What is being read just now, by the key of its reply, and how to wait for the end of it.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, watch::Receiver<()>>>);

/// Held by the one that reads; letting go of it, however that comes about, wakes the others.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    key: String,
    _ends: watch::Sender<()>,
}

impl Turns {
    /// The turn to read for this key; none, once it is over, for who came while another had it.
    pub(crate) async fn take(self: &Arc<Self>, key: &str) -> Option<Turn> {
        let mut others = match self.0.lock().entry(key.to_owned()) {
            Entry::Occupied(turn) => turn.get().clone(),
            Entry::Vacant(place) => {
                let (ends, receiver) = watch::channel(());
                place.insert(receiver);
                return Some(Turn { turns: Arc::clone(self), key: key.to_owned(), _ends: ends });
            }
        };
        // Nothing is ever sent: the error says that the turn is over.
        while others.changed().await.is_ok() {}
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_has_the_turn_and_the_others_wait_until_it_is_over() {
        let turns = Arc::new(Turns::default());
        let turn = turns.take("a").await.expect("nobody else asks");
        assert!(turns.take("b").await.is_some(), "another answer is no concern of it");
        let waits = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take("a").await.is_none() }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(turn);
        assert!(waits.await.unwrap());
        assert!(turns.take("a").await.is_some());
    }
}
