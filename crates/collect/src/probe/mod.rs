//! Greetings that tell which protocol a peer speaks without running a line of the application's code.
