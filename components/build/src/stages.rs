//! All stages of a build, side by side: each is built once, when somebody asks for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_util::StreamExt;
use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::FuturesUnordered;
use steprun_ports::{Failure, Host};

use crate::cache::Cache;
use crate::job::Job;
use crate::stage::{self, Stage};

/// How far a stage is.
enum Slot<H: Host> {
    /// Nobody asked for it.
    Idle,
    /// It is being built, or about to be; these wait for it.
    Wanted(Vec<Waker>),
    Done(Rc<Stage<H>>),
}

/// The stages of all platforms. One that waits for another is woken when that is done, and does not drive it: however long a chain of
/// stages is, each is polled from the top, so that the stack stays small.
pub(crate) struct Stages<H: Host> {
    /// One a platform.
    jobs: Vec<Rc<Job<H>>>,
    /// By index of a stage: whether it is the same for all platforms, so that it is built once, for the first.
    shared: Vec<bool>,
    /// Of the first platform, then those of the others.
    slots: RefCell<Vec<Slot<H>>>,
    /// Wanted ones that aren't under way yet.
    queue: RefCell<Vec<usize>>,
    /// By index of a stage: whether its layers are part of the image.
    in_image: Vec<bool>,
    /// What was given to be done besides.
    later: RefCell<Vec<LocalBoxFuture<'static, Result<(), Failure>>>>,
    pub(crate) cache: Rc<Cache<H>>,
    /// Where nothing is to be done: which results are in the cache.
    looks: Option<RefCell<Looks>>,
}

/// Whether the result of an instruction is in the cache, by the numbers of job, stage and instruction.
pub(crate) type Looks = BTreeMap<(usize, usize, usize), bool>;

impl<H: Host + 'static> Stages<H> {
    /// Nothing is done before [`Stages::build`].
    pub(crate) fn new(jobs: Vec<Rc<Job<H>>>, shared: Vec<bool>, in_image: Vec<bool>, cache: Rc<Cache<H>>) -> Rc<Self> {
        Rc::new(Self::idle(jobs, shared, in_image, cache))
    }

    fn idle(jobs: Vec<Rc<Job<H>>>, shared: Vec<bool>, in_image: Vec<bool>, cache: Rc<Cache<H>>) -> Self {
        let slots = jobs.iter().flat_map(|_| &shared).map(|_| Slot::Idle).collect();
        let (queue, later) = (RefCell::default(), RefCell::default());
        Self { jobs, shared, slots: RefCell::new(slots), queue, in_image, later, cache, looks: None }
    }

    /// Looks for the results of all instructions of some stages, and does nothing. What can't be told without doing something is left out.
    pub(crate) async fn look(
        jobs: &[Rc<Job<H>>],
        shared: Vec<bool>,
        cache: Rc<Cache<H>>,
        needed: &[Vec<usize>],
    ) -> Looks {
        let in_image = vec![false; shared.len()];
        let idle = Self::idle(jobs.to_vec(), shared, in_image, cache);
        let stages = Rc::new(Self { looks: Some(RefCell::default()), ..idle });
        // Why a stage can't be built is for the build to say.
        let _ = stages.build(needed).await;
        stages.looks.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// Whether nothing is to be done.
    pub(crate) fn only_looks(&self) -> bool {
        self.looks.is_some()
    }

    /// Notes that an instruction's result is in the cache, or that it isn't, where that is all that is wanted.
    pub(crate) fn note(&self, place: Option<(usize, usize, usize)>, is_there: bool) -> bool {
        if let (Some(looks), Some(place)) = (&self.looks, place) {
            looks.borrow_mut().insert(place, is_there);
        }
        self.only_looks()
    }

    /// Whether a stage's layers are part of the image.
    pub(crate) fn in_image(&self, stage: usize) -> bool {
        self.in_image[stage]
    }

    /// Does something beside the stages: layers are packed and pushed while the next instructions run. Its failure is the build's; where
    /// the build fails for another reason, it is done all the same.
    pub(crate) fn later(&self, work: impl Future<Output = Result<(), Failure>> + 'static) {
        self.later.borrow_mut().push(work.boxed_local());
    }

    /// Where a stage of a job is.
    fn slot(&self, job: usize, stage: usize) -> usize {
        if self.shared[stage] { stage } else { job * self.shared.len() + stage }
    }

    /// A stage of a job, as soon as it is built. It is begun if nobody asked for it before. A stage that fails is never there: its
    /// failure ends [`Stages::build`], and all that wait with it.
    pub(crate) fn get(&self, job: usize, stage: usize) -> impl Future<Output = Rc<Stage<H>>> + '_ {
        let slot = self.slot(job, stage);
        poll_fn(move |context| self.poll(slot, context))
    }

    /// How progress names a stage: with its platform, where it is built for several.
    pub(crate) fn label(&self, job: &Job<H>, stage: usize) -> String {
        let name = job.stage_name(stage);
        if self.is_for_each(stage) { format!("{} {name}", job.platforms.target) } else { name }
    }

    fn is_for_each(&self, stage: usize) -> bool {
        self.jobs.len() > 1 && !self.shared[stage]
    }

    fn poll(&self, index: usize, context: &Context<'_>) -> Poll<Rc<Stage<H>>> {
        self.want(index);
        match &mut self.slots.borrow_mut()[index] {
            Slot::Done(stage) => return Poll::Ready(stage.clone()),
            Slot::Wanted(wakers) if !wakers.iter().any(|waker| waker.will_wake(context.waker())) => {
                wakers.push(context.waker().clone());
            }
            Slot::Wanted(_) | Slot::Idle => {}
        }
        Poll::Pending
    }

    fn want(&self, index: usize) {
        let slot = &mut self.slots.borrow_mut()[index];
        if matches!(slot, Slot::Idle) {
            *slot = Slot::Wanted(Vec::new());
            self.queue.borrow_mut().push(index);
        }
    }

    /// Builds some stages of each job and all that they ask for.
    ///
    /// # Errors
    /// The first failure; the other stages are given up.
    pub(crate) async fn build(self: &Rc<Self>, needed: &[Vec<usize>]) -> Result<(), Failure> {
        for (job, stages) in needed.iter().enumerate() {
            stages.iter().for_each(|&stage| self.want(self.slot(job, stage)));
        }
        let mut running = FuturesUnordered::new();
        let mut beside = FuturesUnordered::new();
        let built = poll_fn(|context| {
            loop {
                running.extend(self.queue.take().into_iter().map(|index| self.clone().build_one(index)));
                beside.extend(self.later.take());
                let stage = running.poll_next_unpin(context);
                let work = beside.poll_next_unpin(context);
                match (stage, work) {
                    (Poll::Ready(Some(Err(failure))), _) | (_, Poll::Ready(Some(Err(failure)))) => {
                        return Poll::Ready(Err(failure));
                    }
                    (Poll::Ready(Some(Ok(()))), _) | (_, Poll::Ready(Some(Ok(())))) => {}
                    // What was polled may have asked for more.
                    _ if !self.queue.borrow().is_empty() || !self.later.borrow().is_empty() => {}
                    (Poll::Ready(None), Poll::Ready(None)) => return Poll::Ready(Ok(())),
                    _ => return Poll::Pending,
                }
            }
        })
        .await;
        if built.is_err() {
            // What the stages have done so far is not lost: the next build finds it in the cache.
            while beside.next().await.is_some() {}
        }
        built
    }

    async fn build_one(self: Rc<Self>, index: usize) -> Result<(), Failure> {
        let job = &self.jobs[index / self.shared.len()];
        let number = index % self.shared.len();
        let built = stage::build(job, number, &self).await;
        let stage = built.map_err(|mut failure| {
            if self.is_for_each(number) {
                failure.message = format!("{} (for {})", failure.message, job.platforms.target);
            }
            failure
        })?;
        let before = std::mem::replace(&mut self.slots.borrow_mut()[index], Slot::Done(Rc::new(stage)));
        if let Slot::Wanted(wakers) = before {
            wakers.into_iter().for_each(Waker::wake);
        }
        Ok(())
    }
}
