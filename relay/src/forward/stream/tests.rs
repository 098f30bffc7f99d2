//! What the stream promises: every node gets every batch of its sets once and in order, whatever the pace.

use proptest::prelude::*;

use super::*;

fn batch(number: u64) -> Arc<LineBatch> {
    Arc::new(LineBatch::from_bytes(format!("name{number:05} 1 1\n").into_bytes()))
}

/// A stream whose log is a list, and the sets of two and of one node.
struct Rig {
    stream: Stream,
    nodes: [NodeId; 2],
    log: Vec<(Position, Vec<NodeId>, Arc<LineBatch>)>,
    got: [Vec<String>; 2],
}

impl Rig {
    fn new(has_log: bool) -> Self {
        let mut stream = Stream::new(Position(10), has_log);
        let nodes = [stream.add(Position(10), None), stream.add(Position(10), None)];
        Self { stream, nodes, log: Vec::new(), got: Default::default() }
    }

    fn push(&mut self, at: u64, nodes: &[NodeId]) {
        let (number, set) = (self.log.len() as u64, Arc::from(nodes));
        assert!(self.stream.push(Position(at), &set, &batch(number)).is_empty());
        self.log.push((Position(at), nodes.to_vec(), batch(number)));
    }

    /// Lets a node have what there is up to `visible`, from memory or log; false if nothing was new.
    fn pull(&mut self, which: usize, visible: u64) -> bool {
        let (node, visible) = (self.nodes[which], Position(visible));
        match self.stream.next(node, visible) {
            Next::Taken(taken) => {
                let texts = taken.batches.iter().map(|batch| text(batch));
                self.got[which].extend(texts);
                self.stream.delivered(node, taken.lines, taken.bytes);
                true
            }
            Next::FromLog(after, _) => {
                let up_to = visible.max(after);
                let own = self
                    .log
                    .iter()
                    .filter(|(at, nodes, _)| *at > after && *at <= up_to && nodes.contains(&node));
                let own: Vec<Arc<LineBatch>> = own.map(|(.., batch)| Arc::clone(batch)).collect();
                for batch in own {
                    self.got[which].push(text(&batch));
                    self.stream.delivered(node, batch.lines(), batch.as_bytes().len());
                }
                self.stream.sent_from_log(node, up_to, true);
                up_to > after
            }
            Next::Nothing(_) => false,
        }
    }

    fn expected(&self, which: usize) -> Vec<String> {
        let own = self.log.iter().filter(|(_, nodes, _)| nodes.contains(&self.nodes[which]));
        own.map(|(.., batch)| text(batch)).collect()
    }
}

fn text(batch: &LineBatch) -> String {
    String::from_utf8_lossy(batch.as_bytes()).into_owned()
}

#[test]
fn memory_is_freed_when_the_last_node_of_a_set_has_been_sent_a_batch() {
    let mut rig = Rig::new(true);
    rig.push(11, &[rig.nodes[0], rig.nodes[1]]);
    rig.push(12, &[rig.nodes[0]]);
    assert!(rig.pull(0, 12) && rig.stream.bytes() > 0);
    assert!(rig.pull(1, 12));
    assert_eq!((rig.stream.bytes(), rig.stream.entries.len()), (0, 0));
    assert_eq!((rig.got[0].len(), rig.got[1].len()), (2, 1));
    assert!(!rig.pull(0, 12));
}

#[test]
fn without_a_log_memory_keeps_what_may_be_wanted_again() {
    let mut rig = Rig::new(false);
    rig.push(11, &[rig.nodes[0]]);
    rig.push(12, &[rig.nodes[0]]);
    assert!(rig.pull(0, 12));
    rig.stream.done(rig.nodes[0], Position(11));
    rig.stream.rewind(rig.nodes[0]);
    rig.stream.waiting(rig.nodes[0], 1, 1);
    assert!(rig.pull(0, 12));
    assert_eq!(rig.got[0].len(), 3, "the second one twice");
    assert!(!rig.stream.entries.is_empty());
    rig.stream.done(rig.nodes[0], Position(12));
    assert!(rig.stream.entries.is_empty());
}

#[test]
fn a_node_that_memory_lets_go_of_goes_on_from_the_log_and_comes_back() {
    let mut rig = Rig::new(true);
    for at in 11..111 {
        rig.push(at, &[rig.nodes[0], rig.nodes[1]]);
        rig.pull(0, at);
    }
    let held = rig.stream.bytes();
    rig.stream.detach_laggards(held / 2);
    assert_eq!(rig.stream.bytes(), 0, "only the laggard held memory");
    assert!(
        matches!(rig.stream.next(rig.nodes[1], Position(110)), Next::FromLog(at, None) if at == Position(10))
    );
    while rig.pull(1, 110) {}
    rig.push(111, &[rig.nodes[1]]);
    assert!(rig.stream.bytes() > 0, "memory is for it again");
    assert!(rig.pull(1, 111));
    assert_eq!(rig.got[1], rig.expected(1));
    assert_eq!(rig.stream.backlog(rig.nodes[1]), Backlog::default());
}

#[test]
fn a_node_for_which_no_more_is_kept_gets_what_was_kept_and_then_what_is_new() {
    let mut rig = Rig::new(true);
    rig.push(11, &[rig.nodes[0]]);
    rig.stream.keep_until_now(rig.nodes[0]);
    let set = Arc::from(&rig.nodes[..1]);
    assert_eq!(rig.stream.push(Position(12), &set, &batch(7)), [rig.nodes[0]]);
    assert!(rig.pull(0, 12));
    assert!(rig.stream.place(rig.nodes[0]).unwrap().kept_until.is_none());
    rig.push(13, &[rig.nodes[0]]);
    while rig.pull(0, 13) {}
    assert_eq!(rig.got[0], rig.expected(0));
}

#[test]
fn what_comes_late_to_a_position_that_a_node_has_passed_is_told_as_refused() {
    let mut rig = Rig::new(true);
    rig.push(11, &[rig.nodes[0]]);
    rig.stream.keep_until_now(rig.nodes[0]);
    let set = Arc::from(&rig.nodes[..1]);
    assert_eq!(rig.stream.push(Position(12), &set, &batch(7)), [rig.nodes[0]]);
    // It has all that was kept while position 12 is still open.
    assert!(rig.pull(0, 11));
    assert_eq!(rig.stream.push(Position(12), &set, &batch(8)), [rig.nodes[0]]);
    assert_eq!(rig.stream.backlog(rig.nodes[0]), Backlog::default());
    rig.push(13, &[rig.nodes[0]]);
    while rig.pull(0, 13) {}
    assert_eq!(rig.got[0], rig.expected(0));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A new position, or one more batch at the last; for the first node, the second, or both.
    Push(bool, u8),
    Pull(bool),
    Detach,
    Reconnect(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 0..3_u8).prop_map(|(new, nodes)| Step::Push(new, nodes)),
        4 => any::<bool>().prop_map(Step::Pull),
        1 => Just(Step::Detach),
        1 => any::<bool>().prop_map(Step::Reconnect),
    ]
}

proptest! {
    /// A node is only handed positions that are closed, as the log's frames are when they are taken.
    #[test]
    fn every_node_gets_every_batch_once_and_in_order(steps in proptest::collection::vec(step(), 0..80)) {
        let mut rig = Rig::new(true);
        let mut open = 11;
        for step in steps {
            match step {
                Step::Push(new, nodes) => {
                    open += u64::from(new);
                    let nodes = [&rig.nodes[..1], &rig.nodes[1..], &rig.nodes[..]][usize::from(nodes)].to_vec();
                    rig.push(open, &nodes);
                }
                Step::Pull(which) => {
                    rig.pull(usize::from(which), open - 1);
                }
                Step::Detach => rig.stream.detach_laggards(0),
                Step::Reconnect(which) => {
                    let node = rig.nodes[usize::from(which)];
                    let sent = rig.stream.place(node).unwrap().sent;
                    rig.stream.done(node, sent);
                    rig.stream.rewind(node);
                }
            }
        }
        for which in 0..2 {
            while rig.pull(which, open) {}
            prop_assert_eq!(&rig.got[which], &rig.expected(which));
            prop_assert_eq!(rig.stream.backlog(rig.nodes[which]), Backlog::default());
        }
        rig.stream.detach_laggards(0);
        prop_assert_eq!((rig.stream.bytes(), rig.stream.entries.len()), (0, 0));
    }
}
