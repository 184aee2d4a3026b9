//! One request or response of any operation.
//!
//! Always true: a [`Request`] that exists satisfies every constraint of the API model.

use crate::operation::operations;
#[allow(clippy::wildcard_imports)] // all 112 of them
use crate::shapes::*;
use crate::{Operation, ServiceError, wire};

macro_rules! declare {
    ($($name:ident($request:ident, $response:ident): $effect:ident, $answer:ident,)+) => {
        /// The request of any operation.
        #[derive(Debug, PartialEq)]
        #[allow(missing_docs)] // one variant per operation
        pub enum Request { $($name($request)),+ }

        impl Request {
            /// Decodes the body of a request of `operation`.
            ///
            /// Unknown members are ignored, `null` counts as absent, an empty body as `{}`.
            ///
            /// # Errors
            /// `SerializationException` if the body is no JSON object, holds a value of a wrong JSON type, bad base64
            /// or a member twice, or is nested too deeply; `ValidationException`, naming every violation, if a
            /// constraint of the API model is broken. Neither message repeats a secret.
            pub fn decode(operation: Operation, body: &[u8]) -> Result<Self, ServiceError> {
                match operation { $(Operation::$name => wire::decode(body).map(Self::$name)),+ }
            }

            /// The operation that is asked for.
            #[must_use]
            pub const fn operation(&self) -> Operation {
                match self { $(Self::$name(_) => Operation::$name),+ }
            }

            /// The body that a client sends.
            #[must_use]
            pub fn to_json(&self) -> Vec<u8> {
                match self { $(Self::$name(request) => wire::encode(request)),+ }
            }
        }

        /// The response of any operation.
        #[derive(Debug, PartialEq)]
        #[allow(missing_docs)] // one variant per operation
        #[allow(clippy::large_enum_variant)] // lives for one call, and moves once
        pub enum Response { $($name($response)),+ }

        impl Response {
            /// Decodes the body of a successful answer of `operation`, for clients and tests.
            ///
            /// # Errors
            /// As [`Request::decode`].
            pub fn decode(operation: Operation, body: &[u8]) -> Result<Self, ServiceError> {
                match operation { $(Operation::$name => wire::decode(body).map(Self::$name)),+ }
            }

            /// The operation that was answered.
            #[must_use]
            pub const fn operation(&self) -> Operation {
                match self { $(Self::$name(_) => Operation::$name),+ }
            }

            /// The body of the answer; empty for an operation without output.
            #[must_use]
            pub fn to_json(&self) -> Vec<u8> {
                if !self.operation().has_output() {
                    return Vec::new();
                }
                match self { $(Self::$name(response) => wire::encode(response)),+ }
            }
        }

        $(
            impl From<$request> for Request {
                fn from(request: $request) -> Self {
                    Self::$name(request)
                }
            }

            impl From<$response> for Response {
                fn from(response: $response) -> Self {
                    Self::$name(response)
                }
            }
        )+
    };
}

operations!(declare);
