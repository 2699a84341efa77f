//! The flags that say what the history of an image tells of a layer.

use clap::Args;
use layerstone_layer::History;

/// What the history says.
#[derive(Args, Default)]
#[command(next_help_heading = "What the history says of the layer")]
pub struct HistoryArgs {
    /// Creator for the history [default: the program that makes the image]
    #[arg(long, value_name = "TEXT")]
    created_by: Option<String>,
    /// Author for the history
    #[arg(long, value_name = "TEXT")]
    author: Option<String>,
    /// Comment for the history [default: what the layer holds]
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

impl HistoryArgs {
    /// What the flags say, the rest from `default`.
    pub fn over(&self, default: History) -> History {
        let HistoryArgs { created_by, author, comment } = self;
        History { created_by: created_by.clone(), author: author.clone(), comment: comment.clone() }.over(default)
    }
}
