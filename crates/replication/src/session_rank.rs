//! Which of several sessions of one Region is heard: the one of the newest leader, and of those the newest session.

use std::sync::Mutex;

use tokio_util::sync::CancellationToken;

/// The session of another Region that is heard at this node.
#[derive(Debug, Default)]
pub(crate) struct SessionRank(Mutex<Option<Heard>>);

#[derive(Debug)]
struct Heard {
    term: u64,
    superseded: CancellationToken,
}

impl SessionRank {
    /// Makes a session of the leader of `term` the one that is heard and ends the former; `None` if a leader of a higher
    /// term is being heard. The session ends when the token is cancelled.
    pub(crate) fn take_over(&self, term: u64) -> Option<CancellationToken> {
        let mut heard = self.0.lock().expect("nothing panics while it holds the lock");
        if heard.as_ref().is_some_and(|heard| !heard.superseded.is_cancelled() && heard.term > term) {
            return None;
        }
        let superseded = CancellationToken::new();
        if let Some(former) = heard.replace(Heard { term, superseded: superseded.clone() }) {
            former.superseded.cancel();
        }
        Some(superseded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_leader_is_heard_and_an_older_one_only_after_it_is_gone() {
        let rank = SessionRank::default();
        let first = rank.take_over(3).expect("nobody else");
        let again = rank.take_over(3).expect("the same leader once more");
        assert!(first.is_cancelled() && !again.is_cancelled());
        assert!(rank.take_over(2).is_none());
        let newer = rank.take_over(4).expect("a newer leader");
        assert!(again.is_cancelled());
        newer.cancel(); // as a session does when it ends
        assert!(rank.take_over(1).is_some());
    }
}
