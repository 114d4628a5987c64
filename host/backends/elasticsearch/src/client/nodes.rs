//! Which node is asked: in turn, and not one that did not answer a moment ago.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use elasticsearch::http::transport::Transport;

/// How long a node that has answered is taken to be there.
const KNOWN: Duration = Duration::from_secs(30);

/// How long a node is left alone after it did not answer; twice as long each time.
const SHUNNED: Duration = Duration::from_secs(2);
const SHUNNED_MAX: Duration = Duration::from_secs(60);

/// A node and how it was last.
#[derive(Debug)]
pub(super) struct Node {
    /// For people: `es.example.com:9200`.
    pub place: String,
    pub transport: Transport,
    health: Mutex<Health>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Health {
    answered: Option<Instant>,
    /// Not asked before, and how often it has not answered in a row.
    shunned: Option<(Instant, u32)>,
}

impl Node {
    pub fn new(place: String, transport: Transport) -> Self {
        Node {
            place,
            transport,
            health: Mutex::default(),
        }
    }

    fn health(&self) -> Health {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it answered lately.
    pub fn is_known(&self) -> bool {
        self.health()
            .answered
            .is_some_and(|at| at.elapsed() < KNOWN)
    }

    /// It answered, whatever it said.
    pub fn answered(&self) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = Health {
            answered: Some(Instant::now()),
            shunned: None,
        };
    }

    /// It did not answer.
    pub fn failed(&self) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let times = health
            .shunned
            .map_or(0, |(_, times)| times)
            .saturating_add(1);
        let pause = SHUNNED
            .saturating_mul(1 << (times - 1).min(8))
            .min(SHUNNED_MAX);
        *health = Health {
            answered: None,
            shunned: Some((Instant::now() + pause, times)),
        };
    }
}

/// The nodes of a cluster, as the job names them.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    next: AtomicUsize,
}

impl Nodes {
    pub fn new(nodes: Vec<Node>) -> Self {
        Nodes {
            nodes,
            next: AtomicUsize::new(0),
        }
    }

    /// Their places, for people.
    pub fn places(&self) -> Vec<&str> {
        self.nodes.iter().map(|node| node.place.as_str()).collect()
    }

    /// All of them, in the order in which they are to be tried: in turn those that may answer, then
    /// those that did not, the one that is longest ago first.
    pub fn in_turn(&self) -> Vec<&Node> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.nodes.len();
        let turned = (0..count).map(|at| &self.nodes[(first.wrapping_add(at)) % count]);
        let now = Instant::now();
        let (mut ready, mut shunned): (Vec<&Node>, Vec<&Node>) =
            turned.partition(|node| node.health().shunned.is_none_or(|(until, _)| until <= now));
        shunned.sort_by_key(|node| node.health().shunned.map(|(until, _)| until));
        ready.append(&mut shunned);
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(nodes: &Nodes) -> Vec<String> {
        nodes
            .in_turn()
            .iter()
            .map(|node| node.place.clone())
            .collect()
    }

    #[test]
    fn nodes_take_turns_and_those_that_do_not_answer_come_last() {
        let node = |place: &str| {
            Node::new(
                place.to_owned(),
                Transport::single_node("http://127.0.0.1:1").unwrap(),
            )
        };
        let nodes = Nodes::new(vec![node("a"), node("b"), node("c")]);
        assert_eq!(order(&nodes), ["a", "b", "c"]);
        assert_eq!(order(&nodes), ["b", "c", "a"]);
        nodes.nodes[2].failed();
        nodes.nodes[0].failed();
        assert_eq!(
            order(&nodes),
            ["b", "c", "a"],
            "the first to have failed is the first to be tried"
        );
        nodes.nodes[2].answered();
        assert_eq!(order(&nodes), ["b", "c", "a"]);
        assert!(nodes.nodes[2].is_known() && !nodes.nodes[0].is_known());
    }
}
