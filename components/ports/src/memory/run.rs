//! A tiny executor.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

thread_local! {
    /// How often [`block_on`] has polled on this thread.
    static TURN: Cell<u64> = const { Cell::new(0) };
    /// What waits for the next turn.
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs a future of this module to its end on this thread.
///
/// # Panics
/// If the future waits for something that nothing will bring, where another executor would hang.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = flag.clone().into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        TURN.set(TURN.get().wrapping_add(1));
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        WAITING.take().into_iter().for_each(Waker::wake);
        assert!(flag.0.swap(false, Ordering::SeqCst), "the future waits for nothing");
    }
}

/// Lets all other futures of the same task run once, as a call of a real host does: nothing comes of it before the executor's next
/// turn, however often it is polled until then.
pub(super) async fn yield_now() {
    let begun = TURN.get();
    std::future::poll_fn(|context| {
        if TURN.get() != begun {
            return Poll::Ready(());
        }
        WAITING.with_borrow_mut(|waiting| waiting.push(context.waker().clone()));
        Poll::Pending
    })
    .await;
}
