//! Throw-away Linux hosts with real faults in them: what `why502` is tested against, and what its captures are recorded
//! from.
//!
//! A [`Case`] is a bash file that sets up a real nginx with a real backend, breaks something, and drives requests
//! through it. [`run`] boots a [`Host`] for it, proves that the fault shows as promised, and compares what the program
//! says with what the case expects. Nothing here judges failures, and nothing of the machine outside the host is
//! changed: its files, mounts, processes, network and cgroups are the host's own and end with it.

mod case;
mod exercise;
mod host;
mod requirements;
mod run;
mod tidy;
mod trial;

pub use case::{Case, cases};
pub use exercise::Exercise;
pub use host::{Host, Output, is_busy};
pub use requirements::{PACKAGES, is_root, missing_packages, missing_requirements};
pub use run::{Outcome, Proof, prove, record, run, shell};
pub use trial::Trial;
