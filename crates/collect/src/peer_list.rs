//! Which addresses to look at: those that the configuration dials and those that the logs blame.
