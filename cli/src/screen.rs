//! What people and programs see of the work: tables, bars, summaries, progress, answers as JSON.

pub mod answer;
pub mod color;
pub mod difference;
pub mod fit;
pub mod layer_table;
pub mod log;
pub mod out;
pub mod progress;
pub mod published;
pub mod report;
pub mod summary;
pub mod table;
pub mod timings;
