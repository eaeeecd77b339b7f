//! The nginx configuration language and what a configuration means.
//!
//! [`load`] reads files into a [`Config`], a tree with places and problems; it never fails. [`View`] then says what
//! holds where: servers, locations, passes with their peers and settings, logs, answers nginx gives by itself.
//!
//! Nothing here opens a file, dials, asks the clock or the environment: files come through [`Files`].

#![forbid(unsafe_code)]

mod address;
mod answers;
mod build;
mod config;
mod files;
mod include;
mod keywords;
mod lexer;
mod location;
mod logs;
mod main_settings;
mod names;
mod parser;
mod pass;
mod server;
mod settings;
mod spelling;
mod tree;
pub mod units;
mod upstream;
mod variables;
mod version;
mod view;

pub use answers::{Answer, AnswerKind};
pub use config::{Config, Include, Problem};
pub use files::{Files, MemoryFiles, glob_matches};
pub use include::{load, load_with_globals};
pub use location::{Location, LocationId, LocationKind};
pub use logs::{Escape, LogContext, LogDestination, LogFormat, LogTarget};
pub use main_settings::Main;
pub use pass::{Module, Pass, PassAddress, Scheme, Target};
pub use server::{Listen, Server};
pub use settings::{Buffers, LazySettings, NameValue, Resolver, Setting, Settings};
pub use spelling::Misspelling;
pub use tree::{Arg, Directive, FileId, SourceFile, Span};
pub use upstream::{Balancing, Upstream, UpstreamServer};
pub use version::Version;
pub use view::{BuiltIn, Route, View};
