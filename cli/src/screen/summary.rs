//! What a command that wrote an image says at its end, on stderr: what the image is, what became of its layers, and what
//! to do next.

use crate::args::{Common, Form};
use crate::screen::answer::AnswerArgs;
use crate::screen::color::Paint;
use crate::screen::fit::{clean, labelled};
use crate::screen::out::tell;
use crate::screen::table::{counted, size};
use layerstone_oci::PutOutcome;
use layerstone_pipeline::{ImageTarget, Origin, Published, Sum, Tally, build_graph::quoted};
use layerstone_registry::PushStats;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a command did.
pub struct Work<'a> {
    /// What was done, such as `built`.
    pub verb: &'static str,
    /// Where the image went.
    pub target: &'a ImageTarget,
    /// Whether the image is known to have a command to run.
    pub runs: bool,
    /// When it was begun.
    pub since: Instant,
    /// How it is told on stdout.
    pub answer: AnswerArgs,
}

/// What came of it.
pub struct Summary<'a> {
    /// What it was.
    pub work: &'a Work<'a>,
    /// What the images are called.
    pub names: Vec<String>,
    /// Their digest, if it is one image or one index, and whether it is that of a manifest or an index.
    pub digest: Option<(String, bool)>,
    /// The platforms of an index.
    pub platforms: Vec<String>,
    /// What became of the layers.
    pub tally: &'a Tally,
}

impl<'a> Summary<'a> {
    /// That of an image or an index.
    pub fn of(work: &'a Work<'a>, published: &'a Published) -> Summary<'a> {
        let listed = if let Published::Manifest { listed, .. } = published { &listed[..] } else { &[] };
        let platforms = listed.iter().filter_map(|manifest| manifest.platform.as_ref());
        let is_manifest = matches!(published, Published::Manifest { .. });
        Summary {
            work,
            names: published.name().into_iter().collect(),
            digest: Some((published.digest().to_string(), is_manifest)),
            platforms: platforms.map(ToString::to_string).collect(),
            tally: published.tally(),
        }
    }

    /// Tells it on stderr, unless nothing is to be told.
    pub fn tell(&self, common: &Common) {
        match common.errors {
            _ if common.quiet => {}
            Form::Text => tell(self.text(self.work.since.elapsed(), common.color.of_stderr()).trim_end()),
            Form::Json => tell(json!({"done": self.json(self.work.since.elapsed())})),
        }
    }

    fn text(&self, elapsed: Duration, paint: Paint) -> String {
        let name = if self.names.is_empty() { self.work.target.to_string() } else { self.names.join(", ") };
        let mut text = format!("{} {} in {}\n", self.work.verb, paint.bold(clean(&name)), time(elapsed));
        let mut line = |label: &str, rest: &str| text.push_str(&labelled(label, rest, paint));
        if let Some((digest, is_manifest)) = &self.digest {
            line(if *is_manifest { "digest" } else { "ID" }, digest);
        }
        if !self.platforms.is_empty() {
            line("for", &self.platforms.join(", "));
        }
        line("layers", &self.layers(paint));
        if let Some(pushed) = &self.tally.pushed {
            line("sent", &sent_text(pushed));
        } else if let Some(written) = self.written() {
            line("wrote", &written);
        }
        let next = self.next();
        next.iter().enumerate().for_each(|(index, command)| line(if index == 0 { "next" } else { "" }, command));
        text
    }

    /// How many layers there are, and where they come from.
    fn layers(&self, paint: Paint) -> String {
        let all = self.tally.sum(|_| true);
        let mut parts = Vec::new();
        let new = self.tally.from(Origin::New);
        let (known, base) = (self.tally.from(Origin::Known).count, self.tally.from(Origin::Base).count);
        if new.count + known > 0 {
            let of = if new.count > 0 { format!(" of {}", size(new.bytes)) } else { String::new() };
            let is_all = new.count == all.count;
            parts.push(paint.sent(if is_all { "all new".to_owned() } else { format!("{} new{of}", new.count) }));
            parts.extend((known > 0).then(|| format!("{known} known")));
        }
        if base > 0 {
            parts.push(format!("{base} of the base"));
        }
        let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        format!("{}, {}{parts}", all.count, size(all.bytes))
    }

    /// What a layout was given, and what it had; that an archive was left alone.
    fn written(&self) -> Option<String> {
        if self.tally.untouched {
            return Some("nothing: the file is this image already".to_owned());
        }
        let of = |put| self.tally.sum(|layer| layer.put == Some(put));
        let (sent, existing) = (of(PutOutcome::Sent), of(PutOutcome::Existing));
        let count = |sum: Sum| format!("{} layer{}", sum.count, if sum.count == 1 { "" } else { "s" });
        match (sent.count, existing.count) {
            (0, 0) => None,
            (0, _) => Some(format!("no layer, {} were there", size(existing.bytes))),
            (_, 0) => Some(format!("{} of {}", count(sent), size(sent.bytes))),
            _ => Some(format!("{} of {}, {} were there", count(sent), size(sent.bytes), size(existing.bytes))),
        }
    }

    /// What may come next where the image is now.
    fn next(&self) -> Vec<String> {
        let name = self.names.first();
        let run = |program: &str| name.map(|name| format!("{program} run --rm {name}"));
        let of_file = |command: String| [Some(command), run("docker").filter(|_| self.work.runs)];
        let commands = match self.work.target {
            target if target.is_stdout() => return Vec::new(),
            ImageTarget::Archive(path) | ImageTarget::DockerArchive(path) => {
                of_file(format!("docker load -i {}", word(path)))
            }
            ImageTarget::OciArchive(path) => {
                [Some(format!("podman load -i {}", word(path))), run("podman").filter(|_| self.work.runs)]
            }
            ImageTarget::OciLayout(path) if self.platforms.is_empty() => {
                let name = name.map(|name| format!("#{name}")).unwrap_or_default();
                of_file(format!("layerstone copy oci:{}{name} docker:", word(path)))
            }
            ImageTarget::OciLayout(path) => {
                [Some(format!("layerstone push --all oci:{} HOST/NAME:TAG", word(path))), None]
            }
            ImageTarget::Registry(_) if self.work.runs => [run("docker"), None],
            ImageTarget::Registry(_) => [name.map(|name| format!("docker pull {name}")), None],
            ImageTarget::Engine(engine) => [run(engine.program()), None],
        };
        commands.into_iter().flatten().collect()
    }

    /// All of it, for programs.
    pub fn value(&self) -> Value {
        self.json(self.work.since.elapsed())
    }

    fn json(&self, elapsed: Duration) -> Value {
        let sum = |sum: Sum| json!({"count": sum.count, "size": sum.bytes});
        let of = |origin| sum(self.tally.from(origin));
        let pair = |(count, bytes): (u64, u64)| json!({"count": count, "size": bytes});
        let mut value = json!({
            "what": self.work.verb,
            "names": self.names,
            "place": self.work.target.to_string(),
            "layers": sum(self.tally.sum(|_| true)),
            "new": of(Origin::New),
            "known": of(Origin::Known),
            "base": of(Origin::Base),
            "untouched": self.tally.untouched,
            "seconds": elapsed.as_secs_f64(),
            "next": self.next(),
        });
        if let Some((digest, _)) = &self.digest {
            value["digest"] = digest.as_str().into();
        }
        if let Some(PushStats { sent, existing, mounted, manifests }) = &self.tally.pushed {
            value["sent"] = pair(*sent);
            value["there"] = pair(*existing);
            value["mounted"] = pair(*mounted);
            value["manifests"] = (*manifests).into();
        }
        value
    }
}

/// A path as a shell reads it.
fn word(path: &Path) -> String {
    clean(&String::from_utf8_lossy(&quoted(path.as_os_str())))
}

/// A time for people: `0.3 s`, `2 min 5 s`.
fn time(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0 if elapsed.as_millis() < 95 => format!("{:.2} s", elapsed.as_secs_f64()),
        0..60 => format!("{:.1} s", elapsed.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

fn sent_text(sent: &PushStats) -> String {
    let blobs = |(count, bytes): (u64, u64)| match count {
        0 => "0 blobs".to_owned(),
        count => format!("{} of {}", counted(count, "blob"), size(bytes)),
    };
    let some = |before: &str, (count, bytes): (u64, u64)| match count {
        0 => String::new(),
        count => format!("{before}{count} of {}", size(bytes)),
    };
    let manifest = if sent.manifests == 0 { "" } else { " and a manifest" };
    let mounted = some(", took over ", sent.mounted);
    let present = some(", skipped ", sent.existing);
    format!("{}{manifest}{mounted}{present}", blobs(sent.sent))
}
