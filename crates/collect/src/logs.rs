//! nginx's logs in the window.
