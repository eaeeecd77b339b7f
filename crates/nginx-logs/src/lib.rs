//! The logs that nginx writes: grammar, catalogue of messages, time windows.
