//! The Report in the forms that people and programs read, and the pages of `explain`.
//!
//! Everything here is a function of its arguments. Nothing decides what is wrong (that is `diagnose`), and nothing knows
//! whether it writes to a terminal: the caller says whether colour is wanted. Text that came from the host is never
//! shown as it is, but through [`visible()`].
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod explain;
mod minutes;
mod narrow;
mod page;
mod sums;
mod timeline;
mod visible;
mod words;

/// One module for each form of the Report.
pub mod render {
    pub mod html;
    pub mod json_v1;
    pub mod markdown;
    pub mod text;
}

pub use minutes::by_minute;
pub use narrow::narrow;
pub use page::{Colour, WIDTH, wrap};
pub use visible::{visible, visible_lines};
