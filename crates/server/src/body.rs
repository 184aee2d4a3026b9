//! Reading a request's body within bounds of length, time and memory.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::limits::{BODY_BYTES_SMALL, Limits};

/// A whole body, and its place among the large ones if it is one.
pub(crate) struct Body<'a> {
    pub(crate) bytes: Bytes,
    _place: Option<SemaphorePermit<'a>>,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is, or claims to be, longer than allowed.
    TooLong,
    /// It did not come in time.
    TooSlow,
    /// The connection ended, or the framing is wrong.
    Broken,
}

/// Reads `body`.
pub(crate) async fn read<'a>(mut body: Incoming, limits: &Limits, large: &'a Semaphore) -> Result<Body<'a>, BodyError> {
    let reading = async {
        let declared = body.size_hint().lower();
        let read = if declared > limits.body_bytes_max as u64 {
            Err(BodyError::TooLong)
        } else {
            collect(&mut body, limits.body_bytes_max, large).await
        };
        if matches!(read, Err(BodyError::TooLong)) {
            discard(&mut body).await;
        }
        read
    };
    timeout(limits.body_time_max, reading).await.unwrap_or(Err(BodyError::TooSlow))
}

/// Reads a body that nobody wants, within the same bounds of time.
pub(crate) async fn pass_over(mut body: Incoming, limits: &Limits) {
    let _ = timeout(limits.body_time_max, discard(&mut body)).await;
}

/// Reads on for a while: a connection that is closed with bytes unread is reset, and the client never sees the answer.
async fn discard(body: &mut Incoming) {
    let mut room = DISCARDED_BYTES_MAX;
    while let Ok(Some(bytes)) = next(body).await {
        let Some(rest) = room.checked_sub(bytes.len()) else { return };
        room = rest;
    }
}

async fn collect<'a>(body: &mut Incoming, bytes_max: usize, large: &'a Semaphore) -> Result<Body<'a>, BodyError> {
    let Some(first) = next(body).await? else { return Ok(Body { bytes: Bytes::new(), _place: None }) };
    if body.is_end_stream() && first.len() <= bytes_max {
        return Ok(Body { bytes: first, _place: None }); // nearly always: it came with the head
    }
    let mut place = None;
    let mut all = Vec::with_capacity(first.len() * 2);
    let mut piece = Some(first);
    while let Some(bytes) = piece {
        let length = all.len() + bytes.len();
        if length > bytes_max {
            return Err(BodyError::TooLong);
        }
        if length > BODY_BYTES_SMALL && place.is_none() {
            place = Some(large.acquire().await.expect("the semaphore is never closed"));
        }
        all.extend_from_slice(&bytes);
        piece = next(body).await?;
    }
    Ok(Body { bytes: all.into(), _place: place })
}

/// The next piece of data; trailers are not for us.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

const DISCARDED_BYTES_MAX: usize = 8 << 20;
