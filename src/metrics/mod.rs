//! Quell's own metrics: one table with name, kind, labels, unit and help of every one.
