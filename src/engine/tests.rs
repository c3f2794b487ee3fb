//! The engine as a whole: running documents, and properties that hold for any input.

mod causes;
mod changes;
mod messages;
mod people;
mod properties;
mod spec;
mod storms;
mod story;
mod succession;
mod table;
