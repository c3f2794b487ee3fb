//! Tests with the real binary, real processes and faithful fakes. One binary, because each more is a link to wait for.

mod deliver;
mod fakes;
