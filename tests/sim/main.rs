//! Tests with a simulated clock, disk and receivers. A failure prints its seed.
