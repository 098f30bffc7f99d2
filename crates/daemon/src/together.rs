//! Several futures at once, within the task that waits for them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// What all of them come to, in their order. It costs no task of its own, and to drop it ends them. Whenever one of them
/// can go on, all that are left are asked: it is for few.
pub async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut places: Vec<usize> = (0..waiting.len()).collect();
    let mut done: Vec<Option<F::Output>> = places.iter().map(|_| None).collect();
    poll_fn(|task| {
        let mut at = 0;
        while at < waiting.len() {
            match waiting[at].as_mut().poll(task) {
                Poll::Pending => at += 1,
                Poll::Ready(output) => {
                    drop(waiting.swap_remove(at));
                    done[places.swap_remove(at)] = Some(output);
                }
            }
        }
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn all_go_on_at_once_and_come_in_their_order() {
        let (first, second) = (oneshot::channel(), oneshot::channel());
        let (told_first, told_second) = (first.0, second.0);
        let one = async move {
            told_second.send(2).unwrap();
            first.1.await.unwrap()
        };
        let two = async move {
            let heard = second.1.await.unwrap();
            told_first.send(1).unwrap();
            heard
        };
        let both: [Pin<Box<dyn Future<Output = i32>>>; 2] = [Box::pin(one), Box::pin(two)];
        assert_eq!(together(both).await, [1, 2]);
        let none = std::iter::empty::<std::future::Ready<i32>>();
        assert!(together(none).await.is_empty());
    }
}
