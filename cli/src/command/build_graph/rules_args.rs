//! The flags that `ninja` and `make` share, and the words that say them again.

use super::program::{parse_command, parse_stage};
use crate::args::store::StoreArgs;
use clap::Args;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct RulesArgs {
    /// Image spec
    #[arg(value_name = "IMAGE.JSON", required_unless_present = "spec_flag")]
    spec: Option<PathBuf>,
    /// The same, as the stages take it
    #[arg(long = "spec", value_name = "IMAGE.JSON", conflicts_with = "spec", hide = true)]
    spec_flag: Option<PathBuf>,
    /// Where the image goes: FILE, oci:DIR or oci-archive:FILE [default: the spec's name with .tar.gz behind]
    #[arg(long, value_name = "PLACE")]
    pub image: Option<OsString>,
    /// Directory for stage files
    #[arg(id = "folder", long = "folder", value_name = "DIR", default_value = "layerstone.build")]
    pub directory: PathBuf,
    /// Plan of the last image, whose layers are kept
    #[arg(long, value_name = "OLD.LAYERS.JSON")]
    pub previous: Option<PathBuf>,
    /// Command line in the place of `layerstone` for all stages, such as one that runs them elsewhere [default: this
    /// program]
    #[arg(long, value_name = "COMMAND", value_parser = parse_command)]
    pub program: Option<OsString>,
    /// Command line in the place of `layerstone STAGE`, which gets the same inputs and outputs; for `layer` -o FILE, flags,
    /// and the store paths instead of the plan
    #[arg(long, value_name = "STAGE=COMMAND", value_parser = parse_stage)]
    pub stage: Vec<(String, OsString)>,
    /// The rules run this: the plan must be there
    #[arg(long, hide = true)]
    pub planned: bool,
    #[command(flatten)]
    pub store: StoreArgs,
}

impl RulesArgs {
    /// The spec.
    pub fn spec(&self) -> &Path {
        self.spec.as_ref().or(self.spec_flag.as_ref()).expect("clap has required one of them")
    }

    /// The words that write the same file again.
    pub fn words(&self, command: &str, output: &Path) -> Vec<OsString> {
        let mut words = vec![command.into(), self.spec().into()];
        words.extend(self.image.iter().flat_map(|target| ["--image".into(), target.clone()]));
        words.extend(["--folder".into(), self.directory.clone().into()]);
        words.extend(self.previous.iter().flat_map(|plan| ["--previous".into(), plan.clone().into()]));
        words.extend(self.program.iter().flat_map(|program| ["--program".into(), program.clone()]));
        for (stage, program) in &self.stage {
            let replaced = [stage.as_bytes(), b"=", program.as_bytes()].concat();
            words.extend(["--stage".into(), OsString::from_vec(replaced)]);
        }
        words.extend(self.store.words());
        words.push("--planned".into());
        words.extend(["-o".into(), output.into()]);
        words
    }
}
