//! The nginx configuration language and what a configuration means.
