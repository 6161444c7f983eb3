//! What the parts of a plan promise.

mod sources;
