//! As many turns as pictures were asked for, side by side. The first failure is everybody's: what else is being drawn
//! is dropped with this, and so interrupted; so is all of it when the client goes away.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{SelectAll, Stream, StreamExt as _, unfold};
use portcullis_agent::{Item, Outcome, Picture, PictureCost, Turn, TurnEvent, TurnRequest};
use portcullis_images::{Measured, SizeMatch, Target, measure, process};
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::images::Studio;
use crate::images::wanted::{SizePolicy, Wanted};

/// A picture that is ready to go out.
pub(crate) struct Drawn {
    pub(crate) bytes: Bytes,
    pub(crate) measured: Measured,
    pub(crate) revised_prompt: Option<String>,
    pub(crate) transparent: Option<bool>,
    pub(crate) cost: Option<PictureCost>,
    /// How its size answers the wish; nothing was wished where absent.
    pub(crate) size: Option<SizeMatch>,
    /// Its size was changed here.
    pub(crate) resized: bool,
}

/// What comes of a drawing.
pub(crate) enum Step {
    /// An earlier state of a picture: the how manyth, from nothing.
    Preview(u64, Box<Drawn>),
    /// The picture of this number.
    Done(usize, Box<Drawn>),
}

/// The steps of one picture.
type Steps = Pin<Box<dyn Stream<Item = Result<Step, ApiError>> + Send>>;

/// Pictures that are being drawn. Dropping it interrupts them all.
pub(crate) struct Drawing {
    steps: SelectAll<Steps>,
    left: usize,
}

impl Drawing {
    /// Begins when it is polled.
    pub(crate) fn new(studio: &Arc<Studio>, wanted: &Arc<Wanted>, turn: &TurnRequest) -> Self {
        let mut steps = SelectAll::new();
        for number in 0..wanted.count {
            let one = One {
                studio: Arc::clone(studio),
                wanted: Arc::clone(wanted),
                number,
                previews: 0,
                state: State::Waiting(Box::new(turn.clone())),
            };
            steps.push(Box::pin(unfold(one, One::step)) as Steps);
        }
        Self { steps, left: wanted.count }
    }

    /// What is next; `None` after the last picture or the first failure.
    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Step, ApiError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let polled = self.steps.poll_next_unpin(cx);
        match &polled {
            Poll::Ready(Some(Ok(Step::Done(..)))) => self.left -= 1,
            Poll::Ready(Some(Err(_)) | None) => {
                // The others stop now, and not when the answer has been written.
                self.left = 0;
                self.steps.clear();
            }
            _ => {}
        }
        polled
    }

    /// Every picture in its order, or the first failure.
    pub(crate) async fn all(mut self, count: usize) -> Result<Vec<Drawn>, ApiError> {
        let mut drawn: Vec<Option<Drawn>> = (0..count).map(|_| None).collect();
        while let Some(step) = std::future::poll_fn(|cx| self.poll_step(cx)).await {
            if let Step::Done(number, picture) = step? {
                drawn[number] = Some(*picture);
            }
        }
        drawn.into_iter().collect::<Option<Vec<_>>>().ok_or_else(ApiError::internal)
    }
}

/// One picture.
struct One {
    studio: Arc<Studio>,
    wanted: Arc<Wanted>,
    number: usize,
    previews: u64,
    state: State,
}

enum State {
    Waiting(Box<TurnRequest>),
    Running(Turn),
    Over,
}

impl One {
    async fn step(mut self) -> Option<(Result<Step, ApiError>, Self)> {
        let result = match self.next().await {
            Ok(step) => Ok(step?),
            Err(error) => {
                self.state = State::Over;
                Err(error)
            }
        };
        Some((result, self))
    }

    async fn next(&mut self) -> Result<Option<Step>, ApiError> {
        let mut turn = match std::mem::replace(&mut self.state, State::Over) {
            State::Waiting(request) => self.studio.agent.start_turn(*request).await?,
            State::Running(turn) => turn,
            State::Over => return Ok(None),
        };
        let mut drawn = None;
        while let Some(event) = turn.next().await {
            match event {
                TurnEvent::Preview(picture) => {
                    let number = self.previews;
                    self.previews += 1;
                    self.state = State::Running(turn);
                    let drawn = finish(&self.studio, &self.wanted, picture).await?;
                    return Ok(Some(Step::Preview(number, Box::new(drawn))));
                }
                TurnEvent::ItemCompleted(Item::Picture(picture)) => drawn = Some(picture),
                TurnEvent::Ended(Outcome::Failed(error)) => return Err(error.into()),
                TurnEvent::Ended(Outcome::Completed | Outcome::Interrupted) => break,
                _ => {}
            }
        }
        // Its place is free while the picture is converted.
        drop(turn);
        let picture = drawn.ok_or_else(|| ApiError::no_picture("The turn ended without a picture."))?;
        let drawn = finish(&self.studio, &self.wanted, picture).await?;
        Ok(Some(Step::Done(self.number, Box::new(drawn))))
    }
}

/// Looks at what came, and makes it what is wanted.
async fn finish(studio: &Studio, wanted: &Wanted, picture: Picture) -> Result<Drawn, ApiError> {
    let Picture { bytes, revised_prompt, transparent, cost, .. } = picture;
    let measured = measure(&bytes)
        .map_err(|fault| ApiError::no_picture(&format!("What came is no picture: {fault}.")))?;
    let size = wanted.size.map(|size| size.compare(measured.width, measured.height));
    if wanted.policy == SizePolicy::Strict && size.is_some_and(|size| size != SizeMatch::Exact) {
        return Err(ApiError::size_not_honoured(measured.width, measured.height));
    }
    let target = Target { format: wanted.format, compression: wanted.compression, fit: wanted.fit() };
    let processed = if target.format == measured.format
        && target.compression.is_none()
        && target.fit.is_none()
    {
        portcullis_images::Processed { bytes, measured, resized: false }
    } else {
        let _place = Semaphore::acquire(&studio.conversions).await.map_err(|_closed| ApiError::internal())?;
        tokio::task::spawn_blocking(move || process(bytes, measured, target))
            .await
            .map_err(|_broke| ApiError::internal())?
            .map_err(|fault| ApiError::no_picture(&format!("The picture can not be converted: {fault}.")))?
    };
    let size = wanted.size.map(|size| size.compare(processed.measured.width, processed.measured.height));
    Ok(Drawn {
        bytes: processed.bytes,
        measured: processed.measured,
        revised_prompt,
        transparent,
        cost,
        size,
        resized: processed.resized,
    })
}
