//! What is told of a program that replaces a stage and fails, or writes what the stage does not: what was run, what it must
//! write, and where that is described.

use super::Options;
use std::fmt;

/// A program in the place of a stage that did not do what the stage does.
#[derive(Debug)]
pub struct NoGood {
    message: String,
    /// What to do.
    pub hint: String,
    cause: Option<anyhow::Error>,
}

impl NoGood {
    /// It ended with another status than 0.
    pub fn failed(options: &Options) -> NoGood {
        let how = match options.status {
            126 => "exit status 126, it cannot be executed".to_owned(),
            127 => "exit status 127, a command was not found".to_owned(),
            // A shell adds 128 to the number of the signal that ended its command (POSIX, 2.8.2).
            status @ 129..=192 => format!("ended by signal {}", status - 128),
            status => format!("exit status {status}"),
        };
        let message = format!("the stage {} ({}) failed: {how}", options.stage, options.command.display());
        NoGood { message, hint: format!("what it said stands above; {}", contract(options)), cause: None }
    }

    /// It ended well, and what it wrote is no good.
    pub fn wrote(options: &Options, cause: anyhow::Error) -> NoGood {
        let message = format!("the stage {} ({}) is no good", options.stage, options.command.display());
        NoGood { message, hint: contract(options), cause: Some(cause) }
    }
}

impl fmt::Display for NoGood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NoGood {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// What a program in the place of the stage must write, and which commands write and describe the same.
fn contract(options: &Options) -> String {
    let (what, schema) = match options.stage.as_str() {
        "closure" => ("a closure", Some("closure")),
        "layers" => ("a plan", Some("layers")),
        "layer" => ("a layer file", Some("layer")),
        "image" => ("an image of the layers that it is given", None),
        _ => ("a layer file and its tar", Some("layer")),
    };
    let outputs: Vec<String> = options.outputs.iter().map(|output| output.display().to_string()).collect();
    let text = format!("it must write {what} to {}, as `layerstone {}` does", outputs.join(" and "), options.stage);
    match schema {
        Some(schema) => format!("{text}; `layerstone schema {schema}` prints what such a file holds"),
        None => text,
    }
}
